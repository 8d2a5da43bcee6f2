"""What one forward pass shows of a network's features: maps of the layers, activation patterns of the units, blocks.

BatchNorm normalises by the batch's statistics. A layer's feature maps are the C channels of one sample as the rows of a
matrix (C, positions); a unit's activation pattern is the binary vector over the n samples that says where its ReLU is
positive, the transpose of the samples' codes (`activations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_theory.linalg import Array
from automl_theory.probing.blocks import boundaries, channel_covariance
from automl_theory.probing.call import call
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.untouched import untouched

_NAMES = """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    batch_norm instance_norm layer_norm group_norm rms_norm local_response_norm
    relu relu_ relu6 leaky_relu leaky_relu_ prelu rrelu rrelu_ elu elu_ selu selu_ celu celu_ gelu silu mish hardswish
    hardtanh hardtanh_ sigmoid sigmoid_ hardsigmoid logsigmoid tanh tanh_ softplus softsign threshold threshold_
    hardshrink softshrink tanhshrink glu
    avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    lp_pool1d lp_pool2d lp_pool3d fractional_max_pool2d fractional_max_pool3d
"""
LAYERS = {getattr(owner, name) for name in _NAMES.split() for owner in (F, torch, Tensor) if hasattr(owner, name)}


class Patterns:
    """Collects the activation patterns of all ReLU units of a pass, 64 samples a word.

    Attributes:
        units: number of ReLU units per sample, counted over every call.
        missed: whether a ReLU read something else than one row a sample.
    """

    def __init__(self, n: int) -> None:
        self.n, self.units, self.missed = n, 0, False
        self._words: list[NDArray[np.uint64]] = []

    def add(self, source: Tensor, output: Tensor) -> None:
        """Take the ReLU `output` (n, …) of `source`."""
        if output.ndim < 2 or len(output) != self.n:
            self.missed |= output.numel() >= self.n and not isinstance(source, nn.Parameter)
            return
        active = (output.detach().reshape(self.n, -1) > 0).cpu().numpy()
        self.units += active.shape[1]
        bits = np.packbits(active, axis=0).T
        padded = np.zeros((len(bits), -(-self.n // 64) * 8), dtype=np.uint8)
        padded[:, : bits.shape[1]] = bits
        self._words.append(padded.view(np.uint64))

    def distinct(self) -> int:
        """Number of distinct patterns among the units; 0 without a unit."""
        if not self._words:
            return 0
        words = np.concatenate(self._words)
        return len(np.unique(words[:, 0] if words.shape[1] == 1 else words, axis=0))


@dataclass(frozen=True)
class FeatureMaps:
    """What the pass saw.

    Attributes:
        patterns: activation patterns of the ReLU units.
        layers: (C, positions) feature maps of the first sample for every call of a convolution, normalisation,
            activation or pooling (`LAYERS`) whose output (n, C, …) has two positions or more, in order of call.
        covariances: (C, C) channel covariance at every boundary of the primary blocks (`blocks`), in order.
        other_layers, other_blocks: whether such an output of a layer or block was not one row a sample, and left out.
    """

    patterns: Patterns
    layers: list[Array]
    covariances: list[Array]
    other_layers: bool
    other_blocks: bool


class _Watch(Instrument):
    def __init__(self, n: int) -> None:
        self.n, self.patterns = n, Patterns(n)
        self.layers: list[Array] = []
        self.other_layers = False
        super().__init__("frozen", [n], codes=self.patterns)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = super().__torch_function__(func, types, args, kwargs)
        if func in LAYERS and isinstance(out, Tensor) and out.ndim > 2 and out[:1, :1].numel() > 1:
            if len(out) == self.n:
                self.layers.append(out[0].detach().flatten(1).double().cpu().numpy().copy())
            else:
                self.other_layers |= not isinstance(args[0] if args else None, nn.Parameter)
        return out


def feature_maps(net: nn.Module, x: Tensor) -> FeatureMaps:
    """One forward pass over x (n, …); the module is left as found."""
    watch = _Watch(len(x))
    covariances: list[Array] = []

    def cross(f: Tensor) -> None:
        covariances.append(channel_covariance(f))

    with untouched(net), torch.no_grad(), watch, boundaries(net, len(x), cross) as others:
        call(net, x)
    return FeatureMaps(watch.patterns, watch.layers, covariances, watch.other_layers, bool(others))
