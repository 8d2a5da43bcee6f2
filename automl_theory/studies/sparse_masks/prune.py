"""The masks of every method, and the weights that training under them starts from. Only the training part is seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from automl_theory.pruning.at_init import METHODS, prune
from automl_theory.pruning.full_spectrum import full_spectrum
from automl_theory.pruning.masks import Masks
from automl_theory.studies.sparse_masks.parts import balanced
from automl_theory.studies.sparse_masks.setup import LATE, Setup
from automl_theory.training import Data

State = Mapping[str, Tensor]
ROUND = 2.5
"""What a round of pruning and rewinding may divide the density by, at most."""


def at_initialisation(net: nn.Module, method: str, density: float, seed: int, setup: Setup, data: Data) -> Masks:
    """Masks of `at.prune` on `setup.score_samples` of `data`, the training part, drawn with `seed`."""
    x, y = balanced(data, setup.score_samples, seed)
    rounds = setup.rounds if METHODS[method].rounds > 1 else None
    return prune(net, method, density, x, y, seed, rounds=rounds)


def rewinding_path(densities: Sequence[float]) -> tuple[float, ...]:
    """Falling densities that pruning in rounds goes through: all of these, and between them, from 1 on, as few others
    in geometric series as leave no round less than 1/`ROUND` of what it had.

    (0.1, 0.05) -> 0.464, 0.215, 0.1, 0.05.
    """
    path, now = [], 1.0
    for density in sorted(densities, reverse=True):
        steps = max(1, math.ceil(math.log(now / density) / math.log(ROUND) - 1e-9))
        path += [now * (density / now) ** (k / steps) for k in range(1, steps)] + [density]
        now = density
    return tuple(path)


def pruned(
    net: nn.Module, method: str, density: float, seed: int, setup: Setup, data: Data, early: State, rewound: Masks
) -> Masks:
    """Return the masks of any of `setup.METHODS`, and leave `net` with the weights that training starts from.

    net       as it was initialised
    data      the training part
    early     its state after `setup.dense_epochs` of dense training, for the late methods
    rewound   the masks of "rewound", which pruning in rounds has found (`train`)
    """
    if method not in LATE:
        return at_initialisation(net, method, density, seed, setup, data)
    with torch.no_grad():
        net.load_state_dict(dict(early))
    if method == "rewound":
        return rewound
    if method == "pretrained_magnitude":
        return prune(net, "magnitude", density, seed=seed)
    x, y = data
    population = setup.population if method == "full_spectrum" else 0
    return full_spectrum(net, setup.base, density, x, y, population=population, seed=seed).masks
