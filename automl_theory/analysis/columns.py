"""Columns of a score table read safely: numbers, which way is good, why a value is missing, which rows are equal."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.errors import VALUED as VALUED
from automl_theory.errors import InputError, suggest

DIRECTIONS = ("maximize", "minimize")
GRAPH = "graph"
"""The family of the measures of an architecture's graph (`graphs.table`)."""
MORE = re.compile(r"accuracy|(?<![a-z])acc(?![a-z0-9])")
LESS = re.compile(r"loss|error|epochs|(?<![a-z])err(?![a-z0-9])")
"""In a target's name: what is good when high, and when low."""
TRAINED = re.compile(r"(?<![a-z])top[-_ ]?[15](?![a-z0-9])")
"""What training gave, be it accuracy or error."""
UNTRAINED = ("ntk_regression_error",)
"""Beginnings of names of proxies that sound like it."""


def values(df: pd.DataFrame, name: str, what: str = "column") -> NDArray[np.float64]:
    """Return a copy of column `name` as floats, NaN where it is empty; `InputError` if it is absent or not numeric.

    `what` it is for stands in the message; how a missing "target" gets there is said if its name is that of one.
    """
    if name not in df.columns:
        columns = [str(c) for c in df.columns]
        if what == "target" and tells_training(name):
            near = suggest(name, filter(tells_training, columns))
            raise InputError(
                f"target {name!r} is not a column of this table; put trained results beside the scores first: "
                f'df = at.join(df, at.load_accuracy("digits")), or a table of your own.{near}'
            )
        near = suggest(name, columns) or f" It has: {', '.join(columns[:12])}{', …' if len(columns) > 12 else ''}."
        raise InputError(f"{what} {name!r} is not a column of this table.{near}")
    column = df[name]
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise InputError(f"{what} {name!r} must be numeric; it is {column.dtype}. Convert it with pandas.to_numeric.")
    return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))


def declared(df: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return `attrs["proxies"]`, name → {"family", "direction", "unit", "formula"}, of what there has a column."""
    return {name: entry for name, entry in df.attrs.get("proxies", {}).items() if name in df.columns}


def described(df: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return what is `declared` without the family "graph": what a table is about where no column is named.

    Graph measures, a dozen that nearly repeat each other, are there for whoever asks for one by name.
    """
    return {name: entry for name, entry in declared(df).items() if entry.get("family") != GRAPH}


def direction_of(df: pd.DataFrame, proxy: str) -> str:
    """Return the declared direction of `proxy`; "maximize" for a column that declares none."""
    return checked_direction(declared(df).get(proxy, {}).get("direction", "maximize"), proxy)


def told_direction(target: str, given: str | None = None) -> str:
    """Return which way `target` is good: `given`, else what its name tells.

    "accuracy", or "acc" as a word of its own, is maximised; "loss", "error", "epochs", or "err" likewise, minimised.
    A name that says both (accuracy_after_12_epochs) or neither raises `InputError`.
    """
    if given is not None:
        return checked_direction(given, target)
    name = target.lower()
    more, less = MORE.search(name) is not None, LESS.search(name) is not None
    if more == less:
        raise InputError(
            f"cannot tell from its name whether {target!r} is good when high or low; "
            'pass target_direction="maximize" or "minimize".'
        )
    return "maximize" if more else "minimize"


def tells_training(name: str) -> bool:
    """Return whether a column's name says that it was measured by training, such as top1, val_acc or epochs_to_50.

    That is one that `told_direction` has a word for, or with top1 or top5 as a word of its own. What this package
    measures without training under such a name (ntk_regression_error) is not one.
    """
    plain = str(name).lower()
    if plain.startswith(UNTRAINED):
        return False
    return any(words.search(plain) for words in (MORE, LESS, TRAINED))


def checked_direction(direction: str, name: str) -> str:
    """Return `direction` if it is one, else raise `InputError`."""
    if direction not in DIRECTIONS:
        raise InputError(f'the direction of {name!r} must be "maximize" or "minimize"; got {direction!r}.')
    return direction


def orient(numbers: NDArray[np.float64], direction: str) -> NDArray[np.float64]:
    """Return `numbers` such that larger is better."""
    return numbers if direction == "maximize" else -numbers


def statuses(df: pd.DataFrame, proxy: str) -> NDArray[np.str_]:
    """Return the status of each row, shape (n,): column `<proxy>_status`, "ok" where there is none.

    A NaN without a reason is "missing".
    """
    empty = np.isnan(values(df, proxy, "proxy"))
    column = f"{proxy}_status"
    if column in df.columns:
        status = df[column].fillna("missing" if empty.any() else "ok").astype(str).to_numpy(dtype=np.str_)
    else:
        status = np.full(len(df), "ok")
    return np.where(empty & np.isin(status, VALUED), "missing", status)


def count_undefined(status: NDArray[np.str_]) -> dict[str, int]:
    """Return how many rows have each status that comes without a value, the most frequent first."""
    reasons, counts = np.unique(status[~np.isin(status, VALUED)], return_counts=True)
    return {str(reasons[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}


def classes(df: pd.DataFrame) -> NDArray[np.intp]:
    """Number the classes of equal architectures 0 … c − 1, shape (n,): by column `canonical`, where empty by index.

    The numbers follow the order of the names, so that a resample of classes draws the same ones however the rows lie.
    """
    keys = pd.Series(df.index.astype(str).to_numpy(), dtype=object)
    if "canonical" in df.columns:
        canonical = df["canonical"].astype(object).reset_index(drop=True)
        keys = canonical.where(canonical.notna(), keys).astype(str)
    return np.asarray(pd.factorize(keys, sort=True)[0], dtype=np.intp)


def by_name(df: pd.DataFrame) -> NDArray[np.intp]:
    """Return the rows of `df` in the order of their architectures' names, shape (n,).

    Whatever is summed or drawn over a table taken in this order is the same to the last bit however its rows lay.
    """
    return np.argsort(df.index.astype(str).to_numpy(), kind="stable")
