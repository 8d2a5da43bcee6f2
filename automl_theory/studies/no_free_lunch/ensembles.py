"""The networks of the paper's Table 1 and of its Figure 7, trained as all others are.

    single     2_22_221   the best single architecture
    wide       1_22_221   shallow paths, many of them
    deep       2_02_002   one path, deep
    ensemble   wide and deep on the same nodes: both edge sets, which add up (7 linear edges)

Pruned ensembles keep a random part of their weights: of each linear edge that is the wide cell's a share of
`wide_pruning` is removed at initialisation and stays 0, of each of the deep cell's `deep_pruning`. Table 1 prunes 20 %
and 50 %; Figure 7 varies both. Of the two parallel edges 1 > 2 the wide cell's has the weights that this edge has in
every single cell, the deep cell's has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from automl_theory.networks.initialise import generator
from automl_theory.networks.mlp_stack import draw_stack, edge_name
from automl_theory.progress import Report
from automl_theory.spaces.mlp_dag_stacks import Union, union
from automl_theory.studies.no_free_lunch import train
from automl_theory.studies.no_free_lunch.setup import Setup
from automl_theory.studies.pieces import Arrays, run_pieces
from automl_theory.training import train_many

SINGLE, WIDE, DEEP = "2_22_221", "1_22_221", "2_02_002"
TABLE_1 = ((0.0, 0.0), (0.2, 0.5))
"""(wide_pruning, deep_pruning) of Table 1's two ensembles."""

COLUMNS = ("network", "arch", "wide_pruning", "deep_pruning", "parameters", *train.COLUMNS[1:])

Ratios = tuple[float, float]


@dataclass(frozen=True)
class _Piece:
    """Networks of one graph: the union of `codes`, with the pruning ratios of (wide, deep) and seeds of each."""

    setup: Setup
    network: str
    codes: tuple[str, ...]
    members: tuple[tuple[Ratios, int], ...]


def train_extras(setup: Setup, folder: Path, progress: Report | None = None) -> pd.DataFrame:
    """Train the single networks of Table 1, its two ensembles and Figure 7's sweep under each of `setup.seeds`.

    The sweep is every pair of ratios out of `setup.pruning`. Returns one row a network and seed with the columns of
    `train.train_all`'s table and

    network                      "single", "wide", "deep" or "ensemble"
    arch                         the code; of an ensemble both, joined by "+"
    wide_pruning, deep_pruning   of an ensemble the ratios in [0, 1); else nan
    parameters                   weights that are not pruned

    All with `setup.learning_rate`, tuned or not. `folder`, `progress` and errors as for `train.train_all`.
    """
    pairs = dict.fromkeys((*TABLE_1, *((wide, deep) for wide in setup.pruning for deep in setup.pruning)))
    ensembles = [(ratios, seed) for ratios in pairs for seed in setup.seeds]
    tasks = [
        _Piece(setup, network, (code,), tuple(((0.0, 0.0), seed) for seed in setup.seeds))
        for network, code in (("single", SINGLE), ("wide", WIDE), ("deep", DEEP))
    ]
    tasks += [
        _Piece(setup, "ensemble", (WIDE, DEEP), tuple(ensembles[k : k + train.PIECE]))
        for k in range(0, len(ensembles), train.PIECE)
    ]
    about = {**train.identity(setup), "pruning": list(setup.pruning)}
    sizes = [len(task.members) for task in tasks]
    pieces = run_pieces(_train, tasks, sizes, folder, about, workers=setup.workers, progress=progress)
    rows = []
    for task, piece in zip(tasks, pieces, strict=True):
        for place, (ratios, seed) in enumerate(task.members):
            wide, deep = ratios if task.network == "ensemble" else (np.nan, np.nan)
            told = {"network": task.network, "arch": "+".join(task.codes), "wide_pruning": wide, "deep_pruning": deep}
            known = {"seed": seed, "learning_rate": setup.learning_rate}
            kept = {"parameters": piece["parameters"][place].item()}
            rows.append({**told, **known, **kept, **train.row(piece, place)})
    return pd.DataFrame(rows)[list(COLUMNS)]


def masks(graph: Union, members: Sequence[tuple[Ratios, int]], width: int) -> list[Tensor | None]:
    """Of each unit of a stack of ensembles, which weights are kept: None for the stem, else (K, m, m) of 0 and 1.

    An edge of m² weights loses the round(ratio · m²) whose uniform numbers, keyed by the edge's name and the seed, are
    least: of two ratios the smaller one's pruned weights are pruned by the larger one, too.
    """
    found: list[Tensor | None] = [None]
    for edge, owner in zip(graph.edges, graph.owners, strict=True):
        kept = []
        for ratios, seed in members:
            order = np.argsort(generator(f"{edge_name(edge)}:mask", seed).random(width * width), kind="stable")
            one = np.ones(width * width, dtype=np.float32)
            one[order[: round(ratios[owner] * width * width)]] = 0
            kept.append(torch.from_numpy(one.reshape(width, width)))
        found.append(torch.stack(kept))
    return found


def _train(piece: _Piece) -> Arrays:
    setup = piece.setup
    (train_data, test_data), classes = train.parts(setup.data, setup.train_samples)
    graph = union(piece.codes)
    seeds = [seed for _, seed in piece.members]
    features = train_data[0].shape[1]
    networks = draw_stack(graph.reads, [(graph.edges, seed) for seed in seeds], features, setup.width, classes)
    kept = (features + classes) * setup.width + np.zeros(len(seeds), dtype=np.int64)
    if piece.network == "ensemble":
        drawn = masks(graph, piece.members, setup.width)
        networks = networks.masked(drawn)
        for mask in drawn:
            kept += 0 if mask is None else mask.sum((1, 2)).long().numpy()
    else:
        kept += len(graph.edges) * setup.width**2
    trained = train_many(networks, train_data, test_data, train.recipe(setup), seeds=seeds)
    return {**train.arrays(trained), "parameters": kept}
