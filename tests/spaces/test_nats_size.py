from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.networks.widths import Projection, WidthNetwork
from automl_theory.probing.signals import Signals
from automl_theory.spaces import space

SPACE = space("nats_size")
widths = st.tuples(*[st.sampled_from(range(8, 65, 8))] * 5)


def test_the_space_is_all_five_widths():
    assert len(SPACE) == SPACE.size == 8**5
    listed = list(SPACE)
    assert len(set(listed)) == 8**5
    assert (listed[0], listed[1], listed[-1]) == ("8:8:8:8:8", "8:8:8:8:16", "64:64:64:64:64")
    assert SPACE.representatives() == listed
    assert SPACE.parse("64:48:16:32:8") == (64, 48, 16, 32, 8)
    assert SPACE.canonical("64:48:16:32:8") == "64:48:16:32:8"
    assert SPACE.sample(5, 0) == SPACE.sample(9, 0)[:5]
    assert pickle.loads(pickle.dumps(SPACE)).size == SPACE.size


@given(widths)
def test_strings_and_widths_are_one(five):
    assert SPACE.parse(SPACE.string(five)) == five


def test_choices_make_strings():
    assert SPACE.assemble({"c5": "8", **dict.fromkeys(["c1", "c2", "c3", "c4"], "64")}) == "64:64:64:64:8"
    assert {len(texts) for texts in SPACE.choices.values()} == {8}
    with pytest.raises(InputError, match="width 2 is '9'"):
        SPACE.assemble({**dict.fromkeys(SPACE.choices, "8"), "c2": "9"})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("64:64:64:64", "expected five widths joined by ':', got 4"),
        ("", "got 1"),
        ("64:64:64:64:65", r"width 5 is '65'; use one of 8, 16, 24, 32, 40, 48, 56, 64"),
        ("64: 64:64:64:64", "width 2 is ' 64'"),
        ("08:8:8:8:8", "width 1 is '08'"),
        ("٨:8:8:8:8", "width 1 is"),
        (None, "expected a string of five widths such as '64:48:16:32:8', got NoneType"),
        ((64, 64, 64, 64, 64), "got tuple"),
        ("a" * 1000, r"'a{57}\.\.\.'"),
    ],
)
def test_bad_strings_are_refused_in_words(bad, message):
    assert bad not in SPACE
    for method in (SPACE.parse, SPACE.canonical, SPACE.graph, SPACE.build, SPACE.size_metrics):
        with pytest.raises(InputError, match=message):
            method(bad)


def test_bad_widths_and_settings_are_refused():
    for bad, message in ((7, "expected five widths, got 7"), ("64", "as \\(64, 48"), ((8, 8), "got 2")):
        with pytest.raises(InputError, match=message):
            SPACE.string(bad)
    with pytest.raises(InputError, match="resolution must be a multiple of 4"):
        SPACE.size_metrics("8:8:8:8:8", resolution=30)
    with pytest.raises(InputError, match="num_classes to be an integer of at least 1"):
        SPACE.size_metrics("8:8:8:8:8", num_classes=0)
    with pytest.raises(InputError, match="in_channels to be an integer of at least 1"):
        SPACE.build("8:8:8:8:8", in_channels=0)
    with pytest.raises(InputError, match="expected 5 widths, got 3"):
        WidthNetwork((8, 8, 8))
    with pytest.raises(InputError, match=r"\(n, 3, h, w\) with h and w positive multiples of 4"):
        SPACE.build("8:8:8:8:8")(torch.zeros(1, 3, 6, 8))


def test_the_benchmark_counts_as_many_parameters_and_operations(shared: Path):
    folder = shared / "data" / "genuine_records" / "NATS-sss-v1_0-50262-simple"
    for dataset, classes, resolution in (("cifar10", 10, 32), ("cifar100", 100, 32), ("ImageNet16-120", 120, 16)):
        table = at.load_accuracy(folder, dataset=dataset, epochs=90)
        assert len(table) == 3
        for arch, row in table.iterrows():
            sizes = SPACE.size_metrics(arch, num_classes=classes, resolution=resolution)
            assert sizes["parameters"] == pytest.approx(row["params"] * 1e6, abs=0.5)
            assert sizes["macs"] == pytest.approx(row["flops"] * 1e6, abs=0.5)
            built = SPACE.build(arch, num_classes=classes)
            assert sum(p.numel() for p in built.parameters()) == sizes["parameters"]


@settings(max_examples=8, deadline=None)
@given(widths, st.integers(1, 12), st.integers(1, 4), st.sampled_from([8, 12]))
def test_the_closed_form_is_the_network(five, classes, channels, resolution):
    arch = SPACE.string(five)
    net = SPACE.build(arch, classes, channels)
    measured = Signals(net, torch.zeros(2, channels, resolution, resolution), needs={"codes"}).size
    said = SPACE.size_metrics(arch, classes, channels, resolution)
    assert said["macs"] - classes == measured["macs"]
    for name in ("parameters", "depth", "trainable_layers", "relu_units"):
        assert said[name] == measured[name], name
    assert max(SPACE.graph(arch).depth_histogram()) == said["depth"]


def test_parameters_have_the_official_names():
    names = dict(SPACE.build("8:16:24:24:32").named_parameters())
    for name, shape in {
        "stem.0.weight": (8, 3, 3, 3),
        "stem.1.weight": (8,),
        "cells.0.layers.0.op.1.weight": (8, 8, 3, 3),
        "cells.1.conv_a.op.1.weight": (16, 8, 3, 3),
        "cells.1.conv_b.op.1.weight": (16, 16, 3, 3),
        "cells.1.downsample.1.weight": (16, 8, 1, 1),
        "cells.2.layers.1.op.1.weight": (24, 16, 3, 3),
        "cells.2.layers.2.op.1.weight": (24, 24, 3, 3),
        "cells.2.layers.3.conv.weight": (24, 16, 1, 1),
        "cells.2.layers.3.bn.weight": (24,),
        "cells.4.layers.5.op.2.bias": (32,),
        "lastact.0.weight": (32,),
        "classifier.weight": (10, 32),
    }.items():
        assert tuple(names[name].shape) == shape
    kept = dict(SPACE.build("8:16:16:24:24").named_parameters())
    assert not [name for name in kept if ".layers.3." in name], "a skip that keeps the width is the identity"
    assert isinstance(SPACE.build("8:16:24:24:32").cells[2].layers[3], Projection)


def test_graphs_tell_where_a_skip_is_a_convolution():
    same, other = SPACE.graph("8:16:16:24:24"), SPACE.graph("8:16:24:24:32")
    assert same.nodes == other.nodes == 16
    assert sum(edge.weight for edge in other.edges) - sum(edge.weight for edge in same.edges) == 2
    assert sum(same.depth_histogram().values()) == 4**3 * 2**2, "four ways through a cell, two through a reduction"
    assert min(same.depth_histogram()) == 1 + 0 + 1 + 0 + 1 + 0 + 1


def test_equal_widths_start_from_equal_weights():
    a, b = SPACE.build("8:16:24:24:32", seed=1), SPACE.build("8:16:24:32:64", seed=1)
    assert torch.equal(a.cells[2].layers[3].conv.weight, b.cells[2].layers[3].conv.weight)
    assert not torch.equal(a.stem[0].weight, SPACE.build("8:16:24:24:32", seed=2).stem[0].weight)
