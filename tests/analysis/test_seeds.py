from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from automl_theory.analysis.ranking import rank
from automl_theory.analysis.sampling import whole
from automl_theory.analysis.seeds import named_seeds, seed_columns, seed_error


def table(seeds: int = 3, common: float = 0.0, n: int = 300, draw: int = 0) -> pd.DataFrame:
    """A proxy and an accuracy under several seeds; `common` is how differently the seeds weigh what p does not see."""
    rng = np.random.default_rng([draw, seeds])
    p, other = rng.normal(size=(2, n))
    each = [p + (0.7 + common * rng.normal()) * other + 0.3 * rng.normal(size=n) for _ in range(seeds)]
    df = pd.DataFrame({f"accuracy_seed{k}": column for k, column in enumerate(each)})
    df["accuracy"], df["p"] = np.mean(each, axis=0), p
    df.attrs["proxies"] = {"p": {"family": "other", "direction": "maximize"}}
    return df


def error(df: pd.DataFrame, seeds: int) -> tuple[float, float]:
    sample = whole(np.arange(len(df)), "bootstrap", 10, 0, 0.95)
    columns = [df[f"accuracy_seed{k}"].to_numpy() for k in range(seeds)]
    return seed_error(sample, df["p"].to_numpy(), columns, np.ones(len(df), dtype=bool))


def test_columns_of_seeds_whose_mean_is_the_target() -> None:
    df = table(11)
    assert seed_columns(df, "accuracy") == [f"accuracy_seed{k}" for k in range(11)]
    assert seed_columns(df, "accuracy_seed1") == []
    assert seed_columns(df.assign(accuracy=df["accuracy"] + 1), "accuracy") == []
    assert seed_columns(df[["accuracy", "accuracy_seed0"]], "accuracy") == []
    assert seed_columns(df.assign(accuracy_seed3="?"), "accuracy") == []
    assert named_seeds(df.rename(columns={"accuracy_seed1": "accuracy_seed777"}), "accuracy")[-1] == "accuracy_seed777"
    holes = df.copy()
    holes.loc[3, ["accuracy", "accuracy_seed4"]] = np.nan
    holes.loc[5, "accuracy_seed4"] = np.inf
    assert len(seed_columns(holes, "accuracy")) == 11
    assert seed_columns(df.assign(accuracy=np.nan), "accuracy") == []


def test_seeds_that_differ_by_their_rows_only_add_nothing_much() -> None:
    """The method of moments is unbiased: what rows draw for themselves is taken out."""
    found = np.array([error(table(3, draw=draw), 3) for draw in range(60)])
    assert (found == 0).mean() > 0.4
    assert found[:, 0].mean() < 0.006


def test_what_seeds_do_to_all_rows_is_found() -> None:
    found = np.array([error(table(4, common=0.3, draw=draw), 4) for draw in range(60)])
    true, alone = (
        np.std(
            [stats.kendalltau(df["p"], df["accuracy"]).statistic for df in (table(4, c, draw=d) for d in range(300))]
        )
        for c in (0.3, 0.0)
    )
    assert np.sqrt((found[:, 0] ** 2).mean()) == pytest.approx(np.sqrt(true**2 - alone**2), rel=0.3)


def test_equal_seeds_and_single_seeds_add_nothing() -> None:
    df = table(2)
    df["accuracy_seed1"] = df["accuracy_seed0"]
    assert error(df, 2) == (0.0, 0.0)
    assert error(df, 1) == (0.0, 0.0)
    assert error(df.iloc[:5], 2) == (0.0, 0.0)


@pytest.mark.parametrize("interval", ["bootstrap", "analytic"])
def test_intervals_are_wider_where_seeds_disagree(interval: str) -> None:
    df = table(3, common=0.8, draw=2)
    assert error(df, 3)[0] > 0.02
    widths = []
    for seeds in (True, False):
        known = df if seeds else df[["accuracy", "p"]]
        known.attrs = df.attrs
        ranking = rank(known, "accuracy", interval=interval)
        assert len(ranking.attrs["ranking"]["seeds"]) == 3 * seeds
        row = ranking.loc["p"]
        widths.append([row["kendall_high"] - row["kendall_low"], row["spearman_high"] - row["spearman_low"]])
        assert row["kendall_low"] < row["kendall"] < row["kendall_high"]
    assert widths[0][0] > 1.1 * widths[1][0]
    assert widths[0][1] > 1.1 * widths[1][1]


@pytest.mark.parametrize("interval", ["bootstrap", "analytic"])
def test_other_intervals_speak_of_the_seeds_as_they_were(interval: str) -> None:
    """As documented: only tau and rho over all rows are widened."""
    df = table(3, common=0.8, draw=2)
    df["params"] = df["p"] + np.random.default_rng(0).normal(size=len(df))
    alone = df[["accuracy", "p", "params"]]
    alone.attrs = df.attrs
    with_seeds, without = (rank(d, "accuracy", interval=interval) for d in (df, alone))
    differ = {name for name in with_seeds.columns if not with_seeds[name].equals(without[name])}
    assert differ == {"kendall_low", "kendall_high", "spearman_low", "spearman_high", "ceiling"}


def test_any_two_seeds_give_a_ceiling() -> None:
    df = table(3).rename(columns={"accuracy_seed0": "accuracy_seed999", "accuracy_seed1": "accuracy_seed888"})
    df = df.rename(columns={"accuracy_seed2": "accuracy_seed777"})
    df.attrs = table(3).attrs
    ceiling = rank(df, "accuracy", resamples=0).attrs["ranking"]["noise_ceiling"]
    assert ceiling["columns"] == ["accuracy_seed777", "accuracy_seed888"]
    expected = stats.kendalltau(df["accuracy_seed777"], df["accuracy_seed888"]).statistic
    assert ceiling["kendall"] == pytest.approx(expected)
