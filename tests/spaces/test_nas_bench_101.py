from __future__ import annotations

import json
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import nas_bench_101 as slow

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.dag import metrics
from automl_theory.graphs.table import graph_metrics
from automl_theory.spaces import Space
from automl_theory.spaces import space as make_space
from automl_theory.spaces.nas_bench_101 import NasBench101
from automl_theory.spaces.nas_bench_101_enumeration import SIZE, by_code
from automl_theory.spaces.nas_bench_101_module import OPERATIONS, decoded, hash_of, string
from automl_theory.spaces.nas_bench_101_order import by_hash, hashed_order, packed, unpacked

SPACE = make_space("nas_bench_101")
C3, C1, POOL = OPERATIONS
GOOD = f"101_10_1+input+{C3}+{POOL}+output"
MATRIX = [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
OPS = ["input", C3, POOL, "output"]
# The Inception-like cell of the official README, and what the benchmark answers when asked for it.
INCEPTION = (
    [[0, 1, 1, 1, 0, 1, 0], [0] * 6 + [1], [0] * 6 + [1], [0, 0, 0, 0, 1, 0, 0], [0] * 6 + [1], [0] * 6 + [1], [0] * 7],
    ["input", C1, C3, C3, C3, POOL, "output"],
)
ANSWER = (
    ((0, 1, 1, 1, 1, 0, 0), *[(0, 0, 0, 0, 0, 0, 1)] * 3, (0, 0, 0, 0, 0, 1, 0), (0, 0, 0, 0, 0, 0, 1), (0,) * 7),
    ("input", C3, C1, POOL, C3, C3, "output"),
)


@pytest.fixture(scope="module")
def everything() -> list[str]:
    return list(SPACE)


@st.composite
def modules(draw, least=2, most=7):
    """A matrix and operations with a path from input to output and at most 9 edges, some vertices perhaps dead."""
    v = draw(st.integers(least, most))
    pairs = [(x, y) for y in range(v) for x in range(y)]
    matrix = np.zeros((v, v), dtype=int)
    for x, y in draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=9, unique=True)):
        matrix[x, y] = 1
    if not np.linalg.matrix_power(matrix + np.eye(v, dtype=int), v)[0, -1]:
        matrix[:] = 0
        matrix[0, -1] = 1
    return matrix, ["input", *(draw(st.sampled_from(OPERATIONS)) for _ in range(v - 2)), "output"]


def renumbered(matrix, ops, order):
    """The module with its vertices in another order, where that leaves all edges upwards; else None."""
    places = np.array([0, *order, len(ops) - 1])
    matrix = np.array(matrix)[np.ix_(places, places)]
    return None if np.tril(matrix).any() else (matrix, [ops[place] for place in places])


def test_enumeration(everything):
    assert isinstance(SPACE, Space)
    assert len(everything) == len(set(everything)) == len(SPACE) == SPACE.size == 423_624
    assert np.bincount(by_code().vertices).tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]
    assert SPACE.representatives() == everything
    assert all(SPACE.canonical(arch) == arch and arch in SPACE for arch in everything[::211])
    assert "1+input+output" in everything


@pytest.mark.parametrize("vertices", [2, 3, 4, 5])
def test_enumeration_is_the_official_generator_s(vertices):
    codes = zip(*(column.tolist() for column in by_code()), strict=True)
    mine = {
        hash_of(decoded(*code)): (code[1], tuple(OPERATIONS.index(op) for op in decoded(*code).ops[1:-1]))
        for code in codes
        if code[0] == vertices
    }
    assert mine == slow.first_of_each_hash(vertices)


def test_order_is_that_of_hashes(everything):
    assert SPACE.hash(everything[0]) == "00005c142e6f48ac74fdcf73e3439874"
    rng = np.random.default_rng(0)
    rows = np.unique(np.concatenate([rng.integers(SIZE, size=2_000), np.arange(200_000, 200_500), [SIZE - 1]]))
    hashes = [SPACE.hash(everything[row]) for row in rows]
    assert hashes == sorted(set(hashes))
    order = rng.permutation(SIZE)
    assert (unpacked(packed(order)) == order).all()


