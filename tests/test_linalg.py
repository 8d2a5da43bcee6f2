"""The decisions on zero, tiny, rank-deficient and non-finite kernels."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import measures

from automl_theory.errors import InputError
from automl_theory.linalg import (
    EPS32,
    EPS64,
    Spectrum,
    correlation,
    kernel_regression_error,
    solve,
    spectrum,
)


@pytest.fixture(autouse=True)
def numpy_raises():
    with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def psd(values: list[float], seed: int = 0) -> np.ndarray:
    """A matrix with these eigenvalues."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return (q * np.array(values)) @ q.T


def test_well_conditioned():
    s = spectrum(psd([4.0, 1.0, 2.0]))
    np.testing.assert_allclose(s.eigenvalues, [1, 2, 4])
    assert (s.rank, s.status) == (3, "ok")
    assert s.lambda_min == pytest.approx(1)
    assert s.condition_number == pytest.approx(4)
    assert s.tolerance == pytest.approx(EPS64 * 3 * 4)


@pytest.mark.parametrize("n", [1, 4])
def test_zero_matrix(n):
    s = spectrum(np.zeros((n, n)))
    assert (s.status, s.rank, s.lambda_min, s.condition_number) == ("disconnected", 0, 0.0, math.inf)
    assert math.isnan(s.effective_rank)
    assert s.numerical_rank(0.01) == 0


def test_one_by_one():
    s = spectrum(np.array([[3.0]]))
    assert (s.status, s.rank, s.lambda_min, s.condition_number, s.effective_rank) == ("ok", 1, 3.0, 1.0, 1.0)
    assert spectrum(np.array([[-3.0]])).status == "rank_deficient"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite(bad):
    kernel = np.eye(3)
    kernel[0, 2] = bad
    s = spectrum(kernel)
    assert (s.status, s.rank) == ("non_finite", 0)
    for value in (s.lambda_min, s.condition_number, s.effective_rank):
        assert math.isnan(value)
    assert s.numerical_rank(0.1) == 0
    assert solve(kernel, np.ones((3, 1)))[1] == "non_finite"


@pytest.mark.parametrize("smallest", [0.0, 1e-17, -1e-17, -1e-3])
def test_rank_deficient_is_never_a_negative_or_finite_condition(smallest):
    s = spectrum(psd([smallest, 1.0, 2.0]))
    assert (s.status, s.lambda_min, s.condition_number) == ("rank_deficient", 0.0, math.inf)
    assert s.rank == 2


def test_tolerance_follows_the_precision_of_the_entries():
    kernel = np.diag([1e-8, 1.0, 1.0])
    assert spectrum(kernel).status == "ok"
    assert spectrum(kernel, EPS32).status == "rank_deficient"
    for eps in (EPS64, EPS32):
        edge = 3 * eps
        assert spectrum(np.diag([edge, 1.0, 1.0]), eps).rank == 2
        assert spectrum(np.diag([edge * 1.01, 1.0, 1.0]), eps).rank == 3


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300, 8e307])
def test_scale_decides_nothing(scale):
    s = spectrum(psd([1.0, 2.0]) * scale)
    assert s.status == "ok"
    assert s.condition_number == pytest.approx(2)
    assert s.effective_rank == pytest.approx(spectrum(psd([1.0, 2.0])).effective_rank)
    np.testing.assert_allclose(correlation(psd([1.0, 2.0]) * scale), correlation(psd([1.0, 2.0])))


def test_only_the_symmetric_part_counts():
    kernel = psd([1.0, 2.0, 3.0])
    skew = np.array([[0, 1, 0], [-1, 0, 2], [0, -2, 0.0]])
    np.testing.assert_allclose(spectrum(kernel + skew).eigenvalues, spectrum(kernel).eigenvalues)
    np.testing.assert_allclose(solve(kernel + skew, np.eye(3))[0], np.linalg.inv(kernel))


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 100, allow_subnormal=False)))
def test_effective_rank_lies_between_one_and_n(values):
    s = Spectrum(np.sort(values), 0.0, len(values), "ok")
    if values.sum() > 0:
        assert 1 - 1e-9 <= s.effective_rank <= len(values) + 1e-9
        if (values > 0).all() and np.ptp(values) == 0:
            assert s.effective_rank == pytest.approx(len(values))


