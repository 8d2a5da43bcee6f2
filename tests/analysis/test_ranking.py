from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ranks
from scipy import stats

from automl_theory.analysis.comparison import compare
from automl_theory.analysis.ranking import rank
from automl_theory.analysis.top import chances
from automl_theory.errors import InputError


def entry(family: str = "convergence", direction: str = "maximize") -> dict[str, str]:
    return {"family": family, "direction": direction, "unit": "1", "formula": "f"}


def table(n: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    df = pd.DataFrame(index=pd.Index([f"a{i}" for i in range(n)], name="arch"))
    df["good"] = quality + 0.3 * rng.normal(size=n)
    df["cost"] = -quality + 0.8 * rng.normal(size=n)
    df["noise"] = rng.normal(size=n)
    df["params"] = quality + 0.9 * rng.normal(size=n)
    df["test_loss_seed0"], df["test_loss_seed1"] = (-quality + 0.1 * rng.normal(size=n) for _ in range(2))
    df["test_loss"] = (df["test_loss_seed0"] + df["test_loss_seed1"]) / 2
    df["canonical"] = df.index
    df.attrs["proxies"] = {
        "good": entry(),
        "cost": entry(direction="minimize"),
        "noise": entry("saliency"),
        "params": entry("size"),
    }
    df.attrs["settings"] = {"bn": "frozen"}
    return df


def test_point_values_are_scipys_and_oriented() -> None:
    df = table()
    ranking = rank(df, "test_loss", resamples=50)
    for name, sign in (("good", -1), ("cost", 1), ("noise", -1), ("params", -1)):
        assert ranking.loc[name, "kendall"] == sign * stats.kendalltau(df[name], df["test_loss"]).statistic
        rho = stats.spearmanr(df[name], df["test_loss"]).statistic
        assert ranking.loc[name, "spearman"] == pytest.approx(sign * rho, abs=1e-12)
    assert ranking.index.name == "proxy"
    assert ranking.index[0] == "good"
    assert (ranking["kendall_low"] < ranking["kendall"]).all()
    assert (ranking["kendall"] < ranking["kendall_high"]).all()
    assert ranking["baseline"].tolist() == [name == "params" for name in ranking.index]
    assert ranking.attrs["settings"] == {"bn": "frozen"}


def test_interval_is_the_expanded_percentile_bootstrap_of_scipys_tau() -> None:
    df = table(30)
    found = rank(df, "test_loss", resamples=200, seed=7).loc["good"]
    rng = np.random.default_rng(7)
    taus, df = [], df.sort_index()
    for _ in range(200):
        rows = rng.integers(0, 30, size=30)
        taus.append(stats.kendalltau(df["good"].iloc[rows], -df["test_loss"].iloc[rows]).statistic)
    low, high = ranks.expanded_percentiles(np.array(taus), np.arange(30), 0.95)
    assert found["kendall_low"] == pytest.approx(low, abs=1e-12)
    assert found["kendall_high"] == pytest.approx(high, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(-20, 20), min_size=12, max_size=30), st.integers(0, 5))
