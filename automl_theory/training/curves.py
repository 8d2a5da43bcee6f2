"""What is read from a training curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONVERGED = 0.01
"""Nats that the second half of a converged training may still change the loss by."""


def epochs_to(history: Sequence[float], level: float, start: float | None = None) -> float:
    """Return when `history`, the value of epochs 1, 2, ..., reaches `level`, in epochs; nan if it never does.

    With e the first epoch whose value a_e is >= level: e - 1 + (level - a_{e-1}) / (a_e - a_{e-1}), the straight line
    between two epochs, a number in (e - 1, e]. a_0 is `start`, the value before training (0 epochs if that is at the
    level). Without it there is nothing to draw the first line from, and e = 1 gives 1.
    """
    if start is not None:
        return 0.0 if start >= level else epochs_to([start, *history], level) - 1
    for epoch, value in enumerate(history):
        if value >= level:
            return epoch + (level - history[epoch - 1]) / (value - history[epoch - 1]) if epoch else 1.0
    return math.nan


def has_converged(halfway_loss: float, loss: float) -> bool:
    """Whether doubling the training changed the loss by at most 0.01 nats: |L(E/2) - L(E)| <= 0.01.

    Both losses are of the whole training set, so no noise of batches is in them; the noise of the steps is, and a loss
    that rises and falls with a rate that is too large has not converged. Not finite: it has not.
    """
    return abs(halfway_loss - loss) <= CONVERGED