@pytest.mark.slow
def test_order_of_all_hashes():
    order = hashed_order()
    assert all((column[order] == kept).all() for column, kept in zip(by_code(), by_hash(), strict=True))


def test_rows_of_the_benchmark(shared, everything):
    table = pd.read_parquet(shared / "data" / "nb101.parquet")
    rows = by_hash()
    assert (rows.vertices == table["n"]).all()
    assert (rows.bits == table["adj"]).all()
    assert (rows.operations == table["ops"]).all()
    for row in np.random.default_rng(1).integers(SIZE, size=3_000):
        assert SPACE.size_metrics(everything[row])["parameters"] == table["params"][row]


@pytest.mark.slow
def test_parameters_of_the_whole_benchmark(shared, everything):
    table = pd.read_parquet(shared / "data" / "nb101.parquet")
    assert [SPACE.size_metrics(arch)["parameters"] for arch in everything] == table["params"].tolist()


def test_the_official_example():
    assert tuple(SPACE.parse(SPACE.canonical(INCEPTION))) == ANSWER
    assert SPACE.size_metrics(SPACE.canonical(INCEPTION))["parameters"] == 2_694_282
    assert SPACE.hash(INCEPTION) == SPACE.hash(ANSWER) == slow.module_hash(*INCEPTION)


@settings(max_examples=150, deadline=None)
@given(modules(), st.data())
def test_isomorphic_modules_are_one_class(module, data):
    matrix, ops = SPACE.parse(module)
    canonical = SPACE.canonical(module)
    assert SPACE.hash(module) == slow.module_hash(matrix, ops) == SPACE.hash(canonical)
    assert SPACE.canonical(canonical) == canonical
    assert slow.isomorphic(SPACE.parse(canonical), (matrix, ops))
    assert string(SPACE.parse(SPACE.hash(module))) == canonical
    other = renumbered(matrix, ops, data.draw(st.permutations(range(1, len(ops) - 1))))
    if other is not None:
        assert SPACE.canonical(other) == canonical
        assert SPACE.hash(other) == SPACE.hash(module)


@settings(max_examples=150, deadline=None)
@given(modules(4, 5), modules(4, 5))
def test_classes_are_isomorphism(first, second):
    same = slow.isomorphic(SPACE.parse(first), SPACE.parse(second))
    assert (SPACE.canonical(first) == SPACE.canonical(second)) == same


@settings(max_examples=100, deadline=None)
@given(modules())
def test_pruning_leaves_paths_alone(module):
    matrix, ops = module
    graph = slow.labelled(matrix, ops)
    last = len(ops) - 1
    live = [v for v in graph if slow.nx.has_path(graph, 0, v) and slow.nx.has_path(graph, v, last)]
    pruned = SPACE.parse(module)
    assert pruned.matrix == tuple(map(tuple, np.array(matrix)[np.ix_(live, live)].tolist()))
    assert pruned.ops == tuple(ops[v] for v in live)
    assert SPACE.parse(pruned) == pruned
    assert SPACE.parse(SPACE.string(module)) == pruned


def test_all_forms_are_one_module():
    module = SPACE.parse(GOOD)
    assert module.matrix == tuple(map(tuple, MATRIX))
    assert module.ops == tuple(OPS)
    told = {"module_adjacency": MATRIX, "module_operations": OPS, "trainable_parameters": 1}
    forms = [
        (MATRIX, OPS),
        [MATRIX, OPS],
        (np.array(MATRIX, dtype=np.int8), np.array(OPS)),
        (np.array(MATRIX, dtype=bool), OPS),
        told,
        json.dumps(told),
        json.dumps([MATRIX, OPS]),
        SimpleNamespace(matrix=np.array(MATRIX), ops=OPS),
        GOOD,
    ]
    for form in forms:
        assert SPACE.parse(form) == module
        assert SPACE.string(form) == GOOD
        assert SPACE.canonical(form) == SPACE.canonical(GOOD)
        assert SPACE.graph(form) == SPACE.graph(GOOD)
    assert SPACE.string(SPACE.hash(GOOD)) == SPACE.canonical(GOOD)
    assert SPACE.hash(GOOD) in SPACE
    assert json.dumps(told) in SPACE
    assert (MATRIX, OPS) not in SPACE
    assert [] not in SPACE