def test_monotone_maps_change_nothing_and_reversal_flips(values: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    df = pd.DataFrame({"x": np.array(values, dtype=float), "accuracy": rng.permutation(len(values)).astype(float)})
    df["exp"], df["minus"] = np.exp(df["x"] / 4), -df["x"]
    df.attrs["proxies"] = {"x": entry(), "exp": entry(), "minus": entry()}
    ranking = rank(df, "accuracy", resamples=20)
    numbers = ["kendall", "kendall_low", "kendall_high", "spearman", "spearman_low", "spearman_high"]
    pd.testing.assert_series_equal(ranking.loc["exp", numbers], ranking.loc["x", numbers], check_names=False)
    assert ranking.loc["minus", "kendall"] == pytest.approx(-ranking.loc["x", "kendall"], nan_ok=True)
    flipped = rank(df, "accuracy", target_direction="minimize", resamples=0)
    assert flipped.loc["x", "kendall"] == pytest.approx(-ranking.loc["x", "kendall"], nan_ok=True)


def test_bootstrap_draws_classes() -> None:
    """Copies of each architecture leave τ's resampling distribution where it was: the interval must not shrink."""
    df = table(40)
    copies = pd.concat([df.set_axis(df.index + f"_{k}") for k in range(5)])
    copies.attrs = df.attrs
    single, many = rank(df, "test_loss").loc["noise"], rank(copies, "test_loss").loc["noise"]
    blind = rank(copies.drop(columns="canonical"), "test_loss").loc["noise"]
    assert many["classes"] == 40
    assert many["n"] == 200
    width = single["kendall_high"] - single["kendall_low"]
    assert many["kendall_high"] - many["kendall_low"] == pytest.approx(width, rel=0.1)
    assert blind["kendall_high"] - blind["kendall_low"] < 0.6 * width


def test_undefined_rows_are_dropped_or_ranked_last() -> None:
    df = table()
    df["good_status"] = "ok"
    df.loc[df.index[:6], ["good", "good_status"]] = [np.nan, "disconnected"]
    df.loc[df.index[6], "good"] = np.nan
    dropped = rank(df, "test_loss", resamples=50).loc["good"]
    assert (dropped["n"], dropped["excluded"], dropped["undefined"]) == (53, 7, "disconnected 6, missing 1")
    rest = df.iloc[7:]
    assert dropped["kendall"] == -stats.kendalltau(rest["good"], rest["test_loss"]).statistic
    assert "undefined on 12 %" in dropped["note"]
    ranking = rank(df, "test_loss", undefined="worst", resamples=50)
    worst = ranking.loc["good"]
    assert (worst["n"], worst["excluded"], worst["undefined"]) == (60, 0, "disconnected 6, missing 1")
    filled = df["good"].fillna(-1e9)
    assert worst["kendall"] == -stats.kendalltau(filled, df["test_loss"]).statistic
    assert "ranked last" in worst["note"]
    assert ranking.attrs["ranking"]["undefined"] == "worst"


def test_undefined_rows_are_last_for_a_minimised_proxy_too() -> None:
    df = table()
    df.loc[df.index[:9], "cost"] = np.nan
    worst = rank(df, "test_loss", undefined="worst", resamples=0).loc["cost"]
    assert worst["kendall"] == stats.kendalltau(df["cost"].fillna(1e9), df["test_loss"]).statistic


def test_infinity_is_a_value_at_its_end() -> None:
    df = table()
    df["cost_status"] = "ok"
    df.loc[df.index[:5], ["cost", "cost_status"]] = [np.inf, "rank_deficient"]
    found = rank(df, "test_loss", resamples=50).loc["cost"]
    assert found["n"] == 60
    assert found["kendall"] == stats.kendalltau(df["cost"].replace(np.inf, 1e9), df["test_loss"]).statistic
    assert "rank deficient on 8 %" in found["note"]
    df.loc[df.index[10], "test_loss"] = np.inf
    assert rank(df, "test_loss", resamples=0).loc["good", "n"] == 60


def test_rows_without_target_are_left_out_and_counted() -> None:
    df = table()
    df.loc[df.index[:4], "test_loss"] = np.nan
    ranking = rank(df, "test_loss", resamples=50)
    assert (ranking["n"] == 56).all()
    assert ranking.attrs["ranking"]["without_target"] == 4


def test_size_baselines_are_always_there_and_notes_compare_with_them() -> None:
    ranking = rank(table(), "test_loss", proxies=["good", "noise"])
    assert set(ranking.index) == {"good", "noise", "params"}
    assert ranking.attrs["ranking"]["baseline"] == "params"
    assert ranking.loc["noise", "note"] == "below the size baseline; nothing clear beyond the given sizes"
    assert ranking.loc["good", "note"] == ""
    twin = table()
    twin["good"], twin["noise"] = (twin["params"] + sign * 0.05 * twin["noise"] for sign in (1, -1))
    notes = {note.split("; ")[0] for note in rank(twin, "test_loss", given=[]).loc[["good", "noise"], "note"]}
    assert notes == {"below the size baseline", "no clear gain over the size baseline"}


def test_baseline_is_compared_on_the_proxys_own_rows() -> None:
    df = table(200)
    df["params"] = -df["test_loss"]
    df.loc[df.index[:50], "params"] = np.linspace(-9, 9, 50)
    df["cost"] = -df["good"]
    df.loc[df.index[:50], "cost"] = np.nan
    ranking = rank(df, "test_loss", resamples=0)
    assert ranking.loc["cost", "kendall"] > ranking.loc["params", "kendall"]
    assert "below the size baseline" in ranking.loc["cost", "note"]


def test_saturation_and_wrong_way_are_said() -> None:
    df = table()
    df["good_status"] = ["saturated"] * 50 + ["ok"] * 10
    df.attrs["proxies"]["good"]["direction"] = "minimize"
    note = rank(df, "test_loss", resamples=100, given=[]).loc["good", "note"]
    assert note == "below the size baseline; points the wrong way; saturated on 83 %"


def test_constant_and_tiny_tables_are_nan_with_a_note() -> None:
    df = table()
    df["good"] = 1.0
    ranking = rank(df, "test_loss", resamples=20)
    assert np.isnan(ranking.loc["good", "kendall"])
    assert ranking.loc["good", "note"] == "constant"
    assert ranking.index[-1] == "good"
    df.loc[df.index[:3], "good"] = np.nan
    assert "constant where defined" in rank(df, "test_loss", undefined="worst", resamples=20).loc["good", "note"]
    for n, note in ((0, "n too small"), (2, "n too small"), (5, "n too small for an interval")):
        found = rank(table(5).iloc[:n], "test_loss", proxies=["noise"]).loc["params"]
        assert found["note"] == note
        assert np.isnan(found["kendall_low"])
        assert np.isnan(found["kendall"]) == (n < 3)
    df["test_loss"] = 0.5
    assert "target constant" in rank(df, "test_loss", resamples=5).loc["noise", "note"]


@pytest.mark.parametrize("interval", ["bootstrap", "analytic"])
def test_nearly_constant_has_no_interval(interval: str) -> None:
    df = table()
    df["good"] = [1.0] + [0.0] * 59
    df["cost"] = [1.0, 2.0, 3.0, 4.0] + [0.0] * 56
    ranking = rank(df, "test_loss", resamples=200, interval=interval)
    assert np.isnan(ranking.loc["good", ["kendall_low", "spearman_low", "partial_low"]].astype(float)).all()
    assert "nearly constant, no interval" in ranking.loc["good", "note"]
    assert ranking.loc["cost", "kendall_low"] < ranking.loc["cost", "kendall"] < ranking.loc["cost", "kendall_high"]


def test_noise_ceiling_stands_beside_every_proxy() -> None:
    df = table()
    df.loc[df.index[:3], "test_loss_seed1"] = np.nan
    ranking = rank(df, "test_loss", noise=("test_loss_seed0", "test_loss_seed1"), resamples=100)
    ceiling = ranking.attrs["ranking"]["noise_ceiling"]
    rest = df.iloc[3:]
    assert ceiling["kendall"] == stats.kendalltau(rest["test_loss_seed0"], rest["test_loss_seed1"]).statistic
    assert ceiling["n"] == 57
    assert ceiling["kendall_low"] < ceiling["kendall"] < ceiling["kendall_high"]
    assert (ranking["ceiling"] == ceiling["kendall"]).all()
    assert (rank(df, "test_loss", resamples=0)["ceiling"] == ceiling["kendall"]).all()
    without = df.drop(columns=["test_loss_seed0", "test_loss_seed1"])
    assert rank(without, "test_loss", resamples=0)["ceiling"].isna().all()


def test_undescribed_columns_and_no_resamples() -> None:
    df = table().assign(depth=np.arange(60))
    found = rank(df, "test_loss", proxies=["depth"], resamples=0).loc["depth"]
    assert found["family"] == "other"
    assert "direction not declared, larger taken as better" in found["note"]
    assert np.isnan(found["kendall_low"])


@pytest.mark.parametrize(
    ("target", "direction"),
    [("valid_accuracy", "maximize"), ("test_loss", "minimize"), ("top1_error", "minimize"), ("epochs_to", "minimize")],
)
def test_target_direction_is_told_by_the_name(target: str, direction: str) -> None:
    df = table().rename(columns={"test_loss": target})
    assert rank(df, target, resamples=0).attrs["ranking"]["target_direction"] == direction


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "test_los"}, "target 'test_los' is not a column of this table. Did you mean 'test_loss'"),
        ({"target": "canonical", "target_direction": "maximize"}, "'canonical' must be numeric"),
        ({"target": "good"}, "pass target_direction="),
        ({"target": "accuracy_after_12_epochs"}, "pass target_direction="),
        ({"target_direction": "up"}, 'must be "maximize" or "minimize"; got \'up\''),
        ({"proxies": ["god"]}, "proxy 'god' is not a column of this table. Did you mean 'good'"),
        ({"undefined": "keep"}, 'undefined must be "drop" or "worst"'),
        ({"resamples": -1}, "resamples must be 0"),
        ({"resamples": 10.5}, "resamples must be 0"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"interval": "analytical"}, 'interval must be "bootstrap" or "analytic"; got \'analytical\'. Did you mean'),
        ({"top": 10}, "top must be a share between 0 and 1, such as 0.1 for the best 10 %; got 10"),
        ({"k": 0}, "k must be a number of architectures, 1 or more; got 0"),
        ({"k": 0.1}, "k must be a number of architectures"),
        ({"given": ["parms"]}, "given column 'parms' is not a column of this table. Did you mean 'params'"),
        ({"given": "canonical"}, "given column 'canonical' must be numeric"),
        ({"noise": ("test_loss_seed0",)}, "noise must name two columns"),
        ({"noise": ("test_loss_seed0", "seed1")}, "noise column 'seed1' is not a column"),
    ],
)
def test_messages(options: dict[str, object], message: str) -> None:
    df = table().assign(accuracy_after_12_epochs=0.5)
    with pytest.raises(InputError) as error:
        rank(df, **{"target": "test_loss", **options})
    assert message in str(error.value)


