from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from automl_theory.errors import InputError
from automl_theory.networks.cell import OPERATIONS, CellNetwork, ThinNetwork
from automl_theory.networks.initialise import initialise
from automl_theory.spaces import nas_bench_201
from automl_theory.spaces import space as make_space

SPACE = make_space("nas_bench_201")
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"  # best_like
DEAD = "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
POOL = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|"
EDGES = ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
SEARCH_ORDER = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def oracle(shared):
    return json.loads((shared / "oracle" / "tenas.json").read_text())["archs"]


def slow_forward(net: CellNetwork, operations, x: torch.Tensor) -> torch.Tensor:
    """The network from its state_dict by plain functions, train mode: an independent reading of the definition."""
    p = dict(net.named_parameters())

    def norm(x, name):
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
        shaped = [p[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias")]
        return (x - mean) / (variance + 1e-5).sqrt() * shaped[0] + shaped[1]

    def conv(x, name, stride=1):
        weight = p[f"{name}.op.1.weight"]
        return norm(F.conv2d(F.relu(x), weight, stride=stride, padding=weight.shape[-1] // 2), f"{name}.op.2")

    def pool(x):
        ones = F.avg_pool2d(torch.ones_like(x), 3, 1, 1)
        return F.avg_pool2d(x, 3, 1, 1) / ones

    x = norm(F.conv2d(x, p["stem.0.weight"], padding=1), "stem.1")
    for k in range(len(net.cells)):
        name = f"cells.{k}"
        if f"{name}.downsample.1.weight" in p:
            short = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))
            short = F.conv2d(short, p[f"{name}.downsample.1.weight"])
            x = short + conv(conv(x, f"{name}.conv_a", 2), f"{name}.conv_b")
            continue
        nodes = [x, 0 * x, 0 * x, 0 * x]
        for e, (edge, operation) in enumerate(zip(EDGES, operations, strict=True)):
            target, source = int(edge[0]), nodes[int(edge[-1])]
            if operation == "skip_connect":
                nodes[target] = nodes[target] + source
            elif operation == "avg_pool_3x3":
                nodes[target] = nodes[target] + pool(source)
            elif operation != "none":
                nodes[target] = nodes[target] + conv(source, f"{name}.layers.{e}")
        x = nodes[3]
    x = F.relu(norm(x, "lastact.0")).mean((2, 3))
    return x @ p["classifier.weight"].T + p["classifier.bias"]


@pytest.mark.parametrize("arch", [BEST, DEAD, NONE, POOL, *SPACE.sample(6, seed=5, canonical=False)])
def test_forward_equals_the_definition(arch):
    net = SPACE.build(arch, channels=2, cells_per_stage=2, num_classes=7, in_channels=1, seed=3).double()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.dim() == 1:
                parameter.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(name)))
    x = torch.randn(5, 1, 12, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits = net(x)
    assert logits.shape == (5, 7)
    torch.testing.assert_close(logits, slow_forward(net, SPACE.parse(arch), x), rtol=1e-10, atol=1e-10)


def test_recorded_values_of_the_official_code():
    x = torch.from_numpy(np.random.Generator(np.random.PCG64(1234)).standard_normal((16, 3, 32, 32)).astype("float32"))
    net = SPACE.build(BEST, channels=3, cells_per_stage=1, seed=2023, init="he_fan_in").double()
    recorded = [0.8208547566198464, -0.3928330093702155, 0.10345814648155727, 0.44212998155151]
    np.testing.assert_allclose(net(x.double())[0, :4].detach(), recorded, rtol=0, atol=1e-9)


@pytest.mark.parametrize("width", [16, 3])
def test_logits_of_the_official_code(shared, width):
    x = torch.from_numpy(np.random.Generator(np.random.PCG64(1234)).standard_normal((16, 3, 32, 32)).astype("float32"))
    for name, entry in oracle(shared).items():
        net = SPACE.build(entry["arch_str"], channels=width, cells_per_stage=1, seed=2023, init="he_fan_in")
        expected = entry[f"C{width}_N1"]
        assert sum(p.numel() for p in net.parameters()) == expected["n_params_total"]
        row = net.double()(x.double())[0]
        np.testing.assert_allclose(row.detach(), expected["logits_train_f64_row0"], rtol=0, atol=1e-9, err_msg=name)


def test_parameter_names_are_the_official_ones(shared):
    shapes = json.loads((shared / "oracle" / "tenas_param_shapes.json").read_text())
    for key, expected in shapes.items():
        name, width = re.fullmatch(r"(\w+)_C(\d+)_N1", key).groups()
        net = SPACE.build(oracle(shared)[name]["arch_str"], channels=int(width), cells_per_stage=1)
        assert {n: list(p.shape) for n, p in net.named_parameters()} == expected


def test_names_of_an_official_state_dict():
    net = SPACE.build(POOL, channels=2, cells_per_stage=1)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    cell = {f"cells.{k}.layers.4.op.1.weight" for k in (0, 2, 4)}
    norms = {f"cells.{k}.layers.4.op.2" for k in (0, 2, 4)} | {"stem.1", "lastact.0"}
    norms |= {f"cells.{k}.conv_{x}.op.2" for k in (1, 3) for x in "ab"}
    convs = {
        f"cells.{k}.{x}" for k in (1, 3) for x in ("conv_a.op.1.weight", "conv_b.op.1.weight", "downsample.1.weight")
    }
    expected = cell | convs | {"stem.0.weight", "classifier.weight", "classifier.bias"}
    expected |= {f"{norm}.{key}" for norm in norms for key in ("weight", "bias", *buffers)}
    assert set(net.state_dict()) == expected


def test_build_is_deterministic_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    nets = [
        SPACE.build(BEST, channels=4, cells_per_stage=1, **kw) for kw in ({}, {}, {"seed": 1}, {"init": "he_fan_out"})
    ]
    assert torch.equal(before, torch.get_rng_state())
    weights = [net.state_dict()["cells.2.layers.1.op.1.weight"] for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    again = initialise(nets[2], "pytorch", 0).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in nets[0].state_dict().items())
    assert all(parameter.requires_grad for parameter in nets[0].parameters())
    assert nets[0].training


def test_same_edge_same_weights_in_every_cell():
    a, b = (SPACE.build(arch, channels=4, cells_per_stage=1).state_dict() for arch in (BEST, DEAD))
    assert torch.equal(a["cells.0.layers.2.op.1.weight"], b["cells.0.layers.2.op.1.weight"])
    assert torch.equal(a["classifier.weight"], b["classifier.weight"])


def test_relus_are_not_in_place_and_none_costs_nothing():
    net = SPACE.build(NONE, channels=2, cells_per_stage=1)
    assert not any(module.inplace for module in net.modules() if isinstance(module, nn.ReLU))
    called = []
    for name, module in net.named_modules():
        if "layers." in name:
            module.register_forward_hook(lambda *_: called.append(1))
    logits = net(torch.randn(2, 3, 8, 8))
    assert not called
    assert torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize("arch", [BEST, DEAD, POOL, NONE])
def test_relu_units_and_layers_are_those_of_the_network(arch):
    net = SPACE.build(arch, channels=3, cells_per_stage=2)
    count = []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _m, _i, out: count.append(out[0].numel()))
    net(torch.randn(2, 3, 8, 8))
    size = SPACE.size_metrics(arch, channels=3, cells_per_stage=2, resolution=8)
    assert size["relu_units"] == sum(count)
    assert size["parameters"] == sum(parameter.numel() for parameter in net.parameters())
    assert size["trainable_layers"] == sum(isinstance(module, nn.Conv2d | nn.Linear) for module in net.modules())


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (2, 3, 6, 8), (2, 3, 8, 7), (2, 1, 8, 8), (3, 8, 8), (2, 3, 0, 4)])
def test_bad_inputs_are_explained(shape):
    net = SPACE.build(BEST, channels=2, cells_per_stage=1)
    with pytest.raises(InputError, match=r"\(n, 3, h, w\) with h and w positive multiples of 4, got"):
        net(torch.zeros(shape))
    assert net.eval()(torch.zeros(1, 3, 4, 4)).shape == (1, 10)


