"""Input batches: where the images come from, how they are drawn, resized and normalised, all of it stated in words.

A batch is x (n, channels, size, size) float32 and y (n,) int64. Every proxy depends on it, so a `Batch` carries its
seed, a sentence that says how it was made, and the sha256 of its bytes. The draw uses numpy's PCG64 of the seed alone:
the same content, n, seed, size and channels give the same batch in every process.

Sources: the 1,797 real 8×8 digits that scikit-learn ships (`"digits"`), white noise (`"gaussian"`), a folder with the
official CIFAR-10 or CIFAR-100 files, any `.npz` with `x` and `y`, or a pair of arrays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from automl_theory.errors import InputError
from automl_theory.sources import Spec, class_numbers, read_source

if TYPE_CHECKING:
    import torch

GAUSSIAN_CLASSES = 10
MAX_VALUES = 2**34


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs of a score: x (n, channels, size, size) float32, y (n,) int64 in 0..classes-1, and how they came to be.

    `source` states origin, normalisation, resize and channel adaption; `digest` is the sha256 of shapes and bytes of x
    and y.
    """

    x: torch.Tensor
    y: torch.Tensor
    classes: int
    source: str
    digest: str
    seed: int
    name: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """A whole labelled set: images (n, c, h, w) float32 standardised, labels (n,) int64, and a statement of both."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int
    source: str
    name: str


def load_batch(spec: Spec = "digits", n: int = 64, seed: int = 0, *, size: int = 32, channels: int = 3) -> Batch:
    """Draw a class-balanced batch of n samples.

    Counts per class differ by at most one (a class that has too few samples gives all it has); the seed decides which
    classes get the extra sample, which samples are drawn and their order. With n below the number of classes, n
    distinct classes occur.

    `spec` is one of

    - "digits": `sklearn.datasets.load_digits`, 10 classes, values 0..16;
    - "gaussian": independent N(0, 1) values with balanced random labels in 10 classes (the labels carry no
      information);
    - a folder with CIFAR-10 or CIFAR-100 (official python or binary files, there or in their usual subfolder), training
      part;
    - a `.npz` file with `x` and `y`;
    - a pair (x, y) of arrays or tensors.

    Arrays x are (n, h, w), or (n, h, w, c) or (n, c, h, w) with c in {1, 3}; the channel axis is the one whose length
    is 1 or 3, and axis 1 if both are. y holds integers; they are renumbered 0..classes-1 in their order. Values are
    standardised per channel with mean and std of the whole source set, except a pair of floating-point arrays, taken as
    it is. Then comes the bilinear resize to size × size (antialiased when shrinking), then grey → channels by
    repetition or channels → 1 by the mean.

    Returns a `Batch`: x (n, channels, size, size) float32 on the CPU, y (n,) int64, and how they came to be. Values are
    in standard deviations of the source set ("gaussian" and floating-point arrays: as they are).

    Raises `InputError` for any other spec, n above the size of the set, settings below 1 (seed: 0), identical or
    non-finite images, fewer than two classes, and files that are missing, damaged or of another format.

    Sources: scikit-learn's copy of the UCI handwritten digits (Alpaydin & Kaynak 1998); Krizhevsky 2009 (CIFAR).
    """
    _whole("n", n, 1)
    _whole("seed", seed, 0)
    _whole("size", size, 1)
    _whole("channels", channels, 1)
    if n * channels * size * size > MAX_VALUES:
        raise InputError(
            f"expected a batch of at most {MAX_VALUES} values, got n={n} of {channels}×{size}×{size}; "
            "give a smaller size, or fewer samples"
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    if isinstance(spec, str) and spec == "gaussian":
        y = rng.permutation(np.arange(GAUSSIAN_CLASSES).repeat(_quota(np.full(GAUSSIAN_CLASSES, n), n, rng)))
        noise = rng.standard_normal((n, channels, size, size), dtype=np.float32)
        origin = f"N(0, 1) noise {channels}×{size}×{size} with balanced random labels in {GAUSSIAN_CLASSES} classes"
        return _batch(noise, y, GAUSSIAN_CLASSES, (origin,), seed, "gaussian", size, channels)
    raw = read_source(spec)
    if n > len(raw.labels):
        raise InputError(
            f"expected n of at most {len(raw.labels)}, the size of {raw.name}, got {n}; ask for fewer samples"
        )
    normalise, normalisation = raw.normaliser()
    quota = _quota(np.bincount(raw.labels, minlength=raw.classes), n, rng)
    drawn = [rng.permutation(np.flatnonzero(raw.labels == c))[:k] for c, k in enumerate(quota)]
    index = rng.permutation(np.concatenate(drawn))
    words = (raw.origin, normalisation)
    return _batch(normalise(raw.images[index]), raw.labels[index], raw.classes, words, seed, raw.name, size, channels)


def dataset(spec: Spec = "digits") -> Dataset:
    """Read a whole set: images float32 (n, c, h, w) at their own size, normalised as in `load_batch`."""
    if isinstance(spec, str) and spec == "gaussian":
        raise InputError("expected a finite data set, got 'gaussian', which is drawn anew; use 'digits' or a file")
    raw = read_source(spec)
    normalise, statement = raw.normaliser()
    return Dataset(normalise(raw.images), raw.labels, raw.classes, f"{raw.origin}; {statement}", raw.name)


def adapt(images: ArrayLike, size: int, channels: int) -> tuple[torch.Tensor, str]:
    """Resize (n, c, h, w) images to size × size, change the channels; returns the tensor and what was done in words."""
    import torch

    x, done = torch.as_tensor(np.ascontiguousarray(images, dtype=np.float32)), []
    c, h, w = (int(v) for v in x.shape[1:])
    if (h, w) != (size, size):
        shrink = h > size or w > size
        x = torch.nn.functional.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=shrink)
        done.append(f"resized bilinearly {h}×{w} → {size}×{size}" + (" with antialiasing" if shrink else ""))
    if c != channels and 1 not in (c, channels):
        raise InputError(f"expected images of 1 or {channels} channels, got {c}; ask for channels={c} or channels=1")
    if c != channels:
        x = x.expand(-1, channels, -1, -1) if c == 1 else x.mean(dim=1, keepdim=True)
        done.append(f"grey repeated to {channels} channels" if c == 1 else f"mean of {c} channels")
    return x.contiguous(), "; ".join(done)


def split_halves(y: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a batch into two class-balanced halves, as sorted indices: what kernel regression trains and tests on.

    Members of a class go alternately to the first and the second half, and the next class goes on where the last one
    stopped, so sizes differ by at most one in each class and in total. Deterministic. A class with one member is in one
    half only.
    """
    labels = class_numbers(y)
    if len(labels) < 2:
        raise InputError(f"expected at least 2 labels to split into halves, got {len(labels)}; use a larger batch")
    order = np.argsort(labels, kind="stable").astype(np.int64)
    return np.sort(order[0::2]), np.sort(order[1::2])


