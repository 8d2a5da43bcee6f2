"""The depth-width plane: a circle a group of architectures, grey = mean of a metric, size = its spread.

As Figures 3 to 5 of W. Chen et al., "No Free Lunch in Neural Architectures?" (AutoML 2023): architectures with the
same mean path depth and the same width are one group, and Kendall's τ is taken over the group means, which is kinder
than over architectures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from automl_theory.report.figures.style import axes, entitle, finite_rows, label, wants_log


@dataclass(frozen=True)
class DepthWidth:
    """`groups`: columns depth, width, n, mean, sd (NaN for n = 1), sorted by depth, then width.

    `tau_depth`, `tau_width`: Kendall's τ-b of the group means with depth and with width, NaN for fewer than 3 groups;
    `n`: architectures in the groups; `left_out`: reason → count.
    """

    metric: str
    depth: str
    width: str
    groups: pd.DataFrame
    tau_depth: float
    tau_width: float
    n: int
    left_out: dict[str, int]


def depth_width_data(
    df: pd.DataFrame, metric: str, *, depth: str = "effective_depth", width: str = "effective_width"
) -> DepthWidth:
    """Group the rows of `df` by columns `depth` and `width` (to nine digits) and take mean and sd of `metric` in each.

    The sd is the sample's (n − 1). Rows without a finite metric, depth or width are left out and counted. Join
    `graph_metrics` to a score table for the two columns. Raises `InputError` on an unknown or non-numeric column.
    """
    keep, left_out = finite_rows(df, {metric: "metric", depth: "depth", width: "width"})
    table = pd.DataFrame(
        {
            "depth": df.loc[keep, depth].astype(float).round(9).to_numpy(),
            "width": df.loc[keep, width].astype(float).round(9).to_numpy(),
            "value": df.loc[keep, metric].astype(float).to_numpy(),
        }
    )
    groups = table.groupby(["depth", "width"])["value"].agg(n="size", mean="mean", sd="std").reset_index()
    taus = [np.nan, np.nan]
    if len(groups) >= 3:
        taus = [_tau(groups[axis], groups["mean"]) for axis in ("depth", "width")]
    return DepthWidth(metric, depth, width, groups, taus[0], taus[1], int(keep.sum()), left_out)


def _tau(a: pd.Series, b: pd.Series) -> float:
    constant = a.nunique() < 2 or b.nunique() < 2
    return np.nan if constant else float(stats.kendalltau(a.to_numpy(), b.to_numpy()).statistic)


def draw_depth_width(
    df: pd.DataFrame,
    metric: str,
    *,
    depth: str = "effective_depth",
    width: str = "effective_width",
    ax: Any = None,
) -> Any:
    """Draw `depth_width_data` and return the matplotlib Axes: darker = larger, area ∝ sd, a cross is a group of one."""
    data = depth_width_data(df, metric, depth=depth, width=width)
    ax = axes(ax, (6.4, 5.2))
    from matplotlib.colors import LogNorm, Normalize

    groups = data.groups
    means = groups["mean"].to_numpy()
    low, high = (means.min(), means.max()) if len(means) else (0.0, 1.0)
    log = wants_log(means)
    norm = LogNorm(low, high) if log else Normalize(low, high if high > low else low + 1)
    largest = float(np.nan_to_num(groups["sd"].max() if len(groups) else 0.0)) or 1.0
    many = (groups["n"] > 1).to_numpy()
    area = 25 + 600 * groups["sd"].fillna(0).to_numpy() / largest
    style = {"cmap": "Greys", "norm": norm}
    circles = ax.scatter(
        groups["depth"][many],
        groups["width"][many],
        c=means[many],
        s=area[many],
        edgecolors="black",
        linewidths=0.7,
        **style,
    )
    ax.scatter(groups["depth"][~many], groups["width"][~many], c=means[~many], s=45, marker="X", edgecolors="black",
               linewidths=0.6, **style)  # fmt: skip
    bar = ax.figure.colorbar(circles, ax=ax, pad=0.02)
    bar.set_label(f"mean {label(df, metric)}" + (", log scale" if log else ""))
    for share in (1.0, 0.25):
        name = f"sd {largest * share:,.0f}" if largest > 1000 else f"sd {largest * share:.3g}"
        ax.scatter([], [], s=25 + 600 * share, facecolors="none", edgecolors="black", linewidths=0.7, label=name)
    if not many.all():
        ax.scatter([], [], s=45, marker="X", color="#999999", edgecolors="black", linewidths=0.6, label="one alone")
    ax.legend(loc="upper right", fontsize=9, labelspacing=1.6, borderpad=1.1, handletextpad=1.2, framealpha=0.9)
    ax.set_xlabel(label(df, depth))
    ax.set_ylabel(label(df, width))
    ax.margins(0.12)
    taus = [f"{tau:.2f}".replace("-", "−") for tau in (data.tau_depth, data.tau_width)]
    found = f"τ {taus[0]} with depth, {taus[1]} with width"
    entitle(ax, metric, data.n, data.left_out, f"{len(groups)} groups", found)
    return ax
