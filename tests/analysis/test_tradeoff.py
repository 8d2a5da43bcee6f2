from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import trade_offs as reference
from scipy import stats

from automl_theory.analysis.budget import parts_of, residuals
from automl_theory.analysis.contest import CODES, Contest, contest
from automl_theory.analysis.landscape import TOP, Effort, overlap, percentiles, units
from automl_theory.analysis.ranking import rank
from automl_theory.analysis.tradeoff import NoFreeLunch, no_free_lunch
from automl_theory.errors import InputError

NAMES = {"expressivity": "naswot", "convergence": "ntk_lambda_min", "generalization": "ntk_regression_error"}


def table(values: np.ndarray, classes: list[str] | None = None) -> pd.DataFrame:
    """A score table of three aspects; the third is minimised, so `values` (larger = better) are negated there."""
    index = pd.Index([f"a{i}" for i in range(len(values))], name="arch")
    df = pd.DataFrame(np.asarray(values, dtype=float) * [1, 1, -1], columns=list(NAMES.values()), index=index)
    df["canonical"] = df.index if classes is None else classes
    df.attrs["proxies"] = {
        column: {"family": aspect, "direction": "minimize" if "error" in column else "maximize"}
        for aspect, column in NAMES.items()
    }
    df.attrs["settings"] = {"space": "toy"}
    return df


def quick(df: pd.DataFrame, target: str | None = None, **options: object) -> NoFreeLunch:
    settings = {"resamples": 60, "permutations": 20, "progress": False} | options
    return no_free_lunch(df, target, **settings)


def fight(values: np.ndarray, resamples: int = 100, permutations: int = 0, classes: list[int] | None = None) -> Contest:
    good = pd.DataFrame(np.asarray(values, dtype=float), columns=list("xyz")[: values.shape[1]])
    groups = np.arange(len(good)) if classes is None else np.array(classes)
    return contest(good, groups, Effort(resamples, permutations, 0, 0.95))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=12), st.integers(0, 4))
def test_points_are_the_obvious_ones(rows: list[tuple[int, int, int]], seed: int) -> None:
    values = np.array(rows, dtype=float)
    groups = np.random.default_rng(seed).integers(0, 3, size=len(values))
    found = fight(values, classes=groups.tolist())
    expected = np.column_stack([reference.percentiles(column) for column in values.T])
    np.testing.assert_allclose(found.percentile, expected)
    np.testing.assert_allclose(found.distance, np.linalg.norm(100 - expected, axis=1))
    assert found.numbers.loc["distance", "observed"] == pytest.approx(found.distance.min())
    ends = np.unique(np.column_stack([values, groups]), axis=0)[:, :3]
    assert found.numbers.loc["front_classes", "observed"] == sum(reference.front(ends))
    distinct = np.unique(expected, axis=0) / 100
    distinct = distinct[reference.front(distinct)]
    volume = reference.hypervolume(distinct, np.zeros(3))
    assert found.numbers.loc["hypervolume", "observed"] == pytest.approx(volume, abs=1e-9)
    for (a, b), row in zip([(0, 1), (0, 2), (1, 2)], found.conflicts.iloc, strict=True):
        assert row["overlap"] == pytest.approx(reference.overlap(values[:, a], values[:, b], TOP))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 2, st.integers(0, 3)), min_size=2, max_size=15))
def test_weights_are_rows_repeated(rows: list[tuple[int, int, int]]) -> None:
    values = np.array(rows)
    weights = values[:, 2]
    if not weights.sum():
        return
    these = units(values[:, :2].astype(float), np.arange(len(values)))
    order = np.argsort(these.row)
    counted = weights[order]
    repeated = np.repeat(values[:, :2][order].astype(float), counted, axis=0)
    expected = np.column_stack([reference.percentiles(column) for column in repeated.T])
    np.testing.assert_allclose(np.repeat(percentiles(these.ranks, counted), counted, axis=0), expected)
    seen, chance = overlap(*these.ranks.T, counted)
    assert seen == pytest.approx(reference.overlap(*repeated.T, TOP))
    assert 0 < chance <= 1


