"""ReLU activation codes of a batch, kept as one small matrix.

The code of sample i is the binary vector c_i ∈ {0,1}^U over all U ReLU units of the network, c = 1 where the unit's
output is positive (NaN is not). All that region counts and NASWOT need is the Gram G_ij = Σ_u c_iu c_ju, summed over
layers as they pass: the Hamming distance is d_ij = G_ii + G_jj − 2 G_ij. Counts are exact integers (a float32 sum of
zeros and ones is exact up to 2²⁴ units; a layer with more is split).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_theory.probing.gram import flatten_samples, gram

_EXACT = 1 << 24


class Collector(Protocol):
    """Takes every ReLU output of a pass."""

    def add(self, source: Tensor, output: Tensor) -> None:
        """Take the ReLU `output` of `source`."""


class Codes:
    """Accumulates the code Gram over the ReLU layers of one forward pass.

    Attributes:
        units: number of ReLU units per sample, U (0 if the network has none).
        missed: whether a ReLU read something else than one row a sample, so that the codes are not complete. Where
            positions come first and are as many as samples, nothing tells.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.units = 0
        self.missed = False
        self._gram = torch.zeros(n, n, dtype=torch.float64)
        self._seen: dict[int, tuple[Tensor, int, Tensor]] = {}

    def add(self, source: Tensor, output: Tensor) -> None:
        """Take the ReLU `output` (n, …) of `source`; the same source again is counted again, without computing."""
        if output.ndim < 2 or len(output) != self.n:
            self.missed |= output.numel() >= self.n and not isinstance(source, nn.Parameter)
            return
        known = self._seen.get(id(source))
        if known is not None and known[0] is source and known[1] == source._version:
            layer = known[2]
        else:
            code = flatten_samples(output.detach()).sign()
            layer = torch.zeros(self.n, self.n, dtype=torch.float64, device=code.device)
            for block in code.split(_EXACT, dim=1):
                layer += gram(block)
            self._seen[id(source)] = (source, source._version, layer)
        self.units += output[0].numel()
        self._gram = self._gram.to(layer.device) + layer

    def forget(self) -> None:
        """Let go of the activations that were kept to recognise a source seen before; the counts stay."""
        self._seen.clear()

    def hamming(self) -> NDArray[np.float64]:
        """(n, n) exact Hamming distances between the samples' codes."""
        counts: NDArray[np.float64] = self._gram.cpu().numpy()
        active = np.diag(counts)
        return active[:, None] + active[None, :] - 2 * counts


def count_distinct(hamming: NDArray[np.float64]) -> int:
    """Number of distinct codes among n samples from their (n, n) Hamming distances."""
    same: NDArray[np.bool_] = np.tril(hamming == 0, k=-1)
    return int(np.count_nonzero(~same.any(axis=1)))


def distinct_codes(codes: NDArray[np.bool_]) -> int:
    """Number of distinct rows of an (n, U) Boolean matrix: exact, O(n·U/8) memory, for n of thousands.

    U = 0 gives 1 (one region), n = 0 gives 0.
    """
    if codes.shape[0] == 0 or codes.shape[1] == 0:
        return min(1, int(codes.shape[0]))
    packed = np.packbits(codes, axis=1)
    rows = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))
    return len(np.unique(rows))
