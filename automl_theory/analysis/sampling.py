"""How sure a rank correlation is: the rows it was measured on seen as a sample of classes of equal architectures.

Two ways to an interval, which agree (tests, and `benchmarks/results/interval_coverage.json`):

    "bootstrap"   classes are drawn with replacement, with all rows of each; the interval is the expanded percentile one
                  of the statistic on the resamples: its ends are at Φ(∓ t √(c/(c − 1))) in place of 2.5 and 97.5 %,
                  since resamples spread by √((c − 1)/c) of what samples do, and a percentile by no more than a normal
    "analytic"    θ ± t se on Fisher's scale, atanh θ ± t se / (1 − θ²), with t Student's quantile of c − 1 degrees of
                  freedom and se² = c/(c − 1) Σ_classes (Σ_{i in class} ∂θ/∂w_i)² from `analysis.influence`

c is the effective number of classes, (Σ n_k)² / Σ n_k² for classes of n_k rows: how many are there if all are of one
size, fewer the more some outweigh the rest. A quantile at q of B resamples is the q (B + 1)-th smallest. Sources: T.
Hesterberg (2015), "What teachers should know about the bootstrap"; A. Carter, K. Schnepel, D. Steigerwald (2017),
"Asymptotic behavior of a t-test robust to cluster heterogeneity".

Where a column is so nearly constant that more than 5 % of resamples would be constant (all but two classes in one
tie), neither gives an interval.

Both describe an unlimited population of classes of which the table's are a sample. For a table that is a whole space
they say how much the value would move on another space like it.

The best part of a table (the rows whose target is in the top 10 %) is a sample with the border where the table has it.
That chance moves the border is left out: it adds a few hundredths to the variance of τ, while a bootstrap that looks
for a border in every resample counts the rows near it twice (its 95 % intervals held the truth in 98 % of tables).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from automl_theory.analysis.influence import influences
from automl_theory.analysis.rank_correlation import Floats, Ints, class_resamples, correlations, count_classes

Bools = NDArray[np.bool_]
Method = Literal["bootstrap", "analytic"]

FEWEST_CLASSES = 10
"""Fewer classes than this make an interval meaningless: none is given."""


@dataclass(frozen=True)
class Pair:
    """τ-b and ρ of two columns, and how each spreads: on every resample, or by every class's influence; or empty.

    `classes`: how many; `effective`: how many of one size would be worth as much (see the head of this file).
    """

    n: int
    classes: int
    effective: float
    constant: bool = False
    tau: float = np.nan
    rho: float = np.nan
    tau_spread: Floats = field(default_factory=lambda: np.empty(0))
    rho_spread: Floats = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Sample:
    """Rows with their classes, and what is needed to say how far a statistic of them can be trusted.

    classes   the class of each row, 0 … c − 1, shape (n,)
    inside    the rows that a statistic is measured on, shape (n,): all of them, or the best part
    weights   how often each row counts in each resample, shape (n, resamples); None for analytic intervals
    """

    classes: Ints
    inside: Bools
    level: float
    weights: NDArray[np.uint8] | None

    @property
    def linear(self) -> bool:
        """Whether spreads are influences of the classes rather than values on resamples."""
        return self.weights is None

    def pair(self, x: Floats, y: Floats, used: Bools) -> Pair:
        """Return the agreement of columns `x` and `y`, shape (n,), on the rows `used`.

        Fewer than 3 rows or a constant column give NaN, fewer than 10 classes no spread, a nearly constant column NaN
        in the spread.
        """
        rows = np.flatnonzero(used & self.inside)
        u, v = x[rows], y[rows]
        sizes = np.bincount(self.classes[rows]).astype(np.float64)
        count = int(np.count_nonzero(sizes))
        known = (len(rows), count, float(sizes.sum() ** 2 / (sizes @ sizes)) if count else 0.0)
        constant = len(rows) > 1 and bool((u == u[0]).all() or (v == v[0]).all())
        if len(rows) < 3 or constant:
            return Pair(*known, constant)
        if self.weights is not None:
            tau, rho = (float(value[0]) for value in correlations(u, v))
            taus, rhos = np.empty(0), np.empty(0)
            if count >= FEWEST_CLASSES and self.weights.shape[1]:
                taus, rhos = correlations(u, v, self.weights[rows])
            return Pair(*known, constant, tau, rho, taus, rhos)
        tau, rho, by_tau, by_rho = influences(u, v)
        if count < FEWEST_CLASSES:
            return Pair(*known, constant, tau, rho)
        among = int(self.classes.max()) + 1
        if min(self._classes_apart(rows, column) for column in (u, v)) < 3:
            nothing = np.full(among, np.nan)
            return Pair(*known, constant, tau, rho, nothing, nothing)
        taus, rhos = (
            np.bincount(self.classes[rows], by_row, minlength=among).astype(np.float64) for by_row in (by_tau, by_rho)
        )
        return Pair(*known, constant, tau, rho, taus, rhos)

    def _classes_apart(self, rows: Ints, column: Floats) -> int:
        """Return how many classes have a row that is not in the column's largest tie."""
        _, group, counts = np.unique(column, return_inverse=True, return_counts=True)
        return count_classes(self.classes[rows[group.reshape(-1) != counts.argmax()]])

    def interval(self, value: float, spread: Floats, effective: float, extra: float = 0.0) -> tuple[float, float]:
        """Return the ends of the interval of a correlation measured on so many classes, NaN without a spread.

        `extra` is the standard deviation of a further independent source of error (training seeds).
        """
        if not len(spread) or np.isnan(value):
            return np.nan, np.nan
        if self.linear:
            if abs(value) >= 1:
                return value, value
            reach = self.quantile(effective) * self.error(spread, effective, extra) / (1 - value**2)
            return float(np.tanh(np.arctanh(value) - reach)), float(np.tanh(np.arctanh(value) + reach))
        if np.isnan(spread).mean() > 0.05:
            return np.nan, np.nan
        if extra:
            spread = np.clip(spread + extra * np.random.default_rng(len(spread)).normal(size=len(spread)), -1.0, 1.0)
        low, high = np.nanquantile(spread, self.tails(effective), method="weibull")
        return float(low), float(high)

    def error(self, spread: Floats, effective: float, extra: float = 0.0) -> float:
        """Return the standard error that the influences of so many classes stand for."""
        return float(np.sqrt(spread @ spread * effective / (effective - 1) + extra**2))

    def quantile(self, effective: float) -> float:
        """Return Student's two-sided quantile of the level with `effective` − 1 degrees of freedom."""
        return float(stats.t.ppf((1 + self.level) / 2, effective - 1))

    def tails(self, effective: float) -> tuple[float, float]:
        """Return which quantiles of the resamples end the interval."""
        reach = self.quantile(effective) * math.sqrt(effective / (effective - 1))
        return float(stats.norm.cdf(-reach)), float(stats.norm.cdf(reach))

    def lower_end_of_gain(self, first: Pair, second: Pair, sign: float = 1.0) -> float:
        """Return the lower end of the paired interval of τ(first) − sign·τ(second), NaN where one has no spread."""
        if not len(first.tau_spread) or not len(second.tau_spread):
            return np.nan
        gain = first.tau_spread - sign * second.tau_spread
        effective = min(first.effective, second.effective)
        if self.linear:
            return first.tau - sign * second.tau - self.quantile(effective) * self.error(gain, effective)
        return (
            np.nan if np.isnan(gain).all() else float(np.nanquantile(gain, self.tails(effective)[0], method="weibull"))
        )


def whole(classes: Ints, method: Method, resamples: int, seed: int, level: float) -> Sample:
    """Return all rows as a sample; `resamples` and `seed` are those of the bootstrap."""
    weights = class_resamples(classes, resamples, seed) if method == "bootstrap" else None
    return Sample(classes, np.ones(len(classes), dtype=bool), level, weights)


def best_part(sample: Sample, y: Floats, top: float) -> Sample:
    """Return the best share `top` of the rows by target `y` (larger better) as a sample of its own.

    Inside are the rows with y at or above the ⌈top·n⌉-th largest, so that ties at the border are all in.
    """
    if not len(y):
        return sample
    needed = max(1, math.ceil(round(top * len(y), 9)))
    return replace(sample, inside=y >= np.partition(y, len(y) - needed)[len(y) - needed])
