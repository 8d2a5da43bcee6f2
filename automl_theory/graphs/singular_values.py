"""The two largest singular values of a sparse non-negative matrix, exact with ties and several components.

The adjacency [[0, B], [Bᵀ, 0]] of a bipartite graph has the eigenvalues ±σ_i(B) and zeros. σ1 and σ2 come from the Gram
matrix of the smaller side, dense in float64 (exact integers for a mask), by a direct eigensolver: no iteration that
might miss a multiplicity, as single-vector Lanczos may (scipy #19756), and no randomised sketch, whose error (0.6 to 10
% on the bulk edge of a random mask) is larger than the gaps measured.

The eigenvalues of the Gram carry an error of about eps·σ1², hence σ2 one of eps·σ1²/(2σ2). Where σ2 is small beside σ1
that is not good enough, and two rules take over. Zeros and ones: the non-zero eigenvalues of an integer Gram multiply
to an integer, so that λ2 is zero or at least 1/λ1, and below 1/(2λ1) it is exactly zero (a complete bipartite graph).
Otherwise the top pair is taken out of the matrix before its Gram is formed: ‖B - B v vᵀ‖ is σ2 with an error of eps·σ1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, eigh
from scipy.linalg.blas import dsyrk
from scipy.sparse import csr_array

Array = NDArray[np.float64]

# Below this λ2/λ1 the Gram's own σ2 has lost more than 5 of its 16 digits.
_DEFLATE_BELOW = 1e-5
# Multiply-adds of a dense product that take as long as one of a sparse product.
_SPARSE_COST = 40


def top_two(matrix: csr_array, *, binary: bool) -> tuple[float, float]:
    """Return (σ1, σ2) of a matrix without empty rows and columns; (0, 0) without entries, σ2 = 0 for a single row.

    Args:
        matrix: (n, m) in CSR, values ≥ 0 and finite; `binary` says that all of them are 1.

    Time O(Σ_i d_i² + q³), d_i the entries of a row of the longer side, q = min(n, m); memory the matrix's transpose,
    the (q, q) Gram and one block.
    """
    if min(matrix.shape) == 0:
        return 0.0, 0.0
    if min(matrix.shape) == 1:
        return float(np.linalg.norm(matrix.data)), 0.0
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T.tocsr()
    second, first = (max(float(value), 0.0) for value in _top(_gram(tall), 2))
    if binary and first * second < 0.5:
        second = 0.0
    elif second < _DEFLATE_BELOW * first:
        second = _deflated(tall)
    return first**0.5, min(second, first) ** 0.5


def _top(gram: Array, count: int) -> Array:
    """The `count` largest eigenvalues, ascending; the upper triangle is read, and overwritten.

    All are computed: beside the reduction to tridiagonal form that costs next to nothing, and the bisection for a few
    of them finds none in some degenerate Grams.
    """
    values: Array = eigh(gram, lower=False, eigvals_only=True, overwrite_a=True, check_finite=False, driver="ev")
    return values[-count:]


def _gram(tall: csr_array) -> Array:
    """tallᵀ tall, (q, q), in Fortran's order; of the dense way only the upper triangle is filled."""
    n, q = tall.shape
    gram = np.zeros((q, q), order="F")
    products = float(np.sum(np.diff(tall.indptr).astype(np.float64) ** 2))
    if _SPARSE_COST * products < float(n) * q * q:
        wide = tall.T.tocsr()
        step = max(_rows(q) // 2, 1)  # A block is there twice, sparse and dense.
        for start in range(0, q, step):
            gram[:, start : start + step] = (wide[start : start + step] @ tall).toarray().T
        return gram
    for block in _dense_blocks(tall):
        gram = dsyrk(1.0, block.T, beta=1.0, c=gram, overwrite_c=1)
    return gram


def _rows(q: int) -> int:
    """Rows of a dense block of width q: an eighth of the Gram, but not less than 4,096 entries."""
    return max(4096 // q, q // 8, 1)


def _dense_blocks(tall: csr_array) -> Iterator[Array]:
    step = _rows(tall.shape[1])
    for start in range(0, tall.shape[0], step):
        yield tall[start : start + step].toarray()


def _deflated(tall: csr_array) -> float:
    """σ2², the largest eigenvalue of the Gram of B - B v vᵀ, v the top right singular vector."""
    q = tall.shape[1]
    try:
        vectors: Any = eigh(_gram(tall), lower=False, subset_by_index=[q - 1, q - 1], check_finite=False)[1]
    except LinAlgError:
        vectors = eigh(_gram(tall), lower=False, check_finite=False, driver="ev")[1]
    top = vectors[:, -1]
    rest = np.zeros((q, q), order="F")
    for block in _dense_blocks(tall):
        rest = dsyrk(1.0, (block - np.outer(block @ top, top)).T, beta=1.0, c=rest, overwrite_c=1)
    return max(float(_top(rest, 1)[0]), 0.0)
