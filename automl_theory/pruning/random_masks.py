"""Masks drawn at random, without a look at weights or data: the baselines of every other method.

Each weight gets a number U(0, 1) from the generator of its parameter's name and the seed (`networks.initialise`, with
names of its own so that a mask does not follow the weights of the same seed), and the largest stay. So the order within
a layer does not depend on the others, and masks of one seed are nested in density.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from automl_theory.networks.initialise import generator
from automl_theory.pruning.budgets import Counts, erk_counts, uniform_counts
from automl_theory.pruning.masks import Masks
from automl_theory.pruning.selection import keep_largest


def random_scores(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """U(0, 1) in float64 for each weight: the K largest of all are K weights drawn without replacement."""
    return {
        name: torch.from_numpy(generator(f"prune {name}", seed).random(tuple(w.shape))).to(w.device)
        for name, w in weights.items()
    }


def uniform(weights: Mapping[str, Tensor], density: float, seed: int, rng: np.random.Generator) -> Masks:
    """Each layer keeps the same share, at random: budgets of `uniform_counts`."""
    return _drawn(weights, uniform_counts([w.numel() for w in weights.values()], density), seed, rng)


def erk(weights: Mapping[str, Tensor], density: float, seed: int, rng: np.random.Generator) -> Masks:
    """Each layer keeps the share that the Erdős-Rényi-Kernel rule gives it (`erk_densities`), at random."""
    return _drawn(weights, erk_counts([tuple(w.shape) for w in weights.values()], density), seed, rng)


def _drawn(weights: Mapping[str, Tensor], counts: Counts, seed: int, rng: np.random.Generator) -> Masks:
    scores = random_scores(weights, seed)
    return {name: keep_largest(scores[name], int(count), rng) for name, count in zip(weights, counts, strict=True)}
