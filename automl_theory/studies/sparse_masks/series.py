"""Masks that are measured without training: over many densities, and rewired step by step until they are random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from automl_theory.graphs.mask_table import mask_table
from automl_theory.networks.initialise import generator
from automl_theory.pruning.at_init import METHODS as AT_INIT
from automl_theory.pruning.masks import graph_settings
from automl_theory.studies.pieces import Arrays
from automl_theory.studies.sparse_masks.measure import defined_means, packed
from automl_theory.studies.sparse_masks.parts import parts_of
from automl_theory.studies.sparse_masks.prune import at_initialisation
from automl_theory.studies.sparse_masks.setup import Setup
from automl_theory.studies.sparse_masks.tasks import Task
from automl_theory.studies.sparse_masks.train import network

GRID = ("narc", "ramanujan_gap", "ramanujan_gap_random", "ramanujan_gap_excess", "imdb", "imdb_normalised")
REWIRED = (
    "edges", "layer_density", "narc", "ramanujan_gap", "ramanujan_gap_random", "ramanujan_gap_excess", "imdb",
    "imdb_normalised", "sigma2",
)  # fmt: skip
QUANTITIES = ("narc", "largest_narc")
COST = 3
"""Of one task, reckoned as in `train.COSTS`."""


@dataclass(frozen=True)
class Masked:
    """The masks of one method on one network: at these densities, with this seed."""

    setup: Setup
    network: str
    method: str
    seed: int


def grid_tasks(setup: Setup) -> list[Task]:
    """The setup's methods at initialisation over `setup.grid`, for each network and seed."""
    methods = [method for method in setup.methods if method in AT_INIT]
    return [
        Task(_over_densities, Masked(setup, *which), COST)
        for which in product(setup.networks, methods, setup.grid_seeds)
    ]


def degenerating_tasks(setup: Setup) -> list[Task]:
    """The masks of `setup.rewired_methods`, rewired until they are random, for each network and draw."""
    return [
        Task(_degenerating, Masked(setup, *which), COST)
        for which in product(setup.networks, setup.rewired_methods, range(setup.rewired_draws))
    ]


def series_table(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> pd.DataFrame:
    """`grid` or `degenerating` of `study.Study`."""
    return pd.concat(
        [
            pd.DataFrame({"network": task.argument.network, "method": task.argument.method} | piece)
            for task, piece in zip(tasks, pieces, strict=True)
        ],
        ignore_index=True,
    )


def rewired(mask: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Return `mask` with round(share · E) of its E edges, drawn at random, moved to places drawn at random.

    The new places are uniform among all that the edges left standing leave free, those just left too, so that share 1
    is a mask drawn uniformly among those of E edges. share 0 is the mask itself.
    """
    flat = mask.flatten().numpy()
    edges = np.flatnonzero(flat)
    count = round(share * len(edges))
    moved = flat.copy()
    moved[rng.choice(edges, count, replace=False)] = False
    moved[rng.choice(np.flatnonzero(~moved), count, replace=False)] = True
    return torch.from_numpy(moved).view(mask.shape)


def crossings(grid: pd.DataFrame) -> pd.DataFrame:
    """Where NaRC crosses zero as density grows, by network, method and seed: `crossings` of `study.Study`.

    Between neighbouring defined densities of opposite signs, linear in log density; of several the first is told, and
    `times` counts them all. nan: it never does. `low_sign` is the sign at the lowest density where it is defined.
    """
    rows = []
    for (network_name, method, seed), part in grid.groupby(["network", "method", "seed"], sort=False):
        for quantity in QUANTITIES:
            known = part[["density", quantity]].dropna().sort_values("density").to_numpy()
            place = np.log(known[:, 0])
            value = known[:, 1]
            at = np.flatnonzero(np.sign(value[:-1]) * np.sign(value[1:]) < 0)
            where = np.nan
            if len(at):
                a, b = at[0], at[0] + 1
                where = float(np.exp(place[a] - value[a] * (place[b] - place[a]) / (value[b] - value[a])))
            sign = "none" if not len(value) else "+" if value[0] > 0 else "-"
            rows.append((network_name, method, seed, quantity, where, len(at), sign))
    return pd.DataFrame(rows, columns=["network", "method", "seed", "quantity", "density", "times", "low_sign"])


def _over_densities(task: Masked) -> Arrays:
    rows = []
    for density in task.setup.grid:
        net = network(task.setup, task.network, task.seed)
        masks = at_initialisation(net, task.method, density, task.seed, task.setup, parts_of(task.setup).train)
        table = mask_table(masks, **graph_settings(net, masks))
        largest = int(np.argmax([mask.numel() for mask in masks.values()]))
        rows.append({
            "density": density, "seed": task.seed, **defined_means(table, GRID),
            "narc__defined": float(table["narc"].notna().mean()),
            "imdb__defined": float(table["imdb"].notna().mean()),
            "mean_layer_density": float(table["density"].mean()),
            "layers_collapsed": int((table["edges"] == 0).sum()),
            "largest_narc": float(table["narc"].to_numpy()[largest]),
        })  # fmt: skip
    return packed(pd.DataFrame(rows))


def _degenerating(task: Masked) -> Arrays:
    """`seed` of the task is the draw: of the network, its mask and what is rewired."""
    tables = []
    for density in task.setup.densities:
        net = network(task.setup, task.network, task.seed)
        masks = at_initialisation(net, task.method, density, task.seed, task.setup, parts_of(task.setup).train)
        for share in task.setup.rewired_shares:
            rng = generator(f"rewired {task.method} {density!r} {share!r}", task.seed)
            moved = {name: rewired(mask, share, rng) for name, mask in masks.items()}
            table = mask_table(moved, **graph_settings(net, moved)).rename(columns={"density": "layer_density"})
            key = {"density": density, "seed": task.seed, "draw": task.seed, "share": share}
            tables.append(table[list(REWIRED)].reset_index().assign(**key))
    return packed(pd.concat(tables, ignore_index=True))
