"""Which MLP cells can be computed at once: the members of a class, a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from automl_theory.errors import InputError
from automl_theory.graphs.code import parse_code
from automl_theory.spaces.mlp_dag_classes import Matrix, live_part, signature, units

if TYPE_CHECKING:
    import torch

    from automl_theory.networks.mlp_stack import MlpStack

Edge = tuple[int, int]


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