def test_codes_are_a_module():
    assert SPACE.string({"n": 3, "adj": 7, "ops": 2}) == f"11_1+input+{POOL}+output"
    assert SPACE.string({"n": np.uint8(4), "adj": np.uint32(8 + 1), "ops": 1}) == "1+input+output", (
        "0>3, and 0>1 is pruned"
    )
    for code in zip(*(column[::9000] for column in by_code()), strict=True):
        arch = SPACE.string(dict(zip(("n", "adj", "ops"), code, strict=True)))
        assert arch == SPACE.canonical(arch)


def chosen_for(module):
    """Options that make a module: vertices but the last keep their numbers, unused ones hang at the input."""
    matrix, ops = module
    last = len(ops) - 1
    places = [*range(last), 6]
    chosen = {name: options[0] for name, options in SPACE.choices.items()}
    more = []
    for y in range(1, last + 1):
        first, *others = (x for x in range(y) if matrix[x][y])
        if places[y] > 1:
            chosen[f"source_{places[y]}"] = str(first)
        more += [f"{x}>{places[y]}" for x in others]
    chosen |= {f"more_{k}": edge for k, edge in enumerate(more, start=1)}
    return chosen | {f"operation_{x}": ops[x] for x in range(1, last)}


def test_choices_make_every_module_and_nothing_else():
    some = SPACE.sample(300, 0)
    sizes = {(len(ops), sum(map(sum, matrix))) for matrix, ops in map(SPACE.parse, some)}
    assert {(7, 9), (6, 9)} <= sizes
    dense = "1111_111_10_1+input+" + "+".join([C3] * 3) + "+output"
    for arch in [*some, SPACE.canonical(dense), "1+input+output"]:
        assert SPACE.canonical(SPACE.assemble(chosen_for(SPACE.parse(arch)))) == arch
    rng = np.random.default_rng(0)
    for _ in range(300):
        chosen = {name: str(rng.choice(options)) for name, options in SPACE.choices.items()}
        assert SPACE.assemble(chosen) in SPACE


def test_an_edge_too_many_is_left_out():
    chosen = {**{f"source_{y}": str(y - 1) for y in range(2, 7)}, **{f"operation_{x}": C3 for x in range(1, 6)}}
    more = ["0>2", "0>3", "0>4", "0>5", "0>6"]
    matrix, ops = SPACE.parse(SPACE.assemble({**chosen, **{f"more_{k}": e for k, e in enumerate(more, start=1)}}))
    assert matrix[0] == (0, 1, 1, 1, 1, 0, 0)
    assert sum(map(sum, matrix)) == 9
    assert ops == ("input", *[C3] * 5, "output")


def test_what_is_no_choice():
    with pytest.raises(InputError, match=r"source_2 has no option '2'; give one of 0, 1"):
        SPACE.assemble({name: options[0] for name, options in SPACE.choices.items()} | {"source_2": "2"})
    with pytest.raises(InputError, match=r"operation_5 has no option None; give one of conv3x3-bn-relu, conv1x1"):
        SPACE.assemble({name: options[0] for name, options in SPACE.choices.items() if name != "operation_5"})


class WithoutVariables(NasBench101):
    """The space as it is for a loop that knows no variables."""

    choices = None


def test_what_to_do_where_no_variables_make_every_module():
    objective = at.Objective(WithoutVariables(), ["parameters"], n=4)
    with pytest.raises(InputError, match=r"423,624 architectures are too many to list.*space.sample\(100, 0\)"):
        _ = objective.choices


