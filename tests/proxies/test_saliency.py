"""The zero-cost suite against its slow references: cells, odd modules, edge values, one pass for all."""

from __future__ import annotations

import copy
import gc
import math
import warnings
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import zero_cost, zoo
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import spectral_norm

from automl_theory.errors import InputError
from automl_theory.probing import loss_gradients as training
from automl_theory.probing.loss_gradients import PARTS, loss_gradients
from automl_theory.probing.signals import Signals
from automl_theory.probing.synaptic_flow import log_flow
from automl_theory.proxies import ZERO_COST, get_proxies, get_proxy
from automl_theory.scoring.single import evaluate, needs_of, score
from automl_theory.spaces import space

SPACE = space("nas_bench_201")
NAMES = (
    *("grad_norm", "snip", "grasp", "fisher", "plain", "synflow", "log_synflow", "l2_norm"),
    *("jacov", "epe_nas", "zen"),
)

CELLS = {
    "mixed": "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "all 3x3": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "all 1x1": "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    "all skip": "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "all pool": "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "one skip": "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "one convolution": "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    "a chain": "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|",
    "dead ends": "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|",
    "convolutions of zeros": "|none~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_3x3~2|",
    "pools and skips": "|skip_connect~0|+|avg_pool_3x3~0|skip_connect~1|+|none~0|avg_pool_3x3~1|skip_connect~2|",
    "residual": "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "wide": "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|",
}
DISCONNECTED = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|",
)


UNDEFINED = {
    "layer_on_a_constant": "a layer's output has not one row a sample",
    "positions_as_rows": "a layer's output has not one row a sample",
    "weight_norm": "the weight of a ParametrizedLinear is computed",
}


def batch(n: int = 8, size: int = 8, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.to(dtype), torch.arange(n) % 3


def measured(net: nn.Module, x: torch.Tensor, y: torch.Tensor | None, names=NAMES, **more):
    proxies = get_proxies(list(names))
    return evaluate(Signals(net, x, y, needs=needs_of(proxies), **more), proxies)


def reference(name: str, net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    if name == "log_synflow":
        return math.log(zero_cost.synflow(net, x))
    function = getattr(zero_cost, name)
    given = {"l2_norm": (), "synflow": (x,), "jacov": (x,), "zen": (x,)}.get(name, (x, y))
    return function(net, *given)


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_cells_in_float64(cell):
    net, (x, y) = SPACE.build(CELLS[cell], 4, 1, 3, 3, seed=2).double(), batch()
    values, reasons = measured(net, x, y)
    assert not reasons
    for name in NAMES:
        expected = reference(name, net, x, y)
        rounding = 1e-13 * zero_cost.snip(net, x, y) if name == "plain" else 0.0
        assert values[name] == (pytest.approx(expected, rel=1e-8, abs=rounding), "ok"), name


@pytest.mark.parametrize("cell", CELLS)
def test_cells_in_float32(cell):
    """Against the reference in float64 on the same weights.

    The terms of `plain` cancel, its error is one of theirs; `epe_nas` has the logarithm of correlations near 0.
    """
    net, (x, y) = SPACE.build(CELLS[cell], 8, 1, 3, 3, seed=2), batch(size=16, dtype=torch.float32)
    values, reasons = measured(net, x, y)
    assert not reasons
    exact = copy.deepcopy(net).double()
    for name in NAMES:
        expected = reference(name, exact, x.double(), y)
        rounding = 1e-5 * zero_cost.snip(exact, x.double(), y) if name == "plain" else 0.0
        if name == "epe_nas":
            rounding = 2e-7 * zero_cost.epe_nas_slope(exact, x.double(), y)
        assert values[name] == (pytest.approx(expected, rel=1e-5, abs=rounding), "ok"), name


@pytest.mark.parametrize("arch", DISCONNECTED)
def test_disconnected_cells(arch):
    net, (x, y) = SPACE.build(arch, 4, 1, 3, 3, seed=2).double(), batch()
    values, _ = measured(net, x, y, graph=SPACE.graph(arch))
    assert values.pop("l2_norm") == (pytest.approx(zero_cost.l2_norm(net)), "ok")
    assert all(math.isnan(value) and status == "disconnected" for value, status in values.values())


@pytest.mark.parametrize("name", zoo.CASES)
def test_any_module(name):
    """Gradients and curvature against plain autograd, over every kind of module."""
    net, x = zoo.make(name, 4)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = net(x.clone()).flatten(1).shape[1] if net(x.clone()).ndim > 1 else 1
        if outputs < 2 or net(x.clone()).ndim < 2:
            pytest.skip("it has one output, and so no classes")
        y = torch.arange(4) % min(outputs, 3)
        found = {}
        for proxy in ("grad_norm", "snip", "fisher", "plain", "grasp"):
            try:
                expected = getattr(zero_cost, proxy)(net, x, y)
            except (RuntimeError, IndexError):
                continue
            values, reasons = measured(net, x, y, ("grad_norm", "snip", "fisher", "plain", "grasp"))
            if proxy in reasons:
                assert reasons[proxy].startswith(UNDEFINED.get(name, ".")), reasons
                assert proxy == "fisher" or name == "weight_norm"
                continue
            found[proxy] = values[proxy][0]
            if not zero_cost.layers(net):
                assert values[proxy][1] == "no_parameters"
            elif math.isfinite(expected):
                assert found[proxy] == pytest.approx(expected, rel=1e-7, abs=1e-11), proxy
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(p.grad is None for p in net.parameters())
    assert not any(m.training for m in net.modules())


ODD = {
    "MLP": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)
    ),
    "no BatchNorm": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), zoo.head(4)
    ),
    "LayerNorm": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.LayerNorm((5, 8, 8)), nn.ReLU(), nn.Conv2d(5, 4, 3, stride=2), zoo.head(36)
    ),
    "GroupNorm": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(inplace=True), nn.MaxPool2d(2), zoo.head(36)
    ),
    "in place": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), zoo.head(144)
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_modules(kind):
    torch.manual_seed(0)
    net, (x, y) = zoo.grown(ODD[kind]()).double(), batch()
    values, reasons = measured(net, x, y)
    assert not reasons
    for name in NAMES:
        expected = reference(name, net, x, y)
        assert values[name] == (pytest.approx(expected, rel=1e-7), "ok"), name


