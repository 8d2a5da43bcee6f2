"""The network of absolute weights: positive, without shifts, so that its output is a sum over paths.

What SynFlow measures flow with, and what tells which unit feeds which. With |w| for weights, no biases, and inputs of
ones, every ReLU is the identity; a normalisation layer is reduced to the factor it multiplies with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

RANKS: dict[Any, int] = {
    F.linear: 0,
    torch.conv1d: 1,
    torch.conv2d: 2,
    torch.conv3d: 3,
    torch.conv_transpose1d: 1,
    torch.conv_transpose2d: 2,
    torch.conv_transpose3d: 3,
}
"""Functions of the layers that are recognised, with the number of their spatial axes."""

TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)

OnLayer = Callable[[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]


class Linearised(TorchFunctionMode):
    """A forward pass under this mode has no means to subtract and no ceilings.

    BatchNorm is y = x |γ| / sqrt(running variance + eps), other normalisations y = x |γ|, ReLU6 and hard tanh are ReLU.

    Args:
        names: id of a weight tensor -> its name; a layer called with one of them goes to `on_layer`.
        on_layer: on_layer(name, function, args, kwargs) returns the layer's output; None: the function itself.
    """

    def __init__(self, names: Mapping[int, str] | None = None, on_layer: OnLayer | None = None) -> None:
        super().__init__()
        self._names, self._on_layer = names or {}, on_layer

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Answer a call of the network."""
        kwargs = kwargs or {}
        if func in RANKS and self._on_layer is not None:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            if id(weight) in self._names:
                return self._on_layer(self._names[id(weight)], func, args, kwargs)
        handler = _HANDLERS.get(func)
        return func(*args, **kwargs) if handler is None else handler(*args, **kwargs)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.dim() - 2)) if x.dim() > 1 else values


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    y = x if running_var is None else x * _per_channel((running_var + eps).rsqrt(), x)
    return y if weight is None else y * _per_channel(weight.abs(), x)


def _instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    return x if weight is None else x * _per_channel(weight.abs(), x)


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return x if weight is None else x * _per_channel(weight.abs(), x)


def _layer_norm(
    x: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float | None = None
) -> Tensor:
    return x if weight is None else x * weight.abs()


def _rms_norm(x: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    return x if weight is None else x * weight.abs()


def _clipped(x: Tensor, *bounds: Any, inplace: bool = False, **named: Any) -> Tensor:
    return F.relu_(x) if inplace or True in bounds[2:] else F.relu(x)


_HANDLERS: dict[Any, Callable[..., Any]] = {
    F.batch_norm: _batch_norm,
    F.instance_norm: _instance_norm,
    F.group_norm: _group_norm,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.relu6: _clipped,
    F.hardtanh: _clipped,
}
