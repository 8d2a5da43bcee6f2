from __future__ import annotations

import pickle
import random
import time
from collections import defaultdict
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.errors import InputError
from automl_theory.spaces import Space
from automl_theory.spaces import space as make_space
from automl_theory.spaces.nas_bench_201 import LARGEST, OPERATIONS
from automl_theory.spaces.nas_bench_201_classes import classes, live_part, node_expressions

SPACE = make_space("nas_bench_201")
ALL = list(SPACE)
GOOD = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"


def cell(digits: str) -> str:
    """Return the string of six digits: 0 none, 1 skip, 2 conv 1x1, 3 conv 3x3, 4 pooling."""
    return SPACE.string(tuple(OPERATIONS[int(digit)] for digit in digits))


def members() -> dict[str, list[str]]:
    found = defaultdict(list)
    for arch in ALL:
        found[SPACE.canonical(arch)].append(arch)
    return found


def test_enumeration():
    assert isinstance(SPACE, Space)
    assert len(ALL) == len(set(ALL)) == len(SPACE) == SPACE.size == 15_625
    assert sorted(ALL) == ALL
    assert GOOD in SPACE
    assert GOOD[:-1] not in SPACE
    assert 3 not in SPACE
    assert [] not in SPACE
    assert {SPACE.parse(arch) for arch in ALL} == set(product(OPERATIONS, repeat=6))


def test_parse_and_string():
    assert SPACE.parse(GOOD) == ("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none")
    assert all(SPACE.string(SPACE.parse(arch)) == arch for arch in ALL[::97])
    with pytest.raises(InputError):
        SPACE.string(("none",) * 5)
    with pytest.raises(InputError, match="unknown operation 'a'"):
        SPACE.string(("a",) * 6)


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("", "empty"),
        (None, "got NoneType"),
        (3, "got int"),
        (GOOD.encode(), "got bytes"),
        (GOOD + "\n", "position 79, there is whitespace"),
        (" " + GOOD, "position 0, there is whitespace"),
        (GOOD.replace("skip_connect", "skip connect"), "position 29, there is whitespace"),
        (
            GOOD.replace("skip_connect", "skip_conect"),
            "position 25, unknown operation 'skip_conect'.*Did you mean 'skip_con",
        ),
        (GOOD.replace("skip_connect~1", "skip_connect~0"), "position 38, expected source 1 of edge 1>2, found '0'"),
        (GOOD.replace("skip_connect~1", "skip_connect~"), "position 38, expected source 1 of edge 1>2, found ''"),
        (GOOD.replace("skip_connect~1", "skip_connect1"), "position 25, unknown operation 'skip_connect1'"),
        (GOOD.replace("skip_connect~1", "skip_connect"), "position 37, expected '~1' after the operation of edge 1>2"),
        (GOOD[:-1], "position 78, missing '|' after edge 2>3"),
        (GOOD[1:], "position 0, expected '|' before the edges into node 1, found 'n'"),
        (GOOD.replace("+", "", 1), "position 16, expected '\\+' .* found '|'"),
        (GOOD.replace("+|none~0", "+none~0"), "position 17, expected '|' before the edges into node 2"),
        (GOOD + "+|none~0|none~1|none~2|none~3|", "position 79, there is trailing text '\\+|none~0"),
        (GOOD + "x", "position 79, there is trailing text 'x'"),
        (GOOD[: GOOD.rindex("+")], "position 40, expected '\\+' .*three groups.* found the end"),
        (GOOD.replace("|none~2|", "|"), "position 72, expected edge 2>3 \\(node 3 has 3 edges"),
        (GOOD.replace("|none~2|", "||"), "position 72, expected edge 2>3"),
        (GOOD.replace("none~2", "none~2|none~2"), "position 79, there is trailing text 'none~2|'"),
        (GOOD.replace("none", "None"), "position 18, unknown operation 'None'.*Did you mean 'none'"),
        ("|" * 500, "position 1, expected edge 0>1"),
        ("123456", "position 0, expected '|'"),
    ],
)
def test_bad_strings_are_explained(arch, reason):
    with pytest.raises(InputError, match=reason.replace("|none", "\\|none").replace("'|'", "'\\|'")):
        SPACE.parse(arch)
    assert arch not in SPACE


