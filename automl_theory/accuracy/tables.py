"""Accuracy tables: one row an architecture, ready for `analysis.join`."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.accuracy.benchmark_files import expectation, is_benchmark, read_runs
from automl_theory.accuracy.checks import check, check_unit, refuse_scores
from automl_theory.accuracy.notation import HasClasses, by_class, check_space
from automl_theory.accuracy.recipe import COSTS, dataset_named, split_named
from automl_theory.accuracy.summary import summarise
from automl_theory.accuracy.table_files import as_runs, read_file
from automl_theory.errors import InputError, suggest
from automl_theory.progress import Report, reporting

BUNDLED = ("digits",)
PER_SEED = ("test_loss", "test_accuracy", "train_loss", "train_accuracy", "epochs_to_50")


def load_accuracy(
    source: str | os.PathLike[str] = "digits",
    *,
    dataset: str | None = None,
    epochs: int | None = None,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str = "percent",
    space: HasClasses | None = None,
    trust_pickle: bool = False,
    progress: bool | Report | None = None,
) -> pd.DataFrame:
    """Return a table of trained results, one row an architecture, index "arch" (or "canonical").

    source    "digits" (bundled); the .pth file or archive folder of NAS-Bench-201; a .pickle.pbz2 file or the folder of
              NATS-Bench, topology (tss) or size (sss); the .tfrecord file of NAS-Bench-101 (give `space` too); or a
              table .csv, .csv.gz or .parquet
    dataset   cifar10, cifar10-valid, cifar100 or ImageNet16-120; needed where the source has several
    epochs    length of the training schedule, e.g. 12 or 200; the longest if left out (the benchmarks' APIs take 12)
    split     only the columns of this one: train, valid, test or valtest (or the benchmarks' own x-valid, x-test,
              ori-test); all if left out
    columns   for tables: {their name: our name}; columns not named keep theirs. After that one column must be called
              "arch" (an architecture string) or "canonical" (the representative of its class). It becomes the index;
              where both are there it is "arch", and "canonical" is left out
    unit      of the accuracies in a .csv or .parquet table: "percent", or "fraction", which are multiplied by 100.
              Fractions given as per cent are refused (see `checks.check`)
    space     the space of the architectures, as at.space("darts"), where a table writes them in another way than a
              score table does: in any form that the space's `parse` reads (a DARTS genotype in NASLib's compact form, a
              hash of NAS-Bench-101), or in columns (of NAS-Bench-101 module_adjacency and module_operations, or n, adj
              and ops). The result is of classes, index "canonical", with the mean of the members that the source has
    trust_pickle   read a benchmark file by unpickling it, which runs whatever code it holds with your rights. Without,
              nothing in a file is ever executed, and records as the benchmarks' APIs write them are all it may hold
    progress  as in `score_space`; what a large file will take is said before it is read

    Of a benchmark, for its chosen data set and schedule (what each split means: `accuracy.recipe`):

    test_accuracy, valid_accuracy, train_accuracy, valtest_accuracy   % after the last epoch
    test_loss, …                          mean cross-entropy in nats
    <column>_seed777, …                   the same of one training seed, where there are several
    params, flops, latency                millions, millions, seconds a batch, as the benchmarks state them

    The plain columns are means over the seeds an architecture has, never one drawn at random; `attrs["accuracy"]` is
    the recipe: release, dataset, epochs, splits, seeds, how many architectures have how many runs, file.

    "digits": one row a canonical class of NAS-Bench-201 with all its seeds trained, index "canonical", in the order of
    a nested sample: the first n rows are a uniform sample of the connected classes. Beside the columns above it has
    epochs_to_50, epochs to 50 % training accuracy while training, interpolated between epochs (NaN for a run that never
    got there, and then for the mean). `attrs["noise"]` names two columns whose agreement is the noise ceiling of a
    ranking by test_loss, which tells these networks apart where test_accuracy, a count out of 1,297, has ties.

    Errors: InputError, one line, for anything unknown (with the nearest known), missing, unreadable, damaged or unsafe,
    for duplicate architectures, mixed releases, NaN accuracies, wrong units; MissingExtra for Parquet without pyarrow.
    """
    if space is not None:
        check_space(space)
    table = _loaded(
        source, space, dataset=dataset, epochs=epochs, split=split, columns=columns, unit=unit,
        trust_pickle=trust_pickle, progress=progress,
    )  # fmt: skip
    return table if space is None else by_class(table, space, Path(source).name)


def _loaded(
    source: str | os.PathLike[str],
    space: HasClasses | None,
    *,
    dataset: str | None,
    epochs: int | None,
    split: str | None,
    columns: Mapping[str, str] | None,
    unit: str,
    trust_pickle: bool,
    progress: bool | Report | None,
) -> pd.DataFrame:
    """The table by the architectures that the source names."""
    _check_selection(epochs)
    check_options(source, unit=unit, trust_pickle=trust_pickle)
    if isinstance(source, str) and source in BUNDLED:
        if columns:
            raise InputError(f"the bundled table {source!r} takes no columns; rename them with DataFrame.rename")
        return restrict(_bundled(source), source, dataset, epochs, split)
    path = existing(source)
    if is_benchmark(path):
        if columns:
            raise InputError("columns are for .csv and .parquet tables; a benchmark's have their names")
        runs, known = benchmark_runs(path, trust_pickle=trust_pickle, progress=progress)
        return check(summarise(runs, known, dataset=dataset, epochs=epochs, split=split), path.name)
    table = read_file(path, dict(columns or {}), space)
    refuse_scores(table, path.name)
    known = dict(table.attrs.get("accuracy") or {"release": "unstated release", "file": path.name})
    runs_of_table = as_runs(table, path.name) if len(table) else None
    if runs_of_table is None:
        table.attrs["accuracy"] = known
        return check(restrict(table, path.name, dataset, epochs, split), path.name, unit)
    known.pop("layout", None)
    return check(summarise(runs_of_table, known, dataset=dataset, epochs=epochs, split=split), path.name, unit)


def benchmark_runs(
    path: Path, *, trust_pickle: bool = False, progress: bool | Report | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The runs of a benchmark's file or folder and what is known of it, with a progress line."""
    if trust_pickle:
        warnings.warn(
            f"trust_pickle: {path.name} is unpickled, and whatever code it holds runs with your rights", stacklevel=3
        )
    if told := expectation(path, trust_pickle=trust_pickle):
        print(told, file=sys.stderr, flush=True)
    with reporting(progress, f"reading {path.name}") as report:
        return read_runs(path, trust_pickle=trust_pickle, progress=report)


