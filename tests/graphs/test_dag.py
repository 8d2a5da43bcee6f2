from __future__ import annotations

import math
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.errors import InputError
from automl_theory.graphs.dag import METRICS, CellGraph, Edge, metrics


@st.composite
def cells(draw, largest=6):
    nodes = draw(st.integers(2, largest))
    pairs = list(combinations(range(nodes), 2))
    weights = draw(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=len(pairs), max_size=len(pairs)))
    edges = [(*pair, weight) for pair, weight in zip(pairs, weights, strict=True) if weight is not None]
    kernels = {(s, t): draw(st.sampled_from([0, 1, 9])) for s, t, _ in edges if draw(st.booleans())}
    pooled = [(s, t) for s, t, _ in edges if draw(st.integers(0, 3)) == 0]
    return CellGraph(nodes, draw(st.permutations(edges)), kernels, pooled)


def all_paths(cell: CellGraph) -> list[list[tuple[int, int]]]:
    graph = nx.DiGraph([(s, t) for s, t, _ in cell.edges])
    graph.add_nodes_from(range(cell.nodes))
    return list(nx.all_simple_edge_paths(graph, 0, cell.nodes - 1))


@settings(max_examples=300, deadline=None)
@given(cells())
def test_metrics_equal_brute_force(cell):
    weight = {(s, t): w for s, t, w in cell.edges}
    paths = all_paths(cell)
    depths = [sum(weight[edge] for edge in path) for path in paths]
    found = metrics(cell)
    assert tuple(found) == METRICS
    assert all(isinstance(value, float) for value in found.values())
    on_paths = {edge for path in paths for edge in path}
    assert [(s, t) for s, t, _ in cell.live()] == [(s, t) for s, t, _ in cell.edges if (s, t) in on_paths]
    assert cell.connected == bool(paths)
    assert cell.depth_histogram() == {d: depths.count(d) for d in sorted(set(depths))}
    lengths = [len(path) for path in paths]
    assert cell.length_histogram() == {n: lengths.count(n) for n in sorted(set(lengths))}
    if not paths:
        return
    graph = nx.Graph(list(on_paths))
    mean = sum(depths) / len(paths)
    deep = sum(d > 0 for d in depths)
    spectrum = sorted(nx.adjacency_spectrum(graph).real)
    kernel = {(s, t): k for (s, t, _), k in zip(cell.edges, cell.kernels, strict=True)}
    pools = {(s, t) for (s, t, _), pooled in zip(cell.edges, cell.pooled, strict=True) if pooled}
    entries = [sum(kernel[edge] for edge in path) for path in paths]
    sharp = [k for k, path in zip(entries, paths, strict=True) if not pools.intersection(path)]
    expected = {
        "paths": len(paths),
        "effective_depth": mean,
        "effective_width": deep / mean if mean else 0,
        "total_depth": sum(depths),
        "min_depth": min(depths),
        "max_depth": max(depths),
        "shortest_path": min(lengths),
        "longest_path": max(lengths),
        "parameterised_edges": sum(weight[edge] > 0 for edge in on_paths),
        "live_edges": len(on_paths),
        "density": nx.density(graph),
        "algebraic_connectivity": sorted(nx.laplacian_spectrum(graph))[1],
        "spectral_gap": spectrum[-1] - spectrum[-2],
        "effective_kernel": sum(entries) / len(paths),
        "deepest_kernel": max(sharp, default=0),
        "unpooled_paths": len(sharp),
        "identity_paths": sharp.count(0),
    }
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_cell_by_hand():
    cell = CellGraph(4, [(0, 1, 1), (0, 2, 1), (1, 3, 0), (2, 3, 1), (0, 3, 0), (1, 2, 0)])
    # paths 0-1-3 (1), 0-2-3 (2), 0-3 (0), 0-1-2-3 (2)
    found = metrics(cell)
    assert cell.depth_histogram() == {0: 1, 1: 1, 2: 2}
    assert (found["paths"], found["total_depth"], found["effective_depth"]) == (4, 5, 1.25)
    assert found["effective_width"] == 3 / 1.25
    assert (found["min_depth"], found["max_depth"]) == (0, 2)
    assert (found["shortest_path"], found["longest_path"]) == (1, 3)
    assert found["density"] == 1.0
    assert found["algebraic_connectivity"] == pytest.approx(4)
    assert found["spectral_gap"] == pytest.approx(4)


def test_dead_edges_do_not_count():
    cell = CellGraph(5, [(0, 1, 1), (0, 2, 1), (3, 4, 1), (1, 4, 0)])
    assert cell.live() == (Edge(0, 1, 1), Edge(1, 4, 0))
    assert metrics(cell) == metrics(CellGraph(5, cell.live()))
    assert metrics(cell)["density"] == 2 / 3


