"""One table of cases drives every registered proxy; values come from the slow references."""

from __future__ import annotations

import inspect
import math
import pickle
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import measures, ntk, zoo
from torch import nn

from automl_theory.data import split_halves
from automl_theory.probing.loss_gradients import PARTS
from automl_theory.probing.signals import Signals
from automl_theory.proxies import (
    REGISTRY,
    STATUSES,
    Proxy,
    get_proxies,
    get_proxy,
    leaders,
    list_proxies,
    saliency,
    sensitivity,
)
from automl_theory.proxies.base import Undefined
from automl_theory.scoring.single import evaluate, needs_of
from automl_theory.spaces import space

ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
SPACE = space("nas_bench_201")
N = 8


def inputs(n: int = N, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).double()


def labels(n: int = N) -> torch.Tensor:
    return torch.arange(n) % 3


def network(arch: str = ARCH) -> nn.Module:
    return SPACE.build(arch, 4, 1, 3, 3, seed=2).double()


def signals(net: nn.Module | None = None, x: torch.Tensor | None = None, arch: str | None = ARCH, **changes) -> Signals:
    proxies = list(REGISTRY.values())
    given = {
        "y": labels(),
        "needs": needs_of(proxies),
        "graph": None if arch is None else SPACE.graph(arch),
        "thin": None if arch is None else lambda seed: SPACE.build_thin(arch, 1, 3, seed=seed),
        "seed": 5,
    }
    return Signals(network() if net is None else net, inputs() if x is None else x, **{**given, **changes})


# What the values are --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured() -> Signals:
    return signals()


@pytest.fixture(scope="module")
def kernel() -> np.ndarray:
    return ntk.tangent_kernel(network(), inputs()).numpy()


@pytest.fixture(scope="module")
def batch_kernel() -> np.ndarray:
    return ntk.tangent_kernel(network(), inputs(), bn="batch").numpy()


def thin_reference() -> int:
    net = SPACE.build_thin(ARCH, 1, 3, seed=5)
    generator = np.random.Generator(np.random.PCG64(5))
    batches = torch.from_numpy(generator.standard_normal((3, 50, 1, 3, 3)).astype(np.float32))
    return measures.regions(np.concatenate([measures.relu_patterns(net, batch) for batch in batches]))


