"""Primary blocks of a module: what they hand to each other, and the gradients between them.

The primary blocks are the members of the longest `nn.ModuleList` among the module's direct children (NAS-Bench-201's
cells and reductions), or, without one, the direct children that hold a convolution or a linear layer. Each of a block's
outputs f (n, C, …) is one boundary; with a list, what its first member reads (the stem's output) is the first.

Modules are heard through torch's global hooks while the pass lasts: nothing is registered on the module itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from automl_theory.linalg import Array
from automl_theory.probing.call import call
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.layer_gradients import Unsupported
from automl_theory.probing.untouched import untouched

OTHER_ROWS = "a block gives something else than one row a sample; let samples be the first dimension"
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


def primary_blocks(net: nn.Module) -> tuple[list[nn.Module], bool]:
    """The primary blocks of `net`, and whether they are a list, whose first input is a boundary too."""
    children = list(net.children())
    lists = [child for child in children if isinstance(child, nn.ModuleList) and len(child)]
    if lists:
        return max((list(members) for members in lists), key=len), True
    return [child for child in children if any(isinstance(m, _LAYERS) for m in child.modules())], False


@contextmanager
def boundaries(net: nn.Module, n: int, cross: Callable[[Tensor], Tensor | None]) -> Iterator[list[Tensor]]:
    """Within, cross(f) is called with every boundary f (n, C, …) as it passes; what it returns goes on in its place.

    Yields a list that takes the outputs of blocks, and an input of the first, that have not one row a sample.
    """
    blocks, listed = primary_blocks(net)
    first = id(blocks[0]) if listed else None
    members = {id(block) for block in blocks}
    entered = False

    others: list[Tensor] = []

    def fits(value: object) -> bool:
        if not isinstance(value, Tensor) or value.ndim < 2 or not value.is_floating_point():
            return False
        if len(value) != n:
            others.append(value)
        return len(value) == n

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        nonlocal entered
        if entered or id(module) != first or not inputs or not fits(inputs[0]):
            return None
        entered = True
        passed = cross(inputs[0])
        return None if passed is None else (passed, *inputs[1:])

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor | None:
        return cross(output) if id(module) in members and fits(output) else None

    listen: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
        (register_module_forward_pre_hook, before),
        (register_module_forward_hook, after),
    ]
    hooks = [register(hook) for register, hook in listen]
    try:
        yield others
    finally:
        for hook in hooks:
            hook.remove()


def channel_rows(f: Tensor) -> Tensor:
    """F (n, C, …) as one row a sample and position: (n·positions, C)."""
    return f.movedim(1, -1).reshape(-1, f.shape[1])


def channel_covariance(f: Tensor) -> Array:
    """Covariance (C, C) of the channels of f (n, C, …) over samples and positions, in float64."""
    rows = channel_rows(f.detach()).double()
    rows = rows - rows.mean(0)
    covariance: Array = (rows.T @ rows / len(rows)).cpu().numpy()
    return covariance


def rademacher(shape: Sequence[int], seed: int, index: int) -> Array:
    """Independent signs ±1, drawn from PCG64 of (seed, index)."""
    bits = np.random.default_rng([seed, index]).integers(0, 2, tuple(shape))
    return bits.astype(np.float64) * 2 - 1


def block_gains(net: nn.Module, x: Tensor, seed: int) -> list[float | None]:
    """Spectral norm of G = g_inᵀg_out/(n·positions) for each pair of successive boundaries.

    g_out are random signs in the shape of a block's output (`rademacher`, one draw a pair), g_in their image under the
    transposed Jacobian of the block, rows of samples and output positions: a block that halves the image hands 4C
    channels back (the space-to-depth order of `torch.pixel_unshuffle`). BatchNorm by the batch's statistics,
    differentiated through. None where g_in = g_out: the block is an identity. 0 where the output does not depend on
    the input.

    Raises Unsupported where the positions of a block's input are no whole multiple of its output's, or a block gives
    something else than one row a sample.
    """
    gains: list[float | None] = []
    last: Tensor | None = None

    def cross(f: Tensor) -> Tensor:
        nonlocal last
        if last is not None:
            signs = torch.from_numpy(rademacher(f.shape, seed, len(gains))).to(f)
            back = torch.autograd.grad(f, last, signs, allow_unused=True)[0] if f.requires_grad else None
            gains.append(0.0 if back is None else _gain(back, signs))
        last = f.detach().requires_grad_()
        return last.clone()

    with untouched(net):
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        with Instrument("batch", [len(x)]), boundaries(net, len(x), cross) as others:
            call(net, x)
    if others:
        raise Unsupported(OTHER_ROWS)
    return gains


def _gain(back: Tensor, signs: Tensor) -> float | None:
    if back.shape == signs.shape and torch.equal(back, signs):
        return None
    if back.shape[2:] != signs.shape[2:]:
        back = _folded(back, signs.shape[2:])
    inwards, outwards = channel_rows(back).double(), channel_rows(signs).double()
    if not bool(torch.isfinite(inwards).all()):
        return float("nan")
    return float(torch.linalg.matrix_norm(inwards.T @ outwards / len(outwards), 2))


def _folded(back: Tensor, positions: Sequence[int]) -> Tensor:
    """Move what shrinks from positions to channels: (n, C, s·h, s·w) → (n, s²C, h, w)."""
    stride = back.shape[-1] // positions[-1] if positions else 0
    if (
        back.ndim != 4
        or len(positions) != 2
        or stride < 1
        or tuple(back.shape[2:]) != tuple(stride * p for p in positions)
    ):
        raise Unsupported(f"a block turns positions {tuple(back.shape[2:])} into {tuple(positions)}")
    return torch.pixel_unshuffle(back, stride)
