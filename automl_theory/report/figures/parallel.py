"""Parallel coordinates: an architecture a line through its percentile in every aspect, coloured by accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.analysis.columns import VALUED, direction_of, orient, statuses, told_direction, values
from automl_theory.analysis.representatives import choose_representatives
from automl_theory.errors import InputError
from automl_theory.report.aspects import percentile
from automl_theory.report.figures.style import Floats, axes, entitle, limits, plain

LINES = 500
"""More lines than this hide each other: a systematic sample along the target is drawn, and the title says so."""


@dataclass(frozen=True)
class Parallel:
    """`percentiles`: (n, k), one column an axis `columns`, 100 = best, over all n rows defined everywhere.

    `arch`: the n architectures; `target`: (n,) values or None; `drawn`: the rows that become lines, worst target first;
    `left_out`: rows undefined in one of the columns or without a target.
    """

    columns: tuple[str, ...]
    arch: tuple[str, ...]
    percentiles: Floats
    target_name: str | None
    target_direction: str | None
    target: Floats | None
    drawn: tuple[int, ...]
    left_out: dict[str, int]


def parallel_data(
    df: pd.DataFrame,
    target: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    target_direction: str | None = None,
) -> Parallel:
    """Return percentiles of `columns` of `df`, by default one an aspect, with `target` as the last axis.

    Of more than `LINES` architectures every (n / LINES)-th in the order of the target is drawn. Raises `InputError`
    for fewer than two axes, and on an unknown or non-numeric column.
    """
    chosen = list(choose_representatives(df).values()) if columns is None else list(columns)
    chosen = [name for name in dict.fromkeys(chosen) if name != target]
    if len(chosen) + (target is not None) < 2:
        raise InputError("parallel coordinates need at least two axes; pass columns=[…] or a target.")
    good = {name: orient(values(df, name, "proxy"), direction_of(df, name)) for name in chosen}
    keep = np.logical_and.reduce([np.isin(statuses(df, name), VALUED) for name in chosen])
    left_out = {"undefined": int((~keep).sum())}
    direction, reached = None, None
    if target is not None:
        direction = told_direction(target, target_direction)
        good[target] = orient(values(df, target, "target"), direction)
        left_out["no target"] = int((keep & np.isnan(good[target])).sum())
        keep &= ~np.isnan(good[target])
        reached = values(df, target)[keep]
    places = np.column_stack([percentile(numbers[keep]) for numbers in good.values()])
    order = np.argsort(places[:, -1], kind="stable")
    if len(order) > LINES:
        order = order[np.linspace(0, len(order) - 1, LINES).round().astype(int)]
    return Parallel(
        columns=tuple(good),
        arch=tuple(str(name) for name in df.index[keep]),
        percentiles=places,
        target_name=target,
        target_direction=direction,
        target=reached,
        drawn=tuple(order.tolist()),
        left_out=left_out,
    )


def draw_parallel(
    df: pd.DataFrame,
    target: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    target_direction: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw `parallel_data` and return the matplotlib Axes: darker = better, drawn last; blue without a target."""
    from matplotlib.collections import LineCollection

    data = parallel_data(df, target, columns=columns, target_direction=target_direction)
    ax = axes(ax, (1.9 * len(data.columns) + 1.6, 4.6))
    rows = list(data.drawn)
    across = np.arange(len(data.columns), dtype=np.float64)
    lines = [np.column_stack([across, data.percentiles[row]]) for row in rows]
    drawing = LineCollection(lines, linewidths=0.9, alpha=0.35 if len(rows) > 100 else 0.7)
    ends = None if data.target is None else limits(data.target)
    if data.target is not None and ends is not None:
        drawing.set_array(np.clip(data.target[rows], *ends))
        drawing.set_clim(*ends)
        drawing.set_cmap("viridis_r" if data.target_direction == "maximize" else "viridis")
    else:
        drawing.set_color("#0072B2")
    ax.add_collection(drawing)
    if ends is not None:
        bar = ax.figure.colorbar(drawing, ax=ax, pad=0.02, extend="both")
        bar.solids.set_alpha(1)
        good = "high" if data.target_direction == "maximize" else "low"
        bar.set_label(plain(f"{data.target_name} ({good} is good; 5 % to 95 % quantile)"))
    for place in across:
        ax.axvline(place, color="#444444", linewidth=0.8)
    ax.set_xlim(-0.15, across[-1] + 0.15)
    ax.set_ylim(-1, 101)
    ax.set_xticks(across, [plain(name).replace("_", "_\u200b") for name in data.columns], fontsize=9)
    ax.set_ylabel("percentile (100 = best)")
    count = len(data.percentiles)
    sample = "" if len(rows) == count else f", {len(rows):,} lines drawn"
    entitle(ax, f"Every architecture a line{sample}", count, data.left_out)
    return ax