def test_many_outputs_of_epe_nas():
    torch.manual_seed(0)
    net, (x, y) = zoo.head(192, nn.Flatten()).double(), batch()
    net[-1] = nn.Linear(192, 120).double()
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1).double(), nn.ReLU(), net)
    for labels in (y, torch.tensor([0, 0, 0, 1, 1, 2, 3, 4])):
        values, _ = measured(net, x, labels, ["epe_nas"])
        assert values["epe_nas"] == (pytest.approx(zero_cost.epe_nas(net, x, labels), rel=1e-8), "ok")


def test_chain_of_scalars_in_closed_form():
    """f(x) = (b·relu(a·x), 0): all is a formula."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 2, bias=False)).double()
    with torch.no_grad():
        net[0].weight.fill_(0.5)
        net[2].weight.copy_(torch.tensor([[-0.8], [0.0]]))
    x, y = torch.tensor([[1.0], [3.0]]).double(), torch.tensor([0, 0])
    values, _ = measured(net, x, y, ["synflow", "l2_norm", "snip"])
    assert values["synflow"][0] == pytest.approx(2 * 0.5 * 0.8)  # two layers, one path
    assert values["l2_norm"][0] == pytest.approx(0.5 + 0.8)
    slope = [1 / (1 + math.exp(0.8 * h)) - 1 for h in (0.5, 1.5)]  # ∂L_i/∂f_0 = p_0 − 1, p_0 = σ(f_0)
    along = sum(s * -0.8 * h for s, h in zip(slope, (0.5, 1.5), strict=True)) / 2  # = Σ θ ∂L/∂θ of either layer
    assert values["snip"][0] == pytest.approx(2 * abs(along))


# One pass for all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["snip"], ["grasp"], ["jacov"], ["fisher"], ["jacov", "grad_norm"], list(ZERO_COST)])
def test_values_do_not_depend_on_what_else_is_asked(names):
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2), batch(dtype=torch.float32)
    together, _ = measured(net, x, y, (*NAMES, "ntk_trace", "naswot"))
    alone, _ = measured(net, x, y, names)
    for name in set(names) & set(NAMES):
        assert alone[name][0] == pytest.approx(together[name][0], rel=1e-5)


def test_the_mode_of_the_kernel_does_not_matter():
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double(), batch()
    modes = [measured(net, x, y, bn=bn)[0] for bn in ("frozen", "running", "batch")]
    assert modes[0] == modes[1] == modes[2]


def test_one_pass_serves_all(monkeypatch):
    passes = []

    def counted(net, x, y, parts, *codes):
        passes.append(parts)
        return loss_gradients(net, x, y, parts, *codes)

    monkeypatch.setattr("automl_theory.probing.signals.loss_gradients", counted)
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2), batch(dtype=torch.float32)
    measured(net, x, y)
    assert passes == [PARTS]
    passes.clear()
    measured(net, x, y, ["parameters", "zen", "synflow", "l2_norm"])
    assert passes == []


@pytest.mark.parametrize("cell", CELLS)
def test_the_pass_in_training_mode_is_the_frozen_one_bit_for_bit(cell):
    net, (x, y) = SPACE.build(CELLS[cell], 8, 1, 3, 3, seed=2), batch(size=16, dtype=torch.float32)
    frozen, trained = (Signals(net, x, y, needs=needs) for needs in ({"codes"}, {"codes", "loss"}))
    assert torch.equal(frozen.logits, trained.logits)
    assert (frozen.hamming == trained.hamming).all()
    assert frozen.codes.units == trained.codes.units
    assert frozen.feature_spectrum is not None
    assert trained.feature_spectrum is not None
    assert (frozen.feature_spectrum.eigenvalues == trained.feature_spectrum.eigenvalues).all()


def test_leaves_module_and_random_state_alone():
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).train(), batch(dtype=torch.float32)
    net.cells[0].layers[0].requires_grad_(False)
    state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    measured(net, x, y)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert net.training
    assert not net.cells[0].layers[0].op[1].weight.requires_grad
    assert net.classifier.weight.requires_grad
    assert not x.requires_grad


# Edge values ----------------------------------------------------------------------------------------------------------


def test_groups():
    assert [proxy.name for proxy in get_proxies("zero_cost")] == list(ZERO_COST)
    assert len(ZERO_COST) == 13
    assert not any(get_proxy(name).core for name in NAMES)
    result = score(SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2), *batch(dtype=torch.float32), "zero_cost")
    assert set(result.status.values()) == {"ok"}


def test_without_labels():
    net, (x, _) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double(), batch()
    values, reasons = measured(net, x, None)
    labelled = {"grad_norm", "snip", "grasp", "fisher", "plain", "epe_nas"}
    assert reasons == dict.fromkeys(labelled, "labels are needed; pass y")
    assert {name for name, (_, status) in values.items() if status == "ok"} == set(NAMES) - labelled


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gradient_that_is_only_rounding_is_undefined(dtype):
    """A last BatchNorm that only averages and linear layers follow: the sum of the outputs does not depend on x."""
    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    x, y = torch.randn(12, 3, 8, 8, dtype=dtype), torch.arange(12) % 4
    _, reasons = measured(nn.Sequential(*stem, *end).to(dtype), x, y)
    assert set(reasons) == {"jacov", "epe_nas"}
    assert all("is 0 but for rounding, as behind a last BatchNorm" in reason for reason in reasons.values())
    for moved in (1.0, 1e4):  # a shift of inputs and outputs is none of the gradient's
        net = nn.Sequential(*stem, nn.ReLU(), *end).to(dtype)
        with torch.no_grad():
            net[-1].bias.add_(moved)
        assert measured(net, x + moved, y)[1] == {}


def test_one_class_and_one_sample():
    net = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double()
    x, _ = batch()
    values, reasons = measured(net, x, torch.zeros(8, dtype=torch.int64))
    assert not reasons
    assert {status for _, status in values.values()} == {"ok"}
    values, reasons = measured(net, x[:1], torch.zeros(1, dtype=torch.int64))
    alone = "no class has two samples to correlate; give a larger batch"
    assert reasons == {"jacov": "at least two samples are needed", "epe_nas": alone}
    _, reasons = measured(net, x[:3], torch.arange(3))
    assert reasons == {"epe_nas": alone}
    values, reasons = measured(net, x[:3], torch.tensor([0, 1, 1]))
    assert not reasons
    assert values["epe_nas"] == (pytest.approx(zero_cost.epe_nas(net, x[:3], torch.tensor([0, 1, 1])), rel=1e-8), "ok")


def test_more_classes_than_logits():
    net, (x, _) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double(), batch()
    values, reasons = measured(net, x, torch.arange(8))
    assert reasons["snip"] == (
        "expected labels below 3, the number of logits, got 7; give the network an output for each class"
    )
    assert values["jacov"] == (pytest.approx(zero_cost.jacov(net, x)), "ok")


def test_no_layers_and_no_trainable_ones():
    x, y = batch()
    for net in (nn.Flatten(), SPACE.build(CELLS["mixed"], 4, 1, 3, 3).double().requires_grad_(False)):
        values, _ = measured(net, x, y)
        without = {"grad_norm", "snip", "grasp", "fisher", "plain", "synflow", "log_synflow"}
        assert {name for name, (_, status) in values.items() if status == "no_parameters"} == without
        assert values["l2_norm"] == (0.0, "ok")


def test_zero_gradients():
    """A layer that no output depends on, beside a path without weights."""
    net = zoo.Net(lambda net, x: x.flatten(1) ** 2, a=nn.Linear(3, 3)).double()
    x, y = batch()
    values, reasons = measured(net, x, y)
    assert not reasons
    for name in ("grad_norm", "snip", "grasp", "fisher", "plain", "synflow"):
        assert values[name] == (0.0, "ok")
    assert values["log_synflow"] == (-math.inf, "rank_deficient")


def test_equal_samples():
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double(), batch()
    x[1] = x[0]
    values, _ = measured(net, x, y, ["jacov"])
    assert values["jacov"][1] == "rank_deficient"
    assert values["jacov"][0] < -9e4


def test_constant_input_gradient():
    net, (x, y) = zoo.Net(lambda net, x: x.flatten(1)).double(), batch()
    _, reasons = measured(net, x, y, ["jacov", "epe_nas"])
    assert set(reasons.values()) == {
        "the gradient of a sample is the same for all entries of the input, and correlates with nothing"
    }


def test_tokens():
    net = nn.Sequential(nn.Embedding(11, 6), zoo.head(30)).double()
    x, y = torch.arange(40).view(8, 5) % 11, torch.arange(8) % 3
    values, reasons = measured(net, x, y)
    assert reasons["jacov"].startswith("gradients of the inputs need floating-point inputs, got torch.int64")
    assert reasons["zen"].startswith("Gaussian inputs need a module of floating-point inputs, got torch.int64")
    assert values["snip"] == (pytest.approx(zero_cost.snip(net, x, y)), "ok")


def test_not_differentiable_twice_costs_grasp_alone():
    torch.manual_seed(0)
    points = torch.randn(5, 5).double()
    net = zoo.linears(lambda net, x: net.b(torch.cdist(net.a(x.flatten(1)[:, :6]), points, p=1))).double()
    x, y = batch()
    values, reasons = measured(net, x, y, ["grad_norm", "snip", "grasp", "jacov"])
    assert set(reasons) == {"grasp"}
    assert reasons["grasp"].startswith("the module cannot be differentiated: ")
    assert values["snip"] == (pytest.approx(zero_cost.snip(net, x, y)), "ok")


@pytest.mark.parametrize(("weight", "size"), [(50.0, 1e-250), (1e-4, 1.0), (1e-6, 1e250)])
def test_flow_beyond_float64(weight, size):
    """120 layers of 64 weights w: the flow is 120·(64·w)^120·64, beyond 1e308 or below 1e-308."""
    net = nn.Sequential(nn.Flatten(), *(nn.Linear(64, 64, bias=False) for _ in range(120))).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(weight)
    values, reasons = measured(net, torch.randn(4, 64).double() * size, None, ["synflow", "log_synflow"])
    assert not reasons
    expected = math.log(120) + 120 * math.log(64 * weight) + math.log(64)
    if weight > 1:
        assert values["synflow"][1] == "non_finite"
    else:
        assert values["synflow"] == (pytest.approx(math.exp(expected), rel=1e-9), "ok")
    assert values["log_synflow"] == (pytest.approx(expected, rel=1e-12), "ok")


def test_no_flow_at_all():
    net = nn.Sequential(nn.Flatten(), *(nn.Linear(64, 64, bias=False) for _ in range(9)), zoo.head(64)).double()
    with torch.no_grad():
        net[5].weight.zero_()
        net[-1][-1].bias.copy_(torch.arange(3))
    x = torch.randn(4, 64).double()
    assert log_flow(net, x) == -math.inf
    with torch.no_grad():
        for layer in net[1:5]:
            layer.weight.fill_(1e60)
    assert log_flow(net, x) == -math.inf, "scaled up, the layers before would overflow"


class Convolutional(nn.Module):
    """Two convolutions and a head, put together in a way that some networks have."""

    def __init__(self, join: str) -> None:
        super().__init__()
        self.join, self.one, self.two = join, nn.Conv2d(3, 5, 3), nn.Conv2d(5, 4, 3)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(64 if join == "view" else 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.norm(self.two(F.relu(self.one(x)))))
        if self.join == "view":
            h = h.view(x.size(0), -1)
        elif self.join == "squeeze":
            h = F.adaptive_avg_pool2d(h, 1).squeeze()
        else:
            h = JOINS[self.join](h)
        return self.head(h)


JOINS = {
    "adaptive": lambda h: F.adaptive_avg_pool2d(h, 1).flatten(1),
    "window": lambda h: F.avg_pool2d(h, 4).flatten(1),
    "two windows": lambda h: F.avg_pool2d(F.avg_pool2d(h, 2), 2).flatten(1),
    "mean": lambda h: h.mean((2, 3)),
    "means": lambda h: h.mean(3).mean(2),
    "means that keep": lambda h: torch.mean(h, -2, keepdim=True).mean(dim=[3]).flatten(1),
    "of positions": lambda h: h.flatten(2).mean(-1),
}


@pytest.mark.parametrize("join", ["view", "squeeze"])
def test_networks_that_view_or_squeeze(join):
    """A batch in torch's default layout can be viewed, and one of a single sample is squeezed away."""
    torch.manual_seed(0)
    net, (x, y) = Convolutional(join).double(), batch()
    values, reasons = measured(net, x, y, [*NAMES, "macs", "depth"])
    assert not reasons
    weights = [w.detach().abs().flatten(1) for w in (net.one.weight, net.two.weight, net.head.weight)]
    shared = torch.ones(64) if join == "view" else torch.ones(4)
    through = torch.ones(27).double() @ weights[0].T
    through = through.repeat_interleave(9) @ weights[1].T
    through = (through.repeat_interleave(16) if join == "view" else through) * shared
    flow = float((through @ weights[2].T).sum())
    assert values["synflow"] == (pytest.approx(3 * flow), "ok"), "each of three layers carries all of the flow"
    assert values["macs"][0] == 5 * 36 * 27 + 4 * 16 * 45 + 3 * net.head.in_features
    assert values["depth"][0] == 3


