"""Which torch functions treat every sample (index of dimension 0) on its own.

Short lists: functions that never look across samples, functions that do not as long as the dimension they are told to
work on is another one, and functions that broadcast. Whatever is not listed, or turns samples into something that no
longer has one row a sample, is taken to mix samples: the exact slower way then answers, so a missing entry costs time,
never correctness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_SAMPLE_WISE = """
    relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu celu gelu silu mish hardswish hardsigmoid hardtanh hardtanh_
    softplus softsign logsigmoid tanhshrink softshrink hardshrink threshold dropout dropout1d dropout2d dropout3d
    alpha_dropout pad interpolate upsample avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d lp_pool1d
    lp_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d pixel_shuffle pixel_unshuffle channel_shuffle local_response_norm scaled_dot_product_attention
    conv_transpose1d conv_transpose2d conv_transpose3d
    abs neg exp log log1p sqrt rsqrt square reciprocal sigmoid sigmoid_ tanh tanh_ erf sin cos clamp clamp_ clip
    clamp_min clamp_max sign nan_to_num contiguous clone to float double type detach zeros_like ones_like zero_ squeeze
    __neg__ __abs__
"""
_BROADCAST = """
    add add_ sub sub_ rsub mul mul_ div div_ true_divide pow where maximum minimum lerp addcmul type_as masked_fill
    gt lt ge le eq ne
    __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__ __pow__
    __gt__ __lt__ __ge__ __le__ __eq__ __ne__
"""
_DIMENSION_AT = {
    1: "sum mean amax amin var std softmax log_softmax logsumexp cumsum unbind unsqueeze flip glu narrow select cat "
    "concat stack flatten softmin",
    2: "norm chunk split roll normalize",
}
_DEFAULT_DIMENSION = {"glu": -1, "normalize": 1}
_READING = "item tolist numpy __array__ __bool__ __int__ __float__ __index__ __complex__ equal allclose is_nonzero"
_QUERY = (bool, int, float, str, tuple, torch.dtype, torch.device, torch.layout, torch.memory_format)


def _named(names: str) -> set[Any]:
    """The functions and methods of these names, wherever torch keeps them."""
    found = {
        getattr(owner, name, None)
        for name in names.split()
        for owner in ((Tensor,) if name.startswith("__") else (torch, Tensor, F))
    }
    return {function for function in found if callable(function)}


SAMPLE_WISE = _named(_SAMPLE_WISE)
BROADCAST = _named(_BROADCAST)
DIMENSION = {f: (at, name) for at, names in _DIMENSION_AT.items() for name in names.split() for f in _named(name)}
READING = _named(_READING)
_LEAST_RANK = {
    F.scaled_dot_product_attention: 3,
    **{f: rank + 2 for rank in (1, 2, 3) for f in _named(f"conv_transpose{rank}d")},
}
_PAD = _named("pad")
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
    operands = list(tensors((*args, *kwargs.values())))
    batched = [t for t in operands if t.ndim and len(t) == n]
    if not batched:
        return True
    produced = list(tensors((result,)))
    if not produced:
        return isinstance(result, _QUERY) and func not in READING
    return all(t.ndim > 0 and len(t) == n for t in produced) and _listed(func, args, kwargs, operands, batched)


def _listed(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], operands: list[Tensor], batched: list[Tensor]
) -> bool:
    first = operands[0]
    if func in SAMPLE_WISE:
        if func in _PAD:
            return len(args) > 1 and len(args[1]) <= 2 * (first.ndim - 1)
        return first.ndim >= _LEAST_RANK.get(func, 1)
    if func in BROADCAST:
        rank = max(t.ndim for t in operands)
        return all(t.ndim == rank for t in batched)
    if func in DIMENSION:
        at, name = DIMENSION[func]
        key = "start_dim" if name == "flatten" else "dims" if name in ("flip", "roll") else "dim"
        dims = kwargs.get(key, args[at] if len(args) > at else _DEFAULT_DIMENSION.get(name, 0))
        if name == "flip" and isinstance(dims, int):
            dims = args[at:]
        rank = first.ndim + (name in ("unsqueeze", "stack"))
        return dims is not None and all(d % rank != 0 for d in ((dims,) if isinstance(dims, int) else dims))
    if func in _PRODUCT:
        return all(t.ndim >= 3 and t.ndim == first.ndim for t in operands)
    if func in _TRANSPOSE:
        return len(args) == 3 and all(d % first.ndim != 0 for d in args[1:])
    if func in _VIEW:
        return len(batched) == 1
    if func in _PERMUTE:
        spec = args[1] if len(args) == 2 else args[1:]
        return bool(spec) and spec[0] % first.ndim == 0
    return func is Tensor.__getitem__ and _keeps_first(args[1], first.ndim)


def _keeps_first(index: Any, ndim: int) -> bool:
    """Whether tensor[index] leaves dimension 0 alone: slice(None), or an ellipsis that stands for it, comes first."""
    index = index if isinstance(index, tuple) else (index,)
    advanced = sum(not isinstance(i, int | slice | None | EllipsisType) for i in index)
    if index and index[0] is Ellipsis:
        return advanced == 0 and sum(i is not None for i in index[1:]) < ndim
    return bool(index) and advanced <= 1 and isinstance(index[0], slice) and index[0] == slice(None)
