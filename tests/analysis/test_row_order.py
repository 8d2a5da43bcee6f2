"""A table is a set of architectures: no number may depend on the order in which its rows lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import automl_theory as at


def table(n: int = 90) -> pd.DataFrame:
    """Copies of classes, ties, undefined values and missing targets."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=n // 2)[np.arange(n) // 2]
    df = pd.DataFrame(index=pd.Index([f"net{k}" for k in rng.permutation(n)], name="arch"))
    df["naswot"] = np.round(2 * (quality + rng.normal(size=n)))
    df["ntk_lambda_min"] = -quality + rng.normal(size=n)
    df["ntk_regression_error"] = rng.normal(size=n)
    df["parameters"] = np.exp(quality + rng.normal(size=n))
    df["canonical"] = df.index[2 * (np.arange(n) // 2)]
    for seed in range(2):
        df[f"test_loss_seed{seed}"] = -quality + rng.normal(size=n) / 3
    df["test_loss"] = df[["test_loss_seed0", "test_loss_seed1"]].mean(axis=1)
    df.iloc[3, df.columns.get_loc("naswot")] = np.nan
    df.iloc[5, df.columns.get_loc("test_loss")] = np.nan
    families = ("expressivity", "convergence", "generalization", "size")
    names = ("naswot", "ntk_lambda_min", "ntk_regression_error", "parameters")
    df.attrs["proxies"] = {
        name: {"family": family, "direction": "minimize" if "error" in name else "maximize"}
        for name, family in zip(names, families, strict=True)
    }
    return df


def shuffled(df: pd.DataFrame) -> pd.DataFrame:
    other = df.iloc[np.random.default_rng(1).permutation(len(df))]
    assert other.attrs == df.attrs
    return other


same = pytest.mark.parametrize("interval", ["bootstrap", "analytic"])


@same
@pytest.mark.parametrize("undefined", ["drop", "worst"])
def test_rank(interval: str, undefined: str) -> None:
    df = table()
    one, other = (
        at.rank(each, "test_loss", interval=interval, undefined=undefined, resamples=200) for each in (df, shuffled(df))
    )
    assert one["kendall_low"].notna().any()
    assert one["partial_low"].notna().any()
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert one.attrs == other.attrs


@same
def test_compare(interval: str) -> None:
    df = table()
    one, other = (at.compare(each, "test_loss", interval=interval, resamples=200) for each in (df, shuffled(df)))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_no_free_lunch() -> None:
    df = table()
    one, other = (
        at.no_free_lunch(each, "test_loss", resamples=50, permutations=30, progress=False)
        for each in (df, shuffled(df))
    )
    assert one.summary() == other.summary()
    assert (one.compromise, one.winners, one.counts) == (other.compromise, other.winners, other.counts)
    for name in ("numbers", "conflicts", "budget", "accuracy", "accuracy_by_layer", "alternatives"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert one.points.index.tolist() == df.index[df["naswot"].notna()].tolist(), "the table's own order"
    pd.testing.assert_frame_equal(one.points, other.points.loc[one.points.index], check_exact=True)


def test_cross_validation() -> None:
    df = table()
    one, other = (at.cross_validate_accuracy(each, "test_loss") for each in (df, shuffled(df)))
    assert repr(one) == repr(other)
    for name in ("predictions", "fold"):
        found = getattr(one, name)
        assert found.index.equals(df.index)
        pd.testing.assert_series_equal(found, getattr(other, name).loc[df.index], check_exact=True)
