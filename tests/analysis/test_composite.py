from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import trade_offs as reference
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from automl_theory.analysis.composite import DEFAULT, RankComposite, rank_table
from automl_theory.analysis.ranking import rank
from automl_theory.analysis.supervised import AccuracyComposite, cross_validate_accuracy
from automl_theory.errors import InputError
from automl_theory.graphs.table import MEASURES
from automl_theory.proxies import COMPOSITE, get_proxies, get_proxy


@parametrize_with_checks([RankComposite(), RankComposite("log"), AccuracyComposite()])
def test_scikit_learns_own_checks(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


small = st.integers(-2, 2).map(float) | st.sampled_from([np.inf, -np.inf])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_scores_are_the_obvious_ones(data: st.DataObject) -> None:
    d = data.draw(st.integers(1, 3))
    row = st.lists(small, min_size=d, max_size=d)
    train, rows = (np.array(data.draw(st.lists(row, min_size=2, max_size=8))) for _ in range(2))
    ways = data.draw(st.lists(st.sampled_from(["maximize", "minimize"]), min_size=d, max_size=d))
    for aggregate in ("mean", "log"):
        scores = RankComposite(aggregate, ways).fit(train).score_samples(rows)
        np.testing.assert_allclose(scores, reference.rank_composite(train, rows, ways, aggregate))


def test_accuracy_cannot_leak_in() -> None:
    rng = np.random.default_rng(0)
    X, new, truth = rng.normal(size=(50, 3)), rng.normal(size=(9, 3)), rng.normal(size=50)
    alone = RankComposite().fit(X)
    for y in (truth, -truth, np.zeros(50), X[:, 0], list("ab" * 25), "anything", np.full(50, np.nan)):
        seen = RankComposite().fit(X, y)
        assert {k: str(v) for k, v in vars(seen).items()} == {k: str(v) for k, v in vars(alone).items()}
        np.testing.assert_array_equal(seen.score_samples(new), alone.score_samples(new))
        np.testing.assert_array_equal(RankComposite().fit_transform(X, y), alone.transform(X))


def test_monotone_maps_change_nothing_and_more_is_better() -> None:
    X = np.random.default_rng(1).normal(size=(40, 2))
    scores = RankComposite().fit(X).score_samples(X)
    bent = np.column_stack([np.exp(X[:, 0]), -(X[:, 1] ** 3)])
    np.testing.assert_allclose(RankComposite(directions=["maximize", "minimize"]).fit(bent).score_samples(bent), scores)
    for aggregate in ("mean", "log"):
        model = RankComposite(aggregate).fit(X)
        assert (model.score_samples(X + 0.5) >= model.score_samples(X)).all()
    assert model.score_samples([[-9, 9]]) < model.score_samples([[0, 0]]), "one bad rank costs most"


def test_undefined_is_worst_and_constant_moves_nobody() -> None:
    X = np.array([[1.0, 5.0], [2.0, 5.0], [np.nan, 5.0], [3.0, 5.0]])
    model = RankComposite().fit(X)
    np.testing.assert_allclose(model.transform(X), [[1 / 6, 0.5], [0.5, 0.5], [0, 0.5], [5 / 6, 0.5]])
    assert RankComposite().fit([[np.nan], [np.nan]]).transform([[1.0], [np.nan]]).tolist() == [[0.5], [0.0]]
    assert RankComposite("log").fit(X).score_samples(X).argmin() == 2
    one = RankComposite().fit([[7.0]])
    assert one.score_samples([[7.0], [8.0], [6.0]]).tolist() == [0.5, 1.0, 0.0]


def test_composites_take_their_place_in_a_pipeline() -> None:
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    y = X["a"] + X["b"]
    chain = make_pipeline(RankComposite(), AccuracyComposite()).fit(X, y)
    assert chain.score(X, y) > 0.8
    assert RankComposite().fit(X).get_feature_names_out().tolist() == ["a", "b"]


def test_bad_arguments_of_the_estimator() -> None:
    X = np.ones((4, 2))
    with pytest.raises(InputError, match='aggregate must be "mean" or "log"; got \'median\''):
        RankComposite("median").fit(X)
    with pytest.raises(InputError, match=r"expected one direction a feature \(2\); got 1"):
        RankComposite(directions=["maximize"]).fit(X)
    with pytest.raises(InputError, match="the direction of 'feature 1' must be"):
        RankComposite(directions=["maximize", "up"]).fit(X)


def table(n: int = 120, copies: int = 1, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    df = pd.DataFrame({"naswot": quality + rng.normal(size=n), "ntk_lambda_min": quality + rng.normal(size=n)})
    df["ntk_regression_error"] = -quality + rng.normal(size=n)
    df["test_accuracy"] = 90 + quality
    df["canonical"] = [f"a{i}" for i in range(n)]
    df = df.loc[np.repeat(df.index, copies)]
    df.index = pd.Index([f"a{i}" for i in range(n * copies)], name="arch")
    families = {"naswot": "expressivity", "ntk_lambda_min": "convergence", "ntk_regression_error": "generalization"}
    df.attrs["proxies"] = {
        name: {"family": family, "direction": "minimize" if "error" in name else "maximize"}
        for name, family in families.items()
    }
    return df


def test_a_tables_composite_takes_declared_directions() -> None:
    df = table()
    df["naswot_status"] = "ok"
    df.loc["a3", ["naswot", "naswot_status"]] = [np.nan, "disconnected"]
    scores = rank_table(df)
    X = np.column_stack([df["naswot"], df["ntk_lambda_min"], -df["ntk_regression_error"]])
    np.testing.assert_allclose(scores, RankComposite().fit(X).score_samples(X))
    assert scores.index.equals(df.index)
    both = df.assign(composite=scores)
    both.attrs = df.attrs
    ranking = rank(both, "test_accuracy", proxies=["naswot", "ntk_lambda_min", "composite"], resamples=0)["kendall"]
    assert ranking.idxmax() == "composite"
    alone = rank_table(df, "naswot")
    assert alone.idxmin() == "a3"
    assert alone.drop("a3").rank().equals(df["naswot"].drop("a3").rank())
    assert rank_table(df.iloc[:0]).empty
    assert rank_table(df, aggregate="log").corr(scores, method="kendall") > 0.8


def test_a_tables_composite_refuses_the_answer() -> None:
    df = table()
    with pytest.raises(InputError, match="'test_accuracy' is not one of the table's proxies: a composite must not see"):
        rank_table(df, ["naswot", "test_accuracy"])
    df["c10_test"] = df["test_accuracy"]
    with pytest.raises(InputError, match=r"'c10_test' is not one of .*describe it in attrs\[\"proxies\"\]"):
        rank_table(df, ["c10_test"])
    df.attrs = {}
    with pytest.raises(InputError, match="'test_accuracy' is not one of"):
        rank_table(df, ["test_accuracy"])
    with pytest.raises(InputError, match=r"expected one or more different proxies to aggregate; got \[\]"):
        rank_table(df, [])
    with pytest.raises(InputError, match="'naswod' is not a column of this table"):
        rank_table(df, ["naswod"])


class Memory(RegressorMixin, BaseEstimator):
    """Knows the answer of what it has seen, exactly; of anything else it says the mean."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Memory:
        self.known_ = {row.tobytes(): value for row, value in zip(X, y, strict=True)}
        self.mean_ = y.mean()
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.array([self.known_.get(row.tobytes(), self.mean_) for row in X])


def test_no_member_of_a_class_is_predicted_by_another() -> None:
    df = table(copies=4)
    found = cross_validate_accuracy(df, "test_accuracy", model=Memory())
    assert (found.fold.groupby(df["canonical"]).nunique() == 1).all()
    assert found.predictions.nunique() <= 5, "the mean of each fold's training rows, never a copy's answer"
    blind = cross_validate_accuracy(df.drop(columns="canonical"), "test_accuracy", model=Memory())
    assert blind.kendall > 0.9, "what a split by rows would have claimed"


def test_what_is_held_out_is_not_seen() -> None:
    df = table(copies=2)
    found = cross_validate_accuracy(df, "test_accuracy")
    held = found.fold == 2
    other = df.copy()
    other.attrs = df.attrs
    other.loc[held, "test_accuracy"] = 10 * np.random.default_rng(0).normal(size=held.sum())
    again = cross_validate_accuracy(other, "test_accuracy")
    pd.testing.assert_series_equal(again.predictions[held], found.predictions[held])
    assert not again.predictions[~held].equals(found.predictions[~held])
    moved = df.copy()
    moved.attrs = df.attrs
    moved.loc[held, "naswot"] += 100
    swayed = cross_validate_accuracy(moved, "test_accuracy")
    for fold in range(5):
        model = AccuracyComposite().fit(*_rows(df, (found.fold != fold).to_numpy()))
        expected = model.predict(_rows(df, (found.fold == fold).to_numpy())[0])
        np.testing.assert_allclose(found.predictions[found.fold == fold], expected)
    assert (swayed.fold == found.fold).all()


def _rows(df: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    part = df.loc[rows]
    return part[["naswot", "ntk_lambda_min", "ntk_regression_error"]].to_numpy(), part["test_accuracy"].to_numpy()


def test_a_combination_beats_its_parts_and_says_how_sure_it_is() -> None:
    df = table(300)
    df.loc["a5", "test_accuracy"] = np.nan
    found = cross_validate_accuracy(df, "test_accuracy")
    assert found.kendall > found.best_single_kendall + 0.05
    assert found.low < found.kendall < found.high
    assert (found.n, found.classes) == (299, 299)
    assert found.columns == ("naswot", "ntk_lambda_min", "ntk_regression_error")
    assert np.isnan(found.predictions["a5"])
    assert found.fold["a5"] == -1
    ranking = rank(df, "test_accuracy", resamples=0)["kendall"]
    assert (found.best_single, found.best_single_kendall) == (ranking.idxmax(), pytest.approx(ranking.max()))
    known = df["test_accuracy"].notna()
    assert found.predictions[known].corr(df["test_accuracy"][known], method="kendall") == pytest.approx(found.kendall)
    loss = df.assign(test_loss=-df["test_accuracy"])
    loss.attrs = df.attrs
    assert cross_validate_accuracy(loss, "test_loss").kendall == pytest.approx(found.kendall, abs=0.02)
    noise = df.assign(test_accuracy=np.random.default_rng(5).permutation(df["test_accuracy"]))
    noise.attrs = df.attrs
    assert cross_validate_accuracy(noise, "test_accuracy").kendall < 0.1


def test_monotone_maps_of_the_target_keep_the_order_of_predictions() -> None:
    X, _ = np.random.default_rng(6).normal(size=(80, 2)), None
    y = X.sum(axis=1)
    plain, bent = AccuracyComposite().fit(X, y).predict(X), AccuracyComposite().fit(X, np.exp(3 * y)).predict(X)
    assert (np.argsort(plain) == np.argsort(bent)).all()
    assert len(np.unique(plain)) == 80
    assert AccuracyComposite().fit(X, np.ones(80)).predict(X).tolist() == [1.0] * 80


def test_bad_input_of_the_cross_validation() -> None:
    df = table(12)
    assert np.isfinite(cross_validate_accuracy(df, "test_accuracy", folds=50).kendall), "at most a fold a class"
    few = cross_validate_accuracy(df.iloc[:6], "test_accuracy")
    assert np.isnan(few.low)
    with pytest.raises(InputError, match="needs two folds and two different architectures at least; got 5 and 1"):
        cross_validate_accuracy(df.iloc[:1], "test_accuracy")
    with pytest.raises(InputError, match="got 1 and 12"):
        cross_validate_accuracy(df, "test_accuracy", folds=1)
    with pytest.raises(InputError, match="'val_accuracy' is not one of the table's proxies"):
        cross_validate_accuracy(df.assign(val_accuracy=1.0), "test_accuracy", ["naswot", "val_accuracy"])
    df.attrs = {}
    with pytest.raises(InputError, match="no proxy to learn from: this table describes none"):
        cross_validate_accuracy(df, "test_accuracy")
    assert cross_validate_accuracy(df, "test_accuracy", ["naswot"]).columns == ("naswot",)


TRAINED = [
    "test_accuracy",
    "epochs_to_50",
    "test_error",
    "train_loss",
    "top1",
    "cifar10-top5",
    "top_1",
    "val_acc",
    "Acc",
]


@pytest.mark.parametrize("column", TRAINED)
def test_no_composite_takes_a_column_that_training_made(column: str) -> None:
    df = table(30).assign(**{column: lambda d: d["test_accuracy"]})
    df.attrs = {}
    refused = f"{column!r} is not one of the table's proxies: a composite must not see what it is to predict"
    for attempt in (
        lambda: RankComposite().fit(df[["naswot", column]]),
        lambda: AccuracyComposite().fit(df[["naswot", column]], df["test_accuracy"]),
        lambda: rank_table(df, ["naswot", column]),
    ):
        with pytest.raises(InputError, match=refused):
            attempt()
    if column != "test_accuracy":
        with pytest.raises(InputError, match=refused):
            cross_validate_accuracy(df, "test_accuracy", ["naswot", column])


def test_what_is_measured_without_training_passes_whatever_its_name() -> None:
    df = table(30)
    proxies = df[["naswot", "ntk_lambda_min", "ntk_regression_error"]]
    described = RankComposite().fit(proxies).score_samples(proxies)
    proxies.attrs = {}
    np.testing.assert_array_equal(RankComposite().fit(proxies).score_samples(proxies), described)
    assert len(rank_table(proxies, list(proxies))) == 30
    harmless = ["top10", "acceleration", "stop1", "desktop_5", "params", "ntk_regression_error:ridge=0.1"]
    RankComposite().fit(pd.DataFrame(np.ones((3, 6)), columns=harmless))
    mine = df.assign(label_error_proxy=df["naswot"])
    mine.attrs["proxies"] = {**df.attrs["proxies"], "label_error_proxy": {"family": "other", "direction": "maximize"}}
    RankComposite().fit(mine[["naswot", "label_error_proxy"]])


def test_a_target_is_not_predicted_from_itself() -> None:
    df = table(30).assign(score=lambda d: d["test_accuracy"])
    df["score_seed777"] = df["score"]
    for column in ("score", "score_seed777"):
        with pytest.raises(InputError, match=f"{column!r} is what is to be predicted from the other columns; leave it"):
            cross_validate_accuracy(df, "score", ["naswot", column], target_direction="maximize")
    with pytest.raises(InputError, match="'test_accuracy' is what is to be predicted"):
        cross_validate_accuracy(df, "test_accuracy", "test_accuracy")


def default_table(seed: int = 0, n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({name: rng.normal(size=n).round(1) for name in DEFAULT}, index=[f"a{k}" for k in range(n)])
    table["identity_paths"] = rng.integers(0, 2, n).astype(float)
    for name in COMPOSITE:
        table[f"{name}_status"] = "ok"
    family = {name: "graph" if name in MEASURES else "x" for name in DEFAULT}
    table.attrs["proxies"] = {name: {"family": family[name], "direction": way} for name, (way, _) in DEFAULT.items()}
    return table


def test_the_default_composite_is_the_sum_of_log_ranks() -> None:
    table = default_table()
    X = table[list(DEFAULT)].to_numpy()
    ways = [way for way, _ in DEFAULT.values()]
    expected = reference.rank_composite(X, X, ways, "log")
    np.testing.assert_allclose(RankComposite.default().fit(table).score_samples(table), expected)
    turned = table[reversed(table.columns)]
    turned.attrs = table.attrs
    np.testing.assert_array_equal(
        RankComposite.default().fit(turned).score_samples(turned),
        RankComposite.default().fit(table).score_samples(table),
    )
    named = rank_table(table, list(DEFAULT), aggregate="log")
    np.testing.assert_allclose(named.to_numpy(), expected)


def test_the_default_composite_is_what_a_group_and_the_graph_measure() -> None:
    assert set(DEFAULT) == {*COMPOSITE, *(set(DEFAULT) & set(MEASURES))}
    assert [proxy.name for proxy in get_proxies("composite")] == list(COMPOSITE)
    for name, (way, _) in DEFAULT.items():
        declared = MEASURES[name][0] if name in MEASURES else get_proxy(name).direction
        assert way == declared


def test_undefined_ranks_last_and_a_space_without_graphs_is_scored() -> None:
    table = default_table()
    best = RankComposite.default().fit(table).score_samples(table).argmax()
    table.iloc[best, table.columns.get_loc("naswot_status")] = "failed"
    part = RankComposite.default().fit(table)
    assert part.transform(table)[best, list(DEFAULT).index("naswot")] == 0
    for name in set(DEFAULT) & set(MEASURES):
        table[name] = np.nan
    scores = RankComposite.default().fit(table).score_samples(table)
    assert np.isfinite(scores).all()
    alone = RankComposite("log", [DEFAULT[name][0] for name in COMPOSITE], list(COMPOSITE)).fit(table)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(alone.score_samples(table)))


def test_missing_columns_of_the_default_are_named() -> None:
    table = default_table().drop(columns=["naswot", "effective_kernel"])
    with pytest.raises(InputError, match=r"no column naswot, effective_kernel; .*at.graph_metrics\(space, df.index\)"):
        RankComposite.default().fit(table)
    with pytest.raises(InputError, match=r"expected a DataFrame with the columns naswot,.*got ndarray"):
        RankComposite.default().fit(np.zeros((3, 8)))


def test_the_default_composite_of_a_real_table() -> None:
    import automl_theory as at

    space = at.space("nas_bench_201")
    cells = space.sample(5, 2)
    small = {"n": 4, "network": {"channels": 4, "cells_per_stage": 1}}
    df = at.score_space(space, "composite", architectures=cells, **small)
    df = at.join(df, at.graph_metrics(space, df.index))
    assert np.isfinite(at.RankComposite.default().fit(df).score_samples(df)).all()
    assert clone(at.RankComposite.default()).columns == list(DEFAULT)
