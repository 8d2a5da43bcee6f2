"""What a search cares about: the best architectures by a proxy, and how far the best of them is from the best.

Ties are broken at random, and the expectation over that is returned exactly: a saturated proxy gets what luck gives it.
"""

from __future__ import annotations

import numpy as np

from automl_theory.analysis.influence import agreements
from automl_theory.analysis.rank_correlation import Floats


def weighted_kendall(x: Floats, y: Floats) -> float:
    """Return the weighted τ of Vigna (2015): `scipy.stats.weightedtau(x, y)` with its defaults.

    A pair counts a_i + a_j with a = 1/(1 + r), r the rank of a row, best = 0: pairs at the top count most. The mean of
    two values, ranks by (x, y) and by (y, x), so that it is symmetric. Larger is better in both columns; NaN for fewer
    than 2 rows or a constant column. Since the weight is a sum, each value is Σ a S / √(Σ a U · Σ a V) with the
    counts of `analysis.influence`, in O(n log n).
    """
    gx, gy = (np.unique(column, return_inverse=True)[1].reshape(-1) for column in (x, y))
    if len(x) < 2 or not gx.any() or not gy.any():
        return np.nan
    agree, untied_x, untied_y = agreements(gx, gy)
    additive, found = 1 / (1 + np.arange(len(x))), []
    for order in (np.lexsort((gy, gx)), np.lexsort((gx, gy))):
        s, u, v = (float(additive @ counts[order[::-1]]) for counts in (agree, untied_x, untied_y))
        found.append(s / np.sqrt(u) / np.sqrt(v))
    return float(np.clip(np.mean(found), -1.0, 1.0))


def chances(x: Floats, k: int) -> Floats:
    """Return the probability of each row to be among the k largest of `x`, ties broken at random; 1 ≤ k ≤ n."""
    last = np.partition(x, len(x) - k)[len(x) - k]
    above, tied = x > last, x == last
    return np.asarray(above + tied * ((k - above.sum()) / tied.sum()))


def overlap(x: Floats, y: Floats, k: int) -> float:
    """Return |top k by x ∩ top k by y| / k, expected over random tie-breaks (independent in x and y).

    k/n is what chance gives. NaN for n ≤ k.
    """
    if len(x) <= k:
        return np.nan
    return float(chances(x, k) @ chances(y, k) / k)


def regret(x: Floats, y: Floats, k: int, best: float) -> float:
    """Return `best` minus the largest y among the k largest of x, expected over random tie-breaks.

    In units of y, which is larger = better; 0 if the k contain the best. NaN for n ≤ k. With r of m tied rows taken,
    the largest y of those is the j-th of the m with probability C(m − j, r − 1) / C(m, r).
    """
    if len(x) <= k:
        return np.nan
    chance = chances(x, k)
    surely = float(np.max(y[chance == 1], initial=-np.inf))
    tied = np.sort(y[(chance > 0) & (chance < 1)])[::-1]
    expected = surely
    if m := len(tied):
        taken = k - int((chance == 1).sum())
        j = np.arange(m - taken + 1)
        none_of_first = np.cumprod(np.append(1.0, (m - taken - j) / (m - j)))
        probability = -np.diff(none_of_first)
        reached = np.maximum(tied[: len(probability)], surely)
        expected = float(probability @ reached)
    return 0.0 if expected == best else best - expected
