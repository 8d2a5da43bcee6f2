"""The pruned-NTK study: what it finds on drawn networks, and says of made-up ones that break the theorem."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from automl_theory.errors import InputError
from automl_theory.studies import pruned_ntk
from automl_theory.studies.pruned_ntk import Setup, Study
from automl_theory.studies.pruned_ntk.estimates import estimates, statement_table
from automl_theory.studies.pruned_ntk.statistics import interval, line, r_squared, verdict_of

SMALL = Setup(keeps=(1.0, 0.5, 0.25), widths=(64, 128, 256), draws=192, seed=7, workers=0)
THETA = 2.4287229440232556
# Each statistical test passes with probability 1 - 1e-5 if the theory holds.
Z = float(stats.norm.ppf(1 - 0.5e-5))


@pytest.fixture(scope="module")
def study() -> Study:
    return pruned_ntk.run(SMALL)


def made(setup: Setup, *, exponent: float = 3.0, a: float = 55.0, b: float = 28.0, power: float = 1.0) -> pd.DataFrame:
    """Draws that follow the laws exactly but for noise: raw ∝ α^exponent, variance (a + b/α)/d^power."""
    rows = []
    for keep, width in setup.cells():
        seed = pruned_ntk.cell_seed(setup, keep, width)
        noise = np.random.default_rng(seed + 1).standard_normal((2, setup.draws))
        spread = math.sqrt((a + b / keep) * 512 ** (power - 1) / width**power)
        scaled = THETA + spread * noise[0]
        diagonal = 4 + spread * (noise[0] + 0.1 * noise[1])
        for draw in range(setup.draws):
            raw = scaled[draw] * keep**exponent
            rows.append((keep, width, draw, seed, raw, scaled[draw], diagonal[draw]))
    return pd.DataFrame(rows, columns=["keep", "width", "draw", "seed", "raw", "rescaled", "diagonal"])


def verdicts(draws: pd.DataFrame, setup: Setup) -> dict[str, str]:
    table = statement_table(estimates(draws, setup, THETA))
    return dict(zip(table["statement"], table["verdict"], strict=True))


WIDE = Setup(draws=2000)


def test_networks_have_the_factor_and_rescaling_removes_it(study: Study) -> None:
    assert study.theta == pytest.approx(THETA, abs=1e-12)
    cells = study.cells[study.cells["width"] == 256]
    bound = Z * cells["ratio_se"]
    assert ((cells["ratio"] - 1).abs() < bound + 0.02).all(), "0.02 for O(1/d)"
    assert ((cells["rescaled_ratio"] - 1).abs() < bound + 0.02).all()
    assert (bound < 0.2).all(), "another power of α would be off by at least 0.5"
    factor = study.draws["keep"] ** 3
    np.testing.assert_allclose(study.draws["raw"] / factor, study.draws["rescaled"], rtol=1e-4, atol=1e-5)


def test_the_diagonal_is_exact_at_every_width(study: Study) -> None:
    off = (study.cells["diagonal_ratio"] - 1).abs() / study.cells["diagonal_ratio_se"]
    # Nine comparisons; means of a skewed variable, so two more standard errors than normal ones would need.
    assert off.max() < float(stats.norm.ppf(1 - 1e-5 / 18)) + 2
    assert (study.cells["diagonal_ratio_se"] < 0.07).all()


def test_the_variance_grows_with_pruning_and_falls_with_width(study: Study) -> None:
    table = study.cells.set_index(["keep", "width"])
    scaled = table["variance"] * table.index.get_level_values("width")
    pruned, dense = (scaled[keep].loc[[128, 256]].mean() for keep in (0.25, 1.0))
    assert pruned > 1.1 * dense, "about twice"
    assert table.loc[(1.0, 64), "variance"] > 1.5 * table.loc[(1.0, 256), "variance"], "about four times"
    assert study.estimates.query("statement == 'flat' and width == 256")["value"].item() > 0.05
    fallen = study.estimates.query("statement == 'flat' and predicted == 0")["value"].item()
    assert -0.5 < fallen < 0.1
    slope = study.estimates.query("statement == 'width' and predicted == -1")["value"].item()
    assert abs(slope + 1) < 0.5
    assert "differ" not in set(study.statements["verdict"])


def test_tables_tell_what_was_drawn(study: Study) -> None:
    assert len(study.draws) == 192 * 9
    assert study.draws.groupby(["keep", "width"])["seed"].nunique().eq(1).all()
    assert study.draws["seed"].nunique() == 9
    part = study.draws.query("keep == 0.5 and width == 128")["rescaled"]
    row = study.cells.query("keep == 0.5 and width == 128").iloc[0]
    assert row["rescaled_ratio"] == pytest.approx(part.mean() / THETA)
    assert row["rescaled_ratio_se"] == pytest.approx(stats.sem(part) / THETA)
    assert row["variance"] == pytest.approx(part.var())
    assert row["deviation"] == pytest.approx((part - THETA).abs().mean())
    assert row["n"] == 192
    assert list(study.statements["statement"]) == ["factor", "rescaling", "diagonal", "variance", "width", "flat"]
    inside = study.estimates["low"].le(study.estimates["value"]) & study.estimates["value"].le(study.estimates["high"])
    assert inside.all()


def test_neither_workers_nor_other_pairs_change_a_number(study: Study) -> None:
    setup = Setup(keeps=(1.0, 0.5, 0.25), widths=(16, 64), draws=80, seed=7, workers=2)
    two = pruned_ntk.measure(setup)
    none = pruned_ntk.measure(replace(setup, workers=0))
    pd.testing.assert_frame_equal(two, none, check_exact=True)
    ours = study.draws.query("width == 64 and draw < 64 and keep == 0.5").reset_index(drop=True)
    theirs = none.query("width == 64 and draw < 64 and keep == 0.5").reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-6)


def test_progress_is_told() -> None:
    told: list[tuple[int, int, int]] = []
    setup = Setup(keeps=(1.0, 0.5, 0.25), widths=(8, 16), draws=16, workers=0)
    pruned_ntk.measure(setup, progress=lambda *state: told.append(state))
    pieces = len(setup.cells())
    assert told == [(done, pieces, 0) for done in range(pieces + 1)], "less than a million weights each"


def test_draws_that_follow_the_laws_agree() -> None:
    assert set(verdicts(made(WIDE), WIDE).values()) == {"agree"}


@pytest.mark.parametrize(
    ("broken", "statement"),
    [
        ({"exponent": 4.0}, "factor"),
        ({"exponent": 4.0}, "rescaling"),
        ({"power": 0.5}, "width"),
        ({"power": 2.0}, "width"),
        ({"b": -3.0}, "variance"),
        ({"power": 0.0}, "flat"),
    ],
)
def test_draws_that_break_a_law_differ(broken: dict[str, float], statement: str) -> None:
    assert verdicts(made(WIDE, **broken), WIDE)[statement] == "differ"


def test_too_little_to_tell() -> None:
    few = Setup(keeps=(1.0, 0.5, 0.25), widths=(8, 16), draws=16, workers=0)
    found = verdicts(made(few), few)
    assert found["variance"] == found["width"] == "cannot tell", "α d is below 64 everywhere"


def test_lines_against_numpy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(7), rng.standard_normal((3, 7))
    slope, intercept = line(x, y)
    for k in range(3):
        np.testing.assert_allclose([slope[k], intercept[k]], np.polyfit(x, y[k], 1), rtol=1e-10)
        assert r_squared(x, y)[k] == pytest.approx(np.corrcoef(x, y[k])[0, 1] ** 2)


def test_intervals_and_verdicts() -> None:
    values = np.concatenate([[0.5], np.linspace(0, 1, 1001)])
    assert interval(values, 0.9) == pytest.approx((0.05, 0.95))
    assert interval(np.concatenate([[2.0], values[1:]]), 0.9) == pytest.approx((0.05, 2.0))
    assert interval(np.array([3.0]), 0.95) == (3.0, 3.0)
    assert verdict_of(0.95, 1.05, 0.9, 1.1) == "agree"
    assert verdict_of(1.2, 1.3, 0.9, 1.1) == verdict_of(0.1, 0.8, 0.9, 1.1) == "differ"
    assert verdict_of(1.0, 1.3, 0.9, 1.1) == verdict_of(math.nan, math.nan, 0.9, 1.1) == "cannot tell"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 3}, "expected draws to be an integer of at least 16, got 3; give 16 or more"),
        ({"depth": 0}, "expected depth to be an integer of at least 1, got 0"),
        ({"workers": -1}, "expected workers to be an integer of at least 0, got -1"),
        ({"seed": 1.5}, r"expected seed to be an integer of at least 0, got 1\.5"),
        ({"widths": (64, 4)}, "expected a width to be an integer of at least 8, got 4"),
        ({"widths": (64,)}, r"expected widths to be at least 2 different numbers, got \(64,\); give more"),
        ({"keeps": (1.0, 0.5)}, "expected keeps to be at least 3 different numbers"),
        ({"keeps": (1.0, 0.5, 0.5)}, "expected keeps to be at least 3 different numbers"),
        ({"keeps": (1.0, 0.5, 0.0)}, r"expected keep probabilities in \(0, 1\], got 0\.0; give such as"),
    ],
)
def test_bad_setups_are_told_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Setup(**change)
