"""How a network is trained: SGD on the mean cross-entropy of each batch, with a constant rate or one that falls.

Step t = 0..T-1, T = epochs · ceil(n / batch_size), has the learning rate

    cosine      lr(t) = learning_rate / 2 · (1 + cos(π t / T))
    constant    lr(t) = learning_rate

and, with g the gradient plus weight_decay · θ and v = 0 at first,  v ← momentum · v + g,  θ ← θ - lr (g + momentum · v)
(Nesterov's form as torch has it), which is θ ← θ - lr · g without momentum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults but `epochs` and `batch_size` are those of NAS-Bench-201 (200 epochs of 256).

    epochs         passes over the training set, at least 0 (0: the network is only evaluated)
    batch_size     samples a step at most, at least 1. An epoch of n samples has ceil(n / batch_size) steps whose sizes
                   differ by at most one, so that no small rest is left for batch normalisation
    learning_rate  at the first step
    momentum       in [0, 1); Nesterov's form unless it is 0
    weight_decay   λ of the term λ/2 |θ|² on all parameters, those of batch normalisation too
    schedule       "cosine", from the learning rate towards 0, or "constant"

    Errors: InputError for a value outside these ranges.
    """

    epochs: int = 30
    batch_size: int = 50
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch_size", 1)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        for name, below in (("learning_rate", math.inf), ("momentum", 1.0), ("weight_decay", math.inf)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < below:
                raise InputError(f"expected {name} in [0, {below}), got {value!r}; give a number there")
        if self.schedule not in SCHEDULES:
            hint = suggest(str(self.schedule), SCHEDULES)
            raise InputError(f"expected schedule {' or '.join(SCHEDULES)}, got {self.schedule!r}; give one.{hint}")

    def steps(self, samples: int) -> int:
        """Steps in an epoch of so many samples."""
        return math.ceil(samples / self.batch_size)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at step 0, 1, ... of so many in the whole run."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2


def orders(seed: int, samples: int) -> Iterator[Tensor]:
    """Yield, epoch by epoch without end, the order of the samples: torch's generator `seed` permutes them anew.

    An epoch of several steps splits it by `torch.tensor_split`.
    """
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randperm(samples, generator=generator)
