from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from reference.ranks import class_bootstrap, kendall

import automl_theory as at
from automl_theory.analysis.comparison import compare
from automl_theory.errors import InputError

METHODS = ("bootstrap", "analytic")


def table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    df = pd.DataFrame({"good": quality + 0.3 * rng.normal(size=n), "fair": quality + 1.2 * rng.normal(size=n)})
    df["as_fair"] = quality + 1.2 * rng.normal(size=n)
    df["twin"], df["cost"] = np.exp(df["good"]), -df["fair"]
    df["accuracy"] = quality
    df["canonical"] = [f"c{i // 2}" for i in range(n)]
    names = {name: "minimize" if name == "cost" else "maximize" for name in df if name not in ("accuracy", "canonical")}
    df.attrs["proxies"] = {name: {"family": "other", "direction": direction} for name, direction in names.items()}
    df.attrs["settings"] = {"bn": "frozen"}
    return df


def verdicts(found: pd.DataFrame) -> dict[frozenset[str], str]:
    return {frozenset((row["first"], row["second"])): row["verdict"] for _, row in found.iterrows()}


@pytest.mark.parametrize("interval", METHODS)
def test_every_pair_once_with_a_verdict(interval: str) -> None:
    found = at.compare(table(), "accuracy", interval=interval)
    said = verdicts(found)
    assert len(found) == len(said) == 10
    assert said[frozenset(("good", "fair"))] == "good is better"
    assert said[frozenset(("fair", "as_fair"))] == "no clear difference"
    assert said[frozenset(("good", "twin"))] == "the same order"
    assert said[frozenset(("fair", "cost"))] == "the same order"
    assert (found["difference"] >= 0).all()
    assert found["difference"].tolist() == (found["kendall_first"] - found["kendall_second"]).tolist()
    assert (found["p"].diff().dropna() >= 0).all()
    better = found["verdict"].str.endswith("is better")
    assert ((found["p"] < 0.05) == better).all()
    assert ((found["low"] > 0) == better).all()
    assert found.attrs["settings"] == {"bn": "frozen"}
    facts = found.attrs["comparison"]
    assert (facts["pairs"], facts["rows"], facts["classes"], facts["undefined"]) == (10, 200, 100, "drop")


def test_intervals_are_the_max_statistic_of_the_paired_bootstrap() -> None:
    df = table(60)
    names = ["good", "fair", "as_fair"]
    found = compare(df, "accuracy", names, resamples=100, seed=4)
    classes = np.unique(df["canonical"], return_inverse=True)[1]
    columns = [df[name].to_numpy() for name in names]
    y = df["accuracy"].to_numpy()
    taus = [class_bootstrap(kendall, [x, y], classes, 100, seed=4) for x in columns]
    point = [kendall(x, y) for x in columns]
    deviations, errors, pairs = [], {}, [(0, 1), (0, 2), (1, 2)]
    for a, b in pairs:
        errors[a, b] = np.std(taus[a] - taus[b], ddof=1)
        deviations.append(np.abs(taus[a] - taus[b] - (point[a] - point[b])) / errors[a, b])
    largest = np.max(deviations, axis=0)
    reach = np.quantile(largest, 0.95)
    for a, b in pairs:
        row = found[found["first"].isin([names[a], names[b]]) & found["second"].isin([names[a], names[b]])].iloc[0]
        difference = abs(point[a] - point[b])
        assert row["difference"] == pytest.approx(difference)
        assert row["low"] == pytest.approx(difference - reach * errors[a, b])
        assert row["high"] == pytest.approx(difference + reach * errors[a, b])
        assert row["p"] == pytest.approx((1 + (largest >= difference / errors[a, b]).sum()) / 101)


def test_analytic_and_bootstrap_agree() -> None:
    one, other = (
        compare(table(600), "accuracy", ["good", "fair", "as_fair"], interval=interval).set_index(["first", "second"])
        for interval in METHODS
    )
    other = other.loc[one.index]
    width = one["high"] - one["low"]
    for end in ("low", "high"):
        assert ((one[end] - other[end]).abs() < 0.12 * width).all()


