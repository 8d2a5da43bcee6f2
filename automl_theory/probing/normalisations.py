"""What answers a normalisation layer in a watched pass; see `instrument`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from automl_theory.probing import batch_norm as batch_statistics
from automl_theory.probing.batch_norm import BnMode
from automl_theory.probing.folding import Fold, Norm
from automl_theory.probing.layer_gradients import LayerGradients, Unsupported, affine_gradients, norm_gradients


class Pass(Protocol):
    """What a normalisation needs to know of the watched pass, an `instrument.Instrument`.

    handlers      function -> what answers it
    recorded      (mean, inverse) of the BatchNorms so far; statistics those to be used instead
    batch_norms   how many of `statistics` were used
    """

    bn: BnMode
    sizes: tuple[int, ...]
    gradients: LayerGradients | None
    statistics: Sequence[tuple[Tensor, Tensor]] | None
    recorded: list[tuple[Tensor, Tensor]]
    batch_norms: int
    handlers: dict[Any, Callable[..., Any]]

    def fold_of(self, tensor: Tensor) -> Fold | None:
        """The fold of the convolution whose output this is, or None."""

    def require_samples(self, x: Tensor, layer: str, ndim: int | None = None) -> None:
        """Refuse an input that is not one row a sample."""


def batch_norm(
    watch: Pass,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """BatchNorm in the mode of the pass, folded into the convolution before it where that may be."""
    if watch.statistics is not None:
        if watch.batch_norms == len(watch.statistics):
            raise Unsupported("BatchNorm is called more often here than on the whole batch")
        mean, inverse = watch.statistics[watch.batch_norms]
        watch.batch_norms += 1
        return batch_statistics.affine(input, mean, inverse, weight, bias)
    gradients = watch.gradients
    running = (running_mean, running_var)
    if gradients is None:
        out, constants = batch_statistics.normalise(input, running, weight, bias, eps, watch.bn, watch.sizes)
        watch.recorded.extend(constants)
        return out
    fold = watch.fold_of(input)
    folded = fold is not None and fold.open
    if not folded:
        watch.require_samples(input, "batch_norm")
    fixed = (detached(weight), detached(bias))
    out, constants = batch_statistics.normalise(
        input, running, *fixed, eps, watch.bn, watch.sizes, fold if folded else None
    )
    watch.recorded.extend(constants)
    out = gradients.watch(out, weight, bias)
    if fold is not None and folded:
        fold.take(Norm(weight, bias, *constants[0]))
        return out
    counts_weight, counts_bias = gradients.wants(weight), gradients.wants(bias)
    if counts_weight or counts_bias:

        def read(inputs: Tensor, grad: Tensor) -> None:
            parts = zip(inputs.split(watch.sizes), grad.split(watch.sizes), constants, strict=True)
            rows = [norm_gradients(x_part, g_part, *values) for x_part, g_part, values in parts]
            if counts_weight and weight is not None:
                gradients.add(weight, torch.cat([scale for scale, _ in rows]))
            if counts_bias and bias is not None:
                gradients.add(bias, torch.cat([shift for _, shift in rows]))

        gradients.listen(out, input, read)
    return out


def raw_batch_norm(
    watch: Pass,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`torch.batch_norm`, by what answers `F.batch_norm` in this pass."""
    out: Tensor = watch.handlers[F.batch_norm](
        watch, input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    return out


def layer_norm(
    watch: Pass,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """LayerNorm; `Unsupported` if it normalises over samples."""
    if input.ndim <= len(normalized_shape):
        raise Unsupported("layer_norm over the sample dimension")
    return _affine(
        watch, input, F.layer_norm(input, normalized_shape, None, None, eps), weight, bias, channel_first=False
    )


def group_norm(
    watch: Pass,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """GroupNorm."""
    return _affine(watch, input, F.group_norm(input, num_groups, None, None, eps), weight, bias, channel_first=True)


def instance_norm(
    watch: Pass,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """InstanceNorm, by the sample's own statistics or by running ones."""
    mean, var = (None, None) if use_input_stats else (running_mean, running_var)
    if use_input_stats:
        # F.instance_norm's own backward pass is wrong for one sample in channels-last (torch 2.13).
        normalised = F.group_norm(input, input.shape[1], None, None, eps)
    else:
        normalised = F.instance_norm(input, mean, var, None, None, False, 0.0, eps)
    if watch.gradients is None:
        for value, operation in ((weight, torch.mul), (bias, torch.add)):
            if value is not None:
                normalised = operation(normalised, batch_statistics.per_channel(value, normalised))
        return normalised
    return _affine(watch, input, normalised, weight, bias, channel_first=True)


def _affine(
    watch: Pass, x: Tensor, normalised: Tensor, weight: Tensor | None, bias: Tensor | None, *, channel_first: bool
) -> Tensor:
    """γ·x̂ + β for a normalisation of single samples, with γ and β counted."""
    gradients = watch.gradients
    assert gradients is not None
    watch.require_samples(x, "normalisation")
    out = normalised
    for value, operation in ((detached(weight), torch.mul), (detached(bias), torch.add)):
        if value is not None:
            out = operation(out, batch_statistics.per_channel(value, out) if channel_first else value)
    out = gradients.watch(out, weight, bias)
    counts_weight, counts_bias = gradients.wants(weight), gradients.wants(bias)
    if counts_weight or counts_bias:
        affine = weight if weight is not None else bias
        assert affine is not None
        shape = affine.shape

        def read(constant: Tensor, grad: Tensor) -> None:
            scale, shift = affine_gradients(constant, grad, shape, channel_first)
            if counts_weight and weight is not None:
                gradients.add(weight, scale)
            if counts_bias and bias is not None:
                gradients.add(bias, shift)

        gradients.listen(out, normalised, read)
    return out


def detached(parameter: Tensor | None) -> Tensor | None:
    """A parameter without its history, or None."""
    return None if parameter is None else parameter.detach()