def eigenvalues(kernel: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(kernel)


def halves_error(kernel: np.ndarray) -> float:
    y = labels().numpy()
    a, b = split_halves(y)
    return (measures.regression_error(kernel, y, a, b) + measures.regression_error(kernel, y, b, a)) / 2


def patterns():
    return measures.relu_patterns(network(), inputs())


def size(name: str) -> float:
    return SPACE.size_metrics(ARCH, 4, 1, 3, 3, resolution=8)[name]


ELSEWHERE = {proxy.name for module in (saliency, sensitivity, leaders) for proxy in module.PROXIES} | {
    "l2_norm",
    "ntk_label_alignment",
}
"""Their references are in test_saliency.py and test_leaders.py."""

VALUES = {
    "parameters": (lambda k, b: size("parameters"), "ok"),
    "macs": (lambda k, b: size("macs") - 3, "ok"),
    "depth": (lambda k, b: size("depth"), "ok"),
    "relu_units": (lambda k, b: size("relu_units"), "ok"),
    "trainable_layers": (lambda k, b: size("trainable_layers"), "ok"),
    "linear_regions": (lambda k, b: measures.regions(patterns()), "saturated"),
    "naswot": (lambda k, b: measures.naswot(patterns()), "ok"),
    "ntk_rank": (lambda k, b: N, "saturated"),
    "ntk_effective_rank": (lambda k, b: measures.effective_rank(k), "ok"),
    "ntk_numerical_rank": (lambda k, b: (eigenvalues(k) > 0.01 * eigenvalues(k)[-1]).sum(), None),
    "ntk_numerical_rank:tol=0.2": (lambda k, b: (eigenvalues(k) > 0.2 * eigenvalues(k)[-1]).sum(), "ok"),
    "linear_regions_thin": (None, "ok"),
    "linear_regions_thin:repeats=3+samples=50": (lambda k, b: thin_reference(), None),
    "segment_regions": (None, "ok"),
    "segment_regions:points=20": (lambda k, b: measures.segment_regions(network(), inputs(), 20), "ok"),
    "curve_length": (lambda k, b: measures.curve_length(network(), inputs(), 5, 128), "ok"),
    "curvature": (None, "ok"),
    "turning_angle": (lambda k, b: measures.turning_angle(network(), inputs(), 5, 256), "ok"),
    "ntk_lambda_min": (lambda k, b: eigenvalues(k)[0], "ok"),
    "ntk_lambda_min_normalised": (lambda k, b: eigenvalues(measures.normalised(k))[0], "ok"),
    "ntk_condition_number": (lambda k, b: eigenvalues(k)[-1] / eigenvalues(k)[0], "ok"),
    "ntk_trace": (lambda k, b: sum(k[i, i] for i in range(N)), "ok"),
    "nngp_lambda_min": (
        lambda k, b: eigenvalues((lambda f: f @ f.T / f.shape[1])(measures.features(network(), inputs())))[0],
        "ok",
    ),
    "ntk_lambda_min_batch": (lambda k, b: eigenvalues(b)[0], "ok"),
    "ntk_condition_number_batch": (lambda k, b: eigenvalues(b)[-1] / eigenvalues(b)[0], "ok"),
    "ntk_alignment": (lambda k, b: measures.alignment(k, labels().numpy()), "ok"),
    "ntk_label_complexity": (lambda k, b: measures.label_complexity(k, labels().numpy()), "ok"),
    "ntk_regression_error": (lambda k, b: halves_error(k), "ok"),
    # paths of the cell: 0-3, 0-1-3 with two convolutions, 0-2-3 with two, 0-1-2-3 with two
    "generalization_bound": (lambda k, b: 6 * measures.label_complexity(k, labels().numpy()), "ok"),
}


def test_every_proxy_is_in_the_table():
    assert {name.partition(":")[0] for name in VALUES} == set(REGISTRY) - ELSEWHERE


@pytest.mark.parametrize("name", VALUES)
def test_value(name, measured, kernel, batch_kernel):
    reference, expected_status = VALUES[name]
    value, status = get_proxy(name)(measured)
    assert isinstance(value, float)
    assert status in STATUSES
    assert expected_status in (None, status)
    if reference is not None:
        assert value == pytest.approx(
            float(reference(kernel, batch_kernel)), rel=1e-5 if name == "curve_length" else 1e-8
        )
    assert math.isfinite(value)


# Degenerate networks --------------------------------------------------------------------------------------------

KERNEL = {name for name, proxy in REGISTRY.items() if "kernel" in proxy.needs}
SIZES = set(list_proxies("size"))
CODES = {name for name, proxy in REGISTRY.items() if "codes" in proxy.needs} - SIZES
LABELS = set(list_proxies("generalization"))
BATCH = {"ntk_lambda_min_batch", "ntk_condition_number_batch"}
NAN = float("nan")


def poisoned() -> nn.Module:
    net = network()
    with torch.no_grad():
        net.stem[0].weight[0] = torch.nan
    return net


def overflowing() -> nn.Module:
    """Finite outputs with gradients that are not."""

    def root(h: torch.Tensor) -> torch.Tensor:
        return torch.where(h > 0, h.sqrt(), 0 * h)

    return zoo.linears(lambda net, x: net.b(root(net.a(x.flatten(1)[:, :6])))).double()


def smooth() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.Tanh(), nn.Linear(9, 3)).double()


def frozen_weights() -> nn.Module:
    return network().requires_grad_(False)


def unused() -> nn.Module:
    """A parameter that no output depends on."""
    net = zoo.Net(lambda net, x: F.relu(x.flatten(1)), a=nn.Linear(3, 3)).double()
    return net


def repeated() -> torch.Tensor:
    x = inputs()
    x[3] = x[5] = x[0]
    return x


