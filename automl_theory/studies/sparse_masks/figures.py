"""The study's charts: data from the tables first, then drawn by `studies.charts`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_theory.studies.charts import Dots, Interval, Line, draw_dots, draw_intervals, draw_lines
from automl_theory.studies.sparse_masks.answers import drift, largest_layer

SEEDS = "middle: mean over seeds; band: least to most"


def draw_accuracy(masks: pd.DataFrame, network: str) -> str:
    """Test accuracy against density, a line a method."""
    part = masks[masks["network"] == network]
    lines = [_spread(str(method), some, "density", "test_accuracy") for method, some in part.groupby("method")]
    labels = ("density", "test accuracy, %")
    return draw_lines(lines, f"accuracy-{network}", f"Accuracy of {network}", SEEDS, labels, log=(True, False))


def draw_claims(answers: pd.DataFrame, section: str, name: str, title: str, label: str) -> str:
    """The answers of one section as intervals under each other."""
    part = answers[answers["section"] == section]
    rows = [Interval(row["name"], row["ours"], row["low"], row["high"]) for row in part.to_dict("records")]
    return draw_intervals(rows, name, title, "95 % intervals", label)


def draw_measure(masks: pd.DataFrame, network: str, measure: str, words: str) -> str:
    """Test accuracy against a measure, a colour a density, with the least-squares line of each."""
    groups, fits = [], []
    for density, part in masks[masks["network"] == network].groupby("density"):
        known = part[np.isfinite(part[measure]) & np.isfinite(part["test_accuracy"])]
        x, y = (known[name].to_numpy(dtype=np.float64) for name in (measure, "test_accuracy"))
        said = tuple(f"{row['method']}, seed {row['seed']}" for row in known.to_dict("records"))
        groups.append(Dots(f"density {density:g}", x, y, said))
        if len(x) > 2 and np.ptp(x) > 0:
            ends = np.linspace(x.min(), x.max(), 40)
            steep = float(np.cov(x, y)[0, 1] / x.var(ddof=1))
            fits.append((ends, y.mean() + steep * (ends - x.mean()), "5 3"))
    labels = (words, "test accuracy, %")
    name = f"{measure}-{network}".replace("_", "-")
    return draw_dots(groups, name, f"{words}, {network}", "a line a density", labels, fits=fits)


def draw_degenerating(degenerating: pd.DataFrame, network: str) -> str:
    """NaRC of the largest layer against the share of edges rewired, a line a method."""
    part = largest_layer(degenerating[degenerating["network"] == network])
    lines = [_spread(str(method), some, "share", "narc") for method, some in part.groupby("method")]
    labels = ("share of edges rewired", "NaRC of the largest layer")
    return draw_lines(lines, f"rewired-{network}", f"From pruned to random, {network}", SEEDS, labels, level=0.0)


def draw_followed(followed: pd.DataFrame, network: str, measure: str, words: str) -> str:
    """A measure over the epochs of dynamic sparse training, a line a start and mover."""
    part = followed[followed["network"] == network]
    lines = [
        _spread(f"{start}, {mover}", some, "epoch", measure)
        for (start, mover), some in part.groupby(["start", "mover"])
    ]
    name = f"followed-{measure}-{network}".replace("_", "-")
    return draw_lines(lines, name, f"{words}, {network}", SEEDS, ("epoch", words), dots=False)


def draw_drift(followed: pd.DataFrame, measure: str, words: str) -> str:
    """The change of a measure over each followed training: its mean over networks and seeds, least to most."""
    moved = drift(followed, measure)
    rows = [
        Interval(f"{start}, {mover}", some["change"].mean(), some["change"].min(), some["change"].max())
        for (start, mover), some in moved.groupby(["start", "mover"])
    ]
    name = f"drift-{measure}".replace("_", "-")
    return draw_intervals(rows, name, f"Change of the {words}", "mean, least and most of all trainings", "end − start")


def _spread(label: str, part: pd.DataFrame, x: str, y: str) -> Line:
    """Mean, least and most of y at every x."""
    found = part.groupby(x)[y].agg(["mean", "min", "max"])
    middle, low, high = (found[name].to_numpy(dtype=np.float64) for name in ("mean", "min", "max"))
    return Line(label, found.index.to_numpy(dtype=np.float64), middle, low, high)
