"""The study's charts, each from the tables `cells` and `estimates`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from automl_theory.infinite_width.pruned_mlp import pruning_factor
from automl_theory.studies.charts import Dots, Line, draw_dots, draw_lines
from automl_theory.studies.pruned_ntk.estimates import LEAST_READ
from automl_theory.studies.pruned_ntk.setup import Setup

BAND = "band: two standard errors"


def with_band(label: str, x: pd.Series, middle: pd.Series, se: pd.Series) -> Line:
    """A line with two standard errors on either side."""
    xs, mid, reach = (v.to_numpy(dtype=np.float64) for v in (x, middle, 2 * se))
    return Line(label, xs, mid, mid - reach, mid + reach)


def draw_factor(cells: pd.DataFrame, theta: float, depth: int, width: int) -> str:
    """Mean kernel over the dense one against α at one width, with and without rescaling, beside α^L."""
    part = cells[cells["width"] == width].sort_values("keep")
    powers = part["keep"].map(lambda keep: pruning_factor(depth, float(keep)))
    theory = powers.to_numpy(dtype=np.float64)
    none = np.full(len(part), np.nan)
    lines = [
        with_band("without rescaling", part["keep"], part["ratio"] * powers, part["ratio_se"] * powers),
        with_band("with rescaling", part["keep"], part["rescaled_ratio"], part["rescaled_ratio_se"]),
        Line(f"α^{depth}", part["keep"].to_numpy(dtype=np.float64), theory, none, none),
    ]
    labels = ("keep probability α", "mean kernel over the dense one")
    beneath = f"width {width}; Θ = {theta:.4f}; {BAND}"
    return draw_lines(lines, "factor", "The factor α^L", beneath, labels, log=(True, True))


def draw_means(cells: pd.DataFrame) -> str:
    """Mean rescaled kernel over the dense limit against width, a line an α."""
    lines = [
        with_band(f"α = {keep:g}", part["width"], part["rescaled_ratio"], part["rescaled_ratio_se"])
        for keep, part in sorted(cells.groupby("keep"), key=lambda pair: -float(str(pair[0])))
    ]
    labels = ("width d", "mean rescaled kernel over Θ")
    return draw_lines(lines, "means", "The limit is reached", BAND, labels, log=(True, False), level=1.0)


def affine(cells: pd.DataFrame, estimates: pd.DataFrame) -> tuple[pd.DataFrame, float, float]:
    """d var of each pair with enough weights (columns over, scaled, width, keep), and A and B of A + B/α."""
    part = cells[cells["keep"] * cells["width"] >= LEAST_READ]
    table = pd.DataFrame(
        {
            "over": 1 / part["keep"],
            "scaled": part["variance"] * part["width"],
            "width": part["width"],
            "keep": part["keep"],
        }
    )
    values = estimates[estimates["statement"] == "variance"]["value"].to_numpy(dtype=np.float64)
    return table, float(values[1]), float(values[0])


def draw_affine(cells: pd.DataFrame, estimates: pd.DataFrame) -> str:
    """d var against 1/α with the fitted line."""
    table, a, b = affine(cells, estimates)
    groups = [
        Dots(
            f"d = {width}",
            part["over"].to_numpy(dtype=np.float64),
            part["scaled"].to_numpy(dtype=np.float64),
            tuple(f"α {keep:g}, d {width}" for keep in part["keep"]),
        )
        for width, part in table.groupby("width")
    ]
    fits = []
    if math.isfinite(a) and len(table):
        x = np.array([table["over"].min(), table["over"].max()])
        fits.append((x, a + b * x, "5 3"))
    beneath = f"line: {a:.3g} + {b:.3g}/α"
    return draw_dots(groups, "affine", "Variance against 1/α", beneath, ("1/α", "d · variance"), fits=fits)


def draw_widths(cells: pd.DataFrame) -> str:
    """Variance against width, a line an α."""
    lines = [
        with_band(f"α = {keep:g}", part["width"], part["variance"], part["variance_se"])
        for keep, part in sorted(cells.groupby("keep"), key=lambda pair: -float(str(pair[0])))
    ]
    # A band that reaches 0 has no logarithm.
    lines = [replace(line, low=np.maximum(line.low, line.middle / 3)) for line in lines]
    labels = ("width d", "variance of the rescaled kernel")
    return draw_lines(lines, "widths", "Variance against width", f"slope −1 if it falls as 1/d; {BAND}", labels,
                      log=(True, True))  # fmt: skip


def flat(cells: pd.DataFrame, setup: Setup) -> list[Line]:
    """Mean |Θ̃ − Θ| against 1/α at the largest width, and with width in proportion to 1/α."""
    table = cells.set_index(["keep", "width"])
    found = []
    for label, pairs in (
        (f"d = {max(setup.widths)}", [(keep, max(setup.widths)) for keep in sorted(setup.keeps, reverse=True)]),
        (f"d = {min(setup.widths)}/α", list(setup.proportional())),
    ):
        part = table.loc[pairs].reset_index()
        found.append(with_band(label, 1 / part["keep"], part["deviation"], part["deviation_se"]))
    return found


def draw_flat(cells: pd.DataFrame, setup: Setup) -> str:
    """The lines of `flat`."""
    labels = ("1/α", "mean |Θ̃ − Θ|")
    return draw_lines(flat(cells, setup), "flat", "Deviation from the limit", BAND, labels, log=(True, True))
