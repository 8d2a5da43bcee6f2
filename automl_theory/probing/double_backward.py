"""Convolution and BatchNorm whose backward passes can be differentiated again at the price of their own products.

`torch` differentiates the backward pass of a convolution by convolutions in slow layouts, and that of BatchNorm by a
dozen passes over its tensors. Here the second derivative is written out. For z = W ∗ x with gradients gz, gx, gW
and the directions (u, U) in which gx, gW are differentiated, S = ⟨u, gx⟩ + ⟨U, gW⟩:

    ∂S/∂gz = W ∗ u + U ∗ x,    ∂S/∂x = Uᵀ ∗ gz,    ∂S/∂W = correlation of u with gz

and for U = W two of the four convolutions go: ∂S/∂gz = W ∗ (u + x) and ∂S/∂x = gx, which is known already. For
BatchNorm with batch statistics, x̂ = (x − μ)r, r = 1/√(v + ε), N values a channel and gx = γr(gy − ḡ − x̂·b),
b = mean(gy·x̂):

    ∂S/∂gy = γr(u − ū − x̂·a),  a = mean(u·x̂),    ∂S/∂x = −r(x̂·⟨u, gx⟩/N + b·∂S/∂gy + a·gx)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from automl_theory.probing.batch_norm import affine, moments, per_channel


@dataclass
class Backward:
    """What the next backward pass through a graph is to do; `inputs_only`: weights' gradients are left out."""

    inputs_only: bool = False


@dataclass(frozen=True)
class Geometry:
    """Stride, padding, dilation and groups of a convolution."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """weight ∗ x."""
        none = [0] * (x.ndim - 2)
        return torch.convolution(x, weight, None, self.stride, self.padding, self.dilation, False, none, self.groups)

    def backward(self, gz: Tensor, x: Tensor, weight: Tensor, for_x: bool, for_weight: bool) -> Any:
        """Gradients of x and of the weight, None where it is not wanted."""
        none = [0] * (x.ndim - 2)
        arguments = (self.stride, self.padding, self.dilation, False, none, self.groups, [for_x, for_weight, False])
        return torch.ops.aten.convolution_backward(gz, x, weight, None, *arguments)[:2]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry, plan: Backward) -> Tensor:
        z = geometry.forward(x, weight)
        ctx.save_for_backward(x, weight)
        ctx.rest = (geometry, plan)
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        geometry, plan = ctx.rest
        for_x, for_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1] and not plan.inputs_only
        if not for_x and not for_weight:
            return None, None, None, None
        gx, gw = _CONVOLVE_BACK(grads[0], x, weight, geometry, for_x, for_weight)
        return gx, gw, None, None


def _is(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same numbers in memory."""
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


class _ConvolveBack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gz: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, for_x: bool, for_weight: bool
    ) -> Any:
        gx, gw = geometry.backward(gz, x, weight, for_x, for_weight)
        ctx.save_for_backward(gz, x, weight, gx)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        return gx, gw

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, u: Tensor | None, direction: Tensor | None) -> Any:
        gz, x, weight, gx = ctx.saved_tensors
        geometry = ctx.geometry
        for_gz = for_x = for_weight = None
        same = direction is not None and _is(direction, weight)
        if u is not None and same:
            for_gz = geometry.forward(u + x, weight)
        elif u is not None:
            for_gz = geometry.forward(u, weight)
        if direction is not None and for_gz is None:
            for_gz = geometry.forward(x, direction)
        elif direction is not None and not same:
            for_gz += geometry.forward(x, direction)
        if direction is not None and ctx.needs_input_grad[1]:
            for_x = gx if same and gx is not None else geometry.backward(gz, x, direction, True, False)[0]
        if u is not None and ctx.needs_input_grad[2]:
            for_weight = geometry.backward(gz, u, weight, False, True)[1]
        return for_gz, for_x, for_weight, None, None, None


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        mean, var = moments(x)
        inverse = (var + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.eps = eps
        return affine(x, mean, inverse, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        gx: Tensor = _NORMALISE_BACK(grads[0], x, weight, mean, inverse, ctx.eps)
        return gx, None, None, None


def _normalise_back(
    gy: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, inverse: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """γr(gy − ḡ − x̂·b), and b = mean(gy·x̂) of each channel."""
    weight = torch.ones_like(mean) if weight is None else weight
    back = torch.ops.aten.native_batch_norm_backward
    gx, scaled, _ = back(gy, x, weight, None, None, mean, inverse, True, eps, [True, True, True])
    return gx, scaled / (x.numel() // x.shape[1])


class _NormaliseBack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, inverse: Tensor, eps: float
    ) -> Tensor:
        gx, b = _normalise_back(gy, x, weight, mean, inverse, eps)
        ctx.save_for_backward(x, weight, mean, inverse, gx, b)
        ctx.eps = eps
        return gx

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, u: Tensor) -> Any:
        x, weight, mean, inverse, gx, b = ctx.saved_tensors
        for_gy, a = _normalise_back(u, x, weight, mean, inverse, ctx.eps)
        positions = [d for d in range(x.ndim) if d != 1]
        curved = (u * gx).sum(positions) * (inverse.square() / (x.numel() // x.shape[1]))
        for_x = torch.addcmul(per_channel(curved * mean, x), x, per_channel(-curved, x))
        for_x.addcmul_(for_gy, per_channel(-inverse * b, x)).addcmul_(gx, per_channel(-inverse * a, x))
        return for_gy, for_x, None, None, None, None


_CONVOLVE: Callable[..., Any] = _Convolve.apply
_CONVOLVE_BACK: Callable[..., Any] = _ConvolveBack.apply
_NORMALISE: Callable[..., Any] = _Normalise.apply
_NORMALISE_BACK: Callable[..., Any] = _NormaliseBack.apply


def convolve(x: Tensor, weight: Tensor, geometry: Geometry, plan: Backward) -> Tensor:
    """z = weight ∗ x for x (n, C, …), differentiable twice; a weight that is computed is never left out of a plan."""
    out: Tensor = _CONVOLVE(x, weight, geometry, plan if weight.is_leaf else Backward())
    return out


def batch_normalise(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """BatchNorm of x (m, C, …) by its own statistics, differentiable twice; weight and bias are constants."""
    out: Tensor = _NORMALISE(x, weight, bias, eps)
    return out
