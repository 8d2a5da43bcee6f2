"""Spectra of kernel matrices, with zero, tiny and rank-deficient cases decided in one place.

Conventions: matrices are float64 numpy arrays of shape (n, n); K is symmetrised as (K + Kᵀ)/2; an eigenvalue
λ ≤ eps·n·λ_max counts as zero, where eps is the machine epsilon of the dtype *in which the kernel's entries were
computed* (a Gram of float32 gradients carries float32 noise, whatever it is stored in).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from automl_theory.errors import InputError

Array = NDArray[np.float64]

EPS64 = float(np.finfo(np.float64).eps)
EPS32 = float(np.finfo(np.float32).eps)


@cache
def _pools() -> Any:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[None]:
    """A block within which NumPy's matrix routines use one thread.

    A second one gains nothing on matrices of some hundred rows, and after each call waits for more work with its core
    kept busy, which torch beside it would use: a tenth of the time of a zero-cost suite on two cores. Results then have
    the same last bits whatever the number of threads.
    """
    limits: AbstractContextManager[None] = _pools().limit(limits=1, user_api="blas")
    return limits


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a symmetric positive semi-definite matrix and what they allow to say.

    Attributes:
        eigenvalues: (n,) ascending, as computed (rounding may leave a zero slightly negative).
        tolerance: eps·n·λ_max; eigenvalues at or below it are zeros.
        rank: number of eigenvalues above the tolerance.
        status: "ok"; "rank_deficient" if rank < n; "disconnected" if the matrix is exactly zero;
            "non_finite" if it holds NaN or infinity (eigenvalues are then NaN and the rank 0).
    """

    eigenvalues: Array
    tolerance: float
    rank: int
    status: str

    @property
    def lambda_min(self) -> float:
        """Smallest eigenvalue; 0 when it is at or below the tolerance; NaN when non-finite."""
        smallest = float(self.eigenvalues[0])
        return 0.0 if smallest <= self.tolerance else smallest

    @property
    def condition_number(self) -> float:
        """λ_max/λ_min ≥ 1; +inf when rank deficient (never negative, never a finite sentinel)."""
        if self.status == "non_finite":
            return float("nan")
        return float(self.eigenvalues[-1] / self.eigenvalues[0]) if self.status == "ok" else float("inf")

    @property
    def effective_rank(self) -> float:
        """exp(H(p)), p = λ/Σλ, H the entropy in nats (Roy & Vetterli 2007): 1 ≤ value ≤ n; NaN for the zero matrix."""
        positive = np.clip(self.eigenvalues, 0.0, None)
        if not positive[-1] > 0:
            return float("nan")
        p = positive[positive > 0] / positive[-1]
        p = p / p.sum()
        return float(np.exp(-(p * np.log(p)).sum()))

    def cumulative_trace_eigenvalue(self, share: float = 0.9) -> float:
        """Last eigenvalue, in descending order, before the cumulative trace reaches `share` of the whole.

        λ_k, k = max(1, #{j : λ_1 + … + λ_j < share·Σλ}), λ_1 ≥ λ_2 ≥ …: λ_1 where it alone has the share. What the
        no-free-lunch paper plots as λ_min. 0 for the zero matrix, NaN when non-finite.
        """
        descending = self.eigenvalues[::-1]
        if self.status in ("non_finite", "disconnected"):
            return float(descending[0])
        before = int(np.searchsorted(np.cumsum(descending) / descending.sum(), share))
        return float(descending[max(before, 1) - 1])

    def numerical_rank(self, tol: float) -> int:
        """Number of eigenvalues above max(tol·λ_max, the zero tolerance)."""
        return int((self.eigenvalues > max(tol * self.eigenvalues[-1], self.tolerance)).sum())


