"""Work of several kinds in one go, so that worker processes start once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from automl_theory.progress import Report
from automl_theory.studies.images import digest
from automl_theory.studies.pieces import Arrays, run_pieces
from automl_theory.studies.sparse_masks.parts import parts_of
from automl_theory.studies.sparse_masks.setup import Setup


@dataclass(frozen=True, eq=False)
class Task:
    """`function(argument)`, both picklable, and what it costs beside others."""

    function: Callable[[Any], Arrays]
    argument: Any
    cost: int


def run_all(
    kinds: Mapping[str, Sequence[Task]], setup: Setup, folder: Path, progress: Report | None = None
) -> dict[str, list[Arrays]]:
    """Return kind -> the pieces of its tasks, read from `folder` where they are done, else run and stored there.

    `progress` is called with (finished, total, failed) in units of the tasks' costs. Errors: as `pieces.run_pieces`.
    """
    tasks = [task for kind in kinds.values() for task in kind]
    data = parts_of(setup)
    about = {
        "kinds": {name: len(kind) for name, kind in kinds.items()},
        "settings": setup.settings(),
        "images": digest(data.train, data.test),
        "torch": torch.__version__,
    }
    pieces = iter(run_pieces(
        _call, tasks, [task.cost for task in tasks], folder, about, workers=setup.workers, progress=progress
    ))  # fmt: skip
    return {name: list(islice(pieces, len(kind))) for name, kind in kinds.items()}


def _call(task: Task) -> Arrays:
    return task.function(task.argument)
