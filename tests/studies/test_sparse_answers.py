"""Numbers and answers of the sparse-masks study on tables made by hand."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, rankdata, spearmanr

from automl_theory.studies.sparse_masks import statistics
from automl_theory.studies.sparse_masks.answers import cell_table, differences, drift, narc_ends, sign_of, verdict
from automl_theory.studies.sparse_masks.statistics import (
    Estimate,
    inside_cells,
    mean_with_interval,
    share_with_interval,
)

METHODS, SEEDS = "abcdefg", range(4)


def made(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for network, density, method, s in product(("conv", "mlp"), (0.1, 0.01), METHODS, SEEDS):
        quality = ord(method) + 10 * density
        rows.append((network, density, method, s, quality + rng.normal(), quality, -quality, rng.normal(), 1.0))
    names = ["network", "density", "method", "seed", "test_accuracy", "good", "bad", "noise", "constant"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_ranks_are_mean_ranks(values: list[int]) -> None:
    np.testing.assert_array_equal(statistics.ranks(np.array(values, dtype=float)), rankdata(values))


def test_a_correlation_is_the_mean_over_cells() -> None:
    table = made()
    obvious = np.mean(
        [spearmanr(part["good"], part["test_accuracy"]).statistic for _, part in table.groupby(["network", "density"])]
    )
    found = inside_cells(table, statistics.spearman, "good")
    assert found.value == pytest.approx(obvious, abs=1e-12)
    assert found.low <= found.value <= found.high
    assert found.n == len(table)
    assert inside_cells(table, statistics.spearman, "bad", sign=-1).value == pytest.approx(found.value)
    nothing = inside_cells(table, statistics.spearman, "noise")
    assert nothing.low < 0 < nothing.high


def test_what_cannot_be_measured_is_nan() -> None:
    found = inside_cells(made(), statistics.spearman, "constant")
    assert np.isnan([found.value, found.low, found.high]).all()
    assert verdict(found, 0.2) == "cannot tell"
    table = made().assign(good=np.nan)
    assert np.isnan(inside_cells(table, statistics.linear, "good").value)


def test_undefined_masks_are_left_out() -> None:
    table = made()
    some = table["method"].isin(["a", "b"])
    holes = table.assign(good=table["good"].where(~some))
    there = inside_cells(table[~some], statistics.spearman, "good").value
    assert inside_cells(holes, statistics.spearman, "good").value == pytest.approx(there)


def test_partial_correlation_is_that_of_residuals_of_ranks() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=60)
    x, y = z + rng.normal(size=60), z + rng.normal(size=60)
    ranks = [rankdata(v) for v in (x, y, z)]
    left = [v - np.polyval(np.polyfit(ranks[2], v, 1), ranks[2]) for v in ranks[:2]]
    assert statistics.partial(x, y, z) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert np.isnan(statistics.partial(z, y, z))
    assert statistics.beyond(x, y, z) == pytest.approx(spearmanr(x, y).statistic - spearmanr(z, y).statistic)


def test_lines_and_bends() -> None:
    x = np.linspace(-1, 1, 50)
    assert statistics.linear(x, 3 * x + 1, x) == pytest.approx(1)
    assert statistics.bend(x, 3 * x + 1, x) == pytest.approx(0, abs=1e-9)
    assert statistics.linear(x, x**2, x) == pytest.approx(0, abs=1e-9)
    assert statistics.bend(x, x**2, x) == pytest.approx(1)
    assert statistics.slope(x, 3 * x, x) == pytest.approx(3 * x.std())


def test_intervals_of_means() -> None:
    found = mean_with_interval(np.random.default_rng(0).normal(size=400))
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.1)
    wider = mean_with_interval(np.random.default_rng(0).normal(size=400), level=0.999)
    assert wider.low < found.low < found.high < wider.high
    assert mean_with_interval([2.0, 4.0]) == pytest.approx(Estimate(3.0, np.nan, np.nan, 2), nan_ok=True)
    assert verdict(mean_with_interval([1.0, 1.0, 1.0, 1.0]), 0.0) == "cannot tell"
    assert np.isfinite(mean_with_interval([1.0, 2.0, 1.0, 2.0, 1.0]).low)
    assert np.isnan(mean_with_interval([np.nan]).value)


def test_intervals_of_shares_are_wilsons() -> None:
    """Those of scipy; all of a few is not certainty."""
    for k, n in ((8, 8), (0, 40), (30, 40), (5, 5), (3, 7)):
        found = share_with_interval([1.0] * k + [0.0] * (n - k))
        expected = binomtest(k, n).proportion_ci(method="wilson")
        assert (found.value, found.n) == (k / n, n)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert verdict(share_with_interval([1.0] * 8), 0.75) == "cannot tell"
    assert np.isnan(share_with_interval([1.0] * 4).low)
    assert share_with_interval([0.5] * 9 + [np.nan]).value == 0.5


def test_an_interval_holds_its_estimate() -> None:
    """Resampled methods repeat, which raises R²: where nothing is explained, nearly all resamples lie above."""
    rng = np.random.default_rng(0)
    cells = [(n, d, dict(zip(METHODS, rng.permutation(7), strict=True))) for n in "ab" for d in range(20)]
    rows = [(n, d, m, s, place[m], (place[m] - 3) ** 2) for n, d, place in cells for m in METHODS for s in SEEDS]
    table = pd.DataFrame(rows, columns=["network", "density", "method", "seed", "x", "test_accuracy"])
    found = inside_cells(table, statistics.linear, "x")
    assert found.low == found.value == pytest.approx(0, abs=1e-12)
    assert found.high > 0.1


def test_cells_are_what_the_answers_are_means_of() -> None:
    table = made().rename(columns={"good": "imdb_normalised", "bad": "narc", "noise": "mean_layer_density"})
    study = SimpleNamespace(masks=table)
    cells = cell_table(study)
    assert len(cells) == 3 * 4
    assert set(cells["n"]) == {len(METHODS) * len(SEEDS)}
    for name, part in cells.groupby("measure"):
        whole = inside_cells(table, statistics.spearman, str(name), sign=sign_of(str(name)))
        assert part["rho"].mean() == pytest.approx(whole.value, abs=1e-12)
        assert (part["rho_low"] <= part["rho"]).all()
        assert (part["rho"] <= part["rho_high"]).all()
    one = table[(table["network"] == "mlp") & (table["density"] == 0.1)]
    shown = cells[(cells["network"] == "mlp") & (cells["density"] == 0.1)].set_index("measure")
    values = (one[name].to_numpy() for name in ("narc", "test_accuracy", "mean_layer_density"))
    assert shown.loc["narc", "partial"] == pytest.approx(-statistics.partial(*values))
    assert np.isnan(shown.loc["mean_layer_density", "partial"])


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0.3, 0.5, "yes"), (-0.1, 0.1, "no"), (0.1, 0.3, "cannot tell"), (0.2, 0.3, "cannot tell")],
)
def test_one_rule_answers(low: float, high: float, told: str) -> None:
    assert verdict(Estimate(0.25, low, high, 9), 0.2) == told


def test_directions() -> None:
    assert [sign_of(name) for name in ("narc", "narc__edges", "imdb_normalised__worst", "mean_layer_density")] == [
        -1, -1, 1, 1,
    ]  # fmt: skip


def test_pairs_of_equal_budget_are_compared() -> None:
    table = made()
    table = pd.concat([table, table[table["method"] == "a"].assign(method="full_spectrum", test_accuracy=200.0)])
    found = differences(table, "b")
    rival = table[table["method"] == "b"].set_index(["network", "density", "seed"])["test_accuracy"]
    pd.testing.assert_series_equal(found.sort_index(), 200 - rival.sort_index(), check_names=False)


def test_ends_of_the_series() -> None:
    rows = [
        ("conv", "snip", layer, edges, edges / size, density, narc + share, 0, 0, share)
        for (layer, size, narc), (density, edges), share in product(
            (("small", 300, 9.0), ("large", 864, -1.0)), ((0.1, 29), (0.2, 30)), (0.0, 0.5, 1.0)
        )
    ]
    names = ["network", "method", "layer", "edges", "layer_density", "density", "narc", "seed", "draw", "share"]
    table = pd.DataFrame(rows, columns=names)
    table.loc[table["density"] == 0.2, "narc"] += 5
    assert (table["edges"] / table["layer_density"]).nunique() > 2, "rounded otherwise at each density"
    found = narc_ends(table)
    assert found.to_numpy().tolist() == [[-1.0, 0.0], [4.0, 5.0]], "a series a density, whose signs are not averaged"


def test_drift_is_end_minus_start() -> None:
    rows = [("conv", "erk", "set", 0, step, float(value)) for step, value in ((20, 7), (0, 1), (10, 99))]
    table = pd.DataFrame(rows, columns=["network", "start", "mover", "seed", "step", "imdb"])
    assert drift(table, "imdb")["change"].tolist() == [6.0]
