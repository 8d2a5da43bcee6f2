"""Which NAS-Bench-201 cells are one and the same function: 5,260 classes of 15,625 strings.

The value of a node is written as a multiset of terms:

    skip edge       adds the terms of its source
    none            adds nothing
    pooling edge    adds one term pool(terms of its source); two poolings of equal terms are equal
    convolution     adds one term conv_i(terms of its source) with an identity i: one convolution that arrives twice is
                    twice the same value, two convolutions of one input are not

Edges off every input-output path are dropped first. Two cells are one class iff the multisets of their output nodes
are equal up to a renaming of the convolutions; then equal weights on corresponding convolutions give equal outputs.
(Pooling is linear, but pool(a + b) is not written as pool(a) + pool(b).)

One reservation: a dead convolution that reads a node without input adds its BN bias to a live node. That bias is 0 at
initialisation; a trained network of the string may differ there from one of its live part.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, permutations, product
from typing import Any

Operations = tuple[str, ...]
Expression = tuple[Any, ...]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")


def live_part(operations: Operations) -> Operations:
    """Set every edge that is on no input-output path to `none`."""
    forward, backward = {0}, {3}
    for (source, target), operation in zip(EDGES, operations, strict=True):
        if operation != "none" and source in forward:
            forward.add(target)
    for (source, target), operation in zip(reversed(EDGES), reversed(operations), strict=True):
        if operation != "none" and target in backward:
            backward.add(source)
    return tuple(
        operation if source in forward and target in backward else "none"
        for (source, target), operation in zip(EDGES, operations, strict=True)
    )


def node_expressions(operations: Operations, labels: dict[int, int]) -> list[Expression]:
    """Return the multiset of terms of each node, a sorted tuple; edge e's convolution is called labels.get(e, 0)."""
    values: list[list[Expression]] = [[(0,)], [], [], []]
    frozen: list[Expression] = []
    for target in range(4):
        for edge, (source, end) in enumerate(EDGES):
            operation = operations[edge]
            if end != target or operation == "none":
                continue
            if operation == "skip_connect":
                values[target].extend(frozen[source])
            elif operation == "avg_pool_3x3":
                values[target].append((1, frozen[source]))
            else:
                kind = CONVOLUTIONS.index(operation)
                values[target].append((2, kind, labels.get(edge, 0), frozen[source]))
        frozen.append(tuple(sorted(values[target])))
    return frozen


def signature(live: Operations) -> tuple[Expression, tuple[int, ...]]:
    """Return the canonical output expression of a live part, and its convolution edges in the order of their labels.

    Convolutions are first grouped by what tells them apart without names (kind and unnamed source expression, which any
    renaming keeps); of all ways to number them group by group the one with the smallest expression is taken.
    """
    unnamed = node_expressions(live, {})
    keys = {
        edge: (CONVOLUTIONS.index(operation), unnamed[EDGES[edge][0]])
        for edge, operation in enumerate(live)
        if operation in CONVOLUTIONS
    }
    groups = [list(group) for _, group in groupby(sorted(keys, key=keys.__getitem__), key=keys.__getitem__)]
    best: tuple[Expression, tuple[int, ...]] | None = None
    for orders in product(*(permutations(group) for group in groups)):
        edges = tuple(edge for order in orders for edge in order)
        output = node_expressions(live, {edge: label for label, edge in enumerate(edges)})[-1]
        if best is None or output < best[0]:
            best = (output, edges)
    assert best is not None
    return best


def classes(cells: Iterable[Operations]) -> dict[Operations, Operations]:
    """Map each cell to the live part of the first cell (in the order given) of its class."""
    first: dict[Expression, Operations] = {}
    by_live: dict[Operations, Operations] = {}
    found: dict[Operations, Operations] = {}
    for cell in cells:
        live = live_part(cell)
        if live not in by_live:
            by_live[live] = first.setdefault(signature(live)[0], live)
        found[cell] = by_live[live]
    return found
