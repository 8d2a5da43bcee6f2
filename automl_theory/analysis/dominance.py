"""Who dominates whom among many points: fronts, layers, and the queries behind them, larger = better throughout.

Point j dominates i if it is at least as good in every column and better in one. Of equal points none dominates
another.

Rows are reduced to distinct ones in lexicographic order, and each column to ranks 0 … m − 1 whose ties are broken by
that order. Then "j dominates i" is "every rank of j is larger", so that three columns without ties remain, whatever
ties there were. Everything in three columns follows from one query, `best_beyond`:

    for each i:  max { c_j : a_j > a_i and b_j > b_i },   −1 if there is no such j

point i is dominated exactly if that maximum exceeds c_i.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SMALL = 8
FEW = 128
PIVOTS = 64
CHUNK = 512


def front_mask(points: Floats) -> Bools:
    """Return which rows of `points`, shape (n, d), are dominated by no row, shape (n,); equal rows all stay.

    ±inf are values at their end; NaN is not allowed. Three columns take O(n log n), one or two a sort, more than three
    O(n · front).
    """
    if points.shape[1] == 3:
        return front_of_three(points).mask
    ranks = dense_ranks(points)
    alive = undominated_by_pivots(ranks)
    distinct, inverse = distinct_rows(ranks[alive])
    good = np.zeros(len(points), dtype=bool)
    good[alive] = _front(distinct)[inverse]
    return good


@dataclass(frozen=True)
class FrontOfThree:
    """A front in three columns, and what a sweep over it needs.

    `mask` (n,): which rows are on it. `row` (m,): one row for each different point of it. `ranks`: of these points
    in each column, without ties, 0 … m − 1. `cover` (m,): the largest third rank among the points with larger first
    and second rank, −1 if there is none.
    """

    mask: Bools
    row: Ints
    ranks: tuple[Ints, Ints, Ints]
    cover: Ints


def front_of_three(points: Floats) -> FrontOfThree:
    """Return the front of `points`, shape (n, 3)."""
    ranks = dense_ranks(points)
    alive = undominated_by_pivots(ranks)
    distinct, inverse = distinct_rows(ranks[alive])
    x, y, z = strict_ranks(distinct)
    cover = best_beyond(x, y, z)
    good = cover < z
    mask = np.zeros(len(points), dtype=bool)
    mask[alive] = good[inverse]
    row = np.empty(len(distinct), dtype=np.int64)
    row[inverse] = alive
    if good.all():
        return FrontOfThree(mask, row, (x, y, z), cover)
    # What covers a point of the front with the largest rank is on the front itself, so the ranks can close up.
    closed = []
    for rank in (x, y, z):
        kept = np.zeros(len(rank), dtype=np.int64)
        kept[rank] = good
        closed.append(np.append(np.cumsum(kept) - 1, -1))
    x, y, z = (close[rank[good]] for close, rank in zip(closed, (x, y, z), strict=True))
    return FrontOfThree(mask, row[good], (x, y, z), closed[2][cover[good]])


def layer_numbers(points: Floats) -> Ints:
    """Return the layer of each row, shape (n,): 1 for the front, 2 for the front of the rest, and so on.

    That is one more than the longest chain of rows each dominating the next, down to this one. Equal rows share a
    layer. O(n log n) for two columns; three cost some microseconds a row; more than three one front a layer.
    """
    distinct, inverse = distinct_rows(dense_ranks(points))
    columns = distinct.shape[1]
    if columns <= 2:
        layers = _layers_2d(distinct[:, -1] if columns == 2 else np.zeros(len(distinct), dtype=np.int64))
        if columns == 1:
            layers = np.arange(len(distinct), 0, -1)
    elif columns == 3:
        layers = _layers_3d(*strict_ranks(distinct)[1:])
    else:
        layers = np.zeros(len(distinct), dtype=np.int64)
        left, number = np.arange(len(distinct)), 0
        while len(left):
            number += 1
            front = _front(distinct[left])
            layers[left[front]] = number
            left = left[~front]
    return np.asarray(layers[inverse], dtype=np.int64)


def dense_ranks(points: Floats) -> Ints:
    """Return the dense rank of each value in its column, shape (n, d): 0 for the smallest, equal for equal."""
    ranks = np.zeros(points.shape, dtype=np.int64, order="F")
    for column in range(points.shape[1]):
        order = np.argsort(points[:, column])
        ordered = points[order, column]
        ranks[order, column] = np.cumsum(np.concatenate(([False], ordered[1:] > ordered[:-1]))[: len(order)])
    return ranks


def distinct_rows(ranks: Ints) -> tuple[Ints, Ints]:
    """Return the distinct rows in lexicographic order, and for each row its place among them."""
    if not len(ranks):
        return ranks, np.empty(0, dtype=np.int64)
    sizes = [int(top) + 1 for top in ranks.max(axis=0)]
    if np.prod([float(size) for size in sizes]) < 2**62:
        key = np.zeros(len(ranks), dtype=np.int64)
        for column, size in enumerate(sizes):
            key = key * size + ranks[:, column]
        order = np.argsort(key)
        new = np.concatenate(([True], np.diff(key[order]) > 0))
    else:
        order = np.lexsort(ranks.T[::-1])
        new = np.concatenate(([True], (np.diff(ranks[order], axis=0) != 0).any(axis=1)))
    inverse = np.empty(len(ranks), dtype=np.int64)
    inverse[order] = np.cumsum(new) - 1
    return ranks[order[new]], inverse


def strict_ranks(distinct: Ints) -> list[Ints]:
    """Return ranks without ties, one array a column, for distinct rows in lexicographic order.

    Ties in a column go by the order of the rows, so that dominated rows are smaller in every column.
    """
    rows = np.arange(len(distinct))
    ranks = [rows]
    for column in range(1, distinct.shape[1]):
        rank = np.empty_like(rows)
        rank[np.argsort(distinct[:, column] * len(rows) + rows)] = rows
        ranks.append(rank)
    return ranks


def best_beyond(a: Ints, b: Ints, c: Ints) -> Ints:
    """Return for each i the largest c_j with a_j > a_i and b_j > b_i, −1 if there is none, shape (m,).

    `a`, `b` and `c` are permutations of 0 … m − 1. Rows are laid out by falling b, and split by the bits of a: at each
    bit, the running maximum of c over the half with larger a answers for the other half. O(m log m), all rows at once.
    """
    m = len(a)
    if m <= FEW:
        return np.asarray(np.where((a > a[:, None]) & (b > b[:, None]), c, -1).max(axis=1, initial=-1))
    bits = max(int(m - 1).bit_length(), 1)
    size = 1 << bits
    time = np.empty(size, dtype=np.int32)
    value = np.full(size, -1, dtype=np.int32)
    by_b = np.empty(m, dtype=np.int64)
    by_b[m - 1 - b] = np.arange(m)
    time[:m] = (m - 1 - a)[by_b]
    time[m:] = np.arange(m, size)
    value[:m] = c[by_b]
    found = np.full(size, -1, dtype=np.int32)
    while size > SMALL:
        bits -= 1
        half = size // 2
        late = -((time >> bits) & 1)
        running = np.maximum.accumulate((value | late).reshape(-1, size), axis=1).reshape(-1)
        np.maximum(found, running | ~late, out=found)
        order = np.empty((len(time) // size, 2, half), dtype=np.int64)
        order[:, 0] = np.flatnonzero(late == 0).reshape(-1, half)
        order[:, 1] = np.flatnonzero(late).reshape(-1, half)
        time, value, found = (column[order.reshape(-1)] for column in (time, value, found))
        size = half
    times, values_, answer = (np.ascontiguousarray(v.reshape(-1, size).T) for v in (time, value, found))
    for later in range(1, size):
        for first in range(later):
            candidate = np.where(times[first] < times[later], values_[first], -1)
            np.maximum(answer[later], candidate, out=answer[later])
    by_time = np.empty(len(time), dtype=np.int64)
    by_time[times.T.reshape(-1)] = answer.T.reshape(-1)
    return by_time[m - 1 - a]


def undominated_by_pivots(ranks: Ints) -> Ints:
    """Return the rows that a few good rows do not dominate; it stops as soon as that no longer pays.

    A shortcut only: no undominated row is lost, and most dominated ones go.
    """
    alive = np.arange(len(ranks))
    total = ranks.sum(axis=1)
    for _ in range(PIVOTS):
        if len(alive) <= FEW:
            break
        pivot = ranks[alive[np.argmax(total)]]
        at_most, equal = np.ones((2, len(alive)), dtype=bool)
        for column, height in enumerate(pivot):
            numbers = ranks[alive, column]
            at_most &= numbers <= height
            equal &= numbers == height
        below = at_most & ~equal
        if below.sum() < len(alive) / 50:
            break
        total[equal] = -1
        alive, total = alive[~below], total[~below]
    return alive


def _front(distinct: Ints) -> Bools:
    columns = distinct.shape[1]
    if columns == 1:
        return np.asarray(distinct[:, 0] == distinct[:, 0].max(initial=0))
    if columns == 2:
        after = np.maximum.accumulate(distinct[::-1, 1])[::-1]
        return np.asarray(distinct[:, 1] > np.append(after[1:], -1))
    if columns == 3:
        x, y, z = strict_ranks(distinct)
        return best_beyond(x, y, z) < z
    return _front_many(distinct)


def _front_many(distinct: Ints) -> Bools:
    """Any number of columns: rows from the largest rank sum down, each against the front so far."""
    order = np.argsort(-distinct.sum(axis=1), kind="stable")
    front = np.empty((0, distinct.shape[1]), dtype=np.int64)
    good = np.zeros(len(distinct), dtype=bool)
    for start in range(0, len(order), CHUNK):
        rows = order[start : start + CHUNK]
        rows = rows[~_below(distinct[rows], front)]
        rows = rows[~_below(distinct[rows], distinct[rows])]
        good[rows] = True
        front = np.concatenate([front, distinct[rows]])
    return good


def _below(rows: Ints, rivals: Ints) -> Bools:
    """Which rows are dominated by one of the rivals; none of the rivals but the row itself may be equal to it."""
    below = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(rivals), CHUNK):
        part = rivals[start : start + CHUNK]
        at_most = np.ones((len(rows), len(part)), dtype=bool)
        less = np.zeros_like(at_most)
        for column in range(rows.shape[1]):
            mine, theirs = rows[:, column, None], part[None, :, column]
            at_most &= mine <= theirs
            less |= mine < theirs
        below |= (at_most & less).any(axis=1)
    return below


def _layers_2d(second: Ints) -> Ints:
    """Rows come in rising order of the first column; `tops[k]` is minus the best second value in layer k so far."""
    layers = np.empty(len(second), dtype=np.int64)
    tops: list[int] = []
    for row, value in zip(range(len(second) - 1, -1, -1), second[::-1].tolist(), strict=True):
        layer = bisect_right(tops, -value)
        tops[layer : layer + 1] = [-value]
        layers[row] = layer + 1
    return layers


def _layers_3d(second: Ints, third: Ints) -> Ints:
    """Rows come in rising order of the first column; each layer is a staircase of the other two, xs up and ys down.

    Every member of a layer is dominated by one of the layer before, so the first layer that does not dominate a row
    is found by bisection (Zhang et al. 2015, "An efficient approach to nondominated sorting").
    """
    layers = np.empty(len(second), dtype=np.int64)
    stairs: list[tuple[list[int], list[int]]] = []
    rows = zip(range(len(second) - 1, -1, -1), second[::-1].tolist(), third[::-1].tolist(), strict=True)
    for row, x, y in rows:
        low, high = 0, len(stairs)
        while low < high:
            middle = (low + high) // 2
            xs, ys = stairs[middle]
            k = bisect_left(xs, x)
            if k < len(xs) and ys[k] > y:
                low = middle + 1
            else:
                high = middle
        if low == len(stairs):
            stairs.append(([], []))
        xs, ys = stairs[low]
        k = start = bisect_left(xs, x)
        while start and ys[start - 1] < y:
            start -= 1
        xs[start:k] = [x]
        ys[start:k] = [y]
        layers[row] = low + 1
    return layers
