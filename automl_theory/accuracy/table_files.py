"""Accuracies in CSV and Parquet files: one row an architecture, or one row a training run.

Written by `convert`, a file keeps its recipe: Parquet in its metadata, CSV in a file …csv.json beside it
(`scoring.files.write_table`). A table of somebody else needs a column "arch" or "canonical", or a mapping that names
one. With columns dataset, epochs, split or seed it is read as one row a run; split goes with columns accuracy and loss.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.accuracy.checks import check_runs
from automl_theory.accuracy.nas_bench_101 import read_tfrecord
from automl_theory.accuracy.notation import HasClasses, with_architectures
from automl_theory.accuracy.recipe import FAMILIES, METRICS
from automl_theory.errors import InputError, require, suggest
from automl_theory.scoring.checked_attrs import checked_attrs
from automl_theory.scoring.foreign_tables import one_line, read_parquet

KEYS = ("arch", "canonical")
OF_A_RUN = ("dataset", "epochs", "split", "seed")
MIB = 2**20
MAX_UNPACKED = 256 * MIB
RATIO = 100


class NoArchitectures(InputError):
    """A table has no column "arch" or "canonical".

    `column` is the one that seems to hold the architectures, or None; `why` is the message without a remedy in Python.
    """

    def __init__(self, name: str, told: str, column: str | None = None) -> None:
        self.column, self.why = column, f"{name} {told}"
        super().__init__(self.why + ("" if column is None else f": columns={{{column!r}: 'arch'}}"))


def read_file(path: Path, columns: dict[str, str], space: HasClasses | None = None) -> pd.DataFrame:
    """Return a table file, renamed by `columns` and keyed by architecture; `attrs["accuracy"]` if it has a recipe.

    Where no column is named "arch" or "canonical", other columns may tell architectures of `space`.

    InputError for a file that is no table, is too large or lacks a column or a key; MissingExtra for Parquet without
    pyarrow.
    """
    with one_line(f"expected {path.name} to be a readable table, but", "save it again"):
        return _keyed(_read(path), path.name, columns, space)


def as_runs(table: pd.DataFrame, name: str) -> pd.DataFrame | None:
    """The table as one row a run, `split` spread over columns; None if it has no column of a run."""
    of_a_run = [column for column in OF_A_RUN if column in table.columns]
    if not of_a_run:
        return None
    for column in of_a_run:
        if table[column].isna().any():
            raise InputError(f"column {column!r} of {name} has empty fields; fill them or drop such rows")
    for column in set(of_a_run) & {"epochs", "seed"}:
        if not pd.api.types.is_integer_dtype(table[column].dtype):
            raise InputError(f"column {column!r} of {name} must hold whole numbers; correct the table")
    check_runs(table, [c for c in of_a_run if c != "seed"], name, gaps=_layout(table) == "runs")
    keys = [column for column in of_a_run if column != "split"]
    again = table.set_index(of_a_run, append=True).index
    if again.has_duplicates:
        row = again[again.duplicated()][0]
        raise InputError(
            f"{name} has two rows for {', '.join(map(str, row))}: duplicates or mixed releases; keep one of them"
        )
    releases = list(table["release"].unique()) if "release" in table.columns else list[object]()
    if len(releases) > 1:
        raise InputError(
            f"{name} mixes releases ({', '.join(map(str, releases))}), which differ; keep the rows of one of them"
        )
    return _spread(table, keys, name) if "split" in of_a_run else table


def _layout(table: pd.DataFrame) -> object:
    return table.attrs.get("accuracy", {}).get("layout")


def _spread(table: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    metrics = [metric for metric in METRICS if metric in table.columns]
    if not metrics:
        raise InputError(f"{name} has a column split and none of accuracy and loss; rename with columns")
    long = table.set_index([*keys, "split"], append=True)
    parts = [long[metric].unstack("split").add_suffix(f"_{metric}") for metric in metrics]
    wide = pd.concat(parts, axis="columns")
    others = [c for c in long.select_dtypes("number").columns if c not in metrics]
    level = list(range(len(keys) + 1))
    wide = wide.join(long[others].groupby(level=level).mean())
    wide = wide.reset_index(level=keys)
    wide.attrs = table.attrs
    return wide


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".tfrecord":
        return read_tfrecord(path)
    parquet = path.suffix == ".parquet"
    if not parquet and not path.name.endswith((".csv", ".csv.gz")):
        raise InputError(
            f"expected a .csv, .csv.gz or .parquet file, got {path.name}; give one, or a benchmark's file or folder"
        )
    if parquet:
        require("pyarrow", "parquet")
    frame = read_parquet(path) if parquet else _read_csv(path)
    frame.attrs = checked_attrs(frame.attrs, path.name)
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    attrs = frame.attrs
    frame = frame.reset_index()
    frame.attrs = attrs
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    if path.suffix == ".gz":
        _refuse_bomb(path)
    beside = path.with_name(path.name + ".json")
    if not beside.is_file():
        return pd.read_csv(path)
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
        types, attrs = dict(told["types"]), checked_attrs(told["attrs"], path.name)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        line = " ".join(str(error).split())[:100]
        raise InputError(f"{beside.name} beside the table is broken ({line}); convert again, or delete it") from error
    there = pd.read_csv(path, nrows=0).columns
    if set(types) - set(there):
        raise InputError(f"{beside.name} describes another table than {path.name}; convert again, or delete it")
    exact = {column: _number for column, kind in types.items() if kind == "float64"}
    frame = pd.read_csv(path, converters=exact)
    frame.attrs = attrs
    return frame


def _number(field: str) -> float:
    """Exact in every version of pandas, which its own parser is not."""
    return float(field or "nan")


def _refuse_bomb(path: Path) -> None:
    limit, taken = max(MAX_UNPACKED, RATIO * path.stat().st_size), 0
    with gzip.open(path) as stream:
        while piece := stream.read(MIB):
            taken += len(piece)
            if taken > limit:
                raise InputError(
                    f"{path.name} unpacks to more than {limit} bytes, which no table of it does; save it again"
                )


def _keyed(frame: pd.DataFrame, name: str, columns: dict[str, str], space: HasClasses | None) -> pd.DataFrame:
    there = [str(column) for column in frame.columns]
    for wanted in columns:
        if wanted not in there:
            raise InputError(f"{name} has no column {wanted!r}; it has {', '.join(there)}.{suggest(wanted, there)}")
    attrs: dict[Any, Any] = dict(frame.attrs)
    frame = frame.rename(columns=columns)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"{name} would have two columns {str(twice[0])!r}; map one of them to another name in columns")
    if space is not None and not set(KEYS) & set(frame.columns):
        frame = with_architectures(frame, space, name)
    key = next((word for word in KEYS if word in frame.columns), None)
    if key is None:
        raise _without_key(frame, name)
    unusable = [value for value in frame[key] if not isinstance(value, str)]
    if unusable:
        raise InputError(
            f"column {key!r} of {name} must hold architecture strings, got {unusable[0]!r}; convert or drop such rows"
        )
    frame = frame.set_index(key)
    frame = frame.drop(columns=[word for word in KEYS if word in frame.columns])
    frame.attrs = attrs
    return frame


NAMED = ("arch", "cell", "net", "model", "genotype", "hash")
"""What is in the names that other people's tables give to the column of architectures."""


