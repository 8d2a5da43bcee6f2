"""The tangent kernel from one backward pass: per-sample gradients layer by layer, each reduced to its Gram at once.

For a layer with input a_i and output gradient b_i = ∂f(x_i)/∂(output) of sample i, the gradient of f(x_i) with respect
to its weight needs no further backward pass:

- linear: J_i = Σ_t b_it a_itᵀ over positions t; for one position K_ij = (a_i·a_j)(b_i·b_j) without forming J;
- convolution: J_i = correlation of a_i with b_i, computed for all samples by one grouped convolution;
- normalisation (scale γ, shift β): J_i = Σ_positions x̂_i b_i and Σ_positions b_i.

K = Σ_layers J Jᵀ is summed in float64. Gradients of a parameter that is used more than once are summed over its uses
before the Gram, as the chain rule wants. Valid when dimension 0 of every layer is the sample and samples are
independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from automl_theory.errors import is_memory, reason
from automl_theory.probing.gram import flatten_samples, gram
from automl_theory.probing.sharing import Contiguous

_SMALL = 1 << 12


class Unsupported(Exception):
    """A module does something that the layer-wise pass cannot treat exactly; the text says what."""


class _Anchored(torch.autograd.Function):
    """Tie a layer's output to the backward pass without a copy, as an ordinary tensor that may be changed in place."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, anchor: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None]:
        return None, None


_ANCHORED: Callable[..., Any] = _Anchored.apply


