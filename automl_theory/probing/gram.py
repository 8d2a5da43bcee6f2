"""Gram matrices of tall batches of rows, K = J Jᵀ, at the speed the machine allows."""

from __future__ import annotations

import torch
from torch import Tensor

_CHANNELS = 16
_SPAN = 1 << 17


def flatten_samples(x: Tensor) -> Tensor:
    """View x (n, …) as (n, P) in memory order, without a copy for contiguous and channels-last tensors.

    The order of the P entries depends on the memory format, which no inner product between samples sees.
    """
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(len(x), -1)


def gram(rows: Tensor, others: Tensor | None = None) -> Tensor:
    """K = rows · othersᵀ, (n, P)·(P, m) → (n, m) in float64 (others = rows if None).

    Products of float32 rows are summed in float32 over at most 2¹⁷ entries, these sums in float64 (one float32 sum over
    millions of entries was seen to be wrong in the third digit); float64 stays float64, half precision is widened.
    On a CPU, float32 rows go through a channels-last convolution whose kernel covers the whole "image": it is the
    same sum, and oneDNN's convolution runs about twice as fast as the BLAS product for n ≪ P.
    """
    others = rows if others is None else others
    if rows.dtype in (torch.float16, torch.bfloat16):
        rows, others = rows.float(), others.float()
    if rows.shape[1] <= _SPAN or rows.dtype == torch.float64:
        return _product(rows, others)
    parts = zip(rows.split(_SPAN, dim=1), others.split(_SPAN, dim=1), strict=True)
    return torch.stack([_product(a, b) for a, b in parts]).sum(0)


def _product(rows: Tensor, others: Tensor) -> Tensor:
    p = rows.shape[1]
    fits = rows.dtype == torch.float32 and rows.device.type == "cpu" and p % _CHANNELS == 0 and p > _CHANNELS
    if fits and rows.is_contiguous() and others.is_contiguous() and torch.backends.mkldnn.is_available():
        image, kernel = (r.view(len(r), 1, -1, _CHANNELS).permute(0, 3, 1, 2) for r in (rows, others))
        return torch.conv2d(image, kernel).view(len(rows), len(others)).double()
    return (rows @ others.T).double()
