"""Many MLP cells that are one function, computed at once: each weight is stacked over the members.

Cells of one class (`spaces.mlp_dag_classes`) differ in their weights alone. With units u = 0 (the stem), 1, ... (the
live linear edges) and c_uv, how often unit u reads the output of unit v < u, member k computes

    a_0 = relu(x W_0ᵀ),    a_u = relu((Σ_v c_uv a_v) W_uᵀ),    logits = (Σ_v c_v a_v) Rᵀ

so that one batched matrix product a unit serves all members. Dead edges, which no gradient reaches, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.networks.initialise import draw

Matrix = Sequence[Sequence[int]]
Edge = tuple[int, int]

STEM, READOUT = "_stem.layer.0.weight", "_readout.weight"


def edge_name(edge: Edge) -> str:
    """The name that `networks.mlp` gives the weight of a linear edge (source, target)."""
    source, target = edge
    return f"_to_from_dag_layers.{target - 1}.{source}.0.layer.0.weight"


@dataclass(frozen=True)
class MlpStack:
    """K networks of one class.

    reads    row u: c_uv of unit u over all units (row 0, the stem's, is zero; only v < u may be read); the last row is
             the readout's, so there is one row more than units
    weights  of each unit, (K, m, d) for the stem and (K, m, m) for the others
    readout  (K, classes, m)
    """

    reads: tuple[tuple[int, ...], ...]
    weights: tuple[Tensor, ...]
    readout: Tensor

    def __len__(self) -> int:
        return len(self.readout)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """All weights, the readout last."""
        return (*self.weights, self.readout)

    def with_parameters(self, parameters: Sequence[Tensor]) -> MlpStack:
        """The same networks with other weights, in the order of `parameters`."""
        return replace(self, weights=tuple(parameters[:-1]), readout=parameters[-1])

    def units(self, x: Tensor) -> list[Tensor]:
        """The output a_u of every unit, (K, n, m), for inputs (n, d) that all members share, or (K, n, d)."""
        found: list[Tensor] = []
        for unit, weight in enumerate(self.weights):
            read = self.read(unit, found) if unit else x
            found.append(torch.relu(read @ weight.mT))
        return found

    def read(self, row: int, units: Sequence[Tensor]) -> Tensor:
        """Σ_v c_v a_v of a row of `reads` (-1: what the readout reads), (K, n, m); of none, zeros."""
        total: Tensor | None = None
        for count, unit in zip(self.reads[row], units, strict=False):
            if count:
                term = unit if count == 1 else unit * count
                total = term if total is None else total + term
        return torch.zeros_like(units[0]) if total is None else total

    def logits(self, x: Tensor) -> Tensor:
        """(K, n, classes)."""
        return self.read(-1, self.units(x)) @ self.readout.mT


def draw_stack(
    reads: Matrix,
    members: Sequence[tuple[Sequence[Edge], int]],
    in_features: int,
    width: int,
    num_classes: int,
    *,
    init: str = "he_fan_in",
    dtype: torch.dtype = torch.float32,
) -> MlpStack:
    """The networks of members (linear edges in the order of the units after the stem, seed), at initialisation.

    Every weight is the one that `MlpDagNetwork(..., bias=False, seed=seed, init=init)` has on that edge.

    Errors: InputError for a member whose edges are not as many as the units.
    """
    for edges, _ in members:
        if len(edges) != len(reads) - 2:
            raise InputError(f"expected {len(reads) - 2} linear edges a member, got {list(edges)!r}; stack one class")
    drawn: dict[tuple[str, int], Tensor] = {}

    def weight(name: str, seed: int, shape: tuple[int, int]) -> Tensor:
        key = (name, seed)
        if key not in drawn:
            drawn[key] = torch.from_numpy(draw(name, shape, init, seed)).to(dtype)
        return drawn[key]

    def stacked(name_of: Sequence[str], shape: tuple[int, int]) -> Tensor:
        return torch.stack([weight(name, seed, shape) for name, (_, seed) in zip(name_of, members, strict=True)])

    inner = [
        stacked([edge_name(edges[unit]) for edges, _ in members], (width, width)) for unit in range(len(reads) - 2)
    ]
    stem = stacked([STEM] * len(members), (width, in_features))
    readout = stacked([READOUT] * len(members), (num_classes, width))
    return MlpStack(tuple(map(tuple, reads)), (stem, *inner), readout)
