"""BatchNorm as a named choice: statistics of the batch, the same taken as constants, or the running ones.

For channel c with batch mean μ, variance v and affine parameters γ, β every mode computes y = γ(x − μ)/√(v + ε) + β;
the modes differ in where μ, v come from and in what the backward pass treats as constant:

- ``batch``: μ, v of the batch, differentiated through (samples are coupled; TE-NAS);
- ``frozen``: μ, v of the batch, constants (samples are independent given μ, v);
- ``running``: the module's running statistics, constants (evaluation mode).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.probing.folding import Fold

BnMode = Literal["batch", "frozen", "running"]
Statistics = list[tuple[Tensor, Tensor]]
BN_MODES: tuple[BnMode, ...] = ("batch", "frozen", "running")


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each channel of x (m, C, …), (C,) each, in x's precision but not less than float32.

    Per sample first, then over samples in float64: torch's own channels-last kernel on a CPU adds up all m·h·w float32
    numbers of a channel one after the other, and its statistics are wrong from the fifth digit on. That is enough to
    turn ReLUs over and to change the tangent kernel of a deep network by per cents.
    """
    positions = tuple(range(2, x.ndim))

    def over_all(values: Tensor) -> Tensor:
        return (values.mean(positions) if positions else values).mean(0, dtype=torch.float64)

    kept = torch.promote_types(x.dtype, torch.float32)
    mean = over_all(x).to(kept)
    return mean, over_all((x - per_channel(mean, x)).square_()).to(kept)


class _Frozen(torch.autograd.Function):
    """Batch-normalise x (m, C, …) by its own statistics, whose gradient is taken as zero; returns y, μ, 1/√(v + ε).

    `fold`: the backward pass hands the gradient on as it is; the convolution before multiplies by γ/√(v + ε).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, fold: Fold | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, var = moments(x)
        inverse = (var + eps).rsqrt()
        y = affine(x, mean, inverse, weight, bias)
        ctx.fold = fold
        ctx.scale = None if fold is not None else inverse if weight is None else inverse * weight
        ctx.mark_non_differentiable(mean, inverse)
        return y, mean, inverse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        if ctx.fold is not None:
            ctx.fold.handed = grads[0]
        grad = grads[0] if ctx.scale is None else grads[0] * per_channel(ctx.scale, grads[0])
        return grad, None, None, None, None


class _Coupled(torch.autograd.Function):
    """Batch-normalise x (m, C, …) by its own statistics, differentiated through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        mean, var = moments(x)
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt())
        ctx.eps = eps
        return torch.native_batch_norm(x, weight, bias, mean, var, False, 0.0, eps)[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight, mean, inverse = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        found = torch.ops.aten.native_batch_norm_backward(
            grads[0], x, weight, None, None, mean, inverse, True, ctx.eps, wanted
        )
        for_x, for_weight, for_bias = (g if want else None for g, want in zip(found, wanted, strict=True))
        return for_x, for_weight, for_bias, None


_FROZEN: Callable[..., Any] = _Frozen.apply
_COUPLED: Callable[..., Any] = _Coupled.apply


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """Reshape (C,) `values` so that they broadcast over dimension 1 of `like`."""
    return values.view((1, -1) + (1,) * (like.ndim - 2))


def affine(x: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """γ(x − μ)·inverse + β with constant μ, inverse, as s·x + (β − s·μ), s = γ·inverse; in the precision of x."""
    scale = inverse if weight is None else inverse * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return torch.addcmul(per_channel(shift, x), x, per_channel(scale, x)).to(x.dtype)


def normalise(
    x: Tensor,
    running: tuple[Tensor | None, Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    mode: BnMode,
    sizes: tuple[int, ...],
    fold: Fold | None = None,
) -> tuple[Tensor, Statistics]:
    """BatchNorm of x (m, C, …) in `mode`; never updates the `running` (mean, variance).

    `sizes` splits the samples into groups, each normalised by its own statistics (two batches in one pass). Returns y
    and the constants (μ, 1/√(v + ε)) of every group (in ``batch`` mode none: they are no constants there). `fold`
    (``frozen`` only, with constant γ, β): the gradient of x is not multiplied by γ/√(v + ε), see `folding`.
    """
    if mode == "running":
        mean, var = running
        if mean is None or var is None:
            raise InputError(
                "bn='running' needs running statistics, and this module's BatchNorm keeps none; use bn='frozen'"
            )
        y = torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, True)
        return y, [(mean.clone(), (var + eps).rsqrt())] * len(sizes)
    parts = x.split(sizes) if len(sizes) > 1 else (x,)
    if mode == "batch":
        coupled = [_COUPLED(part, weight, bias, eps) for part in parts]
        return _joined(coupled), []
    learns = any(p is not None and p.requires_grad for p in (weight, bias))
    outputs, constants = [], []
    for part in parts:
        if learns:
            with torch.no_grad():
                mean, var = moments(part)
                inverse = (var + eps).rsqrt()
            y = affine(part, mean, inverse, weight, bias)
        else:
            y, mean, inverse = _FROZEN(part, weight, bias, eps, fold)
        outputs.append(y)
        constants.append((mean, inverse))
    return _joined(outputs), constants


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]