def test_limits_hold_after_pruning():
    chain = np.eye(9, k=1, dtype=int)
    names = ["input", *[C1] * 7, "output"]
    with pytest.raises(InputError, match="at most 7 vertices, got 9 on paths from input to output; use fewer"):
        SPACE.parse((chain, names))
    chain[2, 3] = chain[4, 5] = 0
    chain[2, 5] = 1
    assert len(SPACE.parse((chain, names)).ops) == 7
    full = np.triu(np.ones((5, 5), dtype=int), 1)
    with pytest.raises(InputError, match="at most 9 edges, got 10"):
        SPACE.parse((full, ["input", C1, C1, C1, "output"]))
    full[1, 4] = full[2, 4] = full[3, 4] = 0
    assert SPACE.string((full, ["input", C1, C1, C1, "output"])) == "1+input+output"


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("", "string is empty; expected a string such as '101_10_1"),
        (None, "expected a module, got NoneType; give a string"),
        (3, "got int"),
        ([1], "got list"),
        (GOOD.encode(), "got bytes"),
        (" " + GOOD, "position 0, there is whitespace"),
        (GOOD + "\n", "position 48, there is whitespace"),
        ("101_10_1", "position 8, expected '+' and the 4 operations, found the end"),
        (GOOD.replace("101", "1O1"), "position 1, expected 0, 1, '_' or '+' in the rows of the matrix, found 'O'"),
        (GOOD.replace("101", "1٠1"), "position 1, expected 0, 1"),
        (GOOD.replace("101", "1011"), "position 0, row 0 of 4 vertices needs a digit for each later vertex, 3 in all"),
        (GOOD.replace("101_10_1", "101101"), "row 0 of 2 vertices needs a digit for each later vertex, 1 in all"),
        (GOOD.replace("_10_", "_1_"), "position 4, row 1 of 4 vertices needs"),
        (GOOD.replace("input", "Input"), "position 9, vertex 0 must be 'input', found 'Input'"),
        (GOOD.replace("output", "out"), "position 42, vertex 3 must be 'output', found 'out'"),
        (GOOD.replace(C3, "conv3x3"), "position 15, unknown operation 'conv3x3' of vertex 1.*Did you mean 'conv3x3-bn"),
        (GOOD.replace(C3, "input"), "unknown operation 'input' of vertex 1"),
        (GOOD.replace("+output", ""), "position 41, expected 4 operations, one a vertex, found 3"),
        (GOOD + "+output", "position 49, there is an operation too many, 'output'; the matrix has 4 rows"),
        ("0+input+output", "input of the module is not connected to its output; add a path"),
        (f"10_0+input+{C3}+output", "not connected"),
        ("f" * 32, "no module of NAS-Bench-101 has the hash"),
        ("0" * 32, "no module of NAS-Bench-101 has the hash"),
        ("{", "no JSON"),
        ("{}", "got an empty mapping; add 'module_adjacency'"),
        ('["1+input+output"]', "expected a module, got list"),
        ({"module_adjacency": MATRIX}, "add 'module_operations'"),
        (SimpleNamespace(matrix=None, ops=None), "ModelSpec is invalid: its input is not connected"),
        ((MATRIX, OPS[:3]), "a matrix of 4 vertices needs 4 operations, got 3"),
        ((MATRIX, "input"), "must be a list of names, got 'input'"),
        ((MATRIX[:3], OPS[:3]), "must be square, a row and column a vertex .* got shape \\(3, 4\\)"),
        (([[0, 1], [0]], ["input", "output"]), "must be square"),
        (([[0]], ["input"]), "must be square"),
        (([[0, 1], [1, 0]], ["input", "output"]), "must be upper triangular, but entry \\[1\\]\\[0\\] is 1; renumber"),
        (([[1, 1], [0, 0]], ["input", "output"]), "upper triangular, but entry \\[0\\]\\[0\\]"),
        (([[0, 2], [0, 0]], ["input", "output"]), "entry \\[0\\]\\[1\\] of the matrix must be 0 or 1, got 2; give"),
        (([[0, "1"], [0, 0]], ["input", "output"]), "must be 0 or 1, got"),
        (([[0, float("nan")], [0, 0]], ["input", "output"]), "must be 0 or 1, got nan"),
        ((MATRIX, ["input", "conv", POOL, "output"]), "bad operations: unknown operation 'conv' of vertex 1; known: "),
        ((MATRIX, ["input", None, POOL, "output"]), "unknown operation 'None'"),
        ((MATRIX, np.array([OPS, OPS]).T), "vertex 0 must be 'input', found"),
        ({"n": 8, "adj": 1, "ops": 0}, "the code 'n' of a module must be an integer from 2 to 7, got 8"),
        ({"n": True, "adj": 1, "ops": 0}, "'n' of a module must be an integer from 2 to 7, got True"),
        ({"n": 3, "adj": 8, "ops": 0}, "the code 'adj' of a module must be an integer from 0 to 7, got 8"),
        ({"n": 3, "adj": 5, "ops": 3}, "the code 'ops' of a module must be an integer from 0 to 2, got 3"),
        ({"n": 3, "adj": 5, "ops": None}, "the code 'ops' .* got None"),
    ],
)
def test_what_is_no_module_is_explained(arch, reason):
    with pytest.raises(InputError, match=reason.replace("'+'", "'\\+'")) as caught:
        SPACE.parse(arch)
    assert "\n" not in str(caught.value)
    assert arch not in SPACE
    for method in (SPACE.canonical, SPACE.graph, SPACE.hash, SPACE.size_metrics, SPACE.build, SPACE.build_thin):
        with pytest.raises(InputError):
            method(arch)


