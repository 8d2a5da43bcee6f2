"""Put tables side by side: a score table, graph metrics, accuracies, each keyed by architecture."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.errors import InputError, suggest


def join(df: pd.DataFrame, *tables: pd.DataFrame | pd.Series) -> pd.DataFrame:
    """Left-join `tables` to `df`: the rows of `df` in their order, with the columns of every table beside them.

    The key is the index, the architecture string. A table whose index is named "canonical", or with
    `attrs["key"] == "canonical"`, holds one row a class of equal architectures; it is joined through the column
    `canonical` of `df`, so that every member of a class gets its representative's values.

    A row without a partner gets NaN. `attrs` of `df` are kept; the tables add the entries of `attrs["proxies"]`, and
    other keys, which `df` lacks. `attrs["join"]` gains one record a table: {"key", "columns", "rows",
    "without_partner", "unused"}, counting the rows of `df` without a partner and the rows of the table that no row
    of `df` asked for; what a table says under a key that is taken (its own "settings", the recipe of a second
    "accuracy") is in its record.

    Raises `InputError` if a table repeats a key, shares a column name with what it is joined to, has no partner for
    any row, or is keyed by `canonical` where `df` has no such column.
    """
    joined = df.copy()
    attrs: dict[Any, Any] = copy.deepcopy(dict(df.attrs))
    records = list(attrs.get("join", []))
    for number, table in enumerate(tables, start=1):
        what = _called(table, number)
        other = _as_frame(table, what)
        key = "canonical" if "canonical" in (other.index.name, other.attrs.get("key")) else "index"
        _refuse(joined, other, key, what)
        wanted = pd.Index(joined["canonical"]) if key == "canonical" else joined.index
        at = other.index.get_indexer(wanted)
        if len(joined) and (at < 0).all():
            raise InputError(
                f"{what} has no row for any of the {len(joined)} architectures: those{_space(joined)} are like "
                f"{_short(wanted[0])}, its rows{_space(other)} {_first(other.index)}; take a table of the same space "
                "and index it by architecture string; if it writes them in another way, read it by "
                "load_accuracy(..., space=...) (accuracy convert --space)."
            )
        found = other.reindex(wanted).set_axis(joined.index, axis=0)
        found.attrs, joined.attrs = {}, {}
        joined = pd.concat([joined, found], axis=1)
        record: dict[str, Any] = {
            "key": key,
            "columns": [str(c) for c in other.columns],
            "rows": len(other),
            "without_partner": int((at < 0).sum()),
            "unused": len(other) - len(np.unique(at[at >= 0])),
        }
        _merge_attrs(attrs, other.attrs, record)
        records.append(record)
    attrs["join"] = records
    joined.attrs = attrs
    return joined


def _as_frame(table: pd.DataFrame | pd.Series, what: str) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(table, pd.Series) and table.name is not None:
        frame = table.to_frame()
        frame.attrs = dict(table.attrs)
        return frame
    raise InputError(f"{what} must be a DataFrame or a named Series; got {type(table).__name__}.")


def _refuse(joined: pd.DataFrame, other: pd.DataFrame, key: str, what: str) -> None:
    if not other.index.is_unique:
        again = other.index[other.index.duplicated()]
        raise InputError(
            f"{what} must have one row a key; {again[0]!r} is there more than once ({len(again)} repeats in all): "
            "choose a dataset, split or seed first, or give each its own column."
        )
    overlap = [str(c) for c in other.columns if c in joined.columns]
    if overlap:
        raise InputError(
            f"{what} brings columns that are there already: {', '.join(overlap)}; drop or rename them before the join."
        )
    if key == "canonical" and "canonical" not in joined.columns:
        near = suggest("canonical", [str(c) for c in joined.columns])
        raise InputError(
            f"{what} is keyed by class representative and needs a column 'canonical' to join through; "
            f"this table{_space(joined)} has none.{near}"
        )


def _called(table: object, number: int) -> str:
    """Return what a table to be joined is, in words: by its recipe or its space, else by its place and columns."""
    attrs = table.attrs if isinstance(table, pd.DataFrame | pd.Series) else {}
    recipe = attrs.get("accuracy")
    if isinstance(recipe, dict) and (name := recipe.get("name") or recipe.get("file")):
        return f"the table of trained results {name}"
    if isinstance(table, pd.DataFrame):
        if space := _space(table):
            return f"table {number}, scores{space},"
        few = ", ".join(map(str, table.columns[:3])) + (", …" if table.shape[1] > 3 else "")
        return f"table {number} ({few})"
    return f"table {number}"


def _space(table: pd.DataFrame) -> str:
    """Return " of <space>", where the table says which, else ""."""
    for key in ("settings", "accuracy"):
        told = table.attrs.get(key)
        if isinstance(told, dict) and isinstance(told.get("space"), str):
            return f" of {told['space']}"
    return ""


def _first(index: pd.Index) -> str:
    return f"like {_short(index[0])}" if len(index) else "are none, an empty table"


def _short(key: object) -> str:
    text = repr(key)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _merge_attrs(attrs: dict[Any, Any], other: dict[Any, Any], record: dict[str, Any]) -> None:
    if other.get("proxies"):
        attrs["proxies"] = {**copy.deepcopy(other["proxies"]), **attrs.get("proxies", {})}
    for name, value in other.items():
        if name not in ("key", "join", "proxies"):
            (record if name in attrs else attrs)[name] = copy.deepcopy(value)
