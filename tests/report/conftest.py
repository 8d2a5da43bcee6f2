"""A made-up score table with every kind of trouble: duplicates, undefined values, infinities, missing targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_theory.analysis.ranking import rank
from automl_theory.report.html import report

PROXIES = {
    "turning_angle": ("expressivity", "maximize", "rad"),
    "linear_regions": ("expressivity", "maximize", "regions"),
    "ntk_lambda_min": ("convergence", "maximize", "1"),
    "ntk_condition": ("convergence", "minimize", "1"),
    "ntk_regression_error": ("generalization", "minimize", "1"),
    "synflow": ("saliency", "maximize", "1"),
    "params": ("size", "maximize", "count"),
}


def made() -> pd.DataFrame:
    n = 120
    rng = np.random.default_rng(0)
    ops = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    codes = rng.permutation(5**6)[:n]
    digits = [[code // 5**k % 5 for k in range(6)] for code in codes]
    cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    df = pd.DataFrame(index=pd.Index([cell.format(*(ops[d] for d in row)) for row in digits], name="arch"))
    quality = np.array([sum(d == 3 for d in row) for row in digits]) + rng.normal(size=n)
    for name, (_, direction, _) in PROXIES.items():
        sign = 1 if direction == "maximize" else -1
        df[name] = sign * quality + rng.normal(size=n) * rng.uniform(0.3, 2)
        df[f"{name}_std"], df[f"{name}_status"] = 0.1, "ok"
    df.iloc[:2, df.columns.get_loc("ntk_lambda_min")] = np.nan
    df.iloc[:2, df.columns.get_loc("ntk_lambda_min_status")] = "disconnected"
    df.iloc[2:5, df.columns.get_loc("ntk_condition")] = np.inf
    df.iloc[2:5, df.columns.get_loc("ntk_condition_status")] = "rank_deficient"
    df["canonical"] = df.index.where(np.arange(n) % 10 > 0, df.index[n - 1])
    for seed in range(2):
        df[f"test_loss_seed{seed}"] = np.exp(-quality / 3 + 0.1 * rng.normal(size=n))
    df["test_loss"] = (df["test_loss_seed0"] + df["test_loss_seed1"]) / 2
    df.iloc[7:9, df.columns.get_loc("test_loss")] = [np.nan, np.inf]
    df.attrs = {
        "proxies": {
            name: {"family": family, "direction": direction, "unit": unit, "formula": "f(x)"}
            for name, (family, direction, unit) in PROXIES.items()
        },
        "settings": {"bn": "frozen", "n": 32, "network": {"channels": 16}},
    }
    return df


@pytest.fixture
def scored() -> pd.DataFrame:
    return made()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that table, with a bootstrap of 20 resamples."""
    df = made()
    ranking = rank(df, "test_loss", resamples=20)
    return report(df, tmp_path_factory.mktemp("page") / "r.html", ranking=ranking)
