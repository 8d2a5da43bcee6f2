"""Many NAS-Bench-201 networks of one seed as one: every weight that several of them share is there once.

Weights are keyed by name (`initialise`), so edge e of cell k with operation o has the same weights in every
architecture that has o there. A stack of A architectures holds the stem, the reductions and the classifier once, and
for every edge the operations that any member has there. It is not called: `probing.stack_pass` takes all members
through it in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from automl_theory.errors import InputError
from automl_theory.networks.cell import EDGES, Cell, CellNetwork
from automl_theory.networks.initialise import initialise
from automl_theory.networks.supernet import MixedCell

_OPERATION = re.compile(r"(layers\.\d+)\.\w+")


@dataclass(frozen=True)
class SharedEdge:
    """What the `members` (their numbers in the stack, ascending) have in common at edge `edge`: not `none`."""

    edge: int
    source: int
    target: int
    operation: str
    members: tuple[int, ...]


class CellStack(nn.Module):
    """The networks `CellNetwork(operations, …)` of several architectures, with their shared weights.

    members           six operations for each architecture
    edges             what to compute in a cell, in the order in which a cell adds: by edge, then by operation
    stem, cells, lastact, classifier    as in `CellNetwork`; `cells[k].layers[e][operation]` is shared by all members
                      with that operation

    The other arguments are those of `CellNetwork`. Errors: InputError for no architectures, or what it refuses.
    """

    def __init__(
        self,
        members: Sequence[Sequence[str]],
        channels: int = 16,
        cells_per_stage: int = 5,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        if not members:
            raise InputError("a stack needs architectures, got none; give at least one")
        self.members = tuple(tuple(operations) for operations in members)
        frame = CellNetwork(["none"] * len(EDGES), channels, cells_per_stage, num_classes, in_channels)
        candidates = [sorted({operations[e] for operations in self.members}) for e in range(len(EDGES))]
        self.stem, self.cells = frame.stem, frame.cells
        self.lastact, self.classifier = frame.lastact, frame.classifier
        for k, cell in enumerate(self.cells):
            if isinstance(cell, Cell):
                self.cells[k] = MixedCell(candidates, channels << k // (cells_per_stage + 1))
        self.edges = tuple(
            SharedEdge(e, *EDGES[e], operation, _those(self.members, e, operation))
            for e, operations in enumerate(candidates)
            for operation in operations
            if operation != "none"
        )
        initialise(self, init, seed, rename=lambda name: _OPERATION.sub(r"\1", name))

    def readers(self, source: int) -> list[int]:
        """For each member the number of convolutions that read node `source` of a cell."""
        reading = [edge for edge in self.edges if edge.source == source and edge.operation.startswith("nor_conv")]
        return [sum(a in edge.members for edge in reading) for a in range(len(self.members))]

    def counted(self, biases: bool) -> list[int]:
        """For each member the number of its weights, those whose name ends in "bias" only with `biases`."""

        def count(module: Any) -> int:
            return sum(p.numel() for name, p in module.named_parameters() if biases or not name.endswith("bias"))

        frame = sum(map(count, (self.stem, self.lastact, self.classifier)))
        totals = [frame] * len(self.members)
        for cell in self.cells:
            for a, operations in enumerate(self.members):
                layers: list[Any] = list(cell.layers) if isinstance(cell, MixedCell) else []
                own = [layer[operation] for layer, operation in zip(layers, operations, strict=False)] or [cell]
                totals[a] += sum(map(count, own))
        return totals


def _those(members: Sequence[Sequence[str]], edge: int, operation: str) -> tuple[int, ...]:
    return tuple(a for a, operations in enumerate(members) if operations[edge] == operation)
