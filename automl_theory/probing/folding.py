"""A BatchNorm with constant statistics folded into the convolution before it, for the backward pass.

With z = W ∗ x and y = s·z + t, s = γ/√(v + ε) for each channel, the gradient g = ∂f/∂y is all that is needed:

- the input's gradient is that of a convolution with the weight s·W, so g need not be scaled;
- J = s · J′ with J′_i = correlation of x_i with g_i, the weight's gradient if there were no BatchNorm;
- the gradient of γ is Σ z̄ g with z̄ = (z − μ)/√(v + ε), and Σ_positions z_i g_i = ⟨W, J′_i⟩ for each output channel
  (z is linear in W; Euler), so z is not needed either, and need not be kept.

Every edge into a node of a cell then sees the same tensor g. It pays where J is smaller than z: on large images.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from automl_theory.probing.layer_gradients import LayerGradients, Unsupported, sum_positions


@dataclass(frozen=True)
class Norm:
    """A BatchNorm with constant statistics: its γ, β, μ and 1/√(v + ε), each (C,)."""

    gamma: Tensor | None
    beta: Tensor | None
    mean: Tensor
    inverse: Tensor

    @property
    def scale(self) -> Tensor:
        """Return s = γ/√(v + ε)."""
        return self.inverse if self.gamma is None else self.inverse * self.gamma.detach()


@dataclass
class Fold:
    """A convolution's `output` z: `open` as long as nothing has read it, then perhaps folded with a `norm`.

    `handed` is the gradient that the folded BatchNorm gave to z: if z has another one, something has read z unseen.
    """

    output: weakref.ref[Tensor] | None = None
    open: bool = True
    norm: Norm | None = None
    handed: Tensor | None = None

    def close(self) -> None:
        """Note that something else than a BatchNorm reads z: too late if that BatchNorm is folded already."""
        if self.norm is not None:
            raise Unsupported("a convolution's output is read by its BatchNorm and by something else after it")
        self.open = False

    def take(self, norm: Norm) -> None:
        """Fold the BatchNorm that reads z."""
        self.open, self.norm = False, norm

    def finish(self, gradients: LayerGradients, rows: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
        """Hand over the gradients of γ and β, given J′ = `rows` (n, P) and g; return J (n, P)."""
        norm = self.norm
        handed, self.handed = self.handed, None
        if norm is None:
            return rows
        if handed is not grad:
            raise Unsupported("a convolution's output is read by its BatchNorm and by something that cannot be seen")
        by_channel = rows.view(len(rows), len(weight), -1)
        shift = sum_positions(grad)
        if norm.gamma is not None and gradients.wants(norm.gamma):
            along = (by_channel * weight.reshape(1, len(weight), -1)).sum(2)
            gradients.add(norm.gamma, (along - norm.mean * shift) * norm.inverse)
        if norm.beta is not None and gradients.wants(norm.beta):
            gradients.add(norm.beta, shift)
        return (by_channel * norm.scale[None, :, None]).flatten(1)


class _Convolution(torch.autograd.Function):
    """z = weight ∗ x, whose backward pass takes the gradient behind the BatchNorm that `fold` holds by then, if any."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, arguments: Sequence[Sequence[int]], groups: int, fold: Fold
    ) -> Any:
        stride, padding, dilation = arguments
        ctx.save_for_backward(x, weight)
        ctx.rest = (arguments, groups, fold)
        none = [0] * (x.ndim - 2)
        return torch.convolution(x, weight, None, stride, padding, dilation, False, none, groups)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, weight = ctx.saved_tensors
        (stride, padding, dilation), groups, fold = ctx.rest
        if fold.norm is not None:
            weight = weight * fold.norm.scale.to(weight.dtype).view(-1, *(1,) * (weight.ndim - 1))
        none = [0] * (x.ndim - 2)
        only_input = [True, False, False]
        arguments = (stride, padding, dilation, False, none, groups, only_input)
        return torch.ops.aten.convolution_backward(grads[0], x, weight, None, *arguments)[0], None, None, None, None


_CONVOLUTION: Callable[..., Any] = _Convolution.apply


def convolve(x: Tensor, weight: Tensor, arguments: Sequence[Sequence[int]], groups: int, fold: Fold) -> Tensor:
    """z = weight ∗ x for x (n, C, …) and `arguments` (stride, padding, dilation), ready to be folded in `fold`."""
    out: Tensor = _CONVOLUTION(x, weight, arguments, groups, fold)
    return out
