"""A ranking drawn as SVG: Kendall's τ of every proxy with its interval; strongest size baseline and noise ceiling.

Colours of text and lines are the page's own (CSS variables), so that it follows dark mode and prints.
"""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd

from automl_theory.report.figures.style import COLOURS

LEFT, WIDTH, ROW, TOP = 240, 640, 22, 42


def ranking_svg(ranking: pd.DataFrame) -> str:
    """Return the SVG text of the table that `rank` returns, best on top; rows without a τ are left out.

    A filled dot is a proxy, coloured by family, an open diamond a size baseline; the dotted line is the
    strongest baseline's |τ|, the dashed one the noise ceiling.
    """
    shown = ranking.loc[~ranking["kendall"].isna()]
    ends = shown[["kendall", "kendall_low", "kendall_high"]].to_numpy(dtype=np.float64)
    low = min(0.0, float(np.nanmin(ends, initial=0))) - 0.03
    high = max(0.3, float(np.nanmax(ends, initial=0.3))) + 0.03
    ceiling = (ranking.attrs.get("ranking", {}).get("noise_ceiling") or {}).get("kendall", np.nan)
    high = max(high, ceiling + 0.03) if not np.isnan(ceiling) else high

    def x(tau: float) -> float:
        return round(LEFT + (tau - low) / (high - low) * (WIDTH - LEFT - 20), 1)

    bottom = TOP + ROW * len(shown) + 6
    parts = [
        f'<svg id="figure-ranking" viewBox="0 0 {WIDTH} {bottom + 44}" role="img" '
        'aria-label="Kendall tau of each proxy with its interval; the table below has the numbers">'
    ]
    for tick in np.arange(np.ceil(low * 5) / 5, high, 0.2):
        text = f"{tick + 0.0:.1f}".replace("-", "−")
        parts.append(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text x="{x(tick)}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    middle = (LEFT + WIDTH) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">Kendall τ-b with its interval</text>')
    sizes = shown.loc[shown["baseline"], "kendall"].astype(float)
    marks = []
    if len(sizes):
        best = float(sizes.iloc[int(sizes.abs().argmax())])
        turned = ", turned round" if best < 0 else ""
        marks.append((abs(best), "2 3", f"strongest size baseline{turned}", 14))
    marks += [] if np.isnan(ceiling) else [(float(ceiling), "7 4", "noise ceiling", 31)]
    for tau, dash, text, y in marks:
        parts.append(
            f'<line class="mark" stroke-dasharray="{dash}" x1="{x(tau)}" x2="{x(tau)}" y1="{y}" y2="{bottom}"/>'
        )
        parts.append(f'<text x="{x(tau) - 4}" y="{y}" text-anchor="end">{text}</text>')
    for number, (name, row) in enumerate(shown.iterrows()):
        y, colour = TOP + ROW * number + ROW // 2, COLOURS.get(str(row["family"]), COLOURS["other"])
        at = x(row["kendall"])
        short = str(name) if len(str(name)) <= 28 else f"{str(name)[:27]}…"
        interval = "" if np.isnan(row["kendall_low"]) else f" ({row['kendall_low']:.2f} to {row['kendall_high']:.2f})"
        parts.append(f"<g><title>{escape(str(name))}: τ = {row['kendall']:.3f}{interval}, n = {row['n']}</title>")
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(short)}</text>')
        if interval:
            ends_at = f'x1="{x(row["kendall_low"])}" x2="{x(row["kendall_high"])}"'
            parts.append(f'<line {ends_at} y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        if row["baseline"]:
            diamond = f"M{at} {y - 6}l6 6l-6 6l-6 -6z"
            parts.append(f'<path d="{diamond}" fill="var(--paper)" stroke="{colour}" stroke-width="2"/></g>')
        else:
            parts.append(f'<circle cx="{at}" cy="{y}" r="5" fill="{colour}"/></g>')
    return "".join(parts) + "</svg>"
