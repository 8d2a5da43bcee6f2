from __future__ import annotations

import math
import pickle
import random
from collections import Counter, defaultdict
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.mlp_dag import depths, linear_edges

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.code import LINEAR, code_graph, code_string, parse_code
from automl_theory.graphs.dag import CellGraph, metrics
from automl_theory.spaces import Space
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.mlp_dag_classes import canonical_order, live_part, renumbered, signature, units

SPACE = at.space("mlp_dag")
ALL = list(SPACE)
FOUR, EIGHT = at.space("mlp_dag", nodes=4), at.space("mlp_dag", nodes=8)
FEW = settings(max_examples=60, deadline=None)


def members() -> dict[str, list[str]]:
    found = defaultdict(list)
    for arch in ALL:
        found[SPACE.canonical(arch)].append(arch)
    return found


def codes(nodes: int, digits: str = "012") -> st.SearchStrategy[str]:
    return st.tuples(*(st.text(digits, min_size=t, max_size=t) for t in range(1, nodes + 1))).map("_".join)


def test_enumeration() -> None:
    """Statement 1: 729 cells, 67 disconnected, 121 without a linear edge, 23 classes of (depth, P)."""
    assert isinstance(SPACE, Space)
    assert "mlp_dag" in at.list_spaces()
    assert len(ALL) == len(set(ALL)) == len(SPACE) == SPACE.size == 729
    assert sorted(ALL) == ALL
    assert {SPACE.parse(arch) for arch in ALL} == {(d[:1], d[1:3], d[3:]) for d in product(range(3), repeat=6)}
    assert all(SPACE.string(SPACE.parse(arch)) == arch for arch in ALL)
    assert "2_02_002" in SPACE
    assert "2_02_0022" not in SPACE
    assert "2_02" not in SPACE
    assert 3 not in SPACE
    reasons = Counter(SPACE.degeneracy(arch) for arch in ALL)
    assert reasons == {"disconnected": 67, "no_linear_edge": 121, None: 541}
    live = SPACE.live()
    assert len(live) == 541
    assert len({(sum(depths(arch)) / len(depths(arch)), len(depths(arch))) for arch in live}) == 23
    assert (len(MlpDag(1)), len(MlpDag(2)), len(FOUR), EIGHT.size) == (3, 27, 59_049, 3**36)
    assert list(MlpDag(1)) == ["0", "1", "2"]
    assert [at.space("mlp_dag", nodes=n).name for n in (3, 4)] == ["mlp_dag", "mlp_dag_4"]
    assert pickle.loads(pickle.dumps(SPACE)).canonical("1_00_020") == SPACE.canonical("1_00_020")


def test_path_statistics_are_those_of_the_paths() -> None:
    table = at.graph_metrics(SPACE)
    for arch in ALL[::13]:
        found, row = depths(arch), table.loc[arch]
        assert row["paths"] == len(found)
        if found:
            assert row["effective_depth"] == pytest.approx(sum(found) / len(found), rel=1e-15)
            assert row["total_depth"] == sum(found)
            assert row["parameterised_edges"] == len(linear_edges(arch))
            deep = sum(d > 0 for d in found)
            assert row["effective_width"] == pytest.approx(deep * len(found) / sum(found) if sum(found) else 0)
    big = metrics(EIGHT.graph("_".join("2" * t for t in range(1, 9))))
    assert (big["paths"], big["effective_depth"]) == (128, 4.5)


@pytest.mark.parametrize("nodes", [0, -1, 2.0, True, "3", None])
def test_bad_numbers_of_nodes(nodes: object) -> None:
    with pytest.raises(InputError, match=r"nodes to be an integer of at least 1, got .*; give 1 or more"):
        at.space("mlp_dag", nodes=nodes)


