"""The measures of `graphs.dag` for many cells at once, in numpy, equal bit for bit to those of one.

Cells of equally many nodes are stacked, W[b, s, t] = 1 + weight of edge s -> t of cell b, 0 where there is none. Node
by node in rising order, over all cells together,

    P_t = Σ_s P_s               paths into t
    T_t = Σ_s T_s + w_st P_s    layers on them
    Z_t = Σ_{s: w_st = 0} Z_s   paths without a layer
    K_t = Σ_s K_s + k_st P_s    entries of kernels on them; paths that do not pool likewise
    min, max of depths and lengths likewise

over the live edges s -> t. Spectra are computed once a graph that occurs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from automl_theory.graphs.dag import METRICS, ZERO_IF_DISCONNECTED, CellGraph, metrics

MAX_NODES, MAX_WEIGHT = 24, 2**20
"""Up to here every integer below 2^53, so that int64 and float64 are exact; larger cells are measured one by one."""

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


def metrics_of_many(graphs: Sequence[CellGraph]) -> Numbers:
    """Return the values of `metrics` for each cell, (cells, len(METRICS)) in the order of `METRICS`.

    A disconnected cell has 0 and nan where `metrics` has them. No cells: an array with no rows.
    """
    rows = np.empty((len(graphs), len(METRICS)))
    by_nodes: dict[int, list[int]] = {}
    for row, graph in enumerate(graphs):
        if (
            graph.nodes <= MAX_NODES
            and max((*graph.kernels, *(edge[2] for edge in graph.edges)), default=0) <= MAX_WEIGHT
        ):
            by_nodes.setdefault(graph.nodes, []).append(row)
        else:
            rows[row] = list(metrics(graph).values())
    for nodes, members in by_nodes.items():
        some = [graphs[row] for row in members]
        rows[members] = _measured(*_stacked(nodes, some))
    return rows


def _stacked(nodes: int, graphs: Sequence[CellGraph]) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """W, the kernels' entries, and which edges pool, each (cells, nodes, nodes)."""
    counts = [len(graph.edges) for graph in graphs]
    edges = np.array([number for graph in graphs for edge in graph.edges for number in edge], dtype=np.int64)
    sources, targets, weights = edges.reshape(-1, 3).T
    where = np.repeat(np.arange(len(graphs)), counts), sources, targets
    stacked, kernels = np.zeros((2, len(graphs), nodes, nodes), dtype=np.int64)
    pooled = np.zeros((len(graphs), nodes, nodes), dtype=bool)
    stacked[where] = weights + 1
    kernels[where] = [kernel for graph in graphs for kernel in graph.kernels]
    pooled[where] = [pools for graph in graphs for pools in graph.pooled]
    return stacked, kernels, pooled


def _measured(stacked: Integers, kernels: Integers, pooled: NDArray[np.bool_]) -> Numbers:
    live = _live(stacked > 0)
    _, entries, _ = _sums(live, kernels)
    sharp = _live(live & ~pooled)
    unpooled, _, identities = _sums(sharp, kernels)
    _, deepest_kernel = _extremes(sharp, kernels)
    weights = np.where(live, stacked - 1, 0)
    paths, total, shallow = _sums(live, weights)
    steps = live.astype(np.int64)
    shallowest, deepest = _extremes(live, weights)
    shortest, longest = _extremes(live, steps)
    vertices, algebraic, gap = _spectra(live)
    edges = live.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "paths": paths,
            "effective_depth": total / paths,
            "effective_width": np.where(total > 0, (paths - shallow) * paths / total, 0.0),
            "total_depth": total,
            "min_depth": shallowest,
            "max_depth": deepest,
            "shortest_path": shortest,
            "longest_path": longest,
            "parameterised_edges": (weights > 0).sum(axis=(1, 2)),
            "live_edges": edges,
            "density": 2 * edges / (vertices * (vertices - 1)),
            "algebraic_connectivity": algebraic,
            "spectral_gap": gap,
            "effective_kernel": entries / paths,
            "deepest_kernel": np.where(unpooled > 0, deepest_kernel, 0),
            "unpooled_paths": unpooled,
            "identity_paths": identities,
        }
    rows = np.column_stack([values[name].astype(float) for name in METRICS])
    rows[edges == 0] = [0.0 if name in ZERO_IF_DISCONNECTED else np.nan for name in METRICS]
    return rows


def _live(present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The edges on a path from the first node to the last."""
    cells, nodes, _ = present.shape
    forward, backward = np.zeros((2, cells, nodes), dtype=bool)
    forward[:, 0] = backward[:, -1] = True
    for node in range(1, nodes):
        forward[:, node] = (forward & present[:, :, node]).any(axis=1)
    for node in range(nodes - 2, -1, -1):
        backward[:, node] = (backward & present[:, node]).any(axis=1)
    return present & forward[:, :, None] & backward[:, None, :]


def _sums(live: NDArray[np.bool_], weights: Integers) -> tuple[Integers, Integers, Integers]:
    """P, T and Z of the last node."""
    paths, total, shallow = np.zeros((3, *live.shape[:2]), dtype=np.int64)
    paths[:, 0] = shallow[:, 0] = 1
    for node in range(1, live.shape[1]):
        into = live[:, :, node]
        paths[:, node] = (paths * into).sum(axis=1)
        total[:, node] = (total * into + paths * weights[:, :, node]).sum(axis=1)
        shallow[:, node] = (shallow * (into & (weights[:, :, node] == 0))).sum(axis=1)
    return paths[:, -1], total[:, -1], shallow[:, -1]


def _extremes(live: NDArray[np.bool_], weights: Integers) -> tuple[Integers, Integers]:
    """The least and the largest sum of weights on a path to the last node."""
    least, most = np.zeros((2, *live.shape[:2]), dtype=np.int64)
    far = np.int64(2**60)
    for node in range(1, live.shape[1]):
        into = live[:, :node, node]
        least[:, node] = np.where(into, least[:, :node] + weights[:, :node, node], far).min(axis=1)
        most[:, node] = np.where(into, most[:, :node] + weights[:, :node, node], -far).max(axis=1)
    return least[:, -1], most[:, -1]


def _spectra(live: NDArray[np.bool_]) -> tuple[Integers, Numbers, Numbers]:
    """Live nodes, algebraic connectivity and adjacency gap of every cell; 0 where nothing is live."""
    packed = np.packbits(live.reshape(len(live), -1), axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, occurrence = np.unique(keys, return_index=True, return_inverse=True)
    adjacency = (live[first] | live[first].transpose(0, 2, 1)).astype(float)
    of_graph: NDArray[np.bool_] = adjacency.sum(axis=2) > 0
    vertices = of_graph.sum(axis=1)
    algebraic, gap = np.zeros((2, len(first)))
    for size in np.unique(vertices[vertices > 0]).tolist():
        chosen = vertices == size
        kept = np.nonzero(of_graph[chosen])[1].reshape(-1, size)
        some = np.take_along_axis(adjacency[chosen], kept[:, :, None], axis=1)
        some = np.take_along_axis(some, kept[:, None, :], axis=2)
        laplacian = np.eye(size) * some.sum(axis=2)[:, None, :] - some
        spectrum = np.linalg.eigvalsh(some)
        algebraic[chosen] = np.linalg.eigvalsh(laplacian)[:, 1]
        gap[chosen] = spectrum[:, -1] - spectrum[:, -2]
    return vertices[occurrence], algebraic[occurrence], gap[occurrence]
