"""The two products of a stacked backward pass, on a CPU and on a GPU: per-sample weight gradients and their Grams."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_theory.probing.gram import gram
from automl_theory.probing.layer_gradients import conv_weight_gradients

_SPAN = 1 << 17


def grams(rows: Tensor, n: int) -> Tensor:
    """Gram matrices (k, n, n) in float64 of k groups of n rows; rows (k·n, P). See `gram.gram` for the precision."""
    groups = rows.reshape(-1, n, rows.shape[1])
    return torch.stack([gram(group) for group in groups]) if rows.device.type == "cpu" else batched_grams(groups)


def batched_grams(groups: Tensor) -> Tensor:
    """Gram matrices (k, n, n) of groups (k, n, P) by batched products, with sums as in `gram.gram`: for a GPU."""
    parts = groups.split(_SPAN, dim=2)
    return torch.stack([torch.bmm(part, part.transpose(1, 2)).double() for part in parts]).sum(0)


def weight_gradients(x: Tensor, grad: Tensor, conv: nn.Conv2d) -> Tensor:
    """Per-sample gradients (m, out·in·k·k) of the weight of `conv`, for inputs x and output gradients `grad` (m, …)."""
    if x.device.type != "cpu":
        return unfolded_gradients(x, grad, conv)
    strides, padding, dilation = conv.stride, conv.padding, conv.dilation
    assert not isinstance(padding, str)
    return conv_weight_gradients(x, grad, conv.weight, strides, padding, dilation, 1)


def unfolded_gradients(x: Tensor, grad: Tensor, conv: nn.Conv2d) -> Tensor:
    """`weight_gradients` by a batched product with the patches of x, which are k·k copies of it: for a GPU.

    A grouped convolution of thousands of groups is the slower way there, as the authors of torch's per-sample
    gradients found for 32 samples and more (`torch.nn.utils._expanded_weights.conv_utils`).
    """
    geometry: Any = (conv.kernel_size, conv.dilation, conv.padding, conv.stride)
    patches = F.unfold(x, *geometry)
    return torch.bmm(grad.flatten(2), patches.transpose(1, 2)).flatten(1)