def test_bad_strings_are_explained_by_every_method() -> None:
    methods = (SPACE.parse, SPACE.canonical, SPACE.graph, SPACE.build, SPACE.size_metrics, SPACE.degeneracy)
    for method in (*methods, SPACE.linear_edges):
        with pytest.raises(InputError, match="bad architecture '2_02_003': at position 7, unknown operation '3'"):
            method("2_02_003")
    with pytest.raises(InputError, match="a cell of 4 nodes after the input has 4 groups"):
        FOUR.parse("2_02_002")
    with pytest.raises(InputError):
        SPACE.string(((2,), (0, 2)))


def test_classes() -> None:
    groups = members()
    representatives = SPACE.representatives()
    assert list(groups) == representatives
    for representative, group in groups.items():
        assert SPACE.canonical(representative) == representative
        assert representative in group
        assert representative == code_string(live_part(SPACE.parse(group[0])))
        assert len({SPACE.degeneracy(arch) for arch in group}) == 1
    assert len(groups["0_00_000"]) == 67
    assert len(representatives) == 99
    assert len({SPACE.canonical(arch) for arch in SPACE.live()}) == 94


def slow_key(arch: str) -> object:
    """The least matrix of units over all orders of the linear edges."""
    linear, rows = units(parse_code(arch))
    keys = []
    for order in permutations(range(1, len(linear) + 1)):
        whole = (0, *order)
        keys.append(tuple(tuple(row[k] for k in whole) for row in [*(rows[k] for k in whole), rows[-1]]))
    return min(keys)


def test_classes_by_brute_force_over_all_orders() -> None:
    by_slow, by_fast = defaultdict(set), defaultdict(set)
    for arch in [*ALL[::5], "2_22_222", "2_20_211", "2_20_121"]:
        by_slow[slow_key(arch)].add(arch)
        by_fast[SPACE.canonical(arch)].add(arch)
    assert sorted(map(sorted, by_slow.values())) == sorted(map(sorted, by_fast.values()))


def output(space: MlpDag, arch: str, x: torch.Tensor, bias: bool, weights: dict[object, torch.Tensor]) -> torch.Tensor:
    """Run `arch` with random weights; the k-th linear edge in canonical order has the same in every cell."""
    slots = {edge: slot for slot, edge in enumerate(space.linear_edges(arch))}
    net = space.build(arch, 6, 3, 2, 2, bias=bias).double()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            part = name.split(".")
            edge = (int(part[2]), int(part[1]) + 1) if part[0] == "_to_from_dag_layers" else None
            if edge is not None and edge not in slots:
                parameter.zero_()
                continue
            key = (name if edge is None else slots[edge], part[-1])
            if key not in weights:
                weights[key] = torch.randn(parameter.shape, dtype=torch.float64, generator=GENERATOR)
            parameter.copy_(weights[key])
        return net(x)


