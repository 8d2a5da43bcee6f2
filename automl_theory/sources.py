"""Read labelled images from where they are: scikit-learn's digits, CIFAR folders, `.npz` files, arrays.

Every reader ends in `labelled_images`, which checks shapes, values and labels in one place. Pixels stay as they are
stored (uint8 for CIFAR, 154 MB instead of 614); `RawImages.normaliser` gives the function that standardises the part
that is used. Files are data: pickles go through `safe_pickle`, `.npz` through numpy without pickles.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_theory.errors import InputError, reason, suggest
from automl_theory.safe_pickle import load

Spec = str | os.PathLike[str] | tuple[Any, Any]
WORDS = ("digits", "gaussian")
CIFAR_FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python", "cifar-100-binary")
MAX_NPZ_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class RawImages:
    """Images (n, c, h, w) as stored, labels 0..classes-1, their origin in words, and whether to standardise values."""

    images: NDArray[Any]
    labels: NDArray[np.int64]
    classes: int
    origin: str
    name: str
    standardise: bool = True

    def normaliser(self) -> tuple[Callable[[NDArray[Any]], NDArray[np.float32]], str]:
        """Return x ↦ (x - mean) / std with the moments of the whole set per channel, and its statement."""
        if not self.standardise:
            return lambda x: np.ascontiguousarray(x, dtype=np.float32), "values as given"
        if self.images.dtype == np.uint8:
            counts = np.stack(
                [np.bincount(self.images[:, c].ravel(), minlength=256) for c in range(self.images.shape[1])]
            )
            levels, total = np.arange(256.0), counts.sum(axis=1)
            mean = counts @ levels / total
            std = np.sqrt(np.maximum(counts @ levels**2 / total - mean**2, 0))
        else:
            mean = self.images.mean(axis=(0, 2, 3), dtype=np.float64)
            std = self.images.std(axis=(0, 2, 3), dtype=np.float64)
        shift, scale = (v.astype(np.float32).reshape(1, -1, 1, 1) for v in (mean, np.where(std > 0, std, 1)))
        numbers = [", ".join(f"{v:.6g}" for v in values) for values in (mean, std)]
        text = f"standardised per channel by the whole set (mean {numbers[0]}; std {numbers[1]})"
        return lambda x: np.ascontiguousarray((x.astype(np.float32) - shift) / scale), text


def source_digest(spec: Spec) -> str:
    """A text that is the same for the same images and labels: their sha256, or "gaussian", which is drawn anew."""
    if isinstance(spec, str) and spec == "gaussian":
        return spec
    raw = read_source(spec)
    digest = hashlib.sha256(f"{raw.images.shape}{raw.images.dtype}".encode())
    for part in (raw.images, raw.labels):
        digest.update(np.ascontiguousarray(part).data)
    return f"{raw.name}: {digest.hexdigest()[:16]}"


def read_source(spec: Spec) -> RawImages:
    """Read what `spec` names (see `automl_theory.data.load_batch`), "gaussian" excepted; else `InputError`."""
    if isinstance(spec, tuple):
        if len(spec) != 2:
            raise InputError(f"expected a pair (x, y), got a tuple of {len(spec)}; give inputs and labels")
        return labelled_images(*spec, "arrays", "arrays of the caller")
    if not isinstance(spec, (str, os.PathLike)):
        raise InputError(f"expected a data name, a path or a pair (x, y), got {type(spec).__name__}; try 'digits'")
    if spec == "digits":
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        return labelled_images(x.reshape(-1, 8, 8).astype(np.uint8), y, "digits", "digits of scikit-learn")
    path = Path(spec)
    try:
        return _at(path, str(spec))
    except OSError as error:
        raise InputError(
            f"expected a folder or a .npz file, but {str(path)[:200]} cannot be read ({error.strerror or error}); "
            "check the path and its permissions"
        ) from error


def _at(path: Path, spec: str) -> RawImages:
    if path.is_dir():
        return _cifar(path)
    if path.is_file() and path.suffix == ".npz":
        return _npz(path)
    if path.exists():
        raise InputError(
            f"expected a .npz file or a folder with CIFAR files, got {path}; unpack archives, save arrays as .npz"
        )
    if path.name == spec and not path.suffix:
        hint = suggest(path.name, WORDS)
        raise InputError(
            f"expected data 'digits', 'gaussian', a folder or a .npz file, got {path.name!r}; give one of them.{hint}"
        )
    raise InputError(f"expected a folder or a .npz file, but {path} does not exist; check the path")


def _npz(path: Path) -> RawImages:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > MAX_NPZ_BYTES:
            raise InputError(
                f"expected {path.name} to unpack to at most {MAX_NPZ_BYTES} bytes, got {total}; save a part of it"
            )
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in ("x", "y") if key not in file.files]
            if missing:
                raise InputError(
                    f"expected arrays x and y in {path.name}, got {', '.join(file.files) or 'none'}; "
                    "save it with numpy.savez(path, x=images, y=labels)"
                )
            x, y = file["x"], file["y"]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"expected {path.name} to be a readable .npz of plain arrays, but: {reason(error)}; save it again"
        ) from error
    return labelled_images(x, y, path.stem, f"file {path.name}", standardise=True)


def labelled_images(
    x: Any, y: Any, name: str, origin: str, classes: int = 0, standardise: bool | None = None
) -> RawImages:
    """Check images and labels from anywhere and bring them to (n, c, h, w) and 0..classes-1.

    `classes` fixes their number (0: as many as occur, renumbered); `standardise` None means integers yes, floats no.
    """
    for what, value in (("x", x), ("y", y)):
        if getattr(value, "is_meta", False):
            raise InputError(f"expected {what} with values, got a tensor on the device meta; give real data")
    if hasattr(x, "detach"):
        x = (x.float() if x.is_floating_point() else x).detach().cpu().numpy()
    images, labels = _array("x", x), class_numbers(y)
    if images.dtype.kind not in "uif" or images.ndim not in (3, 4):
        raise InputError(
            f"expected x as numbers of shape (n, h, w), (n, h, w, c) or (n, c, h, w), got {images.dtype} of shape "
            f"{images.shape}; save images as uint8 or float32"
        )
    if len(images) != len(labels) or images.size == 0:
        raise InputError(
            f"expected x and y of one length above 0, got {images.shape} and {labels.shape}; give one label an image"
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] not in (1, 3):
        if images.shape[3] not in (1, 3):
            raise InputError(
                f"expected 1 or 3 channels on axis 1 or the last of x, got shape {images.shape}; transpose or convert x"
            )
        images = images.transpose(0, 3, 1, 2)
    standardise = images.dtype.kind in "ui" if standardise is None else standardise
    if images.dtype != np.uint8:
        with np.errstate(over="ignore"):
            images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise InputError(
                f"expected finite float32 values in x, got NaN or infinite ones in {name}; clean the inputs"
            )
    if all(bool((images[i : i + 1024] == images[0]).all()) for i in range(0, len(images), 1024)):
        raise InputError(
            f"expected different samples in x, but all {len(images)} of {name} are identical; check how x was saved"
        )
    values, renumbered = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        raise InputError(f"expected at least 2 classes in y, got only class {values[0]}; add samples of another class")
    if classes and (values[0] < 0 or values[-1] >= classes):
        raise InputError(
            f"expected labels of {name} in 0..{classes - 1}, got {values[0]}..{values[-1]}; fetch the files again"
        )
    final = labels if classes else renumbered.astype(np.int64)
    shape = "×".join(str(v) for v in images.shape[1:])
    text = f"{origin}, {len(images)} images {shape} in {classes or len(values)} classes"
    if not np.array_equal(final, labels):
        text += f", labels {values[0]}..{values[-1]} renumbered"
    return RawImages(images, final, classes or len(values), text, name, standardise)


def _cifar(folder: Path) -> RawImages:
    for place in (folder, *(folder / sub for sub in CIFAR_FOLDERS)):
        for name, pattern, binary in (
            ("cifar10", "data_batch_[1-5]", False),
            ("cifar10", "data_batch_[1-5].bin", True),
            ("cifar100", "train", False),
            ("cifar100", "train.bin", True),
        ):
            files = sorted(p for p in place.glob(pattern) if p.is_file())
            if files:
                parts = [(_cifar_binary if binary else _cifar_pickle)(file, name) for file in files]
                x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
                origin = f"{name} training images ({', '.join(file.name for file in files)})"
                return labelled_images(x.reshape(-1, 3, 32, 32), y, name, origin, classes=int(name[5:]))
    raise InputError(
        f"expected CIFAR-10 or CIFAR-100 files (data_batch_1, data_batch_1.bin, train or train.bin) in {folder}, "
        "got none; unpack the official archive there"
    )


def _cifar_binary(file: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    head = 1 if name == "cifar10" else 2
    content = np.fromfile(file, dtype=np.uint8)
    if content.size == 0 or content.size % (head + 3072):
        raise InputError(
            f"expected {file.name} as records of {head + 3072} bytes, got {content.size} bytes; fetch it again"
        )
    records = content.reshape(-1, head + 3072)
    return records[:, head:], records[:, head - 1].astype(np.int64)


def _cifar_pickle(file: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content, key = load(file, encoding="bytes"), "labels" if name == "cifar10" else "fine_labels"
    fields = (
        {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in content.items()}
        if isinstance(content, dict)
        else {}
    )
    x, y = fields.get("data"), fields.get(key)
    if (
        not isinstance(x, np.ndarray)
        or x.dtype != np.uint8
        or x.ndim != 2
        or x.shape[1] != 3072
        or not isinstance(y, list)
    ):
        raise InputError(
            f"expected uint8 'data' (n, 3072) and a list {key!r} in {file.name}, got others; fetch the file again"
        )
    labels = class_numbers(np.asarray(y)) if all(type(v) is int for v in y) else np.empty(0, dtype=np.int64)
    if len(labels) != len(x):
        raise InputError(
            f"expected {len(x)} integers in {key!r} of {file.name}, got {len(y)} items; fetch the file again"
        )
    return x, labels


def _array(name: str, values: Any) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"expected {name} as an array, but: {reason(error)}; give rows of equal length") from error


def class_numbers(y: Any) -> NDArray[np.int64]:
    """Return labels, an array or a tensor, as int64 of shape (n,); `InputError` if they are not integers."""
    labels = _array("y", y.detach().cpu() if hasattr(y, "detach") else y)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            f"expected y as integers of shape (n,), got {labels.dtype} of shape {labels.shape}; give class numbers"
        )
    return labels.astype(np.int64)