def test_overlap_by_chance_is_what_shuffling_shows() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 8, size=200), rng.integers(0, 40, size=200)
    one = np.ones(200, dtype=int)
    shuffled = [overlap(a, rng.permutation(b), one)[0] for _ in range(2000)]
    assert overlap(a, b, one)[1] == pytest.approx(np.mean(shuffled), abs=0.01)


def test_an_empty_overlap_of_few_has_a_wide_interval() -> None:
    x = np.arange(50.0)
    found = fight(np.column_stack([x, -x])).conflicts.iloc[0]
    assert (found["overlap"], found["overlap_low"]) == (0, 0)
    assert found["overlap_high"] == pytest.approx(stats.binomtest(0, 5).proportion_ci(0.95).high)
    assert (found["overall"], found["top"]) == ("conflict", "unclear")


def test_one_wins_all_where_there_is_no_conflict() -> None:
    quality = np.random.default_rng(0).normal(size=80)
    df = table(np.column_stack([quality, np.exp(quality), quality**3]))
    df["parameters"] = np.arange(80) % 4 * 1000.0
    found = quick(df)
    best = f"a{quality.argmax()}"
    assert found.verdict_code == "one_wins_all"
    assert found.wins_all == (best,)
    assert set(found.winners.values()) == {(best,)}
    assert found.verdict == f"One architecture wins all aspects among 80 architectures of toy (80 different): {best}."
    assert (found.front_size, found.hypervolume, found.compromise["distance"]) == (1, 1.0, 0.0)
    assert found.compromise["architecture"] == best
    np.testing.assert_allclose(found.conflicts["kendall"], 1)
    assert (found.conflicts[["overall", "top"]] == "agreement").to_numpy().all()
    assert (found.numbers["observed"] == found.numbers["no_conflict"]).all()
    assert found.points["layer"].max() == 80
    assert (found.budget["verdict_code"].drop("residual") == "one_wins_all").all()
    assert (found.numbers.loc["distance", ["low", "high"]] == 0).all()


def test_no_free_lunch_where_aspects_conflict() -> None:
    rng = np.random.default_rng(1)
    quality = rng.normal(size=600)
    found = quick(table(np.column_stack([quality, -quality, rng.normal(size=600)])))
    assert found.verdict_code == "no_free_lunch"
    assert found.wins_all == ()
    assert found.conflicts.loc[("expressivity", "convergence"), ["overall", "top"]].tolist() == ["conflict", "conflict"]
    assert found.conflicts.loc[("expressivity", "convergence"), "kendall"] == -1
    assert found.conflicts.loc[("expressivity", "generalization"), "overall"] == "unclear"
    assert found.front_size == 600
    assert found.numbers.loc["front_classes", "p"] == pytest.approx(2 / 21)
    assert "Expressivity and convergence conflict overall (τ −1.00" in found.summary()
    assert "share nothing, where chance gives 10 %" in str(found)


def test_a_conflict_at_the_top_alone_is_one() -> None:
    rng = np.random.default_rng(2)
    x = np.arange(1000.0)
    y = x.copy()
    y[-400:] = x[-400:][::-1]
    found = fight(np.column_stack([x, y]), classes=rng.permutation(1000).tolist())
    assert found.conflicts["overall"].tolist() == ["agreement"]
    assert found.conflicts["top"].tolist() == ["conflict"]
    assert found.code == "no_free_lunch"


def test_independent_aspects_have_no_winner_and_seldom_a_conflict() -> None:
    codes = [fight(np.random.default_rng(seed).normal(size=(60, 3)), 200).code for seed in range(20)]
    assert set(codes) <= {"no_single_winner", "no_free_lunch", "undecided"}
    assert codes.count("no_free_lunch") <= 3, "1 expected of 20 at most: the relations hold jointly at 95 %"


def test_a_lucky_winner_is_undecided() -> None:
    values = np.random.default_rng(3).normal(size=(60, 3))
    values[7] = 9
    found = fight(values, 400)
    assert found.code == "undecided"
    assert found.numbers.loc["distance", "observed"] == found.numbers.loc["distance", "low"] == 0
    assert found.numbers.loc["distance", "high"] > 0