def test_bad_settings_are_explained():
    operations = SPACE.parse(BEST)
    for name in ("channels", "cells_per_stage", "num_classes", "in_channels"):
        with pytest.raises(InputError, match=f"{name} to be an integer of at least 1, got 0; give 1 or more"):
            CellNetwork(operations, **{name: 0})
    with pytest.raises(InputError, match=r"unknown operation 'conv_3x3'; use none, .*\. Did you mean 'nor_conv_3x3'"):
        CellNetwork((*operations[:5], "conv_3x3"))
    with pytest.raises(InputError, match="six operations"):
        CellNetwork(operations[:5])
    with pytest.raises(InputError, match="six operations"):
        CellNetwork(BEST)
    with pytest.raises(InputError, match="unknown initialisation"):
        CellNetwork(operations, 2, 1, init="he")
    with pytest.raises(InputError, match=r"shape \(n, 1, h, w\).*; give such images, or build the network with other"):
        ThinNetwork(operations)(torch.zeros(2, 3, 3, 3))


def test_operation_names_agree_with_the_space():
    assert set(OPERATIONS) == set(nas_bench_201.OPERATIONS)


def search_name(operations):
    """Return the map from our names to those of the authors' search network, which key the oracle's weights."""

    def rename(name: str) -> str:
        match = re.fullmatch(r"cells\.0\.layers\.(\d)\.(op\..+)", name)
        if match is None:
            return name
        edge = int(match[1])
        return f"cells.0.edges.{EDGES[edge]}.{SEARCH_ORDER.index(operations[edge])}.{match[2]}"

    return rename


def count_regions(net: nn.Module, batches: torch.Tensor) -> int:
    seen: list[torch.Tensor] = []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _m, _i, out: seen.append((out > 0).flatten(1)))
    rows = []
    for batch in batches:
        seen.clear()
        net(batch)
        rows.append(torch.cat(seen, 1))
    return len(np.unique(np.packbits(torch.cat(rows).numpy(), axis=1), axis=0))


def test_region_counts_of_the_authors(shared):
    thin = torch.from_numpy(
        np.random.Generator(np.random.PCG64(42)).standard_normal((3, 1000, 1, 3, 3)).astype("float32")
    )
    wide = torch.from_numpy(
        np.random.Generator(np.random.PCG64(43)).standard_normal((2, 250, 3, 8, 8)).astype("float32")
    )
    for name, entry in oracle(shared).items():
        operations = SPACE.parse(entry["arch_str"])
        rename = search_name(operations)
        net = initialise(SPACE.build_thin(entry["arch_str"]), "he_fan_in", 2023, rename=rename)
        assert count_regions(net, thin) == entry["regions_C1_depth1"]["exact_unique"], name
        net = SPACE.build_thin(entry["arch_str"], channels=3, stem=True)
        initialise(net, "he_fan_in", 2023, rename=rename)
        assert count_regions(net, wide) == entry["regions_C3_stem_3x8x8"]["exact_unique"], name
