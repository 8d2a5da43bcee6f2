"""The Ramanujan gap that density and shape alone predict: that of a mask drawn at random among those of as many edges.

The σ2 of a random mask sits on the edge of the bulk of its spectrum, not far below the bound, so that the gap mostly
tells density and shape: √p (√m + √n)(1 - √(1 - p)) to leading order. What remains after subtracting is the mask's own.

Closed form, for m outputs, n inputs, E edges, p = E/(mn), κ = (1 - 6p(1 - p))/(p(1 - p)) the excess kurtosis of an
entry and r = √(m - 1) + √(n - 1):

    σ2² = p(1 - p) (r² (1 + κ/√(mn)) - 1.2065 r (1/√(m - 1) + 1/√(n - 1))^(1/3))

The first term is the Marchenko-Pastur edge, its factor the shift by the fourth cumulant k₄ of sparse entries (to first
order in k₄, from 1 + z g + n s² g h + n k₄ g²h² = 0 = 1 + z h + m s² g h + m k₄ g²h²; Hwang, Lee & Schnelli 2019), the
second the mean of the Tracy-Widom law (Johnstone 2001). The degrees in the bound are those of the nodes that are not
isolated, expected n (1 - (1 - p)^m) and m (1 - (1 - p)^n). It holds where min(p, 1 - p) √(mn) ≥ 12 and m, n ≥ 32: over
26 such shapes and densities, from 64 x 576 to 512 x 4608, it met sampled means within 0.06, less than what one mask
differs from the next (0.05 to 0.15). Sparser, smaller or nearly full layers are sampled, with a generator seeded by m,
n and E: their masks are cheap to measure, and stars of a few high-degree nodes, isolated nodes and lattice effects have
no closed form.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import numpy as np
from scipy.sparse import csr_array

from automl_theory.errors import InputError
from automl_theory.graphs.ramanujan import spectrum_of

TRACY_WIDOM_MEAN = -1.2065335745820
_LEAST_DEGREE = 12
_LEAST_SIDE = 32


@lru_cache(maxsize=4096)
def random_gap(outputs: int, inputs: int, edges: int) -> float:
    """Mean Δr = √(d_L - 1) + √(d_R - 1) - σ2 of masks with `edges` ones, uniformly drawn: closed form or sampled.

    The same for the same three numbers. A full mask has but one draw, √(m - 1) + √(n - 1). Sampled are 64
    masks, fewer above 300 edges (one then differs less from the next), 4 above 5,000 and 2 of nearly full ones. Errors:
    InputError for fewer than one edge or more than outputs x inputs.
    """
    if not 1 <= edges <= outputs * inputs:
        raise InputError(
            f"a {outputs} x {inputs} mask has 1 to {outputs * inputs} edges, got {edges}; give one of these"
        )
    if edges == outputs * inputs:
        return sqrt(outputs - 1) + sqrt(inputs - 1)
    p = edges / (outputs * inputs)
    if min(outputs, inputs) >= _LEAST_SIDE and min(p, 1 - p) * sqrt(outputs * inputs) >= _LEAST_DEGREE:
        return random_gap_closed_form(outputs, inputs, edges)
    samples = int(np.clip(20_000 // edges, 2 if p > 0.5 else 4, 64))
    return float(np.mean(random_gap_samples(outputs, inputs, edges, samples=samples)))


def random_gap_closed_form(outputs: int, inputs: int, edges: int) -> float:
    """The module's closed form for m, n ≥ 2, wherever it is asked; trust it where the module says it holds."""
    m, n, p = outputs, inputs, edges / (outputs * inputs)
    variance = p * (1 - p)
    r = sqrt(m - 1) + sqrt(n - 1)
    shifted = r * r * (variance + (1 - 6 * variance) / sqrt(m * n))
    width = r * (1 / sqrt(m - 1) + 1 / sqrt(n - 1)) ** (1 / 3)
    sigma2 = sqrt(max(shifted + TRACY_WIDOM_MEAN * width * variance, 0.0))
    left, right = n * (1 - (1 - p) ** m), m * (1 - (1 - p) ** n)
    return sqrt(max(edges / left - 1, 0.0)) + sqrt(max(edges / right - 1, 0.0)) - sigma2


def random_gap_samples(outputs: int, inputs: int, edges: int, *, samples: int, seed: int = 0) -> list[float]:
    """Δr of `samples` masks, each uniform among those of `edges` ones; seeded by seed, outputs, inputs and edges."""
    rng = np.random.default_rng([seed, outputs, inputs, edges])
    size = outputs * inputs
    gaps = []
    for _ in range(samples):
        if 2 * edges > size:
            kept = np.ones(size, dtype=bool)
            kept[rng.choice(size, size - edges, replace=False)] = False
            flat = np.flatnonzero(kept)
        else:
            flat = np.sort(rng.choice(size, edges, replace=False))
        starts = np.concatenate([[0], np.cumsum(np.bincount(flat // outputs, minlength=inputs))])
        graph = spectrum_of(csr_array((np.ones(edges), flat % outputs, starts), shape=(inputs, outputs)), binary=True)
        assert graph is not None
        gaps.append(graph.bound - graph.sigma2)
    return gaps