def spectrum(kernel: Array, eps: float = EPS64) -> Spectrum:
    """Eigenvalues of the symmetrised (n, n) `kernel`, with the decisions of this module.

    Args:
        kernel: (n, n), n ≥ 1; the units are the kernel's.
        eps: machine epsilon of the dtype in which the entries were computed.

    Edge values: the zero matrix is "disconnected" with all eigenvalues 0 and rank 0; NaN or inf gives "non_finite".
    """
    n = len(kernel)
    if not np.isfinite(kernel).all():
        return Spectrum(np.full(n, np.nan), float("nan"), 0, "non_finite")
    if not kernel.any():
        return Spectrum(np.zeros(n), 0.0, 0, "disconnected")
    eigenvalues: Array = np.asarray(np.linalg.eigvalsh(_symmetric(kernel)), dtype=np.float64)
    tolerance = eps * n * max(float(eigenvalues[-1]), 0.0)
    rank = int((eigenvalues > tolerance).sum())
    return Spectrum(eigenvalues, tolerance, rank, "ok" if rank == n else "rank_deficient")


def _symmetric(kernel: Array) -> Array:
    return kernel / 2 + kernel.T / 2


def correlation(kernel: Array) -> Array:
    """Diagonal-normalised kernel K_ij/√(K_ii K_jj); rows of a zero diagonal entry become zero."""
    scale = np.sqrt(np.clip(np.diag(kernel), 0.0, None))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    normalised: Array = kernel * inverse[:, None] * inverse[None, :]
    return normalised


def solve(kernel: Array, rhs: Array, eps: float = EPS64) -> tuple[Array, str]:
    """K⁻¹ rhs by the eigen-decomposition, eigenvalues at or below eps·n·λ_max left out (the minimum-norm solution).

    Returns the solution, of the shape of rhs, (n,) or (n, k), and a status as in `spectrum`; "rank_deficient" says that
    directions were left out. The zero matrix gives zeros, NaN or infinity in K gives NaN.
    """
    if not np.isfinite(kernel).all():
        return np.full_like(rhs, np.nan), "non_finite"
    if not kernel.any():
        return np.zeros_like(rhs), "disconnected"
    values, vectors = np.linalg.eigh(_symmetric(kernel))
    keep = values > eps * len(kernel) * max(float(values[-1]), 0.0)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=keep)
    return (vectors * inverse) @ (vectors.T @ rhs), "ok" if keep.all() else "rank_deficient"


def kernel_regression_error(
    k_seen: Array,
    k_cross: Array,
    y_seen: Array,
    y_held: Array,
    *,
    centre: Literal["seen", "own", "none"] = "seen",
    eps: float = EPS64,
) -> tuple[float, str]:
    """Mean over held-out samples of ‖K_hs K_ss⁻¹ Y_s − Y_h‖²: kernel regression without a ridge.

    Args:
        k_seen: (n, n) kernel of the seen samples; k_cross: (m, n) kernel of held-out (rows) with seen samples.
        y_seen, y_held: (n, C) and (m, C) targets, such as one-hot labels.
        centre: what is subtracted from the targets: "seen", the seen samples' mean from both (nothing leaks); "own",
            each batch's own mean, as TEG-NAS does; or "none".
        eps: machine epsilon of the dtype in which the kernels were computed.

    Returns:
        The error, in squared units of the targets, and a status: "rank_deficient" if K_ss is singular (then the
        minimum-norm solution), "disconnected" if it is zero, "non_finite" with NaN if a kernel holds NaN or infinity.

    Raises:
        InputError: for an unknown `centre`.

    Source: Chen et al. 2021 (TEG-NAS), with empirical_ntk(net, x, parameters="cell", bn="batch"), its cross kernel
    empirical_ntk(net, x_held, x, …) and centre="own".
    """
    if centre not in ("seen", "own", "none"):
        raise InputError(f"centre={centre!r} is not one of seen, own, none; give one of them")
    seen, held = (np.asarray(y, dtype=np.float64) for y in (y_seen, y_held))
    means = {"seen": (seen.mean(0), seen.mean(0)), "own": (seen.mean(0), held.mean(0)), "none": (0.0, 0.0)}
    solution, status = solve(k_seen, seen - means[centre][0], eps)
    if status == "non_finite" or not np.isfinite(k_cross).all():
        return float("nan"), "non_finite"
    error = k_cross @ solution - (held - means[centre][1])
    return float((error**2).sum(1).mean()), status