PIECES = st.sampled_from([*OPERATIONS, "input", "output", "+", "_", "0", "1", "10_1", "{", "[", "\n", "x"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)))
def test_a_string_is_a_module_or_refused(text):
    if text in SPACE:
        assert SPACE.canonical(text) in SPACE
    else:
        with pytest.raises(InputError):
            SPACE.parse(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60), st.integers(0, 3), PIECES | st.text(max_size=2))
def test_an_edit_is_read_as_written_or_refused(start, length, insert):
    edited = GOOD[:start] + insert + GOOD[start + length :]
    try:
        module = SPACE.parse(edited)
    except InputError:
        return
    assert len(module.ops) < 4 or SPACE.string(module) == edited


def test_sample():
    first = SPACE.sample(50, seed=1)
    assert len(set(first)) == 50
    assert first == SPACE.sample(50, 1, canonical=False)
    assert first[:20] == SPACE.sample(20, seed=1)
    assert first != SPACE.sample(50, seed=2)
    assert all(SPACE.canonical(arch) == arch for arch in first)
    with pytest.raises(InputError, match="0 to 423624 distinct modules, got n=423625"):
        SPACE.sample(423_625, seed=0)
    with pytest.raises(InputError, match="seed"):
        SPACE.sample(1, seed=-1)


def test_hashes_of_rows_are_found(everything):
    for row in [0, 1, SIZE // 2, SIZE - 2, SIZE - 1, *np.random.default_rng(3).integers(SIZE, size=300)]:
        assert SPACE.canonical(SPACE.hash(everything[row])) == everything[row]
    with pytest.raises(InputError, match="no module"):
        SPACE.parse(re.sub("4$", "5", SPACE.hash(everything[0])))


def test_graph_puts_operations_on_edges():
    assert [tuple(edge) for edge in SPACE.graph(GOOD).edges] == [(0, 1, 2), (0, 3, 1), (1, 2, 0), (2, 3, 0)]
    assert SPACE.graph("1+input+output").edges == ((0, 1, 1),)


@settings(max_examples=100, deadline=None)
@given(modules())
def test_depths_of_paths_are_convolutions_and_projections(module):
    matrix, ops = SPACE.parse(module)
    graph = slow.labelled(matrix, ops)
    paths = list(slow.nx.all_simple_paths(graph, 0, len(ops) - 1))
    depths = [1 + sum(ops[v].startswith("conv") for v in path) for path in paths]
    measured = metrics(SPACE.graph(module))
    assert measured["paths"] == len(paths)
    assert measured["total_depth"] == sum(depths)
    assert (measured["min_depth"], measured["max_depth"]) == (min(depths), max(depths))
    assert measured["longest_path"] == max(map(len, paths)) - 1
    assert measured["live_edges"] == graph.number_of_edges()


def test_graph_measures_of_a_sample(everything):
    table = graph_metrics(SPACE, everything[:300])
    assert list(table.index) == everything[:300]
    assert table["connected"].all()
    for arch in everything[:300:30]:
        assert table.loc[arch].drop("connected").to_dict() == metrics(SPACE.graph(arch))


def test_the_space_travels_to_workers():
    assert pickle.loads(pickle.dumps(SPACE)).canonical(GOOD) == SPACE.canonical(GOOD)
