"""The MLP whose middle is a cell: stem, a cell of zero, skip and linear edges, readout.

    stem      linear(d -> m), ReLU                     node 0
    cell      node t = sum over s < t of its edges:    skip   the identity
                                                       linear linear(m -> m), ReLU
              (a zero edge is nothing; a node without edges is zero)
    readout   linear(m -> classes) of the last node

Inputs are flattened. Under `he_fan_in` every weight is N(0, 2/fan_in), the readout's too, and biases (if any) are 0.

Parameter names are those of the authors' network with one cell (Chen, Huang & Wang, "No Free Lunch in Neural
Architectures?", AutoML 2023): `_stem.layer.0`, `_to_from_dag_layers.{t - 1}.{s}.0.layer.0` of edge s > t, `_readout`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_theory.counts import check_counts
from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import initialise

SCALES = ("none", "unit", "dimension")
ZERO, SKIP, LINEAR = 0, 1, 2


class LinearReLU(nn.Module):
    """relu(W x + b), (n, d_in) -> (n, d_out): `layer.0` the linear layer, `layer.1` the ReLU."""

    def __init__(self, d_in: int, d_out: int, bias: bool) -> None:
        super().__init__()
        self.layer = nn.Sequential(_linear(d_in, d_out, bias), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Apply both."""
        out: Tensor = self.layer(x)
        return out


class Zero(nn.Module):
    """A zero edge: a place holder that keeps the numbering; the network never calls it."""


class MlpDagNetwork(nn.Module):
    """Inputs (n, ...) of `in_features` numbers each -> logits (n, num_classes).

    operations    those into node 1, 2, ...: ((2,), (0, 2), (0, 0, 2)); 0 zero, 1 skip, 2 linear
    width         m, at least 1
    bias          whether linear layers have biases. The paper's formulas and its kernels have none; its training had.
    scale         what is done to each input first: "none"; "unit", divided by its norm, as for the authors' kernels;
                  "dimension", that times √d, so that |x|² = d as the theorems have it. A zero input stays zero.
    seed, init    the weights are `initialise(self, init, seed)`

    Errors: InputError for operations of the wrong number or kind, a setting below 1, an unknown scale, or (in the
    forward pass) an input of another size.
    """

    def __init__(
        self,
        operations: Sequence[Sequence[int]],
        in_features: int,
        width: int = 256,
        num_classes: int = 10,
        *,
        bias: bool = False,
        scale: str = "none",
        seed: int = 0,
        init: str = "he_fan_in",
    ) -> None:
        super().__init__()
        _check_operations(operations)
        check_counts(in_features=in_features, width=width, num_classes=num_classes)
        if scale not in SCALES:
            raise InputError(f"scale={scale!r} is not one of {', '.join(SCALES)}.{suggest(str(scale), SCALES)}")
        self.in_features, self.width, self.scale = in_features, width, scale
        self.operations = tuple(tuple(group) for group in operations)
        self._stem = LinearReLU(in_features, width, bias)
        self._to_from_dag_layers = nn.ModuleList(
            nn.ModuleList(nn.ModuleList([_edge(operation, width, bias)]) for operation in group)
            for group in self.operations
        )
        self._readout = _linear(width, num_classes, bias)
        initialise(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self._readout(self.nodes(x)[-1])
        return logits

    def nodes(self, x: Tensor) -> list[Tensor]:
        """Return the value (n, width) of every node, X_0 the stem's; the last one is what the readout reads."""
        if x.dim() < 2 or math.prod(x.shape[1:]) != self.in_features:
            raise InputError(
                f"expected inputs (n, ...) of {self.in_features} numbers each, got {tuple(x.shape)}; resize them, "
                "or build the network with other in_channels and resolution"
            )
        x = x.flatten(1)
        if self.scale != "none":
            x = F.normalize(x, dim=1) * (self.in_features**0.5 if self.scale == "dimension" else 1.0)
        values: list[Tensor] = [self._stem(x)]
        groups: Any = self._to_from_dag_layers
        for group, edges in zip(self.operations, groups, strict=True):
            terms = [
                values[source] if operation == SKIP else edges[source][0](values[source])
                for source, operation in enumerate(group)
                if operation != ZERO
            ]
            values.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(values[0]))
        return values


def _edge(operation: int, width: int, bias: bool) -> nn.Module:
    if operation == LINEAR:
        return LinearReLU(width, width, bias)
    return nn.Identity() if operation == SKIP else Zero()


def _check_operations(operations: Sequence[Sequence[int]]) -> None:
    if not isinstance(operations, tuple | list) or not operations:
        raise InputError(f"expected the operations into each node, got {operations!r}; parse the architecture first")
    for t, group in enumerate(operations, 1):
        if len(group) != t or any(operation not in (ZERO, SKIP, LINEAR) for operation in group):
            raise InputError(f"node {t} needs {t} operations of 0, 1 and 2, got {tuple(group)!r}; parse the code first")


def _linear(d_in: int, d_out: int, bias: bool) -> nn.Linear:
    """A linear layer with memory and no values yet: torch's own initialisation on the meta device costs nothing."""
    layer = nn.Linear(d_in, d_out, bias=bias, device="meta")
    for name, parameter in tuple(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(torch.empty(parameter.shape)))
    return layer
