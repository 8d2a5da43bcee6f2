from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.graphs.dag import METRICS, CellGraph, metrics
from automl_theory.graphs.many import MAX_NODES, MAX_WEIGHT, metrics_of_many
from automl_theory.graphs.table import CHUNK, graph_metrics
from automl_theory.spaces import space


def one_by_one(graphs: list[CellGraph]) -> np.ndarray:
    return np.array([list(metrics(graph).values()) for graph in graphs]).reshape(-1, len(METRICS))


def same(graphs: list[CellGraph]) -> bool:
    return np.array_equal(metrics_of_many(graphs), one_by_one(graphs), equal_nan=True)


@st.composite
def cells(draw) -> CellGraph:
    nodes = draw(st.integers(2, 9))
    weights = st.none() | st.integers(0, 3) | st.just(MAX_WEIGHT)
    edges = [(s, t, draw(weights)) for s, t in combinations(range(nodes), 2)]
    edges = [edge for edge in edges if edge[2] is not None]
    kernels = {(s, t): draw(st.integers(0, 9)) for s, t, _ in edges if draw(st.booleans())}
    return CellGraph(nodes, edges, kernels, [(s, t) for s, t, _ in edges if draw(st.integers(0, 3)) == 0])


@settings(max_examples=150, deadline=None)
@given(st.lists(cells(), max_size=8))
def test_many_cells_are_measured_as_each_alone(graphs):
    assert same(graphs)


@settings(max_examples=50, deadline=None)
@given(st.integers(10, MAX_NODES), st.integers(0, 2**32))
def test_larger_cells(nodes, seed):
    rng = np.random.default_rng(seed)
    edges = [(s, t) for s, t in combinations(range(nodes), 2) if rng.random() < 0.4]
    assert same([CellGraph(nodes, [(s, t, rng.integers(3)) for s, t in edges])] * 2)


def test_the_largest_numbers_stay_exact():
    pairs = list(combinations(range(MAX_NODES), 2))
    heaviest = CellGraph(MAX_NODES, [(s, t, MAX_WEIGHT) for s, t in pairs])
    assert metrics_of_many([heaviest])[0, 0] == 2 ** (MAX_NODES - 2)
    assert metrics_of_many([heaviest]).max() < 2**53
    beyond = [
        CellGraph(60, [(s, t, 1) for s, t in combinations(range(60), 2)]),
        CellGraph(3, [(0, 1, MAX_WEIGHT + 1), (1, 2, 10**30), (0, 2, 0)]),
    ]
    assert same([heaviest, *beyond, heaviest, CellGraph(2, [])])


@pytest.mark.parametrize("name", ["mlp_dag", "nas_bench_201"])
def test_whole_spaces(name):
    where = space(name)
    table = graph_metrics(where)
    graphs = [where.graph(arch) for arch in where]
    assert np.array_equal(table[list(METRICS)].to_numpy(), one_by_one(graphs), equal_nan=True)
    assert table["connected"].tolist() == [graph.connected for graph in graphs]


def test_a_sample_of_a_large_space_crosses_chunks():
    where = space("nas_bench_101")
    names = where.sample(CHUNK + 50, seed=0)
    table = graph_metrics(where, names)
    assert list(table.index) == names
    some = [*range(0, CHUNK, 97), *range(CHUNK - 3, CHUNK + 50)]
    graphs = [where.graph(names[row]) for row in some]
    assert np.array_equal(table[list(METRICS)].to_numpy()[some], one_by_one(graphs))


def test_no_cells_and_no_paths():
    assert metrics_of_many([]).shape == (0, len(METRICS))
    assert same([CellGraph(2, []), CellGraph(4, [(0, 1, 1), (2, 3, 1)]), CellGraph(2, [(0, 1, 0)])])


class Half:
    """A space that knows the graph of every second architecture."""

    def __iter__(self):
        return iter(["a", "b", "c"])

    def graph(self, arch):
        return None if arch == "b" else CellGraph(2, [(0, 1, 1)] if arch == "a" else [])


def test_rows_without_a_graph_stay_empty():
    table = graph_metrics(Half())
    assert table["paths"].tolist()[::2] == [1, 0]
    assert table.loc["b", list(METRICS)].isna().all()
    assert table["connected"].tolist() == [True, True, False]
