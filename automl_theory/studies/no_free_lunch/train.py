"""Trained truth: the live DAGs trained by plain SGD, and the paper's three outcomes of each.

    expressivity     train_loss: mean cross-entropy of the training part at the end
    convergence      epochs_to_50: epochs until the running training accuracy reaches 50 %, interpolated
    generalization   gap: test loss minus training loss

As published (section 5 and appendix C.1): one constant learning rate for all, batches of 128, no momentum, no weight
decay, no augmentation. Not as published: the data set, the width, no biases (so are the paper's formulas), and the same
number of epochs for all; a run `converged` if the second half of it changed the loss by at most 0.01 nats.

Codes with the same live linear edges that also compute the same function have, for one seed, the same weights, which
are keyed by name, and the same batches: they are one and the same training run, which is done once and stands in the
table under each code. Among the 541 codes are 221 such networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from automl_theory.progress import Report
from automl_theory.spaces.mlp_dag_stacks import groups, stack
from automl_theory.studies import images
from automl_theory.studies.no_free_lunch.setup import Setup
from automl_theory.studies.pieces import Arrays, run_pieces
from automl_theory.training import Data, Many, Recipe, train_many

PIECE = 12
"""Networks trained at once, at most: fixed, since the last bits depend on it."""

TUNING_FACTORS = tuple(2 ** (-k / 2) for k in range(4))
"""Appendix C.3 of the paper: 0.005 · (1, 0.707, 0.5, 0.354), from 0.005 to 0.00177."""

TUNING_SHARE = 8
"""Rates are compared after 1/8 of the epochs."""

OUTCOMES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "epochs_to_50", "halfway_loss", "converged")
COLUMNS = (
    "arch", "seed", "learning_rate", "train_loss", "test_loss", "gap", "train_accuracy", "test_accuracy",
    "epochs_to_50", "halfway_loss", "converged", "status",
)  # fmt: skip

Member = tuple[str, int, float]


@dataclass(frozen=True)
class _Piece:
    """Members (code of one class, seed, learning rate) to be trained at once for so many epochs."""

    setup: Setup
    members: tuple[Member, ...]
    epochs: int


def train_all(
    setup: Setup, folder: Path, progress: Report | None = None
) -> tuple[pd.DataFrame, dict[str, np.ndarray[Any, Any]]]:
    """Train `setup.architectures()` under each of `setup.seeds`; resumes what is in `folder`.

    Returns a table, one row an architecture and seed, in their order, with the columns `arch, seed, learning_rate,
    train_loss, test_loss, gap, train_accuracy, test_accuracy, epochs_to_50, halfway_loss, converged, status` (losses
    in nats, accuracies in %; nan where the status is "diverged", see `training.Many`), and the training curves in the
    rows' order: {"arch" (N,), "seed" (N,), "loss" (N, epochs), "accuracy" (N, epochs)}, float32.

    With `setup.tune` each architecture has the one of four rates, the study's times `TUNING_FACTORS`, that has the
    least training loss after an eighth of the epochs under the first seed. `progress` is called with (finished, total,
    failed) in networks.

    Errors: InputError for data that cannot be read or a folder of another run.
    """
    same = {code: first for group in groups(setup.architectures()) for code, first in group.distinct().items()}
    rates = dict.fromkeys(same.values(), float(setup.learning_rate))
    counts = [len(rates) * len(setup.seeds)]
    if setup.tune:
        counts.insert(0, len(rates) * len(TUNING_FACTORS))
        found = _run(
            setup,
            {first: [(setup.seeds[0], rates[first] * factor) for factor in TUNING_FACTORS] for first in rates},
            max(setup.epochs // TUNING_SHARE, 1),
            folder / "tuning",
            _part(progress, counts, 0),
        )
        rates = {first: _best(rows) for first, rows in found.items()}
    plan = {first: [(seed, rate) for seed in setup.seeds] for first, rate in rates.items()}
    found = _run(setup, plan, setup.epochs, folder / "final", _part(progress, counts, len(counts) - 1))
    rows = [row for arch in setup.architectures() for row in ({**row, "arch": arch} for row in found[same[arch]])]
    table = pd.DataFrame(rows)
    curves = {
        "arch": np.array([row["arch"] for row in rows]),
        "seed": np.array([row["seed"] for row in rows]),
        "loss": np.stack([row["losses"] for row in rows]),
        "accuracy": np.stack([row["accuracies"] for row in rows]),
    }
    return table[list(COLUMNS)], curves


@lru_cache(maxsize=1)
def parts(data: str, train_samples: int) -> tuple[tuple[Data, Data], int]:
    """The training and the test part of `images.parts`, flattened; and the classes. Read once a process: a run begins
    with `parts.cache_clear()`, so as to read anew.

    A standardised image has mean square 1 a number, |x|² = d, so that under He initialisation every layer's mean square
    is of order 1: the paper's normalisation, too. Errors: InputError for unreadable data or too few samples.
    """
    ((x, y), (x_test, y_test)), classes = images.parts(data, train_samples)
    return ((x.flatten(1), y), (x_test.flatten(1), y_test)), classes


def recipe(setup: Setup, epochs: int | None = None) -> Recipe:
    """Plain SGD with a constant rate, as the paper's."""
    return Recipe(epochs or setup.epochs, setup.batch_size, setup.learning_rate, 0.0, 0.0, "constant")


