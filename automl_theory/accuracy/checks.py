"""What a table of accuracies must be before anybody ranks by it: one row an architecture, per cent, no gaps."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from automl_theory.accuracy.recipe import CELL, COSTS, METRICS, SPLITS
from automl_theory.errors import InputError, suggest

UNITS = ("percent", "fraction")
ACCURACY = re.compile(r"(?:^|_)accuracy(?:_|$)")
RESULT = re.compile(r"(?:^|_)(?:accuracy|loss)(?:_|$)")
NUMBERS = [*METRICS, *COSTS, *(f"{split}_{metric}" for split in SPLITS for metric in METRICS)]
OF_A_SEED = re.compile(r"_seed\d+$")
CHANCE = (1.0, 100 / 120)
"""What a network that has learned nothing reaches on CIFAR-100 and ImageNet16-120, in per cent."""
MIXED_SHARE = 0.1


def check(table: pd.DataFrame, name: str, unit: str = "percent") -> pd.DataFrame:
    """Return the table with its accuracies in per cent, or raise InputError saying which row or column is wrong.

    A column is an accuracy if "accuracy" is a word of its name. In per cent it lies in [0, 100]; one that never exceeds
    1 is taken for a fraction and refused, unless `unit` is "fraction": then all of them are multiplied by 100. One with
    a tenth or more of its values at or below 1 (chance levels 1 and 0.83 not counted) mixes both and is refused. NaN is
    refused except in columns of single seeds (`…_seed777`), which not every architecture has.
    """
    check_unit(unit)
    if not len(table):
        raise InputError(f"{name} has no rows; give a table with one row an architecture")
    _check_keys(table, name)
    found = [str(column) for column in table.columns if ACCURACY.search(str(column))]
    for column in found:
        values = table[column]
        _check_numbers(values, column, name)
        _check_values(values.astype(np.float64), column, name, unit)
    if not table.select_dtypes("number").shape[1]:
        there = ", ".join(map(str, table.columns)) or "none"
        raise InputError(f"{name} has no column of numbers beside the architecture (columns: {there}); check the table")
    if unit == "fraction":
        attrs, table = table.attrs, table.copy()
        table[found] = table[found] * 100.0
        table.attrs = attrs
    return table


def refuse_scores(table: pd.DataFrame, name: str) -> None:
    """Raise InputError for a score table, known by its proxies or their statuses, that has no trained result in it."""
    there = [str(column) for column in table.columns]
    scored = table.attrs.get("proxies") or any(f"{column}_status" in there for column in there)
    if scored and not any(RESULT.search(column) for column in there):
        raise InputError(
            f"{name} is a score table, without a column of accuracy or loss; give a table of trained results as the "
            "accuracies (digits, a benchmark's file, or a table of yours), and this one as the scores"
        )


def check_unit(unit: str) -> None:
    """InputError for a unit that is none."""
    if unit not in UNITS:
        raise InputError(f"unknown unit {unit!r}; use {' or '.join(UNITS)}.{suggest(str(unit), UNITS)}")


def _check_keys(table: pd.DataFrame, name: str) -> None:
    again = table.index[table.index.duplicated()]
    if len(again):
        raise InputError(
            f"{name} must have one row an architecture; {again[0]!r} is there more than once ({len(again)} repeats in "
            "all): choose a dataset, split or seed first, or give each its own column"
        )
    cells = np.array([CELL.fullmatch(arch) is not None for arch in table.index])
    if cells.mean() >= 0.5 and not cells.all():
        odd = str(table.index[int(np.argmin(cells))])
        raise InputError(
            f"{name} holds cells of NAS-Bench-201 and {odd[:100]!r}, which is none (|op~0|+|op~0|op~1|+…, operations "
            "none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3); correct or drop such rows"
        )


def check_runs(runs: pd.DataFrame, of_a_kind: list[str], name: str, *, gaps: bool) -> None:
    """What `check` no longer sees once the seeds are averaged: words, and accuracies that are NaN in some runs.

    Runs are of one kind if they have equal `of_a_kind` columns (data set, schedule, split); where none of a kind has an
    accuracy, it was not measured. `gaps`: a benchmark's own table, in which a run may lack one.
    """
    for column in runs.columns.intersection(NUMBERS):
        _check_numbers(runs[column], str(column), name)
    for column in (str(column) for column in runs.columns if ACCURACY.search(str(column)) and not gaps):
        missing = runs[column].isna()
        kinds = [runs[kind] for kind in of_a_kind] or [pd.Series(0, index=runs.index)]
        odd = missing.to_numpy() & (~missing).groupby([kind.to_numpy() for kind in kinds]).transform("any").to_numpy()
        if odd.any():
            row = str(runs.index[int(np.argmax(odd))])
            raise InputError(
                f"column {column!r} of {name} is NaN in {int(odd.sum())} of {len(runs)} rows, first {row[:100]}; "
                "drop or fill them, or leave the column out"
            )


def _check_numbers(values: pd.Series, column: str, name: str) -> None:
    if not pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        bad = next((v for v in values if isinstance(v, bool) or not isinstance(v, int | float)), values.iloc[0])
        raise InputError(f"column {column!r} of {name} must hold numbers, got {str(bad)[:60]!r}; correct the table")


def _check_values(values: pd.Series, column: str, name: str, unit: str) -> None:
    numbers = values.to_numpy()
    missing = np.isnan(numbers)
    if missing.all() or (missing.any() and not OF_A_SEED.search(column)):
        row = str(values.index[int(np.argmax(missing))])
        raise InputError(
            f"column {column!r} of {name} is NaN in {int(missing.sum())} of {len(values)} rows, first {row[:100]}; "
            "drop or fill them, or leave the column out"
        )
    there = numbers[~missing]
    high = 1.0 if unit == "fraction" else 100.0
    bad = (there < 0) | (there > high)
    if bad.any():
        remedy = "correct it" if unit == "percent" else "a table in per cent needs no unit"
        raise InputError(
            f"column {column!r} of {name} has {there[bad][0]:g}, outside 0 to {high:g} (unit {unit}); {remedy}"
        )
    if unit == "fraction":
        return
    low = (there > 0) & (there <= 1)
    unlearned = np.min(np.abs(there[:, None] - np.array(CHANCE)), axis=1) < 1e-3
    if low[~unlearned].any() and (there <= 1).all():
        raise InputError(
            f"column {column!r} of {name} looks like fractions (at most {there.max():g}), but per cent is expected; "
            "say unit='fraction' (accuracy convert --unit fraction) and they are multiplied by 100"
        )
    if (low & ~unlearned).mean() >= MIXED_SHARE:
        raise InputError(
            f"column {column!r} of {name} mixes fractions ({there[low & ~unlearned][0]:g}) and per cent "
            f"({there.max():g}); bring them to one unit"
        )