def test_a_table_without_metadata_asks_for_proxies() -> None:
    df = table()
    df.attrs = {}
    with pytest.raises(InputError, match="pass proxies="):
        rank(df, "test_loss")


INTERVALS = ("bootstrap", "analytic")
COLUMNS = [
    *("family", "direction"),
    *("kendall", "kendall_low", "kendall_high", "spearman", "spearman_low", "spearman_high"),
    *("weighted_kendall", "overlap", "regret"),
    *("kendall_top", "kendall_top_low", "kendall_top_high", "spearman_top"),
    *("weighted_kendall_top", "overlap_top", "regret_top", "n_top"),
    *("partial", "partial_low", "partial_high"),
    *("partial_kendall", "partial_kendall_low", "partial_kendall_high"),
    *("n", "excluded", "undefined", "classes", "ceiling", "baseline", "note"),
]


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_column_and_fact_is_there(interval: str) -> None:
    ranking = rank(table(), "test_loss", interval=interval)
    assert list(ranking.columns) == COLUMNS
    facts = ranking.attrs["ranking"]
    wanted = {"given": ["params"], "top": 0.1, "rows_top": 6, "k": 10, "interval": interval, "rows": 60, "classes": 60}
    assert wanted.items() <= facts.items()
    assert facts["seeds"] == ["test_loss_seed0", "test_loss_seed1"]


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("undefined", ["drop", "worst"])
def test_every_value_is_that_of_the_reference(interval: str, undefined: str) -> None:
    df = table(80)
    df["cost"] = df["cost"].round()
    df.loc[df.index[:7], "cost"] = np.nan
    found = rank(df, "test_loss", interval=interval, undefined=undefined, top=0.4, k=5, resamples=20).loc["cost"]
    x, y, z = -df["cost"].to_numpy(), -df["test_loss"].to_numpy(), df["params"].to_numpy()
    inside = np.isin(np.arange(80), ranks.best_rows(y, 0.4))
    used = ~np.isnan(x) if undefined == "drop" else np.ones(80, dtype=bool)
    x = np.nan_to_num(x, nan=-np.inf)
    best = y.max()
    for end, rows in (("", used), ("_top", used & inside)):
        u, v = x[rows], y[rows]
        assert found[f"kendall{end}"] == pytest.approx(ranks.kendall(u, v))
        assert found[f"spearman{end}"] == pytest.approx(ranks.spearman(u, v))
        assert found[f"weighted_kendall{end}"] == pytest.approx(ranks.weighted_kendall(u, v))
        assert found[f"overlap{end}"] == pytest.approx(chances(u, 5) @ chances(v, 5) / 5)
        assert found[f"regret{end}"] == pytest.approx(simulated_regret(u, v, 5, best), abs=0.02)
    assert found["n_top"] == (used & inside).sum()
    assert found["partial"] == pytest.approx(ranks.partial_spearman(x[used], y[used], z[used, None]))
    assert found["partial_kendall"] == pytest.approx(ranks.partial_kendall(x[used], y[used], z[used]))