class LayerGradients:
    """Collects layers in the forward pass and their Grams in the backward pass.

    Args:
        selected: id(parameter) of every parameter that the kernel counts.
        n: samples in the pass; the first `rows` of them index the kernel's rows.
        rows: kernel rows; columns are all n samples if rows == n, else the remaining n − rows.
    """

    def __init__(self, selected: set[int], n: int, rows: int, device: torch.device) -> None:
        self.selected = selected
        self.n, self.rows = n, rows
        self.kernel = torch.zeros(rows, n if rows == n else n - rows, dtype=torch.float64, device=device)
        self.contiguous = Contiguous()
        self._anchor = torch.zeros((), requires_grad=True)
        self._anchored = False
        self._hooks: list[RemovableHandle] = []
        self._retain = False
        self._uses: Counter[int] = Counter()
        self._pending: dict[int, Tensor] = {}
        self._small: list[Tensor] = []
        self._columns = 0

    def wants(self, parameter: Tensor | None) -> bool:
        """Whether the kernel counts this parameter."""
        return parameter is not None and id(parameter) in self.selected

    def watch(self, output: Tensor, *parameters: Tensor | None) -> Tensor:
        """Make `output` part of the backward pass if one of its layer's parameters counts; note their use.

        Raises Unsupported where a gradient would be missed: through a parameter that is itself computed, outside of
        autograd, or through a tensor that requires gradients for reasons of its own.
        """
        given = [p for p in parameters if p is not None]
        if any(p.requires_grad for p in given):
            raise Unsupported("a layer's parameter is computed from other tensors")
        wanted = [p for p in given if id(p) in self.selected]
        if not wanted:
            return output
        if not torch.is_grad_enabled():
            raise Unsupported("a layer with counted parameters runs without gradients")
        self._uses.update(id(p) for p in wanted)
        if not output.requires_grad:
            self._anchored = True
            anchored: Tensor = _ANCHORED(output.detach(), self._anchor)
            return anchored
        if not self._anchored:
            raise Unsupported("the input of a layer requires gradients for other reasons")
        return output

    def listen(self, output: Tensor, inputs: Tensor, read: Callable[[Tensor, Tensor], None]) -> None:
        """Call read(inputs, gradient of `output`) in the backward pass; `inputs` are let go of when it is over."""
        held, version = [inputs.detach()], inputs._version

        def hook(grad: Tensor) -> None:
            kept = held[0] if self._retain else held.pop()
            if kept._version != version:
                raise Unsupported("a layer's input was changed in place after the layer")
            read(kept, grad)

        self._hooks.append(output.register_hook(hook))

    def backward(self, output: Tensor, seed: Tensor, *, retain_graph: bool = False) -> None:
        """Send `seed` (the gradient of the scalar per sample) back through `output`; adds to `kernel`."""
        self._retain = retain_graph
        try:
            if self._anchored and output.requires_grad:
                anchor = [self._anchor]
                torch.autograd.grad(output, anchor, seed, retain_graph=retain_graph, allow_unused=True)
            for jacobian in self._pending.values():
                self._reduce(jacobian)
            self._reduce_small()
        except Unsupported:
            raise
        except Exception as error:
            if is_memory(error):
                raise
            raise Unsupported(f"the backward pass fails: {reason(error)}") from error
        finally:
            self._pending.clear()
            self._small.clear()
            self._columns = 0
            self.contiguous.clear()
            if not retain_graph:
                self.release()

    def release(self) -> None:
        """Let go of the graph: hooks and this object refer to each other, and would wait for the garbage collector."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def add(self, parameter: Tensor, jacobian: Tensor) -> None:
        """Take per-sample gradients (n, …) of one use of `parameter`."""
        jacobian = flatten_samples(jacobian)
        if self._uses[id(parameter)] == 1:
            self._reduce(jacobian)
        elif id(parameter) in self._pending:
            self._pending[id(parameter)] += jacobian
        else:
            self._pending[id(parameter)] = jacobian.clone()

    def add_outer(self, parameter: Tensor, inputs: Tensor, grads: Tensor) -> None:
        """Take a weight (out, in) used once per sample: inputs (n, in), grads (n, out)."""
        if self._uses[id(parameter)] == 1:
            self.kernel += self._gram(inputs) * self._gram(grads)
        else:
            self.add(parameter, grads[:, :, None] * inputs[:, None, :])

    def _reduce(self, jacobian: Tensor) -> None:
        """Add the Gram of gradients (n, P) to the kernel; those with few columns wait for each other."""
        if jacobian.shape[1] >= _SMALL:
            self.kernel += self._gram(jacobian)
            return
        self._small.append(jacobian)
        self._columns += jacobian.shape[1]
        if self._columns >= _SMALL:
            self._reduce_small()

    def _reduce_small(self) -> None:
        if self._small:
            self.kernel += self._gram(torch.cat(self._small, dim=1))
            self._small.clear()
            self._columns = 0

    def _gram(self, rows: Tensor) -> Tensor:
        return gram(rows) if self.rows == self.n else gram(rows[: self.rows], rows[self.rows :])


def conv_weight_gradients(
    x: Tensor,
    grad: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    contiguous: Callable[[Tensor], Tensor] = Tensor.contiguous,
) -> Tensor:
    """Per-sample gradients (n, out·in/groups·k…) of a convolution weight (any dimension, groups, stride, dilation).

    One grouped convolution does all samples: sample i becomes `groups` groups of a single image with n·channels.
    A 1×1 convolution of stride 1 is a batched product of (out, positions) with (positions, in).
    """
    n, c_in = x.shape[:2]
    c_out = grad.shape[1]
    kernel = weight.shape[2:]
    if groups == 1 and all(k == 1 for k in kernel) and not any(padding):
        if any(s != 1 for s in stride):
            x = x[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]
        return torch.bmm(grad.flatten(2), x.flatten(2).transpose(1, 2)).flatten(1)
    image = contiguous(x).view(1, n * c_in, *x.shape[2:])
    seed = contiguous(grad).view(1, n * c_out, *grad.shape[2:])
    shape = weight.new_empty(n * c_out, *weight.shape[1:])
    nothing = [0] * len(kernel)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        seed, image, shape, None, stride, padding, dilation, False, nothing, n * groups, [False, True, False]
    )
    rows: Tensor = gradient.reshape(n, -1)
    return rows


def sum_positions(x: Tensor) -> Tensor:
    """Sum x (n, C, …) over its positions: (n, C)."""
    return x.sum(tuple(range(2, x.ndim))) if x.ndim > 2 else x


def norm_gradients(x: Tensor, grad: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Per-sample gradients (n, C) of γ and of β for x̂ = (x − μ)·inverse with constant μ, inverse (each (C,))."""
    shift = sum_positions(grad)
    return (sum_positions(x * grad) - mean * shift) * inverse, shift


def affine_gradients(
    normalised: Tensor, grad: Tensor, weight_shape: torch.Size, channel_first: bool
) -> tuple[Tensor, Tensor]:
    """Per-sample gradients of γ, β for y = γ·x̂ + β with x̂ given.

    `channel_first`: γ (C,) multiplies dimension 1 (group and instance norm); otherwise γ has the shape of the trailing
    dimensions (layer norm) and everything between them and the sample is summed.
    """
    product = normalised * grad
    if channel_first:
        return sum_positions(product), sum_positions(grad)
    shape = (len(grad), -1, weight_shape.numel())
    return product.reshape(shape).sum(1), grad.reshape(shape).sum(1)
