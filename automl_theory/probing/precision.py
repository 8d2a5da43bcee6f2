"""Products of float32 numbers in float32, whatever shortcuts are switched on.

TF32 carries 10 bits of 23 and is on for convolutions on recent GPUs unless switched off;
`torch.set_float32_matmul_precision` allows it, or bfloat16, elsewhere too, on some CPUs as well. A spectrum cannot bear
that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


def _settings() -> list[Any]:
    """The objects whose `fp32_precision` rules one kind of operation (torch 2.9 and later)."""
    cuda, cudnn, mkldnn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    places = [(cudnn, "conv"), (cudnn, "rnn"), (cuda, "matmul"), (mkldnn, "conv"), (mkldnn, "rnn"), (mkldnn, "matmul")]
    found = [getattr(backend, name, None) for backend, name in places]
    return [setting for setting in found if hasattr(setting, "fp32_precision")]


def _older(read: Callable[[], Any]) -> Any:
    """An older switch's value; None where torch refuses to tell, since newer ones were set to something else."""
    try:
        return read()
    except RuntimeError:
        return None


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in full inside; on exit every switch is as before."""
    settings = _settings()
    before = [setting.fp32_precision for setting in settings]
    convolutions = _older(lambda: torch.backends.cudnn.allow_tf32)
    products = _older(torch.get_float32_matmul_precision)
    try:
        if convolutions:
            torch.backends.cudnn.allow_tf32 = False
        if products not in (None, "highest"):
            torch.set_float32_matmul_precision("highest")
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        if convolutions:
            torch.backends.cudnn.allow_tf32 = True
        if products not in (None, "highest"):
            torch.set_float32_matmul_precision(products)
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
