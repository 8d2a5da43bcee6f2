"""The same contest among architectures of equal size: is the trade-off more than big against small?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.contest import contest
from automl_theory.analysis.dominance import Floats
from automl_theory.analysis.landscape import Effort

BINS = 5


def parts_of(budget: Floats) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return up to five bins of a budget, shape (n,), as (label, rows), of about equal size; NaN is in none.

    Equal budgets are never split, so a budget of few values gives fewer bins, a constant one a single bin.
    """
    known = ~np.isnan(budget)
    if not known.any():
        return []
    edges = np.unique(np.quantile(budget[known], np.arange(1, BINS + 1) / BINS, method="inverted_cdf"))
    number = np.searchsorted(edges, budget, side="left")
    parts = []
    for part in np.unique(number[known]):
        rows = known & (number == part)
        parts.append((f"{budget[rows].min():.6g} to {budget[rows].max():.6g}", rows))
    return parts


def residuals(good: pd.DataFrame, budget: Floats) -> pd.DataFrame:
    """Return each aspect's ranks minus their least-squares line on the ranks of the budget, shape (n, d).

    What is left is not told by the budget's rank, linearly. A constant budget takes the mean away only.
    """
    x = pd.Series(budget).rank().to_numpy(dtype=np.float64)
    x = x - x.mean()
    ranks = good.rank().to_numpy(dtype=np.float64)
    ranks = ranks - ranks.mean(axis=0)
    spread = float(x @ x)
    slope = x @ ranks / spread if spread > 0 else np.zeros(ranks.shape[1])
    return pd.DataFrame(np.round(ranks - np.outer(x, slope), 6), index=good.index, columns=good.columns)


def budget_table(good: pd.DataFrame, classes: NDArray[np.intp], budget: Floats, effort: Effort) -> pd.DataFrame:
    """Return a contest a bin of `budget`, and one of the residuals, by label; columns as in `Contest.row`.

    Columns budget_low and budget_high are the smallest and largest budget in it. Percentiles, front and references
    are within the bin. Classes whose members differ in budget count in each bin with the members there.
    """
    rows: dict[str, dict[str, object]] = {}
    for label, part in parts_of(budget):
        found = contest(good.loc[part], classes[part], effort)
        rows[label] = {"budget_low": budget[part].min(), "budget_high": budget[part].max(), **found.row()}
    known = ~np.isnan(budget)
    if known.any():
        found = contest(residuals(good.loc[known], budget[known]), classes[known], effort)
        ends = {"budget_low": budget[known].min(), "budget_high": budget[known].max()}
        rows["residual"] = {**ends, **found.row()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "budget"
    return table
