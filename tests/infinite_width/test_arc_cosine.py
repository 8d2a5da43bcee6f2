from __future__ import annotations

import numpy as np
import pytest

from automl_theory.errors import InputError
from automl_theory.infinite_width import kappa0, kappa0_derivative, kappa1, kappa1_derivative

GRID = np.linspace(-1, 1, 2001)


def test_they_are_the_moments_of_a_relu() -> None:
    """2 E[relu(u) relu(v)] and 2 P(u > 0, v > 0), by integrating over the angle of (u, v)."""
    angle = (np.arange(400_000) + 0.5) / 400_000 * 2 * np.pi
    for theta in (0.3, 1.2, 2.5):
        u, v = np.cos(angle), np.cos(angle - theta)
        # E[r²] = 2 for the radius of two standard Gaussians.
        products = np.maximum(u, 0) * np.maximum(v, 0)
        assert kappa1(np.cos(theta)) == pytest.approx(2 * 2 * products.mean(), rel=1e-6)
        assert kappa0(np.cos(theta)) == pytest.approx(2 * ((u > 0) & (v > 0)).mean(), abs=1e-5)


def test_named_values() -> None:
    assert (kappa1(1.0), kappa1(-1.0), kappa0(1.0), kappa0(-1.0)) == (1, 0, 1, 0)
    assert kappa1(0.0) == pytest.approx(1 / np.pi, rel=1e-15)
    assert kappa0(0.0) == 0.5
    paper = (2 * GRID * np.arcsin(GRID) + 2 * np.sqrt(1 - GRID**2) + np.pi * GRID) / (2 * np.pi)
    np.testing.assert_allclose(kappa1(GRID), paper, atol=1e-15)
    np.testing.assert_allclose(kappa0(GRID), np.arcsin(GRID) / np.pi + 0.5, atol=1e-15)


def test_a_layer_draws_together_and_more_with_every_layer() -> None:
    """Statement 2: f(c) > c on [0, 1), f(1) = 1; composing increases the correlation."""
    c = np.linspace(0, 1, 10_001)[:-1]
    for _ in range(5):
        after = kappa1(c)
        assert (after > c).all()
        assert (np.diff(after) >= 0).all()
        c = after
    assert (kappa1(GRID[:-1]) > GRID[:-1]).all()


def test_derivatives() -> None:
    c, h = np.linspace(-0.99, 0.99, 199), 1e-5
    np.testing.assert_allclose((kappa1(c + h) - kappa1(c - h)) / (2 * h), kappa1_derivative(c), atol=1e-8)
    np.testing.assert_allclose((kappa0(c + h) - kappa0(c - h)) / (2 * h), kappa0_derivative(c), rtol=1e-5)
    assert (kappa1_derivative(GRID) == kappa0(GRID)).all()
    assert kappa0_derivative([-1.0, 1.0]).tolist() == [np.inf, np.inf]


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is no longer than double here")
def test_near_minus_one_the_relative_error_is_rounding() -> None:
    c = np.concatenate([-1 + 10.0 ** -np.arange(1, 7), -np.cos(np.linspace(0.15, 0.25, 50))])
    phi = np.arccos(-c.astype(np.longdouble))
    exact = (np.sin(phi) - phi * np.cos(phi)) / np.longdouble(np.pi)
    np.testing.assert_allclose(kappa1(c), exact.astype(np.float64), rtol=3e-13)


def test_tiny_angles_at_minus_one_follow_the_third_power() -> None:
    c = -1 + np.array([1e-9, 1e-12, 1e-15])
    phi = np.arccos(-c)
    np.testing.assert_allclose(kappa1(c), phi**3 / (3 * np.pi), rtol=1e-9)
    assert (kappa1(np.nextafter(-1, 0)) > 0) & (kappa0(np.nextafter(-1, 0)) > 0)


def test_rounding_is_forgiven_and_more_is_not() -> None:
    assert kappa1(1 + 1e-12) == 1
    assert kappa0(-1 - 1e-12) == 0
    assert np.isnan(kappa1(np.nan))
    assert kappa1(GRID.reshape(3, -1)).shape == (3, 667)
    for function in (kappa0, kappa1, kappa0_derivative, kappa1_derivative):
        with pytest.raises(InputError, match=r"between -1 and 1, got 1\.1; divide the kernel"):
            function([0.2, 1.1, np.nan])
