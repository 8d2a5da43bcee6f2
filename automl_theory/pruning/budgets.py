"""How many weights stay: the whole budget to one weight, and its share for each layer.

With N weights in all and density ρ the budget is K = round(ρ N), at least 1 (Python's rounding: halves to even). Where
layers have budgets of their own, these are apportioned by largest remainders: each is within one of what its density
asks for, none is above its layer's size, and they add up to K.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_theory.errors import InputError

Counts = NDArray[np.int64]


def check_density(density: Any) -> float:
    """Return density as a float; InputError unless it is a number in (0, 1]."""
    number = isinstance(density, int | float | np.integer | np.floating) and not isinstance(density, bool)
    if not number or not 0 < density <= 1:
        raise InputError(f"expected density in (0, 1], the share of weights to keep, got {density!r}; give 0.05, say")
    return float(density)


def budget(total: int, density: float) -> int:
    """K = max(1, round(density · total)), so that |K - density · total| <= 1/2 unless K = 1."""
    return max(1, round(density * total))


def apportion(quotas: Sequence[float] | NDArray[np.float64], capacities: Sequence[int], count: int) -> Counts:
    """Whole numbers that add up to `count`, each its quota rounded down or up and at most its capacity.

    Floors first; what is left goes, one each, to the largest remainders that have room (equal ones: the first), again
    from the start if all have had one. Where capacities cut the quotas, layers with room get more than theirs.

    Errors: InputError if the capacities hold less than `count`.
    """
    capacity = np.asarray(capacities, dtype=np.int64)
    if capacity.sum() < count:
        raise InputError(f"expected room for {count} weights, got {capacity.sum()}; lower the density")
    exact = np.asarray(quotas, dtype=np.float64)
    counts: Counts = np.minimum(np.floor(exact), capacity).astype(np.int64)
    remainders = exact - counts
    while counts.sum() > count:
        counts[np.argmin(np.where(counts > 0, remainders, math.inf))] -= 1
        remainders = exact - counts
    while counts.sum() < count:
        order = np.argsort(-remainders, kind="stable")
        order = order[counts[order] < capacity[order]][: count - counts.sum()]
        counts[order] += 1
    return counts


def uniform_counts(sizes: Sequence[int], density: float, capacities: Sequence[int] | None = None) -> Counts:
    """Budgets of layers that all have the same density: quotas density · n_l, apportioned."""
    count = budget(sum(sizes), density)
    return apportion(density * np.asarray(sizes, dtype=np.float64), sizes if capacities is None else capacities, count)


def erk_densities(shapes: Sequence[Sequence[int]], density: float) -> list[float]:
    """Densities of the Erdős-Rényi-Kernel rule: ρ_l = min(1, ε · Σ(shape_l) / Π(shape_l)), Σ_l ρ_l n_l = density · N.

    A weight of shape (out, in, kh, kw) has (out + in + kh + kw) / (out · in · kh · kw); linear layers (out + in) /
    (out · in). ε follows from the budget. Where ε · ratio exceeds 1, the layers of the largest ratio are made dense
    and ε is solved again for the rest, until none exceeds 1. density 1 gives all ones.

    Source: Mocanu et al. 2018 (Erdős-Rényi); Evci et al. 2020, "Rigging the Lottery" (the kernel).
    """
    sizes = np.array([math.prod(shape) for shape in shapes], dtype=np.float64)
    ratios = np.array([sum(shape) / max(math.prod(shape), 1) for shape in shapes])
    dense = np.zeros(len(shapes), dtype=bool)
    while not dense.all():
        epsilon = (density * sizes.sum() - sizes[dense].sum()) / (ratios * sizes)[~dense].sum()
        largest = ratios[~dense].max()
        if epsilon * largest <= 1:
            break
        dense |= ratios == largest
    return [1.0 if full else float(epsilon * ratio) for full, ratio in zip(dense, ratios, strict=True)]


def erk_counts(shapes: Sequence[Sequence[int]], density: float) -> Counts:
    """Budgets of layers with `erk_densities`, apportioned."""
    sizes = [math.prod(shape) for shape in shapes]
    quotas = np.array(erk_densities(shapes, density)) * sizes
    return apportion(quotas, sizes, budget(sum(sizes), density))