def check_options(source: str | os.PathLike[str], *, unit: str, trust_pickle: bool) -> None:
    """InputError for an option that would mean nothing for this source: a unit of per cent, trust without a pickle."""
    check_unit(unit)
    bundled = isinstance(source, str) and source in BUNDLED
    benchmark = not bundled and is_benchmark(existing(source))
    if unit != "percent" and (bundled or benchmark):
        raise InputError(
            f"unit is for .csv and .parquet tables; the accuracies of {os.fspath(source)} are per cent: leave it out"
        )
    if trust_pickle and not benchmark:
        raise InputError(
            f"{os.fspath(source)} holds no pickle, so trust_pickle (--trust-pickle) has nothing to trust; leave it out"
        )


def existing(source: str | os.PathLike[str]) -> Path:
    """The path of a source; InputError if there is nothing, with the nearest bundled name."""
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"expected 'digits' or the path of a table, got {type(source).__name__}; give one of them")
    path = Path(source)
    if not path.exists():
        if path.name == str(source) and not path.suffix:
            raise InputError(
                f"unknown accuracy table {path.name!r}; known: {', '.join(BUNDLED)}, a .csv or .parquet file, or a "
                f"benchmark's file or folder.{suggest(path.name, BUNDLED)}"
            )
        raise InputError(f"expected a table of accuracies, but there is no file {path}; check the path")
    return path


def restrict(
    table: pd.DataFrame, name: str, dataset: str | None, epochs: int | None, split: str | None
) -> pd.DataFrame:
    """The table if it is of the data set and schedule asked for, else InputError; with `split` only its columns."""
    recipe = table.attrs.get("accuracy", {})
    training = recipe.get("training", {})
    has = {
        "dataset": recipe.get("dataset", recipe.get("name")),
        "epochs": recipe.get("epochs", training.get("epochs") if isinstance(training, dict) else None),
    }
    for key, wanted in (("dataset", dataset), ("epochs", epochs)):
        if wanted is not None and has[key] is None:
            raise InputError(f"{name} does not say its {key}; leave out {key}, or give a table with a column {key}")
    if dataset is not None:
        dataset_named(dataset, [str(has["dataset"])])
    if epochs is not None and epochs != has["epochs"]:
        raise InputError(f"{name} is of {has['epochs']} epochs, not {epochs}; leave out epochs or give another source")
    if split is None:
        return table
    there = list(
        dict.fromkeys(str(c).rpartition("_")[0] for c in table.columns if str(c).endswith(("_accuracy", "_loss")))
    )
    split_named(split, there)
    return table[[c for c in table.columns if str(c).startswith(f"{split}_") or c in COSTS]]


def _check_selection(epochs: int | None) -> None:
    if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1):
        raise InputError(f"epochs must be a whole number of at least 1, such as 200; got {epochs!r}")


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
