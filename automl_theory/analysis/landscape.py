"""What several aspects of the same architectures say against each other, with resamples and permutations of it.

The numbers are made of ranks only. An architecture's percentile in an aspect is how many of the others are no better,

    p = 100 · #{ j ≠ i : v_j ≤ v_i } / (n − 1)

so the best (all of them, if tied) has 100 and a lone worst 0. The utopia point has 100 in every aspect; somebody wins
all aspects exactly if its distance to it is 0.

    distance       Euclidean, of the nearest architecture to the utopia point, in percentile points
    hypervolume    of the percentiles / 100 above the origin: 1 exactly if somebody wins all aspects
    front_classes  different architectures on the Pareto front
    overlap        of two top sets: |A ∩ B| / min(|A|, |B|), a top set being the best `TOP` of all, with everybody
                   tied with the last of them (so it can be larger)

Equal rows of one class are one `unit` here that counts as often as it has rows. A resample draws as many classes as
there are, with replacement, and counts percentiles anew within it; a permutation shuffles the values of each aspect
among units. A resample holds only 63 % of the architectures, and with fewer of them the nearest to utopia can only be
farther from it; where all resamples lie on one side of the observed value, the interval is widened to reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, kendalltau

from automl_theory.analysis.dominance import Floats, Ints, dense_ranks, distinct_rows, undominated_by_pivots
from automl_theory.analysis.hypervolume import front_and_hypervolume
from automl_theory.analysis.sampling import FEWEST_CLASSES, Sample

TOP = 0.1
"""The share of architectures in a top set."""

RELATIONS = 6
"""Three pairs of aspects, each overall and at the top."""


@dataclass(frozen=True)
class Effort:
    """How much is drawn, and at which level intervals are given; `tick` is called after each draw."""

    resamples: int
    permutations: int
    seed: int
    level: float
    tick: Callable[[], None] = lambda: None

    @property
    def joint(self) -> float:
        """The level at which the six relations of three aspects hold together (Bonferroni)."""
        return 1 - (1 - self.level) / RELATIONS

    def silent(self) -> Effort:
        """Return the same effort, which tells nobody of its draws."""
        return replace(self, tick=lambda: None)


@dataclass(frozen=True)
class Units:
    """Rows with equal values in one class, once: dense `ranks` (u, d), how many rows each `count`s, its `classes`.

    `row` (n,) says which unit a row of the table is.
    """

    ranks: Ints
    count: Ints
    classes: Ints
    row: Ints

    @property
    def number_of_classes(self) -> int:
        """How many different classes there are."""
        return len(np.unique(self.classes))


def units(good: Floats, classes: NDArray[np.intp]) -> Units:
    """Return the units of oriented values `good`, shape (n, d)."""
    distinct, row = distinct_rows(np.column_stack([classes, dense_ranks(good)]).astype(np.int64))
    count = np.bincount(row, minlength=len(distinct))
    return Units(distinct[:, 1:], count, distinct[:, 0], row)


def percentiles(ranks: Ints, weights: Ints) -> Floats:
    """Return the percentile of each unit in each column, shape (u, d), if unit i counts `weights[i]` times."""
    total = int(weights.sum())
    columns = []
    for rank in ranks.T:
        at_most = np.cumsum(np.bincount(rank, weights=weights))[rank]
        columns.append(100 * (at_most - 1) / (total - 1) if total > 1 else np.full(len(rank), 100.0))
    return np.column_stack(columns)


def distances(percentile: Floats) -> Floats:
    """Return the distance of each point, shape (n, d), to the utopia point (100, …, 100)."""
    return np.asarray(np.sqrt(((100 - percentile) ** 2).sum(axis=1)))


def overlap(a: Ints, b: Ints, weights: Ints) -> tuple[float, float]:
    """Return the overlap of the top sets of two ranked columns, and what independent columns show; nan without rows.

    Two random sets of these sizes share |A| |B| / n rows on average, so that the overlap would be max(|A|, |B|) / n.
    """
    total = weights.sum()
    if not total:
        return np.nan, np.nan
    in_a, in_b = (_top(rank, weights) for rank in (a, b))
    sizes = weights[in_a].sum(), weights[in_b].sum()
    return float(weights[in_a & in_b].sum() / min(sizes)), float(max(sizes) / total)


def _top(rank: Ints, weights: Ints) -> NDArray[np.bool_]:
    at_least = np.cumsum(np.bincount(rank, weights=weights)[::-1])[::-1]
    lowest = np.flatnonzero(at_least >= max(TOP * weights.sum(), 1.0) - 1e-9)[-1]
    return np.asarray(rank >= lowest)


def statistics(ranks: Ints, weights: Ints, whole: bool = True) -> dict[str, float]:
    """Return distance, hypervolume and front_classes by name, with unit i counting `weights[i]` times.

    Without `whole` the distance alone. Without any unit all are nan.
    """
    present = weights > 0
    if not present.any():
        return dict.fromkeys(("distance", "hypervolume", "front_classes") if whole else ("distance",), np.nan)
    ranks = ranks[present]
    points = percentiles(ranks, weights[present])
    found = {"distance": float(distances(points).min())}
    if whole:
        few = undominated_by_pivots(ranks)
        front, found["hypervolume"] = front_and_hypervolume(points[few] / 100, np.zeros(points.shape[1]))
        found["front_classes"] = float(front.sum())
    return found


def resamples_of(these: Units, effort: Effort) -> Iterator[Ints]:
    """Yield how often each unit counts in each resample; the same resamples for the same classes and seed."""
    rng = np.random.default_rng(effort.seed)
    known, place = np.unique(these.classes, return_inverse=True)
    for _ in range(effort.resamples if len(known) >= FEWEST_CLASSES else 0):
        drawn = np.bincount(rng.integers(0, len(known), size=len(known)), minlength=len(known))
        yield these.count * drawn[place]
        effort.tick()


def resampled(these: Units, effort: Effort, whole: bool = True) -> dict[str, Floats]:
    """Return the statistics on each resample, by name; no resample below ten classes."""
    return _columns([statistics(these.ranks, weights, whole) for weights in resamples_of(these, effort)])


def permuted(these: Units, effort: Effort) -> dict[str, Floats]:
    """Return the statistics, and kendall_<a>_<b> and overlap_<a>_<b>, with each aspect's values shuffled among units.

    τ counts each unit once here.
    """
    rng = np.random.default_rng([effort.seed, 1])
    found = []
    d = these.ranks.shape[1]
    for _ in range(effort.permutations if len(these.count) > 1 else 0):
        ranks = np.column_stack([rng.permutation(these.ranks[:, k]) for k in range(d)])
        values = statistics(ranks, these.count)
        for a, b in combinations(range(d), 2):
            values[f"kendall_{a}_{b}"] = _plain_kendall(ranks[:, a], ranks[:, b])
            values[f"overlap_{a}_{b}"] = overlap(ranks[:, a], ranks[:, b], these.count)[0]
        found.append(values)
        effort.tick()
    return _columns(found)


def _plain_kendall(x: Ints, y: Ints) -> float:
    return float(kendalltau(x, y, method="asymptotic").statistic) if len(x) > 2 and x.any() and y.any() else np.nan


def _columns(found: list[dict[str, float]]) -> dict[str, Floats]:
    return {name: np.array([values[name] for values in found]) for name in (found[0] if found else ())}


def pair_reading(x: Floats, y: Floats, classes: NDArray[np.intp], effort: Effort) -> dict[str, Any]:
    """Return how two aspects agree: kendall, low, high, overlap, overlap_low, overlap_high, overlap_independent, …

    … and the relations overall and top: "conflict" if the interval of τ lies below 0, or that of the overlap below
    what independent aspects show, "agreement" if above, else "unclear". The relations are read from intervals at
    `effort.joint`, not `effort.level`. That of τ-b is the analytic one over classes (`sampling`); that of the overlap
    is a bootstrap widened to the exact binomial interval (Clopper and Pearson 1934) of as many draws as a top set has
    classes (the fewer of the two), since the bootstrap of an empty overlap has no width. nan for a constant column
    and fewer than three rows; no interval below ten classes.
    """
    these = units(np.column_stack([x, y]), classes)
    a, b = these.ranks.T
    seen, chance = overlap(a, b, these.count)
    drawn = np.array([overlap(a, b, weights)[0] for weights in resamples_of(these, effort)])
    tau, low, high = kendall(x, y, classes, effort.level)
    ends = _overlap_interval(these, drawn, effort.level, seen)
    return {
        "kendall": tau,
        "low": low,
        "high": high,
        "overlap": seen,
        "overlap_low": ends[0],
        "overlap_high": ends[1],
        "overlap_independent": chance,
        "overall": _relation(*kendall(x, y, classes, effort.joint)[1:], 0.0),
        "top": _relation(*_overlap_interval(these, drawn, effort.joint, seen), chance),
    }


def _overlap_interval(these: Units, drawn: Floats, level: float, seen: float) -> tuple[float, float]:
    low, high = interval(drawn, level, seen)
    if np.isnan(low):
        return low, high
    draws = min(len(np.unique(these.classes[_top(rank, these.count)])) for rank in these.ranks.T)
    shared, tail = seen * draws, (1 - level) / 2
    least = beta.ppf(tail, shared, draws - shared + 1) if shared > 0 else 0.0
    most = beta.ppf(1 - tail, shared + 1, draws - shared) if shared < draws else 1.0
    return min(low, float(least)), max(high, float(most))


def _relation(low: float, high: float, neutral: float) -> str:
    if high < neutral:
        return "conflict"
    return "agreement" if low > neutral else "unclear"


def kendall(x: Floats, y: Floats, classes: NDArray[np.intp], level: float) -> tuple[float, float, float]:
    """Return Kendall's τ-b of two columns and its analytic interval over classes, (τ, low, high); see `sampling`."""
    place = np.asarray(np.unique(classes, return_inverse=True)[1], dtype=np.intp)
    everyone = np.ones(len(x), dtype=bool)
    sample = Sample(place, everyone, level, None)
    pair = sample.pair(x, y, everyone)
    return pair.tau, *sample.interval(pair.tau, pair.tau_spread, pair.effective)


def interval(drawn: Floats, level: float, observed: float = np.nan) -> tuple[float, float]:
    """Return the central interval of drawn values at `level`, widened to `observed`.

    nan if there are none, or over 5 % of them are nan.
    """
    if not len(drawn) or np.isnan(drawn).mean() > 0.05:
        return np.nan, np.nan
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(np.fmin(low, observed)), float(np.fmax(high, observed))


def two_sided(observed: float, drawn: Floats) -> float:
    """Return the permutation p value: twice the smaller tail, the observed value counted among the permutations."""
    if not len(drawn) or np.isnan(observed) or np.isnan(drawn).all():
        return np.nan
    drawn = drawn[~np.isnan(drawn)]
    tails = [(1 + (drawn <= observed + 1e-12).sum()), (1 + (drawn >= observed - 1e-12).sum())]
    return float(min(1.0, 2 * min(tails) / (1 + len(drawn))))
