"""What must hold for every network: checked on random small ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from automl_theory.probing.signals import Signals
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.proxies import get_proxies, get_proxy
from automl_theory.scoring.single import evaluate, needs_of
from automl_theory.spaces import space
from automl_theory.spaces.nas_bench_201_classes import live_part

SPACE = space("nas_bench_201")
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
operations = st.tuples(*[st.sampled_from(["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"])] * 6)
architectures = operations.map(SPACE.string).filter(lambda arch: SPACE.graph(arch).connected)


def network(arch: str, seed: int = 0) -> nn.Module:
    return SPACE.build(arch, 4, 1, 3, 3, seed=seed).double()


def images(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).double()


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-11) -> bool:
    return float((a - b).abs().max()) <= tolerance * float(b.abs().max())


@few
@given(architectures, st.integers(0, 99), st.sampled_from(["frozen", "running", "batch"]), st.booleans())
def test_kernels_are_symmetric_positive_and_permute_with_the_batch(arch, seed, bn, biases):
    net, x = network(arch, seed), images(5, seed)
    kernel = empirical_ntk(net, x, bn=bn, biases=biases)
    assert close(kernel, kernel.T)
    eigenvalues = torch.linalg.eigvalsh((kernel + kernel.T) / 2)
    assert eigenvalues[0] >= -1e-12 * eigenvalues[-1]
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    assert close(empirical_ntk(net, x[order], bn=bn, biases=biases), kernel[order][:, order])


@few
@given(architectures, st.integers(0, 99))
def test_a_part_of_the_batch_has_a_part_of_the_kernel_only_with_running_statistics(arch, seed):
    net, x = network(arch, seed), images(6, seed)
    part = torch.tensor([4, 1, 2])
    for bn, same in (("running", True), ("batch", False), ("frozen", False)):
        whole = empirical_ntk(net, x, bn=bn)[part][:, part]
        assert close(empirical_ntk(net, x[part], bn=bn), whole, 1e-11 if same else 1e-4) == same


@few
@given(architectures, st.integers(0, 99), st.booleans(), st.sampled_from(["frozen", "running"]))
def test_contractions_of_the_full_kernel(arch, seed, biases, bn):
    net, x = network(arch, seed), images(4, seed)
    kernels = {o: empirical_ntk(net, x, bn=bn, output=o, biases=biases) for o in ("sum", "trace", "full")}
    blocks = kernels["full"].view(4, 3, 4, 3)
    assert close(torch.einsum("icjc->ij", blocks), kernels["trace"])
    assert close(blocks.sum((1, 3)), kernels["sum"])


class Scaled(nn.Module):
    """net times a constant, which is no parameter."""

    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * self.net(x)


@few
@given(architectures, st.integers(0, 99), st.sampled_from([0.01, 3.0, 250.0]))
def test_scale_of_the_output(arch, seed, scale):
    x, y = images(6, seed), torch.arange(6) % 3
    plain, scaled = (Signals(net, x, y) for net in (network(arch, seed), Scaled(network(arch, seed), scale)))
    powers = {
        "ntk_lambda_min": 2,
        "ntk_trace": 2,
        "ntk_condition_number": 0,
        "ntk_lambda_min_normalised": 0,
        "ntk_effective_rank": 0,
        "ntk_alignment": 0,
        "ntk_regression_error": 0,
        "ntk_label_complexity": -1,
        "naswot": 0,
        "nngp_lambda_min": 0,
        "curve_length:points=16": 1,
        "curvature:points=16": -1,
        "turning_angle:points=64": 0,
    }
    for name, power in powers.items():
        proxy = get_proxy(name)
        (a, status), (b, _) = proxy(plain), proxy(scaled)
        assert status in ("ok", "rank_deficient")
        assert b == pytest.approx(a * scale**power, rel=1e-6), name


@few
@given(operations, st.integers(0, 9))
def test_dead_edges_change_no_proxy_of_the_live_network(names, seed):
    """The live network's proxies do not depend on which of its dead edges a string names."""
    live = live_part(names)
    if not SPACE.graph(SPACE.string(live)).connected:
        return
    proxies = [p for p in get_proxies("core") if p.family != "size"]
    x, y = images(6, seed), torch.arange(6) % 3
    values = []
    for arch in (SPACE.string(names), SPACE.string(live)):
        canonical = SPACE.canonical(arch)
        values.append(evaluate(Signals(network(canonical, seed), x, y, needs=needs_of(proxies)), proxies)[0])
    assert values[0] == values[1]


@few
@given(operations, st.integers(0, 9))
def test_dead_edges_change_no_kernel(names, seed):
    """At initialisation (BatchNorm's shifts are 0) dead convolutions reach neither outputs nor gradients."""
    arch, live = SPACE.string(names), SPACE.string(live_part(names))
    if SPACE.graph(arch).connected:
        x = images(4, seed)
        assert close(empirical_ntk(network(arch, seed), x), empirical_ntk(network(live, seed), x))


@settings(few, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_one_linear_layer_has_a_closed_form(n, d, c, seed):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double()
    net = nn.Linear(d, c).double()
    gram = x @ x.T
    assert close(empirical_ntk(net, x), c * gram)
    assert close(empirical_ntk(net, x, output="trace"), c * gram)
    assert close(empirical_ntk(net, x, output="full"), torch.kron(gram, torch.eye(c).double()))
    assert close(empirical_ntk(net, x, biases=True), c * (gram + 1))


@settings(few, max_examples=25)
@given(st.integers(0, 99), st.integers(2, 7))
def test_two_linear_layers_have_a_closed_form(seed, n):
    """f = V W x: K = 1ᵀVVᵀ1 · XXᵀ + C · XWᵀWXᵀ."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator).double()
    net = nn.Sequential(nn.Linear(4, 5, bias=False), nn.Linear(5, 3, bias=False)).double()
    w, v = net[0].weight.detach(), net[1].weight.detach()
    expected = v.sum(0).square().sum() * (x @ x.T) + 3 * (x @ w.T) @ (x @ w.T).T
    assert close(empirical_ntk(net, x), expected)


@few
@given(st.integers(0, 99), st.integers(1, 4), st.sampled_from([torch.float32, torch.float64]))
def test_a_linear_network_turns_once_and_has_one_region(seed, outputs, dtype):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.BatchNorm1d(7), nn.Linear(7, outputs)).to(dtype)
    signals = Signals(net, torch.randn(5, 3, 2, 2, dtype=dtype), seed=seed)
    assert get_proxy("turning_angle")(signals)[0] == pytest.approx(2 * np.pi, rel=1e-3)
    assert signals.codes.units == 0
    _, reasons = evaluate(signals, [get_proxy("naswot"), get_proxy("linear_regions"), get_proxy("segment_regions")])
    assert set(reasons.values()) == {"the module calls no ReLU"}


def test_proxies_are_deterministic_whatever_was_computed_before():
    proxies = get_proxies("full")
    arch = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    x, y = images(6).float(), torch.arange(6) % 3

    def values(chosen):
        net = SPACE.build(arch, 4, 1, 3, 3)
        signals = Signals(
            net,
            x,
            y,
            needs=needs_of(chosen),
            graph=SPACE.graph(arch),
            seed=3,
            thin=lambda seed: SPACE.build_thin(arch, seed=seed),
        )
        torch.rand(5)
        return evaluate(signals, chosen)[0]

    together = values(proxies)
    assert values(proxies) == together
    assert values(proxies[::-1]) == together
    assert {proxy.name: values([proxy])[proxy.name] for proxy in proxies} == together
    assert {status for _, status in together.values()} <= {"ok", "saturated", "rank_deficient"}
