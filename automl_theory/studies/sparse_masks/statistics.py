"""How measures of masks agree with accuracy inside cells of one network and one density, with intervals.

In a cell, (network, density), every method pruned the network under every seed. ρ is Spearman's rank correlation of a
measure with test accuracy over the cell's masks, taken in the measure's good direction; the numbers here are means over
the cells of a table, which may be one. Masks of one method are alike, so intervals resample methods, and seeds within
all of them alike: 95 % percentiles of the mean over cells, widened to that mean where resamples are biased. A method
whose measure is undefined is left out of that cell.

    partial      of ρ, given z: (ρ_xy − ρ_xz ρ_yz) / √((1 − ρ_xz²)(1 − ρ_yz²))
    R²           of the least-squares line of accuracy on the measure; `bend` is what a parabola adds to it
    slope        of that line, in points of accuracy per standard deviation of the measure
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats, Floats], float]

ACCURACY = "test_accuracy"
RESAMPLES = 400
LEAST = 5
"""Masks that a cell needs to have a number, and numbers that a mean needs to have an interval."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, and the masks it rests on; nan where nothing could be measured."""

    value: float
    low: float
    high: float
    n: int


def inside_cells(
    masks: pd.DataFrame, statistic: Statistic, measure: str, given: str = "", *, sign: float = 1.0, seed: int = 0
) -> Estimate:
    """Mean over cells of statistic(x, y, z): x the measure times `sign`, y accuracy, z the column `given`.

    Cells where the statistic is nan (a constant measure, too few masks) do not count.
    """
    cells, n = [], 0
    for _, part in masks.groupby(["network", "density"], sort=True):
        wide = [_wide(part, name) for name in (measure, ACCURACY, given or ACCURACY)]
        n += int((~np.isnan(wide[0]) & ~np.isnan(wide[1])).sum())
        cells.append([sign * wide[0], *wide[1:]])
    rng = np.random.default_rng(seed)
    methods, seeds = cells[0][0].shape
    draws = [(rng.integers(methods, size=methods), rng.integers(seeds, size=seeds)) for _ in range(RESAMPLES)]
    value = _mean([_applied(statistic, *cell) for cell in cells])
    drawn = [_mean([_applied(statistic, *(v[np.ix_(*draw)] for v in cell)) for cell in cells]) for draw in draws]
    known = np.array([v for v in drawn if np.isfinite(v)])
    if not np.isfinite(value) or len(known) < RESAMPLES / 2:
        return Estimate(value, np.nan, np.nan, n)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def spearman(x: Floats, y: Floats, z: Floats) -> float:
    """ρ of x with y."""
    del z
    return _pearson(ranks(x), ranks(y))


def partial(x: Floats, y: Floats, z: Floats) -> float:
    """ρ of x with y, given z; nan if one of them follows from z."""
    a, b, c = map(ranks, (x, y, z))
    xy, xz, yz = _pearson(a, b), _pearson(a, c), _pearson(b, c)
    rest = (1 - xz**2) * (1 - yz**2)
    return float((xy - xz * yz) / np.sqrt(rest)) if rest > 1e-9 else np.nan


def beyond(x: Floats, y: Floats, z: Floats) -> float:
    """ρ of x with y minus ρ of z with y."""
    return spearman(x, y, y) - spearman(z, y, y)


def linear(x: Floats, y: Floats, z: Floats) -> float:
    """R² of the line."""
    del z
    return _pearson(x, y) ** 2


def bend(x: Floats, y: Floats, z: Floats) -> float:
    """What a parabola explains beyond the line."""
    u = (x - x.mean()) / x.std()
    powers = np.stack([np.ones_like(u), u, u**2], axis=1)
    left = y - powers @ np.linalg.lstsq(powers, y)[0]
    return float(1 - left.var() / y.var() - linear(x, y, z))


def slope(x: Floats, y: Floats, z: Floats) -> float:
    """Points of accuracy per standard deviation of x."""
    del z
    return _pearson(x, y) * float(y.std())


def mean_with_interval(values: Sequence[float] | Floats, *, level: float = 0.95, seed: int = 0) -> Estimate:
    """The mean and its interval by resampling the values; fewer than `LEAST` values have no interval."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Estimate(np.nan, np.nan, np.nan, 0)
    if len(known) < LEAST:
        return Estimate(float(known.mean()), np.nan, np.nan, len(known))
    rng = np.random.default_rng(seed)
    drawn = known[rng.integers(len(known), size=(4000, len(known)))].mean(axis=1)
    tail = 50 * (1 - level)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Estimate(float(known.mean()), float(low), float(high), len(known))


def share_with_interval(values: Sequence[float] | Floats, *, z: float = 1.959964) -> Estimate:
    """The mean of numbers in [0, 1], and Wilson's interval of a share of so many; none of fewer than `LEAST`.

    (p + z²/2n ± z √(p (1 - p)/n + z²/4n²))/(1 + z²/n): of all or none of n, where resamples are all alike, it says how
    little n can tell, [0.68, 1] of 8 of 8. Source: Wilson 1927.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    n = len(known)
    if n < LEAST:
        return mean_with_interval(known)
    p = float(known.mean())
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return Estimate(p, max(0.0, float(low)), min(1.0, float(high)), n)


def _wide(part: pd.DataFrame, name: str) -> Floats:
    """(methods, seeds) of a cell."""
    found: Floats = part.pivot(index="method", columns="seed", values=name).to_numpy(dtype=np.float64)
    return found


def _applied(statistic: Statistic, x: Floats, y: Floats, z: Floats) -> float:
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    if known.sum() < LEAST or np.ptp(x[known]) == 0 or np.ptp(y[known]) == 0:
        return np.nan
    return statistic(x[known], y[known], z[known])


def ranks(values: Floats) -> Floats:
    """1 for the smallest; ties share their mean rank."""
    ordered = np.sort(values)
    places: Floats = (ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right") + 1) / 2
    return places


def _pearson(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 0 else np.nan


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else np.nan