GENERATOR = torch.Generator().manual_seed(0)
POINTS = torch.randn(5, 2, 2, 2, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.parametrize("bias", [False, True])
def test_members_of_a_class_are_one_function(bias: bool) -> None:
    for group in members().values():
        weights: dict[object, torch.Tensor] = {}
        first = output(SPACE, group[0], POINTS, bias, weights)
        for arch in random.Random(1).sample(group, min(len(group), 6)):
            difference = (output(SPACE, arch, POINTS, bias, weights) - first).abs().max()
            assert difference <= 1e-12 * first.abs().max(), (group[0], arch)


def test_different_classes_are_different_functions() -> None:
    """Under every correspondence of linear edges: outputs on weights of the k-th slot, in every order, never agree."""
    weights: dict[object, torch.Tensor] = {}
    seen: dict[str, list[torch.Tensor]] = {}
    for arch in [a for a in SPACE.representatives() if len(SPACE.linear_edges(a)) <= 3 and SPACE.graph(a).connected]:
        edges = SPACE.linear_edges(arch)
        mine = []
        for order in permutations(range(len(edges))):
            moved = dict(weights)
            for slot, other in enumerate(order):
                key = (other, "weight")
                if key not in weights:
                    weights[key] = torch.randn(6, 6, dtype=torch.float64, generator=GENERATOR)
                moved[slot, "weight"] = weights[key]
            mine.append(output(SPACE, arch, POINTS, True, Biased(moved, weights, order)))
        for other, theirs in seen.items():
            if len(SPACE.linear_edges(other)) == len(edges):
                assert min((a - theirs[0]).abs().max() for a in mine) > 1e-6, (arch, other)
        seen[arch] = mine


class Biased(dict):
    """Weights in a given order of slots, and biases that move with them."""

    def __init__(self, moved: dict[object, torch.Tensor], shared: dict[object, torch.Tensor], order: tuple[int, ...]):
        super().__init__(moved)
        self.shared, self.order = shared, order

    def place(self, key: tuple[object, str]) -> tuple[object, str]:
        slot, kind = key
        return (self.order[slot], kind) if isinstance(slot, int) else key

    def __contains__(self, key: object) -> bool:
        return self.place(key) in self.shared

    def __getitem__(self, key: object) -> torch.Tensor:
        return self.shared[self.place(key)]

    def __setitem__(self, key: object, value: torch.Tensor) -> None:
        self.shared[self.place(key)] = value


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("2_00_010", "1_00_020", True),  # a linear edge before or after a skip
        ("2_01_001", "1_02_001", True),
        ("2_20_011", "2_01_210", True),  # two parallel linear edges, meeting at a skip or at the output
        ("2_20_011", "2_00_110", False),  # one is not two
        ("2_01_011", "2_20_011", False),  # one that arrives twice is not two
        ("2_02_222", "2_22_222", False),
        ("2_02_000", "0_00_000", True),
        ("1_11_111", "1_00_010", False),  # four ways of skips are four times the stem
        ("2_22_001", "2_22_002", False),
        ("1_11_002", "2_01_011", False),  # relu(W 2v) = 2 relu(W v): equal without biases, and not used
    ],
)
def test_equal_and_different_cells(a: str, b: str, same: bool) -> None:
    assert (SPACE.canonical(a) == SPACE.canonical(b)) == same


@FEW
@given(st.integers(2, 7).flatmap(codes), st.randoms(use_true_random=False))
def test_renumbering_nodes_leaves_the_class_alone(arch: str, rng: random.Random) -> None:
    graph = code_graph(live_part(parse_code(arch)))
    inner = list(range(1, graph.nodes - 1))
    edges = {(s, t): weight for s, t, weight in graph.edges}
    for _ in range(5):
        place = {0: 0, graph.nodes - 1: graph.nodes - 1, **dict(zip(inner, rng.sample(inner, len(inner)), strict=True))}
        moved = [(place[s], place[t], weight) for (s, t), weight in edges.items()]
        if all(s < t for s, t, _ in moved):
            other = CellGraph(graph.nodes, moved)
            code = tuple(map(tuple, parse_code(_code(other))))
            assert renumbered(code) == renumbered(parse_code(arch))
            assert signature(code)[0] == signature(parse_code(arch))[0]
    assert renumbered(renumbered(parse_code(arch))) == renumbered(parse_code(arch))
    assert signature(renumbered(parse_code(arch)))[0] == signature(parse_code(arch))[0]
    for metric in ("paths", "effective_depth", "effective_width", "parameterised_edges"):
        a, b = (metrics(g)[metric] for g in (graph, code_graph(renumbered(parse_code(arch)))))
        assert a == b or (a != a and b != b)


def _code(graph: CellGraph) -> str:
    digits = [[0] * t for t in range(1, graph.nodes)]
    for s, t, weight in graph.edges:
        digits[t - 1][s] = 1 + weight
    return code_string(digits)


@FEW
@given(codes(4))
def test_large_and_small_spaces_agree_on_what_is_equal(arch: str) -> None:
    """Renumbering is a part of the exact classes."""
    assert FOUR.canonical(code_string(renumbered(parse_code(arch)))) == FOUR.canonical(arch)