def test_permutations_are_what_they_say() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(30, 3))
    found = fight(values, 0, 300)
    by_hand = []
    for _ in range(300):
        shuffled = np.column_stack([rng.permutation(column) for column in values.T])
        by_hand.append(sum(reference.front(shuffled)))
    row = found.numbers.loc["front_classes"]
    assert row["independent"] == pytest.approx(np.mean(by_hand), rel=0.1)
    assert row["independent_low"] < row["independent"] < row["independent_high"]
    tau = stats.kendalltau(values[:, 0], values[:, 1])
    assert found.conflicts["kendall"].iloc[0] == pytest.approx(tau.statistic)
    assert found.conflicts["kendall_p"].iloc[0] == pytest.approx(tau.pvalue, abs=0.12)


def test_intervals_count_classes_not_copies() -> None:
    values = np.random.default_rng(5).normal(size=(40, 3))
    single = fight(values, 200)
    copies = fight(np.repeat(values, 4, axis=0), 200, classes=np.repeat(np.arange(40), 4).tolist())
    assert copies.classes == single.classes == 40
    assert copies.numbers.loc["front_classes", "observed"] == single.numbers.loc["front_classes", "observed"]
    for name in ("low", "high"):
        assert copies.conflicts[name].to_numpy() == pytest.approx(single.conflicts[name].to_numpy(), abs=0.05)


def test_duplicates_are_kept_and_undefined_rows_counted() -> None:
    values = np.random.default_rng(6).normal(size=(30, 3))
    values[1] = values[0] = values.max(axis=0) + 1
    df = table(values, ["a0", "a0", *[f"a{i}" for i in range(2, 30)]])
    df["naswot_status"] = "ok"
    df.loc["a5", ["naswot", "naswot_status"]] = [np.nan, "disconnected"]
    df.loc["a6", "ntk_lambda_min"] = np.nan
    df.loc["a7", "ntk_lambda_min"] = -np.inf
    found = quick(df)
    assert found.winners["expressivity"] == ("a0", "a1")
    assert found.wins_all == ("a0", "a1")
    assert found.front_size == 2
    assert found.compromise["tied"] == 2
    assert found.counts == {
        "rows": 30,
        "n": 28,
        "classes": 27,
        "excluded": 2,
        "undefined": {"expressivity": {"disconnected": 1}, "convergence": {"missing": 1}, "generalization": {}},
        "without_target": 0,
        "without_budget": 0,
    }
    assert not {"a5", "a6"} & set(found.points.index)
    assert found.points.loc["a7", "convergence"] == 0
    assert found.points.loc["a1", "class"] == "a0"


def test_every_other_choice_of_representatives_is_tried() -> None:
    rng = np.random.default_rng(7)
    quality = rng.normal(size=60)
    df = table(np.column_stack([quality, quality, quality]))
    df["linear_regions"], df["ntk_trace"] = -quality, rng.normal(size=60)
    for column, aspect in (("linear_regions", "expressivity"), ("ntk_trace", "convergence")):
        df.attrs["proxies"][column] = {"family": aspect, "direction": "maximize"}
    found = quick(df, representatives={"expressivity": "naswot"})
    other = found.alternatives
    assert len(other) == 4
    assert other.iloc[0][[*NAMES, "verdict_code"]].tolist() == [*NAMES.values(), "one_wins_all"]
    assert other["chosen"].tolist() == [True, False, False, False]
    against = other[other["expressivity"] == "linear_regions"]
    assert (against["verdict_code"] == "no_free_lunch").all()
    assert other["same"].tolist() == (other["verdict_code"] == "one_wins_all").tolist()
    assert "Under 0 of 3 other choices of representatives the verdict is the same" in found.summary()
    for _, row in other.iterrows():
        alone = quick(df, representatives={aspect: row[aspect] for aspect in NAMES}, resamples=60)
        assert alone.verdict_code == row["verdict_code"]
        assert alone.numbers.loc["distance", "observed"] == pytest.approx(row["distance"])
        assert alone.conflicts["kendall"].iloc[0] == pytest.approx(row["kendall_expressivity_convergence"])


