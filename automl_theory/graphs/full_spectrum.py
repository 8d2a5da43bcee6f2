"""The full-spectrum coordinate of a layer, and its distances.

    c = (Δr, λ, IMDB, λ_nested)

Δr and IMDB come from the mask (`ramanujan`, `nested`), λ = σ1(|W|) - σ2(|W|) and its nested form, the mean of
σ1(|W_{K_d}|) - σ2(|W_{K_d}|) over the left-regular subgraphs K_d, from the magnitudes of the kept weights. The axes
have no common scale: λ is proportional to the weights, Δr and IMDB are pure numbers.

Two distances: ‖c‖₂ from the origin, which the search over sampled masks maximises (a gap far *below* zero lengthens it
just as well), and ‖c - c₀‖₂ from the coordinate of the same mask with the weights at initialisation, where Δr and IMDB
cancel and only the two weighted axes are left.

Source: Hoang, Kundu, Liu, Wang, "Don't just prune by magnitude! Your mask topology is a secret weapon" (NeurIPS 2023).
"""

from __future__ import annotations

from math import dist, hypot
from typing import NamedTuple

from automl_theory.graphs.ramanujan import GraphSpectrum


class Coordinate(NamedTuple):
    """(Δr, λ, IMDB, λ_nested) of a layer."""

    ramanujan_gap: float
    weighted_gap: float
    imdb: float
    nested_weighted_gap: float


def coordinate(*axes: float | None, zero_for_undefined: bool = False) -> Coordinate | None:
    """Return the coordinate of its four axes; None if one is, unless undefined axes count as zero."""
    if zero_for_undefined:
        return Coordinate(*(axis or 0.0 for axis in axes))
    defined = [axis for axis in axes if axis is not None]
    return Coordinate(*defined) if len(defined) == len(axes) else None


def length(point: Coordinate | None) -> float | None:
    """‖c‖₂, the distance from the origin; None for an undefined coordinate."""
    return None if point is None else hypot(*point)


def distance(point: Coordinate | None, other: Coordinate | None) -> float | None:
    """‖c - c₀‖₂; None if either is undefined."""
    return None if point is None or other is None else dist(point, other)


def weighted_gap(spectrum: GraphSpectrum | None) -> float:
    """λ = σ1 - σ2 ≥ 0 of |W|; 0 where all weights are zero."""
    return 0.0 if spectrum is None else spectrum.sigma1 - spectrum.sigma2
