"""Which parameters a kernel counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from automl_theory.errors import InputError

ParameterFilter = Callable[[str], bool] | str | None


def select_parameters(net: nn.Module, biases: bool, keep: ParameterFilter = None) -> dict[str, Tensor]:
    """Named parameters of `net` that a kernel counts, each parameter once under its first name.

    Parameters that do not require gradients are constants and never count, as in training.

    Args:
        net: the module.
        biases: count parameters whose last name part ends in "bias" too (TE-NAS leaves them out).
        keep: a predicate on the parameter name, or a regular expression searched in it ("cell", r"^stem\\."); None
            keeps all.

    Raises InputError for a regular expression that is none, or a `keep` that is neither text nor a function.
    """
    if isinstance(keep, str):
        try:
            pattern = re.compile(keep)
        except re.error as error:
            raise InputError(f"parameters={keep!r} is no regular expression: {error}") from None
        predicate: Callable[[str], Any] = pattern.search
    elif keep is not None and not callable(keep):
        raise InputError(f"parameters={keep!r}: give a regular expression, or a function of a parameter's name")
    else:
        predicate = keep or (lambda name: True)
    named = ((n, p) for n, p in net.named_parameters() if p.requires_grad and p.is_floating_point() and p.numel())
    return {n: p for n, p in named if (biases or not n.endswith("bias")) and predicate(n)}
