"""The whole study: measure, compute, train, compare; every finished part is kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from automl_theory.data import stratified_split
from automl_theory.errors import InputError, Interrupted
from automl_theory.linalg import one_thread
from automl_theory.progress import Report, reporting
from automl_theory.sources import read_source
from automl_theory.studies import folder as kept
from automl_theory.studies import images
from automl_theory.studies.no_free_lunch import caveats, claims, ensembles, measure, train
from automl_theory.studies.no_free_lunch.setup import FULL, Setup
from automl_theory.studies.no_free_lunch.study import Study

SEED = 0
VERSIONED = ("automl_theory", "torch", "numpy", "scipy", "pandas")

STAGES = 5

Kind = TypeVar("Kind")


def run(setup: Setup = FULL, folder: str | Path | None = None, *, progress: bool | Report | None = None) -> Study:
    """Run the study, or go on with a run that was stopped or killed, and return what it found.

    folder    where everything finished is kept, by default `default_folder(setup)`: trained.csv, measured.csv,
              exact.csv, graph.csv, extras.csv, curves.npz, warnings.csv, and claims.csv, which is written anew
    progress  as in `score_space`, for each stage

    Equal setups give equal tables, whatever the number of workers and however often a run was stopped.

    Errors: InputError for data that cannot be read, and a folder that cannot be written or is another run's;
    Interrupted on Ctrl-C, which says how to go on.
    """
    train.parts.cache_clear()
    x, y, classes = inputs(setup)
    codes, about = setup.architectures(), description(setup)
    place = kept.open_folder(Path(folder) if folder is not None else default_folder(setup), about)
    stage = _Stages(place, progress)

    def at_initialisation(report: Report) -> pd.DataFrame:
        report(0, len(codes), 0)
        return measure.measured(
            codes, x, seeds=range(setup.measure_seeds), width=setup.measure_width, points=setup.points,
            classes=classes, workers=setup.workers, progress=report,
        )  # fmt: skip

    def training(report: Report) -> tuple[pd.DataFrame, dict[str, Any]]:
        return train.train_all(setup, place / "training", progress=report)

    try:
        with _one_thread():
            graph = stage(1, "graphs", kept.table, "graph.csv", lambda _: measure.graph(codes))
            exact = stage(
                1, "closed forms", kept.table, "exact.csv",
                lambda _: measure.exact(codes, x, width=setup.measure_width, y=y),
            )  # fmt: skip
            measured = stage(2, "networks at initialisation", kept.table, "measured.csv", at_initialisation)
            curves = stage(3, "training", kept.arrays, "curves.npz", lambda report: training(report)[1])
            trained = stage(3, "training", kept.table, "trained.csv", lambda report: training(report)[0])
            extras = stage(
                4, "ensembles", kept.table, "extras.csv",
                lambda report: ensembles.train_extras(setup, place / "extras", progress=report),
            )  # fmt: skip
            warnings = stage(
                5, "three warnings", kept.table, "warnings.csv",
                lambda _: caveats.warnings_measured(
                    codes, measured, exact, dimension=x.shape[1], width=setup.measure_width,
                    seeds=range(setup.measure_seeds), points=setup.points,
                ),
            )  # fmt: skip
            compared = claims.claims(
                trained, measured, exact, graph, extras, data=about["data"]["name"], tuned=setup.tune
            )
            table, summary = claims.claims_table(compared), claims.summary(compared, trained)
            kept.write_whole(place / "claims.csv", lambda draft: table.to_csv(draft, index=False))
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; what is finished is kept in {place}: the same command goes on from there"
        ) from None
    return Study(
        setup, place, graph, exact, measured, trained, extras, curves, warnings, tuple(compared), table,
        tuple(summary), about, stage.seconds(),
    )  # fmt: skip


def default_folder(setup: Setup) -> Path:
    """runs/no_free_lunch-<eight digits of the settings>, so that each setup has a folder of its own."""
    digest = hashlib.sha256(json.dumps(setup.settings(), sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"no_free_lunch-{digest[:8]}"


def description(setup: Setup) -> dict[str, Any]:
    """What decides the numbers, ready for JSON: study, settings, data with the sha256 of both parts, versions."""
    raw = read_source(setup.data)
    return {
        "study": "no_free_lunch",
        "settings": setup.settings(),
        "data": {
            "name": raw.name,
            "source": f"{raw.origin}, standardised per channel by the training part",
            "samples": len(raw.labels),
            "sha256": images.digest(*train.parts(setup.data, setup.train_samples)[0]),
        },
        "versions": {name: metadata.version(name).partition("+")[0] for name in VERSIONED},
    }


def inputs(setup: Setup) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """What kernels and curves are measured on: (measure_inputs, d) images, each of norm 1, their labels, and classes.

    They are of the training part as it is trained on (`train.parts`), class-balanced as it is, drawn with seed 0.
    Errors: InputError if it has fewer, and for data that cannot be read.
    """
    ((images, labels), _), classes = train.parts(setup.data, setup.train_samples)
    x, y = images.numpy().astype(np.float64), labels.numpy()
    if setup.measure_inputs > len(x):
        raise InputError(
            f"expected measure_inputs of at most {len(x)}, the training samples, got {setup.measure_inputs}; give fewer"
        )
    if setup.measure_inputs < len(x):
        chosen, _ = stratified_split(y, setup.measure_inputs, SEED)
        x, y = x[chosen], y[chosen]
    return x / np.linalg.norm(x, axis=1, keepdims=True), y, classes


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is computed in this process is computed by one thread, as in the workers: last bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_thread():
            yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Stages:
    """Runs a stage whose file is not there yet, shows its progress and keeps how long it took."""

    place: Path
    progress: bool | Report | None

    def __call__(
        self, number: int, name: str, keep: Callable[[Path, Callable[[], Kind]], Kind], file: str,
        make: Callable[[Report], Kind],
    ) -> Kind:  # fmt: skip
        """Return what `keep` reads from `file`, after `make` where it is missing."""
        start, there = time.monotonic(), (self.place / file).exists()

        def made() -> Kind:
            with reporting(self.progress, f"{number}/{STAGES} {name}") as report:
                return make(report)

        found = keep(self.place / file, made)
        if not there:
            spent = self.seconds()
            spent[name] = round(spent.get(name, 0.0) + time.monotonic() - start, 1)
            kept.write_whole(self.place / "seconds.json", lambda draft: draft.write_text(json.dumps(spent)))
        return found

    def seconds(self) -> dict[str, float]:
        """Stage → seconds, in the session that finished it."""
        return kept.numbers(self.place / "seconds.json", dict)
