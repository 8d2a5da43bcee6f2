"""Supernets of NAS-Bench-201: every edge computes the mean of the operations that are still candidates there.

    edge e of a cell:   (1/k_e) Σ_{o in candidates(e)} o(x),   k_e the number of candidates

TE-NAS weighs candidates by a softmax of logits that its released driver sets to zero, which is the mean. With one
candidate an edge the supernet is the architecture itself. Weights are keyed by edge and operation
(`cells.{k}.layers.{e}.{operation}.op.1.weight`), so an operation keeps its weights whatever else is removed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automl_theory.errors import InputError
from automl_theory.networks.cell import EDGES, Cell, CellNetwork, ThinNetwork
from automl_theory.networks.initialise import initialise

Candidates = Sequence[Sequence[str]]


class MixedEdge(nn.ModuleDict):
    """The mean of its operations; `none` is a candidate that is zero."""

    def __init__(self, edge: int, operations: Sequence[str], channels: int) -> None:
        if isinstance(operations, str) or not operations or len(set(operations)) != len(operations):
            raise InputError(f"edge {edge} needs different operations, at least one, got {operations!r}; name some")
        cells = {name: Cell([name, *["none"] * (len(EDGES) - 1)], channels) for name in operations}
        super().__init__({name: cell.layers[0] for name, cell in cells.items()})

    def forward(self, x: Tensor) -> Tensor | None:
        """Return the mean, or None for zero."""
        terms = [operation(x) for name, operation in self.items() if name != "none"]
        if not terms:
            return None
        total: Tensor = sum(terms[1:], start=terms[0])
        return total if len(self) == 1 else total * (1 / len(self))


class MixedCell(nn.Module):
    """A cell of mixed edges: `layers.{e}` in the order 0>1, 0>2, 1>2, 0>3, 1>3, 2>3. Shapes are kept."""

    def __init__(self, candidates: Candidates, channels: int) -> None:
        super().__init__()
        if len(candidates) != len(EDGES):
            raise InputError(f"expected candidates of {len(EDGES)} edges, got {len(candidates)}; give a list an edge")
        self.layers = nn.ModuleList(MixedEdge(e, list(names), channels) for e, names in enumerate(candidates))

    def forward(self, x: Tensor) -> Tensor:
        """Return the value of the last node."""
        nodes = [x]
        for node in (1, 2, 3):
            incoming = [self.layers[e](nodes[s]) for e, (s, t) in enumerate(EDGES) if t == node]
            terms = [term for term in incoming if term is not None]
            nodes.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(x))
        return nodes[-1]


class SuperNetwork(CellNetwork):
    """The network of `networks.cell.CellNetwork` with a mixed cell: images (n, in_channels, h, w) -> logits.

    candidates   for each of the six edges the names of its operations; see `CellNetwork` for the rest.

    Errors: InputError for an edge without operations, a repeated or an unknown one, or what `CellNetwork` refuses.
    """

    def __init__(
        self,
        candidates: Candidates,
        channels: int = 3,
        cells_per_stage: int = 1,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__(["none"] * len(EDGES), channels, cells_per_stage, num_classes, in_channels)
        for k, cell in enumerate(self.cells):
            if isinstance(cell, Cell):
                self.cells[k] = MixedCell(candidates, channels << k // (cells_per_stage + 1))
        initialise(self, init, seed)


class ThinSuperNetwork(ThinNetwork):
    """`networks.cell.ThinNetwork` with a mixed cell: one cell and a BN-ReLU tail, in which TE-NAS counts regions."""

    def __init__(self, candidates: Candidates, channels: int = 1, *, seed: int = 0, init: str = "pytorch") -> None:
        super().__init__(["none"] * len(EDGES), channels, channels)
        self.cells[0] = MixedCell(candidates, channels)
        initialise(self, init, seed)