def test_disconnected_cell():
    found = metrics(CellGraph(4, [(0, 1, 1), (2, 3, 1)]))
    zeros = {
        *("paths", "total_depth", "parameterised_edges", "live_edges", "algebraic_connectivity"),
        *("unpooled_paths", "identity_paths"),
    }
    assert {name for name, value in found.items() if value == 0} == zeros
    assert {name for name, value in found.items() if math.isnan(value)} == set(METRICS) - zeros
    assert not CellGraph(2, []).connected
    assert CellGraph(2, []).depth_histogram() == {}


def test_smallest_cell_and_no_layers():
    found = metrics(CellGraph(2, [(0, 1, 0)]))
    assert (found["effective_depth"], found["effective_width"], found["paths"]) == (0, 0, 1)
    assert found["spectral_gap"] == pytest.approx(2)


def test_counts_stay_exact_where_enumeration_is_hopeless():
    nodes = 80
    complete = CellGraph(nodes, [(s, t, 1) for s, t in combinations(range(nodes), 2)])
    histogram = complete.depth_histogram()
    assert histogram == {d: math.comb(nodes - 2, d - 1) for d in range(1, nodes)}
    assert sum(histogram.values()) == 2 ** (nodes - 2)
    assert metrics(complete)["effective_depth"] == pytest.approx((nodes - 2) / 2 + 1)


def test_relabelling_inner_nodes_keeps_the_metrics():
    a = CellGraph(5, [(0, 1, 1), (0, 2, 0), (1, 4, 0), (2, 3, 1), (3, 4, 1)])
    b = CellGraph(5, [(0, 3, 1), (0, 1, 0), (3, 4, 0), (1, 2, 1), (2, 4, 1)])
    assert metrics(a) == pytest.approx(metrics(b))


@pytest.mark.parametrize(
    ("nodes", "edges", "reason"),
    [
        (1, [], "input and an output node, got nodes=1; give 2 or more"),
        (2.0, [], "got nodes=2.0; give 2 or more"),
        (3, [(0, 1)], r"three integers \(source, target, weight\), got \(0, 1\); give all three"),
        (3, [(0, 1, 0.5)], "three integers"),
        (3, ["012"], "three integers"),
        (3, [7], "three integers"),
        (3, [(1, 0, 1)], "lower to a higher node of 0..2; swap its ends or renumber nodes"),
        (3, [(0, 0, 1)], "lower to a higher"),
        (3, [(0, 3, 1)], "0..2"),
        (3, [(-1, 2, 1)], "0..2"),
        (3, [(0, 2, -1)], "negative number of trainable layers; give a weight of 0 or more"),
        (3, [(0, 2, 1), (0, 2, 0)], "more than one edge; merge them"),
    ],
)
def test_bad_cells_are_refused(nodes, edges, reason):
    with pytest.raises(InputError, match=reason):
        CellGraph(nodes, edges)


def test_kernels_and_poolings_of_a_cell_by_hand():
    edges = [(0, 1, 1), (1, 2, 0), (0, 2, 0)]
    found = metrics(CellGraph(3, edges, kernels={(0, 1): 9}, pooled=[(1, 2)]))
    assert found["effective_kernel"] == 9 / 2
    assert (found["deepest_kernel"], found["unpooled_paths"], found["identity_paths"]) == (0, 1, 1)
    told = metrics(CellGraph(3, edges))
    assert (told["effective_kernel"], told["deepest_kernel"], told["unpooled_paths"]) == (1 / 2, 1, 2)


@pytest.mark.parametrize(
    ("kernels", "pooled", "reason"),
    [
        ({(0, 2): 9}, [], r"\(0, 2\) is no edge; give kernels and poolings of the cell's edges"),
        ({}, [(1, 0)], r"\(1, 0\) is no edge"),
        ({(0, 1): -1}, [], "a kernel has a negative number of entries"),
        ({(0, 1): 2.5}, [], r"entries of a kernel are counted; give kernels=.*, integers"),
        ({(0, 1): "9"}, [], "entries of a kernel are counted"),
    ],
)
def test_kernels_and_poolings_are_of_edges(kernels, pooled, reason):
    with pytest.raises(InputError, match=reason):
        CellGraph(3, [(0, 1, 1), (1, 2, 0)], kernels, pooled)


def test_numbers_of_numpy_are_numbers():
    edges = np.array([[0, 1, 1], [1, 2, 0]])
    assert CellGraph(np.int64(3), edges) == CellGraph(3, [(0, 1, 1), (1, 2, 0)])
    assert type(CellGraph(np.int64(3), edges).edges[0].weight) is int


def test_a_result_can_be_changed_without_harm():
    cell = CellGraph(2, [(0, 1, 1)])
    metrics(cell)["paths"] = -1.0
    assert metrics(cell)["paths"] == 1
    assert hash(cell) == hash(CellGraph(2, (Edge(0, 1, 1),)))
    assert np.isfinite(list(metrics(cell).values())).all()
