"""Where the accurate architectures sit: on the front of the aspects, near the utopia point, or elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.dominance import Floats
from automl_theory.analysis.landscape import Effort, interval, kendall, percentiles, resamples_of, units


def front_accuracy(
    points: pd.DataFrame, aspects: list[str], target: Floats, classes: NDArray[np.intp], effort: Effort
) -> pd.DataFrame:
    """Return how an oriented `target` (larger = better, NaN = unknown) sits along and off the front, by quantity.

    `points` has the columns of `aspects` (percentiles), front, layer and distance. Columns of the result: value, low,
    high (bootstrap over classes with the front held fixed, or the analytic interval of τ) and n. Quantities:

        front, rest         mean percentile of the target on the front and off it
        front_minus_rest    their difference: above 0 if the front is more accurate than the rest
        tau_distance        Kendall's τ of the target with nearness to the utopia point
        tau_layer           τ of the target with being in an outer layer
        tau_<aspect>        τ of the target with each aspect, among all rows
        front_tau_<aspect>  the same along the front, among its rows only
        compromise          percentile of the target at the architecture nearest to utopia (mean, if tied)
        best_layer          layer of the best architecture by the target (the outermost, if tied)
        best_distance       its distance to the utopia point (the nearest, if tied)
    """
    known = ~np.isnan(target)
    points, target, classes = points.loc[known], target[known], classes[known]
    these = units(target[:, None], classes)
    place = percentiles(these.ranks, these.count)[these.row, 0]
    front = points["front"].to_numpy(dtype=bool)
    groups = units(np.column_stack([place, front]).astype(np.float64), classes)
    one = np.unique(groups.row, return_index=True)[1]

    def means(weights: NDArray[np.int64]) -> tuple[float, float]:
        on, off = (weights * (front[one] == side) for side in (True, False))
        first, second = (float(w @ place[one] / w.sum()) if w.sum() else np.nan for w in (on, off))
        return first, second

    rows: dict[str, tuple[float, float, float, int]] = {}
    seen = means(groups.count)
    drawn = np.array([means(weights) for weights in resamples_of(groups, effort)]).reshape(-1, 2)
    rows["front"] = (seen[0], *interval(drawn[:, 0], effort.level), int(front.sum()))
    rows["rest"] = (seen[1], *interval(drawn[:, 1], effort.level), int((~front).sum()))
    rows["front_minus_rest"] = (seen[0] - seen[1], *interval(drawn[:, 0] - drawn[:, 1], effort.level), len(front))
    everyone = np.ones(len(front), dtype=bool)
    nearness, outer = (-points[name].to_numpy(dtype=np.float64) for name in ("distance", "layer"))
    against = [("tau_distance", nearness, everyone), ("tau_layer", outer, everyone)]
    against += [(f"tau_{name}", points[name].to_numpy(dtype=np.float64), everyone) for name in aspects]
    against += [(f"front_tau_{name}", points[name].to_numpy(dtype=np.float64), front) for name in aspects]
    for name, other, used in against:
        rows[name] = (*kendall(target[used], other[used], classes[used], effort.level), int(used.sum()))
    if len(front):
        distance, best = points["distance"].to_numpy(), target == target.max()
        nearest = distance == distance.min()
        rows["compromise"] = (float(place[nearest].mean()), np.nan, np.nan, int(nearest.sum()))
        for name, column in (("best_layer", "layer"), ("best_distance", "distance")):
            rows[name] = (float(points[column].to_numpy()[best].min()), np.nan, np.nan, int(best.sum()))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "n"])
    table.index.name = "quantity"
    return table


def accuracy_by_layer(points: pd.DataFrame, target: pd.Series) -> pd.DataFrame:
    """Return n, mean, minimum and maximum of the raw target in each layer (index layer), where it is known."""
    known = target.notna().to_numpy()
    grouped = target.loc[known].groupby(points["layer"].to_numpy()[known])
    table = grouped.agg(["size", "mean", "min", "max"]).rename(columns={"size": "n"})
    table.index.name = "layer"
    return table
