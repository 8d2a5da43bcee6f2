"""The flow Σ_θ |θ| ∂R/∂|θ| through a network of absolute weights, R its summed output for an input of ones.

R = 1ᵀ Π_l |θ_l| 1 has no biases, and every normalisation layer is left out (the identity): the network "without
BatchNorm" of NAS-Bench-Suite-Zero, and of other normalisations too. The sum runs over the weights of convolution and
linear modules; in a network of these, ReLUs, pooling and sums it is Σ over all paths of (layers on the path)·Π|θ|.

All in float64. R is homogeneous in its input, c·R(1) = R(c·1), and so are the gradients in the seed of the backward
pass. Where numbers leave float64's range, both are scaled by the same c, and 2 log c is taken off the logarithm: sums
from e^−1400 to e^1400 are had so, where the raw number cannot be. Inputs that are no floating-point numbers stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from automl_theory.errors import InputError, is_memory, reason
from automl_theory.probing.call import call_one
from automl_theory.probing.loss_gradients import layer_weights
from automl_theory.probing.untouched import untouched

_NORMALISATIONS = (
    F.batch_norm,
    torch.batch_norm,
    F.instance_norm,
    F.group_norm,
    F.layer_norm,
    F.rms_norm,
)
_STEP = 350.0
_LEAST = 1e-290


class _Bare(TorchFunctionMode):
    """A forward pass in which normalisations are the identity, and ReLU6 and hard tanh have no ceiling."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _NORMALISATIONS:
            return args[0] if args else kwargs["input"]
        if func in (F.relu6, F.hardtanh):
            return F.relu(args[0] if args else kwargs["input"])
        return func(*args, **kwargs)


def log_flow(net: nn.Module, x: Tensor) -> float:
    """log Σ_θ |θ| ∂R/∂|θ| for one input of the shape of x[0]; −inf where nothing flows, NaN beyond e^1400.

    Raises InputError for a module that fails on float64 weights, or cannot be differentiated.
    """
    with untouched(net):
        names = layer_weights(net)
        held = dict(net.named_parameters()) | dict(net.named_buffers())
        tensors = {name: _absolute(name, tensor.detach()) for name, tensor in held.items()}
        leaves = [tensors[name].requires_grad_() for name in names]
        found, scale = _sum_of_flow(net, tensors, leaves, x, 1.0), 0.0
        step = _STEP if found < _LEAST else -_STEP
        while abs(scale) < 2 * _STEP and not _LEAST * math.exp(max(scale, 0.0)) <= found < math.inf:
            scaled = _sum_of_flow(net, tensors, leaves, x, math.exp(scale + step))
            if step > 0 and not math.isfinite(scaled):
                break
            found, scale = scaled, scale + step
    if not math.isfinite(found):
        return math.nan
    return math.log(found) - (2 if x.is_floating_point() else 1) * scale if found > 0 else -math.inf


def _sum_of_flow(net: nn.Module, tensors: dict[str, Tensor], leaves: list[Tensor], x: Tensor, scale: float) -> float:
    ones = torch.ones_like(x[:1], memory_format=torch.contiguous_format)
    if x.is_floating_point():
        ones = torch.full_like(ones, scale, dtype=torch.float64)
    with _Bare():
        out = call_one(cast(nn.Module, lambda batch: functional_call(net, tensors, (batch,))), ones)[:1]
    if not out.requires_grad or not leaves:
        return 0.0
    try:
        found = torch.autograd.grad(out, leaves, torch.full_like(out, scale), allow_unused=True)
    except Exception as error:
        if is_memory(error):
            raise
        raise InputError(f"the module cannot be differentiated: {reason(error)}; choose other proxies") from error
    terms = [(w.detach() * g).abs().sum() for w, g in zip(leaves, found, strict=True) if g is not None]
    return float(torch.stack(terms).sum()) if terms else 0.0


def _absolute(name: str, tensor: Tensor) -> Tensor:
    """|t| in float64; biases are 0, an attention mask's −inf and numbers that are no floating-point ones stay."""
    if not tensor.is_floating_point():
        return tensor.clone()
    if "bias" in name.rpartition(".")[2]:
        return torch.zeros_like(tensor, dtype=torch.float64)
    tensor = tensor.double()
    return torch.where(tensor.isfinite(), tensor.abs(), tensor)
