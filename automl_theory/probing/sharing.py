"""What several layers of one pass have in common is computed once: rectified tensors, and copies in another layout.

A cell's edges read the same node, each through its own ReLU, and write into the same node, each by its own
convolution. So the same rectified tensor, and in the backward pass the same output gradient, come again and again.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

_KEPT = 4


class Rectified:
    """Rectified tensors of a forward pass by their source: asked for again, the same tensor is handed out.

    Whoever writes into a tensor that two have would change it under the other's feet; `untouched` tells.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[Tensor], int, Tensor, int]] = {}
        self._shared: list[tuple[Tensor, int]] = []

    def get(self, source: Tensor, rectify: Callable[[Tensor], Tensor]) -> Tensor:
        """Return rectify(source), the tensor of the last time if neither it nor the source was written into since."""
        if source.is_inference() or torch.is_inference_mode_enabled():
            return rectify(source)
        known = self._known.get(id(source))
        if known is not None:
            owner, version, out, clean = known
            same = owner() is source and source._version == version and out._version == clean
            if same and out.requires_grad == (source.requires_grad and torch.is_grad_enabled()):
                self._shared.append((out, clean))
                return out
        out = rectify(source)
        self._known[id(source)] = (weakref.ref(source), source._version, out, out._version)
        return out

    def untouched(self) -> bool:
        """Whether no tensor that was handed out twice was written into; forgets all tensors."""
        clean = all(out._version == version for out, version in self._shared)
        self._known.clear()
        self._shared.clear()
        return clean


class Contiguous:
    """Contiguous copies of the last few tensors, so that a tensor read by layer after layer is copied once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int, tuple[int, ...], tuple[int, ...]], tuple[Tensor, Tensor]] = (
            OrderedDict()
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Return x.contiguous(). The tensor is known by its memory, which stays its own as long as it is kept here."""
        if x.is_contiguous():
            return x
        key = (x.data_ptr(), x._version, tuple(x.shape), x.stride())
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            self._kept[key] = (x, x.contiguous())
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key][1]

    def clear(self) -> None:
        """Let go of all copies."""
        self._kept.clear()
