"""One aspect against another, an architecture a point, coloured by accuracy, with the Pareto front drawn.

Both axes are rank percentiles in the proxy's good direction (100 = best), so that units, outliers and monotone
transformations do not matter; a front depends on the two orders only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import told_direction
from automl_theory.analysis.dominance import front_mask
from automl_theory.analysis.representatives import ASPECTS
from automl_theory.errors import InputError
from automl_theory.report.aspects import aspects
from automl_theory.report.figures.style import Floats, axes, entitle, limits, plain


@dataclass(frozen=True)
class AspectPlane:
    """The points of one plane: `x`, `y` percentiles of the proxies `proxies`, with `front` True on the Pareto front.

    `target`: its values, NaN where there are none, or None; `rho`: Spearman's ρ of the two aspects; `arch`: which
    architecture each point is; `left_out`: rows that are undefined in one of the two proxies.
    """

    names: tuple[str, str]
    proxies: tuple[str, str]
    arch: tuple[str, ...]
    x: Floats
    y: Floats
    front: NDArray[np.bool_]
    rho: float
    target_name: str | None
    target_direction: str | None
    target: Floats | None
    left_out: dict[str, int]


def aspect_plane_data(
    df: pd.DataFrame,
    x: str = "expressivity",
    y: str = "convergence",
    target: str | None = None,
    *,
    representatives: Mapping[str, str] | None = None,
    target_direction: str | None = None,
) -> AspectPlane:
    """Return the plane of aspects `x` and `y` of score table `df`, with `target` as colour.

    `representatives` maps aspects to columns, over the defaults of `analysis.representatives`. A point is on the front
    if none is at least as good in both aspects and better in one; of equal points all are on it or none. Raises
    `InputError` on unknown aspects and columns.
    """
    for name in (x, y):
        if name not in ASPECTS:
            raise InputError(f"aspects are {', '.join(ASPECTS)}; got {name!r}.")
    if x == y:
        raise InputError(f"the plane needs two aspects; got {x!r} twice.")
    data = aspects(df, target, representatives, target_direction=target_direction, among=(x, y))
    across, up = (data.percentiles[name].to_numpy(dtype=np.float64) for name in (x, y))
    return AspectPlane(
        names=(x, y),
        proxies=(data.proxies[x], data.proxies[y]),
        arch=tuple(str(name) for name in data.percentiles.index),
        x=across,
        y=up,
        front=front_mask(np.column_stack([across, up])),
        rho=data.correlations[x, y],
        target_name=target,
        target_direction=None if target is None else told_direction(target, target_direction),
        target=None if data.target is None else data.target.to_numpy(dtype=np.float64),
        left_out={"undefined": data.dropped},
    )


def draw_aspect_plane(
    df: pd.DataFrame,
    x: str = "expressivity",
    y: str = "convergence",
    target: str | None = None,
    *,
    representatives: Mapping[str, str] | None = None,
    target_direction: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw `aspect_plane_data` and return the matplotlib Axes: darker = better, grey = no target, line = Pareto front.

    The colour scale ends at the target's 5 % and 95 % quantiles, so that a few bad networks do not use it up.
    """
    data = aspect_plane_data(df, x, y, target, representatives=representatives, target_direction=target_direction)
    ax = axes(ax, (6.4, 5.2))
    many = len(data.x) > 2000
    dot: dict[str, Any] = {"s": 6 if many else 22, "linewidths": 0, "alpha": 0.6 if many else 0.85}
    known = np.zeros(len(data.x), dtype=bool) if data.target is None else ~np.isnan(data.target)
    ends = None if data.target is None else limits(data.target)
    unknown_colour = "#0072B2" if data.target is None else "#bbbbbb"
    ax.scatter(data.x[~known], data.y[~known], color=unknown_colour, **dot)
    if data.target is not None and ends is not None:
        colours = "viridis_r" if data.target_direction == "maximize" else "viridis"
        shown = np.clip(data.target[known], *ends)
        points = ax.scatter(data.x[known], data.y[known], c=shown, cmap=colours, vmin=ends[0], vmax=ends[1], **dot)
        bar = ax.figure.colorbar(points, ax=ax, extend="both", pad=0.02)
        bar.solids.set_alpha(1)
        good = "high" if data.target_direction == "maximize" else "low"
        bar.set_label(plain(f"{data.target_name} ({good} is good; 5 % to 95 % quantile)"))
    order = np.lexsort((-data.y[data.front], data.x[data.front]))
    ax.step(
        data.x[data.front][order],
        data.y[data.front][order],
        where="pre",
        color="#D55E00",
        linewidth=1.3,
        marker="o",
        markersize=4,
        markerfacecolor="none",
        label=f"Pareto front ({int(data.front.sum()):,})",
    )
    for side, name, proxy in (("x", data.names[0], data.proxies[0]), ("y", data.names[1], data.proxies[1])):
        getattr(ax, f"set_{side}label")(plain(f"{name}: {proxy}, percentile (100 = best)"))
        getattr(ax, f"set_{side}lim")(-2, 102)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=9, frameon=False, borderpad=0)
    rho = f"{data.rho:.2f}".replace("-", "−")
    entitle(ax, f"{data.names[0]} against {data.names[1]}: Spearman ρ = {rho}", len(data.x), data.left_out)
    return ax