def simulated_regret(x: np.ndarray, y: np.ndarray, k: int, best: float) -> float:
    rng = np.random.default_rng(0)
    picks = [np.lexsort([rng.random(len(x)), x])[-k:] for _ in range(20_000)]
    return float(np.mean([best - y[rows].max() for rows in picks]))


def test_analytic_intervals_agree_with_the_bootstrap() -> None:
    df = table(600)
    df["canonical"] = [f"c{i // 3}" for i in range(600)]
    one, other = (rank(df, "test_loss", interval=interval, resamples=1000) for interval in INTERVALS)
    other = other.loc[one.index]
    for measure in ("kendall", "spearman", "kendall_top", "partial", "partial_kendall"):
        width = one[f"{measure}_high"] - one[f"{measure}_low"]
        for end in ("low", "high"):
            shift = (one[f"{measure}_{end}"] - other[f"{measure}_{end}"]).abs() / width
            assert (shift.dropna() < 0.15).all(), (measure, end)
        assert other[measure].tolist() == pytest.approx(one[measure].tolist(), nan_ok=True)


def test_partial_is_given_the_sizes_of_the_table() -> None:
    df = table()
    df["macs"], df["layers"] = df["params"] * 2 + 1, np.round(df["params"])
    ranking = rank(df, "test_loss", resamples=0)
    assert ranking.attrs["ranking"]["given"] == ["params", "macs", "layers"]
    assert np.isnan(ranking.loc["params", "partial"])
    assert "given sizes" not in ranking.loc["params", "note"]
    one = rank(df, "test_loss", resamples=0, given=["params"])
    assert one.loc["good", "partial"] == pytest.approx(
        rank(df, "test_loss", resamples=0, given=["macs"]).loc["good", "partial"]
    )
    none = rank(df, "test_loss", given=[])
    assert none["partial"].isna().all()
    assert not none["note"].str.contains("given sizes").any()
    df["noise"] = np.exp(df["params"])
    assert "follows from the given sizes" in rank(df, "test_loss", given="params").loc["noise", "note"]


