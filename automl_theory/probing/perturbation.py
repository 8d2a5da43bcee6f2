"""How far a network with Gaussian weights moves its features when its input moves: what the Zen-score is made of.

Weights of convolution and linear modules ~ N(0, 1), biases and shifts 0, scales of normalisations 1. With x, δ of
the data's shape ~ N(0, 1) and F the tensor before global pooling,

    Δ = mean_i ‖F(x_i) − F(x_i + αδ_i)‖_F

BatchNorm divides by the standard deviation of each batch and thereby hides the scale that a network without it would
have; the variances σ² that it divided by in the pass over x are handed back, layer by layer in order of call.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from automl_theory.errors import InputError
from automl_theory.networks.initialise import generator
from automl_theory.probing.batch_norm import affine, moments
from automl_theory.probing.call import call, channels_last
from automl_theory.probing.instrument import Handler, Instrument
from automl_theory.probing.loss_gradients import all_layer_weights
from automl_theory.probing.untouched import untouched

_NORMALISATIONS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_POOLINGS = (
    F.adaptive_avg_pool1d,
    F.adaptive_avg_pool2d,
    F.adaptive_avg_pool3d,
    F.avg_pool1d,
    F.avg_pool2d,
    F.avg_pool3d,
)


class _Features(Instrument):
    """A pass over two halves, each normalised by itself, that sees the last pooling and BatchNorm's variances.

    A pooling that a convolution of maps follows, as in a squeeze-and-excitation block, is not the last one.
    """

    def __init__(self, sizes: list[int]) -> None:
        self.pooled: Tensor | None = None
        self.variances: list[Tensor] = []
        self._averaged: tuple[Tensor, Tensor] | None = None
        super().__init__("frozen", sizes)

    def _table(self) -> dict[Any, Handler]:
        table = super()._table() | {F.batch_norm: _Features._batch_norm}
        table |= {function: partial(_Features._pool, function=function) for function in _POOLINGS}
        table |= {function: partial(_Features._mean, function=function) for function in (Tensor.mean, torch.mean)}
        return table | {function: partial(_Features._convolve, function=function) for function in _CONVOLUTIONS}

    def _pool(self, input: Tensor, *args: Any, function: Handler, **kwargs: Any) -> Tensor:
        out: Tensor = function(input, *args, **kwargs)
        self._see(input, out)
        return out

    def _mean(self, input: Tensor, *args: Any, function: Handler, **kwargs: Any) -> Tensor:
        out: Tensor = function(input, *args, **kwargs)
        dim = args[0] if args else kwargs.get("dim", kwargs.get("axis"))
        dims = (dim,) if isinstance(dim, int) else dim if isinstance(dim, tuple | list) else ()
        normalising = input.ndim == 3 and out.ndim == 3  # of a sequence's tokens (n, T, d), which keep their axis
        if dims and not normalising and all(d % input.ndim >= 2 for d in dims):
            self._see(input, out)
        return out

    def _see(self, input: Tensor, out: Tensor) -> None:
        """Keep what one number a channel is left of, by one averaging or one axis after the other."""
        source = self._averaged[1] if self._averaged is not None and self._averaged[0] is input else input
        if input.ndim > 2 and out.numel() == math.prod(input.shape[:2]):
            self.pooled = source
        self._averaged = (out, source)

    def _convolve(self, input: Tensor, *args: Any, function: Handler, **kwargs: Any) -> Tensor:
        if math.prod(input.shape[2:]) > 1:
            self.pooled = None
        out: Tensor = function(input, *args, **kwargs)
        return out

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        parts = []
        for k, part in enumerate(input.split(self.sizes)):
            mean, var = moments(part)
            if k == 0:
                self.variances.append(var)
            parts.append(affine(part, mean, (var + eps).rsqrt(), weight, bias))
        return torch.cat(parts)


def gaussian_response(net: nn.Module, x: Tensor, seed: int, alpha: float, samples: int) -> tuple[float, list[float]]:
    """Δ over the first `samples` inputs of the shape of x[0], and mean_c σ_c² of each call of BatchNorm.

    Weights are drawn by (name, seed), inputs by seed. Without global pooling, F is the input of the last linear layer,
    without one the output. Raises InputError for inputs that are no floating-point numbers, or a module that fails.
    """
    if not x.is_floating_point():
        raise InputError(f"Gaussian inputs need a module of floating-point inputs, got {x.dtype}; choose other proxies")
    weighted = set(all_layer_weights(net))
    scales = {id(m._parameters.get("weight")) for m in net.modules() if isinstance(m, _NORMALISATIONS)}
    drawn = np.random.Generator(np.random.PCG64(seed))
    shape = (samples, *x.shape[1:])
    clean, step = (torch.from_numpy(drawn.standard_normal(shape, np.float32)).to(x) for _ in range(2))
    with untouched(net), torch.no_grad():
        tensors = {
            name: _gaussian(name, p.detach(), name in weighted, id(p) in scales, seed)
            for name, p in net.named_parameters()
        }
        features = _Features([samples, samples])
        with features:
            out = call(
                cast(nn.Module, lambda batch: functional_call(net, tensors, (batch,))),
                channels_last(torch.cat([clean, clean + alpha * step])),
            )
    seen = features.pooled if features.pooled is not None else features.features
    if seen is None or len(seen) != 2 * samples:
        seen = out
    moved = (seen[:samples].double() - seen[samples:].double()).flatten(1).norm(dim=1).mean()
    return float(moved), [float(var.double().mean()) for var in features.variances]


def _gaussian(name: str, parameter: Tensor, weighted: bool, scale: bool, seed: int) -> Tensor:
    if "bias" in name.rpartition(".")[2]:
        return torch.zeros_like(parameter)
    if not weighted:
        return torch.ones_like(parameter) if scale else parameter
    values = generator(name, seed).standard_normal(math.prod(parameter.shape), np.float32)
    return torch.from_numpy(values).view(parameter.shape).to(parameter)
