"""Real scores and accuracies of NAS-Bench-201: the published correlations come out to the third decimal."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import automl_theory as at

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "published_correlations.py"
spec = importlib.util.spec_from_file_location("published_correlations", SCRIPT)
assert spec is not None
assert spec.loader is not None
published_correlations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(published_correlations)
PUBLISHED = published_correlations.PUBLISHED


@pytest.fixture(scope="module")
def table(shared: Path) -> pd.DataFrame:
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    folder = shared / "data"
    if not (folder / "nb201_zerocost.parquet").is_file():
        pytest.skip(f"no nb201_zerocost.parquet in {folder}")
    loaded: pd.DataFrame = published_correlations.load(folder)
    return loaded


@pytest.fixture(scope="module")
def rankings(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {
        policy: at.rank(table, "test_accuracy", undefined=policy, interval="analytic") for policy in ("drop", "worst")
    }


@pytest.mark.parametrize(("score", "policy"), list(PUBLISHED))
def test_published_values(rankings: dict[str, pd.DataFrame], score: str, policy: str) -> None:
    row = rankings[policy].loc[score]
    assert (round(row["spearman"], 3), round(row["kendall"], 3), row["n"]) == PUBLISHED[score, policy]
    for measure in ("kendall", "spearman"):
        assert row[f"{measure}_low"] < row[measure] < row[f"{measure}_high"]


def test_analytic_and_bootstrap_intervals_agree_on_clustered_data(
    table: pd.DataFrame, rankings: dict[str, pd.DataFrame]
) -> None:
    """15,625 strings in 5,260 classes, the largest of 1,983: taking rows for independent is far too sure."""
    names = ["naswot", "zen"]
    found = at.rank(table[[*names, "test_accuracy", "canonical"]], "test_accuracy", proxies=names, resamples=300)
    for name in names:
        row, analytic = found.loc[name], rankings["drop"].loc[name]
        width = row["kendall_high"] - row["kendall_low"]
        for end in ("low", "high"):
            assert analytic[f"kendall_{end}"] == pytest.approx(row[f"kendall_{end}"], abs=0.12 * width)
        rows = at.rank(table[[name, "test_accuracy"]], "test_accuracy", proxies=[name], interval="analytic").loc[name]
        assert rows["kendall_high"] - rows["kendall_low"] < 0.3 * width


def test_partial_is_that_of_least_squares_on_ranks(table: pd.DataFrame, rankings: dict[str, pd.DataFrame]) -> None:
    """MACs order the cells as parameters do, and leave nothing more to take out."""
    assert stats.kendalltau(table["macs"], table["parameters"]).statistic == pytest.approx(1)
    rows = table["naswot"].notna()
    ranked = table.loc[rows, ["naswot", "test_accuracy", "parameters", "trainable_layers"]].rank()
    design = np.column_stack([np.ones(len(ranked)), ranked["parameters"], ranked["trainable_layers"]])
    left = [
        ranked[name] - design @ np.linalg.lstsq(design, ranked[name].to_numpy(), rcond=None)[0]
        for name in ("naswot", "test_accuracy")
    ]
    assert rankings["drop"].loc["naswot", "partial"] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)
