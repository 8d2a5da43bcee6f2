"""Who is on the Pareto front of expressivity, convergence and generalization at initialisation, at any size and at one.

Three quantities, larger is better: an expressivity (curvature as the paper, or the total turning angle, which does not
depend on the scale of the output), λ_min of the NNGP, and of the NTK λ_min or what the paper plots as such. Fronts are
of means over seeds. `size` counts networks. Equal networks of one class differ by their draws alone, so `class_size`,
the front of the classes' means, is the fairer number.

One class that is best in all three would be a free lunch: `one_wins` says in what share of the bootstrap over seeds
there is one (a front of one class).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from automl_theory.analysis import landscape
from automl_theory.analysis.dominance import front_mask
from automl_theory.analysis.landscape import pair_reading
from automl_theory.studies.no_free_lunch.intervals import (
    EFFORT,
    Effort,
    Estimate,
    Floats,
    by_seed,
    classes_of,
    mean_of_seeds,
    percentile,
    seed_draws,
)
from automl_theory.studies.no_free_lunch.winners import class_values

PAPER = ("curvature", "nngp_lambda_min", "ntk_lambda_90")
"""What the paper plots."""

SOUND = ("turning_angle", "nngp_lambda_min", "ntk_lambda_min")
"""Free of the output's scale, and the true λ_min."""

PAIRS = (
    ("curvature", "nngp_lambda_min"),
    ("curvature", "ntk_lambda_90"),
    ("curvature", "ntk_lambda_min"),
    ("turning_angle", "nngp_lambda_min"),
    ("turning_angle", "ntk_lambda_min"),
    ("nngp_lambda_min", "ntk_lambda_90"),
    ("nngp_lambda_min", "ntk_lambda_min"),
)


def front(
    measured: pd.DataFrame, graph: pd.DataFrame, columns: Sequence[str] = PAPER, linear_edges: int | None = None
) -> list[str]:
    """Return the codes on the front of `columns`, sorted; of those with so many linear edges, if given."""
    return _members(_budget(_tables(measured, columns), graph, linear_edges))


def front_table(
    measured: pd.DataFrame,
    graph: pd.DataFrame,
    triples: Sequence[Sequence[str]] = (PAPER, SOUND),
    *,
    effort: Effort = EFFORT,
) -> pd.DataFrame:
    """Return the fronts over all and at each number of linear edges of the code (dead ones too, the paper's budget).

    Columns expressivity, convergence, generalization (the quantities), linear_edges ("all", "1", "2", …), networks,
    size, classes, class_size, low, high (of class_size, over seeds), one_wins, seeds.
    """
    rows = []
    for columns in triples:
        everyone = _tables(measured, columns)
        budget = _linear_edges(everyone[0], graph)
        for edges in (None, *sorted({int(count) for count in budget})):
            tables = _budget(everyone, graph, edges)
            whole = len(_members(tables))
            size, one = class_front(tables, graph, effort=effort)
            seeds = tables[0].shape[1]
            kind = "all" if edges is None else str(edges)
            numbers = (len(tables[0]), whole, size.n, int(size.value), size.low, size.high, one, seeds)
            rows.append((*columns, kind, *numbers))
    names = ["expressivity", "convergence", "generalization", "linear_edges", "networks", "size", "classes"]
    return pd.DataFrame(rows, columns=[*names, "class_size", "low", "high", "one_wins", "seeds"])


def class_front(
    tables: Sequence[pd.DataFrame], graph: pd.DataFrame, *, maximize: bool = True, effort: Effort = EFFORT
) -> tuple[Estimate, float]:
    """Return the size of the front of the classes' means (n: classes), and in what share of resamples it is one class.

    tables: one quantity each, architecture × seed, of the same architectures. The interval and the share come from the
    bootstrap over seeds, and are NaN for a single seed.
    """
    by_class = [class_values(table, graph).to_numpy(dtype=np.float64) * (1 if maximize else -1) for table in tables]
    classes, seeds = by_class[0].shape
    if not classes:
        return Estimate(0.0, np.nan, np.nan, 0), np.nan
    draws = [None, *seed_draws(seeds, effort)]
    means = (np.column_stack([mean_of_seeds(values, counts) for values in by_class]) for counts in draws)
    sizes = np.array([front_mask(points).sum() for points in means], dtype=np.float64)
    if seeds < 2:
        return Estimate(sizes[0], np.nan, np.nan, classes), np.nan
    low, high = percentile(sizes[0], sizes[1:], effort)
    return Estimate(sizes[0], np.floor(low), np.ceil(high), classes), float(np.mean(sizes[1:] == 1))


def overlap_table(
    table: pd.DataFrame,
    graph: pd.DataFrame,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    *,
    maximize: bool = True,
    effort: Effort = EFFORT,
) -> pd.DataFrame:
    """Return what the best tenths by two quantities share: rows first, second, shared, of, overlap, low, high, chance.

    `shared` of `of` networks are in both; `overlap` is their share, `chance` what independent quantities show (see
    `analysis.landscape.pair_reading`: bootstrap over classes, values over seeds as they are). `kendall` of the two is
    beside it, with its interval. `maximize`: larger is better in both, else smaller.
    """
    rows = []
    drawn = landscape.Effort(effort.resamples, 0, effort.seed, effort.level)
    for first, second in pairs:
        if first not in table.columns or second not in table.columns:
            continue
        values = _tables(table, (first, second))
        x, y = (mean_of_seeds(part.to_numpy(dtype=np.float64)) * (1 if maximize else -1) for part in values)
        if not len(x):
            continue
        found = pair_reading(x, y, classes_of(values[0].index, graph), drawn)
        of = math.ceil(landscape.TOP * len(x) - 1e-9)
        numbers = [found[f"overlap{end}"] for end in ("", "_low", "_high", "_independent")]
        taus = [found[name] for name in ("kendall", "low", "high")]
        rows.append((first, second, round(numbers[0] * of), of, *numbers, *taus, len(x)))
    names = ["first", "second", "shared", "of", "overlap", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=[*names, "kendall", "kendall_low", "kendall_high", "n"])


def _tables(measured: pd.DataFrame, columns: Sequence[str]) -> list[pd.DataFrame]:
    """Return the quantities of the architectures that have all of them under every seed, architecture × seed."""
    tables = [by_seed(measured, column) for column in columns]
    keep = np.logical_and.reduce([table.notna().all(axis=1).to_numpy() for table in tables])
    return [table.loc[keep] for table in tables]


def _linear_edges(table: pd.DataFrame, graph: pd.DataFrame) -> Floats:
    classes_of(table.index, graph)
    return np.asarray(graph.set_index("arch")["linear_edges"].loc[table.index], dtype=np.float64)


def _budget(tables: list[pd.DataFrame], graph: pd.DataFrame, linear_edges: int | None) -> list[pd.DataFrame]:
    if linear_edges is None:
        return tables
    return [table.loc[_linear_edges(table, graph) == linear_edges] for table in tables]


def _members(tables: Sequence[pd.DataFrame]) -> list[str]:
    points = np.column_stack([mean_of_seeds(table.to_numpy(dtype=np.float64)) for table in tables])
    return [str(arch) for arch in tables[0].index[front_mask(points)]] if len(points) else []
