"""The study's figures: data first, drawing second. Each `*_data` gives what each `draw_*` turns into SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from automl_theory.report.contents import signed
from automl_theory.report.figures.depth_width import DepthWidth, depth_width_data
from automl_theory.report.figures.style import wants_log
from automl_theory.studies import svg
from automl_theory.studies.charts import Line

Floats = NDArray[np.float64]

NAMES = {
    "train_loss": "training loss",
    "epochs_to_50": "epochs to 50 %",
    "gap": "test − training loss",
    "curvature": "curvature κ",
    "turning_angle": "turning angle",
    "nngp_lambda_min": "λmin of the NNGP",
    "ntk_lambda_min": "λmin of the NTK",
    "ntk_lambda_90": "λ90 of the NTK",
    "cell_ntk_lambda_min": "λmin of the cell's NTK",
    "ntk_condition_number": "condition number of the NTK",
    "rank_sum": "sum of ranks",
}
"""Columns in words."""


def in_words(column: str) -> str:
    """A column's name for a reader."""
    return NAMES.get(column, column.replace("_", " "))


def plane_data(table: pd.DataFrame, metric: str) -> DepthWidth:
    """Group `by_architecture`'s rows by mean path depth and number of paths; see `depth_width_data`."""
    return depth_width_data(table[[metric, "depth", "paths"]], metric, depth="depth", width="paths")


def draw_plane(data: DepthWidth) -> str:
    """Circles at the groups: stronger is larger (the mean), wider is more spread (the sd)."""
    groups = data.groups
    means = groups["mean"].to_numpy(dtype=np.float64)
    shade = svg.scale(means, 0.06, 0.95, log=wants_log(means), margin=0.0)
    spread = groups["sd"].fillna(0).to_numpy(dtype=np.float64)
    largest = float(spread.max(initial=0.0)) or 1.0
    x, y = svg.horizontal([-0.15, 3.15]), svg.vertical([0.6, *(groups["width"] + 0.4)])
    body = []
    for row, sd in zip(groups.to_dict("records"), spread, strict=True):
        said = f"depth {row['depth']:.3g}, {row['width']:.0f} paths: {svg.number(row['mean'])} (n {row['n']})"
        at = x(row["depth"]), y(row["width"])
        body.append(svg.circle(*at, 4 + 7 * sd / largest, "var(--accent)", said, _between(shade, row["mean"]), True))
    taus = f"τ {signed(data.tau_depth)} with depth, {signed(data.tau_width)} with P"
    ends = f"{svg.number(float(means.min()))} to {svg.number(float(means.max()))}" if len(means) else "no values"
    beneath = f"{taus}; {len(groups)} groups, {ends}"
    return svg.chart(f"plane-{data.metric}", in_words(data.metric), beneath, x, y, ("mean path depth", "paths P"), body)


def _between(shade: svg.Scale, value: float) -> float:
    return min(max(shade(value) if shade.high > shade.low else 0.5, 0.06), 0.95)


@dataclass(frozen=True)
class Scatter:
    """A measure against an outcome: arrays over the architectures that have both; `tau` is Kendall's τ-b of them."""

    x: str
    y: str
    codes: tuple[str, ...]
    first: Floats
    second: Floats
    depth: Floats
    tau: float


def scatter_data(table: pd.DataFrame, x: str, y: str) -> Scatter:
    """Columns x and y of `by_architecture`'s table where both are finite; τ NaN for fewer than three or a constant."""
    both = table[np.isfinite(table[x]) & np.isfinite(table[y])]
    first, second = (both[name].to_numpy(dtype=np.float64) for name in (x, y))
    varied = len(both) > 2 and np.ptp(first) > 0 and np.ptp(second) > 0
    tau = float(stats.kendalltau(first, second).statistic) if varied else math.nan
    return Scatter(x, y, tuple(map(str, both.index)), first, second, both["depth"].to_numpy(dtype=np.float64), tau)


def draw_scatter(data: Scatter) -> str:
    """A dot an architecture, blue where shallow and orange where deep."""
    x, y = svg.horizontal(data.first), svg.vertical(data.second)
    dots = [
        svg.circle(x(a), y(b), 2.6, svg.colour(d / 3), code, 0.75)
        for code, a, b, d in zip(data.codes, data.first, data.second, data.depth, strict=True)
    ]
    title = f"{in_words(data.x)} and {in_words(data.y)}"
    beneath = f"Kendall τ {signed(data.tau)}, n = {len(data.codes)} architectures"
    return svg.chart(f"scatter-{data.x}-{data.y}", title, beneath, x, y, (in_words(data.x), in_words(data.y)), dots)


@dataclass(frozen=True)
class Front:
    """Architectures (rows of `by_architecture` with all `columns`) and which of them are on the Pareto front."""

    columns: tuple[str, ...]
    table: pd.DataFrame
    on_front: NDArray[np.bool_]


def front_data(table: pd.DataFrame, columns: Sequence[str], front: Sequence[str]) -> Front:
    """Mark the codes of `front` (see `fronts.front`) among the architectures that have all `columns`."""
    kept = table.loc[np.isfinite(table[list(columns)].to_numpy(dtype=np.float64)).all(axis=1)]
    return Front(tuple(columns), kept, kept.index.isin(list(front)))


def draw_front(data: Front) -> str:
    """The first two columns against each other; the front's architectures in full colour, the others faint."""
    first, second = (data.table[name].to_numpy(dtype=np.float64) for name in data.columns[:2])
    x, y = svg.horizontal(first), svg.vertical(second)
    depth = data.table["depth"].to_numpy(dtype=np.float64)
    dots = [
        svg.circle(x(first[i]), y(second[i]), 3.6 if data.on_front[i] else 2.2, svg.colour(depth[i] / 3),
                   str(data.table.index[i]), 0.95 if data.on_front[i] else 0.22, bool(data.on_front[i]))
        for i in np.argsort(data.on_front, kind="stable")
    ]  # fmt: skip
    beneath = f"{int(data.on_front.sum())} of {len(data.table)} on the front; third: {in_words(data.columns[2])}"
    title = f"{in_words(data.columns[0])} and {in_words(data.columns[1])}"
    name = "front-" + "-".join(data.columns)
    return svg.chart(name, title, beneath, x, y, (in_words(data.columns[0]), in_words(data.columns[1])), dots)


def curve_data(curves: Mapping[str, Any], which: Mapping[str, str], column: str = "loss") -> list[Line]:
    """Of each code of `which` (code → words): mean, least and largest running loss or accuracy over seeds, by epoch.

    Runs that diverged are left out, as they are of the means of outcomes.
    """
    lines = []
    for code, words in which.items():
        rows = np.asarray(curves[column], dtype=np.float64)[np.asarray(curves["arch"]) == code]
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows):
            epochs = np.arange(1, rows.shape[1] + 1, dtype=np.float64)
            lines.append(Line(words, epochs, rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0)))
    return lines


def sweep_data(grid: pd.DataFrame, along: str, by: str) -> list[Line]:
    """Of `table1.sweep`'s grid: the sum of ranks along one share pruned, a line for each value of the other share."""
    lines = []
    for share, part in grid.sort_values(along).groupby(by):
        seeds = part.drop(columns=[along, by]).to_numpy(dtype=np.float64)
        x = 100 * part[along].to_numpy(dtype=np.float64)
        label = f"{100 * float(str(share)):.0f} %"
        lines.append(Line(label, x, seeds.mean(axis=1), seeds.min(axis=1), seeds.max(axis=1)))
    return lines