@pytest.mark.parametrize("interval", METHODS)
def test_equal_proxies_are_called_different_as_rarely_as_the_level_says(interval: str) -> None:
    """Six proxies of one quality, 15 pairs: uncorrected intervals would call a difference in a third of the tables."""
    false = 0
    for seed in range(40):
        rng = np.random.default_rng([seed, 1])
        quality = rng.normal(size=80)
        df = pd.DataFrame({f"p{k}": quality + rng.normal(size=80) for k in range(6)})
        df["accuracy"] = quality
        found = compare(df, "accuracy", list(df.columns[:6]), interval=interval, resamples=200, seed=seed)
        false += found["verdict"].str.endswith("is better").any()
    assert false <= 5


def test_a_rival_asks_less_than_every_pair() -> None:
    df = table()
    found = compare(df, "accuracy", against="fair")
    assert len(found) == 4
    assert all("fair" in (row["first"], row["second"]) for _, row in found.iterrows())
    every = compare(df, "accuracy").set_index(["first", "second"])
    pair = ("good", "fair")
    assert found.set_index(["first", "second"]).loc[pair, "low"] > every.loc[pair, "low"]
    assert set(compare(df, "accuracy", "good", against="fair")["second"]) == {"fair"}


def test_only_what_is_named_is_compared() -> None:
    df = table()
    df.attrs["proxies"]["cost"]["family"] = "size"
    found = compare(df, "accuracy", ["good", "fair"])
    assert found[["first", "second"]].to_numpy().tolist() == [["good", "fair"]]


def test_rows_are_those_both_have() -> None:
    df = table()
    df.loc[:49, "good"] = np.nan
    df.loc[40:59, "fair"] = np.nan
    df.loc[199, "accuracy"] = np.nan
    found = compare(df, "accuracy", ["good", "fair"]).iloc[0]
    rest = df.iloc[60:199]
    assert found["n"] == 139
    assert found["kendall_first"] == pytest.approx(kendall(rest["good"].to_numpy(), rest["accuracy"].to_numpy()))
    assert compare(df, "accuracy", ["good", "fair"], undefined="worst").iloc[0]["n"] == 199


@pytest.mark.parametrize("interval", METHODS)
def test_what_cannot_be_told(interval: str) -> None:
    df = table().assign(flat=1.0)
    found = compare(df, "accuracy", ["good", "flat", "fair"], interval=interval)
    assert verdicts(found)[frozenset(("good", "flat"))] == "cannot be told"
    assert verdicts(found)[frozenset(("good", "fair"))] == "good is better"
    assert found["verdict"].iloc[-1] == "cannot be told"
    few = compare(df.iloc[:10], "accuracy", ["good", "fair"], interval=interval)
    assert few["verdict"].tolist() == ["cannot be told"]
    assert np.isnan(few["p"]).all()
    nobody = compare(df.iloc[:0], "accuracy", ["good", "fair"], interval=interval)
    assert nobody["verdict"].tolist() == ["cannot be told"]


@pytest.mark.parametrize("interval", METHODS)
def test_a_difference_that_never_moves_is_clear(interval: str) -> None:
    df = table(40)
    df["right"], df["wrong"] = df["accuracy"], -df["accuracy"]
    found = compare(df, "accuracy", ["wrong", "right"], interval=interval).iloc[0]
    assert found["verdict"] == "right is better"
    assert found["p"] < 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxies": ["good"]}, "comparing needs at least two proxies; got good"),
        ({"against": "goood"}, "against must be one of the proxies; got 'goood'. Did you mean 'good'"),
        ({"proxies": ["good"], "against": "faire"}, "proxy 'faire' is not a column of this table. Did you mean 'fair'"),
        ({"resamples": 50}, "at least 100 resamples; got 50"),
        ({"undefined": "keep"}, 'undefined must be "drop" or "worst"'),
        ({"interval": "boot"}, 'interval must be "bootstrap" or "analytic"'),
    ],
)
def test_messages(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        compare(table(), "accuracy", **options)
    assert message in str(error.value)


def test_progress_is_told() -> None:
    told: list[tuple[int, int, int]] = []
    compare(table(), "accuracy", interval="analytic", progress=lambda *state: told.append(state))
    assert told[0] == (0, 10, 0)
    assert told[-1] == (10, 10, 0)
