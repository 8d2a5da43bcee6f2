"""Figure 6: does a measure at initialisation foretell the outcome it stands for, network by network?

Kendall's τ-b of two means over seeds. Larger is not turned to better here: a measure of expressivity that works has a
negative τ with the training loss. The seeds of the two tables are other draws, and are drawn apart in the bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from automl_theory.analysis.rank_correlation import correlations
from automl_theory.studies.no_free_lunch.intervals import (
    EFFORT,
    Counts,
    Effort,
    Estimate,
    Floats,
    by_seed,
    class_draws,
    classes_of,
    mean_of_seeds,
    percentile,
    seed_draws,
)
from automl_theory.studies.no_free_lunch.published import ASPECTS
from automl_theory.studies.no_free_lunch.runs import outcome


def agreement(
    first: pd.DataFrame, second: pd.DataFrame, graph: pd.DataFrame, *, paired: bool = False, effort: Effort = EFFORT
) -> Estimate:
    """Return τ-b of two quantities (each architecture × seed) over the architectures that have both.

    paired   their seeds are the same runs, and drawn together
    """
    both = first.index[first.notna().any(axis=1)].intersection(second.index[second.notna().any(axis=1)]).sort_values()
    a, b = (table.loc[both].to_numpy(dtype=np.float64) for table in (first, second))
    value = float(correlations(mean_of_seeds(a), mean_of_seeds(b))[0][0])
    weights = class_draws(classes_of(both, graph), effort)
    drawn = []
    if weights.size:
        other = effort if paired else replace(effort, seed=effort.seed + 1)
        pairs = zip(seed_draws(a.shape[1], effort), seed_draws(b.shape[1], other), strict=True)
        for block, (left, right) in enumerate(pairs):
            part = weights[:, block * effort.each : (block + 1) * effort.each]
            drawn.append(_tau(mean_of_seeds(a, left), mean_of_seeds(b, right), part))
    low, high = percentile(value, np.concatenate(drawn) if drawn else np.empty(0), effort)
    return Estimate(value, low, high, len(both))


def agreement_table(
    measured: pd.DataFrame,
    trained: pd.DataFrame,
    graph: pd.DataFrame,
    measures: Sequence[str],
    *,
    effort: Effort = EFFORT,
) -> pd.DataFrame:
    """Return τ of every measure with every outcome: rows measure, outcome, aspect, tau, low, high, n."""
    rows = []
    for measure in measures:
        if measure not in measured.columns:
            continue
        values = by_seed(measured, measure)
        for name, aspect in ASPECTS.items():
            found = agreement(values, outcome(trained, name), graph, effort=effort)
            rows.append((measure, name, aspect, found.value, found.low, found.high, found.n))
    return pd.DataFrame(rows, columns=["measure", "outcome", "aspect", "tau", "low", "high", "n"])


def _tau(x: Floats, y: Floats, weights: Counts) -> Floats:
    here = ~(np.isnan(x) | np.isnan(y))
    return correlations(x[here], y[here], weights[here])[0]
