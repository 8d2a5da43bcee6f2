"""What the no-free-lunch paper proves about a cell (Chen, Huang & Wang, AutoML 2023): Theorems 4.1, 4.4, 4.5 and 4.6.

All depend on the cell through the number of linear edges d_p on each of its P input-output paths p alone, and so cannot
tell apart cells that the exact kernels do (`dag_kernels`). f = κ1, ḟ = κ0, f^d is f applied d times, f^0(c) = c.

**Heuristics, not bounds.** Theorem 4.4 bounds λ_min of the *path-sum* kernel (`dag_kernels(rule="paths")`, with
K_0,ii = 1): it is the least eigenvalue of one of its 2×2 minors. The true infinitely wide network is another kernel,
larger, since paths that meet add coherently: on 32 Gaussian inputs with |x|² = d it exceeds the bound of Theorem 4.4 in
54 of the 541 live cells, up to 1.86-fold, all of them with parallel routes of skips only, such as `1_01_112`. Theorem
4.6 as printed is no such minor, not even for one path (see `ntk_gap`): with two inputs the path-sum kernel itself
exceeds it in 539 of 541 cells, by up to 9 %; with 32 inputs, whose λ_min is far below every pair's, in none. What holds
for any kernel is `pair_bound`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import poch

from automl_theory.counts import whole
from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.infinite_width.arc_cosine import kappa0, kappa1
from automl_theory.infinite_width.dag_kernels import Dag, as_graph, as_graphs
from automl_theory.linalg import solve, spectrum

Array = NDArray[np.float64]


def nngp_gap(dag: Dag, c: ArrayLike) -> Array:
    """P - Σ_p f^(d_p)(c), elementwise: Theorem 4.4 for two inputs whose K_0 has diagonal 1 and off-diagonal c.

    Falls with c on [-1, 1] and is 0 at c = 1; 0 for a disconnected cell. Errors: InputError for c outside [-1, 1].
    """
    return _gaps(as_graph(dag), c)[0]


def ntk_gap(dag: Dag, c: ArrayLike) -> Array:
    """P - Σ_p f^(d_p)(c) + Σ_p d_p - Σ_p Σ_{e=1..d_p} f^e(c) Π_{k=1..e} ḟ^k(c), elementwise: Theorem 4.6.

    ḟ^k(c) = ḟ(f^(k-1)(c)) is the derivative at the k-th linear edge. As printed. The recursion that the paper starts
    from, G_h = K_h + K̇_h G_(h-1), has the terms f^(e-1)(c) Π_{k=e..d_p} ḟ^k(c) in the double sum instead (used in
    `dag_kernels(rule="paths")`); both have Σ_p d_p terms, all 1 at c = 1. For one linear edge the print has f ḟ where
    the recursion has c ḟ, smaller, so that the recursion's gap is the larger one. Edge values and errors as `nngp_gap`.
    """
    return _gaps(as_graph(dag), c)[1]


def nngp_bound(dags: Dag | Iterable[Dag], k0: ArrayLike) -> Any:
    """min_{i≠j} [P - Σ_p f^(d_p)(K_0,ij)], Theorem 4.4's bound of λ_min(NNGP): a float, or (a,) for a list of cells.

    Args:
        dags: a code or a cell, or several.
        k0: (n, n) kernel at the cell's input with diagonal 1, n ≥ 2: `stem_kernel(x)` of inputs with |x|² = d.

    A bound for the path-sum kernel only; the exact kernel of the infinitely wide network exceeds it in cells with
    parallel routes of skips (see the module). Errors: InputError for a k0 of another shape or diagonal.
    """
    return _bound(dags, k0, 0)


def ntk_bound(dags: Dag | Iterable[Dag], k0: ArrayLike) -> Any:
    """min_{i≠j} of `ntk_gap`, Theorem 4.6's bound of λ_min(NTK), in the scale of `dag_kernels(...).ntk`.

    No bound of the path-sum kernel either where inputs are few (see the module). Arguments and errors as `nngp_bound`.
    """
    return _bound(dags, k0, 1)


def pair_bound(kernel: ArrayLike) -> float:
    """min_{i≠j} λ_min of the 2×2 principal minor (K_ii, K_ij; K_ij, K_jj): λ_min(K) never exceeds it (Cauchy).

    λ_min = (K_ii + K_jj)/2 - √((K_ii - K_jj)²/4 + K_ij²). Errors: InputError unless K is (n, n) with n ≥ 2.
    """
    values = _square(kernel)
    diagonal = np.diag(values)
    upper = np.triu_indices(len(values), 1)
    mean = (diagonal[upper[0]] + diagonal[upper[1]]) / 2
    half = (diagonal[upper[0]] - diagonal[upper[1]]) / 2
    return float(np.min(mean - np.hypot(half, values[upper])))


def jacobian_norm(dag: Dag, width: int) -> float:
    """C Σ_p exp(-5 d_p / (8 m)), C = Γ((m+1)/2) / (Γ(m/2) √(m/2)): Theorem 4.1's mean of |dX_H/dt| at width m.

    In units of √E|dX_0/dt|², the speed at the cell's input, whose coordinates count as Gaussian (hence C). Corrections
    O(d_p/m²) are left out. C → 1 and the sum → P for m → ∞: depth takes 0.7 % at m = 256 and d_p = 3.

    Right for one path. With several the theorem adds norms of the paths' Jacobians, where the norm of their sum is
    meant: two parallel linear edges have √2, not 2. Errors: InputError for a width below 1.
    """
    whole("width", width)
    m = int(width)
    constant = float(poch(m / 2, 0.5)) / math.sqrt(m / 2)
    depths = as_graph(dag).depth_histogram()
    return constant * sum(count * math.exp(-0.625 * d / m) for d, count in depths.items())


def risk_term(dag: Dag, ntk: ArrayLike, y: ArrayLike) -> float:
    """Σ_p d_p · √(yᵀ G⁻¹ y / N): the leading term of Theorem 4.5's generalization bound, up to logarithms.

    Args:
        dag: a code or a cell.
        ntk: G, the (N, N) kernel of the N training inputs; its scale is part of the value.
        y: targets (N,), or (N, C) for C outputs, whose quadratic forms are added.

    0 for a cell without a linear edge on a path: the term says nothing there. +inf where G is rank deficient. With G
    the exact kernel the premises of the proof (K̇ and G by path sums) do not hold: a number to rank by. Errors:
    InputError for shapes that do not fit or values that are not finite.
    """
    kernel = _square(ntk, least=1)
    targets = np.asarray(y, dtype=np.float64)
    if targets.ndim not in (1, 2) or len(targets) != len(kernel):
        expected = f"({len(kernel)},) or ({len(kernel)}, C)"
        raise InputError(f"expected y of shape {expected}, got {targets.shape}; give each input its target")
    if not np.isfinite(targets).all():
        raise InputError("y holds NaN or infinity; leave those samples out")
    total = sum(d * count for d, count in as_graph(dag).depth_histogram().items())
    if not total:
        return 0.0
    if spectrum(kernel).status != "ok":
        return math.inf
    form = float(np.sum(targets * solve(kernel, targets)[0]))
    return total * math.sqrt(form / len(kernel))


def _gaps(graph: CellGraph, c: ArrayLike) -> tuple[Array, Array]:
    depths = graph.depth_histogram()
    value = np.asarray(c, dtype=np.float64)
    nngp, tangent = np.zeros(value.shape), np.zeros(value.shape)
    slopes, inner = np.ones(value.shape), np.zeros(value.shape)
    for d in range(max(depths, default=-1) + 1):
        if d:
            slopes = slopes * kappa0(value)
            value = kappa1(value)
            inner = inner + (1 - value * slopes)
        count = depths.get(d, 0)
        nngp += count * (1 - value)
        tangent += count * inner
    return nngp, nngp + tangent


def _bound(dags: Dag | Iterable[Dag], k0: ArrayLike, which: int) -> Any:
    values = _square(k0)
    if np.abs(np.diag(values) - 1).max() > 1e-6:
        raise InputError("the theorem needs K_0 with diagonal 1: stem_kernel(x) of inputs scaled to |x|² = d")
    pairs = values[np.triu_indices(len(values), 1)]
    least = [float(_gaps(graph, pairs)[which].min()) for graph in as_graphs(dags)]
    return least[0] if isinstance(dags, str | CellGraph) else np.array(least, dtype=np.float64)


def _square(kernel: ArrayLike, least: int = 2) -> Array:
    values = np.asarray(kernel, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < least:
        expected = f"(n, n) with n of at least {least}"
        raise InputError(f"expected a kernel of shape {expected}, got {values.shape}; see stem_kernel and dag_kernels")
    if not np.isfinite(values).all():
        raise InputError("the kernel holds NaN or infinity; leave those samples out")
    return values
