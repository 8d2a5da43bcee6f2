"""Fronts, layers, hypervolumes, percentiles and top sets, slow and obvious; larger is better everywhere."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def dominates(one: Floats, other: Floats) -> bool:
    return bool((one >= other).all() and (one > other).any())


def front(points: Floats) -> list[bool]:
    return [not any(dominates(rival, point) for rival in points) for point in points]


def layers(points: Floats) -> list[int]:
    """Peeled one front after the other."""
    found = [0] * len(points)
    left, number = list(range(len(points))), 0
    while left:
        number += 1
        best = [i for i, good in zip(left, front(points[left]), strict=True) if good]
        for i in best:
            found[i] = number
        left = [i for i in left if i not in best]
    return found


def hypervolume(points: Floats, reference: Floats) -> float:
    """By inclusion and exclusion over all subsets of the points: 2^n terms."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for subset in combinations(range(len(points)), size):
            edges = np.clip(points[list(subset)].min(axis=0) - reference, 0, None)
            total += (-1) ** (size + 1) * float(np.prod(edges))
    return total


def percentiles(column: Floats) -> list[float]:
    """How many percent of the others are no better."""
    n = len(column)
    if n == 1:
        return [100.0]
    return [100 * sum(column[j] <= column[i] for j in range(n) if j != i) / (n - 1) for i in range(n)]


def overlap(a: Floats, b: Floats, share: float) -> float:
    tops = []
    for column in (a, b):
        wanted = max(1, int(np.ceil(share * len(column) - 1e-9)))
        border = sorted(column, reverse=True)[wanted - 1]
        tops.append({i for i, value in enumerate(column) if value >= border})
    return len(tops[0] & tops[1]) / min(map(len, tops))


def rank_composite(train: Floats, rows: Floats, directions: list[str], aggregate: str) -> list[float]:
    scores = []
    n = len(train)
    for row in rows:
        parts = []
        for k, way in enumerate(directions):
            q = sum(float(v < row[k]) + 0.5 * float(v == row[k]) for v in train[:, k]) / n
            q = q if way == "maximize" else 1 - q
            parts.append(q if aggregate == "mean" else float(np.log((n * q + 0.5) / (n + 1))))
        scores.append(float(np.mean(parts)))
    return scores
