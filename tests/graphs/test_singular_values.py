from __future__ import annotations

import numpy as np
import pytest
from reference.masks import affine_plane, projective_plane, sigmas
from scipy.sparse import block_diag, csr_array

from automl_theory.graphs.singular_values import top_two


def masks():
    """500 masks: random of all densities, tied, disconnected and degenerate ones."""
    rng = np.random.default_rng(0)
    for number in range(300):
        shape = rng.integers(1, 60, 2)
        yield rng.random(shape) < (0.02, 0.1, 0.3, 0.6, 0.95, 1.0)[number % 6]
    blocks = [projective_plane(2), projective_plane(3), affine_plane(3), np.ones((3, 5)), np.ones((1, 4)), np.eye(3)]
    for number in range(100):
        chosen = [blocks[i] for i in rng.integers(0, len(blocks), 1 + number % 5)]
        mask = block_diag(chosen).toarray() > 0
        yield mask[rng.permutation(len(mask))][:, rng.permutation(mask.shape[1])]
    for _ in range(50):
        yield np.kron(np.eye(rng.integers(1, 6)), rng.random(rng.integers(1, 9, 2)) < 0.5) > 0
    for _ in range(50):
        mask = np.zeros(rng.integers(2, 40, 2), dtype=bool)
        mask[: rng.integers(0, 4), : rng.integers(0, 4)] = True
        mask.flat[rng.integers(0, mask.size, rng.integers(0, 3))] ^= True
        yield mask


def measured(matrix: np.ndarray, *, binary: bool) -> tuple[float, float]:
    live = matrix[matrix.any(axis=1)][:, matrix.any(axis=0)]
    return top_two(csr_array(live.astype(np.float64)), binary=binary)


def test_500_masks_against_the_dense_decomposition():
    found = list(masks())
    assert len(found) == 500
    for mask in found:
        np.testing.assert_allclose(measured(mask, binary=True), sigmas(mask), atol=1e-9, rtol=0)


def test_500_weighted_masks_against_the_dense_decomposition():
    rng = np.random.default_rng(1)
    for mask in masks():
        weight = np.abs(rng.standard_normal(mask.shape)) * mask
        np.testing.assert_allclose(measured(weight, binary=False), sigmas(weight), atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-12, 0.0])
def test_a_small_second_singular_value_keeps_its_digits(size):
    """The Gram alone would know σ2 to 1e-8 σ1 only."""
    rng = np.random.default_rng(2)
    left, right = (np.abs(np.linalg.qr(rng.random((n, 1)))[0]) for n in (40, 300))
    noise = rng.standard_normal((40, 300))
    matrix = 10 * left @ right.T * (1 + size * noise)
    np.testing.assert_allclose(measured(matrix, binary=False), sigmas(matrix), atol=1e-13, rtol=1e-12)
    np.testing.assert_allclose(measured(1e6 * matrix, binary=False), sigmas(1e6 * matrix), atol=1e-7, rtol=1e-12)


def test_complete_and_nearly_complete_graphs():
    full = np.ones((120, 700))
    assert measured(full, binary=True) == (pytest.approx(np.sqrt(84_000), rel=1e-14), 0.0)
    full[3, 4] = 0
    np.testing.assert_allclose(measured(full, binary=True), sigmas(full), atol=1e-9, rtol=0)


def test_sparse_and_dense_products_agree():
    """Both ways to the Gram, on both sides of the switch, and with several blocks."""
    rng = np.random.default_rng(3)
    for density in (0.02, 0.12, 0.2, 0.7):
        matrix = rng.random((220, 900)) * (rng.random((220, 900)) < density)
        np.testing.assert_allclose(measured(matrix, binary=False), sigmas(matrix), atol=1e-11)
        np.testing.assert_allclose(measured(matrix.T, binary=False), sigmas(matrix), atol=1e-11)


def test_nothing_one_row_and_one_edge():
    assert top_two(csr_array((0, 0)), binary=True) == (0.0, 0.0)
    assert measured(np.ones((1, 9)), binary=True) == (3.0, 0.0)
    assert measured(np.ones((1, 1)), binary=True) == (1.0, 0.0)
    assert measured(np.array([[3.0], [4.0]]), binary=False) == (5.0, 0.0)
    assert measured(np.eye(2), binary=True) == (1.0, 1.0)


def test_a_degenerate_gram_in_which_bisection_finds_no_eigenvalue():
    """A layer of 22 outputs with three inputs each, of which few are shared: LAPACK's dsyevr gave an internal error."""
    shared = [{4, 6, 12}, {11, 12, 16}, {6, 16}, {0, 18}, {2, 5}, {13, 15}]
    rows = [[column in members for column in range(22)] for members in shared]
    for column in range(22):
        alone = np.arange(22) == column
        rows += [list(alone)] * (3 - sum(column in members for members in shared))
    mask = np.array(rows, dtype=bool)
    assert (mask.sum(axis=0) == 3).all()
    np.testing.assert_allclose(measured(mask, binary=True), sigmas(mask), atol=1e-9, rtol=0)
    np.testing.assert_allclose(np.square(measured(mask, binary=True)), [5.93543233, 4.0], atol=1e-8, rtol=0)
