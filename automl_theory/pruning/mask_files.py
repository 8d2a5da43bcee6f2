"""Masks in a file: a plain `.npz` of numbers, which numpy reads without running anything.

format   "automl_theory masks 1"
names    the parameters' names, in order
shape_i  the shape of mask i
bits_i   its entries, eight a byte (`numpy.packbits`), row-major
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automl_theory.errors import InputError, reason
from automl_theory.pruning.masks import Masks, check_mask_values

FORMAT = "automl_theory masks 1"
MAX_BYTES = 2**32


def save_masks(masks: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write `masks` to `path` as a compressed .npz, one bit a weight before compression; a file there is replaced.

    Errors: InputError for what is no mapping of names to boolean tensors, or a path that cannot be written.
    """
    check_mask_values(masks)
    arrays: dict[str, Any] = {"format": np.array(FORMAT), "names": np.array(list(masks))}
    for number, mask in enumerate(masks.values()):
        values = mask.detach().cpu().numpy()
        arrays[f"shape_{number}"] = np.array(values.shape, dtype=np.int64)
        arrays[f"bits_{number}"] = np.packbits(values)
    try:
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise InputError(f"cannot write the masks: {reason(error)}; check the folder") from error


def load_masks(path: str | os.PathLike[str]) -> Masks:
    """Read what `save_masks` wrote: {name: boolean tensor on the CPU}, in the order in which it was saved.

    The file is data alone: pickled objects in it are refused, and so is one that unpacks to more than 4 GiB.

    Errors: InputError for a file that is missing, damaged, too large or of another format.
    """
    try:
        name = Path(path).name
    except TypeError:
        raise InputError(f"expected the path of a masks file, got {type(path).__name__}; give its name") from None
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > MAX_BYTES:
            raise InputError(f"expected {name} to unpack to at most {MAX_BYTES} bytes, got {total}; save fewer layers")
        with np.load(path, allow_pickle=False) as file:
            return _read(file)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"expected {name} to be masks written by save_masks, but: {reason(error)}; save them again"
        ) from error


def _read(file: Any) -> Masks:
    if "format" not in file.files or str(file["format"]) != FORMAT:
        raise ValueError(f"it has no line {FORMAT!r}")
    masks: Masks = {}
    for number, name in enumerate(file["names"].tolist()):
        shape = [int(length) for length in file[f"shape_{number}"].tolist()]
        bits = file[f"bits_{number}"]
        count = math.prod(shape)
        if min(shape, default=0) < 0 or bits.dtype != np.uint8 or bits.shape != (-(-count // 8),):
            raise ValueError(f"the mask of {name!r} does not fit its shape {tuple(shape)}")
        values = np.unpackbits(bits, count=count).astype(bool)
        masks[str(name)] = torch.from_numpy(values.reshape(shape))
    if len(masks) != len(file["names"]) or not masks:
        raise ValueError("names occur twice, or there are none")
    return masks
