"""The order of the modules of NAS-Bench-101 by their official hashes, which is the row order of the benchmark's tables.

It is a permutation of the 423,624 representatives, and kept in a file of 19 bits each: the MD5 of them all takes half a
minute. This writes the file anew:

    python -m automl_theory.spaces.nas_bench_101_order
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_theory.spaces.nas_bench_101_enumeration import SIZE, Modules, by_code
from automl_theory.spaces.nas_bench_101_module import decoded, hash_of

BITS = 19
FILE = "nas_bench_101_order.bin"


@cache
def by_hash() -> Modules:
    """All representatives by rising official hash."""
    order = unpacked((resources.files("automl_theory.spaces") / FILE).read_bytes())
    return Modules(*(column[order] for column in by_code()))


def packed(order: NDArray[np.int64]) -> bytes:
    """The numbers of a permutation, 19 bits each, the most significant first."""
    return np.packbits((order[:, None] >> np.arange(BITS - 1, -1, -1) & 1).astype(np.uint8)).tobytes()


def unpacked(content: bytes) -> NDArray[np.int64]:
    """The inverse of `packed`."""
    digits = np.unpackbits(np.frombuffer(content, dtype=np.uint8), count=SIZE * BITS).reshape(SIZE, BITS)
    return np.asarray(digits @ (1 << np.arange(BITS - 1, -1, -1)), dtype=np.int64)


def hashed_order() -> NDArray[np.int64]:
    """The permutation found by hashing every module."""
    codes = zip(*(column.tolist() for column in by_code()), strict=True)
    hashes = [hash_of(decoded(*code)) for code in codes]
    return np.array(sorted(range(SIZE), key=hashes.__getitem__))


if __name__ == "__main__":
    Path(__file__).with_name(FILE).write_bytes(packed(hashed_order()))
