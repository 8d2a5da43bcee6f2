"""Which torch functions treat every sample (index of dimension 0) on its own.

Three short lists: functions that never look across samples, functions that do not as long as the dimension they are
told to work on is another one, and functions that broadcast. Whatever is not listed is taken to mix samples: the exact
slower way then answers, so a missing entry costs time, never correctness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SAMPLE_WISE = """
    relu relu_ relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh softplus softsign logsigmoid
    tanhshrink softshrink hardshrink threshold dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout pad
    interpolate upsample avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d lp_pool1d lp_pool2d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d boolean_dispatch fn pixel_shuffle pixel_unshuffle channel_shuffle layer_norm group_norm
    instance_norm batch_norm linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    local_response_norm scaled_dot_product_attention
    abs neg exp log log1p sqrt rsqrt square reciprocal sigmoid sigmoid_ tanh tanh_ erf sin cos clamp clamp_ clip
    clamp_min clamp_max sign nan_to_num contiguous clone to float double type detach zeros_like ones_like zero_
    __neg__ __abs__
"""
_BROADCAST = """
    add add_ sub sub_ rsub mul mul_ div div_ true_divide pow where maximum minimum lerp addcmul type_as
    __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__ __pow__
"""
_DIMENSION_AT = {
    1: "sum mean amax amin var std softmax log_softmax logsumexp cumsum unbind unsqueeze flip glu narrow select cat "
    "concat stack flatten softmin",
    2: "norm chunk split roll normalize",
}
_DEFAULT_DIMENSION = {"glu": -1, "normalize": 1}


def _named(names: str) -> set[Any]:
    return {getattr(owner, name) for name in names.split() for owner in (torch, Tensor, F) if hasattr(owner, name)}


SAMPLE_WISE = _named(_SAMPLE_WISE)
BROADCAST = _named(_BROADCAST)
DIMENSION = {f: (at, name) for at, names in _DIMENSION_AT.items() for name in names.split() for f in _named(name)}
_VIEW = _named("view reshape")
_PERMUTE = _named("permute")
_TRANSPOSE = _named("transpose swapaxes swapdims")
_PRODUCT = _named("matmul bmm __matmul__")


def tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Yield the tensors among `values` and those one level down in lists and tuples."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, Tensor))


def keeps_samples_apart(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, n: int) -> bool:
    """Whether result = func(*args, **kwargs) surely maps samples to samples one by one (dimension 0, of size n)."""
    if func in SAMPLE_WISE:
        return True
    operands = list(tensors((*args, *kwargs.values())))
    batched = [t for t in operands if t.ndim and len(t) == n]
    if not batched:
        return True
    first = operands[0]
    if func in BROADCAST:
        rank = max(t.ndim for t in operands)
        return all(t.ndim == rank for t in batched)
    if func in DIMENSION:
        at, name = DIMENSION[func]
        key = "start_dim" if name == "flatten" else "dims" if name in ("flip", "roll") else "dim"
        dims = kwargs.get(key, args[at] if len(args) > at else _DEFAULT_DIMENSION.get(name, 0))
        rank = first.ndim + (name in ("unsqueeze", "stack"))
        return dims is not None and all(d % rank != 0 for d in ((dims,) if isinstance(dims, int) else dims))
    if func in _PRODUCT:
        return all(t.ndim >= 3 and t.ndim == first.ndim for t in operands)
    if func in _TRANSPOSE:
        return len(args) == 3 and all(d % first.ndim != 0 for d in args[1:])
    if func in _VIEW:
        return isinstance(result, Tensor) and result.ndim > 0 and len(result) == len(first) == n
    if func in _PERMUTE:
        spec = args[1] if len(args) == 2 else args[1:]
        return bool(spec) and spec[0] % first.ndim == 0
    if func is Tensor.__getitem__:
        return isinstance(args[1], tuple) and args[1][0] == slice(None)
    return False