def test_classes_of_many_rows_and_one_class() -> None:
    df = table()
    df["canonical"] = "one"
    for interval in INTERVALS:
        row = rank(df, "test_loss", interval=interval).loc["good"]
        assert row["classes"] == 1
        assert not np.isnan(row["kendall"])
        assert np.isnan(row[["kendall_low", "spearman_low", "kendall_top_low", "partial_low"]].astype(float)).all()
        assert "n too small for an interval" in row["note"]


@pytest.mark.parametrize("undefined", ["drop", "worst"])
def test_nothing_defined_and_everything_tied(undefined: str) -> None:
    df = table()
    df["good"], df["good_status"] = np.nan, "disconnected"
    df["cost"], df["test_loss"] = 1.0, np.round(df["test_loss"] / 100)
    for interval in INTERVALS:
        ranking = rank(df, "test_loss", undefined=undefined, interval=interval, resamples=20)
        numbers = (
            ranking.loc[["good", "cost"]].select_dtypes("number").drop(columns=["n", "n_top", "excluded", "classes"])
        )
        allowed = ["overlap", "regret", "overlap_top", "regret_top", "ceiling"]
        assert numbers.drop(columns=allowed).isna().all(axis=None)
        assert ranking.loc["good", "undefined"] == "disconnected 60"
        assert ranking.loc["good", "n"] == (0 if undefined == "drop" else 60)
        assert "undefined on 100 %" in ranking.loc["good", "note"]


