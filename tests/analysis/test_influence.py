from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.ranks import kendall, spearman

from automl_theory.analysis.influence import influences
from automl_theory.analysis.rank_correlation import correlations, discordant_above

small = st.integers(-3, 3).map(float) | st.sampled_from([np.inf, -np.inf])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(small, small), min_size=2, max_size=14))
def test_values_and_derivatives_are_those_of_the_definition(rows: list[tuple[float, float]]) -> None:
    x, y = (np.array(column) for column in zip(*rows, strict=True))
    tau, rho, by_tau, by_rho = influences(x, y)
    assert tau == pytest.approx(kendall(x, y), nan_ok=True)
    assert rho == pytest.approx(spearman(x, y), nan_ok=True)
    if np.isnan(tau):
        assert np.isnan(by_tau).all()
        assert np.isnan(by_rho).all()
        return
    step, n = 1e-5, len(x)
    weights = np.ones((n, 2 * n))
    weights[range(n), range(n)] += step
    weights[range(n), range(n, 2 * n)] -= step
    for found, value, moved in zip((by_tau, by_rho), (tau, rho), correlations(x, y, weights), strict=True):
        assert found.sum() == pytest.approx(0, abs=1e-9)
        if abs(value) < 1 - 1e-9:
            slope = (moved[:n] - moved[n:]) / (2 * step)
            np.testing.assert_allclose(found, slope - slope.mean(), atol=1e-5 * (1 + abs(slope).max()))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_discordant_rows_are_counted_each(rows: list[tuple[int, int]]) -> None:
    x, y = (np.array(column) for column in zip(*rows, strict=True))
    slow = [sum(b[0] > a[0] and b[1] < a[1] for b in rows) for a in rows]
    assert discordant_above(x, y).tolist() == slow


def test_perfect_order_moves_with_no_row() -> None:
    x = np.arange(20.0)
    tau, rho, by_tau, by_rho = influences(x, np.exp(x))
    assert (tau, rho) == (1.0, 1.0)
    assert abs(by_tau).max() < 1e-12
    assert abs(by_rho).max() < 1e-12


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_order_is_nan(n: int) -> None:
    for x, y in ((np.zeros(n), np.arange(n)), (np.arange(n), np.zeros(n))):
        tau, rho, by_tau, by_rho = influences(x.astype(float), y.astype(float))
        assert np.isnan([tau, rho, *by_tau, *by_rho]).all()
        assert len(by_tau) == len(by_rho) == n
