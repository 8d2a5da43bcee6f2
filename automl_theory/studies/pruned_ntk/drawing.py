"""Pruned networks drawn and their kernels measured, in pieces that a killed run goes on from."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from automl_theory.probing.masked_mlp import draw_masked_mlps, masked_mlp_ntk, rescaled
from automl_theory.progress import Report, reporting
from automl_theory.studies.pieces import Arrays, run_pieces
from automl_theory.studies.pruned_ntk.setup import Setup, cell_seed

Task = tuple[int, float, int, int, int, int]

MEASURED = ("raw", "rescaled", "diagonal")
DRAWS_A_TASK = 64
NUMBERS_AT_ONCE = 2**22
MILLION = 10**6


def authors_pair() -> NDArray[np.float64]:
    """The two inputs of the authors' experiment, (2, 10), each of norm 1: their inner product is 0.7687972123753376."""
    rng = np.random.RandomState(1)
    drawn = np.stack([rng.random_sample(10), rng.random_sample(10)])
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def measure(setup: Setup, folder: Path | None = None, *, progress: bool | Report | None = None) -> pd.DataFrame:
    """Draw the networks and measure their kernels: the table `draws` of `Study`, one row a network.

    folder    where finished pieces are kept and read again; None: nowhere
    progress  as in `score_space`; it counts millions of drawn weights, which is what the time goes by

    Errors: as `run_pieces`.
    """
    tasks: list[Task] = [
        (setup.depth, keep, width, cell_seed(setup, keep, width), start, min(start + DRAWS_A_TASK, setup.draws))
        for keep, width in setup.cells()
        for start in range(0, setup.draws, DRAWS_A_TASK)
    ]
    sizes = [max(1, depth * width**2 * (stop - start) // MILLION) for depth, _, width, _, start, stop in tasks]
    place: AbstractContextManager[str | Path] = TemporaryDirectory() if folder is None else nullcontext(folder)
    with place as kept, reporting(progress, "pruned networks, million weights") as report:
        about = {"study": "pruned_ntk", **setup.settings()}
        pieces = run_pieces(measured, tasks, sizes, Path(kept), about, workers=setup.workers, progress=report)
    parts = []
    for (_, keep, width, seed, start, stop), piece in zip(tasks, pieces, strict=True):
        named = {"keep": keep, "width": width, "draw": np.arange(start, stop), "seed": seed}
        parts.append(pd.DataFrame(named | {name: piece[name] for name in MEASURED}))
    return pd.concat(parts, ignore_index=True).sort_values(["keep", "width", "draw"], ignore_index=True)


def measured(task: Task) -> Arrays:
    """Θ̃(x, y) of a piece's networks, `raw` and `rescaled`, and the mean of Θ̃(x, x) and Θ̃(y, y) with rescaling."""
    depth, keep, width, seed, start, stop = task
    x = torch.from_numpy(authors_pair())
    at_once = max(1, NUMBERS_AT_ONCE // width**2)
    found = []
    for first in range(start, stop, at_once):
        numbers = range(first, min(first + at_once, stop))
        nets = draw_masked_mlps(numbers, width, in_features=x.shape[1], depth=depth, keep=keep, seed=seed)
        raw, scaled = masked_mlp_ntk(nets, x), masked_mlp_ntk(rescaled(nets, keep), x)
        diagonal = scaled.diagonal(dim1=1, dim2=2).mean(1)
        found.append(torch.stack([raw[:, 0, 1], scaled[:, 0, 1], diagonal]).to(torch.float64).numpy())
    return dict(zip(MEASURED, np.concatenate(found, axis=1), strict=True))