def test_zen_reads_what_is_averaged_however_that_is_written():
    found = set()
    for join in JOINS:
        torch.manual_seed(0)
        found.add(round(measured(Convolutional(join).double(), *batch(), ["zen"])[0]["zen"][0], 9))
    assert len(found) == 1


class Normalised(nn.Module):
    """Tokens (n, T, d), normalised by hand in a way that means over an axis, or in one that does not."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean, self.one, self.two, self.head = mean, nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.one(x))
        h = h - (h.mean(-1, keepdim=True) if self.mean else h.sum(-1, keepdim=True) / 5)
        return self.head(self.two(h)[:, 0])


def test_zen_knows_a_normalisation_from_a_pooling():
    x = torch.randn(8, 5, 6).double()
    one, other = (measured(Normalised(mean).double(), x, None, ["zen"])[0]["zen"][0] for mean in (True, False))
    assert one == pytest.approx(other)


class Excited(nn.Module):
    """A squeeze-and-excitation block in front of a convolution, a flat head after it."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.one, self.gate, self.two, self.head = (
            nn.Conv2d(3, 5, 3),
            nn.Linear(5, 5),
            nn.Conv2d(5, 4, 3),
            nn.Linear(64, 3),
        )
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.one(x))
        h = h * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(h, 1).flatten(1)))[:, :, None, None]
        return self.head(F.relu(self.scale * self.two(h)).flatten(1))