def test_effective_rank_against_the_definition():
    kernel = psd([0.5, 1.5, 3.0, 10.0])
    assert spectrum(kernel).effective_rank == pytest.approx(measures.effective_rank(kernel))
    assert spectrum(np.diag([0.0, 0.0, 2.0])).effective_rank == 1.0
    assert spectrum(np.eye(5)).effective_rank == pytest.approx(5)


def test_numerical_rank():
    s = spectrum(np.diag([1e-20, 1e-3, 0.02, 1.0]))
    assert [s.numerical_rank(tol) for tol in (1e-30, 1e-4, 1e-3, 0.01, 0.5)] == [3, 3, 2, 2, 1]


def test_correlation():
    kernel = psd([1.0, 2.0, 5.0])
    np.testing.assert_allclose(correlation(kernel), measures.normalised(kernel))
    kernel[1] = kernel[:, 1] = 0
    normal = correlation(kernel)
    assert not normal[1].any()
    assert not normal[:, 1].any()
    np.testing.assert_allclose(np.diag(normal), [1, 0, 1])
    assert spectrum(normal).status == "rank_deficient"
    kernel[1, 1] = -1e-20
    assert np.isfinite(correlation(kernel)).all()


def test_solve_is_the_pseudo_inverse():
    rng = np.random.default_rng(1)
    for values, status in (
        ([1.0, 2.0, 3.0], "ok"),
        ([0.0, 2.0, 3.0], "rank_deficient"),
        ([1e-18, 0, 3], "rank_deficient"),
    ):
        kernel = psd(list(values))
        for rhs in (rng.standard_normal((3, 2)), rng.standard_normal(3), np.zeros((3, 0))):
            solution, said = solve(kernel, rhs)
            assert said == status
            assert solution.shape == rhs.shape
            np.testing.assert_allclose(solution, np.linalg.pinv(kernel, rcond=1e-12) @ rhs, atol=1e-12)
    solution, said = solve(np.zeros((2, 2)), np.ones((2, 1)))
    assert (solution.tolist(), said) == ([[0.0], [0.0]], "disconnected")


def test_kernel_regression_error():
    rng = np.random.default_rng(2)
    a = rng.standard_normal((9, 20))
    kernel = a @ a.T
    y = np.array([0, 1, 2] * 3)
    labels = measures.one_hot(y, 3)
    seen, held = np.arange(5), np.arange(5, 9)
    parts = kernel[np.ix_(seen, seen)], kernel[np.ix_(held, seen)], labels[seen], labels[held]
    error, status = kernel_regression_error(*parts)
    assert status == "ok"
    assert error == pytest.approx(measures.regression_error(kernel, y, seen, held))
    weights = np.linalg.inv(parts[0])
    for centre, m_seen, m_held in (
        ("own", labels[seen].mean(0), labels[held].mean(0)),
        ("none", 0, 0),
    ):
        residual = parts[1] @ weights @ (labels[seen] - m_seen) - (labels[held] - m_held)
        assert kernel_regression_error(*parts, centre=centre)[0] == pytest.approx((residual**2).sum() / 4)
    perfect = kernel_regression_error(parts[0], parts[0], parts[2], parts[2])
    assert perfect[0] == pytest.approx(0, abs=1e-18)
    assert kernel_regression_error(np.ones((5, 5)), *parts[1:])[1] == "rank_deficient"
    assert kernel_regression_error(0 * parts[0], 0 * parts[1], *parts[2:])[1] == "disconnected"
    for k in range(2):
        broken = [part.copy() for part in parts]
        broken[k][0, 0] = np.nan
        error, status = kernel_regression_error(*broken)
        assert math.isnan(error)
        assert status == "non_finite"
    with pytest.raises(InputError, match="centre='mean' is not one of seen, own, none; give one of them"):
        kernel_regression_error(*parts, centre="mean")
