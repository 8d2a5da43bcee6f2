"""Accuracy tables: one row an architecture, ready for `analysis.join`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.errors import InputError, require, suggest

BUNDLED = ("digits",)
KEYS = ("arch", "canonical")
PER_SEED = ("test_loss", "test_accuracy", "train_loss", "train_accuracy", "epochs_to_50")


def load_accuracy(
    source: str | os.PathLike[str] = "digits", *, columns: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return a table of trained results, one row an architecture.

    source    "digits", or the path of a file .csv, .csv.gz or .parquet
    columns   for files: {their name: our name}; columns not named keep theirs. After that one column must be called
              "arch" (an architecture string) or "canonical" (the representative of its class). It becomes the index;
              where both are there it is "arch", and "canonical" is left out

    "digits" is the bundled table: one row a canonical class of NAS-Bench-201 with all its seeds trained, index
    "canonical", in the order of a nested sample: the first n rows are a uniform sample of the connected classes.

    test_loss, train_loss           mean cross-entropy in nats over the test or training set after the last epoch
    test_accuracy, train_accuracy   % of that set
    epochs_to_50                    epochs to 50 % training accuracy while training, interpolated between epochs
    <column>_seed0, <column>_seed1  the same of one seed, which decides initial weights and batch order

    The plain columns are means over the seeds; a mean with a NaN in it is NaN (a run that diverged; for epochs_to_50
    one that never got there). `attrs["accuracy"]` is the recipe, `attrs["noise"]` names the two columns whose agreement
    is the noise ceiling of a ranking by test_loss. Networks are small and trained briefly, and test_loss tells them
    apart where test_accuracy, a count out of 1,297, has ties.

    Errors: InputError for an unknown name (with the nearest known one), a file that is missing or unreadable, a column
    that is not there, or no usable key; MissingExtra for Parquet without pyarrow.
    """
    if isinstance(source, str) and source in BUNDLED:
        if columns:
            raise InputError(f"the bundled table {source!r} takes no columns; rename them with DataFrame.rename")
        return _bundled(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"expected 'digits' or the path of a table, got {type(source).__name__}; give one of them")
    path = Path(source)
    if not path.is_file():
        if path.name == str(source) and not path.suffix:
            known = ", ".join(BUNDLED)
            raise InputError(
                f"unknown accuracy table {path.name!r}; known: {known}, or a .csv or .parquet file."
                f"{suggest(path.name, BUNDLED)}"
            )
        raise InputError(f"expected a table of accuracies, but there is no file {path}; check the path")
    return _keyed(_read(path), path.name, dict(columns or {}))


def _bundled(name: str) -> pd.DataFrame:
    folder = resources.files("automl_theory.accuracy")
    recipe: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        runs = pd.read_csv(file)
    seeds = recipe["seeds"]
    parts = [runs[runs["seed"] == seed].set_index("canonical")[list(PER_SEED)] for seed in seeds]
    finished = [arch for arch in parts[0].index if all(arch in part.index for part in parts[1:])]
    parts = [part.loc[finished] for part in parts]
    table: pd.DataFrame = parts[0].copy()
    for part in parts[1:]:
        table += part
    table /= len(parts)
    for column in PER_SEED:
        for seed, part in zip(seeds, parts, strict=True):
            table[f"{column}_seed{seed}"] = part[column]
    table.attrs = {"accuracy": recipe, "noise": tuple(f"test_loss_seed{seed}" for seed in seeds[:2])}
    return table


def _read(path: Path) -> pd.DataFrame:
    parquet = path.suffix == ".parquet"
    if not parquet and not path.name.endswith((".csv", ".csv.gz")):
        raise InputError(f"expected a .csv, .csv.gz or .parquet file, got {path.name}; convert or rename it")
    if parquet:
        require("pyarrow", "parquet")
    try:
        frame = pd.read_parquet(path) if parquet else pd.read_csv(path)
    except (ValueError, OSError) as error:
        line = " ".join(str(error).split())[:160]
        raise InputError(f"expected {path.name} to be a readable table, but: {line}; save it again") from error
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _keyed(frame: pd.DataFrame, name: str, columns: dict[str, str]) -> pd.DataFrame:
    there = [str(column) for column in frame.columns]
    for wanted in columns:
        if wanted not in there:
            raise InputError(f"{name} has no column {wanted!r}; it has {', '.join(there)}.{suggest(wanted, there)}")
    frame = frame.rename(columns=columns)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InputError(f"{name} would have two columns {str(twice[0])!r}; map one of them to another name in columns")
    key = next((word for word in KEYS if word in frame.columns), None)
    if key is None:
        raise InputError(
            f"{name} has no column 'arch' or 'canonical' but {', '.join(there)}; name the one with the architectures: "
            f"columns={{{there[0]!r}: 'arch'}}"
        )
    unusable = [value for value in frame[key] if not isinstance(value, str)]
    if unusable:
        raise InputError(
            f"column {key!r} of {name} must hold architecture strings, got {unusable[0]!r}; convert or drop such rows"
        )
    frame = frame.set_index(key)
    return frame.drop(columns=[word for word in KEYS if word in frame.columns])