def test_many_twins_are_no_burden() -> None:
    parallel = "_".join([*("2" + "0" * (t - 1) for t in range(1, 12)), "0" + "1" * 11])
    order = signature(parse_code(parallel))[1]
    assert sorted(order) == [(0, t) for t in range(1, 12)]
    assert canonical_order(((0, 0), (0, 0)), [(0, 0), (0, 0)]) in ((0, 1), (1, 0))


def cycles(*lengths: int) -> np.ndarray:
    """The symmetric matrix of disjoint cycles: every vertex has two neighbours, so that colours tell none apart."""
    matrix, start = np.zeros((sum(lengths), sum(lengths)), dtype=int), 0
    for length in lengths:
        for k in range(length):
            a, b = start + k, start + (k + 1) % length
            matrix[a, b] = matrix[b, a] = 1
        start += length
    return matrix


def test_canonical_order_where_colours_say_nothing() -> None:
    def canonical(matrix: np.ndarray) -> tuple[tuple[int, ...], ...]:
        order = canonical_order(matrix.tolist(), [(0, 0)] * len(matrix))
        return tuple(map(tuple, matrix[np.ix_(order, order)].tolist()))

    rng = np.random.default_rng(0)
    forms = []
    for lengths in [(3, 4), (7,), (3, 3), (6,)]:
        matrix = cycles(*lengths)
        shuffles = [rng.permutation(len(matrix)) for _ in range(12)]
        found = {canonical(matrix[np.ix_(order, order)]) for order in shuffles}
        assert len(found) == 1
        forms += found
    assert len(set(forms)) == 4


def test_sample() -> None:
    first = SPACE.sample(50, seed=1)
    assert len(set(first)) == 50
    assert first[:20] == SPACE.sample(20, 1)
    assert first != SPACE.sample(50, seed=2)
    assert all(SPACE.canonical(arch) == arch for arch in first)
    assert sorted(SPACE.sample(729, seed=0, canonical=False)) == ALL
    assert sorted(SPACE.sample(99, 0)) == sorted(SPACE.representatives())
    for n in (-1, 100, 2.0, True):
        with pytest.raises(InputError, match="0 to 99 distinct canonical classes"):
            SPACE.sample(n, seed=0)
    with pytest.raises(InputError, match="seed"):
        SPACE.sample(1, seed=-1)


def test_sample_of_a_space_that_cannot_be_listed() -> None:
    for canonical in (False, True):
        first = EIGHT.sample(40, seed=1, canonical=canonical)
        assert len(set(first)) == 40
        assert first[:10] == EIGHT.sample(10, 1, canonical=canonical)
        assert first != EIGHT.sample(40, seed=2, canonical=canonical)
        assert all(arch in EIGHT for arch in first)
    assert all(EIGHT.canonical(arch) == arch for arch in first)
    assert EIGHT.sample(0, 0) == []
    counts = Counter("".join(EIGHT.sample(200, 3, canonical=False)))
    assert all(abs(counts[digit] / (200 * 36) - 1 / 3) < 0.03 for digit in "012")
    for n in (-1, 2.0, 3**36):
        with pytest.raises(InputError, match=r"can draw 0 to \d+ architectures of 8 nodes, got n="):
            EIGHT.sample(n, seed=0)
    with pytest.raises(InputError, match="seed"):
        EIGHT.sample(1, seed=-1)
    for method in (EIGHT.representatives, EIGHT.live):
        with pytest.raises(InputError, match=r"too many to list; use sample\(n, seed\)"):
            method()
    iterator = iter(EIGHT)
    assert [next(iterator)[-1] for _ in range(3)] == ["0", "1", "2"]


def test_a_bias_that_is_no_truth_value_is_refused() -> None:
    for method in (SPACE.build, SPACE.size_metrics):
        with pytest.raises(InputError, match="bias must be True or False, got 'False'"):
            method("2_02_002", bias="False")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("arch", ["2_02_002", "2_22_222", "1_11_111", "0_00_000", "2_00_012"])
