"""The whole study: draw, measure, estimate, rule; with a folder, every finished part is kept in it."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.errors import Interrupted
from automl_theory.infinite_width.pruned_mlp import pruned_mlp_ntk
from automl_theory.progress import Report
from automl_theory.studies import folder as kept
from automl_theory.studies.pruned_ntk.drawing import authors_pair, measure
from automl_theory.studies.pruned_ntk.estimates import cell_table, estimates, statement_table
from automl_theory.studies.pruned_ntk.setup import FULL, Setup

VERSIONED = ("automl_theory", "torch", "numpy", "pandas")


@dataclass(frozen=True, eq=False)
class Study:
    """What was measured and what it says.

    draws       one row a network: keep, width, draw, seed (of its pair (α, d), see `cell_seed`), `raw` Θ̃(x, y)
                without rescaling, `rescaled` with it, `diagonal` the mean of Θ̃(x, x) and Θ̃(y, y) with it
    cells       one row a pair (α, d): n, `ratio` mean of raw/(α^L Θ), `rescaled_ratio` of rescaled/Θ,
                `diagonal_ratio` of diagonal/(L + 1); `variance` and `deviation` (mean absolute, from Θ) of rescaled;
                each with its `_se`
    estimates   statement, quantity, keep and width (NaN where it is over all), predicted (NaN: theory gives no number),
                value, low, high, tolerance, verdict ("" without a prediction)
    statements  statement, verdict, `estimates` how many are behind it
    theta       Θ(x, y), infinitely wide and dense
    about       settings and versions that decided the numbers
    seconds     how long drawing and measuring took in the session that finished it; NaN: not kept
    folder      where the tables are; None: nowhere
    """

    setup: Setup
    draws: pd.DataFrame
    cells: pd.DataFrame
    estimates: pd.DataFrame
    statements: pd.DataFrame
    theta: float
    about: dict[str, Any]
    seconds: float
    folder: Path | None


def run(setup: Setup = FULL, folder: str | Path | None = None, *, progress: bool | Report | None = None) -> Study:
    """Draw, measure, estimate and rule. Equal setups give equal tables, whatever the number of workers.

    folder    where everything finished is kept, and from where a killed run goes on: draws.csv, and cells.csv,
              estimates.csv and statements.csv, which are written anew; None: nothing is kept
    progress  as in `score_space`

    Errors: InputError for a folder that cannot be written or is another run's; AutoMLTheoryError with the reason where
    a worker could not do its part; Interrupted on Ctrl-C with a folder, which says how to go on.
    """
    about, place = description(setup), None
    if folder is not None:
        place = kept.open_folder(Path(folder), about)
    start = time.monotonic()
    if place is None:
        draws, seconds = measure(setup, progress=progress), time.monotonic() - start
    else:
        try:
            draws = kept.table(place / "draws.csv", lambda: measure(setup, place / "pieces", progress=progress))
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped; what is finished is kept in {place}: the same command goes on from there"
            ) from None
        took = {"seconds": round(time.monotonic() - start, 1)}
        seconds = float(kept.numbers(place / "seconds.json", lambda: took)["seconds"])
    theta = float(pruned_mlp_ntk(authors_pair(), setup.depth)[0, 1])
    table = estimates(draws, setup, theta)
    tables = {"cells": cell_table(draws, setup, theta), "estimates": table, "statements": statement_table(table)}
    if place is not None:
        for name, made in tables.items():
            _write(place / f"{name}.csv", made)
    return Study(setup, draws, **tables, theta=theta, about=about, seconds=seconds, folder=place)


def _write(file: Path, table: pd.DataFrame) -> None:
    kept.write_whole(file, lambda draft: table.to_csv(draft, index=False))


def description(setup: Setup) -> dict[str, Any]:
    """What decides the numbers, ready for JSON: study, settings, versions."""
    versions = {name: metadata.version(name).partition("+")[0] for name in VERSIONED}
    return {"study": "pruned_ntk", "settings": setup.settings(), "versions": versions}


def default_folder(setup: Setup) -> Path:
    """runs/pruned_ntk-<eight digits of the settings>, so that each setup has a folder of its own."""
    digest = hashlib.sha256(json.dumps(setup.settings(), sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"pruned_ntk-{digest[:8]}"
