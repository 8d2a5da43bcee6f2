"""Convert a benchmark once, so that opening it takes a second: `automl-theory accuracy convert`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pandas as pd

from automl_theory.accuracy.benchmark_files import is_benchmark
from automl_theory.accuracy.notation import HasClasses
from automl_theory.accuracy.tables import BUNDLED, benchmark_runs, check_options, existing, load_accuracy
from automl_theory.errors import InputError
from automl_theory.progress import Report
from automl_theory.scoring.files import SUFFIXES, check_free, check_writable, write_table


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    epochs: int | None = None,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    unit: str = "percent",
    space: HasClasses | None = None,
    trust_pickle: bool = False,
    force: bool = False,
    progress: bool | Report | None = None,
) -> pd.DataFrame:
    """Write what `load_accuracy` reads to a .parquet or .csv file that it reads back, recipe and all; return the table.

    A benchmark without dataset, epochs, split and space is written whole, one row a training run: `load_accuracy` then
    takes dataset, epochs and split from the file. Parquet keeps the recipe in its metadata, CSV in a file …csv.json
    beside it. The file appears in one step, when all is done; a run that is stopped leaves nothing, and what was there
    before.

    Raises InputError for what `load_accuracy` refuses, and for an `out` that exists (unless `force`), that is the
    source, or that cannot be written.
    """
    target = check_writable(out, SUFFIXES)
    existing_source = None if source in BUNDLED else existing(source)
    if existing_source is not None and target.exists() and target.samefile(existing_source):
        raise InputError(f"{target} is the source itself; name another file")
    check_free(target, force)
    check_options(source, unit=unit, trust_pickle=trust_pickle)
    everything = dataset is None and epochs is None and split is None and space is None
    if existing_source is not None and everything and is_benchmark(existing_source) and not columns:
        table, known = benchmark_runs(existing_source, trust_pickle=trust_pickle, progress=progress)
        table.attrs = {"accuracy": {**known, "layout": "runs", "unit": "percent"}}
    else:
        table = load_accuracy(
            source, dataset=dataset, epochs=epochs, split=split, columns=columns, unit=unit, space=space,
            trust_pickle=trust_pickle, progress=progress,
        )  # fmt: skip
    write_table(table, target)
    return table
