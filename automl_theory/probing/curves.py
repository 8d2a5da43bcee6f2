"""Curves through a network: the image of a circle in input space, its speed, bending and turning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp

Function = Callable[[Tensor], Tensor]
_CHUNK = 64


def circle(like: Tensor, points: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """x(t) = √N₀(u₀ cos t + u₁ sin t) at `points` equidistant t in [0, 2π), its velocity and acceleration.

    `like` (…) is one input, whose shape, dtype and device are taken; N₀ its number of entries (at least 2). u₀, u₁
    are orthonormal, drawn from PCG64(seed). Each returned tensor is (points, …).
    """
    radius = like.numel() ** 0.5
    x, v = (radius * part for part in unit_circle(random_basis(like.numel(), seed), equidistant(points)))
    x, v = (part.reshape(points, *like.shape).to(dtype=like.dtype, device=like.device) for part in (x, v))
    return x, v, -x


def unit_circle(basis: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """x(t) = u₀ cos t + u₁ sin t at given angles (m,), and its velocity: each (m, d). Its acceleration is −x.

    `basis` (d, 2) has u₀, u₁ as its columns; they are taken as they are, so that orthonormal ones give radius 1.
    """
    cos, sin = torch.cos(angles)[:, None], torch.sin(angles)[:, None]
    return basis[:, 0] * cos + basis[:, 1] * sin, basis[:, 1] * cos - basis[:, 0] * sin


def random_basis(dimension: int, seed: int) -> Tensor:
    """Two random orthonormal directions, (dimension, 2) float64, drawn from PCG64(seed); dimension at least 2."""
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal((dimension, 2))
    return torch.from_numpy(np.linalg.qr(drawn)[0])


def equidistant(points: int) -> Tensor:
    """`points` angles in [0, 2π), float64."""
    return torch.from_numpy(np.linspace(0, 2 * np.pi, points, endpoint=False))


def outputs(function: Function, x: Tensor) -> Tensor:
    """f(x) in chunks: (m, k) float64."""
    with torch.no_grad():
        return torch.cat([function(part) for part in x.split(_CHUNK)]).double()


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch loads its rules for forward-mode differentiation on first use, through a deprecated door of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)  # see above
        yield


def _directional(function: Function, x: Tensor, v: Tensor) -> Tensor:
    """Df(x)·v."""
    out: Tensor = jvp(function, (x,), (v,))[1]
    return out


def velocity(function: Function, x: Tensor, v: Tensor) -> Tensor:
    """J = Df(x)·v by forward-mode differentiation: (m, k) float64."""
    with _quiet():
        parts = [_directional(function, a, b) for a, b in zip(x.split(_CHUNK), v.split(_CHUNK), strict=True)]
    return torch.cat(parts).detach().double()


def velocity_and_acceleration(function: Function, x: Tensor, v: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """J = Df(x)·v and J' = Df(x)·a + D²f(x)[v, v], almost everywhere: each (m, k) float64."""

    def first(point: Tensor, direction: Tensor) -> Tensor:
        return _directional(function, point, direction)

    with _quiet():
        pairs = [
            jvp(first, (point, speed), (speed, change))[:2]
            for point, speed, change in zip(x.split(_CHUNK), v.split(_CHUNK), a.split(_CHUNK), strict=True)
        ]
    j, dj = zip(*pairs, strict=True)
    return torch.cat(j).detach().double(), torch.cat(dj).detach().double()


def length(j: Tensor) -> float:
    """∫₀^2π |J| dt from J (m, k) at m equidistant points (exact for trigonometric polynomials of degree below m)."""
    return float(j.norm(dim=1).mean() * 2 * torch.pi)


def curvatures(j: Tensor, dj: Tensor) -> Tensor:
    """κ = |J|⁻³ √(|J|²|J'|² − (J·J')²) of J and J' (…, k): (…); NaN where J = 0."""
    speed = j.norm(dim=-1)
    area = (speed**2 * (dj**2).sum(-1) - (j * dj).sum(-1) ** 2).clamp_min(0).sqrt()
    return torch.where(speed > 0, area / speed**3, torch.nan)


def mean_curvature(j: Tensor, dj: Tensor) -> float:
    """Mean of κ over the points where J ≠ 0; NaN if there is none."""
    return float(curvatures(j, dj)[j.norm(dim=-1) > 0].mean())


def total_turning(y: Tensor, eps: float = 0.0) -> float:
    """Sum of the exterior angles, in radians, of the closed polygon with corners y (m, k), without repeated corners.

    Corners closer than 8·eps·max|y| count as repeated: their difference is rounding, of no direction. A polygon with
    fewer than two different corners turns by 0.
    """
    steps = torch.roll(y, -1, 0) - y
    steps = steps[steps.norm(dim=1) > 8 * eps * y.norm(dim=1).max()]
    if len(steps) < 2:
        return 0.0
    unit = steps / steps.norm(dim=1, keepdim=True)
    following = torch.roll(unit, -1, 0)
    half_chord = (following - unit).norm(dim=1) / 2
    half_sum = (following + unit).norm(dim=1) / 2
    return float(2 * torch.atan2(half_chord, half_sum).sum())