def test_progress_is_told() -> None:
    told: list[tuple[int, int, int]] = []
    rank(table(), "test_loss", interval="analytic", progress=lambda *state: told.append(state))
    assert told == [(0, 4, 0), (1, 4, 0), (2, 4, 0), (3, 4, 0), (4, 4, 0)]


def test_analysis_and_report_never_import_torch() -> None:
    code = (
        "import sys, automl_theory.analysis.ranking, automl_theory.analysis.join, "
        "automl_theory.analysis.comparison, automl_theory.report.html, "
        "automl_theory.report.console, automl_theory.report.figures, jinja2; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_proxy_that_misleads_beyond_size_is_not_called_unclear() -> None:
    df = table(200)
    df["noise"] = df["test_loss"] + 2 * df["params"]
    found = rank(df, "test_loss", proxies=["noise"], resamples=200).loc["noise"]
    assert found["partial_high"] < 0 < found["kendall_low"]
    assert "wrong way beyond the given sizes" in found["note"]
    assert "nothing clear" not in found["note"]


@pytest.mark.parametrize("interval", ["bootstrap", "analytic"])
def test_a_size_baseline_that_points_the_wrong_way_counts_turned_round(interval: str) -> None:
    """In the notes of a ranking, and in a comparison: the two may not contradict each other."""
    df = table(200)
    df["params"] = -df["params"]
    options = {"interval": interval, "resamples": 200}
    ranking = rank(df, "test_loss", **options)
    assert ranking.loc["params", "kendall"] < 0
    assert "below the size baseline turned round" in ranking.loc["noise", "note"]
    assert "size baseline" not in ranking.loc["good", "note"]
    duels = compare(df, "test_loss", ["good", "noise"], against="params", **options).set_index("first")
    assert duels.loc["good", "verdict"] == "good is better"
    assert duels.loc["good", "kendall_second"] == pytest.approx(-ranking.loc["params", "kendall"])
    assert duels.loc["params", "verdict"] == "params turned round is better"
    assert duels["turned"].tolist() == ["params", "params"]
    straight = compare(df.assign(params=-df["params"]), "test_loss", ["good", "noise"], against="params", **options)
    pd.testing.assert_frame_equal(
        straight.drop(columns=["verdict", "turned"]), duels.reset_index().drop(columns=["verdict", "turned"])
    )
    assert (straight["turned"] == "").all()


def test_a_target_that_is_not_there_says_how_to_join_it() -> None:
    with pytest.raises(InputError, match=r'at\.join\(df, at\.load_accuracy\("digits"\)\)'):
        rank(table().drop(columns="test_loss"), "test_loss")
    with pytest.raises(InputError, match="target 'word' is not a column of this table"):
        rank(table(), "word", target_direction="maximize")
