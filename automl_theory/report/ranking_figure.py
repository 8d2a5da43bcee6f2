"""A ranking drawn: Kendall's τ of every proxy with its interval, the size baseline and the noise ceiling as lines."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.errors import require

COLOURS = {
    "expressivity": "#0072B2",
    "convergence": "#D55E00",
    "generalization": "#009E73",
    "saliency": "#CC79A7",
    "size": "#555555",
    "other": "#E69F00",
}
"""One colour a family, from Okabe and Ito's colour-blind-safe palette."""


def draw_ranking(ranking: pd.DataFrame) -> Any:
    """Return a plotly figure of the table that `rank` returns: best on top, right is better; NaN rows are left out.

    A filled dot is a proxy, an open diamond a size baseline. The dotted line is the best baseline's |τ|, the dashed
    one the noise ceiling (one training seed against another), where the ranking has one.
    """
    require("plotly", "report")
    go = require("plotly.graph_objects", "report")
    shown = ranking.loc[~ranking["kendall"].isna()]
    facts = ranking.attrs.get("ranking", {})
    level = f"{100 * facts.get('level', 0.95):g} %"
    labels = [html.escape(str(name)) for name in shown.index]
    figure = go.Figure()
    for family in [*COLOURS, *sorted(set(shown["family"]) - set(COLOURS))]:
        here = (shown["family"] == family).to_numpy()
        if not here.any():
            continue
        part, colour = shown.loc[here], COLOURS.get(family, COLOURS["other"])
        bars = ~(part["kendall_low"].isna() | part["kendall_high"].isna())
        figure.add_trace(
            go.Scatter(
                x=part["kendall"].tolist(),
                y=[label for label, here_too in zip(labels, here, strict=True) if here_too],
                mode="markers",
                name=html.escape(family) + (" (baseline)" if family == "size" else ""),
                marker={
                    "size": 10,
                    "color": colour,
                    "symbol": ["diamond-open" if b else "circle" for b in part["baseline"]],
                    "line": {"width": 2, "color": colour},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": np.where(bars, part["kendall_high"] - part["kendall"], 0.0).tolist(),
                    "arrayminus": np.where(bars, part["kendall"] - part["kendall_low"], 0.0).tolist(),
                    "thickness": 2,
                    "width": 4,
                },
                text=[_hover(name, row, level) for name, row in part.iterrows()],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    _reference_lines(figure, shown, facts)
    target, direction = facts.get("target", "the target"), facts.get("target_direction", "")
    good = {"minimize": " (low is good)", "maximize": " (high is good)"}.get(direction, "")
    figure.update_layout(
        template="plotly_white",
        height=150 + 26 * max(len(shown), 3),
        margin={"l": 20, "r": 20, "t": 50, "b": 60},
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#222"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        hoverlabel={"bgcolor": "white"},
    )
    title = f"Kendall τ-b with {html.escape(str(target))}{good}, {level} intervals"
    figure.update_xaxes(title_text=title, zeroline=True, zerolinecolor="#999", zerolinewidth=1)
    figure.update_yaxes(automargin=True, categoryorder="array", categoryarray=labels[::-1])
    return figure


def _reference_lines(figure: Any, shown: pd.DataFrame, facts: dict[str, Any]) -> None:
    baseline = shown.loc[shown["baseline"], "kendall"].abs()
    if len(baseline):
        figure.add_vline(x=float(baseline.max()), line={"dash": "dot", "color": "#555555", "width": 1.5})
        _label(figure, float(baseline.max()), "best size baseline", "right")
    ceiling = facts.get("noise_ceiling")
    if ceiling and not np.isnan(ceiling["kendall"]):
        figure.add_vline(x=ceiling["kendall"], line={"dash": "dash", "color": "#000000", "width": 1.5})
        _label(figure, ceiling["kendall"], "noise ceiling", "right")


def _label(figure: Any, x: float, text: str, anchor: str) -> None:
    figure.add_annotation(
        x=x, y=0, yref="paper", text=text, showarrow=False, xanchor=anchor, yanchor="bottom", textangle=-90, xshift=0
    )


def _hover(name: Any, row: pd.Series, level: str) -> str:
    ends = "" if np.isnan(row["kendall_low"]) else f" ({level}: {row['kendall_low']:.2f} to {row['kendall_high']:.2f})"
    lines = [f"τ = {row['kendall']:.3f}{ends}", f"ρ = {row['spearman']:.3f}, n = {row['n']}"]
    lines += [row["note"]] if row["note"] else []
    return "<br>".join([f"<b>{html.escape(str(name))}</b>", *map(html.escape, lines)])