def test_at_a_fixed_budget_the_size_is_out_of_it() -> None:
    """All aspects grow with size, but conflict among networks of equal size."""
    rng = np.random.default_rng(8)
    size, taste = rng.integers(0, 3, size=300), rng.normal(size=300)
    df = table(np.column_stack([10 * size + taste, 10 * size - taste, 10.0 * size]))
    df["parameters"] = 1000.0 * (size + 1)
    df.loc["a0", "parameters"] = np.nan
    found = quick(df)
    assert found.conflicts.loc[("expressivity", "convergence"), "overall"] == "agreement"
    bins = found.budget.drop("residual")
    assert bins.index.tolist() == ["1000 to 1000", "2000 to 2000", "3000 to 3000"]
    assert bins["n"].sum() == 299
    np.testing.assert_allclose(bins["kendall_expressivity_convergence"], -1)
    assert (found.budget["verdict_code"] == "no_free_lunch").all()
    assert found.budget.loc["residual", "kendall_expressivity_convergence"] < -0.5
    assert found.counts["without_budget"] == 1
    assert quick(df, budget=None).budget.empty
    assert quick(df.drop(columns="parameters")).budget.empty


def test_bins_and_residuals_of_a_budget() -> None:
    assert parts_of(np.full(3, np.nan)) == []
    assert [label for label, _ in parts_of(np.array([5.0, 5.0]))] == ["5 to 5"]
    budget = np.random.default_rng(9).integers(0, 30, size=101).astype(float)
    parts = parts_of(budget)
    assert len(parts) == 5
    assert sum(rows.sum() for _, rows in parts) == 101
    for (_, low), (_, high) in pairwise(parts):
        assert budget[low].max() < budget[high].min()
    good = pd.DataFrame(np.random.default_rng(9).normal(size=(101, 2)) + budget[:, None])
    left = residuals(good, budget)
    ranks = stats.rankdata(budget)
    for column in left:
        assert stats.pearsonr(left[column], ranks).statistic == pytest.approx(0, abs=1e-6)
        slope, start = np.polyfit(ranks, stats.rankdata(good[column]), 1)
        np.testing.assert_allclose(left[column], stats.rankdata(good[column]) - slope * ranks - start, atol=1e-5)
    assert residuals(good, np.ones(101)).rank().equals(good.rank())


def test_where_accuracy_sits() -> None:
    rng = np.random.default_rng(10)
    values = rng.normal(size=(200, 3))
    df = table(values)
    df["test_accuracy"] = values.sum(axis=1) + 0.1 * rng.normal(size=200)
    df.loc["a3", "test_accuracy"] = np.nan
    df["test_loss"] = -df["test_accuracy"]
    found = quick(df, "test_accuracy")
    assert found.accuracy is not None
    assert found.accuracy_by_layer is not None
    where = found.accuracy["value"]
    known = df["test_accuracy"].notna()
    place = pd.Series(reference.percentiles(df.loc[known, "test_accuracy"].to_numpy()), index=df.index[known])
    front = found.points.loc[known, "front"]
    assert where["front"] == pytest.approx(place[front].mean())
    assert where["rest"] == pytest.approx(place[~front].mean())
    assert where["front_minus_rest"] == pytest.approx(where["front"] - where["rest"])
    assert found.accuracy.loc["front_minus_rest", "low"] > 0
    ranking = rank(df, "test_accuracy", resamples=0)["kendall"]
    for aspect, column in NAMES.items():
        assert where[f"tau_{aspect}"] == pytest.approx(ranking[column])
    assert where["tau_distance"] > 0.4
    assert where["tau_layer"] > 0.4
    assert where["best_layer"] == found.points.loc[df["test_accuracy"].idxmax(), "layer"]
    assert where["compromise"] == pytest.approx(place[found.compromise["architecture"]])
    assert found.accuracy_by_layer["n"].sum() == 199
    assert found.counts["without_target"] == 1
    by_loss = quick(df, "test_loss").accuracy
    pd.testing.assert_frame_equal(by_loss, found.accuracy)
    assert quick(df).accuracy is None


