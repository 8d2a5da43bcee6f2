"""The images of a study: a training and a test part, standardised by the training part."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray

from automl_theory.data import dataset, stratified_split
from automl_theory.training import Data

SPLIT_SEED = 0
Index = NDArray[np.int64]


def parts(data: str, train_samples: int, test_samples: int | None = None) -> tuple[tuple[Data, Data], int]:
    """Return ((x, y) to train on, (x, y) to test on) and the number of classes; x is (n, c, h, w).

    The training part is class-balanced, drawn with seed 0, the test part the rest, or as many of it, drawn likewise.
    Pixels are standardised per channel by the training part, so that an image has mean square 1 a number. Errors:
    InputError for unreadable data or too few samples.
    """
    whole = dataset(data)
    chosen, rest = stratified_split(whole.labels, train_samples, SPLIT_SEED)
    if test_samples is not None and test_samples < len(rest):
        rest = rest[stratified_split(whole.labels[rest], test_samples, SPLIT_SEED)[0]]
    known = whole.images[chosen]
    mean, std = (f(known, axis=(0, 2, 3), keepdims=True, dtype=np.float64) for f in (np.mean, np.std))

    def part(index: Index) -> Data:
        images = ((whole.images[index] - mean) / np.where(std > 0, std, 1)).astype(np.float32)
        return torch.from_numpy(images), torch.from_numpy(whole.labels[index])

    return (part(chosen), part(rest)), whole.classes


def digest(*found: Data) -> str:
    """16 digits that say which images and labels these parts have."""
    state = hashlib.sha256()
    for part in found:
        for values in part:
            state.update(values.numpy().tobytes())
    return state.hexdigest()[:16]
