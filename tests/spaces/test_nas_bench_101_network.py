from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from reference import nas_bench_101 as slow

from automl_theory.errors import InputError
from automl_theory.networks.nas_bench_101 import ModuleNetwork
from automl_theory.networks.nas_bench_101_channels import vertex_channels
from automl_theory.probing.sizes import module_sizes
from automl_theory.scoring.engine import score_space
from automl_theory.scoring.single import score
from automl_theory.spaces import space as make_space
from automl_theory.spaces.nas_bench_101_module import OPERATIONS
from automl_theory.spaces.nas_bench_101_sizes import LARGEST

SPACE = make_space("nas_bench_101")
C3, C1, POOL = OPERATIONS
SPECIAL = [
    "1+input+output",
    f"10_1+input+{POOL}+output",
    f"11_1+input+{C3}+output",
    f"110_01_1+input+{C3}+{C1}+output",
    f"1111_001_01_1+input+{C3}+{POOL}+{C1}+output",
    f"100001_11000_0100_110_01_1+input+{C3}+{C1}+{POOL}+{C3}+{C1}+output",
    f"11100_0001_001_01_1+input+{C3}+{C1}+{POOL}+{C3}+output",
    f"100000_11110_0001_001_01_1+input+{POOL}+{C1}+{C3}+{C3}+{C1}+output",
]
SOME = [*SPECIAL, *SPACE.sample(10, seed=5)]


@pytest.mark.parametrize(
    ("rows", "c_in", "c_out", "expected"),
    [
        # the official code's own cases
        (["1"], 1, 5, [1, 5]),
        (["100", "10", "1"], 16, 8, [16, 8, 8, 8]),
        (["1100", "010", "10", "1"], 8, 16, [8, 16, 16, 16, 16]),
        (["110", "01", "1"], 8, 15, [8, 8, 7, 15]),
        (["1110", "001", "01", "1"], 8, 8, [8, 3, 3, 2, 8]),
        (["1000", "110", "01", "1"], 8, 9, [8, 5, 5, 4, 9]),
        (["1010", "101", "10", "1"], 8, 15, [8, 8, 7, 7, 15]),
    ],
)
def test_channels_are_shared_out(rows, c_in, c_out, expected):
    matrix = tuple((0,) * (len(rows) + 1 - len(row)) + tuple(map(int, row)) for row in [*rows, ""])
    assert list(vertex_channels(matrix, c_in, c_out)) == expected


def test_channels_of_many_modules():
    for arch in SPACE.sample(300, seed=0):
        matrix, _ = SPACE.parse(arch)
        for c_out in (5, 16, 128, 131):
            split = vertex_channels(matrix, 7, c_out)
            assert (split[0], split[-1]) == (7, c_out)
            assert dict(enumerate(split[1:-1], 1)) == slow.channels(matrix, c_out)