def test_zen_reads_past_the_pooling_of_a_block():
    one, other = (measured(Excited(scale).double(), *batch(), ["zen"])[0]["zen"][0] for scale in (1.0, 100.0))
    assert other - one == pytest.approx(math.log(100))


def test_zen_does_not_know_what_is_trained():
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double(), batch()
    expected = measured(net, x, y, ["zen"])
    net.requires_grad_(False)
    assert measured(net, x, y, ["zen"]) == expected


class Hypernetwork(nn.Module):
    """The kernel of the convolution is computed from the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.mix = nn.Parameter(torch.randn(3, 4, 3, 3, 3)), nn.Linear(3, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = torch.einsum("k,koihw->oihw", torch.sigmoid(self.mix(x.mean((0, 2, 3)))), self.kernels)
        return self.head(F.relu(F.conv2d(x, kernel, None, 1, 0, 1, 1)).mean((2, 3)))


def test_input_gradients_go_through_computed_kernels():
    torch.manual_seed(0)
    net, (x, y) = Hypernetwork().double(), batch()
    values, _ = measured(net, x, y, ["jacov", "epe_nas", "grad_norm", "snip", "grasp"])
    for name, value in values.items():
        assert value == (pytest.approx(reference(name, net, x, y), rel=1e-8), "ok"), name


def test_computed_weights_are_told():
    net, (x, y) = nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.ReLU(), nn.Linear(7, 3)).double(), batch()
    prune.random_unstructured(net[1], "weight", 0.5)
    values, reasons = measured(net, x, y)
    assert {name for name in NAMES if values[name][1] != "failed"} == {"jacov", "epe_nas"}
    for text in reasons.values():
        assert text.startswith("the weight of a Linear is computed, as by weight_norm")
        assert "prune.remove" in text
    prune.remove(net[1], "weight")
    assert not measured(net, x, y)[1]


def test_a_spectral_norm_does_not_iterate():
    net, (x, y) = nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(192, 7)), nn.Linear(7, 3)).double(), batch()
    before = {name: value.clone() for name, value in net.train().state_dict().items()}
    for name in ("l2_norm", "zen", "grad_norm"):
        assert measured(net, x, y, [name])[1], name
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


class Sequences(nn.Module):
    """A network of sequences (n, T, d) that goes about their order in one of three ways."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order, self.one, self.two = order, nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.order == "samples first":
            return self.two(F.relu(self.one(x))).mean(1)
        if self.order == "positions first":
            return self.two(F.relu(self.one(x.transpose(0, 1)))).mean(0)
        return self.two(F.relu(self.one(x.flatten(0, 1)))).unflatten(0, x.shape[:2]).mean(1)