def test_sizes_are_those_of_the_network(arch: str, bias: bool) -> None:
    settings_ = {"width": 8, "num_classes": 4, "in_channels": 2, "resolution": 3, "bias": bias}
    size, net = SPACE.size_metrics(arch, **settings_), SPACE.build(arch, **settings_)
    assert size["parameters"] == sum(p.numel() for p in net.parameters())
    assert size["macs"] == sum(p.numel() for name, p in net.named_parameters() if name.endswith("weight"))
    linear = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
    assert size["trainable_layers"] == len(linear)
    assert size["depth"] == (max(depths(arch)) + 2 if depths(arch) else 0)
    assert size["relu_units"] == 8 * (1 + sum(group.count(LINEAR) for group in SPACE.parse(arch)))
    x = torch.randn(3, 2, 3, 3)
    if depths(arch):
        scores = at.score(net, x, proxies=["parameters", "macs", "depth", "trainable_layers"])
        assert dict(scores) == {name: size[name] for name in scores}


def test_published_sizes() -> None:
    """Tiny-ImageNet, m = 256, with biases: stem 3,145,984, readout 51,400, 65,792 a linear edge."""
    published = {"width": 256, "num_classes": 200, "in_channels": 3, "resolution": 64, "bias": True}
    base = SPACE.size_metrics("1_11_111", **published)["parameters"]
    assert base == 3_145_984 + 51_400
    assert SPACE.size_metrics("2_11_111", **published)["parameters"] - base == 65_792
    millions = np.array([SPACE.size_metrics(arch, **published)["parameters"] for arch in ALL]) / 1e6
    assert (round(millions.mean(), 2), round(millions.std(), 3)) == (3.33, 0.076)
    for code, expected in [("2_22_221", 3.53), ("1_22_221", 3.46), ("2_02_002", 3.4)]:
        # The paper rounds up.
        assert SPACE.size_metrics(code, **published)["parameters"] / 1e6 == pytest.approx(expected, abs=0.008)


@pytest.mark.parametrize("setting", ["width", "num_classes", "in_channels", "resolution"])
def test_bad_settings_are_explained(setting: str) -> None:
    for value in (0, 2.5, True):
        for method in (SPACE.size_metrics, SPACE.build):
            with pytest.raises(InputError, match=f"{setting} to be an integer of at least 1, got .*; give 1 or more"):
                method("2_02_002", **{setting: value})


def test_the_space_is_scored_like_any_other() -> None:
    network = {"width": 16}
    archs = ["2_02_002", "1_11_112", "1_00_010", "2_00_000", "0_02_002"]
    options = {"architectures": archs, "n": 8, "network": network, "init": "he_fan_in", "progress": False}
    table = at.score_space("mlp_dag", "core", **options)
    assert table.index.tolist() == archs
    assert (table.loc[["2_00_000", "0_02_002"], "ntk_lambda_min_status"] == "disconnected").all()
    assert np.isfinite(table.loc[archs[:3], "ntk_lambda_min"]).all()
    assert table.loc["1_11_112", "parameters"] == 3072 * 16 + 16 * 16 + 160
    batch = at.load_batch("digits", 8)
    alone = at.score(SPACE.build("2_02_002", 16), batch.x, batch.y, ["ntk_lambda_min"])
    assert table.loc["2_02_002", "ntk_lambda_min"] == pytest.approx(alone["ntk_lambda_min"], rel=1e-5)


@pytest.mark.parametrize("nodes", [1, 3, 4])
def test_an_operation_for_each_edge_makes_every_code(nodes):
    where = at.space("mlp_dag", nodes=nodes)
    assert math.prod(map(len, where.choices.values())) == where.size
    for code in where.sample(min(20, len(where.representatives())), 0):
        digits = iter(code.replace("_", ""))
        assert where.assemble(dict(zip(where.choices, digits, strict=True))) == code
