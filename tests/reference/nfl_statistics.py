"""Statistics of the no-free-lunch study from their definitions: loops over rows, pairs and resamples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from reference.ranks import kendall
from scipy import stats


def seed_means(table: pd.DataFrame, column: str) -> dict[str, float]:
    """Architecture → mean over the runs that have a value."""
    found: dict[str, list[float]] = {}
    for row in table.to_dict("records"):
        if math.isfinite(row[column]):
            found.setdefault(row["arch"], []).append(row[column])
    return {arch: sum(values) / len(values) for arch, values in found.items()}


def group_taus(means: dict[str, float], graph: pd.DataFrame, least: int = 1) -> tuple[float, float, int]:
    """τ of the means of the groups of equal (depth, P) with depth and with P, and how many groups there are."""
    groups: dict[tuple[float, int], list[float]] = {}
    for row in graph.to_dict("records"):
        if row["arch"] in means and row["live_linear_edges"] >= least:
            groups.setdefault((row["depth"], row["paths"]), []).append(means[row["arch"]])
    keys = list(groups)
    values = np.array([sum(groups[key]) / len(groups[key]) for key in keys])
    depth, paths = (np.array([key[k] for key in keys], dtype=float) for k in (0, 1))
    return kendall(depth, values), kendall(paths, values), len(groups)


def network_taus(means: dict[str, float], graph: pd.DataFrame, least: int = 1) -> tuple[float, float, int]:
    rows = [row for row in graph.to_dict("records") if row["arch"] in means and row["live_linear_edges"] >= least]
    values = np.array([means[row["arch"]] for row in rows])
    depth, paths = (np.array([row[name] for row in rows], dtype=float) for name in ("depth", "paths"))
    tau = [float(stats.kendalltau(column, values).statistic) for column in (depth, paths)]
    return tau[0], tau[1], len(rows)


def rank(value: float, others: Sequence[float]) -> int:
    """1 + how many of the others are strictly smaller; a diverged run (NaN) is behind everybody."""
    if math.isnan(value):
        return 1 + len(others)
    return 1 + sum(not math.isnan(other) and other < value for other in others)


def front(points: np.ndarray) -> list[bool]:
    """Larger is better: nobody is at least as good everywhere and better somewhere."""
    return [not any((other >= point).all() and (other > point).any() for other in points) for point in points]


def best_class(table: pd.DataFrame, column: str, graph: pd.DataFrame) -> str:
    """The class whose codes have the largest mean over seeds and codes, every seed alike."""
    canonical = dict(zip(graph["arch"], graph["canonical"], strict=True))
    by_class: dict[str, dict[int, list[float]]] = {}
    for row in table.to_dict("records"):
        by_class.setdefault(canonical[row["arch"]], {}).setdefault(row["seed"], []).append(row[column])
    means = {
        name: np.mean([np.mean(values) for values in by_seed.values()]) for name, by_seed in sorted(by_class.items())
    }
    return max(means, key=lambda name: means[name])