def test_fisher_wants_one_row_a_sample():
    x, y, found = torch.randn(8, 5, 6).double(), torch.arange(8) % 3, {}
    for order in ("samples first", "positions first", "flat"):
        torch.manual_seed(0)
        found[order] = measured(Sequences(order).double(), x, y, ["fisher", "grad_norm", "jacov"])
    values, reasons = found.pop("samples first")
    torch.manual_seed(0)
    assert values["fisher"] == (pytest.approx(zero_cost.fisher(Sequences("samples first").double(), x, y)), "ok")
    assert not reasons
    for other, why in found.values():
        assert why == {"fisher": "a layer's output has not one row a sample; let samples be its first dimension"}
        assert other["grad_norm"][0] == pytest.approx(values["grad_norm"][0])
        assert other["jacov"][0] == pytest.approx(values["jacov"][0])


def test_non_finite_weights():
    net, (x, y) = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double(), batch()
    with torch.no_grad():
        net.classifier.weight[0, 0] = math.nan
    values, _ = measured(net, x, y)
    assert {status for _, status in values.values()} == {"non_finite"}


def test_scale_of_a_normalised_convolution_does_not_count_in_plain():
    net, (x, y) = SPACE.build(CELLS["one convolution"], 4, 1, 3, 3, seed=2).double(), batch()
    values, _ = measured(net, x, y, ["plain"])
    found = training.loss_gradients(net, x, y.numpy(), {"loss"})
    free = ("classifier.weight", "cells.1.downsample.1.weight", "cells.3.downsample.1.weight")
    share = sum(float((found.weights[name] * found.gradients[name]).sum()) for name in free)
    assert values["plain"][0] == pytest.approx(share, rel=0.02)


