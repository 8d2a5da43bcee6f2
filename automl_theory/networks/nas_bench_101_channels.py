"""How many channels each vertex of a NAS-Bench-101 module has. Without torch, for closed forms need it too."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from automl_theory.errors import InputError


@lru_cache(maxsize=1 << 16)
def vertex_channels(matrix: Sequence[Sequence[int]], c_in: int, c_out: int) -> tuple[int, ...]:
    """Return the channels of every vertex of a pruned module (`matrix` a tuple of tuples), input and output included.

    The interior vertices that feed the output share c_out evenly, the first ones taking one more where it does not
    divide, since the output concatenates them. Every other interior vertex has the most of any vertex that it feeds.
    The input always has c_in: it is projected wherever it is read.

    Errors: InputError for fewer output channels than vertices that share them.
    Source: Ying et al. 2019; `compute_vertex_channels` of the official code.
    """
    last = len(matrix) - 1
    channels = [c_in, *[0] * (last - 1), c_out]
    shared = [x for x in range(1, last) if matrix[x][last]]
    if shared and c_out < len(shared):
        raise InputError(
            f"the output of this module concatenates {len(shared)} vertices, so it needs as many channels; got {c_out}"
        )
    for place, x in enumerate(shared):
        channels[x] = c_out // len(shared) + (place < c_out % len(shared))
    for x in range(last - 1, 0, -1):
        if not matrix[x][last]:
            channels[x] = max(channels[y] for y in range(x + 1, last) if matrix[x][y])
    return tuple(channels)
