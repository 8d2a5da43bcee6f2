"""NNGP and NTK of many MLP cells at once, the members of an `MlpStack`, in one forward and one backward pass.

Unit u of a network computes a_u = relu(v_u W_uᵀ) from what it reads, v_u = Σ_w c_uw a_w (the stem, u = 0, reads x).
With R the readout, F what it reads, and s the summed logits of one input, the sensitivities

    δ_u = ∂s/∂(v_u W_uᵀ) = 1[a_u > 0] ∘ (c_u r + Σ_{w reads u} c_wu δ_w W_w),    r = Σ_c R_c

are those of each input by itself, since inputs do not mix. The gradient of s by W_u is δ_u v_uᵀ, an outer product, so

    NTK = Σ_u (δ_u δ_uᵀ) ∘ (v_u v_uᵀ)  +  C F Fᵀ,        NNGP = F Fᵀ / m,

∘ entrywise over pairs of inputs, C the number of classes, m the width. For the trace over classes instead of the sum
of the logits, r is each R_c in turn and the first sum is over c too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.networks.mlp_stack import MlpStack


@dataclass(frozen=True, eq=False)
class StackKernels:
    """Kernels of n inputs for each of K networks: float64 (K, n, n).

    nngp     X_H X_Hᵀ / m, the Gram of the last node's features a neuron: `DagKernels.nngp` is its mean for m → ∞
    stem     the stem's part of the NTK of the summed logits, or of its trace over classes
    edges    that of the cell's linear edges
    readout  that of the readout, C m times `nngp`

    In the mean and for m → ∞, stem is C times `DagKernels.stem`, and edges + readout C m times `DagKernels.ntk`. Where
    a network's output does not depend on the input (a disconnected cell) all are zero.
    """

    nngp: Tensor
    stem: Tensor
    edges: Tensor
    readout: Tensor

    @property
    def cell(self) -> Tensor:
        """The NTK without the stem's weights."""
        return self.edges + self.readout

    @property
    def ntk(self) -> Tensor:
        """The NTK of all weights: `empirical_ntk(net, x, output=output)` of each member."""
        return self.stem + self.edges + self.readout


def stack_kernels(stack: MlpStack, x: Tensor, output: Literal["sum", "trace"] = "sum") -> StackKernels:
    """Kernels of each member on inputs x (n, d), taken as they are; see the module for formulas.

    `output` is that of `empirical_ntk`: the kernel of the summed logits, or the trace over the classes of that of the
    logits, whose backward pass is C times as long. The passes run in the dtype of the stack (make it float64 where
    small eigenvalues matter), the Grams in float64. Cost of a member: that of two passes and two n² m products a unit.

    Errors: InputError for another `output`.
    """
    if output not in ("sum", "trace"):
        raise InputError(f"output={output!r} is not one of sum, trace; use empirical_ntk for the full kernel")
    with torch.no_grad():
        x = x.to(stack.readout.dtype)
        units = stack.units(x)
        features = stack.read(-1, units)
        gram = _gram(features)
        stem = edges = torch.zeros_like(gram)
        # Rows are (class, input): sensitivities (K, o, n, m) with o = 1 for the sum.
        rows = stack.readout.sum(1, keepdim=True) if output == "sum" else stack.readout
        through: dict[int, Tensor] = {}
        for u in range(len(units) - 1, -1, -1):
            arriving = stack.reads[-1][u] * rows[:, :, None]
            for reader, back in through.items():
                if count := stack.reads[reader][u]:
                    arriving = arriving + count * back
            delta = (units[u] > 0)[:, None] * arriving
            if u:
                through[u] = (delta.flatten(1, 2) @ stack.weights[u]).view(delta.shape)
                edges = edges + _gram(delta) * _gram(stack.read(u, units))
            else:
                stem = _gram(delta) * _gram(x)
        return StackKernels(gram / features.shape[-1], stem, edges, stack.readout.shape[1] * gram)


def _gram(rows: Tensor) -> Tensor:
    """Products of the rows of all inputs, (…, n, m) -> (…, n, n); of (K, o, n, m) the sum over o, (K, n, n)."""
    if rows.ndim == 4:
        rows = rows.transpose(1, 2).flatten(2)
    rows = rows.double()
    return rows @ rows.mT
