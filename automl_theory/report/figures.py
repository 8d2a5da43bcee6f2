"""The three aspects of an architecture against each other: data first (`aspects`), drawing second (`draw_aspects`).

Expressivity, convergence and generalization pull towards different graphs; no architecture is best at all three
(W. Chen et al., "No Free Lunch in Neural Architectures?", AutoML 2023). Each aspect is shown by one representative
proxy, as a rank percentile in its good direction: units and scales of the proxies do not matter, only the order does.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
from automl_theory.errors import InputError, require

REPRESENTATIVES = {
    "expressivity": ("turning_angle", "linear_regions_thin", "naswot", "linear_regions"),
    "convergence": ("ntk_lambda_min_normalised", "ntk_lambda_min"),
    "generalization": ("ntk_regression_error",),
}
"""Which proxy stands for each aspect: the first that the table has, else the first of the family."""

PANELS = (
    ("expressivity", "convergence"),
    ("generalization", "convergence"),
    ("expressivity", "generalization"),
)
MANY = 3000


@dataclass(frozen=True)
class AspectData:
    """One representative proxy an aspect, as percentiles, and what is needed to say which points they are.

    `proxies`: aspect → column, with `directions` and `units`. `percentiles`: one row an architecture (index arch),
    one column an aspect, in (0, 100), 100 = best, ties averaged; `classes`: the class of equal architectures of each
    of those rows. `raw`: the values themselves, one column a proxy. `target`: its values or None, NaN where there are
    none, with `target_direction`. `rows`: how many rows the table had; `undefined`: aspect → statuses counted; a row
    undefined in one aspect is in no panel. `correlations`: (aspect, aspect) → Spearman's ρ of the two.
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
) -> AspectData:
    """Choose one proxy an aspect from score table `df` and turn it into rank percentiles, 100 = best.

    `representatives` maps aspects to columns, over the defaults in `REPRESENTATIVES`. Rows that are undefined in one
    of the chosen proxies are left out and counted; ±inf is a value. Raises `InputError` if an aspect has no proxy in
    the table, or a name is unknown.
    """
    chosen = _choose(df, representatives or {})
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
        correlations={(a, b): float(correlations(good[a], good[b])[1][0]) for a, b in PANELS},
    )


def _choose(df: pd.DataFrame, given: Mapping[str, str]) -> dict[str, str]:
    for aspect in given:
        if aspect not in REPRESENTATIVES:
            raise InputError(f"aspects are {', '.join(REPRESENTATIVES)}; got {aspect!r}.")
    chosen = {}
    for aspect, defaults in REPRESENTATIVES.items():
        family = [name for name, entry in described(df).items() if entry.get("family") == aspect]
        candidates = [given[aspect]] if aspect in given else [c for c in (*defaults, *family) if c in df.columns]
        if not candidates:
            raise InputError(
                f"no {aspect} proxy in this table; score {' or '.join(defaults)}, "
                f'or pass representatives={{"{aspect}": "column"}}.'
            )
        chosen[aspect] = candidates[0]
    return chosen


def draw_aspects(data: AspectData) -> Any:
    """Return a plotly figure of three panels, an architecture a point, coloured by the target (darker = better).

    The colour scale ends at the target's 5 % and 95 % quantiles, so that a few bad networks do not use it up.
    Architectures without a target are grey; without any target all points are blue.
    """
    require("plotly", "report")
    go = require("plotly.graph_objects", "report")
    subplots = require("plotly.subplots", "report")
    titles = [f"Spearman ρ = {data.correlations[panel]:.2f}".replace("-", "−") for panel in PANELS]
    figure = subplots.make_subplots(rows=1, cols=3, subplot_titles=titles, horizontal_spacing=0.085)
    many = len(data.percentiles) > MANY
    draw = go.Scattergl if many else go.Scatter
    point: dict[str, Any] = {"size": 6, "opacity": 0.85, "line": {"width": 0.4, "color": "white"}}
    if many:
        point = {"size": 3, "opacity": 0.6}
    hover = _hover(data)
    for column, (x, y) in enumerate(PANELS, start=1):
        for rows, marker in _markers(data):
            figure.add_trace(
                draw(
                    x=data.percentiles[x].iloc[rows].round(2).tolist(),
                    y=data.percentiles[y].iloc[rows].round(2).tolist(),
                    mode="markers",
                    marker={**point, **marker},
                    text=[hover[row] for row in rows],
                    hovertemplate="%{text}<extra></extra>",
                    showlegend=False,
                ),
                row=1,
                col=column,
            )
        for axis, aspect in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
            title = f"<b>{aspect}</b><br>{html.escape(data.proxies[aspect])}, percentile"
            axis(title_text=title, title_standoff=8, range=[-2, 102], tickvals=[0, 25, 50, 75, 100], row=1, col=column)
    figure.update_layout(
        template="plotly_white",
        height=430,
        margin={"l": 70, "r": 20, "t": 40, "b": 70},
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#222"},
        hoverlabel={"bgcolor": "white", "font": {"family": "ui-monospace, monospace", "size": 11}},
    )
    if data.target is not None and (limits := _limits(data.target)):
        figure.update_layout(
            coloraxis={
                "colorscale": "Viridis",
                "reversescale": data.target_direction == "maximize",
                "cmin": limits[0],
                "cmax": limits[1],
                "colorbar": {
                    "title": {"text": html.escape(str(data.target.name)), "side": "right"},
                    "thickness": 12,
                    "outlinewidth": 0,
                },
            }
        )
    figure.update_annotations(font_size=13)
    return figure


def _limits(target: pd.Series) -> tuple[float, float] | None:
    finite = target[np.isfinite(target)]
    return (float(finite.quantile(0.05)), float(finite.quantile(0.95))) if len(finite) else None


def _markers(data: AspectData) -> list[tuple[list[int], dict[str, Any]]]:
    everyone = list(range(len(data.percentiles)))
    limits = None if data.target is None else _limits(data.target)
    if data.target is None or limits is None:
        return [(everyone, {"color": "#0072B2"})]
    shown = data.target.clip(*limits).to_numpy()
    without = [row for row in everyone if np.isnan(shown[row])]
    coloured = [row for row in everyone if not np.isnan(shown[row])]
    by_value = {"color": shown[coloured].tolist(), "coloraxis": "coloraxis"}
    return [(rows, marker) for rows, marker in ((without, {"color": "#BBBBBB"}), (coloured, by_value)) if rows]


def _hover(data: AspectData) -> list[str]:
    lines = []
    for number, arch in enumerate(data.percentiles.index):
        parts = [f"<b>{html.escape(str(arch))}</b>"]
        for aspect, column in data.proxies.items():
            unit = "" if data.units[aspect] in ("", "1") else f" {data.units[aspect]}"
            value, place = data.raw[column].iloc[number], data.percentiles[aspect].iloc[number]
            parts.append(html.escape(f"{aspect}: {place:.0f} ({column} = {value:.4g}{unit})"))
        if data.target is not None:
            parts.append(html.escape(f"{data.target.name} = {data.target.iloc[number]:.4g}"))
        lines.append("<br>".join(parts))
    return lines
