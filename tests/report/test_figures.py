from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from automl_theory.analysis.ranking import rank
from automl_theory.errors import InputError
from automl_theory.report.figures import PANELS, aspects, draw_aspects, percentile
from automl_theory.report.ranking_figure import draw_ranking


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
    with pytest.raises(InputError, match=r"proxy 'synflo' is not a column of this table\. Did you mean 'synflow'"):
        aspects(scored, representatives={"expressivity": "synflo"})
    scored.attrs = {}
    with pytest.raises(InputError, match="no generalization proxy in this table; score ntk_regression_error"):
        aspects(scored.drop(columns="ntk_regression_error"))


def test_drawing_shows_the_data(scored: pd.DataFrame) -> None:
    data = aspects(scored, "test_loss")
    figure = draw_aspects(data)
    assert len(figure.data) == 6
    for panel, (x, y) in enumerate(PANELS):
        grey, coloured = figure.data[2 * panel : 2 * panel + 2]
        assert (len(grey.x), len(coloured.x)) == (1, 117)
        with_target = data.target.notna().to_numpy()
        assert list(coloured.x) == data.percentiles.loc[with_target, x].round(2).tolist()
        assert list(coloured.y) == data.percentiles.loc[with_target, y].round(2).tolist()
    assert np.isfinite(coloured.marker.color).all()
    assert figure.layout.coloraxis.reversescale is False
    assert scored.index[2] in coloured.text[0]
    assert "ntk_regression_error" in figure.layout.xaxis2.title.text
    assert len(draw_aspects(aspects(scored)).data) == 3


def test_hover_is_escaped(scored: pd.DataFrame) -> None:
    hostile = scored.rename(index={scored.index[3]: "<a href='javascript:x'>&"})
    hostile.attrs = scored.attrs
    text = draw_aspects(aspects(hostile)).data[0].text[1]
    assert "<a" not in text
    assert "&lt;a href=&#x27;javascript:x&#x27;&gt;&amp;" in text


def test_many_points_are_drawn_on_the_graphics_card(scored: pd.DataFrame) -> None:
    many = pd.concat([scored] * 30, ignore_index=True)
    many.attrs = scored.attrs
    assert draw_aspects(aspects(many)).data[0].type == "scattergl"


def test_ranking_figure(scored: pd.DataFrame) -> None:
    scored["synflow"] = 1.0
    ranking = rank(scored, "test_loss", noise=("test_loss_seed0", "test_loss_seed1"), resamples=50)
    figure = draw_ranking(ranking)
    drawn = {name: x for trace in figure.data for name, x in zip(trace.y, trace.x, strict=True)}
    assert drawn == ranking["kendall"].dropna().to_dict()
    size = next(trace for trace in figure.data if trace.name == "size (baseline)")
    assert size.marker.symbol == ("diamond-open",)
    best = ranking.loc["params"]
    assert size.error_x.array[0] == pytest.approx(best["kendall_high"] - best["kendall"])
    lines = [shape.x0 for shape in figure.layout.shapes]
    assert lines == [abs(best["kendall"]), ranking["ceiling"].iloc[0]]
    assert {note.text for note in figure.layout.annotations} == {"best size baseline", "noise ceiling"}
    assert figure.layout.yaxis.categoryarray[-1] == ranking.index[0]
    bare = draw_ranking(rank(scored, "test_loss", proxies=["turning_angle"], resamples=0))
    assert bare.data[0].error_x.array[0] == 0
    assert len(bare.layout.shapes) == 2
    plain = scored.drop(columns=["test_loss_seed0", "test_loss_seed1"])
    assert len(draw_ranking(rank(plain, "test_loss", proxies=["turning_angle"], resamples=0)).layout.shapes) == 1
