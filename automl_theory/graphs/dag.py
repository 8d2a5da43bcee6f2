"""A cell as a directed acyclic graph, and what its input-output paths look like.

Node 0 is the input, node `nodes - 1` the output. Each edge carries a number of trainable layers (1 for a convolution or
a linear map, 0 for a skip or a pooling); an edge that passes nothing (`none`, `zero`) is absent. With P paths p and d_p
trainable layers on path p, Chen, Huang, Gong, Hanin, Wang ("Deep Architecture Connectivity Matters for Its
Convergence", NeurIPS 2022) define

    effective depth   d = sum_p d_p / P
    effective width   m = #{p : d_p > 0} / d

Two more things may be told of an edge, for those measures that tell a 3×3 convolution from a 1×1 one, and a pooling
from a skip: how many entries its kernels have, k_e (9 for a 3×3 convolution, 1 for a 1×1 one or a linear map, summed
over an edge's layers; without being told, the number of layers), and whether it pools.

No path is enumerated: poly_t(z) = sum over edges s -> t of z^weight poly_s(z), poly_0 = 1, is the generating function
of the depths of the paths into t, so that P = poly(1) and sum_p d_p = poly'(1). Counts are exact Python integers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import index
from typing import NamedTuple

import numpy as np

from automl_theory.errors import InputError

METRICS = (
    "paths",
    "effective_depth",
    "effective_width",
    "total_depth",
    "min_depth",
    "max_depth",
    "shortest_path",
    "longest_path",
    "parameterised_edges",
    "live_edges",
    "density",
    "algebraic_connectivity",
    "spectral_gap",
    "effective_kernel",
    "deepest_kernel",
    "unpooled_paths",
    "identity_paths",
)


ZERO_IF_DISCONNECTED = (
    *("paths", "total_depth", "parameterised_edges", "live_edges", "algebraic_connectivity"),
    *("unpooled_paths", "identity_paths"),
)


class Edge(NamedTuple):
    """`source` -> `target` with `weight` trainable layers (1 convolution or linear, 0 skip or pooling)."""

    source: int
    target: int
    weight: int


@dataclass(frozen=True)
class CellGraph:
    """A cell with nodes 0 (input) to `nodes - 1` (output); edges go from a lower to a higher node, at most one a pair.

    `edges` takes any iterable of (source, target, weight), integers; `kernels` maps (source, target) to entries of
    kernels, where that is not the weight; `pooled` are the pairs of edges that pool. As attributes both are tuples in
    the order of the edges. Errors: InputError for fewer than two nodes, an edge that is something else, leaves the
    range or does not go upwards, a repeated pair, a negative weight, or kernels and poolings of no edge. No edges at
    all is a valid, disconnected cell.
    """

    nodes: int
    edges: tuple[Edge, ...]
    kernels: tuple[int, ...]
    pooled: tuple[bool, ...]

    def __init__(
        self,
        nodes: int,
        edges: Iterable[tuple[int, int, int]],
        kernels: Mapping[tuple[int, int], int] | None = None,
        pooled: Collection[tuple[int, int]] = (),
    ) -> None:
        if not isinstance(nodes, int | np.integer) or nodes < 2:
            raise InputError(f"a cell needs an input and an output node, got nodes={nodes!r}; give 2 or more")
        object.__setattr__(self, "nodes", int(nodes))
        object.__setattr__(self, "edges", tuple(map(_edge, edges)))
        for edge in self.edges:
            if not 0 <= edge.source < edge.target < nodes:
                raise InputError(
                    f"{edge} must go from a lower to a higher node of 0..{nodes - 1}; swap its ends or renumber nodes"
                )
            if edge.weight < 0:
                raise InputError(f"{edge} has a negative number of trainable layers; give a weight of 0 or more")
        if len({(edge.source, edge.target) for edge in self.edges}) < len(self.edges):
            raise InputError("a pair of nodes has more than one edge; merge them or add a node")
        known = kernels or {}
        object.__setattr__(self, "kernels", _entries_of(known.get((s, t), weight) for s, t, weight in self.edges))
        object.__setattr__(self, "pooled", tuple((s, t) in pooled for s, t, _ in self.edges))
        if known or pooled:
            pairs = {(s, t) for s, t, _ in self.edges}
            strangers = [pair for pair in (*known, *pooled) if pair not in pairs]
            if strangers or min(self.kernels) < 0:
                what = f"{strangers[0]} is no edge" if strangers else "a kernel has a negative number of entries"
                raise InputError(f"{what}; give kernels and poolings of the cell's edges, and numbers of 0 or more")

    def live(self) -> tuple[Edge, ...]:
        """Return the edges that lie on a path from input to output, in the order of `edges`."""
        forward, backward = {0}, {self.nodes - 1}
        by_source = sorted(self.edges)
        for source, target, _ in by_source:
            if source in forward:
                forward.add(target)
        for source, target, _ in reversed(by_source):
            if target in backward:
                backward.add(source)
        return tuple(edge for edge in self.edges if edge.source in forward and edge.target in backward)

    def operations(self) -> tuple[tuple[int, int, int, bool], ...]:
        """Return (source, target, entries of kernels, whether it pools) of the edges of `live`, in their order."""
        live = set(self.live())
        told = zip(self.edges, self.kernels, self.pooled, strict=True)
        return tuple((edge.source, edge.target, kernel, pools) for edge, kernel, pools in told if edge in live)

    @property
    def connected(self) -> bool:
        """Whether any path leads from input to output."""
        return bool(self.live())

    def depth_histogram(self) -> dict[int, int]:
        """Return {d: number of input-output paths with d trainable layers}, by rising d; {} for a disconnected cell."""
        return _histogram(self.nodes, self.live())

    def length_histogram(self) -> dict[int, int]:
        """Return {l: number of input-output paths of l edges}, by rising l; {} for a disconnected cell."""
        return _histogram(self.nodes, tuple(Edge(s, t, 1) for s, t, _ in self.live()))


def _entries_of(kernels: Iterable[int]) -> tuple[int, ...]:
    try:
        return tuple(map(index, kernels))
    except TypeError:
        raise InputError("the entries of a kernel are counted; give kernels={(source, target): 9}, integers") from None


def _edge(edge: tuple[int, int, int]) -> Edge:
    try:
        return _integers(*edge)
    except (TypeError, ValueError):
        raise InputError(f"an edge is three integers (source, target, weight), got {edge!r}; give all three") from None


@lru_cache(maxsize=1 << 12, typed=True)
def _integers(source: int, target: int, weight: int) -> Edge:
    """One object for each edge that occurs: the cells of a space have few, and a space has many cells."""
    return Edge(index(source), index(target), index(weight))


def metrics(graph: CellGraph) -> dict[str, float]:
    """Measure the live part of a cell (edges on input-output paths); one float for each name of `METRICS`.

    paths                   P
    effective_depth         sum_p d_p / P: the mean depth of a path, d of Chen et al. 2022
    effective_width         #{p : d_p > 0} / d, their m; 0 where d = 0
    total_depth             sum_p d_p
    min_depth, max_depth    fewest and most trainable layers on a path
    shortest_path, longest_path   fewest and most edges on a path
    parameterised_edges     live edges with a trainable layer
    live_edges              live edges
    density                 live edges / (v (v - 1) / 2), v live nodes
    algebraic_connectivity  second smallest eigenvalue of the Laplacian of the undirected, unweighted live graph
    spectral_gap            largest minus second largest eigenvalue of its adjacency matrix
    effective_kernel        sum_p k_p / P, k_p the sum of the kernels' entries on path p: trained numbers on a path for
                            one channel in and out
    deepest_kernel          max of k_p over the paths that do not pool, 0 if all pool
    unpooled_paths          paths that do not pool
    identity_paths          of these, those without a kernel's entry: skips alone

    A disconnected cell has 0 for what is counted or summed (`ZERO_IF_DISCONNECTED`) and
    for algebraic_connectivity (no way from input to output), and nan for what only a path or a live node could define.
    """
    return dict(zip(METRICS, _measure(graph.nodes, graph.live(), graph.operations()), strict=True))


def _histogram(nodes: int, live: tuple[Edge, ...]) -> dict[int, int]:
    polynomials: list[dict[int, int]] = [{} for _ in range(nodes)]
    polynomials[0] = {0: 1}
    for source, target, weight in sorted(live):
        into = polynomials[target]
        for depth, count in polynomials[source].items():
            into[depth + weight] = into.get(depth + weight, 0) + count
    return dict(sorted(polynomials[-1].items()))


@lru_cache(maxsize=1 << 16)
def _measure(
    nodes: int, live: tuple[Edge, ...], operations: tuple[tuple[int, int, int, bool], ...]
) -> tuple[float, ...]:
    if not live:
        return tuple(0.0 if name in ZERO_IF_DISCONNECTED else math.nan for name in METRICS)
    depths = _histogram(nodes, live)
    lengths = _histogram(nodes, tuple(Edge(source, target, 1) for source, target, _ in live))
    paths = sum(depths.values())
    total = sum(depth * count for depth, count in depths.items())
    deep = paths - depths.get(0, 0)
    vertices, algebraic, gap = _spectra(tuple((source, target) for source, target, _ in live))
    return (
        float(paths),
        total / paths,
        deep * paths / total if total else 0.0,
        float(total),
        float(min(depths)),
        float(max(depths)),
        float(min(lengths)),
        float(max(lengths)),
        float(sum(edge.weight > 0 for edge in live)),
        float(len(live)),
        2 * len(live) / (vertices * (vertices - 1)),
        algebraic,
        gap,
        _entries(nodes, operations) / paths,
        *_unpooled(nodes, operations),
    )


def _entries(nodes: int, operations: tuple[tuple[int, int, int, bool], ...]) -> int:
    """sum_p k_p."""
    paths, total = [1] + [0] * (nodes - 1), [0] * nodes
    for source, target, kernel, _ in sorted(operations):
        paths[target] += paths[source]
        total[target] += total[source] + kernel * paths[source]
    return total[-1]


def _unpooled(nodes: int, operations: tuple[tuple[int, int, int, bool], ...]) -> tuple[float, float, float]:
    """Of the paths that do not pool: the most entries on one, how many they are, how many have none."""
    most, paths, empty = ([start] + [0] * (nodes - 1) for start in (0, 1, 1))
    for source, target, kernel, pools in sorted(operations):
        if not pools and paths[source]:
            most[target] = max(most[target], most[source] + kernel)
            paths[target] += paths[source]
            empty[target] += empty[source] if kernel == 0 else 0
    return float(most[-1]), float(paths[-1]), float(empty[-1])


@lru_cache(maxsize=1 << 16)
def _spectra(pairs: tuple[tuple[int, int], ...]) -> tuple[int, float, float]:
    """Return the number of nodes, the algebraic connectivity and the adjacency gap of the undirected graph of
    `pairs`."""
    index = {node: k for k, node in enumerate(sorted({node for pair in pairs for node in pair}))}
    adjacency = np.zeros((len(index), len(index)))
    for source, target in pairs:
        adjacency[index[source], index[target]] = adjacency[index[target], index[source]] = 1.0
    laplacian = np.diag(adjacency.sum(axis=0)) - adjacency
    spectrum = np.linalg.eigvalsh(adjacency)
    return len(index), float(np.linalg.eigvalsh(laplacian)[1]), float(spectrum[-1] - spectrum[-2])