def test_cross_entropy_is_the_mean():
    torch.manual_seed(0)
    net = nn.Linear(6, 3).double()
    x, y = torch.randn(5, 6).double(), torch.tensor([0, 1, 2, 0, 1])
    delta = (net(x).softmax(1) - F.one_hot(y, 3)).detach()
    values, _ = measured(net, x, y, ["grad_norm"])
    assert values["grad_norm"][0] == pytest.approx(float((delta.T @ x / 5).norm()))


class Marked(torch.autograd.Function):
    """The identity, whose node in the graph holds an object."""

    @staticmethod
    def forward(ctx, x, token):
        ctx.token = token
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class Token:
    pass


@pytest.mark.parametrize("fails", [False, True])
def test_no_graph_outlives_its_pass(fails):
    """Hooks that hold what holds them are out of sight of Python's collector: 0.2 GB a network were lost so."""
    tokens = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x):
            token = Token()
            tokens.append(weakref.ref(token))
            return self.b(Marked.apply(self.a(x), token).relu().mean((2, 3)))

    x, y = torch.randn(6, 3, 5, 5), np.array([0, 1, 2, 0, 1, 9 if fails else 2])
    with pytest.raises(InputError) if fails else nullcontext():
        loss_gradients(Net(), x, y, PARTS)
    gc.collect()
    assert [token() for token in tokens] == [None]
