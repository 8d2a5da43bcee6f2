"""How much of the space a set of points dominates: the exact hypervolume, larger = better in every column.

    HV(P, r) = volume of  ⋃ { [r, p] : p ∈ P, p > r in every column }

Three columns: the front is swept by falling z. Inserting point k adds to the dominated area of (x, y)

    ΔA_k = Σ_s (x_k − x_{e_s}) (y'_s − y_{e_{s+1}}),   HV = Σ_k z_k ΔA_k

over the steps e_0, e_1, …, e_r, e_{r+1} of the staircase that k meets: e_0 is the step above it (largest x among those
with larger y and z), e_{r+1} the step to its right (largest y among those with larger x and z), and between them lie
the steps that k covers: those whose own next cover (largest z among those with larger x and y) is k. Each of the three
is one query `best_beyond` for all points, so nothing is swept row by row. All terms are positive: nothing cancels.

More columns: points in falling order of the last; each adds what it dominates and none before it did (the WFG
recursion: L. While, L. Bradstreet, L. Barone 2012), down to three columns. Exponential in the number of columns.
"""

from __future__ import annotations

import numpy as np

from automl_theory.analysis.dominance import Bools, Floats, FrontOfThree, best_beyond, front_mask, front_of_three
from automl_theory.errors import InputError


def hypervolume(points: Floats, reference: Floats) -> float:
    """Return the exact volume dominated by `points`, shape (n, d), above `reference`, shape (d,); larger is better.

    Points that are not above the reference in every column add nothing; without any the volume is 0. It is inf if
    such a point is infinite. Dominated points and duplicates change nothing. One or two columns take a sort, three
    O(n log n), more of them O(front) volumes of one column less, each: fine to some hundred points in four or five.
    Raises `InputError` for NaN, shapes that do not fit, and an infinite reference.
    """
    points, reference = np.asarray(points, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if points.ndim != 2 or reference.shape != points.shape[1:] or not points.shape[1]:
        raise InputError(
            f"expected points of shape (n, d) and a reference of shape (d,); got {points.shape} and {reference.shape}."
        )
    if np.isnan(points).any() or not np.isfinite(reference).all():
        raise InputError("points must not be NaN and the reference must be finite; leave undefined points out.")
    return _front_and_volume(points, reference)[1]


def front_and_hypervolume(points: Floats, reference: Floats) -> tuple[Bools, float]:
    """Return `front_mask(points)` and `hypervolume(points, reference)`, with what they share done once."""
    if np.isnan(reference).any():
        return front_mask(points), np.nan
    return _front_and_volume(points, reference)


def _front_and_volume(points: Floats, reference: Floats) -> tuple[Bools, float]:
    if points.shape[1] != 3 or not len(points):
        front = front_mask(points)
        return front, _volume(_above(points[front], reference))
    found = front_of_three(points)
    return found.mask, _swept(_above(points[found.row], reference), found)


def _above(points: Floats, reference: Floats) -> Floats:
    """Return how far points are above the reference; one that is not above it in every column is moved to it."""
    above = np.maximum(points - reference, 0)
    endless = np.isinf(above)
    if endless.any() and not (endless.any(axis=1) & (above > 0).all(axis=1)).any():
        # Flat boxes only: their endless sides may end anywhere, if in the same order.
        above = np.minimum(above, np.where(endless, 0, above).max(axis=0))
    return above


def _volume(points: Floats) -> float:
    """Of points that are nowhere below the origin."""
    if np.isinf(points).any():
        return float("inf")
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    if points.shape[1] == 2:
        points = points[np.argsort(-points[:, 0], kind="stable")]
        rising = np.maximum.accumulate(points[:, 1])
        return float(points[:, 0] @ np.diff(rising, prepend=0.0))
    if points.shape[1] == 3:
        found = front_of_three(points)
        return _swept(points[found.row], found)
    points = points[front_mask(points)]
    points = points[np.argsort(-points[:, -1], kind="stable")]
    total = 0.0
    for k, point in enumerate(points):
        shadow = np.minimum(points[:k, :-1], point[:-1])
        total += point[-1] * (float(np.prod(point[:-1])) - _volume(shadow))
    return total


def _swept(points: Floats, front: FrontOfThree) -> float:
    """Of the points of a front, nowhere below the origin; see the head of this file. Row m stands for the axes."""
    if np.isinf(points).any():
        return float("inf")
    m = len(points)
    x, y, z = np.append(points, np.zeros((1, 3)), axis=0).T.copy()
    rx, ry, rz = front.ranks
    at = []
    for rank in front.ranks:
        rows = np.full(m + 1, m, dtype=np.int64)
        rows[rank] = np.arange(m)
        at.append(rows)
    above = at[0][best_beyond(ry, rz, rx)]
    right = at[1][best_beyond(rx, rz, ry)]
    cover = at[2][front.cover]

    order = np.argsort(cover * np.int64(m + 1) + rx)
    covering = cover[order]
    covered = covering < m
    step, k = order[covered], covering[covered]
    last = np.append(k[1:] != k[:-1], True)[: len(k)]
    first = np.append(True, k[1:] != k[:-1])[: len(k)]
    below = np.where(last, right[k], np.append(step[1:], m)[: len(k)])
    total = float((z[k] * (x[k] - x[step]) * (y[step] - y[below])).sum())

    top = right.copy()
    top[k[first]] = step[first]
    total += float((z[:m] * (x[:m] - x[above]) * (y[:m] - y[top])).sum())
    return total