PIECES = st.sampled_from([*OPERATIONS, "~0", "~1", "~2", "~3", "|", "+", "~", "0", "\n", " ", "x"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
def test_parse_accepts_nothing_else(text):
    if text in SPACE:
        assert text in ALL
        return
    with pytest.raises(InputError):
        SPACE.parse(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.integers(0, 80), st.integers(0, 3), PIECES | st.text(max_size=2))
def test_parse_refuses_edits(arch, start, length, insert):
    edited = arch[:start] + insert + arch[start + length :]
    if edited in ALL:
        assert SPACE.string(SPACE.parse(edited)) == edited
    else:
        with pytest.raises(InputError):
            SPACE.parse(edited)


def test_classes():
    started = time.perf_counter()
    fresh = classes(SPACE.parse(arch) for arch in ALL)
    assert time.perf_counter() - started < 10
    assert len(set(fresh.values())) == 5_260
    representatives = SPACE.representatives()
    assert len(representatives) == len(set(representatives)) == 5_260
    assert all(SPACE.canonical(arch) == arch for arch in representatives)
    groups = members()
    assert list(groups) == representatives
    for representative, group in groups.items():
        assert representative in group
        assert representative == SPACE.string(live_part(SPACE.parse(group[0])))
    disconnected = [arch for arch in ALL if not SPACE.graph(arch).connected]
    assert len(disconnected) == 341
    assert sorted(groups[cell("000000")]) == disconnected


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("300000", "000000", True),  # a dead convolution
        ("001000", "000000", True),
        ("010001", "000100", True),  # a skip to node 2 and on is a skip to the output
        ("100010", "000100", True),
        ("300010", "000300", True),  # a convolution before or after a skip
        ("100030", "000300", True),
        ("100020", "000300", False),  # the kinds differ
        ("400040", "000400", False),
        ("400010", "000400", True),
        ("300310", "310030", False),
        ("303001", "300030", True),
        ("301011", "300300", False),  # one convolution twice is not two convolutions
        ("410011", "100411", True),
        ("440011", "410011", False),  # pooling twice is not pooling once
        ("330011", "300310", True),
        ("330011", "301011", False),
        ("400300", "400310", False),
        ("404001", "400040", True),
    ],
)
def test_equal_and_different_cells(a, b, same):
    assert (SPACE.canonical(cell(a)) == SPACE.canonical(cell(b))) == same


def test_classes_by_brute_force_over_all_renamings():
    chosen = random.Random(1).sample(range(len(ALL)), 400)
    slow = {}
    for arch in (ALL[k] for k in chosen):
        live = live_part(SPACE.parse(arch))
        convs = [e for e, operation in enumerate(live) if operation.startswith("nor_conv")]
        names = permutations(range(len(convs)))
        slow[arch] = min(
            (node_expressions(live, dict(zip(convs, order, strict=True)))[-1] for order in names), key=repr
        )
    by_slow, by_fast = defaultdict(set), defaultdict(set)
    for arch, expression in slow.items():
        by_slow[expression].add(arch)
        by_fast[SPACE.canonical(arch)].add(arch)
    assert sorted(map(sorted, by_slow.values())) == sorted(map(sorted, by_fast.values()))


