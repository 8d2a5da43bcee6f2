"""Which proxy stands for each aspect: what a network can express, how fast it converges, how it generalizes.

A verdict on trade-offs is one about the proxies chosen, so the choice is data here (`REPRESENTATIVES`), may be
overruled aspect by aspect, and `candidates` lists every other choice for a table, so that all can be tried.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from automl_theory.analysis.columns import VALUED, described, direction_of, orient, statuses, values
from automl_theory.errors import InputError, suggest

REPRESENTATIVES = {
    "expressivity": ("turning_angle", "linear_regions_thin", "linear_regions", "naswot"),
    "convergence": ("ntk_lambda_min_normalised", "ntk_lambda_min"),
    "generalization": ("ntk_regression_error",),
}
"""Which proxy stands for each aspect: the first of these that the table has unsaturated, else the first of the family.
No aspect is represented by a measure of another: nothing from the size family is ever taken."""

ASPECTS = tuple(REPRESENTATIVES)

MOSTLY = 0.5
"""A proxy tied at its best value, or with status "saturated", on more than this share of its rows is saturated."""


def choose_representatives(df: pd.DataFrame, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return aspect → column of score table `df`, one for each of expressivity, convergence and generalization.

    `given` maps aspects to columns and is taken as it is. Elsewhere the choice is the first candidate (the defaults of
    `REPRESENTATIVES`, then the other proxies of the family in the table's order) that is not saturated; where all
    are, the least saturated. Raises `InputError` on an unknown aspect or column, and if an aspect has no proxy.
    """
    given = given or {}
    for aspect, column in given.items():
        if aspect not in REPRESENTATIVES:
            raise InputError(f"aspects are {', '.join(ASPECTS)}; got {aspect!r}.{suggest(aspect, ASPECTS)}")
        values(df, column, f"{aspect} representative")
    chosen = {}
    for aspect in ASPECTS:
        if aspect in given:
            chosen[aspect] = given[aspect]
            continue
        names = candidates(df, aspect)
        if not names:
            raise InputError(
                f"no {aspect} proxy in this table; score {' or '.join(REPRESENTATIVES[aspect])}, "
                f'or pass representatives={{"{aspect}": "column"}}.'
            )
        shares = [saturation(df, name) for name in names]
        fresh = [name for name, share in zip(names, shares, strict=True) if share <= MOSTLY]
        chosen[aspect] = fresh[0] if fresh else names[int(np.argmin(shares))]
    return chosen


def candidates(df: pd.DataFrame, aspect: str) -> list[str]:
    """Return the columns of `df` that may stand for `aspect`: the defaults there are, then the rest of the family."""
    family = [name for name, entry in described(df).items() if entry.get("family") == aspect]
    return [name for name in dict.fromkeys((*REPRESENTATIVES[aspect], *family)) if name in df.columns]


def saturation(df: pd.DataFrame, proxy: str) -> float:
    """Return how much of `proxy` cannot be told apart at its good end, in [0, 1]; 1 for one without any value.

    The larger of the share of rows with status "saturated" and the share tied at the best value, among the rows with
    a value. One row alone is not tied.
    """
    status = statuses(df, proxy)
    valued = np.isin(status, VALUED)
    if not valued.any():
        return 1.0
    good = orient(values(df, proxy), direction_of(df, proxy))[valued]
    best = int((good == good.max()).sum())
    return float(max((status[valued] == "saturated").mean(), best / len(good) if best > 1 else 0.0))
