"""Arc-cosine maps: what a ReLU does to the correlation of two Gaussians (Cho & Saul, NeurIPS 2009).

For (u, v) Gaussian with mean 0, variances 1 and correlation c = cos θ,

    κ1(c) = 2 E[relu(u) relu(v)]     = (√(1 - c²) + (π - arccos c) c) / π
    κ0(c) = 2 E[relu'(u) relu'(v)]   = (π - arccos c) / π = 1/2 + arcsin(c)/π

κ1' = κ0 and κ0'(c) = 1/(π √(1 - c²)); κ1(1) = κ0(1) = 1, κ1(-1) = κ0(-1) = 0, κ1(0) = 1/π, κ0(0) = 1/2. On [-1, 1)
κ1(c) > c: every layer draws inputs together. The no-free-lunch paper writes f for κ1 and ḟ for κ0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from automl_theory.errors import InputError

Array = NDArray[np.float64]

ROUNDING = 1e-8
_SERIES_BELOW = 0.2


def kappa0(c: ArrayLike) -> Array:
    """κ0(c) = (π - arccos c)/π, elementwise, in [0, 1]; accurate to rounding near ±1 too.

    Errors: InputError for a correlation outside [-1, 1] by more than 1e-8 (less is taken for rounding). NaN stays.
    """
    return np.asarray(np.arccos(-_checked(c)) / np.pi)


def kappa1(c: ArrayLike) -> Array:
    """κ1(c) = (√(1 - c²) + (π - arccos c) c)/π, elementwise, in [0, 1].

    Near c = -1 the two terms cancel to φ³/(3π), φ = π - arccos c; there their power series in φ is summed, so that
    the relative error stays at rounding. κ1(1) is 1 and κ1(-1) is 0, exactly. Errors: as `kappa0`.
    """
    return maps(_checked(c))[1]


def kappa1_derivative(c: ArrayLike) -> Array:
    """κ1'(c) = κ0(c), elementwise. Errors: as `kappa0`."""
    return kappa0(c)


def kappa0_derivative(c: ArrayLike) -> Array:
    """κ0'(c) = 1/(π √(1 - c²)), elementwise; +inf at ±1. Errors: as `kappa0`."""
    values = _checked(c)
    root = np.pi * np.sqrt((1 - values) * (1 + values))
    return np.divide(1.0, root, out=np.full_like(root, np.inf), where=root != 0)


def maps(c: Array) -> tuple[Array, Array]:
    """(κ0(c), κ1(c)) for the price of one arccos; c already lies in [-1, 1]."""
    phi = np.arccos(-c)
    first = (np.sqrt((1 - c) * (1 + c)) + phi * c) / np.pi
    small = phi < _SERIES_BELOW
    if np.any(small):
        square = phi * phi
        # sin φ - φ cos φ = Σ_k (-1)^(k+1) 2k φ^(2k+1) / (2k+1)!
        series = 1 / 3 - square * (1 / 30 - square * (1 / 840 - square * (1 / 45360 - square / 3991680)))
        first = np.where(small, phi * square * series / np.pi, first)
    return np.asarray(phi / np.pi), np.asarray(first)


def _checked(c: Any) -> Array:
    values = np.asarray(c, dtype=np.float64)
    if np.any(np.abs(values) > 1 + ROUNDING):
        worst = float(values.flat[int(np.nanargmax(np.abs(values)))])
        raise InputError(f"correlations lie between -1 and 1, got {worst!r}; divide the kernel by √(K_ii K_jj)")
    return np.clip(values, -1.0, 1.0)
