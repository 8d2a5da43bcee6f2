"""Curves through many MLP cells at once: the image of a circle under the members of an `MlpStack`.

A network of linear layers and ReLUs without biases is piecewise linear, f(x) = Df(x) x. On a circle x'' = -x, so that

    y = f(x),    J = Df(x) x',    J' = Df(x) x'' = -f(x) = -y

almost everywhere: one forward pass of positions and tangents gives all, and no second derivative is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from automl_theory.networks.mlp_stack import MlpStack
from automl_theory.probing import curves

_CHUNK = 128
Array = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class StackCurves:
    """Logits and their velocity at points of a circle about 0, for each of K networks: float64 (K, points, classes).

    position   y
    velocity   J = dy/dt
    """

    position: Tensor
    velocity: Tensor

    @property
    def length(self) -> Array:
        """∫₀^2π |J| dt, (K,), for equidistant points."""
        return np.array([curves.length(j) for j in self.velocity])

    @property
    def curvature(self) -> Tensor:
        """κ = |J|⁻³ √(|J|²|J'|² − (J·J')²) at every point, (K, points); NaN where J = 0."""
        return curves.curvatures(self.velocity, -self.position)

    @property
    def mean_curvature(self) -> Array:
        """Mean of κ over the points where J ≠ 0, (K,); NaN if there is none. Divided by s for s times the output."""
        return np.array([curves.mean_curvature(j, -y) for j, y in zip(self.velocity, self.position, strict=True)])


def trace(stack: MlpStack, x: Tensor, v: Tensor, *, relu: bool = True) -> StackCurves:
    """Positions and velocities of the logits at points x (points, d) that move by v.

    relu=False leaves every ReLU out, the stem's too: the image is then an ellipse.
    """
    with torch.no_grad():
        x, v = x.to(stack.readout.dtype), v.to(stack.readout.dtype)
        values: list[Tensor] = []
        tangents: list[Tensor] = []
        for unit, weight in enumerate(stack.weights):
            value, tangent = (x, v) if not unit else (stack.read(unit, values), stack.read(unit, tangents))
            value, tangent = value @ weight.mT, tangent @ weight.mT
            values.append(torch.relu(value) if relu else value)
            tangents.append(tangent * (value > 0) if relu else tangent)
        readout = stack.readout.mT
        return StackCurves((stack.read(-1, values) @ readout).double(), (stack.read(-1, tangents) @ readout).double())


def in_plane(stack: MlpStack, basis: Tensor) -> MlpStack:
    """The same networks as functions of coordinates in the plane of `basis` (d, 2): f(basis · (a, b)) from (a, b).

    A circle in that plane then costs nothing in d: `unit_circle(torch.eye(2), angles)`.
    """
    stem = stack.weights[0]
    return replace(stack, weights=(stem @ basis.to(stem.dtype), *stack.weights[1:]))


def turning(stack: MlpStack, x: Tensor) -> Array:
    """Total turning angle in radians, (K,), of the closed polygon of the logits at points x (points, d).

    A lower bound of the curve's, which has a kink wherever a unit switches: about two a unit on a circle. With fewer
    points than kinks the bound is not near, and only values at equally many points compare.
    """
    with torch.no_grad():
        logits = torch.cat([stack.logits(part) for part in x.to(stack.readout.dtype).split(_CHUNK)], 1).double()
    eps = float(torch.finfo(stack.readout.dtype).eps)
    return np.array([curves.total_turning(y, eps) for y in logits])
