"""Does one architecture win all aspects among these rows? What is seen, how sure it is, and what else would be seen.

Two references stand beside every number, made of the same values:

- independent: each aspect's values are shuffled among the architectures, so that the aspects have nothing to do with
  each other. Not every permutation gives exactly one winner, and none shows a conflict: this is what chance shows.
  The p value says how far the table is from it, towards conflict or towards agreement (two-sided).
- no conflict: each aspect's values are sorted, so that the best in one aspect is the best in all. This is what a space
  without any conflict shows: distance 0, hypervolume 1, and as many on the front as are tied at the top.

The codes, which follow from intervals at the level asked for, never from a size of effect:

    one_wins_all      distance 0 in the whole interval: one architecture is best in every aspect
    no_free_lunch     the interval of the distance is above 0, and some two aspects conflict
    no_single_winner  the interval of the distance is above 0, and no two aspects are shown to conflict
    undecided         the interval of the distance holds 0 and more: it depends on which architectures were drawn
    no_contest        fewer than two aspects tell the architectures apart
    too_few           fewer than ten classes, or no resamples: no interval

Two aspects conflict if the interval of their τ lies below 0 ("overall"), or that of the overlap of their top sets lies
below what independent aspects show ("at the top"). Since three pairs are looked at in two ways, these two intervals are
at a level at which all six hold together (Bonferroni); the ones in the table are at the level asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.landscape import (
    Effort,
    Units,
    distances,
    interval,
    pair_reading,
    percentiles,
    permuted,
    resampled,
    statistics,
    two_sided,
    units,
)

CODES = ("one_wins_all", "no_free_lunch", "no_single_winner", "undecided", "no_contest", "too_few")


@dataclass(frozen=True, eq=False)
class Contest:
    """What the aspects of some rows say against each other.

    `code`: one of `CODES`. `numbers`: a row each for distance, hypervolume and front_classes; columns observed, low,
    high, independent, independent_low, independent_high, p, no_conflict (front_classes has no interval: a resample
    holds fewer different architectures). `conflicts`: a row a pair of aspects; columns kendall, low, high, overlap,
    overlap_low, overlap_high, overlap_independent, kendall_p, overlap_p, overall and top ("conflict", "agreement" or
    "unclear"). `constant`: aspects that tell nobody apart. `percentile`: of each row in each aspect, and `distance` to
    the utopia point.
    """

    n: int
    classes: int
    code: str
    numbers: pd.DataFrame
    conflicts: pd.DataFrame
    constant: tuple[str, ...]
    percentile: pd.DataFrame
    distance: pd.Series

    @property
    def nearest(self) -> list[str]:
        """The architectures nearest to the utopia point: one, or several that are tied."""
        return [str(arch) for arch in self.distance.index[self.distance == self.distance.min()]]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of aspects, in the order of `conflicts`."""
        return [(str(a), str(b)) for a, b in self.conflicts.index]

    def row(self) -> dict[str, object]:
        """Return the key numbers by name, for a table of several contests."""
        row: dict[str, object] = {"n": self.n, "classes": self.classes, "verdict_code": self.code}
        for name in ("distance", "hypervolume"):
            row |= {name + end: self.numbers.loc[name, at] for end, at in _ENDS.items()}
        row["front_classes"] = self.numbers.loc["front_classes", "observed"]
        row["front_classes_independent"] = self.numbers.loc["front_classes", "independent"]
        for (a, b), (_, found) in zip(self.pairs, self.conflicts.iterrows(), strict=True):
            row |= {f"kendall_{a}_{b}": found["kendall"], f"kendall_{a}_{b}_low": found["low"]}
            row |= {f"kendall_{a}_{b}_high": found["high"], f"overlap_{a}_{b}": found["overlap"]}
        row["compromise"] = self.nearest[0] if self.nearest else None
        return row


_ENDS = {"": "observed", "_low": "low", "_high": "high", "_independent": "independent"}


def contest(good: pd.DataFrame, classes: NDArray[np.intp], effort: Effort) -> Contest:
    """Return the contest of oriented values `good`, one column an aspect, whose rows belong to `classes`."""
    aspects = [str(name) for name in good.columns]
    table = good.to_numpy(dtype=np.float64)
    these = units(table, classes)
    observed = statistics(these.ranks, these.count)
    agreeing = statistics(np.sort(these.ranks, axis=0), np.ones(len(these.count), dtype=np.int64))
    points = percentiles(these.ranks, these.count)[these.row]
    drawn = resampled(these, effort)
    chance = permuted(these, effort)
    numbers = {}
    for name, seen in observed.items():
        low, high = np.nan, np.nan
        if name in drawn and name != "front_classes":
            low, high = interval(drawn[name], effort.level, seen)
        by_chance = chance.get(name, np.empty(0))
        chance_low, chance_high = interval(by_chance, effort.level)
        numbers[name] = {
            "observed": seen,
            "low": low,
            "high": high,
            "independent": float(by_chance.mean()) if len(by_chance) else np.nan,
            "independent_low": chance_low,
            "independent_high": chance_high,
            "p": two_sided(seen, by_chance),
            "no_conflict": agreeing[name],
        }
    conflicts = {}
    for a, b in combinations(range(len(aspects)), 2):
        found = pair_reading(table[:, a], table[:, b], classes, effort)
        for name in ("kendall", "overlap"):
            by_chance = chance.get(f"{name}_{a}_{b}", np.empty(0))
            found[f"{name}_p"] = two_sided(found[name], by_chance)
        conflicts[aspects[a], aspects[b]] = found
    pairs = pd.DataFrame.from_dict(conflicts, orient="index")
    pairs.index = pd.MultiIndex.from_tuples(list(conflicts), names=["aspect", "other"])
    constant = constant_aspects(these, aspects)
    table_of_numbers = pd.DataFrame.from_dict(numbers, orient="index")
    ends = numbers["distance"]
    code = code_of(ends["low"], ends["high"], list(conflicts.values()), len(aspects) - len(constant))
    return Contest(
        n=len(table),
        classes=these.number_of_classes,
        code=code,
        numbers=table_of_numbers,
        conflicts=pairs,
        constant=constant,
        percentile=pd.DataFrame(points, index=good.index, columns=aspects),
        distance=pd.Series(distances(points), index=good.index, name="distance"),
    )


def constant_aspects(these: Units, aspects: list[str]) -> tuple[str, ...]:
    """Return the aspects in which all rows are tied."""
    return tuple(name for k, name in enumerate(aspects) if len(these.count) and not these.ranks[:, k].any())


def code_of(low: float, high: float, pairs: Sequence[Mapping[str, Any]], telling: int) -> str:
    """Return one of `CODES` for an interval of the distance, the relations of all pairs and the aspects that vary."""
    if np.isnan(low):
        return "too_few"
    if telling < 2:
        return "no_contest"
    if high == 0:
        return "one_wins_all"
    if low == 0:
        return "undecided"
    conflict = any("conflict" in (pair["overall"], pair["top"]) for pair in pairs)
    return "no_free_lunch" if conflict else "no_single_winner"
