"""The Pareto front of a table: the architectures that no other one beats in every chosen column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from automl_theory.analysis.columns import (
    VALUED,
    checked_direction,
    count_undefined,
    declared,
    direction_of,
    orient,
    statuses,
    told_direction,
    values,
)
from automl_theory.analysis.dominance import Bools, Floats, layer_numbers
from automl_theory.analysis.hypervolume import front_and_hypervolume
from automl_theory.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class ParetoFront:
    """Which rows of a table are on the front, and how much of the space they dominate.

    `front`: Series of bool by architecture, False where a column is undefined. `directions`: column → "maximize" or
    "minimize", in the order asked for. `n`: rows compared; `excluded`: rows left out, as at least one column is
    undefined there; `undefined`: column → status → rows. `reference`: column → value that the hypervolume starts
    from, and `hypervolume`: in the product of the columns' units.
    """

    front: pd.Series
    directions: dict[str, str]
    n: int
    excluded: int
    undefined: dict[str, dict[str, int]]
    reference: dict[str, float]
    hypervolume: float
    _defined: Bools
    _points: Floats

    def __repr__(self) -> str:
        columns = ", ".join(f"{way} {name}" for name, way in self.directions.items())
        without = f", {self.excluded} undefined" if self.excluded else ""
        return (
            f"ParetoFront({self.size} of {self.n} on the front{without}; {columns}; hypervolume={self.hypervolume:.6g})"
        )

    @property
    def size(self) -> int:
        """How many rows are on the front, every copy of equal ones counted."""
        return int(self.front.sum())

    @property
    def architectures(self) -> list[str]:
        """The front's architectures, in the table's order."""
        return [str(arch) for arch in self.front.index[self.front.to_numpy()]]

    @cached_property
    def layer(self) -> pd.Series:
        """Layer of each row, by architecture: 1 for the front, 2 for the front of the rest, …; 0 where undefined."""
        numbers = np.zeros(len(self.front), dtype=np.int64)
        numbers[self._defined] = layer_numbers(self._points)
        return pd.Series(numbers, index=self.front.index, name="layer")

    def table(self) -> pd.DataFrame:
        """Return columns front and layer, by architecture, to be joined to the table it came from."""
        return pd.DataFrame({"front": self.front, "layer": self.layer})


def pareto(
    df: pd.DataFrame,
    columns: Sequence[str],
    *,
    directions: Mapping[str, str] | None = None,
    reference: Mapping[str, float] | None = None,
) -> ParetoFront:
    """Return the Pareto front of score table `df` in `columns`: the rows that no row dominates.

    A row dominates another if it is at least as good in every column and better in one. Rows equal in every column do
    not dominate each other: ties and duplicates are all kept. A row with an undefined value (NaN, or a status that
    comes without one) is left out and counted, and its layer is 0. ±inf is a value.

    Arguments:
        df: a score table, one row an architecture.
        columns: one or more of its numeric columns.
        directions: column → "maximize" or "minimize", over `objective_direction`: a size or another cost is minimised,
            a proxy goes as the table declares it, anything else as its name tells.
        reference: column → the value from which the hypervolume counts, in the column's own unit; by default its
            worst finite value among the rows compared (so the worst row itself adds nothing).

    The hypervolume is exact; it is NaN without a row, and inf if a row above the reference is infinite. Its unit and
    scale are the columns'; compare it only with one of the same columns and reference. The layers are computed when
    asked for. Raises `InputError` on an unknown or non-numeric column, no or repeated columns, a wrong direction, and a
    column of which nothing tells the direction.
    """
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected one or more different columns to compare; got {names!r}.")
    for what, mapping in (("directions", directions), ("reference", reference)):
        if unknown := sorted(set(mapping or {}) - set(names)):
            raise InputError(f"{what} names {unknown[0]!r}, which is not one of the columns {', '.join(names)}.")
    ways = {name: objective_direction(df, name, (directions or {}).get(name)) for name in names}
    status = {name: statuses(df, name) for name in names}
    defined = np.logical_and.reduce([np.isin(status[name], VALUED) for name in names])
    points = np.column_stack([orient(values(df, name), ways[name]) for name in names])[defined]
    start = np.array([_start(points[:, k], name, ways[name], reference or {}) for k, name in enumerate(names)])
    front = np.zeros(len(df), dtype=bool)
    front[defined], volume = front_and_hypervolume(points, start)
    return ParetoFront(
        front=pd.Series(front, index=df.index, name="front"),
        directions=ways,
        n=len(points),
        excluded=len(df) - len(points),
        undefined={name: count_undefined(status[name]) for name in names},
        reference={name: float(orient(start[k], ways[name])) for k, name in enumerate(names)},
        hypervolume=volume,
        _defined=defined,
        _points=points,
    )


COSTS = frozenset({"latency", "parameters", "params", "macs", "flops"})
"""Words of a name that say that less is better, if nothing else is said."""


def objective_direction(df: pd.DataFrame, column: str, given: str | None = None) -> str:
    """Return which way `column` is good as one objective among several.

    As `given`; else "minimize" for the size family, whose members are declared "maximize" as proxies (more parameters
    predict a higher accuracy) but are what one pays as objectives; else as declared in the table; else by the name:
    latency, parameters, params, macs, flops, loss, error and epochs are minimised, accuracy is maximised. `InputError`
    for a column that is not in the table, and for an undeclared one whose name tells nothing.
    """
    if given is not None:
        return checked_direction(given, column)
    values(df, column)
    if (entry := declared(df).get(column)) is not None:
        return "minimize" if entry.get("family") == "size" else direction_of(df, column)
    if not COSTS.isdisjoint(re.split(r"[^a-z0-9]+", column.lower())):
        return "minimize"
    try:
        return told_direction(column)
    except InputError:
        raise InputError(
            f"cannot tell whether {column!r} is good when high or low: the table does not declare it and its name does "
            f'not say; pass directions={{{column!r}: "maximize"}} or "minimize".'
        ) from None


def default_direction(df: pd.DataFrame, column: str, given: str | None = None) -> str:
    """Return which way proxy `column` is good: as `given`, as declared in the table, as its name tells, else maximize.

    Names tell as they do for a target: accuracy is maximised; loss, error and epochs are minimised. For what stands for
    an aspect or goes into a composite; a size counts as a proxy there (compare `objective_direction`).
    """
    if given is not None:
        return checked_direction(given, column)
    if column in declared(df):
        return direction_of(df, column)
    try:
        return told_direction(column)
    except InputError:
        return "maximize"


def _start(good: Floats, name: str, direction: str, reference: Mapping[str, float]) -> float:
    if name in reference:
        if not np.isfinite(reference[name]):
            raise InputError(f"the reference of {name!r} must be a finite number; got {reference[name]!r}.")
        return float(orient(np.array(reference[name], dtype=np.float64), direction))
    finite = good[np.isfinite(good)]
    return float(finite.min()) if len(finite) else np.nan