DEGENERATE = {
    "disconnected by the graph": (
        lambda: signals(
            network("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"),
            arch="|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        ),
        {name: (NAN, "disconnected") for name in set(REGISTRY) - SIZES},
    ),
    "disconnected by equal rows": (
        lambda: signals(network("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), arch=None),
        {name: (NAN, "disconnected") for name in set(REGISTRY) - SIZES},
    ),
    "NaN in the weights": (
        lambda: signals(poisoned()),
        {name: (NAN, "non_finite") for name in set(REGISTRY) - SIZES},
    ),
    "infinite gradients": (
        lambda: signals(overflowing(), arch=None),
        {name: (NAN, "non_finite") for name in KERNEL - LABELS} | {"ntk_alignment": (NAN, "non_finite")},
    ),
    "no parameters": (
        lambda: signals(nn.Sequential(nn.Flatten(), nn.ReLU()), arch=None),
        {name: (NAN, "no_parameters") for name in KERNEL | BATCH}
        | {
            "parameters": (0.0, "ok"),
            "depth": (0.0, "ok"),
            "relu_units": (192.0, "ok"),
            "trainable_layers": (0.0, "ok"),
        },
    ),
    "no trainable parameters": (
        lambda: signals(frozen_weights()),
        {name: (NAN, "no_parameters") for name in KERNEL | BATCH} | {"parameters": (size("parameters"), "ok")},
    ),
    "no parameter that matters": (
        lambda: signals(unused(), arch=None),
        {name: (NAN, "no_parameters") for name in KERNEL}
        | {"ntk_lambda_min_batch": (0.0, "rank_deficient"), "ntk_condition_number_batch": (math.inf, "rank_deficient")},
    ),
    "repeated inputs": (
        lambda: signals(x=repeated()),
        {
            "ntk_lambda_min": (0.0, "rank_deficient"),
            "ntk_lambda_min_normalised": (0.0, "rank_deficient"),
            "ntk_condition_number": (math.inf, "rank_deficient"),
            "ntk_lambda_min_batch": (0.0, "rank_deficient"),
            "ntk_condition_number_batch": (math.inf, "rank_deficient"),
            "nngp_lambda_min": (0.0, "rank_deficient"),
            "ntk_rank": (6.0, "rank_deficient"),
            "naswot": (-math.inf, "rank_deficient"),
            "linear_regions": (6.0, "ok"),
            "ntk_label_complexity": (math.inf, "rank_deficient"),
            "generalization_bound": (math.inf, "rank_deficient"),
            "ntk_regression_error": (None, "rank_deficient"),
            "ntk_alignment": (None, "ok"),
            "ntk_trace": (None, "ok"),
        },
    ),
    "no ReLU": (
        lambda: signals(smooth(), arch=None),
        {name: (NAN, "the module calls no ReLU") for name in CODES}
        | {"relu_units": (0.0, "ok"), "ntk_lambda_min": (None, "ok")},
    ),
    "no labels": (
        lambda: signals(y=None),
        {name: (NAN, "labels are needed; pass y") for name in LABELS} | {"ntk_lambda_min": (None, "ok")},
    ),
    "one class": (
        lambda: signals(y=torch.ones(N, dtype=torch.int64)),
        {name: (NAN, "labels of at least two classes are needed") for name in LABELS},
    ),
    "no cell graph": (
        lambda: signals(arch=None),
        {
            "generalization_bound": (NAN, "the cell's graph is needed; score an architecture of a space that has one"),
            "linear_regions_thin": (NAN, "a space that builds one-channel cells is needed"),
        },
    ),
    "a cell of skips": (
        lambda: signals(
            network("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"),
            arch="|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        ),
        {
            "generalization_bound": (NAN, "no_parameters"),
            "ntk_label_complexity": (None, "ok"),
            "ntk_lambda_min": (None, "ok"),
        },
    ),
    "one sample": (
        lambda: signals(x=inputs(1), y=labels(1)),
        {
            "ntk_condition_number": (1.0, "ok"),
            "ntk_lambda_min_normalised": (1.0, "ok"),
            "ntk_rank": (1.0, "saturated"),
            "ntk_effective_rank": (1.0, "ok"),
            "linear_regions": (1.0, "ok"),
            "segment_regions": (NAN, "at least two samples and two points are needed"),
            "ntk_alignment": (NAN, "labels of at least two classes are needed"),
        },
    ),
    "three samples": (
        lambda: signals(x=inputs(3), y=labels(3)),
        {"ntk_regression_error": (NAN, "at least two samples a half are needed"), "ntk_alignment": (None, "ok")},
    ),
    "no linear layer": (
        lambda: signals(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Flatten()).double(), arch=None),
        {
            "nngp_lambda_min": (NAN, "the module ends in no linear layer with one row a sample"),
            "ntk_lambda_min": (None, "ok"),
        },
    ),
    "a constant kernel": (
        lambda: signals(
            zoo.Net(lambda net, x: x.flatten(1) + net.p * 0.7, p=nn.Parameter(torch.zeros(192).double())),
            inputs(6),
            y=labels(6),
            arch=None,
        ),
        {
            "ntk_alignment": (NAN, "the kernel is the same for every pair of samples"),
            "ntk_rank": (1.0, "rank_deficient"),
            "ntk_condition_number": (math.inf, "rank_deficient"),
        },
    ),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_networks_are_a_value_and_a_status(case):
    make, expected = DEGENERATE[case]
    values, reasons = evaluate(make(), list(REGISTRY.values()))
    assert set(values) == set(REGISTRY)
    for name, (value, status) in values.items():
        assert isinstance(value, float)
        assert status in STATUSES
        assert (status == "failed") == (name in reasons), (name, reasons.get(name))
        assert not (status == "ok" and not math.isfinite(value)), name
        assert not (REGISTRY[name].direction == "minimize" and value == -math.inf)
        assert not (REGISTRY[name].direction == "maximize" and value == math.inf)
    for name, (value, status) in expected.items():
        if status not in STATUSES:
            assert reasons[name] == status
            status = "failed"
        assert values[name][1] == status, (name, reasons.get(name))
        if value is not None:
            assert values[name][0] == pytest.approx(value, nan_ok=True), name


def test_a_proxy_that_breaks_costs_itself_alone():
    def broken(signals: Signals) -> tuple[float, str]:
        raise KeyError("thing")

    def starving(signals: Signals) -> tuple[float, str]:
        raise MemoryError

    proxies = [Proxy("broken", "convergence", "maximize", "1", broken), get_proxy("ntk_trace")]
    values, reasons = evaluate(signals(), proxies)
    assert values["broken"][1] == "failed"
    assert reasons == {"broken": "KeyError: 'thing'"}
    assert values["ntk_trace"][1] == "ok"
    with pytest.raises(MemoryError):
        evaluate(signals(), [Proxy("starving", "convergence", "maximize", "1", starving)])


def test_a_nan_value_never_has_a_good_status():
    for status in STATUSES:
        value, said = Proxy("x", "size", "maximize", "1", lambda signals, said=status: (NAN, said))(None)
        assert math.isnan(value)
        assert said not in ("ok", "saturated", "rank_deficient")


# What a proxy is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", REGISTRY.values(), ids=REGISTRY)
def test_declaration(proxy):
    assert proxy.family in ("expressivity", "convergence", "generalization", "saliency", "size")
    assert proxy.direction in ("maximize", "minimize")
    assert proxy.unit
    assert re.fullmatch(r"[a-z][a-z0-9_]*", proxy.name)
    assert proxy.needs <= {"kernel", "codes", "features", "parameters", "labels", "graph", "thin", *PARTS}
    assert proxy.key == proxy.name
    assert proxy.compute.__name__ == proxy.name
    assert not (proxy.core and proxy.needs & {"graph", "thin", "parameters"})


@pytest.mark.parametrize("proxy", REGISTRY.values(), ids=REGISTRY)
def test_docstring(proxy):
    assert proxy.formula == inspect.getdoc(proxy.compute).split("\n")[0]
    assert proxy.formula.endswith(".")
    assert len(proxy.documentation.split("\n")) >= 3
    if proxy.family != "size":
        assert re.search(r"[λκΣ∫√∠_|ΦKU]|Number of|Distinct|exp\(", proxy.formula), "a formula, or what is counted"
    words = " ".join(proxy.documentation.split())
    assert f"{proxy.family.capitalize()}; {proxy.direction}; unit: {proxy.unit}." in words
    assert "Edge values:" in words
    assert "Source: " in words


@pytest.mark.parametrize("name", VALUES)
def test_pickles_and_round_trips_by_name(name):
    proxy = get_proxy(name)
    assert pickle.loads(pickle.dumps(proxy)) == proxy
    assert get_proxy(proxy.name) == proxy
    assert get_proxies(f"ntk_trace,{proxy.name}")[-1] == proxy


def test_undefined_is_an_exception_with_a_reason():
    with pytest.raises(Undefined, match="labels are needed; pass y"):
        get_proxy("ntk_alignment")(signals(y=None))
    with pytest.raises(Undefined, match="the cell's graph is needed; score an architecture"):
        get_proxy("generalization_bound")(signals(arch=None))
    with pytest.raises(Undefined, match="a space that builds one-channel cells is needed"):
        get_proxy("linear_regions_thin")(signals(arch=None))