def identity(setup: Setup) -> dict[str, Any]:
    """What decides a training run, ready for JSON."""
    names = ("data", "train_samples", "width", "epochs", "batch_size", "learning_rate", "seeds", "tune")
    settings = setup.settings()
    return {
        **{name: settings[name] for name in names},
        "images": images.digest(*parts(setup.data, setup.train_samples)[0]),
        "torch": torch.__version__,
    }


def arrays(trained: Many) -> Arrays:
    """The numbers of a training run as they are stored: outcomes, statuses, and the curves in float32."""
    return {
        **{name: getattr(trained, name) for name in OUTCOMES},
        "status": np.array(trained.status),
        "losses": trained.losses.astype(np.float32),
        "accuracies": trained.accuracies.astype(np.float32),
    }


def row(piece: Arrays, place: int) -> dict[str, Any]:
    """One member's outcomes out of a stored piece: floats, its `converged` and `status`, the gap, and its curves."""
    values: dict[str, Any] = {name: piece[name][place].item() for name in (*OUTCOMES, "status")}
    values["gap"] = values["test_loss"] - values["train_loss"]
    return {**values, "losses": piece["losses"][place], "accuracies": piece["accuracies"][place]}


def _run(
    setup: Setup, plan: Mapping[str, Sequence[tuple[int, float]]], epochs: int, folder: Path, progress: Report | None
) -> dict[str, list[dict[str, Any]]]:
    """Train each code with each of its (seed, rate) pairs; the rows of each code, in the order of its pairs."""
    tasks = []
    for group in groups(plan):
        members = [(code, seed, rate) for code in group.codes for seed, rate in plan[code]]
        tasks += [_Piece(setup, tuple(members[k : k + PIECE]), epochs) for k in range(0, len(members), PIECE)]
    about = {**identity(setup), "epochs": epochs, "codes": sorted(plan)}
    pieces = run_pieces(
        _train, tasks, [len(task.members) for task in tasks], folder, about, workers=setup.workers, progress=progress
    )
    found: dict[str, list[dict[str, Any]]] = {code: [] for code in plan}
    for task, piece in zip(tasks, pieces, strict=True):
        for place, (code, seed, rate) in enumerate(task.members):
            found[code].append({"seed": seed, "learning_rate": rate, **row(piece, place)})
    return found


def _train(piece: _Piece) -> Arrays:
    setup = piece.setup
    (train_data, test_data), classes = parts(setup.data, setup.train_samples)
    codes, seeds, rates = zip(*piece.members, strict=True)
    (group,) = groups(dict.fromkeys(codes))
    networks = stack(group, list(zip(codes, seeds, strict=True)), train_data[0].shape[1], setup.width, classes)
    how = recipe(setup, piece.epochs)
    return arrays(train_many(networks, train_data, test_data, how, seeds=seeds, learning_rates=rates))


def _best(rows: Sequence[Mapping[str, Any]]) -> float:
    """The rate of the row with the least training loss; of equal ones, and if all diverged, the smallest."""
    losses = [math.inf if math.isnan(row["train_loss"]) else row["train_loss"] for row in rows]
    return float(min(zip(losses, (row["learning_rate"] for row in rows), strict=True))[1])


def _part(progress: Report | None, counts: Sequence[int], stage: int) -> Callable[[int, int, int], None] | None:
    """Progress of one stage as part of all."""
    if progress is None:
        return None
    before, total = sum(counts[:stage]), sum(counts)
    return lambda finished, _, failed: progress(before + finished, total, failed)
