"""A proxy against accuracy in hexagons: where 15,625 dots would hide each other, a shade counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from automl_theory.analysis.columns import VALUED, direction_of, orient, statuses, told_direction, values
from automl_theory.report.figures.style import Floats, axes, entitle, finite_rows, label, wants_log


@dataclass(frozen=True)
class Hexbin:
    """`x`: values of the proxy, `y`: of the target, both finite; `log`: whether x spans decades.

    `tau`, `rho`: Kendall's τ-b and Spearman's ρ in the good directions over `n_ranked` rows, the infinite ones too.
    `left_out`: reason → count of rows that are not drawn.
    """

    proxy: str
    target: str
    x: Floats
    y: Floats
    log: bool
    tau: float
    rho: float
    n_ranked: int
    left_out: dict[str, int]


def hexbin_data(df: pd.DataFrame, proxy: str, target: str, *, target_direction: str | None = None) -> Hexbin:
    """Return column `proxy` against column `target` of `df`; rows without a finite value of both are left out.

    + means that what the proxy calls good is what the target calls good. Fewer than 3 rows, or a constant, have NaN
    for both correlations. Raises `InputError` on unknown or non-numeric columns, or an unknown direction of the target.
    """
    keep, left_out = finite_rows(df, {proxy: "proxy", target: "target"})
    good = orient(values(df, proxy, "proxy"), direction_of(df, proxy))
    wanted = orient(values(df, target, "target"), told_direction(target, target_direction))
    ranked = np.isin(statuses(df, proxy), VALUED) & ~np.isnan(wanted)
    x, y = values(df, proxy)[keep], values(df, target)[keep]
    tau, rho = np.nan, np.nan
    if ranked.sum() >= 3 and len(np.unique(good[ranked])) > 1 and len(np.unique(wanted[ranked])) > 1:
        tau = float(stats.kendalltau(good[ranked], wanted[ranked]).statistic)
        rho = float(stats.spearmanr(stats.rankdata(good[ranked]), stats.rankdata(wanted[ranked])).statistic)
    return Hexbin(proxy, target, x, y, wants_log(x), tau, rho, int(ranked.sum()), left_out)


def draw_hexbin(
    df: pd.DataFrame,
    proxy: str,
    target: str,
    *,
    target_direction: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw `hexbin_data` and return the matplotlib Axes; the shade counts architectures on a logarithmic scale."""
    data = hexbin_data(df, proxy, target, target_direction=target_direction)
    ax = axes(ax, (6.0, 4.8))
    if len(data.x):
        from matplotlib.colors import LogNorm

        cells = ax.hexbin(
            data.x,
            data.y,
            gridsize=int(np.clip(np.sqrt(len(data.x)), 12, 50)),
            xscale="log" if data.log else "linear",
            mincnt=1,
            cmap="cividis_r",
            linewidths=0.1,
        )
        most = float(cells.get_array().max())
        if most > 1:
            cells.set_norm(LogNorm(1, most))
            bar = ax.figure.colorbar(cells, ax=ax, pad=0.02)
            bar.set_label("architectures in a hexagon, log scale")
            ticks = [k * 10**e for e in range(6) for k in (1, 2, 5) if k * 10**e <= most]
            bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
            bar.minorticks_off()
    low_is_good = " ← low is good" if direction_of(df, proxy) == "minimize" else ""
    ax.set_xlabel(label(df, proxy) + (", log scale" if data.log else "") + low_is_good)
    ax.set_ylabel(label(df, target))
    tau, rho = (f"{value:.2f}".replace("-", "−") for value in (data.tau, data.rho))
    entitle(ax, proxy, len(data.x), data.left_out, found=f"Kendall τ = {tau}, Spearman ρ = {rho}")
    return ax
