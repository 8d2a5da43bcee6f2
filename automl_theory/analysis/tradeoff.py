"""No free lunch: does one architecture win expressivity, convergence and generalization, or not?

The question is from W. Chen, W. Huang, Z. Wang, "No Free Lunch in Neural Architectures?" (AutoML 2023): the graphs that
express most are deep and narrow, those that converge fast are wide. Here it is asked of a score table, of ranks only,
with intervals and with what chance and what no conflict would have shown (`analysis.contest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.alternatives import alternatives_table, choices
from automl_theory.analysis.budget import budget_table, parts_of
from automl_theory.analysis.columns import (
    VALUED,
    by_name,
    classes,
    count_undefined,
    orient,
    statuses,
    told_direction,
    values,
)
from automl_theory.analysis.contest import contest
from automl_theory.analysis.dominance import front_mask, layer_numbers
from automl_theory.analysis.front_accuracy import accuracy_by_layer, front_accuracy
from automl_theory.analysis.landscape import Effort
from automl_theory.analysis.pareto import default_direction
from automl_theory.analysis.representatives import ASPECTS, choose_representatives
from automl_theory.analysis.verdict import verdict
from automl_theory.errors import InputError
from automl_theory.progress import Report, reporting

PLACES = ("front", "layer", "distance", "class")
"""What `NoFreeLunch.points` says of an architecture beside its percentile in each aspect."""


@dataclass(frozen=True, eq=False, repr=False)
class NoFreeLunch:
    """The answer, and all it rests on; `str()` gives `summary()`.

    `representatives`: aspect → column. `directions`: column → direction.
    `points`: one row an architecture that is defined in all aspects, in the table's order: percentile in each aspect
        (0–100, 100 = best), front, layer (1 = front), distance (to the utopia point), class, and the target where there
        is one.
    `conflicts`: one row a pair of aspects: kendall with interval, overlap of the top sets with interval, permutation p
        values, overall and top ("conflict", "agreement", "unclear").
    `numbers`: distance, hypervolume and front_classes, each with interval, what independent aspects and what no
        conflict would have shown, and a permutation p value. See `analysis.contest` for all of these.
    `front_size`: rows on the front, copies counted. `hypervolume`: of the percentiles / 100, 1 if somebody wins all.
    `compromise`: {"architecture", "tied", "distance", "low", "high", and its percentile in each aspect}.
    `winners`: aspect → the architectures best in it, all that are tied, by name. `wins_all`: those best in every
        aspect.
    `budget`: the same in bins of the budget, and with it taken out (row "residual"); empty without one.
    `accuracy`, `accuracy_by_layer`: how the target sits along and off the front (`analysis.front_accuracy`); None
        without a target.
    `alternatives`: the verdict and key numbers under every other choice of representatives.
    `counts`: rows, n, classes, excluded, and per aspect how many rows had which status without a value.
    `verdict_code`: one of `analysis.contest.CODES`. `verdict`: its headline; `summary()` has the rest.
    `settings`: resamples, permutations, seed, level, budget.
    """

    representatives: dict[str, str]
    directions: dict[str, str]
    points: pd.DataFrame
    conflicts: pd.DataFrame
    numbers: pd.DataFrame
    front_size: int
    hypervolume: float
    compromise: dict[str, Any]
    winners: dict[str, tuple[str, ...]]
    wins_all: tuple[str, ...]
    budget: pd.DataFrame
    accuracy: pd.DataFrame | None
    accuracy_by_layer: pd.DataFrame | None
    alternatives: pd.DataFrame
    counts: dict[str, Any]
    verdict: str
    verdict_code: str
    settings: dict[str, Any]
    text: str

    def summary(self) -> str:
        """Return the verdict and what it rests on, one statement a line."""
        return self.text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"NoFreeLunch({self.verdict_code!r}, n={self.counts['n']}, {self.representatives})"


def no_free_lunch(
    df: pd.DataFrame,
    target: str | None = None,
    *,
    representatives: Mapping[str, str] | None = None,
    directions: Mapping[str, str] | None = None,
    target_direction: str | None = None,
    budget: str | None = "parameters",
    resamples: int = 500,
    permutations: int = 200,
    seed: int = 0,
    level: float = 0.95,
    progress: bool | Report | None = None,
) -> NoFreeLunch:
    """Ask whether one architecture of score table `df` wins all three aspects, or not.

    Each aspect is represented by one column (`representatives`, aspect → column; the rest by
    `choose_representatives`), as a percentile: how many of the others are no better. Rows undefined in one of the
    three are left out of everything and counted; ±inf is a value; ties share their percentile; duplicates are kept.
    Intervals treat the classes of equal architectures (column `canonical`) as a sample, and the proxies' values as
    given: their spread over seeds is not in them.

    Arguments:
        df: a score table, one row an architecture.
        target: a column such as an accuracy, to see how it sits along and off the front; not named like a column
            of `points` (an aspect, front, layer, distance, class).
        representatives: aspect (expressivity, convergence, generalization) → column.
        directions: column → "maximize" or "minimize", over what the table declares; a column that declares nothing
            goes by its name (accuracy up; loss, error, epochs down), else larger is better.
        target_direction: as in `rank`.
        budget: a column; the same is asked in up to five bins of it and with its ranks taken out. None, or a table
            without a column parameters: it is not asked.
        resamples: of the bootstrap over classes; 100 of them for each of the alternatives. 0 gives no verdict.
        permutations: for what independent aspects would have shown. 0 leaves that out.
        seed: of both.
        level: of the intervals.
        progress: as in `score_space`.

    The verdict follows from the intervals by the rules in `analysis.contest`; two null models stand beside it there,
    independent aspects (permutations) and no conflict (sorted). Fewer than ten classes give numbers but no intervals
    and the code "too_few"; no row at all gives nan. Raises `InputError` on an unknown or non-numeric column, an
    aspect without a proxy, and options out of range.
    """
    _check_options(resamples, permutations, level)
    if target in (*ASPECTS, *PLACES):
        raise InputError(
            f"target {target!r} has the name of a column of the points; rename it first: "
            f'df.rename(columns={{{target!r}: "trained_{target}"}}).'
        )
    order = by_name(df)
    df = df.iloc[order]
    chosen = choose_representatives(df, representatives)
    ways = {column: default_direction(df, column, (directions or {}).get(column)) for column in chosen.values()}
    declared = {**(directions or {}), **ways}
    status = {aspect: statuses(df, column) for aspect, column in chosen.items()}
    used = np.logical_and.reduce([np.isin(s, VALUED) for s in status.values()])
    table, groups = df.loc[used], classes(df)[used]
    good = pd.DataFrame({a: orient(values(table, c), ways[c]) for a, c in chosen.items()}, index=table.index)
    y, way = None, "maximize"
    if target is not None:
        y = values(table, target, "target")
        way = told_direction(target, target_direction)
        y = orient(y, way)
    if budget == "parameters" and budget not in df.columns:
        budget = None
    sizes = None if budget is None else values(table, budget, "budget")

    contests = 1 + (0 if sizes is None else len(parts_of(sizes)) + 1)
    total = contests * (4 * resamples + permutations) + len(choices(df, chosen)) * min(resamples, 100) + resamples
    with reporting(progress, "no free lunch") as report:
        done = 0

        def tick() -> None:
            nonlocal done
            done = min(done + 1, total)
            report(done, total, 0)

        effort = Effort(resamples, permutations, seed, level, tick)
        found = contest(good, groups, effort)
        points = _points(found.percentile, found.distance, table)
        accuracy = by_layer = None
        if y is not None and target is not None:
            points[target] = values(table, target)
            accuracy = front_accuracy(points, list(chosen), y, groups, effort)
            by_layer = accuracy_by_layer(points, points[target])
        in_bins = pd.DataFrame() if sizes is None else budget_table(good, groups, sizes, effort)
        other = alternatives_table(df, chosen, declared, replace(effort, resamples=min(resamples, 100)))
        report(total, total, 0)

    settings = {"resamples": resamples, "permutations": permutations, "seed": seed, "level": level, "budget": budget}
    front = int(points["front"].sum())
    space = df.attrs.get("settings", {}).get("space")
    text = verdict(found, chosen, front, in_bins, other, f" of {space}" if isinstance(space, str) else "", level)
    best = {aspect: (good[aspect] == good[aspect].max()).to_numpy(dtype=bool) for aspect in chosen}
    distance = found.numbers.loc["distance"]
    nearest = found.nearest
    return NoFreeLunch(
        representatives=chosen,
        directions=ways,
        points=points.iloc[np.argsort(order[used])],
        conflicts=found.conflicts,
        numbers=found.numbers,
        front_size=front,
        hypervolume=float(found.numbers["observed"].loc["hypervolume"]),
        compromise={
            "architecture": nearest[0] if nearest else None,
            "tied": len(nearest),
            **{"distance": distance["observed"], "low": distance["low"], "high": distance["high"]},
            **(dict(found.percentile.iloc[int(np.argmin(found.distance))]) if nearest else {}),
        },
        winners={aspect: _names(points, rows) for aspect, rows in best.items()},
        wins_all=_names(points, np.logical_and.reduce(list(best.values()))),
        budget=in_bins,
        accuracy=accuracy,
        accuracy_by_layer=by_layer,
        alternatives=other,
        counts={
            "rows": len(df),
            "n": len(table),
            "classes": found.classes,
            "excluded": len(df) - len(table),
            "undefined": {aspect: count_undefined(s) for aspect, s in status.items()},
            "without_target": 0 if y is None else int(np.isnan(y).sum()),
            "without_budget": 0 if sizes is None else int(np.isnan(sizes).sum()),
        },
        verdict=text.splitlines()[0],
        verdict_code=found.code,
        settings=settings | {"target": target, "target_direction": None if target is None else way},
        text=text,
    )


def _points(percentile: pd.DataFrame, distance: pd.Series, table: pd.DataFrame) -> pd.DataFrame:
    points = percentile.copy()
    numbers = percentile.to_numpy(dtype=np.float64)
    points["front"] = front_mask(numbers)
    points["layer"] = layer_numbers(numbers)
    points["distance"] = distance
    own = pd.Series(table.index.astype(str), index=table.index, dtype=object)
    points["class"] = table["canonical"].where(table["canonical"].notna(), own) if "canonical" in table else own
    return points


def _names(points: pd.DataFrame, rows: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(str(arch) for arch in points.index[rows])


def _check_options(resamples: int, permutations: int, level: float) -> None:
    for name, value in (("resamples", resamples), ("permutations", permutations)):
        if value < 0:
            raise InputError(f"{name} must be 0 (none) or more; got {value}.")
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, such as 0.95; got {level}.")