def test_aspects_are_ranks_only() -> None:
    values = np.random.default_rng(11).normal(size=(40, 3))
    plain, bent = quick(table(values)), quick(table(np.exp(values * [1, 3, 0.1])))
    pd.testing.assert_frame_equal(plain.numbers, bent.numbers)
    pd.testing.assert_frame_equal(plain.conflicts, bent.conflicts)
    assert plain.text == bent.text
    pd.testing.assert_frame_equal(plain.numbers, quick(table(values)).numbers)
    assert quick(table(values), seed=1).numbers.loc["distance", "high"] != plain.numbers.loc["distance", "high"]


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        (np.ones((1, 3)), "too_few", "Undecided: 1 architectures of toy (1 different): too few"),
        (np.random.default_rng(0).normal(size=(9, 3)), "too_few", "(9 different): too few for an interval"),
        (np.ones((20, 3)), "no_contest", "No contest: fewer than two aspects"),
        (np.column_stack([np.arange(20), np.ones(20), np.ones(20)]), "no_contest", "No contest"),
        (np.column_stack([np.arange(20), np.arange(20), np.ones(20)]), "one_wins_all", "One architecture wins"),
        (np.full((20, 3), np.nan), "too_few", "No verdict: no architecture has a value in every aspect."),
        (np.column_stack([np.arange(20), np.arange(20), np.full(20, np.nan)]), "too_few", "No verdict"),
        (np.empty((0, 3)), "too_few", "No verdict"),
    ],
    ids=["one", "nine", "all tied", "two tied", "one tied", "undefined", "one undefined", "empty"],
)
@pytest.mark.parametrize("target", [None, "test_accuracy"])
def test_degenerate_tables_have_a_decided_answer(values: np.ndarray, code: str, words: str, target: str | None) -> None:
    df = table(values)
    df["parameters"], df["test_accuracy"] = np.arange(len(df)) + 1.0, np.arange(len(df)) * 1.0
    found = quick(df, target)
    assert found.verdict_code == code
    assert found.verdict_code in CODES
    assert words in found.summary()
    assert np.isnan(found.numbers.loc["distance", "low"]) == (code == "too_few")
    if not len(found.points):
        assert found.compromise["architecture"] is None
        assert np.isnan(found.hypervolume)
        assert found.front_size == 0


def test_a_constant_aspect_is_named() -> None:
    text = quick(table(np.column_stack([np.arange(20), np.arange(20), np.ones(20)]))).summary()
    assert "Generalization (ntk_regression_error) is the same for all: it tells nobody apart." in text
    assert "Expressivity and generalization: no correlation is defined." in text


def test_without_resamples_there_is_no_verdict() -> None:
    found = quick(table(np.random.default_rng(0).normal(size=(30, 3))), resamples=0, permutations=0)
    assert found.verdict_code == "too_few"
    assert "no resamples were drawn" in found.verdict
    assert np.isnan(found.numbers.loc["distance", "independent"])


def test_undeclared_columns_go_by_name_or_as_told() -> None:
    df = table(np.random.default_rng(0).normal(size=(30, 3)))
    df.attrs["proxies"] = {}
    found = quick(df)
    assert list(found.directions.values()) == ["maximize", "maximize", "minimize"]
    assert quick(df, directions={"naswot": "minimize"}).directions["naswot"] == "minimize"


def test_progress_is_told_and_ends() -> None:
    seen: list[tuple[int, int, int]] = []
    df = table(np.random.default_rng(0).normal(size=(30, 3)))
    quick(df, progress=lambda *state: seen.append(state))
    assert seen[-1][0] == seen[-1][1]
    assert all(earlier[0] <= later[0] for earlier, later in pairwise(seen))


