"""The images of a study: a training and a test part, standardised by the training part."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from automl_theory.data import dataset, stratified_split
from automl_theory.training import Data

SPLIT_SEED = 0


def parts(data: str, train_samples: int) -> tuple[tuple[Data, Data], int]:
    """Return ((x, y) to train on, (x, y) to test on) and the number of classes; x is (n, c, h, w).

    The training part is class-balanced, drawn with seed 0; pixels are standardised per channel by the training part, so
    that an image has mean square 1 a number. Errors: InputError for unreadable data or too few samples.
    """
    whole = dataset(data)
    chosen, rest = stratified_split(whole.labels, train_samples, SPLIT_SEED)
    known = whole.images[chosen]
    mean, std = (f(known, axis=(0, 2, 3), keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    images = torch.from_numpy(((whole.images - mean) / np.where(std > 0, std, 1)).astype(np.float32))
    labels = torch.from_numpy(whole.labels)
    return ((images[chosen], labels[chosen]), (images[rest], labels[rest])), whole.classes


def digest(data: str, train_samples: int) -> str:
    """16 digits that say which images were trained on, and which were not."""
    state = hashlib.sha256()
    for part in parts(data, train_samples)[0]:
        for values in part:
            state.update(values.numpy().tobytes())
    return state.hexdigest()[:16]
