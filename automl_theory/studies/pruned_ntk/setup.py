"""What of the study is drawn: one frozen object, which decides every number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

from automl_theory.counts import whole
from automl_theory.errors import InputError


@dataclass(frozen=True)
class Setup:
    """What is drawn.

    depth    L, the number of hidden layers; the authors have 3
    keeps    keep probabilities α, at least three
    widths   widths d of all hidden layers, at least two; every pair with `keeps` is measured, and for the statement
             `flat` the smallest one divided by each α as well
    draws    networks a pair (α, d)
    seed     of everything that is drawn
    workers  processes, 0 or 1 for none; changes no number

    Errors: InputError for a value out of range.
    """

    depth: int = 3
    keeps: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125, 0.0625)
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    draws: int = 512
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for name, value, least in [
            ("depth", self.depth, 1), ("draws", self.draws, 16), ("seed", self.seed, 0), ("workers", self.workers, 0),
            *(("a width", width, 8) for width in self.widths),
        ]:  # fmt: skip
            whole(name, value, least)
        for keep in self.keeps:
            if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
                raise InputError(f"expected keep probabilities in (0, 1], got {keep!r}; give such as (1, 0.5, 0.25)")
        for name, values, least in (("keeps", self.keeps, 3), ("widths", self.widths, 2)):
            if len(set(values)) < max(least, len(values)):
                raise InputError(f"expected {name} to be at least {least} different numbers, got {values!r}; give more")

    def cells(self) -> tuple[tuple[float, int], ...]:
        """All pairs (α, d) that are measured, in order."""
        return tuple(sorted({*((a, d) for a in self.keeps for d in self.widths), *self.proportional()}))

    def proportional(self) -> tuple[tuple[float, int], ...]:
        """The pairs whose width is the smallest one, for the largest α, times that α over α."""
        first, base = max(self.keeps), min(self.widths)
        return tuple((keep, round(base * first / keep)) for keep in sorted(self.keeps, reverse=True))

    def settings(self) -> dict[str, Any]:
        """Everything that decides numbers, ready for JSON: all fields but `workers`."""
        told = asdict(self) | {"keeps": list(map(float, self.keeps)), "widths": list(self.widths)}
        del told["workers"]
        return told


FULL = Setup()
"""12,800 networks: a few minutes of two cores."""

QUICK = Setup(keeps=(1.0, 0.5, 0.25, 0.125), widths=(64, 128, 256, 512), draws=256)
"""4096 networks: half a minute; `variance` and `flat` often stay undecided."""


def cell_seed(setup: Setup, keep: float, width: int) -> int:
    """The seed of a pair (α, d): of its own, so that estimates of different pairs are independent."""
    return crc32(f"{setup.seed} {setup.depth} {float(keep)!r} {width}".encode())
