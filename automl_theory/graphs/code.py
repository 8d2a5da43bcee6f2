"""The string code of a cell whose every edge is zero, skip or linear: `2_02_002` (Chen, Huang & Wang, AutoML 2023).

Group t (from 1, joined by `_`) has t digits: the operations of the edges from node 0, 1, … t - 1 into node t.

    0  zero     no edge
    1  skip     the identity
    2  linear   a linear map and a ReLU

Node 0 is the input of the cell, node H (the number of groups) its output; a node is the sum of its incoming edges.
`2_02_002` is the chain 0 → 1 → 2 → 3 of three linear edges, `2_22_222` has all six.
"""

from __future__ import annotations

from collections.abc import Iterable

from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph

ZERO, SKIP, LINEAR = 0, 1, 2
MEANING = "0 zero, 1 skip, 2 linear"

Code = tuple[tuple[int, ...], ...]


def parse_code(code: str, nodes: int | None = None) -> Code:
    """Return the operations into node 1, 2, … of a code: "2_02_002" gives ((2,), (0, 2), (0, 0, 2)).

    nodes  the number H of groups that the code must have; None takes any of at least 1.

    Errors: InputError with the position (counted from 0) and the reason.
    """
    expected = "'2_02_002'" if nodes is None else repr(code_string((LINEAR,) * t for t in range(1, nodes + 1)))
    if not isinstance(code, str):
        raise InputError(f"expected an architecture string such as {expected}, got {type(code).__name__}")
    if not code:
        raise InputError(f"the architecture string is empty; expected one such as {expected}")
    shown = code if len(code) <= 120 else code[:117] + "..."
    groups, position = code.split("_"), 0
    for t, group in enumerate(groups, 1):
        if nodes is not None and t > nodes:
            raise _bad(shown, position - 1, f"there is trailing text {code[position - 1 :][:40]!r}; {_groups(nodes)}")
        for offset, digit in enumerate(group[:t]):
            if digit not in "012":
                raise _bad(shown, position + offset, f"unknown operation {digit!r}; known: {MEANING}")
        if len(group) < t:
            where = position + len(group)
            found = repr(code[where]) if where < len(code) else "the end"
            raise _bad(shown, where, f"expected edge {len(group)}>{t} (node {t} has {_edges(t)}), found {found}")
        if len(group) > t:
            reason = f"expected '_' or the end after the {_edges(t)} of node {t}, found {group[t]!r}"
            raise _bad(shown, position + t, reason)
        position += t + 1
    if nodes is not None and len(groups) < nodes:
        reason = f"expected '_' and the edges into node {len(groups) + 1}, found the end; {_groups(nodes)}"
        raise _bad(shown, len(code), reason)
    return tuple(tuple(map(int, group)) for group in groups)


def code_string(groups: Iterable[Iterable[int]]) -> str:
    """Return the code of operations as `parse_code` gives them; its inverse."""
    return "_".join("".join(map(str, group)) for group in groups)


def code_graph(code: Code) -> CellGraph:
    """Return the cell of a parsed code: weight 1 for a linear edge, 0 for a skip; a zero is no edge."""
    return CellGraph(
        len(code) + 1,
        (
            (source, target, int(operation == LINEAR))
            for target, group in enumerate(code, 1)
            for source, operation in enumerate(group)
            if operation != ZERO
        ),
    )


def graph_code(graph: CellGraph) -> Code:
    """Return the code of a cell whose edges have weight 0 (skip) or 1 (linear); the inverse of `code_graph`."""
    groups = [[ZERO] * t for t in range(1, graph.nodes)]
    for source, target, weight in graph.edges:
        if weight > 1:
            raise InputError(f"edge {source}>{target} has {weight} trainable layers; an edge of a code has 0 or 1")
        groups[target - 1][source] = LINEAR if weight else SKIP
    return tuple(map(tuple, groups))


def _edges(count: int) -> str:
    return "1 edge" if count == 1 else f"{count} edges"


def _groups(nodes: int) -> str:
    return f"a cell of {nodes} nodes after the input has {nodes} groups"


def _bad(shown: str, position: int, reason: str) -> InputError:
    return InputError(f"bad architecture {shown!r}: at position {position}, {reason}")
