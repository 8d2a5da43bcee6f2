"""What training data and logits must look like, checked in one place with a remedy in each message."""

from __future__ import annotations

from torch import Tensor, int64

from automl_theory.counts import whole
from automl_theory.errors import InputError

Data = tuple[Tensor, Tensor]


def check_data(name: str, data: Data) -> None:
    """Raise InputError unless `data` is a pair of tensors: x (n, ...), y (n,) int64 from 0 on, n at least 1."""
    if len(data) != 2 or not all(isinstance(part, Tensor) for part in data):
        raise InputError(f"expected {name} as a pair (x, y) of tensors; convert with torch.as_tensor")
    x, y = data
    if len(x) != len(y) or not len(y):
        raise InputError(f"expected {name} with as many labels as inputs, got {len(x)} and {len(y)}; give one an input")
    if y.dtype != int64 or y.dim() != 1:
        raise InputError(f"expected labels of {name} int64 (n,), got {y.dtype} {tuple(y.shape)}; convert with y.long()")
    if int(y.min()) < 0:
        raise InputError(f"expected labels of {name} of 0 and more, got {int(y.min())}; number the classes from 0")


def check_seed(seed: object) -> None:
    """Raise InputError unless `seed` is an integer of at least 0."""
    whole("seed", seed, 0)


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise InputError unless every label has one of `classes` logits."""
    if int(labels.max()) >= classes:
        raise InputError(
            f"expected labels below {classes}, the number of logits, got {int(labels.max())}; "
            "give the network an output for each class"
        )
