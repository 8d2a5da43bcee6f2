from __future__ import annotations

import itertools
import json
import math
import pickle
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_theory.errors import InputError
from automl_theory.graphs.dag import metrics
from automl_theory.networks.darts import GenotypeNetwork
from automl_theory.probing.signals import Signals
from automl_theory.spaces import space
from automl_theory.spaces.darts_genotype import (
    NONE,
    OPERATIONS,
    Genotype,
    cell_classes,
    cells_listed,
    nodes_of,
    numbered,
    pairs_of,
    renumbered,
    text,
)
from automl_theory.testing import check_space

SPACE = space("darts")
SMALL = {"channels": 4, "layers": 5}
V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
PLAIN = tuple((("skip_connect", 0), ("sep_conv_3x3", 1))) * 4


def cells(operations: tuple[str, ...] = (*OPERATIONS, NONE)) -> st.SearchStrategy:
    pair = [st.tuples(st.sampled_from(operations), st.integers(0, 1 + k // 2)) for k in range(8)]
    return st.tuples(*pair)


genotypes = st.builds(Genotype, cells(), cells())


# Size, iteration, samples ---------------------------------------------------------------------------------------------


def test_the_size_is_that_of_nas_bench_301():
    assert cells_listed() == 1 * 3 * 6 * 10 * 7**8
    assert len(SPACE) == SPACE.size == (180 * 49**4) ** 2
    assert f"{SPACE.size:.2e}" == "1.08e+18"


@pytest.mark.parametrize(("nodes", "operations"), [(1, 3), (2, 1), (2, 3), (3, 1), (3, 2), (4, 1)])
def test_classes_are_counted_as_they_are_found(nodes, operations):
    found = set()
    for sources in itertools.product(*(itertools.combinations(range(2 + k), 2) for k in range(nodes))):
        for digits in itertools.product(range(operations), repeat=2 * nodes):
            cell = tuple(((a, digits[2 * k]), (b, digits[2 * k + 1])) for k, (a, b) in enumerate(sources))
            found.add(renumbered(cell)[0])
    assert len(found) == cell_classes(nodes, operations)


def test_classes_of_the_space():
    assert SPACE.classes == cell_classes() ** 2
    assert SPACE.classes < SPACE.size
    with pytest.raises(InputError, match=rf"{SPACE.classes} classes, too many to list; take a sample"):
        SPACE.representatives()


def test_iteration_is_lazy_and_meets_distinct_members():
    first = list(itertools.islice(SPACE, 2000))
    assert len(set(first)) == 2000
    assert len({SPACE.parse(arch).normal for arch in first}) == 1, "reduction cells come first"
    corner = numbered(cells_listed() - 1)
    assert corner == tuple(((k, 6), (k + 1, 6)) for k in range(4))


def test_samples_extend_each_other_and_are_uniform_over_classes():
    for canonical in (True, False):
        assert SPACE.sample(20, 3, canonical=canonical) == SPACE.sample(60, 3, canonical=canonical)[:20]
        assert SPACE.sample(5, 3, canonical=canonical) != SPACE.sample(5, 4, canonical=canonical)
    assert all(SPACE.canonical(arch) == arch for arch in SPACE.sample(100, 0))
    share = np.mean([SPACE.canonical(arch) == arch for arch in SPACE.sample(2000, 0, canonical=False)])
    expected = SPACE.classes / SPACE.size
    assert abs(share - expected) < 4 * np.sqrt(expected / 2000), "the share of representatives among the listed"
    counts = Counter(name for arch in SPACE.sample(500, 1) for name, _ in SPACE.parse(arch).normal)
    assert set(counts) == set(OPERATIONS)
    for n, message in ((-1, "can sample 0 to"), (SPACE.size + 1, "distinct classes"), (True, "n=True")):
        with pytest.raises(InputError, match=message):
            SPACE.sample(n, 0)
    with pytest.raises(InputError, match="seed to be an integer"):
        SPACE.sample(1, -1)


# Notation -------------------------------------------------------------------------------------------------------------


def test_the_field_s_texts_are_read_and_written(shared: Path):
    texts = pd.read_parquet(shared / "data" / "darts_swap1000.parquet")["genotype"]
    assert all(SPACE.string(arch) == arch for arch in texts)
    assert texts.map(SPACE.canonical).nunique() == 1000
    compacts = pd.read_parquet(shared / "data" / "nb301_naslib.parquet")["arch"]
    assert all(arch in SPACE for arch in compacts)
    assert all(SPACE.compact(SPACE.string(arch)) == arch for arch in compacts[:500])


@given(genotypes)
def test_reading_undoes_writing(genotype):
    arch = text(genotype)
    assert SPACE.parse(arch) == genotype
    assert arch in SPACE
    if all(name != NONE for cell in genotype for name, _ in cell):
        assert SPACE.parse(SPACE.compact(genotype)) == genotype


def test_other_forms_of_one_genotype():
    parsed = SPACE.parse(V2)
    official = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    for form in (
        V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        V2.replace("[2, 3, 4, 5]", "[5, 2, 3, 4]"),
        V2.replace("normal=", "").replace("normal_concat=", ""),
        V2.replace(", ", ",\n  "),
        f"  {V2}\n",
        official(list(parsed.normal), range(2, 6), list(parsed.reduce), [2, 3, 4, 5]),
        parsed,
        SPACE.compact(V2),
        json.loads(SPACE.compact(V2).replace("(", "[").replace(")", "]")),
    ):
        assert SPACE.parse(form) == parsed
        assert SPACE.string(form) == V2
    assert SPACE.compact(V2).startswith("(((0,3),(1,3),(0,3)")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "the genotype is empty; expected Genotype"),
        (V2[:-1], "it cannot be read"),
        (V2.replace("Genotype", "exit"), r"expected Genotype\(normal="),
        ("__import__('os').system('true')", r"expected Genotype\(normal="),
        (V2.replace("('sep_conv_3x3', 0)", "exit()", 1), "is no list of pairs"),
        (V2.replace("sep_conv_3x3", "sep_conv_3x4", 1), r"pair 1 of the normal cell \(node 2\) has the unknown opera"),
        (V2.replace("sep_conv_3x3", "sep_conv_3x4", 1), "Did you mean 'sep_conv_3x3'"),
        (V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 2)", 1), "reads 2; node 2 can read 0 to 1"),
        (V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', True)", 1), "reads True"),
        (V2.replace("('sep_conv_3x3', 0), ", "", 1), r"must have eight \(operation, source\).*got 7"),
        (V2.replace("('sep_conv_3x3', 0)", "'sep_conv_3x3'", 1), r"pair 1 of the normal cell.*must be \(operation"),
        (V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=[3, 4, 5]"), r"normal_concat must be \[2, 3, 4, 5\]"),
        (V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=3"), "normal_concat must be .* got 3"),
        (V2.replace("normal_concat=[2, 3, 4, 5], ", ""), "normal_concat= is missing"),
        (V2.replace("normal_concat=[2, 3, 4, 5]", "normal_concat=range(2, 10**9)"), "is no list of pairs"),
        (V2.replace(")", ", auxiliary=True)")[-20:], "expected|cannot be read"),
        (V2[:-1] + ", auxiliary=True)", "auxiliary is one too many"),
        (V2[:-1] + ", **{})", "one too many"),
        ("((1, 2), (3, 4))", "the normal cell has 1; expected \\(source, operation\\)"),
        (SPACE.compact(V2).replace("(0,3)", "(0,7)", 1), "the operation from 0 to 6"),
        ("(" * 300 + ")" * 300, "expected Genotype"),
        ("[" * 1900 + "]" * 1900, "expected Genotype"),
        ("-" * 990 + "1", "is no list of pairs"),
        (V2.replace("('sep_conv_3x3', 0)", "~" * 1990 + "1", 1), "is no list of pairs"),
        ("x" * 5000, "has 5000 characters"),
        ("\x00", "cannot be read"),
        (3, "NASLib's compact form, got 3"),
        (None, "got None"),
        ([1, 2, 3], "compact form, got"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(bad, message):
    with pytest.raises(InputError, match=message) as error:
        SPACE.parse(bad)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 450
    assert bad not in SPACE


def test_none_has_no_compact_form():
    with pytest.raises(InputError, match="no number for 'none'"):
        SPACE.compact(Genotype(((NONE, 0),) * 8, PLAIN))


@given(st.data())
def test_choices_make_all_that_is_listed(data):
    options = SPACE.choices
    assert math.prod(map(len, options.values())) == SPACE.size
    chosen = {name: data.draw(st.sampled_from(texts)) for name, texts in options.items()}
    arch = SPACE.assemble(chosen)
    assert all(a < b for pairs in SPACE.parse(arch) for (_, a), (_, b) in zip(pairs[::2], pairs[1::2], strict=True))
    assert SPACE.parse(arch).reduce[6] == (chosen["reduce_5_first"], int(chosen["reduce_5_sources"][0]))
    with pytest.raises(InputError, match="sources of node 3 must be two numbers as in '0,1', got '0'"):
        SPACE.assemble({**chosen, "normal_3_sources": "0"})
    with pytest.raises(InputError, match="unknown operation 'conv'"):
        SPACE.assemble({**chosen, "normal_3_first": "conv"})


# Equal genotypes ------------------------------------------------------------------------------------------------------


@given(genotypes, st.randoms(use_true_random=False))
def test_swapped_inputs_and_nodes_are_one_class(genotype, random):
    """The reference: shuffle the inputs of nodes, and the nodes in an order that keeps sources before targets."""
    changed = []
    for pairs in genotype:
        nodes = [list(pairs[k : k + 2]) for k in range(0, 8, 2)]
        order: list[int] = []
        while len(order) < 4:
            free = [
                k
                for k in range(4)
                if k not in order and all(name == NONE or s < 2 or s - 2 in order for name, s in nodes[k])
            ]
            order.append(random.choice(free))
        place = {0: 0, 1: 1} | {2 + old: 2 + new for new, old in enumerate(order)}
        moved = []
        for old in order:
            two = [(name, 0 if name == NONE else place[source]) for name, source in nodes[old]]
            random.shuffle(two)
            moved += two
        changed.append(tuple(moved))
    assert SPACE.canonical(text(Genotype(*changed))) == SPACE.canonical(text(genotype))
    assert SPACE.canonical(SPACE.canonical(text(genotype))) == SPACE.canonical(text(genotype))


def carried(arch: str, state: dict[str, Tensor], layers: int = 5) -> dict[str, Tensor]:
    """Weights with which canonical(arch) computes what arch does: operations renamed, channels of outputs permuted."""
    genotype = SPACE.parse(arch)
    orders, operations = {}, {}
    for kind, pairs in zip(("normal", "reduce"), genotype, strict=True):
        order = renumbered(nodes_of(pairs))[1]
        place = {0: 0, 1: 1} | {2 + old: 2 + new for new, old in enumerate(order)}
        moved: dict[int, int] = {}
        canonical = SPACE.parse(SPACE.canonical(arch))._asdict()[kind]
        for new, old in enumerate(order):
            waiting = [2 * new, 2 * new + 1]
            for k in (2 * old, 2 * old + 1):
                name, source = pairs[k][0], 0 if pairs[k][0] == NONE else place[pairs[k][1]]
                target = next(t for t in waiting if canonical[t] == (name, source))
                waiting.remove(target)
                moved[k] = target
        orders[kind], operations[kind] = order, moved
    kinds = ["reduce" if i in (layers // 3, 2 * layers // 3) else "normal" for i in range(layers)]

    def permuted(weight: Tensor, i: int) -> Tensor:
        if i < 0:
            return weight
        blocks = weight.chunk(4, dim=1)
        return torch.cat([blocks[old] for old in orders[kinds[i]]], dim=1)

    new = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "classifier" and parts[1] == "weight":
            tensor = permuted(tensor, layers - 1)
        if parts[0] == "cells":
            i = int(parts[1])
            if parts[2] == "_ops":
                parts[3] = str(operations[kinds[i]][int(parts[3])])
            elif tensor.ndim == 4:
                tensor = permuted(tensor, i - (2 if parts[2] == "preprocess0" else 1))
        new[".".join(parts)] = tensor
    return new


def test_the_conformance_suite_agrees_that_a_class_is_one_function():
    assert "a class computes one function" in check_space(SPACE, 4, network=SMALL, carry=carried)


# Networks -------------------------------------------------------------------------------------------------------------


def test_darts_v2_has_the_parameters_its_authors_count():
    """Their training log of C = 36 and 20 layers says: param size = 3.349342MB."""
    assert SPACE.size_metrics(V2)["parameters"] == 3_349_342
    assert sum(p.numel() for p in SPACE.build(V2).parameters()) == 3_349_342


def test_naslib_counts_as_many_parameters_in_each_of_its_networks(shared: Path):
    """C = 32 and 8 layers; BN without weight and bias in operations, and with them in both preprocessings."""
    table = pd.read_parquet(shared / "data" / "nb301_naslib.parquet").dropna(subset="params")
    assert len(table) == 1218
    preprocessing = 2 * 2 * (2 * 32 + 3 * 64 + 3 * 128)
    for arch, params in zip(table["arch"], table["params"], strict=True):
        sizes = SPACE.size_metrics(arch, 32, 8, affine=False)
        assert sizes["parameters"] + preprocessing == pytest.approx(params * 1e6, abs=1)


@settings(max_examples=10, deadline=None)
@given(
    cells(OPERATIONS), cells(OPERATIONS), st.integers(1, 5), st.integers(4, 6), st.booleans(), st.sampled_from([8, 12])
)
def test_the_closed_form_is_the_network(normal, reduce, channels, layers, affine, resolution):
    arch = text(Genotype(normal, reduce))
    net = SPACE.build(arch, channels, layers, 3, 2, affine=affine)
    said = SPACE.size_metrics(arch, channels, layers, 3, 2, resolution, affine=affine)
    measured = Signals(net, torch.zeros(2, 2, resolution, resolution), needs={"codes"}).size
    assert said["macs"] - 3 == measured["macs"]
    for name in ("parameters", "depth", "trainable_layers", "relu_units"):
        assert said[name] == measured[name], name


def test_parameters_have_the_official_names():
    names = {name: tuple(p.shape) for name, p in SPACE.build(V2, 4, 5, 7).named_parameters()}
    for name, shape in {
        "stem.0.weight": (12, 3, 3, 3),
        "stem.1.bias": (12,),
        "cells.0.preprocess0.op.1.weight": (4, 12, 1, 1),
        "cells.0.preprocess0.op.2.weight": (4,),
        "cells.0._ops.0.op.1.weight": (4, 1, 3, 3),
        "cells.0._ops.0.op.2.weight": (4, 4, 1, 1),
        "cells.0._ops.0.op.5.weight": (4, 1, 3, 3),
        "cells.0._ops.0.op.7.bias": (4,),
        "cells.0._ops.7.op.2.weight": (4, 4, 1, 1),
        "cells.1.preprocess1.op.1.weight": (8, 16, 1, 1),
        "cells.2.preprocess0.conv_1.weight": (4, 16, 1, 1),
        "cells.2.preprocess0.conv_2.weight": (4, 16, 1, 1),
        "cells.2.preprocess0.bn.weight": (8,),
        "classifier.weight": (7, 64),
    }.items():
        assert names[name] == shape


def slow(net: GenotypeNetwork, genotype: Genotype, x: Tensor) -> Tensor:
    """The network as its definition reads, from its parts."""
    s0 = s1 = net.stem(x)
    layers = len(net.cells)
    for i, cell in enumerate(net.cells):
        pairs = genotype.reduce if i in (layers // 3, 2 * layers // 3) else genotype.normal
        states = [cell.preprocess0(s0), cell.preprocess1(s1)]
        for k in (0, 2, 4, 6):
            node = 0
            for j in (k, k + 1):
                name, source = pairs[j]
                value = states[source]
                if name == NONE:
                    small = pairs is genotype.reduce and source < 2
                    value = 0 * (value[:, :, ::2, ::2] if small else value)
                elif name == "skip_connect" and isinstance(cell._ops[j], nn.Identity):
                    pass
                else:
                    value = cell._ops[j](value)
                node = node + value
            states.append(node)
        s0, s1 = s1, torch.cat(states[2:], dim=1)
    return net.classifier(s1.mean(dim=(2, 3)))


@settings(max_examples=10, deadline=None)
@given(genotypes)
def test_the_network_is_its_definition(genotype):
    net = SPACE.build(text(genotype), **SMALL, seed=1).eval()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net(x), slow(net, SPACE.parse(text(genotype)), x))


@settings(max_examples=25, deadline=None)
@given(cells(), cells())
def test_a_cell_that_the_graph_calls_disconnected_is_a_constant_network(normal, reduce):
    dead = (NONE, 0)
    for pairs in ((dead,) * 8, (dead,) * 4 + normal[4:]):
        genotype = Genotype(pairs, reduce)
        graph = SPACE.graph(genotype)
        net = SPACE.build(genotype, **SMALL).eval()
        x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            out = net(x)
        if not graph.connected:
            assert torch.equal(out[0], out[1])
            assert SPACE.size_metrics(genotype, **SMALL)["depth"] == 0


def test_the_graph_by_hand():
    """Each node of both cells: a skip from 0 and a sep_conv from 1, so that all nodes hang on the inputs."""
    graph = SPACE.graph(Genotype(PLAIN, PLAIN))
    assert graph.nodes == 1 + 7 + 7
    found = metrics(graph)
    # the reduction: 4 nodes, each with a stride-2 skip (1) or a sep_conv (4) behind a preprocessing (1), from the stem
    reduction = {2: 4, 5: 4}
    paths = Counter()
    for depth, count in reduction.items():
        paths[depth + 1 + 4] += 4 * count
    paths[1 + 0] += 4
    assert graph.depth_histogram() == dict(sorted(paths.items()))
    assert found["paths"] == 4 + 4 * 8


def test_a_source_read_twice_is_two_edges():
    twice = (("sep_conv_3x3", 0), ("dil_conv_3x3", 0), *PLAIN[2:])
    graph = SPACE.graph(Genotype(twice, PLAIN))
    assert graph.nodes == 16
    assert metrics(graph)["paths"] == metrics(SPACE.graph(Genotype(PLAIN, PLAIN)))["paths"] - 8 + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "channels to be an integer of at least 1"),
        ({"layers": 3}, "layers to be"),
        ({"layers": 2.0}, "layers to be an integer"),
        ({"num_classes": True}, "num_classes to be an integer"),
        ({"in_channels": -1}, "in_channels to be an integer"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    for method in (SPACE.build, SPACE.size_metrics):
        with pytest.raises(InputError, match=message):
            method(V2, **settings)


def test_other_bad_settings_are_refused():
    with pytest.raises(InputError, match="resolution must be a multiple of 4"):
        SPACE.size_metrics(V2, resolution=30)
    with pytest.raises(InputError, match="channels to be at most 4096"):
        SPACE.size_metrics(V2, channels=10**6)
    for method in (SPACE.build, SPACE.size_metrics):
        with pytest.raises(InputError, match="affine must be True or False"):
            method(V2, 4, 4, affine=1)
    with pytest.raises(InputError, match=r"\(n, 3, h, w\) with h and w positive multiples of 4"):
        SPACE.build(V2, 4, 4)(torch.zeros(1, 3, 10, 8))
    with pytest.raises(InputError, match="expected eight"):
        GenotypeNetwork(PLAIN[:4], PLAIN)
    with pytest.raises(InputError, match="unknown operation 'conv'"):
        GenotypeNetwork((("conv", 0), *PLAIN[1:]), PLAIN)
    with pytest.raises(InputError, match="node 2 of the normal cell reads 4"):
        GenotypeNetwork((("none", 4), *PLAIN[1:]), PLAIN)


def test_building_wants_no_luck_and_the_space_travels():
    before = torch.get_rng_state()
    a = SPACE.build(V2, **SMALL, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(a.stem[0].weight, SPACE.build(V2, **SMALL, seed=3).stem[0].weight)
    assert pickle.loads(pickle.dumps(SPACE)).sample(1, 0) == SPACE.sample(1, 0)
    assert pairs_of(nodes_of(SPACE.parse(SPACE.canonical(V2)).normal)) == SPACE.parse(SPACE.canonical(V2)).normal
