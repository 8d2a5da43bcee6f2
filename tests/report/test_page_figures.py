from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from automl_theory.analysis.ranking import rank
from automl_theory.errors import InputError
from automl_theory.report.aspects import aspects, percentile
from automl_theory.report.ranking_svg import ranking_svg


def test_percentiles_average_ties_and_keep_infinity() -> None:
    assert percentile(np.array([3.0, 1.0, 1.0, np.inf])).tolist() == [62.5, 25.0, 25.0, 87.5]
    assert percentile(np.array([7.0])).tolist() == [50.0]
    assert len(percentile(np.empty(0))) == 0


def test_aspects_choose_orient_drop_and_count(scored: pd.DataFrame) -> None:
    data = aspects(scored, "test_loss")
    assert data.proxies == {
        "expressivity": "turning_angle",
        "convergence": "ntk_lambda_min",
        "generalization": "ntk_regression_error",
    }
    assert (data.rows, data.dropped) == (120, 2)
    assert data.undefined == {"expressivity": {}, "convergence": {"disconnected": 2}, "generalization": {}}
    assert data.percentiles.index.equals(scored.index[2:])
    best = data.percentiles["generalization"].idxmax()
    assert best == scored["ntk_regression_error"].iloc[2:].idxmin()
    assert data.target is not None
    assert data.target_direction == "minimize"
    kept = scored.iloc[2:]
    rho = stats.spearmanr(kept["turning_angle"], kept["ntk_lambda_min"]).statistic
    assert data.correlations["expressivity", "convergence"] == pytest.approx(rho)
    rho = -stats.spearmanr(kept["turning_angle"], kept["ntk_regression_error"]).statistic
    assert data.correlations["expressivity", "generalization"] == pytest.approx(rho)


def test_representatives_can_be_named(scored: pd.DataFrame) -> None:
    data = aspects(scored, representatives={"convergence": "ntk_condition"})
    assert data.proxies["convergence"] == "ntk_condition"
    assert data.dropped == 0
    assert data.percentiles["convergence"].iloc[2:5].nunique() == 1
    assert data.percentiles["convergence"].min() == data.percentiles["convergence"].iloc[2]
    assert data.target is None


def test_another_proxy_of_the_family_stands_in(scored: pd.DataFrame) -> None:
    df = scored.drop(columns="ntk_lambda_min")
    df.attrs = scored.attrs
    assert aspects(df).proxies["convergence"] == "ntk_condition"


def test_messages(scored: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="aspects are expressivity, convergence, generalization; got 'speed'"):
        aspects(scored, representatives={"speed": "synflow"})
    with pytest.raises(
        InputError, match=r"representative 'synflo' is not a column of this table\. Did you mean 'synflow'"
    ):
        aspects(scored, representatives={"expressivity": "synflo"})
    scored.attrs = {}
    with pytest.raises(InputError, match="no generalization proxy in this table; score ntk_regression_error"):
        aspects(scored.drop(columns="ntk_regression_error"))


def test_ranking_figure(scored: pd.DataFrame) -> None:
    scored["synflow"] = 1.0
    ranking = rank(scored, "test_loss", noise=("test_loss_seed0", "test_loss_seed1"), resamples=50)
    drawn = ranking_svg(ranking.rename(index={"params": "</svg><script>"}))
    assert drawn.count("<circle") + drawn.count("<path") == int(ranking["kendall"].notna().sum())
    assert drawn.count("<path") == 1
    assert ">strongest size baseline<" in drawn
    turned = rank(scored.assign(params=-scored["params"]), "test_loss", resamples=0)
    assert ">strongest size baseline, turned round<" in ranking_svg(turned)
    assert "noise ceiling" in drawn
    assert "<script" not in drawn
    assert f"τ = {ranking['kendall'].iloc[0]:.3f}" in drawn
