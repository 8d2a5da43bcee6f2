"""Dynamic sparse training followed over time, beside a twin whose mask stands still.

Networks start from random and from ERK masks, and their masks move by SET or RigL (`pruning.dynamic`), or not at all:
"static" sees the same samples in the same order from the same weights (and steps where the others, as in RigL, change
their masks in place of a step), so that what its measures do is the weights' doing, and what the others do beyond that
is the topology's. Gaps and IMDB of a static mask do not change; its weighted gaps do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import nn

from automl_theory.graphs.bipartite import bipartite
from automl_theory.graphs.mask_table import mask_table
from automl_theory.graphs.ramanujan import spectrum_of
from automl_theory.pruning.at_init import prune
from automl_theory.pruning.dynamic import DynamicSparse
from automl_theory.pruning.masks import Masks, graph_settings
from automl_theory.studies.pieces import Arrays
from automl_theory.studies.sparse_masks.measure import defined_means
from automl_theory.studies.sparse_masks.parts import parts_of
from automl_theory.studies.sparse_masks.setup import Setup
from automl_theory.studies.sparse_masks.tasks import Task
from automl_theory.studies.sparse_masks.train import COSTS, network, recipe
from automl_theory.training import evaluate, train

STARTS = ("random", "erk")
MOVERS = ("static", "set", "rigl")
MEANS = (
    "ramanujan_gap", "ramanujan_gap_excess", "ramanujan_gap_normalised", "imdb", "imdb_normalised", "narc",
    "weighted_gap", "nested_weighted_gap", "coordinate_length",
)  # fmt: skip
NEVER = 1
"""Masks move at steps below this one: never."""


@dataclass(frozen=True)
class Followed:
    """One training to follow."""

    setup: Setup
    network: str
    start: str
    mover: str
    seed: int


def followed_tasks(setup: Setup) -> list[Task]:
    """A training for each (network, start, mover, seed)."""
    return [
        Task(_follow, Followed(setup, name, start, mover, seed), COSTS[name] + 1)
        for name, start, mover, seed in product(setup.networks, STARTS, MOVERS, setup.followed_seeds)
    ]


def followed_table(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> pd.DataFrame:
    """`followed` of `study.Study`: one row a training and time, in order."""
    tables = []
    for task, piece in zip(tasks, pieces, strict=True):
        one = task.argument
        key = {"network": one.network, "start": one.start, "mover": one.mover}
        tables.append(pd.DataFrame(key | {"density": one.setup.followed_density, "seed": one.seed} | piece))
    return pd.concat(tables, ignore_index=True)


def times(total: int, snapshots: int) -> tuple[int, ...]:
    """The steps at which it is looked: `snapshots` + 1 from 0 to the last, evenly spaced; fewer if there are fewer."""
    return tuple(sorted({round(total * k / snapshots) for k in range(snapshots + 1)}))


def _follow(task: Followed) -> Arrays:
    setup, data = task.setup, parts_of(task.setup)
    net = network(setup, task.network, task.seed)
    per_epoch = recipe(setup, task.network).steps(len(data.train[1]))
    total = setup.epochs * per_epoch
    start = prune(net, task.start, setup.followed_density, seed=task.seed)
    moves = task.mover != "static"
    sparse = DynamicSparse(
        net, start, task.mover if moves else "set", until=3 * total // 4 if moves else NEVER,
        every=setup.followed_every, seed=task.seed,
    )  # fmt: skip
    wanted = set(times(total, setup.snapshots))
    rows = [_state(net, sparse.masks, start) | {"step": 0, "test_accuracy": evaluate(net, data.test)[1]}]
    net.train()

    def step(optimiser: torch.optim.Optimizer) -> None:
        sparse.step(optimiser)
        if sparse.steps in wanted:
            rows.append(_state(net, sparse.masks, start))
            rows[-1] |= {"step": sparse.steps, "test_accuracy": evaluate(net, data.test)[1]}
            net.train()

    train(net, data.train, data.test, recipe(setup, task.network), task.seed, step=step)
    found = {name: np.array([row[name] for row in rows]) for name in ("step", "test_accuracy", *rows[0])}
    return {"step": found["step"], "epoch": found["step"] / per_epoch} | found


def _state(net: nn.Module, masks: Masks, start: Masks) -> dict[str, float]:
    """The measures of the masks with the weights as they are, and the share of kept weights that are new."""
    held = {name: value.detach() for name, value in net.named_parameters()}
    table = mask_table(masks, held, **graph_settings(net, masks))
    new = sum(int((mask & ~start[name]).sum()) for name, mask in masks.items())
    scaled = []
    for (name, mask), gap in zip(masks.items(), table["weighted_gap"].to_numpy(), strict=True):
        graph = bipartite(mask, held[name])
        spectrum = spectrum_of(graph.matrix(graph.weights), binary=False)
        if spectrum is not None and spectrum.sigma1 > 0:
            scaled.append(float(gap) / spectrum.sigma1)
    return {
        "changed": new / sum(int(mask.sum()) for mask in masks.values()),
        **defined_means(table, MEANS),
        "weighted_gap_normalised": float(np.mean(scaled)) if scaled else np.nan,
        "share_ramanujan": float((table["ramanujan_gap"] > 0).mean()),
    }