def output(arch: str, source: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Run `arch` with random weights from `source`; the k-th convolution in canonical order has the same in every cell.

    A dead convolution gets weights of its own and BN bias 0.
    """
    slots = {edge: slot for slot, edge in enumerate(SPACE.convolutions(arch))}
    net = SPACE.build(arch, channels=4, cells_per_stage=1).double()
    state = net.state_dict()
    for name, value in state.items():
        part = name.split(".")
        edge = int(part[3]) if "layers" in part else None
        key = f"{name if edge not in slots else [part[1], slots[edge], part[4:]]} {tuple(value.shape)}"
        if value.is_floating_point():
            if key not in source:
                source[key] = torch.rand(value.shape, dtype=torch.float64, generator=GENERATOR) * 0.6 - 0.3
            state[name] = source[key] + (value.dim() == 1)
            if edge is not None and edge not in slots and part[-1] == "bias":
                state[name] = torch.zeros_like(value)
    net.load_state_dict(state)
    with torch.no_grad():
        return net(x)


GENERATOR = torch.Generator().manual_seed(0)


def test_members_of_a_class_are_one_function():
    rng = random.Random(7)
    groups = [group for group in members().values() if len(group) > 1]
    pairs = {tuple(rng.sample(rng.choice(groups), 2)) for _ in range(170)}
    assert len(pairs) >= 150
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for first, second in sorted(pairs):
        weights: dict[str, torch.Tensor] = {}
        a, b = (output(arch, weights, x) for arch in (first, second))
        assert (a - b).abs().max() <= 1e-12, (first, second)


def test_cells_of_different_classes_are_different_functions():
    chosen = [arch for arch in SPACE.sample(40, seed=2) if SPACE.graph(arch).connected]
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights: dict[str, torch.Tensor] = {}
    outputs = [output(arch, weights, x) for arch in chosen]
    for k, a in enumerate(outputs):
        assert all((a - b).abs().max() > 1e-6 for b in outputs[:k])


def test_classes_that_differ_little_differ():
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for a, b in (("301011", "300300"), ("440011", "410011"), ("400040", "000400")):
        weights: dict[str, torch.Tensor] = {}
        results = [output(cell(name), weights, x) for name in (a, b)]
        assert (results[0] - results[1]).abs().max() > 1e-6


def test_sample():
    first = SPACE.sample(50, seed=1)
    assert len(set(first)) == 50
    assert first == SPACE.sample(50, 1)
    assert first[:20] == SPACE.sample(20, seed=1)
    assert first != SPACE.sample(50, seed=2)
    assert all(SPACE.canonical(arch) == arch for arch in first)
    assert sorted(SPACE.sample(5_260, seed=0)) == sorted(SPACE.representatives())
    strings = SPACE.sample(15_625, seed=0, canonical=False)
    assert sorted(strings) == ALL
    assert SPACE.sample(0, seed=0) == []
    with pytest.raises(InputError, match="0 to 5260 distinct canonical classes, got n=5261"):
        SPACE.sample(5_261, seed=0)
    with pytest.raises(InputError, match="0 to 15625"):
        SPACE.sample(15_626, seed=0, canonical=False)
    for n in (-1, 2.0, True):
        with pytest.raises(InputError):
            SPACE.sample(n, seed=0)
    with pytest.raises(InputError, match="seed"):
        SPACE.sample(1, seed=-1)


def test_graph():
    graph = SPACE.graph(GOOD)
    assert graph.nodes == 4
    assert [tuple(edge) for edge in graph.edges] == [(0, 1, 1), (1, 2, 0), (0, 3, 0), (1, 3, 1)]
    for method in (SPACE.graph, SPACE.canonical, SPACE.size_metrics, SPACE.build, SPACE.build_thin, SPACE.convolutions):
        with pytest.raises(InputError, match="bad architecture"):
            method("nonsense")


@pytest.mark.parametrize(
    ("digits", "settings", "parameters", "macs"),
    [
        # the benchmark's own records, in units of one
        ("421211", {}, 129_306, 15_647_370),
        ("421211", {"num_classes": 100}, 135_156, 15_653_220),
        ("421211", {"num_classes": 120, "resolution": 16}, 136_456, 3_919_480),
        ("334034", {}, 802_426, 113_951_370),
        ("334034", {"num_classes": 120, "resolution": 16}, 809_576, 28_495_480),
        ("111020", {}, 101_306, 11_715_210),
        ("111020", {"num_classes": 100}, 107_156, 11_721_060),
        ("000000", {}, 73_306, 7_783_050),
    ],
)
def test_sizes_of_the_benchmark(digits, settings, parameters, macs):
    size = SPACE.size_metrics(cell(digits), **settings)
    assert (size["parameters"], size["macs"]) == (parameters, macs)


def test_depth_layers_and_relu_units():
    chain = SPACE.size_metrics(cell("303003"), cells_per_stage=5)
    assert chain["depth"] == 5 * 9 + 6
    assert chain["trainable_layers"] == 15 * 3 + 8
    dead = SPACE.size_metrics(cell("300100"), cells_per_stage=2)
    assert dead["depth"] == 6
    assert dead["trainable_layers"] == 6 + 8
    assert SPACE.size_metrics(cell("300000"))["depth"] == 0
    skip = SPACE.size_metrics(cell("000100"), channels=2, resolution=8)
    assert skip["relu_units"] == (2 * 64 + 4 * 16) + (4 * 16 + 8 * 4) + 8 * 4


def test_bad_sizes():
    for name in ("channels", "cells_per_stage", "num_classes", "in_channels", "resolution"):
        with pytest.raises(InputError, match=f"{name} to be an integer of at least 1"):
            SPACE.size_metrics(GOOD, **{name: 0})
    with pytest.raises(InputError, match="multiple of 4"):
        SPACE.size_metrics(GOOD, resolution=30)
    for name, most in LARGEST.items():
        with pytest.raises(InputError, match=f"{name} to be at most {most}, got 100000000000; give fewer"):
            SPACE.size_metrics(GOOD, **{name: 10**11})


def test_all_parameters_and_operations(shared):
    table = pd.read_parquet(shared / "data" / "nb201_accuracy.parquet")
    assert sorted(table["arch_str"]) == ALL
    sizes = pd.DataFrame([SPACE.size_metrics(arch) for arch in table["arch_str"]])
    assert (sizes["parameters"].to_numpy() == table["params_c10"].to_numpy()).all()
    # flops_c10 was derived without the classifier's bias, which the benchmark's own records count
    assert (sizes["macs"].to_numpy() == table["flops_c10"].to_numpy() + 10).all()


def test_genuine_records(shared):
    scalar = np._core.multiarray.scalar
    safe = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    safe += [np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType]
    path = shared / "data" / "genuine_records" / "NB201-mini.pth"
    with torch.serialization.safe_globals(safe):
        records = torch.load(path, weights_only=True)
    data = {"cifar10-valid": (10, 32), "cifar10": (10, 32), "cifar100": (100, 32), "ImageNet16-120": (120, 16)}
    checked = 0
    for index, arch in enumerate(records["meta_archs"]):
        for record in records["arch2infos"][index].values():
            for (dataset, _), result in record["all_results"].items():
                classes_, resolution = data[dataset]
                size = SPACE.size_metrics(arch, num_classes=classes_, resolution=resolution)
                assert size["parameters"] == round(float(result["params"]) * 1e6)
                assert size["macs"] == round(float(result["flop"]) * 1e6)
                checked += 1
    assert checked >= 12


def test_the_space_can_be_pickled():
    assert pickle.loads(pickle.dumps(SPACE)).canonical(GOOD) == SPACE.canonical(GOOD)