def test_bad_options_are_told() -> None:
    df = table(np.random.default_rng(0).normal(size=(12, 3)))
    with pytest.raises(InputError, match=r"resamples must be 0 \(none\) or more; got -1"):
        quick(df, resamples=-1)
    with pytest.raises(InputError, match="level must be between 0 and 1"):
        quick(df, level=95)
    with pytest.raises(InputError, match="budget 'flops' is not a column of this table"):
        quick(df, budget="flops")
    with pytest.raises(InputError, match="target 'test_accuracy' is not a column"):
        quick(df, "test_accuracy")
    with pytest.raises(InputError, match=r"aspects are .*; got 'speed'"):
        quick(df, representatives={"speed": "naswot"})


def test_nothing_here_imports_torch() -> None:
    code = (
        "import sys, automl_theory as at; at.pareto, at.hypervolume, at.no_free_lunch, at.RankComposite, "
        "at.AccuracyComposite, at.cross_validate_accuracy, at.rank_table; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_published_scores_of_nas_bench_201(shared: Path) -> None:
    """NASWOT, the NTK's condition number and Zen of a sample: no architecture wins all three."""
    scores = pd.read_parquet(shared / "data" / "nb201_zerocost.parquet").iloc[::4]
    kernel = pd.read_parquet(shared / "data" / "nb201_zerocost_rbnas.parquet").iloc[::4]
    truth = pd.read_parquet(shared / "data" / "nb201_accuracy.parquet").iloc[::4]
    df = pd.DataFrame(
        {
            "naswot": scores["freerea_naswot_c10"].to_numpy(),
            "ntk": kernel.filter(like="ntk").iloc[:, 0].to_numpy(),
            "zen": scores["naslib_zen_c10"].to_numpy(),
            "parameters": truth["params_c10"].to_numpy(),
            "test_accuracy": truth["c10_test_e200"].to_numpy(),
        },
        index=truth["arch_str"].to_numpy(),
    )
    chosen = {"expressivity": "naswot", "convergence": "ntk", "generalization": "zen"}
    found = quick(df, "test_accuracy", representatives=chosen, resamples=100)
    assert found.verdict_code in ("no_single_winner", "no_free_lunch")
    assert found.budget.loc["residual", "verdict_code"] == "no_free_lunch", "among networks of equal size"
    assert found.budget.loc["residual", "kendall_convergence_generalization_high"] < 0
    assert found.wins_all == ()
    assert found.accuracy is not None
    assert found.accuracy.loc["front_minus_rest", "low"] > 10, "the front is far more accurate than the rest"


@pytest.mark.parametrize("name", ["front", "layer", "distance", "class", "expressivity"])
def test_a_target_must_not_hide_a_column_of_the_points(name: str) -> None:
    df = table(np.random.default_rng(0).normal(size=(12, 3)))
    df[name] = np.arange(12.0)
    with pytest.raises(InputError, match=rf"target '{name}' has the name of a column of the points; rename it first: "):
        quick(df, name, target_direction="maximize")
    renamed = df.rename(columns={name: f"trained_{name}"})
    found = quick(renamed, f"trained_{name}", target_direction="maximize")
    assert found.points[f"trained_{name}"].tolist() == np.arange(12.0).tolist()


PAIRED = ("convergence", "generalization")


def test_what_is_not_clear_at_the_top_is_said_to_be_no_more_than_that() -> None:
    rng = np.random.default_rng(3)
    quality = rng.normal(size=200)
    values = np.column_stack([quality + 0.4 * rng.normal(size=200), -quality + 0.4 * rng.normal(size=200)])
    lines = quick(table(np.column_stack([values, rng.normal(size=200)]))).summary().splitlines()
    first, second = (next(line for line in lines if line.startswith(f"Expressivity and {name}")) for name in PAIRED)
    assert "convergence conflict overall (τ −0." in first
    told = "; at the top nothing is clear: their best 10 % share nothing, which so few cannot tell from chance (10 %)."
    assert first.endswith(told)
    assert "generalization show no clear relation overall (τ " in second
    assert "), nor at the top: their best 10 % share" in second
