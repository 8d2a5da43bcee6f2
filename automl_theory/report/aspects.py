"""The aspects of an architecture against each other, as rank percentiles: what figures and report draw.

Expressivity, convergence and generalization pull towards different graphs; no architecture is best at all three
(W. Chen et al., "No Free Lunch in Neural Architectures?", AutoML 2023). Each aspect is shown by one representative
proxy, as a rank percentile in its good direction: units and scales of the proxies do not matter, only the order does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import (
    VALUED,
    classes,
    count_undefined,
    described,
    direction_of,
    orient,
    statuses,
    told_direction,
    values,
)
from automl_theory.analysis.rank_correlation import correlations
from automl_theory.analysis.representatives import ASPECTS, choose_representatives

PANELS = (
    ("expressivity", "convergence"),
    ("generalization", "convergence"),
    ("expressivity", "generalization"),
)


@dataclass(frozen=True)
class AspectData:
    """One representative proxy an aspect, as percentiles, and what is needed to say which points they are.

    `proxies`: aspect → column, with `directions` and `units`. `percentiles`: one row an architecture (index arch),
    one column an aspect, in (0, 100), 100 = best, ties averaged; `classes`: the class of equal architectures of each
    of those rows. `raw`: the values themselves, one column a proxy. `target`: its values or None, NaN where there are
    none, with `target_direction`. `rows`: how many rows the table had; `undefined`: aspect → statuses counted; a row
    undefined in one aspect is in no panel. `correlations`: (aspect, aspect) → Spearman's ρ.
    """

    proxies: dict[str, str]
    directions: dict[str, str]
    units: dict[str, str]
    percentiles: pd.DataFrame
    classes: NDArray[np.intp]
    raw: pd.DataFrame
    target: pd.Series | None
    target_direction: str | None
    rows: int
    undefined: dict[str, dict[str, int]]
    correlations: dict[tuple[str, str], float]

    @property
    def dropped(self) -> int:
        """How many rows are undefined in at least one aspect."""
        return self.rows - len(self.percentiles)


def percentile(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 100 (r − ½)/n for the average ranks r of `numbers`, shape (n,): in (0, 100), the largest nearest 100."""
    ranks = pd.Series(numbers).rank().to_numpy(dtype=np.float64)
    return np.asarray(100 * (ranks - 0.5) / max(len(numbers), 1))


def aspects(
    df: pd.DataFrame,
    target: str | None = None,
    representatives: Mapping[str, str] | None = None,
    *,
    target_direction: str | None = None,
    among: Sequence[str] = ASPECTS,
) -> AspectData:
    """Choose one proxy an aspect from score table `df` and turn it into rank percentiles, 100 = best.

    `representatives` maps aspects to columns, over the defaults of `analysis.representatives`. Rows that are undefined
    in one of the proxies chosen for the aspects `among` are left out and counted; ±inf is a value. Raises `InputError`
    if an aspect has no proxy in the table, or a name is unknown.
    """
    everything = choose_representatives(df, representatives)
    chosen = {aspect: everything[aspect] for aspect in among}
    entries = described(df)
    status = {aspect: statuses(df, column) for aspect, column in chosen.items()}
    keep = np.logical_and.reduce([np.isin(s, VALUED) for s in status.values()])
    table = df.loc[keep]
    good = {aspect: orient(values(table, c), direction_of(df, c)) for aspect, c in chosen.items()}
    return AspectData(
        proxies=chosen,
        directions={aspect: direction_of(df, column) for aspect, column in chosen.items()},
        units={aspect: str(entries.get(column, {}).get("unit", "")) for aspect, column in chosen.items()},
        percentiles=pd.DataFrame({a: percentile(v) for a, v in good.items()}, index=table.index),
        classes=classes(table),
        raw=pd.DataFrame({c: values(table, c) for c in chosen.values()}, index=table.index),
        target=None if target is None else pd.Series(values(table, target, "target"), index=table.index, name=target),
        target_direction=None if target is None else told_direction(target, target_direction),
        rows=len(df),
        undefined={aspect: count_undefined(s) for aspect, s in status.items()},
        correlations={(a, b): float(correlations(good[a], good[b])[1][0]) for a in good for b in good if a != b},
    )
