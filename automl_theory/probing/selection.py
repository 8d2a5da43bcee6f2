"""Which parameters a kernel counts."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn

ParameterFilter = Callable[[str], bool] | str | None


def select_parameters(net: nn.Module, biases: bool, keep: ParameterFilter = None) -> dict[str, Tensor]:
    """Named parameters of `net` that a kernel counts, each parameter once under its first name.

    Args:
        net: the module.
        biases: count parameters whose last name part ends in "bias" too (TE-NAS leaves them out).
        keep: a predicate on the parameter name, or a regular expression searched in it ("cell", r"^stem\\."); None keeps all.
    """
    if isinstance(keep, str):
        pattern = re.compile(keep)
        predicate: Callable[[str], bool] = lambda name: pattern.search(name) is not None  # noqa: E731
    else:
        predicate = keep or (lambda name: True)
    named = net.named_parameters()
    return {n: p for n, p in named if (biases or not n.endswith("bias")) and p.is_floating_point() and predicate(n)}
