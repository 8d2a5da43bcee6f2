"""The 423,624 unique modules of NAS-Bench-101, and the order of their official hashes.

A module is upper-triangular adjacency and one operation an interior vertex, coded by three integers:

    vertices    2 to 7, input and output included
    bits        edge x > y is bit x + y (y - 1) / 2, the numbering of the official generator
    operations  base 3, the first interior vertex most significant: 0 conv3x3, 1 conv1x1, 2 maxpool3x3

Of all ways to number the vertices of one module (edges upwards, input first, output last) the representative has the
smallest `bits`, and among those the smallest `operations`: the module that the official generator meets first.

Representatives need no hash to be found: they are the labelings of each smallest adjacency that no automorphism makes
smaller.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_VERTICES = 7
MAX_EDGES = 9
KINDS = 3
SIZE = 423_624

Integers = NDArray[np.uint32]


class Modules(NamedTuple):
    """The codes of many modules, an array each."""

    vertices: Integers
    bits: Integers
    operations: Integers


def bit(source: int, target: int) -> int:
    """The number of the bit of edge source > target."""
    return source + target * (target - 1) // 2


@cache
def by_code() -> Modules:
    """All representatives by rising vertices, bits, operations."""
    parts = [_representatives(vertices) for vertices in range(2, MAX_VERTICES + 1)]
    return Modules(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _representatives(vertices: int) -> Modules:
    graphs = _full_graphs(vertices)
    least, moved = graphs.copy(), {}
    for places in _numberings(vertices):
        moved[places] = _renumbered(graphs, places)
        np.minimum(least, moved[places], out=least)
    own = least == graphs
    interior = vertices - 2
    digits = np.arange(KINDS**interior)[:, None] // KINDS ** np.arange(interior - 1, -1, -1) % KINDS
    smallest = np.tile(np.arange(KINDS**interior), (int(own.sum()), 1))
    for places, renumbered in moved.items():
        automorphic = renumbered[own] == graphs[own]
        codes = digits @ (KINDS ** (vertices - 2 - np.array(places[1:-1], dtype=int)))
        smallest[automorphic] = np.minimum(smallest[automorphic], codes)
    graph, operations = np.nonzero(smallest == np.arange(KINDS**interior))
    bits = graphs[own][graph]
    return Modules(np.full(len(bits), vertices, np.uint32), bits, operations.astype(np.uint32))


def _full_graphs(vertices: int) -> Integers:
    """Adjacencies with at most 9 edges in which every vertex but the output has a successor, but the input a source."""
    bits = np.arange(1 << vertices * (vertices - 1) // 2, dtype=np.uint32)
    keep = np.bitwise_count(bits) <= MAX_EDGES
    for vertex in range(vertices):
        into = sum(1 << bit(source, vertex) for source in range(vertex))
        out = sum(1 << bit(vertex, target) for target in range(vertex + 1, vertices))
        for mask in (into, out):
            if mask:
                keep &= (bits & np.uint32(mask)) != 0
    return bits[keep]


def _numberings(vertices: int) -> list[tuple[int, ...]]:
    """Every renumbering that leaves input and output in their places: vertex v becomes places[v]."""
    return [(0, *inner, vertices - 1) for inner in permutations(range(1, vertices - 1))]


def _renumbered(graphs: Integers, places: tuple[int, ...]) -> Integers:
    """The adjacencies after a renumbering; the largest integer where an edge would go downwards."""
    moved, allowed = np.zeros_like(graphs), np.ones(len(graphs), dtype=bool)
    for target in range(1, len(places)):
        for source in range(target):
            edge = graphs >> np.uint32(bit(source, target)) & np.uint32(1)
            if places[source] < places[target]:
                moved |= edge << np.uint32(bit(places[source], places[target]))
            else:
                allowed &= edge == 0
    return np.where(allowed, moved, np.uint32(np.iinfo(np.uint32).max))
