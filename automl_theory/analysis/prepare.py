"""A score table made ready for ranking: rows with a target, proxies oriented, undefined values decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import (
    VALUED,
    by_name,
    classes,
    declared,
    described,
    direction_of,
    orient,
    statuses,
    told_direction,
    values,
)
from automl_theory.analysis.rank_correlation import Floats, Ints
from automl_theory.errors import InputError, suggest

SIZES = (("parameters", "params"), ("macs", "flops"), ("trainable_layers", "layers"))
"""What a partial correlation is given, under the names that tables use."""


@dataclass(frozen=True)
class Prepared:
    """The rows of a table that have a target, and what each proxy says about them.

    table       those rows, n of them, in the order of their names; `without_target` were left out
    y           the target, oriented (larger is better), shape (n,)
    direction   which way the target is good
    classes     the class of each row, 0 … c − 1, shape (n,)
    names       the proxies, in the order they were asked for; `sizes` those of the size family
    entries     `attrs["proxies"]` of the table
    good        each proxy oriented, −inf where it is undefined, shape (n,)
    status      why a row has no value, shape (n,)
    used        the rows on which a proxy is ranked, shape (n,)
    """

    table: pd.DataFrame
    without_target: int
    y: Floats
    direction: str
    classes: Ints
    names: list[str]
    sizes: list[str]
    entries: dict[str, dict[str, Any]]
    good: dict[str, Floats]
    status: dict[str, NDArray[np.str_]]
    used: dict[str, NDArray[np.bool_]]


def prepare(
    df: pd.DataFrame, target: str, target_direction: str | None, proxies: Sequence[str] | None, undefined: str
) -> Prepared:
    """Return `df` ready for ranking; the arguments are those of `rank`."""
    has_target = ~np.isnan(values(df, target, "target"))
    direction = told_direction(target, target_direction)
    order = by_name(df)
    table, entries, names = df.iloc[order[has_target[order]]], declared(df), names_of(df, target, proxies)
    good, status, used = {}, {}, {}
    for name in names:
        status[name] = statuses(table, name)
        valued = np.isin(status[name], VALUED)
        good[name] = np.where(valued, orient(values(table, name), direction_of(df, name)), -np.inf)
        used[name] = valued if undefined == "drop" else np.ones(len(table), dtype=bool)
    return Prepared(
        table=table,
        without_target=int((~has_target).sum()),
        y=orient(values(table, target), direction),
        direction=direction,
        classes=classes(table),
        names=names,
        sizes=[name for name in names if entries.get(name, {}).get("family") == "size"],
        entries=entries,
        good=good,
        status=status,
        used=used,
    )


def names_of(df: pd.DataFrame, target: str, proxies: Sequence[str] | None) -> list[str]:
    """Return the columns to rank: `proxies` with the size family, by default all described but graph measures."""
    entries = described(df)
    if proxies is None:
        names = list(entries)
    else:
        names = [proxies] if isinstance(proxies, str) else list(proxies)
        names += [name for name, entry in entries.items() if entry.get("family") == "size"]
    names = [name for name in dict.fromkeys(names) if name != target]
    if not names:
        raise InputError(
            'no proxy to rank: attrs["proxies"] describes none of this table (pandas loses it in to_csv and in some '
            "merges; write_table and join keep it; graph measures are ranked where they are named); pass "
            'proxies=["column", …].'
        )
    return names


def given_columns(df: pd.DataFrame, given: Sequence[str] | None) -> list[str]:
    """Return the columns a partial correlation is given: `given`, by default what the table has of `SIZES`."""
    if given is None:
        first = (next((name for name in names if name in df.columns), None) for names in SIZES)
        return [name for name in first if name is not None]
    names = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    for name in names:
        values(df, name, "given column")
    return names


def check_options(undefined: str, interval: str, resamples: int, seed: int, level: float) -> None:
    """Raise `InputError` unless the options that `rank` and `compare` share are in range."""
    if undefined not in ("drop", "worst"):
        raise InputError(f'undefined must be "drop" or "worst"; got {undefined!r}.')
    if interval not in ("bootstrap", "analytic"):
        near = suggest(str(interval), ["bootstrap", "analytic"])
        raise InputError(f'interval must be "bootstrap" or "analytic"; got {interval!r}.{near}')
    if not isinstance(resamples, int | np.integer) or resamples < 0:
        raise InputError(f"resamples must be 0 (no intervals) or more; got {resamples!r}.")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed must be an integer of at least 0; got {seed!r}.")
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, such as 0.95; got {level!r}.")
