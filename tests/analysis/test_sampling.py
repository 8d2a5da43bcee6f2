from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.ranks import (
    best_rows,
    class_bootstrap,
    class_jackknife,
    effective_classes,
    expanded_percentiles,
    fisher_interval,
    kendall,
    spearman,
)
from scipy import stats

from automl_theory.analysis.influence import influences
from automl_theory.analysis.sampling import best_part, whole


def clustered(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Proxy, target and class: classes of one to six rows with equal proxies, ties in both columns."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(count), rng.integers(1, 7, size=count))
    quality = rng.normal(size=count)
    x = np.round(quality + 0.7 * rng.normal(size=count), 1)[classes]
    y = np.round(quality[classes] + 0.3 * rng.normal(size=len(classes)), 1)
    order = rng.permutation(len(classes))
    return x[order], y[order], classes[order]


def tau_inside(x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> float:
    return kendall(x[inside], y[inside])


def test_bootstrap_is_that_of_repeated_rows() -> None:
    x, y, classes = clustered(40)
    used = np.ones(len(x), dtype=bool)
    sample = whole(classes, "bootstrap", 15, 3, 0.9)
    part = best_part(sample, y, 0.3)
    for tested, statistic, value, spread in (
        (sample, kendall, "tau", "tau_spread"),
        (sample, spearman, "rho", "rho_spread"),
        (part, tau_inside, "tau", "tau_spread"),
    ):
        pair = tested.pair(x, y, used)
        columns = [x, y, np.isin(np.arange(len(x)), best_rows(y, 0.3))][: 3 if tested is part else 2]
        slow = class_bootstrap(statistic, columns, classes, 15, seed=3)
        assert getattr(pair, value) == pytest.approx(statistic(*columns))
        np.testing.assert_allclose(getattr(pair, spread), slow, atol=1e-12)
    pair = sample.pair(x, y, used)
    assert pair.effective == pytest.approx(effective_classes(classes))
    assert pair.effective < pair.classes == 40
    for level in (0.6, 0.9):
        ends = expanded_percentiles(class_bootstrap(kendall, [x, y], classes, 15, seed=3), classes, level)
        found = replace(sample, level=level).interval(pair.tau, pair.tau_spread, pair.effective)
        assert found == pytest.approx(ends)


def test_analytic_error_is_the_jackknifes() -> None:
    """Leaving out one class after the other is the slow way to the same standard error."""
    x, y, classes = clustered(60)
    sample = whole(classes, "analytic", 0, 0, 0.95)
    pair = sample.pair(x, y, np.ones(len(x), dtype=bool))
    for statistic, value, spread in (
        (lambda *xy: stats.kendalltau(*xy).statistic, pair.tau, pair.tau_spread),
        (lambda *xy: stats.spearmanr(*xy).statistic, pair.rho, pair.rho_spread),
    ):
        slow = class_jackknife(statistic, [x, y], classes)
        assert sample.error(spread, 60) == pytest.approx(slow, rel=0.03)
        found = sample.interval(value, spread, 60)
        assert found == pytest.approx(fisher_interval(value, sample.error(spread, 60), 60))


@pytest.mark.parametrize("top", [False, True])
def test_analytic_and_bootstrap_agree(top: bool) -> None:
    x, y, classes = clustered(400)
    used = np.ones(len(x), dtype=bool)
    ends = []
    for method in ("bootstrap", "analytic"):
        sample = whole(classes, method, 1500, 0, 0.95)
        sample = best_part(sample, y, 0.3) if top else sample
        pair = sample.pair(x, y, used)
        ends.append(
            [
                *sample.interval(pair.tau, pair.tau_spread, pair.effective),
                *sample.interval(pair.rho, pair.rho_spread, pair.effective),
            ]
        )
    width = ends[0][1] - ends[0][0]
    np.testing.assert_allclose(ends[0], ends[1], atol=0.12 * width)


@pytest.mark.parametrize("method", ["bootstrap", "analytic"])
def test_copies_of_every_class_do_not_narrow_the_interval(method: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    y = x + rng.normal(size=80)
    widths = []
    for copies in (1, 4):
        classes = np.tile(np.arange(80), copies)
        sample = whole(classes, method, 800, 0, 0.95)
        pair = sample.pair(np.tile(x, copies), np.tile(y, copies), np.ones(80 * copies, dtype=bool))
        low, high = sample.interval(pair.tau, pair.tau_spread, pair.effective)
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], rel=0.08)


@pytest.mark.parametrize("method", ["bootstrap", "analytic"])
def test_intervals_hold_the_truth_as_often_as_they_say(method: str) -> None:
    """400 seeded tables of 200 classes with equal rows and ties; `benchmarks/interval_coverage.py` has more."""

    def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, 6])
        q = rng.normal(size=count)
        p = np.round(2 * (q + 0.8 * rng.normal(size=count)))
        rows = np.repeat(np.arange(count), rng.integers(1, 5, size=count))
        return p[rows], np.round(q[rows] + 0.2 * rng.normal(size=len(rows)), 1), rows

    large = [influences(*draw(seed, 40_000)[:2])[:2] for seed in (1000, 1001)]
    truth = np.mean(large, axis=0)
    held = np.zeros(2)
    for seed in range(400):
        x, y, classes = draw(seed, 200)
        sample = whole(classes, method, 200, seed, 0.95)
        pair = sample.pair(x, y, np.ones(len(x), dtype=bool))
        for k, (value, spread) in enumerate(((pair.tau, pair.tau_spread), (pair.rho, pair.rho_spread))):
            low, high = sample.interval(value, spread, pair.effective)
            held[k] += low <= truth[k] <= high
    assert (held / 400 >= 0.93).all()
    assert (held / 400 <= 0.97).all()