def _without_key(frame: pd.DataFrame, name: str) -> NoArchitectures:
    there = [str(column) for column in frame.columns]
    column = _likely_key(frame)
    if column is None:
        return NoArchitectures(
            name,
            f"has no column of architecture strings (it has {few(there)}); add one named 'arch', or name the space "
            "whose architectures other columns tell (space=, --space)",
        )
    return NoArchitectures(
        name, f"has no column 'arch' or 'canonical'; name the one with the architectures, it seems {column!r}", column
    )


def _likely_key(frame: pd.DataFrame) -> str | None:
    """The column with architectures: one of a space's strings, else one of words whose name says so, else of words.

    Texts of lists are parts of an architecture at best.
    """
    words = [column for column in frame.columns if pd.api.types.is_string_dtype(frame[column].dropna())]
    firsts = {column: str(next(iter(frame[column].dropna()), "")) for column in words}
    for column, first in firsts.items():
        if any(pattern.fullmatch(first) for pattern in FAMILIES.values()):
            return str(column)
    words = [column for column in words if not firsts[column].startswith("[")]
    words = [column for column in words if len(frame) and frame[column].nunique() > len(frame) / 100]
    told = [column for column in words if any(word in str(column).lower() for word in NAMED)]
    return str((told or words)[0]) if told or words else None


def few(names: list[str], most: int = 6) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