def stratified_split(y: ArrayLike, train: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices into `train` of them and the rest, both sorted, each class in proportion.

    Class quotas are train·n_c/n rounded by largest remainders; the seed decides ties and members.
    """
    labels = class_numbers(y)
    _whole("seed", seed, 0)
    _whole("train", train, 1)
    if train >= len(labels):
        raise InputError(
            f"expected train below {len(labels)}, the number of samples, got {train}; leave some for the test"
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    counts = np.bincount(np.unique(labels, return_inverse=True)[1])
    quota, remainder = np.divmod(counts * train, len(labels))
    order = rng.permutation(len(counts))
    order = order[np.argsort(-remainder[order], kind="stable")]
    quota[order[: train - quota.sum()]] += 1
    chosen = np.zeros(len(labels), dtype=bool)
    for value, k in zip(np.unique(labels), quota, strict=True):
        chosen[rng.permutation(np.flatnonzero(labels == value))[:k]] = True
    return np.flatnonzero(chosen).astype(np.int64), np.flatnonzero(~chosen).astype(np.int64)


def _batch(
    x: NDArray[Any],
    y: NDArray[Any],
    classes: int,
    words: tuple[str, ...],
    seed: int,
    name: str,
    size: int,
    channels: int,
) -> Batch:
    import torch

    tensor, adaption = adapt(x, size, channels)
    labels = torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64))
    digest = hashlib.sha256()
    for array in (tensor.numpy(), labels.numpy()):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    source = "; ".join(w for w in (*words, adaption) if w)
    return Batch(tensor, labels, classes, source, digest.hexdigest(), seed, name)


def _quota(available: NDArray[Any], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    level = 0
    while np.minimum(available, level + 1).sum() <= n and level < available.max():
        level += 1
    quota: NDArray[np.int64] = np.minimum(available, level).astype(np.int64)
    extra = rng.permutation(np.flatnonzero(available > level))[: n - quota.sum()]
    quota[extra] += 1
    return quota


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(
            f"expected {name} to be an integer of at least {least}, got {value!r}; give {name}={least} or more"
        )
