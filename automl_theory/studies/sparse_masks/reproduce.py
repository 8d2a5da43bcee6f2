"""The whole study: train densely, prune, measure, train; every finished part is kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.errors import Interrupted
from automl_theory.progress import Report, reporting
from automl_theory.sources import read_source
from automl_theory.studies import folder as kept
from automl_theory.studies.images import digest
from automl_theory.studies.pieces import Arrays
from automl_theory.studies.sparse_masks import dynamic, series, train
from automl_theory.studies.sparse_masks.measure import KEYS, of_networks
from automl_theory.studies.sparse_masks.parts import parts_of
from automl_theory.studies.sparse_masks.setup import FULL, Setup
from automl_theory.studies.sparse_masks.study import Study
from automl_theory.studies.sparse_masks.tasks import Task, run_all

VERSIONED = ("automl_theory", "torch", "numpy", "scipy", "pandas")
STAGES = 2


def run(setup: Setup = FULL, folder: str | Path | None = None, *, progress: bool | Report | None = None) -> Study:
    """Run the study, or go on with a run that was stopped or killed, and return what it found.

    folder    where everything finished is kept, by default `default_folder(setup)`: the tables of `study.Study` as
              CSV, and the pieces they are made of
    progress  as in `score_space`, for each stage

    Equal setups give equal tables, whatever the number of workers and however often a run was stopped.

    Errors: InputError for data that cannot be read, and a folder that cannot be written or is another run's;
    Interrupted on Ctrl-C, which says how to go on.
    """
    about = description(setup)
    place = kept.open_folder(Path(folder) if folder is not None else default_folder(setup), about)
    stage = _Stages(place, progress)
    first = {
        "dense": train.dense_tasks(setup),
        "grid": series.grid_tasks(setup),
        "degenerating": series.degenerating_tasks(setup),
        "followed": dynamic.followed_tasks(setup),
    }
    memory: dict[str, Any] = {}

    def unmasked(report: Report | None = None) -> dict[str, list[Arrays]]:
        if "unmasked" not in memory:
            memory["unmasked"] = run_all(first, setup, place / "pieces-1", report)
        found: dict[str, list[Arrays]] = memory["unmasked"]
        return found

    def masked(report: Report | None = None) -> tuple[list[Task], list[Arrays]]:
        if "masked" not in memory:
            tasks = train.masked_tasks(setup, train.late_of(first["dense"], unmasked()["dense"]))
            memory["masked"] = tasks, run_all({"masks": tasks}, setup, place / "pieces-2", report)["masks"]
        found: tuple[list[Task], list[Arrays]] = memory["masked"]
        return found

    def table(name: str, make: Callable[[Sequence[Task], Sequence[Arrays]], pd.DataFrame]) -> pd.DataFrame:
        return stage(
            1,
            "networks without masks, and masks without training",
            name,
            lambda report: make(first[name], unmasked(report)[name]),
        )

    try:
        dense = table("dense", train.dense_table)
        grid = table("grid", series.series_table)
        degenerating = table("degenerating", series.series_table)
        followed = table("followed", dynamic.followed_table)
        crossings = stage(1, "crossings", "crossings", lambda _: series.crossings(grid))
        layers = stage(2, "masks, measured and trained", "layers", lambda report: train.layer_table(*masked(report)))
        doubled = stage(2, "twice the epochs", "doubled", lambda _: train.doubled_table(*masked()))
        masks = stage(2, "measures of networks", "masks", lambda _: train.outcome_table(*masked()).merge(
            of_networks(layers), on=KEYS, how="left", validate="1:1"
        ))  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; what is finished is kept in {place}: the same command goes on from there"
        ) from None
    return Study(
        setup, place, masks, layers, dense, doubled, grid, crossings, degenerating, followed, about, stage.seconds()
    )


def default_folder(setup: Setup) -> Path:
    """runs/sparse_masks-<eight digits of the settings>, so that each setup has a folder of its own."""
    text = hashlib.sha256(json.dumps(setup.settings(), sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"sparse_masks-{text[:8]}"


def description(setup: Setup) -> dict[str, Any]:
    """What decides the numbers, ready for JSON: study, settings, data with the sha256 of both parts, versions."""
    parts_of.cache_clear()
    raw, data = read_source(setup.data), parts_of(setup)
    return {
        "study": "sparse_masks",
        "settings": setup.settings(),
        "data": {
            "name": raw.name,
            "source": f"{raw.origin}, standardised per channel by the training part",
            "train": len(data.train[1]),
            "test": len(data.test[1]),
            "sha256": digest(data.train, data.test),
        },
        "versions": {name: metadata.version(name).partition("+")[0] for name in VERSIONED},
    }


@dataclass(frozen=True)
class _Stages:
    """Makes a table whose file is not there yet, shows its progress and keeps how long it took."""

    place: Path
    progress: bool | Report | None

    def __call__(self, number: int, what: str, name: str, make: Callable[[Report], pd.DataFrame]) -> pd.DataFrame:
        """Return what the file of the table `name` says, after `make` where it is missing."""
        start, file = time.monotonic(), self.place / f"{name}.csv"
        there = file.exists()

        def made() -> pd.DataFrame:
            with reporting(self.progress, f"{number}/{STAGES} {what}") as report:
                return make(report)

        found = kept.table(file, made)
        if not there:
            spent = self.seconds()
            spent[what] = round(spent.get(what, 0.0) + time.monotonic() - start, 1)
            kept.write_whole(self.place / "seconds.json", lambda draft: draft.write_text(json.dumps(spent)))
        return found

    def seconds(self) -> dict[str, float]:
        """Stage → seconds, in the session that finished it."""
        return kept.numbers(self.place / "seconds.json", dict)
