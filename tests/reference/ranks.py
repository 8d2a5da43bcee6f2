"""Rank statistics written from their definitions, one loop for each sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise, permutations

import numpy as np
from scipy import stats


def sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def compared(a: float, b: float) -> int:
    """Also for infinities, whose difference has no sign."""
    return int(a > b) - int(a < b)


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    agree = untied_x = untied_y = 0
    for i, j in combinations(range(len(x)), 2):
        sx, sy = compared(x[i], x[j]), compared(y[i], y[j])
        agree, untied_x, untied_y = agree + sx * sy, untied_x + abs(sx), untied_y + abs(sy)
    return agree / np.sqrt(untied_x * untied_y) if untied_x and untied_y else np.nan


def average_ranks(x: np.ndarray) -> np.ndarray:
    return np.array([sum((1 + compared(a, b)) / 2 for b in x) + 0.5 for a in x])


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    ranks = average_ranks(x), average_ranks(y)
    return float(np.corrcoef(*ranks)[0, 1]) if np.ptp(ranks[0]) and np.ptp(ranks[1]) else np.nan


def weighted_kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Vigna (2015): hyperbolic weights 1/(1 + r) + 1/(1 + s), ranks by (x, y) and by (y, x), best = 0; their mean."""

    def ranked_by(first: np.ndarray, second: np.ndarray) -> float:
        order = sorted(range(len(x)), key=lambda i: (first[i], second[i]), reverse=True)
        rank = {row: r for r, row in enumerate(order)}
        agree = in_x = in_y = 0.0
        for i, j in combinations(range(len(x)), 2):
            weight = 1 / (1 + rank[i]) + 1 / (1 + rank[j])
            sx, sy = compared(x[i], x[j]), compared(y[i], y[j])
            agree, in_x, in_y = agree + weight * sx * sy, in_x + weight * abs(sx), in_y + weight * abs(sy)
        return agree / np.sqrt(in_x * in_y)

    return (ranked_by(x, y) + ranked_by(y, x)) / 2


def best_sets(x: np.ndarray, k: int) -> Iterator[tuple[int, ...]]:
    """The k best, once for every order that sorts x (each equally likely)."""
    for order in permutations(range(len(x))):
        if all(x[a] >= x[b] for a, b in pairwise(order)):
            yield order[:k]


def overlap(x: np.ndarray, y: np.ndarray, k: int) -> float:
    return float(np.mean([len(set(a) & set(b)) / k for a in best_sets(x, k) for b in best_sets(y, k)]))


def regret(x: np.ndarray, y: np.ndarray, k: int, best: float) -> float:
    return float(np.mean([best - max(y[list(chosen)]) for chosen in best_sets(x, k)]))


def partial_spearman(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Pearson correlation of what least squares on the given ranks, shape (n, k), leaves of the ranks of x and y."""
    design = np.column_stack([np.ones(len(x)), *(average_ranks(column) for column in given.T)])
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in (average_ranks(x), average_ranks(y))]
    return float(np.corrcoef(*left)[0, 1])


def partial_kendall(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    """Kendall (1942), for one given column."""
    xy, xz, yz = kendall(x, y), kendall(x, z), kendall(y, z)
    return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))


def best_rows(y: np.ndarray, top: float) -> np.ndarray:
    """The rows at or above the ⌈top·n⌉-th largest y."""
    return np.flatnonzero(y >= sorted(y, reverse=True)[int(np.ceil(round(top * len(y), 9))) - 1])


def class_bootstrap(
    statistic: Callable[..., float], columns: list[np.ndarray], classes: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """The statistic of tables made of whole classes drawn with replacement, rows repeated."""
    rng, count = np.random.default_rng(seed), len(set(classes))
    values = []
    for _ in range(resamples):
        rows = np.concatenate([np.flatnonzero(classes == c) for c in rng.integers(0, count, size=count)])
        values.append(statistic(*(column[rows] for column in columns)))
    return np.array(values)


def class_jackknife(statistic: Callable[..., float], columns: list[np.ndarray], classes: np.ndarray) -> float:
    """Standard error from leaving out one class after the other."""
    without = [statistic(*(column[classes != c] for column in columns)) for c in sorted(set(classes))]
    count = len(without)
    return float(np.sqrt((count - 1) / count * np.sum((np.array(without) - np.mean(without)) ** 2)))


def fisher_interval(value: float, error: float, classes: int, level: float = 0.95) -> tuple[float, float]:
    reach = stats.t.ppf((1 + level) / 2, classes - 1) * error / (1 - value**2)
    return float(np.tanh(np.arctanh(value) - reach)), float(np.tanh(np.arctanh(value) + reach))


def effective_classes(classes: np.ndarray) -> float:
    """How many classes of one size would be worth as much as these."""
    sizes = np.array([(classes == one).sum() for one in np.unique(classes)])
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def expanded_percentiles(drawn: np.ndarray, classes: np.ndarray, level: float) -> tuple[float, float]:
    """Ends of Hesterberg's expanded percentile interval: the q (B + 1)-th smallest of B values, linear in between."""
    count = effective_classes(classes)
    reach = stats.t.ppf((1 + level) / 2, count - 1) * np.sqrt(count / (count - 1))
    drawn = np.sort(drawn)
    ends = []
    for tail in (stats.norm.cdf(-reach), stats.norm.cdf(reach)):
        place = np.clip(tail * (len(drawn) + 1), 1, len(drawn))
        below = int(place)
        above = min(below + 1, len(drawn))
        ends.append(drawn[below - 1] + (place - below) * (drawn[above - 1] - drawn[below - 1]))
    return ends[0], ends[1]
