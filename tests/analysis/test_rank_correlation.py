from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from automl_theory.analysis.rank_correlation import class_resamples, correlations

small = st.integers(-3, 3).map(float) | st.sampled_from([np.inf, -np.inf])


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_equals_scipy_on_every_resample(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 12))
    x, y = (np.array(data.draw(st.lists(small, min_size=n, max_size=n))) for _ in range(2))
    weights = np.array(data.draw(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=n, max_size=n)))
    tau, rho = correlations(x, y, weights)
    for b in range(3):
        rows = np.repeat(np.arange(n), weights[:, b])
        if len(rows) < 2 or len(set(x[rows])) < 2 or len(set(y[rows])) < 2:
            assert np.isnan(tau[b])
            assert np.isnan(rho[b])
            continue
        assert tau[b] == stats.kendalltau(x[rows], y[rows]).statistic
        ranks = stats.rankdata(x[rows]), stats.rankdata(y[rows])
        assert rho[b] == pytest.approx(stats.pearsonr(*ranks).statistic, abs=1e-12)


def test_equals_scipy_on_a_large_bootstrap() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=700).round(1)
    y = x + rng.normal(size=700)
    weights = class_resamples(np.arange(700), 300, seed=0)
    tau, rho = correlations(x, y, weights)
    for b in range(0, 300, 29):
        rows = np.repeat(np.arange(700), weights[:, b])
        assert tau[b] == stats.kendalltau(x[rows], y[rows]).statistic
        assert rho[b] == pytest.approx(stats.spearmanr(x[rows], y[rows]).statistic, abs=1e-12)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_rows_give_nan(n: int) -> None:
    tau, rho = correlations(np.zeros(n), np.zeros(n))
    assert np.isnan(tau).all()
    assert np.isnan(rho).all()


def test_resamples_draw_whole_classes() -> None:
    classes = np.array([0, 1, 0, 2, 1, 0])
    weights = class_resamples(classes, 50, seed=3)
    assert weights.shape == (6, 50)
    for number in range(3):
        rows = weights[classes == number]
        assert (rows == rows[0]).all()
    first_of_each = weights[[0, 1, 3]]
    assert (first_of_each.sum(axis=0) == 3).all()
    assert (weights == class_resamples(classes, 50, seed=3)).all()
    assert (weights != class_resamples(classes, 50, seed=4)).any()


def test_no_rows_no_resamples() -> None:
    assert class_resamples(np.empty(0, dtype=np.intp), 5, seed=0).shape == (0, 5)
