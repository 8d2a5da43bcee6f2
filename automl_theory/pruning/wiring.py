"""Which unit feeds which: the units between a network's prunable layers, read off one linearised pass.

A unit is a channel of a convolution or a feature of a linear layer. Each call of a prunable layer is a node with units
in (what its weight's columns read) and units out (its rows). Between nodes stands everything else: activations,
normalisation, pooling, flattening, sums and concatenations. A unit out of one node feeds a unit into another if the
derivative of the one by the other is not zero in the linearised network (all else positive), the outputs of all nodes
being cut off and replaced by random positive numbers. So skip connections, branches, grouped convolutions and layers
called twice need no special cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.pruning.functional import Setting, constants, outputs
from automl_theory.pruning.linearised import RANKS, TRANSPOSED, Linearised

SAMPLES = 2

INPUT = -1
"""The number of the network's input among the nodes."""


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    name   of its weight
    index  flat indices into the weight (groups, outputs a group, inputs a group, kernel positions): unit in i of group
           i // inputs reaches unit out o of group o // outputs if both groups are one
    feeds  earlier node (-1: the network's input) -> boolean (its units out, this node's units in)
    """

    name: str
    index: Tensor
    feeds: Mapping[int, Tensor]

    @property
    def units_in(self) -> int:
        """How many units the layer reads."""
        return self.index.shape[0] * self.index.shape[2]

    @property
    def units_out(self) -> int:
        """How many units it puts out."""
        return self.index.shape[0] * self.index.shape[1]


@dataclass(frozen=True)
class Wiring:
    """All nodes in order of call, and what feeds the outputs: node (-1: the input) -> boolean (units, outputs)."""

    nodes: list[Node]
    outputs: Mapping[int, Tensor]


@dataclass
class _Trace:
    """Cut-off tensors, each with its axis of units; what each node read; -1 of `sources` is the input, first."""

    sources: list[tuple[Tensor, int]] = field(default_factory=list)
    calls: list[tuple[str, Tensor, Tensor, int]] = field(default_factory=list)


def wiring(setting: Setting) -> Wiring:
    """Read the wiring of `setting.net`, whose inputs have the shape of the first batch's.

    Costs one backward pass through the parts between layers for each unit.

    Errors: InputError if the inputs are not floating-point numbers, or no prunable layer is called as a convolution or
    linear layer.
    """
    x = setting.batches[0][0]
    if not x.is_floating_point():
        raise InputError("phew walks from the network's inputs and needs floating-point ones; choose another method")
    rng = torch.Generator(device=x.device).manual_seed(0)
    trace = _Trace()

    def positive(like: Tensor) -> Tensor:
        values = torch.rand(like.shape, dtype=torch.float64, device=like.device, generator=rng)
        return (values + 0.5).requires_grad_()

    def cut(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        read: Tensor = args[0] if args else kwargs["input"]
        y = function(*args, **kwargs).detach()
        axis = -1 - RANKS[function]
        trace.calls.append((name, _index(function, args, kwargs), read.clone(), axis))
        trace.sources.append((positive(y), axis))
        return trace.sources[-1][0].clone()

    weights = {name: torch.ones_like(w, dtype=torch.float64) for name, w in setting.weights.items()}
    fixed = {
        name: torch.ones_like(t) if t.is_floating_point() else t
        for name, t in constants(setting.net, torch.float64).items()
    }
    given = positive(x[:1].expand(SAMPLES, *x.shape[1:]))
    trace.sources.append((given, 1))
    with Linearised({id(w): name for name, w in weights.items()}, cut):
        # `outputs` hands the network a copy, through which the derivative by `given` passes.
        logits = outputs(setting.net, fixed | weights, given)
    if not trace.calls:
        raise InputError("phew walks through convolution and linear layers, and none is called; choose another method")
    nodes = [
        Node(name, index, _feeds(read, axis, trace.sources[: number + 1]))
        for number, (name, index, read, axis) in enumerate(trace.calls)
    ]
    return Wiring(nodes, _feeds(logits, 1, trace.sources))


def _feeds(read: Tensor, axis: int, sources: list[tuple[Tensor, int]]) -> dict[int, Tensor]:
    """Which units of `sources` each unit of `read` along `axis` depends on."""
    if not read.requires_grad:
        return {}
    found: dict[int, Tensor] = {}
    tensors = [source for source, _ in sources]
    for unit in range(read.shape[axis]):
        piece = read.select(axis, unit)
        seed = torch.ones_like(piece)
        derivatives = torch.autograd.grad(piece, tensors, seed, retain_graph=True, allow_unused=True)
        gradients: list[Tensor | None] = list(derivatives)
        for number, gradient in enumerate(gradients):
            if gradient is None:
                continue
            along = gradient.movedim(sources[number][1], 0)
            reached = (along != 0).reshape(len(along), -1).any(1).cpu()
            if bool(reached.any()):
                table = found.setdefault(number + INPUT, torch.zeros(len(reached), read.shape[axis], dtype=torch.bool))
                table[:, unit] = reached
    return found


def _index(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Flat indices of a layer's weight, arranged as (groups, outputs a group, inputs a group, kernel positions)."""
    weight: Tensor = args[1] if len(args) > 1 else kwargs["weight"]
    index, transposed = torch.arange(weight.numel()), function in TRANSPOSED
    groups = 1
    if RANKS[function]:
        # The seventh argument: of convN after dilation, of conv_transposeN after output_padding.
        groups = int(args[6] if len(args) > 6 else kwargs.get("groups", 1))
    index = index.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return index.transpose(1, 2) if transposed else index