def test_best_part_keeps_ties_at_its_border() -> None:
    y = np.array([5.0, 4.0, 4.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -np.inf])
    sample = whole(np.arange(10), "analytic", 0, 0, 0.95)
    assert best_part(sample, y, 0.2).inside.tolist() == [True] * 4 + [False] * 6
    assert best_part(sample, y, 0.1).inside.sum() == 1
    assert best_part(sample, y, 0.01).inside.sum() == 1
    assert best_part(sample, y, 0.3).inside.sum() == 4
    assert best_part(sample, y, 0.95).inside.all()
    assert best_part(whole(np.arange(10), "analytic", 0, 0, 0.95), np.arange(10.0), 0.3).inside.sum() == 3


def test_degenerate_tables() -> None:
    """Fewer than 3 rows or a constant give NaN, fewer than 10 classes no spread, ±1 one point."""
    for method in ("bootstrap", "analytic"):
        for n, known in ((0, False), (2, False), (5, True)):
            sample = whole(np.arange(n), method, 20, 0, 0.95)
            rising = np.arange(n) * 1.0
            pair = best_part(sample, rising, 0.999).pair(rising, rising, np.ones(n, bool))
            assert np.isnan(pair.tau) == (not known)
            assert not len(pair.tau_spread)
            assert np.isnan(sample.interval(pair.tau, pair.tau_spread, pair.effective)).all()
        one_class = whole(np.zeros(30, dtype=int), method, 20, 0, 0.95)
        pair = one_class.pair(np.arange(30.0), np.arange(30.0), np.ones(30, bool))
        assert (pair.tau, pair.classes, len(pair.tau_spread)) == (1.0, 1, 0)
        sample = whole(np.arange(30), method, 20, 0, 0.95)
        flat = sample.pair(np.zeros(30), np.arange(30.0), np.ones(30, bool))
        assert (flat.n, flat.classes, flat.constant) == (30, 30, True)
        assert np.isnan(flat.tau)
        perfect = sample.pair(np.arange(30.0), np.arange(30.0), np.ones(30, bool))
        assert sample.interval(perfect.tau, perfect.tau_spread, 30) == pytest.approx((1.0, 1.0))
        nobody = sample.pair(np.arange(30.0), np.arange(30.0), np.zeros(30, bool))
        assert (nobody.n, nobody.classes) == (0, 0)
