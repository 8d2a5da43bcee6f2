"""One step of SGD for all members of a stack: by hand where the stack can, else by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from automl_theory.training.recipe import Recipe

Descend = Callable[[Tensor, Tensor], None]


class Stack(Protocol):
    """K networks of one shape, such as `networks.mlp_stack.MlpStack`."""

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """All weights, each (K, ...)."""
        ...

    def with_parameters(self, parameters: Sequence[Tensor]) -> Any:
        """The same networks with other weights, in the order of `parameters`."""
        ...

    def logits(self, x: Tensor) -> Tensor:
        """(K, n, classes) of inputs (n, ...) that all members share, or of each member's own (K, n, ...)."""
        ...


@runtime_checkable
class Descending(Stack, Protocol):
    """A stack that knows its own gradients."""

    def descent(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], None]]:
        """The logits, and what adds -rate · d loss / d W to each weight, given -rate · d loss / d logits."""
        ...


def descent(net: Stack, recipe: Recipe) -> Callable[[Tensor], tuple[Tensor, Descend]]:
    """Return a function of inputs (K, n, ...): the logits, and what takes the step that follows from them.

    That takes (d loss / d logits (K, n, classes), rates (K,)) and changes the weights of `net` in place, as
    `training.recipe` has it. Plain SGD of a `Descending` stack forms no gradient: it goes into the weights at once.
    """
    if isinstance(net, Descending) and not recipe.momentum and not recipe.weight_decay:
        return lambda x: _by_hand(net, x)
    work = [value.requires_grad_() for value in net.parameters]
    velocity = [torch.zeros_like(value) for value in work] if recipe.momentum else []

    def by_autograd(x: Tensor) -> tuple[Tensor, Descend]:
        logits = net.logits(x)

        def descend(slope: Tensor, rates: Tensor) -> None:
            _step(work, torch.autograd.grad(logits, work, slope), velocity, rates, recipe)

        return logits.detach(), descend

    return by_autograd


def _by_hand(net: Descending, x: Tensor) -> tuple[Tensor, Descend]:
    logits, descend = net.descent(x)
    return logits, lambda slope, rates: descend(slope * _over(-rates, slope))


@torch.no_grad()
def _step(
    work: Sequence[Tensor], gradients: Sequence[Tensor], velocity: Sequence[Tensor], rates: Tensor, recipe: Recipe
) -> None:
    for place, (value, gradient) in enumerate(zip(work, gradients, strict=True)):
        if recipe.weight_decay:
            gradient = gradient.add(value, alpha=recipe.weight_decay)
        if recipe.momentum:
            velocity[place].mul_(recipe.momentum).add_(gradient)
            gradient = gradient.add(velocity[place], alpha=recipe.momentum)
        value.addcmul_(gradient, _over(rates, value), value=-1)


def _over(rates: Tensor, value: Tensor) -> Tensor:
    """The rates (K,) in the shape (K, 1, ...) and the precision of `value`."""
    return rates.to(value.dtype).view(-1, *[1] * (value.dim() - 1))
