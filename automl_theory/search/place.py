"""Where what was found stands among all trained architectures, and how it varies over repeated searches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from automl_theory.analysis.columns import told_direction
from automl_theory.search.run import Found
from automl_theory.spaces import Space


@dataclass(frozen=True)
class Summary:
    """Mean of repeated searches, their standard deviation (n − 1), and a 95 % interval of the mean by Student's t.

    With a single search deviation and interval are NaN. It is of the accuracies that searches found, each search
    one of n.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float


def summary(values: Sequence[float]) -> Summary:
    """Summarise at least one value."""
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Summary(1, mean, math.nan, math.nan, math.nan)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    reach = float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return Summary(n, mean, deviation, mean - reach, mean + reach)


def places(
    runs: Sequence[Found],
    space: Space,
    trained: pd.DataFrame | None,
    target: str | None,
    *,
    target_direction: str | None = None,
) -> pd.DataFrame:
    """One row a search: seed, found, evaluations, seconds and, with trained results, its target, rank and percentile.

    rank         1 + the number of the table's rows (strings; classes, where it is one of classes) that are better,
                 which way `target_direction` says, or else the target's name
    percentile   the share of those trained that are not better, in per cent
    top10_mean   mean target of the ten best by the search's own measures; NaN for fewer

    An architecture without a trained result has NaN.
    """
    rows = [
        {"seed": one.seed, "found": one.found, "evaluations": one.evaluations, "seconds": one.seconds} for one in runs
    ]
    table = pd.DataFrame(rows)
    if trained is None or target is None:
        return table
    by_class = trained.index.name == "canonical"
    values = trained[target].dropna()
    sign = 1.0 if told_direction(target, target_direction) == "maximize" else -1.0

    def reached(arch: str) -> float:
        key = space.canonical(arch) if by_class else arch
        return float(values.get(key, math.nan))

    table[target] = [reached(one.found) for one in runs]
    better = [int((sign * values > sign * found).sum()) for found in table[target]]
    known = table[target].notna()
    table["rank"] = pd.Series([1.0 + count for count in better]).where(known)
    table["percentile"] = pd.Series([100 * (1 - count / max(len(values), 1)) for count in better]).where(known)
    table["top10_mean"] = [
        math.fsum(reached(arch) for arch in one.best[:10]) / 10 if len(one.best) >= 10 else math.nan for one in runs
    ]
    table.attrs["trained"] = len(values)
    return table
