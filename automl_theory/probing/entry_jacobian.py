"""Jacobian of the logits by a few weights: the first entry of every parameter tensor.

For one entry a layer needs no weight gradient. With g = ∂f_c(x_i)/∂(output) of a layer, the derivative by

- the first weight of a convolution is Σ_positions g_0 · (input channel 0, shifted as that entry of the kernel does),
- the first weight of a linear layer Σ_positions g_0 a_0, the first γ of a normalisation Σ g_0 x̂_0, a first bias Σ g_0,

so one backward pass through the activations a class gives all of it. BatchNorm's statistics of the batch are constants.
A module in which a chosen parameter reaches another function is differentiated forwards, one pass an entry, and where
torch cannot, or where gradients are switched off or written by hand, by a backward pass for every logit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import jvp

from automl_theory.errors import is_memory, reason
from automl_theory.probing import sample_wise
from automl_theory.probing.batch_norm import Statistics
from automl_theory.probing.call import call
from automl_theory.probing.exact import differentiate, frozen_function
from automl_theory.probing.instrument import Handler, Instrument
from automl_theory.probing.layer_gradients import Unsupported
from automl_theory.probing.normalisations import batch_norm
from automl_theory.probing.untouched import untouched

_CONVOLUTIONS = (torch.conv1d, torch.conv2d, torch.conv3d)
_READ = {*_CONVOLUTIONS, F.linear, F.batch_norm, torch.batch_norm, F.layer_norm, F.group_norm}


class _NoGradients(Unsupported):
    """A layer runs where gradients are switched off, by the module or in a function with a backward pass of its own."""


def entry_jacobian(net: nn.Module, x: Tensor, statistics: Callable[[], Statistics]) -> Tensor:
    """J_ick = ∂f_c(x_i)/∂θ_k, (n, C, D) float64; θ_k the first entry of the k-th trainable parameter tensor.

    `statistics`: BatchNorm's constants of the batch, asked for where the slower way is taken. Zero where the output
    does not depend on an entry.
    """
    with untouched(net):
        named = {
            name: p for name, p in net.named_parameters() if p.requires_grad and p.is_floating_point() and p.numel()
        }
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        try:
            return _backwards(net, x, list(named.values()))
        except _NoGradients:
            return _logit_by_logit(net, x, list(named.values()))
        except Unsupported:
            pass
    constants = statistics()
    with untouched(net):
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        try:
            return _forwards(net, x, list(named), constants)
        except Unsupported:
            return _logit_by_logit(net, x, list(named.values()))


def _backwards(net: nn.Module, x: Tensor, chosen: list[Tensor]) -> Tensor:
    if not x.is_floating_point():
        raise Unsupported("inputs that are no floating-point numbers")
    leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    entries = _Entries(len(x), {id(p): k for k, p in enumerate(chosen)})
    with entries:
        out = call(net, leaf)
    jacobian = torch.zeros(len(x), out.shape[1], len(chosen), dtype=torch.float64, device=x.device)
    try:
        for c in range(out.shape[1] if entries.reads and out.requires_grad else 0):
            entries.row = jacobian[:, c]
            seed = torch.zeros_like(out)
            seed[:, c] = 1
            torch.autograd.grad(out, [leaf, entries.anchor], seed, retain_graph=c < out.shape[1] - 1, allow_unused=True)
    except Exception as error:
        if is_memory(error):
            raise
        raise Unsupported(reason(error)) from error
    finally:
        entries.release()
    return jacobian


def _forwards(net: nn.Module, x: Tensor, names: list[str], statistics: Statistics) -> Tensor:
    function = frozen_function(net, statistics)
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def along(name: str, step: Tensor) -> Tensor:
        flat = parameters[name].reshape(-1)
        moved = torch.cat([flat[:1] + step, flat[1:]]).view(parameters[name].shape)
        return function({**parameters, name: moved}, x)

    columns = []
    for name in names:
        start = parameters[name].new_zeros(1)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*torch.jit.*")  # torch's own, on its first forward derivative
                found = jvp(partial(along, name), (start,), (torch.ones_like(start),))[1]
            columns.append(found.detach().double())
        except Exception as error:
            if is_memory(error):
                raise
            raise Unsupported(reason(error)) from error
    return torch.stack(columns, dim=2)


def _logit_by_logit(net: nn.Module, x: Tensor, chosen: list[Tensor]) -> Tensor:
    for parameter in chosen:
        parameter.requires_grad_(True)
    with Instrument("frozen", [len(x)]):
        out = call(net, x)
    jacobian = torch.zeros(*out.shape, len(chosen), dtype=torch.float64, device=x.device)
    for i, c in np.ndindex(*out.shape):
        seed = torch.zeros_like(out)
        seed[i, c] = 1
        for k, gradient in enumerate(differentiate(out, seed, chosen)):
            jacobian[i, c, k] = gradient.reshape(-1)[0]
    return jacobian


class _Entries(Instrument):
    """A pass that leaves, at every layer, a reader of the output's gradient; `row` (n, D) takes what they find."""

    def __init__(self, n: int, index: Mapping[int, int]) -> None:
        self.n, self.index = n, index
        self.row = torch.zeros(0)
        self.reads: list[Any] = []
        self.anchor = torch.zeros((), requires_grad=True)
        super().__init__("frozen", [n])

    def _table(self) -> dict[Any, Handler]:
        mine = _Entries
        table = super()._table() | {f: partial(mine._convolve, function=f) for f in _CONVOLUTIONS}
        table |= {F.linear: mine._map, F.batch_norm: mine._batch_norm}
        return table | {F.layer_norm: mine._layer_norm, F.group_norm: mine._group_norm}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = super().__torch_function__(func, types, args, kwargs)
        if func not in _READ:
            kwargs = kwargs or {}
            used = {id(operand) for operand in sample_wise.tensors((*args, *kwargs.values()))}
            if used & self.index.keys() and (out is None or any(True for _ in sample_wise.tensors((out,)))):
                raise Unsupported("a parameter reaches a function that is no layer")
            if not sample_wise.keeps_samples_apart(func, args, kwargs, out, self.n):
                raise Unsupported("samples may be mixed")
        elif args and id(args[0]) in self.index:
            raise Unsupported("a layer reads a parameter")
        elif any(v.requires_grad for v in sample_wise.tensors((*args[1:], *(kwargs or {}).values()))):
            raise Unsupported("a layer's parameter is computed from other tensors")
        return out

    def release(self) -> None:
        """Let go of the graph."""
        for hook in self.reads:
            hook.remove()
        self.reads.clear()

    def _listen(self, out: Tensor, *found: tuple[Tensor | None, Callable[[Tensor], Tensor]]) -> Tensor:
        """found: pairs of a parameter and the per-sample derivative by its first entry, given the output's gradient."""
        wanted = [(self.index[id(p)], read) for p, read in found if p is not None and id(p) in self.index]
        if not wanted:
            return out
        if not torch.is_grad_enabled():
            raise _NoGradients("a layer runs without gradients")
        if len(out) != self.n or out.ndim < 2:
            raise Unsupported("a layer does not read one row a sample")
        if not out.requires_grad:
            out = out + self.anchor.to(out)  # reads a constant, such as a cell's empty node

        def hook(grad: Tensor) -> None:
            for k, read in wanted:
                self.row[:, k] += read(grad).double()

        self.reads.append(out.register_hook(hook))
        return out

    def _convolve(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, function: Handler, **named: Any
    ) -> Tensor:
        out: Tensor = function(input, weight, bias, *rest, **named)
        if input.ndim != weight.ndim:
            raise Unsupported("a convolution without a sample dimension")
        first = torch.zeros_like(weight[:1, :1])
        first.view(-1)[0] = 1
        named = {key: value for key, value in named.items() if key != "groups"}
        plane = function(input.detach()[:, :1], first, None, *rest[:3], **named)
        return self._listen(out, (weight, lambda g: _sum(g[:, :1] * plane)), (bias, lambda g: _sum(g[:, :1])))

    def _map(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        out = super()._linear(input, weight, bias)
        first = input.detach()[..., 0].clone()
        return self._listen(
            out, (weight, lambda g: _sum((g[..., 0] * first)[:, None])), (bias, lambda g: _sum(g[..., 0][:, None]))
        )

    def _batch_norm(self, input: Tensor, *rest: Any, **named: Any) -> Tensor:
        out = batch_norm(self, input, *rest, **named)
        mean, inverse = self.recorded[-1]
        first = (input.detach()[:, :1] - mean[0]) * inverse[0]
        weight, bias = _affine(rest, named, 2)
        return self._listen(out, (weight, lambda g: _sum(g[:, :1] * first)), (bias, lambda g: _sum(g[:, :1])))

    def _layer_norm(self, input: Tensor, normalized_shape: Any, *rest: Any, **named: Any) -> Tensor:
        if input.ndim <= len(normalized_shape):
            raise Unsupported("layer_norm over the sample dimension")
        out = F.layer_norm(input, normalized_shape, *rest, **named)
        eps = named.get("eps", rest[2] if len(rest) > 2 else 1e-5)
        at: tuple[Any, ...] = (..., *(0,) * len(normalized_shape))
        first = F.layer_norm(input.detach(), normalized_shape, None, None, eps)[at]
        weight, bias = _affine(rest, named, 0)
        return self._listen(
            out, (weight, lambda g: _sum((g[at] * first)[:, None])), (bias, lambda g: _sum(g[at][:, None]))
        )

    def _group_norm(self, input: Tensor, num_groups: int, *rest: Any, **named: Any) -> Tensor:
        out = F.group_norm(input, num_groups, *rest, **named)
        eps = named.get("eps", rest[2] if len(rest) > 2 else 1e-5)
        first = F.group_norm(input.detach(), num_groups, None, None, eps)[:, :1]
        weight, bias = _affine(rest, named, 0)
        return self._listen(out, (weight, lambda g: _sum(g[:, :1] * first)), (bias, lambda g: _sum(g[:, :1])))


def _affine(rest: tuple[Any, ...], named: Mapping[str, Any], at: int) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias among a normalisation's arguments, of which the weight is number `at`."""
    weight = named.get("weight", rest[at] if len(rest) > at else None)
    return weight, named.get("bias", rest[at + 1] if len(rest) > at + 1 else None)


def _sum(values: Tensor) -> Tensor:
    """Sum (n, …) over all but the samples, in float64."""
    return values.flatten(1).sum(1, dtype=torch.float64)
