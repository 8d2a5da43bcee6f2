"""Kendall's τ of a quantity with the depth and with the width of cells: of group means as the paper, and per network.

    group      the networks of equal (depth, P): mean depth of a path and number of paths. 23 groups for H = 3
    group τ    τ-b of the groups' means with their depth, or their P: every group counts once, however many are in it
    network τ  τ-b over the networks themselves

`least_edges` leaves out networks with fewer live linear edges, as some figures of the paper do: 23 groups with 1 or
more, 19 with 2 or more. In a resample a group has the weighted mean of the networks drawn; a group of which nobody was
drawn is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from automl_theory.analysis.rank_correlation import correlations
from automl_theory.studies.no_free_lunch.intervals import (
    EFFORT,
    NOTHING,
    Counts,
    Effort,
    Estimate,
    Floats,
    by_seed,
    class_draws,
    classes_of,
    mean_of_seeds,
    percentile,
    seed_draws,
)

Level = Literal["groups", "networks"]
GRAPH = ("depth", "paths")


def depth_width(
    values: pd.DataFrame, graph: pd.DataFrame, level: Level, *, least_edges: int = 1, effort: Effort = EFFORT
) -> dict[str, Estimate]:
    """Return {"depth": τ with depth, "paths": τ with P}, n the number of groups or of networks.

    values   architecture × seed, as `by_seed` gives them; networks without any value are left out
    graph    the graph table
    """
    rows = _kept(values, graph, least_edges)
    if len(rows) < 3:
        return dict.fromkeys(GRAPH, NOTHING)
    numbers = rows.to_numpy(dtype=np.float64)
    shape = graph.set_index("arch").loc[rows.index, list(GRAPH)].to_numpy(dtype=np.float64)
    weights = class_draws(classes_of(rows.index, graph), effort)
    draws = seed_draws(numbers.shape[1], effort)
    blocks = [weights[:, b * effort.each : (b + 1) * effort.each] for b in range(len(draws) if weights.size else 0)]
    once = np.ones((len(rows), 1), dtype=np.uint8)
    means = [mean_of_seeds(numbers), *(mean_of_seeds(numbers, counts) for counts in draws)]
    found = [_taus(mean, shape, w, level) for mean, w in zip(means, [once, *blocks], strict=False)]
    n = len(np.unique(shape, axis=0)) if level == "groups" else len(rows)
    result = {}
    for k, name in enumerate(GRAPH):
        value = float(found[0][k, 0])
        drawn = np.concatenate([part[k] for part in found[1:]]) if blocks else np.empty(0)
        result[name] = Estimate(value, *percentile(value, drawn, effort), n)
    return result


def group_means(values: pd.DataFrame, graph: pd.DataFrame, *, least_edges: int = 1) -> pd.DataFrame:
    """Return one row a group: depth, paths, mean, sd (between networks, 0 for one), networks; by rising depth and P."""
    rows = _kept(values, graph, least_edges)
    table = graph.set_index("arch").loc[rows.index, list(GRAPH)].reset_index(drop=True)
    table["value"] = mean_of_seeds(rows.to_numpy(dtype=np.float64))
    grouped = table.groupby(list(GRAPH), sort=True)["value"]
    found = grouped.agg(mean="mean", sd=lambda v: float(np.std(v)), networks="size")
    return found.reset_index()


def group_taus(mean: Floats, shape: Floats, weights: Counts) -> Floats:
    """Return τ-b of group means with each column of `shape`, shape (2, resamples).

    mean (n,), shape (n, 2): the two numbers that make a group; weights (n, resamples). A network whose mean is NaN is
    not there. NaN where fewer than two groups are left or all are tied.
    """
    groups, place = np.unique(shape, axis=0, return_inverse=True)
    member = (place.reshape(-1)[None, :] == np.arange(len(groups))[:, None]).astype(np.float64)
    w = np.where(np.isnan(mean)[:, None], 0.0, weights)
    total = member @ w
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (member @ (w * np.nan_to_num(mean)[:, None])) / total
    first, second = np.triu_indices(len(groups), 1)
    there = (total[first] > 0) & (total[second] > 0)
    y = np.where(there, np.sign(means[first] - means[second]), 0.0)
    untied = np.abs(y).sum(axis=0)
    taus = []
    for column in groups.T:
        x = np.sign(column[first] - column[second])[:, None]
        pairs = (np.abs(x) * there).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            taus.append((x * y).sum(axis=0) / np.sqrt(pairs) / np.sqrt(untied))
    return np.array(taus)


def depth_width_table(
    table: pd.DataFrame, columns: Sequence[str], graph: pd.DataFrame, *, effort: Effort = EFFORT
) -> pd.DataFrame:
    """Return every τ with depth and P: by quantity, level and which networks, with intervals; one row each.

    Columns quantity, level ("groups", "networks"), edges ("all", "2 or more", or exactly "1", "2", … linear edges of
    the code, dead ones too, as the paper's budget), with ("depth", "paths"), tau, low, high, n. A quantity that the
    table does not have is left out; numbers of edges with fewer than ten architectures too.
    """
    rows = []
    budget = graph.set_index("arch")["linear_edges"]
    for quantity in columns:
        if quantity not in table.columns:
            continue
        values = by_seed(table, quantity)
        kinds: list[tuple[str, pd.DataFrame, int]] = [("all", values, 1), ("2 or more", values, 2)]
        for edges in sorted(set(budget.loc[values.index])):
            part = values.loc[budget.loc[values.index].to_numpy() == edges]
            if len(part) >= 10:
                kinds.append((str(int(edges)), part, 1))
        for kind, part, least in kinds:
            for level in ("groups", "networks"):
                for name, found in depth_width(part, graph, level, least_edges=least, effort=effort).items():
                    rows.append((quantity, level, kind, name, found.value, found.low, found.high, found.n))
    return pd.DataFrame(rows, columns=["quantity", "level", "edges", "with", "tau", "low", "high", "n"])


def _kept(values: pd.DataFrame, graph: pd.DataFrame, least_edges: int) -> pd.DataFrame:
    values = values.sort_index()
    classes_of(values.index, graph)
    edges = graph.set_index("arch").loc[values.index, "live_linear_edges"].to_numpy()
    keep = pd.Series((edges >= least_edges) & values.notna().any(axis=1).to_numpy(), index=values.index)
    return values.loc[keep]


def _taus(mean: Floats, shape: Floats, weights: Counts, level: Level) -> Floats:
    if level == "groups":
        return group_taus(mean, shape, weights)
    here = ~np.isnan(mean)
    return np.array([correlations(column[here], mean[here], weights[here])[0] for column in shape.T])
