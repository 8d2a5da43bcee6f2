"""How much each row moves Kendall's τ-b and Spearman's ρ: derivatives by its weight, for intervals without resampling.

With w_i copies of row i, τ = A / √(B C) where A = Σ w_i w_j s_ij counts pairs that agree minus pairs that disagree
(s_ij = sign(x_i − x_j) sign(y_i − y_j)), B and C the pairs untied in x and in y. At w = 1, with S_i = Σ_j s_ij and U_i,
V_i the rows untied with row i in x and in y,

    ∂τ/∂w_i = 2 S_i/√(B C) − τ (U_i/B + V_i/C)

ρ = T_xy / √(T_xx T_yy) with T_xy = Σ w r_x r_y − N(N + 1)²/4 on average ranks; a row moves T_xy by its own term and by
half or the whole of a rank for every row at or above it.

Rows of one class stand or fall together, so the variance of a statistic is the sum over classes of (Σ_{i in class}
∂/∂w_i)²: the infinitesimal jackknife, which is what the class bootstrap converges to. Sources: W. Hoeffding (1948), "A
class of statistics with asymptotically normal distribution"; L. A. Jaeckel (1972), "The infinitesimal jackknife".
"""

from __future__ import annotations

import numpy as np

from automl_theory.analysis.rank_correlation import Floats, Ints, discordant_above


def influences(x: Floats, y: Floats) -> tuple[float, float, Floats, Floats]:
    """Return (τ_b, ρ, ∂τ/∂w, ∂ρ/∂w); the derivatives have shape (n,) and sum to 0. O(n log n).

    ±inf are values that rank at their end; NaN is not allowed. Fewer than two rows or a constant column give NaN.
    """
    gx, gy = (np.unique(column, return_inverse=True)[1].reshape(-1) for column in (x, y))
    if not gx.any() or not gy.any():
        nothing = np.full(len(x), np.nan)
        return np.nan, np.nan, nothing, nothing
    tau, by_tau = _kendall(gx, gy)
    rho, by_rho = _spearman(gx, gy)
    return tau, rho, by_tau, by_rho


def _kendall(gx: Ints, gy: Ints) -> tuple[float, Floats]:
    agree, untied_x, untied_y = agreements(gx, gy)
    pairs_x, pairs_y = float(untied_x.sum()), float(untied_y.sum())
    scale = np.sqrt(pairs_x) * np.sqrt(pairs_y)
    tau = float(np.clip(agree.sum() / scale, -1.0, 1.0))
    return tau, 2 * agree / scale - tau * (untied_x / pairs_x + untied_y / pairs_y)


def agreements(gx: Ints, gy: Ints) -> tuple[Floats, Ints, Ints]:
    """Return S, U and V of each row (see above) for columns of ranks ≥ 0, each of shape (n,). O(n log n)."""
    n = len(gx)
    (tied_x, below_x), (tied_y, below_y) = _counts(gx), _counts(gy)
    tied_both, below_by_x = _counts(gx * n + gy)
    _, below_by_y = _counts(gy * n + gx)
    above_left = discordant_above(gx, gy)
    # Rows with a larger x and a smaller y were counted; those the other way round follow from what lies below.
    below_right = above_left + (below_x - below_y) + (below_by_x - below_x) - (below_by_y - below_y)
    untied_x, untied_y = n - tied_x, n - tied_y
    agree = n - tied_x - tied_y + tied_both - 2.0 * (above_left + below_right)
    return agree, untied_x, untied_y


def _counts(g: Ints) -> tuple[Ints, Ints]:
    """Return how many rows are tied with each row (itself included) and how many lie below it."""
    _, group, count = np.unique(g, return_inverse=True, return_counts=True)
    return count[group], (np.cumsum(count) - count)[group]


def _spearman(gx: Ints, gy: Ints) -> tuple[float, Floats]:
    n = len(gx)
    centre = n * (n + 1) ** 2 / 4
    rank_x, rank_y = (below + (tied + 1) / 2 for tied, below in map(_counts, (gx, gy)))
    shift = (n + 1) * (3 * n + 1) / 4
    xy = rank_x * rank_y + _lifted(gx, rank_y) + _lifted(gy, rank_x) - shift
    xx, yy = (r * r + 2 * _lifted(g, r) - shift for g, r in ((gx, rank_x), (gy, rank_y)))
    total_xy, total_xx, total_yy = (float(a @ b) - centre for a, b in ((rank_x, rank_y), (rank_x,) * 2, (rank_y,) * 2))
    rho = float(np.clip(total_xy / np.sqrt(total_xx) / np.sqrt(total_yy), -1.0, 1.0))
    by_weight = xy / np.sqrt(total_xx) / np.sqrt(total_yy) - rho / 2 * (xx / total_xx + yy / total_yy)
    return rho, by_weight - by_weight.mean()


def _lifted(g: Ints, amount: Floats) -> Floats:
    """Return, for each row, the sum of `amount` over the rows above it in g and half of that over rows tied with it."""
    group = np.bincount(g, weights=amount)
    return np.asarray((group[::-1].cumsum()[::-1] - group / 2)[g])
