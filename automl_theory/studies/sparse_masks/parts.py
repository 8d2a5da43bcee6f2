"""The images of the study: a training part, of which pruning sees some, and a test part for the outcomes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from automl_theory.data import stratified_split
from automl_theory.studies import images
from automl_theory.studies.sparse_masks.setup import Setup
from automl_theory.training import Data


@dataclass(frozen=True, eq=False)
class Parts:
    """Images (n, c, h, w), standardised per channel by the training part, with labels, and how many classes."""

    train: Data
    test: Data
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an image."""
        channels, height, width = (int(size) for size in self.train[0].shape[1:])
        return channels, height, width


def parts(data: str, train_samples: int, test_samples: int) -> Parts:
    """The two parts as `images.parts` draws them; errors as there."""
    (train, test), classes = images.parts(data, train_samples, test_samples)
    return Parts(train, test, classes)


@lru_cache(maxsize=1)
def parts_of(setup: Setup) -> Parts:
    """The parts of a study, read once a process; a run begins with `parts_of.cache_clear()`, so as to read anew."""
    return parts(setup.data, setup.train_samples, setup.test_samples)


def balanced(data: Data, samples: int, seed: int) -> Data:
    """So many of them, class-balanced, drawn with `seed`; all, if there are no more."""
    x, y = data
    if samples >= len(y):
        return data
    chosen = torch.from_numpy(stratified_split(y.numpy(), samples, seed)[0])
    return x[chosen], y[chosen]
