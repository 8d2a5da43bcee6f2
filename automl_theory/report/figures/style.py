"""What the figures share: an Axes to draw into, a title that says n and what was left out, colours, number scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import VALUED, count_undefined, declared, statuses, values

Floats = NDArray[np.float64]

COLOURS = {
    "expressivity": "#0072B2",
    "convergence": "#D55E00",
    "generalization": "#009E73",
    "saliency": "#CC79A7",
    "size": "#767676",
    "other": "#E69F00",
}
"""One colour a family, from Okabe and Ito's colour-blind-safe palette."""

DECADES = 2.0
"""Positive values over more decades than this are drawn on a logarithmic scale, and the axis says so."""


def axes(ax: Any, size: tuple[float, float]) -> Any:
    """Return `ax`, or the Axes of a new pyplot figure of `size` inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def entitle(ax: Any, headline: str, n: int, left_out: Mapping[str, int], beside: str = "", found: str = "") -> None:
    """Write the headline, and below it what was `found`, n, what is `beside` it, and how many rows were left out.

    A name of a column is headline enough: numbers stand in the smaller line, where they have room.
    """
    counts = ", ".join(f"{why.replace('_', ' ')} {count:,}" for why, count in left_out.items() if count)
    small = (f"{found}; " if found else "") + f"n = {n:,}" + (f" in {beside}" if beside else "")
    small += f"; left out: {counts}" if counts else ""
    ax.set_title(f"{plain(headline)}\n", loc="left", fontsize=11, fontweight="bold")
    ax.annotate(
        plain(small), (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9, color="#555555"
    )


def plain(text: str) -> str:
    """Return `text` with dollar signs escaped: names of columns are not mathematics."""
    return text.replace("$", r"\$")


def label(df: pd.DataFrame, column: str) -> str:
    """Return "column (unit)", without a unit that is 1, not known or the column's own name."""
    unit = str(declared(df).get(column, {}).get("unit", ""))
    return plain(column if unit in ("", "1", column) else f"{column} ({unit})")


def finite_rows(df: pd.DataFrame, columns: Mapping[str, str]) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return which rows have a finite value in all `columns` (name → the word for it in messages), and why not.

    The reasons are statuses ("disconnected"), "infinite" or "no <column>", each row counted once, at its first column
    without a value.
    """
    keep = np.ones(len(df), dtype=bool)
    left_out: dict[str, int] = {}
    for name, what in columns.items():
        numbers = values(df, name, what)
        status = statuses(df, name)
        reasons = {
            **({f"no {name}": np.isnan(numbers) & (status == "missing")}),
            **{why: status == why for why in count_undefined(status) if why != "missing"},
            "infinite": np.isin(status, VALUED) & np.isinf(numbers),
        }
        for why, rows in reasons.items():
            if count := int((keep & rows).sum()):
                left_out[why] = left_out.get(why, 0) + count
            keep &= ~rows
    return keep, left_out


def wants_log(numbers: Floats) -> bool:
    """Tell whether `numbers` are positive and their 1 % and 99 % quantiles lie more than `DECADES` decades apart."""
    if not len(numbers) or numbers.min() <= 0:
        return False
    low, high = np.quantile(numbers, [0.01, 0.99])
    return bool(np.log10(high / low) > DECADES)


def limits(numbers: Floats) -> tuple[float, float] | None:
    """Return the 5 % and 95 % quantiles of the finite numbers: where a colour scale ends. None if there are none."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [0.05, 0.95])
    return float(low), float(high)
