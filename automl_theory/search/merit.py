"""One number for many measures: the sum of an architecture's ranks among all that were seen."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort

Numbers = tuple[float, ...]


class RankSum:
    """Σ_k r_k over the measures k of an architecture, r_k = #{seen below} + ½ #{seen equal}; larger is better.

    With `log` it is Σ_k log((r_k + ½)/(n + 1)) of n seen: one bad rank then weighs more than one good rank, as in
    `RankComposite`. Both are invariant to any increasing change of a single measure; with one measure both are that
    measure's order, and whatever dominates another has the larger sum. ±inf are values at their end; NaN is not
    allowed.
    """

    def __init__(self, log: bool = False) -> None:
        self.log = log
        self._columns: list[list[float]] = []

    def add(self, numbers: Numbers) -> None:
        """See another architecture."""
        self._columns = self._columns or [[] for _ in numbers]
        for column, number in zip(self._columns, numbers, strict=True):
            insort(column, number)

    def __call__(self, numbers: Numbers) -> float:
        """Return the sum for values that need not have been seen."""
        pairs = zip(self._columns, numbers, strict=True)
        ranks = [(bisect_left(column, number) + bisect_right(column, number)) / 2 for column, number in pairs]
        if not self.log:
            return math.fsum(ranks)
        return math.fsum(math.log((rank + 0.5) / (len(self._columns[0]) + 1)) for rank in ranks)


def best(seen: dict[str, Numbers], log: bool = False) -> list[str]:
    """The architectures by falling rank sum; equal ones in the order in which they were seen."""
    ranks = RankSum(log)
    for numbers in seen.values():
        ranks.add(numbers)
    return sorted(seen, key=lambda arch: -ranks(seen[arch]))
