from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ranks
from scipy import stats

from automl_theory.analysis.top import chances, overlap, regret, weighted_kendall

tied = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=6)


@settings(deadline=None, max_examples=60)
@given(tied, st.data())
def test_expectations_are_those_over_every_tie_break(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    x, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    k = data.draw(st.integers(1, len(rows) - 1))
    assert overlap(x, y, k) == pytest.approx(ranks.overlap(x, y, k))
    assert regret(x, y, k, 3.0) == pytest.approx(ranks.regret(x, y, k, 3.0))
    assert chances(x, k).sum() == pytest.approx(k)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=15))
def test_weighted_kendall_is_vignas(rows: list[tuple[int, int]]) -> None:
    x, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert np.isnan(weighted_kendall(x, y))
        return
    assert weighted_kendall(x, y) == pytest.approx(ranks.weighted_kendall(x, y))
    assert weighted_kendall(x, y) == pytest.approx(stats.weightedtau(x, y).statistic)
    assert weighted_kendall(x, y) == pytest.approx(weighted_kendall(y, x))


def test_pairs_at_the_top_count_most() -> None:
    y = np.arange(30.0)
    good_at_top, good_at_bottom = y.copy(), y.copy()
    good_at_top[:10], good_at_bottom[20:] = good_at_top[:10][::-1], good_at_bottom[20:][::-1]
    assert weighted_kendall(good_at_top, y) > weighted_kendall(good_at_bottom, y) + 0.3


def test_a_saturated_proxy_gets_what_luck_gives() -> None:
    y = np.arange(100.0)
    constant = np.zeros(100)
    assert overlap(constant, y, 10) == pytest.approx(0.1)
    assert regret(constant, y, 10, 99.0) == pytest.approx(99 - (10 * 101 / 11 - 1))


def test_perfect_and_reversed() -> None:
    y = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    assert overlap(y, y, 2) == 1
    assert regret(y, y, 2, 5.0) == 0
    assert overlap(-y, y, 2) == 0
    assert regret(-y, y, 2, 5.0) == 3


def test_infinities_and_too_few_rows() -> None:
    y = np.array([-np.inf, -np.inf, 1.0, 2.0])
    assert regret(np.array([2.0, 2.0, 1.0, 0.0]), y, 1, 2.0) == np.inf
    assert regret(np.array([0.0, 0.0, 1.0, 2.0]), y, 2, 2.0) == 0
    assert np.isnan(overlap(y, y, 4))
    assert np.isnan(regret(y, y, 5, 2.0))
    assert np.isnan(weighted_kendall(y[:1], y[:1]))
