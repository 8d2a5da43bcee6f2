"""The images of the study: a training part, of which pruning sees some, and a test part for the outcomes alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from automl_theory.data import dataset, stratified_split
from automl_theory.training import Data

SPLIT_SEED = 0


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


@cache
def parts(data: str, train_samples: int, test_samples: int) -> Parts:
    """The two parts, class-balanced, drawn with seed 0: `train_samples`, and at most `test_samples` of the rest.

    Errors: InputError for unreadable data or too few samples.
    """
    whole = dataset(data)
    chosen, rest = stratified_split(whole.labels, train_samples, SPLIT_SEED)
    if test_samples < len(rest):
        rest = rest[stratified_split(whole.labels[rest], test_samples, SPLIT_SEED)[0]]
    known = whole.images[chosen]
    mean, std = (f(known, axis=(0, 2, 3), keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    scale = np.where(std > 0, std, 1)

    def part(index: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Data:
        images = ((whole.images[index] - mean) / scale).astype(np.float32)
        return torch.from_numpy(images), torch.from_numpy(whole.labels[index])

    return Parts(part(chosen), part(rest), whole.classes)


def balanced(data: Data, samples: int, seed: int) -> Data:
    """So many of them, class-balanced, drawn with `seed`; all, if there are no more."""
    x, y = data
    if samples >= len(y):
        return data
    chosen = torch.from_numpy(stratified_split(y.numpy(), samples, seed)[0])
    return x[chosen], y[chosen]


def digest(found: Parts) -> str:
    """16 digits that say which images are trained on and which are tested on."""
    state = hashlib.sha256()
    for values in (*found.train, *found.test):
        state.update(values.numpy().tobytes())
    return state.hexdigest()[:16]
