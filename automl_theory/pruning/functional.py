"""A network called with other weights than its own, which stay untouched: what every saliency is computed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from automl_theory.errors import InputError, is_memory, reason
from automl_theory.probing.call import call, check_input
from automl_theory.progress import Report

Tensors = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """What is pruned, with what: the network, its prunable weights (copies), batches [(x, y), …], and the seed.

    The weights, and everything computed from them, have the widest dtype of weights and inputs, at least float32: give
    x in float64 for scores in float64.
    """

    net: nn.Module
    weights: Tensors
    batches: Sequence[tuple[Tensor, Tensor | None]]
    seed: int
    progress: Report | None = None

    def finished(self, done: int, rounds: int) -> None:
        """Tell whoever watches how many rounds are done."""
        if self.progress is not None:
            self.progress(done, rounds, 0)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(iter(self.weights.values())).dtype


def constants(net: nn.Module, dtype: torch.dtype) -> Tensors:
    """Copies of all parameters and buffers of `net`, the floating-point ones in `dtype`."""
    held = dict(net.named_parameters()) | dict(net.named_buffers())
    return {
        name: tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
        for name, tensor in held.items()
    }


def absolute(tensor: Tensor) -> Tensor:
    """|t| of the finite entries of a floating-point tensor; an attention mask's -inf, and other numbers, stay."""
    return torch.where(tensor.isfinite(), tensor.abs(), tensor) if tensor.is_floating_point() else tensor


def outputs(net: nn.Module, tensors: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Rows (n, k) of net(x), with `tensors` in place of the parameters and buffers that they name."""
    return call(cast(nn.Module, lambda batch: functional_call(net, dict(tensors), (batch,))), x)


def mean_loss(
    setting: Setting, weights: Mapping[str, Tensor], loss: Loss = cross_entropy
) -> list[Callable[[], Tensor]]:
    """One function a batch: the loss of its logits under `weights`, in the mode that the network is in.

    Each call starts from the same buffers and the same random state (`setting.seed`), so that a BatchNorm or a dropout
    in train mode is the same function every time.
    """

    def of(x: Tensor, y: Tensor | None) -> Tensor:
        torch.manual_seed(setting.seed)
        x = x.to(setting.dtype) if x.is_floating_point() else x
        logits = outputs(setting.net, constants(setting.net, setting.dtype) | dict(weights), x)
        assert y is not None
        if int(y.max()) >= logits.shape[1]:
            raise InputError(
                f"expected labels below {logits.shape[1]}, the number of logits, got {int(y.max())}; give the network "
                "an output for each class"
            )
        return loss(logits, y.to(logits.device))

    return [partial(of, x, y) for x, y in setting.batches]


def gradients(value: Tensor, weights: Mapping[str, Tensor], create_graph: bool = False) -> Tensors:
    """∂value/∂w for each of `weights`; zeros where `value` does not depend on it."""
    if not value.requires_grad:
        return {name: torch.zeros_like(w) for name, w in weights.items()}
    try:
        found = torch.autograd.grad(value, list(weights.values()), create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        if is_memory(error):
            raise
        raise InputError(f"the module cannot be differentiated: {reason(error)}; choose another method") from error
    return {
        name: torch.zeros_like(w) if gradient is None else gradient
        for (name, w), gradient in zip(weights.items(), found, strict=True)
    }


def loss_gradients(setting: Setting, weights: Mapping[str, Tensor], loss: Loss = cross_entropy) -> Tensors:
    """Σ over batches of ∂L_b/∂w at `weights`, L_b the mean loss of batch b."""
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    total = {name: torch.zeros_like(w) for name, w in leaves.items()}
    for value in mean_loss(setting, leaves, loss):
        for name, gradient in gradients(value(), leaves).items():
            total[name] += gradient
    return total


def hessian_products(
    setting: Setting, weights: Mapping[str, Tensor], vector: Mapping[str, Tensor], loss: Loss = cross_entropy
) -> Tensors:
    """Σ over batches of H_b v at `weights`, H_b the Hessian of L_b; by differentiating vᵀ ∂L_b/∂w once more.

    Errors: InputError where an operation of the module has no second derivative.
    """
    leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
    total = {name: torch.zeros_like(w) for name, w in leaves.items()}
    with sdpa_kernel(SDPBackend.MATH):
        for value in mean_loss(setting, leaves, loss):
            first = gradients(value(), leaves, create_graph=True)
            product = torch.stack([(first[name] * vector[name]).sum() for name in leaves]).sum()
            for name, gradient in gradients(product, leaves).items():
                total[name] += gradient
    return total


def checked_batches(x: object, y: object, labels: bool) -> list[tuple[Tensor, Tensor | None]]:
    """Batches [(x, y), …] from tensors or from equally long lists of them; y is None where no labels are needed."""
    xs: list[Any] = list(x) if isinstance(x, list | tuple) else [x]
    ys: list[Any] = list(y) if isinstance(y, list | tuple) else [y]
    if not xs:
        raise InputError("x holds no batches; give a tensor, or a list of at least one")
    for batch in xs:
        check_input(batch)
    if not labels:
        return [(batch, None) for batch in xs]
    if len(xs) != len(ys):
        raise InputError(
            f"expected as many batches in y as in x, got {len(ys)} and {len(xs)}; give one tensor each, or a list of "
            "batches each"
        )
    for inputs, classes in zip(xs, ys, strict=True):
        wanted = f"expected y as int64 class numbers ({len(inputs)},), one a sample"
        if not isinstance(classes, Tensor):
            raise InputError(f"{wanted}, got {type(classes).__name__}; use torch.as_tensor(y)")
        if classes.shape != (len(inputs),):
            raise InputError(f"{wanted}, got {tuple(classes.shape)}; give a number for each of the {len(inputs)}")
        if classes.dtype != torch.int64:
            raise InputError(f"{wanted}, got {classes.dtype}; use y.long()")
        if int(classes.min()) < 0:
            raise InputError(f"expected labels of 0 and more, got {int(classes.min())}; number the classes from 0")
    return list(zip(xs, ys, strict=True))
