"""`Signals` of one network among many that were seen together in one pass (`stack_pass`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from automl_theory.graphs.dag import CellGraph
from automl_theory.linalg import Array
from automl_theory.probing.activations import Codes
from automl_theory.probing.call import channels_last
from automl_theory.probing.signals import Signals


@dataclass(frozen=True)
class Seen:
    """What the pass saw of one architecture, as `signals.Signals` keeps it.

    logits (n, C), features (n, d) of the last linear layer, kernel (n, n) or None, codes or None; `counted`: how many
    weights the kernel counts.
    """

    logits: Tensor
    features: Tensor
    kernel: Array | None
    codes: Codes | None
    counted: int


class CountedCodes(Codes):
    """ReLU codes of which the Gram (n, n) is known already."""

    def __init__(self, counts: Tensor, units: int) -> None:
        super().__init__(len(counts))
        self.units, self._gram = units, counts


class StackSignals(Signals):
    """What `Signals(build(), x, y, bn="frozen", output="sum", …)` holds, read off a pass that is over.

    `build` makes the network itself, for the proxies that need more than what the pass saw; it is called once, if at
    all. y (n,) are class numbers from 0 to classes − 1; the other arguments are those of `Signals`.
    """

    def __init__(
        self,
        seen: Seen,
        build: Callable[[], nn.Module],
        x: Tensor,
        y: Tensor,
        *,
        classes: int,
        biases: bool = False,
        seed: int = 0,
        graph: CellGraph | None = None,
        thin: Callable[[int], nn.Module] | None = None,
    ) -> None:
        self._build = build
        self.x, self.n = channels_last(x), len(x)
        self.y, self.classes = y.cpu().numpy().astype("int64"), classes
        self.bn, self.output, self.biases = "frozen", "sum", biases
        self.seed, self.graph, self.thin = seed, graph, thin
        self.logits, self.counted = seen.logits, seen.counted
        self.eps = float(torch.finfo(seen.logits.dtype).eps)
        self.kernel_method = "none" if seen.kernel is None else "layers"
        self._kernel, self._codes, self._features = seen.kernel, seen.codes, seen.features
        self._size, self._refused, self._parts, self._passes = None, "", frozenset(), {}

    def __getattr__(self, name: str) -> Any:
        if name != "net":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        self.net = self._build()
        return self.net
