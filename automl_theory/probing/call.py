"""What a module and an input batch must be, and how the one is applied to the other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automl_theory.errors import InputError, is_memory, reason, suggest
from automl_theory.probing.layer_gradients import Unsupported


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name}={value!r} is not one of {', '.join(choices)}.{suggest(str(value), choices)}")


def check_flag(name: str, value: object) -> None:
    """Raise InputError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{name}={value!r}: give True or False")


def check_module(net: object) -> None:
    """Raise InputError unless `net` is an nn.Module with weights, whose torch functions a pass can watch."""
    if not isinstance(net, nn.Module):
        raise InputError(f"the network must be a torch.nn.Module, got {type(net).__name__}; build it first")
    if isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise InputError("the network is spread over devices by a wrapper; pass what it wraps, its .module")
    if any(isinstance(module, torch.jit.ScriptModule) for module in net.modules()):
        raise InputError("the network is scripted (torch.jit) and cannot be watched; pass the module it was made from")
    for parameter in net.parameters():
        if isinstance(parameter, nn.UninitializedParameter):
            raise InputError("the network has lazy layers without weights yet; run one forward pass first")
        if parameter.is_inference():
            raise InputError("the network was built in inference mode and has no gradients; build it outside of it")


def check_input(x: Tensor, name: str = "x") -> None:
    """Raise InputError unless x is a non-empty batch (n, …) without NaN or infinity."""
    if not isinstance(x, Tensor):
        raise InputError(
            f"{name} must be a torch tensor of shape (n, ...), got {type(x).__name__}; use torch.as_tensor"
        )
    if x.ndim < 2:
        raise InputError(f"{name} must have shape (n, ...), got {tuple(x.shape)}; did you forget the batch dimension?")
    if x.numel() == 0:
        what = "no samples" if len(x) == 0 else f"no entries (shape {tuple(x.shape)})"
        raise InputError(f"{name} has {what}; give at least one")
    if x.is_floating_point() and not torch.isfinite(x).all():
        bad = int((~torch.isfinite(x.flatten(1)).all(1)).sum())
        raise InputError(f"{name} holds NaN or infinity in {bad} of {len(x)} samples; clean the input first")


def call(net: nn.Module, x: Tensor) -> Tensor:
    """net(x) checked to be one output row (n, k) a sample; (n,) becomes (n, 1). The module gets a copy of x."""
    try:
        out = net(x.clone())
    except (Unsupported, InputError):
        raise
    except Exception as error:
        if is_memory(error):
            raise
        raise InputError(
            f"the module fails on an input of shape {tuple(x.shape)}: {reason(error)}; "
            "check x against what the module expects"
        ) from error
    if not isinstance(out, Tensor) or out.ndim == 0 or len(out) != len(x):
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise InputError(
            f"the module must return a tensor with one row a sample, got {got}; wrap it to return its logits"
        )
    if not out.is_floating_point():
        raise InputError(f"the module must return logits, got {out.dtype} numbers; wrap it to return its logits")
    return rows_of(out)


def call_one(net: nn.Module, x: Tensor) -> Tensor:
    """`call` on one sample x (1, …), or on that sample twice for a module that squeezes a batch of one away."""
    try:
        return call(net, x)
    except InputError as error:
        try:
            return call(net, torch.cat([x, x]))
        except InputError:
            raise error from None


def rows_of(out: Tensor) -> Tensor:
    """Outputs (n, …) as rows (n, k)."""
    return out.flatten(1) if out.ndim > 1 else out[:, None]


def channels_last(x: Tensor) -> Tensor:
    """x (n, C, H, W) in the memory layout in which CPU convolutions run about twice as fast; others unchanged."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
