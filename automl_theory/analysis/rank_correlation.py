"""Kendall's τ-b and Spearman's ρ of one pair of columns under many row multiplicities at once.

A bootstrap resample of a table only changes how often each row counts: w_i ∈ {0, 1, 2, …}. The order of the rows
never changes, so it is sorted once and every resample is then sums of weights:

    τ_b = (C − D) / √((N₀ − T_x)(N₀ − T_y)),   N = Σ w_i,   N₀ = N(N − 1)/2,   C − D = N₀ − T_x − T_y + T_xy − 2D

with T_x = Σ_groups t(t − 1)/2 over the tied groups of x (t their weight; copies of a row tie with each other) and
D the weight of discordant pairs. D is counted bit by bit on the dense rank of x, in the order of y: at each bit,
a row with bit 0 is discordant with the rows of its group that have bit 1 and come earlier (Knight 1966 in another
dress). That is O(n log n) a resample, in exact integer arithmetic held in float64 (exact while N³ < 2⁵³, N ≈ 200,000).

    ρ = Pearson correlation of the average ranks, from  Σ w r_x r_y  and  Σ w r² = (N³ − N − Σ(t³ − t))/12 + N(N + 1)²/4

Every value equals `scipy.stats.kendalltau` and `spearmanr` of the table with its rows repeated w_i times.
Source: M. G. Kendall (1945), "The treatment of ties in ranking problems"; W. R. Knight (1966), JASA 61.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def correlations(x: Floats, y: Floats, weights: NDArray[np.integer] | None = None) -> tuple[Floats, Floats]:
    """Return (τ_b, ρ), each of shape (resamples,), of columns `x` and `y` of shape (n,).

    `weights` of shape (n, resamples) says how often each row counts; without it every row counts once (one resample).
    ±inf are values that rank at their end; NaN is not allowed. A resample with fewer than two rows, or where x or y
    takes one value only, gives NaN.
    """
    if weights is None:
        weights = np.ones((len(x), 1), dtype=np.uint8)
    resamples = weights.shape[1]
    tau, rho = np.full(resamples, np.nan), np.full(resamples, np.nan)
    if len(x) < 2:
        return tau, rho
    plan = _plan(x, y)
    step = int(np.clip(2**17 // len(x), 16, 256))
    for start in range(0, resamples, step):
        part = slice(start, start + step)
        tau[part], rho[part] = _evaluate(plan, weights[:, part].astype(np.float64))
    return tau, rho


@dataclass(frozen=True)
class _Groups:
    """The tied groups of a column: `rank` (dense) of each row, rows in `order`, where each group `starts` in it."""

    rank: Ints
    order: Ints
    starts: Ints

    def weigh(self, w: Floats) -> Floats:
        """Return the weight of each group, shape (groups, resamples)."""
        return np.asarray(np.add.reduceat(w[self.order], self.starts, axis=0))


@dataclass(frozen=True)
class _Level:
    """One bit: row `zeros[k]` is discordant with rows `ones[low[k]:high[k]]`."""

    ones: Ints
    zeros: Ints
    low: Ints
    high: Ints


@dataclass(frozen=True)
class _Plan:
    x: _Groups
    y: _Groups
    both: _Groups
    levels: tuple[_Level, ...]


def _groups(values: Floats | Ints) -> _Groups:
    rank = np.unique(values, return_inverse=True)[1].reshape(-1)
    order = np.argsort(rank, kind="stable")
    return _Groups(rank, order, np.flatnonzero(np.diff(rank[order], prepend=-1)))


def _plan(x: Floats, y: Floats) -> _Plan:
    gx, gy = _groups(x), _groups(y)
    # Discordance is symmetric, and the column with fewer values has fewer bits.
    few, many = sorted((gx, gy), key=lambda groups: len(groups.starts))
    both = _groups(many.rank * len(x) + few.rank)
    return _Plan(gx, gy, both, _levels(few.rank[both.order], both.order))


def _levels(r: Ints, rows: Ints) -> tuple[_Level, ...]:
    """Return the levels, first bit first, of ranks `r` in the order of the other column, which holds `rows`."""
    levels = []
    for bit in range(int(r.max()).bit_length() - 1, -1, -1):
        group = r >> (bit + 1)
        by_group = np.argsort(group, kind="stable")
        group, one = group[by_group], (r[by_group] >> bit) & 1
        ones_before = np.cumsum(one) - one
        zero = np.flatnonzero(one == 0)
        low, high = ones_before[np.searchsorted(group, group)][zero], ones_before[zero]
        there, some = rows[by_group], high > low
        levels.append(_Level(there[one == 1], there[zero[some]], low[some], high[some]))
    return tuple(levels)


def _evaluate(plan: _Plan, w: Floats) -> tuple[Floats, Floats]:
    total = w.sum(axis=0)
    pairs = total * (total - 1) / 2
    in_x, in_y, in_both = plan.x.weigh(w), plan.y.weigh(w), plan.both.weigh(w)
    ties_x, ties_y, ties_both = ((t * (t - 1)).sum(axis=0) / 2 for t in (in_x, in_y, in_both))
    difference = pairs - ties_x - ties_y + ties_both - 2 * _discordant(plan.levels, w)

    centre = total * (total + 1) ** 2 / 4
    rank_x, rank_y = ((np.cumsum(t, axis=0) - (t - 1) / 2)[g.rank] for t, g in ((in_x, plan.x), (in_y, plan.y)))
    covariance = np.einsum("nb,nb,nb->b", w, rank_x, rank_y) - centre
    variance_x, variance_y = ((total**3 - total - (t**3 - t).sum(axis=0)) / 12 for t in (in_x, in_y))

    defined = (pairs > ties_x) & (pairs > ties_y)
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = difference / np.sqrt(pairs - ties_x) / np.sqrt(pairs - ties_y)
        rho = covariance / np.sqrt(variance_x) / np.sqrt(variance_y)
    tau, rho = (np.where(defined, np.clip(v, -1.0, 1.0), np.nan) for v in (tau, rho))
    return tau, rho


def _discordant(levels: tuple[_Level, ...], w: Floats) -> Floats:
    discordant = np.zeros(w.shape[1])
    for level in levels:
        before = np.zeros((len(level.ones) + 1, w.shape[1]))
        np.cumsum(w[level.ones], axis=0, out=before[1:])
        discordant += np.einsum("nb,nb->b", w[level.zeros], before[level.high] - before[level.low])
    return discordant


def discordant_above(x: Ints, y: Ints) -> Ints:
    """Return, for each row, how many rows have a larger x and a smaller y, shape (n,); x ≥ 0 are ranks."""
    count = np.zeros(len(x), dtype=np.intp)
    rows = np.lexsort((x, y))
    for level in _levels(x[rows], rows) if len(x) else ():
        count[level.zeros] += level.high - level.low
    return count


def count_classes(classes: Ints) -> int:
    """Return how many different numbers ≥ 0 there are."""
    return int(np.count_nonzero(np.bincount(classes)))


def class_resamples(classes: Ints, resamples: int, seed: int) -> NDArray[np.uint8]:
    """Return bootstrap multiplicities, shape (n, resamples): classes are drawn with replacement, with all their rows.

    `classes` of shape (n,) numbers the class of each row 0 … c − 1; each resample draws c classes. Rows of one class
    are copies of the same network (equal proxies), so drawing rows one by one would make the interval too narrow. A
    count above 255 would wrap; of c > 255 classes one is drawn so often with a probability below 1e-500.
    """
    rng = np.random.default_rng(seed)
    count = int(classes.max()) + 1 if len(classes) else 0
    drawn = np.empty((count, resamples), dtype=np.uint8)
    for b in range(resamples):
        drawn[:, b] = np.bincount(rng.integers(0, count, size=count), minlength=count)
    return drawn[classes] if count else np.empty((0, resamples), dtype=np.uint8)