@pytest.mark.parametrize("arch", SOME)
def test_network_computes_what_the_definition_says(arch):
    matrix, ops = SPACE.parse(arch)
    net = SPACE.build(arch, channels=7, stacks=2, modules_per_stack=2, seed=1).double()
    for name, parameter in net.named_parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5, generator=torch.Generator().manual_seed(len(name)))
    x = torch.randn(3, 3, 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = slow.forward(dict(net.named_parameters()), matrix, ops, x, 7, 2, 2)
        assert (net(x) - expected).abs().max() < 1e-11


def relu_units(net: torch.nn.Module, x: torch.Tensor) -> int:
    counts: list[int] = []
    for module in net.modules():
        if isinstance(module, torch.nn.ReLU):
            module.register_forward_hook(lambda module, inputs, out: counts.append(out.numel()))
    net.eval()(x)
    return sum(counts)


@pytest.mark.parametrize("arch", SOME)
def test_closed_sizes_are_those_of_the_network(arch):
    for kw, side in (
        ({"channels": 16, "modules_per_stack": 1}, 8),
        ({"channels": 7, "stacks": 4, "modules_per_stack": 2, "num_classes": 3, "in_channels": 1}, 9),
    ):
        net = SPACE.build(arch, **kw)
        x = torch.randn(1, kw.get("in_channels", 3), side, side)
        counted = module_sizes(net, x)
        closed = SPACE.size_metrics(arch, **kw, resolution=side)
        assert closed == counted | {"relu_units": relu_units(net, x)}
    assert SPACE.size_metrics(arch)["parameters"] == slow.parameters(*SPACE.parse(arch))


def test_parameters_of_built_networks_are_the_benchmark_s(shared):
    table = pd.read_parquet(shared / "data" / "nb101.parquet")
    everything = list(SPACE)
    for row in np.random.default_rng(4).integers(len(table), size=12):
        net = SPACE.build(everything[row])
        assert sum(parameter.numel() for parameter in net.parameters()) == table["params"][row]


def test_names_and_settings_of_the_official_network():
    net = SPACE.build(f"11_1+input+{C3}+output", channels=4, stacks=2, modules_per_stack=1)
    convolutions = {name for name, parameter in net.named_parameters() if parameter.dim() == 4}
    inside = {"vertex1.projection.0.weight", "vertex1.op.0.weight", "projection.0.weight"}
    assert convolutions == {"stem.0.weight"} | {f"cells.{k}.{name}" for k in range(2) for name in inside}
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.003)}
    assert all(module.bias is None for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    assert net(torch.randn(2, 3, 5, 4)).shape == (2, 10)
    assert net.training


def test_weights_are_keyed_by_name_and_seed():
    first, again, other = (SPACE.build(SOME[-1], channels=8, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])
    mine = SPACE.build(SOME[-2], channels=8, seed=3).state_dict()
    shared = {n for n in set(first) & set(mine) if first[n].shape == mine[n].shape}
    assert {"stem.0.weight", "classifier.weight"} <= shared
    assert all(torch.equal(first[name], mine[name]) for name in shared)


def test_isomorphic_modules_are_one_function_where_channels_divide():
    a = SPACE.build(f"110_01_1+input+{C3}+{C1}+output", channels=4, stacks=1, modules_per_stack=1).double()
    b = SPACE.build(f"110_01_1+input+{C1}+{C3}+output", channels=4, stacks=1, modules_per_stack=1).double()
    state = {}
    for name, value in a.state_dict().items():
        swapped = name.replace("vertex1", "vertex*").replace("vertex2", "vertex1").replace("vertex*", "vertex2")
        state[swapped] = value
    columns = state["classifier.weight"]
    state["classifier.weight"] = torch.cat([columns[:, 2:], columns[:, :2]], dim=1)
    b.load_state_dict(state)
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        assert (a(x) - b(x)).abs().max() < 1e-13


def test_thin_networks():
    for arch in SOME:
        matrix, _ = SPACE.parse(arch)
        shared = sum(row[-1] for row in matrix[1:-1]) or 1
        thin = SPACE.build_thin(arch, 1, 1)
        assert thin(torch.randn(5, 1, 3, 3)).shape == (5, shared, 3, 3)
        assert SPACE.build_thin(arch, 2, 3, stem=True)(torch.randn(5, 3, 3, 3)).shape == (5, 2 * shared, 3, 3)
    with pytest.raises(InputError, match=r"expected images of shape \(n, 1, h, w\), got \(5, 3, 3, 3\)"):
        SPACE.build_thin(SOME[0])(torch.randn(5, 3, 3, 3))


def test_bad_settings():
    arch = f"1110_001_01_1+input+{C3}+{C1}+{POOL}+output"
    for method in (SPACE.build, SPACE.size_metrics):
        for name in ("channels", "stacks", "modules_per_stack", "num_classes", "in_channels"):
            for value in (0, -1, 2.0, True):
                with pytest.raises(InputError, match=f"{name} to be an integer of at least 1, got {value}"):
                    method(arch, **{name: value})
        with pytest.raises(InputError, match="concatenates 3 vertices, so it needs as many channels; got 2"):
            method(arch, channels=2)
    with pytest.raises(InputError, match="resolution to be"):
        SPACE.size_metrics(arch, resolution=0)
    for name, most in LARGEST.items():
        with pytest.raises(InputError, match=f"{name} to be at most {most}, got 100000000000; give fewer"):
            SPACE.size_metrics(arch, **{name: 10**11})
    with pytest.raises(InputError, match="unknown initialisation 'he'"):
        SPACE.build(arch, init="he")
    with pytest.raises(InputError, match=r"expected images of shape \(n, 3, h, w\), got \(3, 8, 8\)"):
        SPACE.build(arch, channels=4)(torch.randn(3, 8, 8))
    with pytest.raises(InputError, match="unknown operation 'pool'; use conv3x3-bn-relu, conv1x1-bn-relu, maxpool3x3"):
        ModuleNetwork([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "pool", "output"])
    with pytest.raises(InputError, match="square matrix and an operation a vertex"):
        ModuleNetwork([[0, 1], [0, 0]], ["input"])


def test_scores():
    net = SPACE.build(SOME[-1], channels=8, modules_per_stack=1)
    x = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    scores = score(net, x, torch.arange(16) % 10, proxies="core")
    assert scores.info["kernel_method"] == "layers"
    table = score_space(
        SPACE,
        "core",
        "digits",
        architectures=SOME[:3],
        n=16,
        resolution=8,
        network={"channels": 8, "modules_per_stack": 1},
    )
    assert list(table.index) == SOME[:3]
    sizes = [SPACE.size_metrics(arch, 8, 3, 1, resolution=8)["parameters"] for arch in SOME[:3]]
    assert table["parameters"].tolist() == sizes
    assert np.isfinite(table["ntk_lambda_min"]).all()
