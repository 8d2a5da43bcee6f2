"""Which proxies say the same: Kendall's τ-b between all of them, and with accuracy, as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from automl_theory.analysis.columns import VALUED, described, direction_of, orient, statuses, told_direction, values
from automl_theory.errors import InputError
from automl_theory.report.figures.style import Floats, axes, entitle

FAMILIES = ("expressivity", "convergence", "generalization", "saliency", "size")
ANNOTATED = 20
"""More columns than this have no numbers in their squares."""


@dataclass(frozen=True)
class HeatMap:
    """`tau`: (k, k), NaN where a column is constant; `n`: (k, k), rows with a value in both; `names`: the k columns."""

    names: tuple[str, ...]
    tau: Floats
    n: NDArray[np.int64]
    rows: int


def heat_map_data(
    df: pd.DataFrame,
    target: str | None = None,
    *,
    proxies: Sequence[str] | None = None,
    target_direction: str | None = None,
) -> HeatMap:
    """Return Kendall's τ-b between the columns of `df`, each in its good direction, over the rows defined in both.

    `target`, where given, is first; then the proxies, by default all that the table describes, family by family and
    within a family by |τ| with the target. Raises `InputError` if there are fewer than two columns, or on a bad one.
    """
    names = list(dict.fromkeys(described(df) if proxies is None else proxies))
    names = [name for name in names if name != target]
    if len(names) + (target is not None) < 2:
        raise InputError("a heat map needs at least two columns; pass proxies=[…] or a target.")
    good = {name: orient(values(df, name, "proxy"), direction_of(df, name)) for name in names}
    for name in names:
        good[name][~np.isin(statuses(df, name), VALUED)] = np.nan
    if target is not None:
        good[target] = orient(values(df, target, "target"), told_direction(target, target_direction))
        families = {name: str(described(df).get(name, {}).get("family", "other")) for name in names}
        place = {family: number for number, family in enumerate(FAMILIES)}
        with_target = {name: tau_b(good[name], good[target])[0] for name in names}
        names.sort(key=lambda name: (place.get(families[name], 9), -np.nan_to_num(abs(with_target[name]))))
        names = [target, *names]
    k = len(names)
    tau, n = np.full((k, k), np.nan), np.zeros((k, k), dtype=np.int64)
    for i in range(k):
        for j in range(i, k):
            tau[i, j], n[i, j] = tau_b(good[names[i]], good[names[j]])
            tau[j, i], n[j, i] = tau[i, j], n[i, j]
    return HeatMap(tuple(names), tau, n, len(df))


def tau_b(a: Floats, b: Floats) -> tuple[float, int]:
    """Return Kendall's τ-b over the rows where neither is NaN, and how many; NaN for fewer than 3 or a constant."""
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < 3 or (a == a[0]).all() or (b == b[0]).all():
        return np.nan, len(a)
    return float(stats.kendalltau(a, b).statistic), len(a)


def short(tau: float) -> str:
    """Return two decimals without the leading zero, "0" for what rounds to it, "–" for NaN."""
    if np.isnan(tau):
        return "–"
    text = f"{tau:.2f}".replace("-", "−").replace("0.", ".")
    return "0" if text.lstrip("−") == ".00" else text


def draw_heat_map(
    df: pd.DataFrame,
    target: str | None = None,
    *,
    proxies: Sequence[str] | None = None,
    target_direction: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw `heat_map_data` and return the matplotlib Axes: blue agrees, red disagrees, grey is undefined."""
    data = heat_map_data(df, target, proxies=proxies, target_direction=target_direction)
    k = len(data.names)
    side = 0.42 * k + 2.6
    ax = axes(ax, (side + 0.9, side))
    ax.set_facecolor("#dddddd")
    image = ax.imshow(data.tau, cmap="RdBu", vmin=-1, vmax=1)
    ax.figure.colorbar(image, ax=ax, pad=0.02, shrink=0.8).set_label("Kendall τ-b, in the good directions")
    names = [name.replace("$", r"\$") for name in data.names]
    ax.set_xticks(range(k), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    ax.set_yticks(range(k), names, fontsize=9)
    for side_name in ("top", "right", "bottom", "left"):
        ax.spines[side_name].set_visible(False)
    if k <= ANNOTATED:
        for i in range(k):
            for j in range(k):
                if i != j:
                    value = data.tau[i, j]
                    colour = "w" if abs(value) > 0.6 else "k"
                    ax.text(j, i, short(value), ha="center", va="center", fontsize=7, color=colour)
    if target is not None:
        ax.axhline(0.5, color="black", linewidth=1.2)
        ax.axvline(0.5, color="black", linewidth=1.2)
    fewest = int(data.n.min())
    beside = {} if fewest == data.rows else {"undefined in the emptiest pair": data.rows - fewest}
    entitle(ax, "Which proxies say the same", data.rows, beside)
    return ax
