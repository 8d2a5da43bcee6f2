"""Many MLP cells that are one function, computed at once: each weight is stacked over the members.

Cells of one class (`spaces.mlp_dag_classes`) differ in their weights alone. With units u = 0 (the stem), 1, ... (the
live linear edges) and c_uv, how often unit u reads the output of unit v < u, member k computes

    a_0 = relu(x W_0ᵀ),    a_u = relu((Σ_v c_uv a_v) W_uᵀ),    logits = (Σ_v c_v a_v) Rᵀ

so that one batched matrix product a unit serves all members. Dead edges, which no gradient reaches, are left out. A
weight may be masked, W ∘ M in the place of W: pruned entries are 0 and stay so, since the gradient of W is masked too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.networks.initialise import draw

Matrix = Sequence[Sequence[int]]
Edge = tuple[int, ...]

STEM, READOUT = "_stem.layer.0.weight", "_readout.weight"


def edge_name(edge: Edge) -> str:
    """The name that `networks.mlp` gives the weight of a linear edge (source, target).

    Of linear edges that are parallel the second is (source, target, 1), and so on: that number is the 0 of the name.
    """
    source, target, copy = (*edge, 0)[:3]
    return f"_to_from_dag_layers.{target - 1}.{source}.{copy}.layer.0.weight"


@dataclass(frozen=True)
class MlpStack:
    """K networks of one class.

    reads    row u: c_uv of unit u over all units (row 0, the stem's, is zero; only v < u may be read); the last row is
             the readout's, so there is one row more than units
    weights  of each unit, (K, m, d) for the stem and (K, m, m) for the others
    readout  (K, classes, m)
    masks    of each unit, 0 and 1 in the shape of its weights, or None: it has all weights; () if all have
    """

    reads: tuple[tuple[int, ...], ...]
    weights: tuple[Tensor, ...]
    readout: Tensor
    masks: tuple[Tensor | None, ...] = ()

    def __len__(self) -> int:
        return len(self.readout)

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """All weights, the readout last."""
        return (*self.weights, self.readout)

    def with_parameters(self, parameters: Sequence[Tensor]) -> MlpStack:
        """The same networks with other weights, in the order of `parameters`."""
        return replace(self, weights=tuple(parameters[:-1]), readout=parameters[-1])

    def masked(self, masks: Sequence[Tensor | None]) -> MlpStack:
        """The same networks with pruned weights, which are 0 from here on.

        Errors: InputError for another number of masks than units, or a mask of another shape than its weights.
        """
        shapes = [None if mask is None else tuple(mask.shape) for mask in masks]
        wanted = [tuple(weight.shape) for weight in self.weights]
        if len(shapes) != len(wanted) or any(a is not None and a != b for a, b in zip(shapes, wanted, strict=False)):
            raise InputError(f"expected masks (or None) of shapes {wanted}, one a unit, got {shapes}; give them so")
        kept = tuple(
            weight if mask is None else weight * mask for weight, mask in zip(self.weights, masks, strict=True)
        )
        return replace(self, weights=kept, masks=tuple(masks))

    def units(self, x: Tensor) -> list[Tensor]:
        """The output a_u of every unit, (K, n, m), for inputs (n, d) that all members share, or (K, n, d).

        Errors: InputError for another d.
        """
        return self._forwards(x)[0]

    def _forwards(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The output of every unit, and what each unit and, last, the readout reads."""
        if x.shape[-1] != self.weights[0].shape[-1]:
            wanted = self.weights[0].shape[-1]
            raise InputError(f"expected inputs of {wanted} numbers each, got {x.shape[-1]}; flatten or resize them")
        found: list[Tensor] = []
        reads = [x]
        for unit, weight in enumerate(self.weights):
            if self.masks and (mask := self.masks[unit]) is not None:
                weight = weight * mask
            read = reads[-1]
            found.append(torch.relu_(torch.bmm(read, weight.mT) if read.dim() == 3 else read @ weight.mT))
            reads.append(self.read(unit + 1, found))
        return found, reads

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
        return self._classified(self._forwards(x)[1][-1])

    @torch.no_grad()
    def descent(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], None]]:
        """The logits of inputs (K, n, d), and the function that takes one step of gradient descent from them.

        It is called with -rate · d loss / d logits, (K, n, classes), and adds -rate · d loss / d W to every weight in
        place: backpropagation by hand, in which each weight is changed by the product that is its gradient.
        """
        found, reads = self._forwards(x)

        return self._classified(reads[-1]), lambda slope: self._descend(slope, found, reads)

    @torch.no_grad()
    def _descend(self, slope: Tensor, found: Sequence[Tensor], reads: Sequence[Tensor]) -> None:
        slopes: list[Tensor | None] = [None] * len(found)
        self._backwards(-1, torch.bmm(slope, self.readout), slopes)
        self.readout.baddbmm_(slope.mT, reads[-1])
        for unit in reversed(range(len(found))):
            if (above := slopes[unit]) is None:
                continue
            below = torch.ops.aten.threshold_backward(above, found[unit], 0)
            weight = self.weights[unit]
            if unit:
                self._backwards(unit, torch.bmm(below, weight), slopes)
            weight.baddbmm_(below.mT, reads[unit])
            if self.masks and (mask := self.masks[unit]) is not None:
                weight.mul_(mask)

    def _classified(self, last: Tensor) -> Tensor:
        """R times what the readout reads, (K, n, classes), laid out by class."""
        return torch.bmm(self.readout, last.mT).mT

    def _backwards(self, row: int, slope: Tensor, slopes: list[Tensor | None]) -> None:
        """Add what a row of `reads` passes back, slope (K, n, m), to the slopes of the units it reads."""
        for unit, count in enumerate(self.reads[row]):
            if count:
                term = slope if count == 1 else slope * count
                known = slopes[unit]
                slopes[unit] = term if known is None else known + term


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
