"""Which MLP cells can be computed at once: the members of a class, some at a time; and several cells in one network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automl_theory.errors import InputError
from automl_theory.graphs.code import code_graph, parse_code
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.mlp_dag_classes import Matrix, live_part, signature, units

if TYPE_CHECKING:
    import torch

    from automl_theory.networks.mlp_stack import MlpStack

Edge = tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Cells of one class.

    reads    what each unit reads, see `networks.mlp_stack.MlpStack`
    codes    the members
    edges    of each member, its live linear edges in the order of the units after the stem
    """

    reads: Matrix
    codes: tuple[str, ...]
    edges: tuple[tuple[Edge, ...], ...]

    def distinct(self) -> dict[str, str]:
        """Map each code to the first one with the same linear edges.

        Their weights have the same names, so for one seed the two are the same network with the same weights, and stay
        it in training.
        """
        first: dict[tuple[Edge, ...], str] = {}
        return {code: first.setdefault(edges, code) for code, edges in zip(self.codes, self.edges, strict=True)}


def groups(codes: Iterable[str]) -> list[Group]:
    """Gather codes (of one number of nodes) by class, classes in the order of their first member.

    Errors: InputError for a bad code, or a disconnected cell, which computes nothing.
    """
    found: dict[object, list[tuple[str, tuple[Edge, ...]]]] = {}
    for code in codes:
        key, edges = signature(parse_code(code))
        found.setdefault(key, []).append((code, edges))
    result = []
    for members in found.values():
        first, canonical = members[0]
        linear, reads = units(live_part(parse_code(first)))
        if not any(reads[-1]):
            raise InputError(f"{first!r} is disconnected: no path leads from input to output; leave it out")
        order = [canonical.index(edge) for edge in linear]
        rows = tuple(tuple(edges[k] for k in order) for _, edges in members)
        result.append(Group(reads, tuple(code for code, _ in members), rows))
    return result


def stack(
    group: Group,
    members: Sequence[tuple[str, int]],
    in_features: int,
    width: int,
    num_classes: int = 10,
    *,
    init: str = "he_fan_in",
    dtype: torch.dtype | None = None,
) -> MlpStack:
    """The networks of (code of the group, seed) pairs at initialisation, equal to `MlpDag.build` without biases.

    Errors: InputError for a code that is not in the group.
    """
    import torch

    from automl_theory.networks.mlp_stack import draw_stack

    edges = dict(zip(group.codes, group.edges, strict=True))
    for code, _ in members:
        if code not in edges:
            raise InputError(f"{code!r} is not in this group of {group.codes[0]!r}; stack the members of one class")
    chosen = [(edges[code], seed) for code, seed in members]
    return draw_stack(group.reads, chosen, in_features, width, num_classes, init=init, dtype=dtype or torch.float32)


@dataclass(frozen=True)
class Union:
    """Several cells on the same nodes, whose edges add up: parallel edges are all there.

    reads    what each unit reads, see `networks.mlp_stack.MlpStack`
    edges    the live linear edges in the order of the units after the stem: (source, target), and (source, target, 1)
             for the second on that pair of nodes, and so on
    owners   of each of these edges, the place of its code in the list that was joined
    """

    reads: Matrix
    edges: tuple[Edge, ...]
    owners: tuple[int, ...]


def union(codes: Sequence[str]) -> Union:
    """Join the edges of cells that share their nodes: node t is the sum of all edges into it, of whichever cell.

    Of one code it is that cell. Weights that `networks.mlp_stack.draw_stack` gives the edges are those of the single
    cells, but for parallel linear edges, of which the first code's has the name that all would have alone.

    Errors: InputError for a bad code, no code, codes of unequal numbers of nodes, or a disconnected union.
    """
    parsed = [parse_code(code) for code in codes]
    if len({len(code) for code in parsed}) != 1:
        raise InputError(f"expected one or more codes of one number of nodes, got {list(codes)!r}; join such cells")
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for owner, code in enumerate(parsed):
        for source, target, weight in code_graph(code).edges:
            pairs.setdefault((source, target), []).append((weight, owner))
    nodes = len(parsed[0]) + 1
    live = sorted(
        CellGraph(nodes, ((source, target, 0) for source, target in pairs)).live(),
        key=lambda edge: (edge.target, edge.source),
    )
    if not live:
        raise InputError(f"the union of {list(codes)!r} is disconnected: no path leads from input to output; add edges")
    edges: list[Edge] = []
    owners: list[int] = []
    counts: list[list[int]] = [[1], *([0] for _ in range(nodes - 1))]
    for source, target, _ in live:
        copies = 0
        for weight, owner in pairs[source, target]:
            if weight:
                edges.append((source, target, copies) if copies else (source, target))
                owners.append(owner)
                copies += 1
                _add(counts[target], [0] * len(edges) + [1])
            else:
                _add(counts[target], counts[source])
    rows = [[0], *(counts[source] for source, *_ in edges), counts[-1]]
    size = len(edges) + 1
    return Union(tuple((*row, *[0] * (size - len(row))) for row in rows), tuple(edges), tuple(owners))


def _add(total: list[int], more: Sequence[int]) -> None:
    """Add `more` to `total` in place, which grows with zeros."""
    total.extend([0] * (len(more) - len(total)))
    for place, count in enumerate(more):
        total[place] += count
