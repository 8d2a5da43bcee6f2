"""Figures: the data behind each against slow obvious versions, and what is drawn against the data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

mpl.use("Agg")
import matplotlib.pyplot as plt

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.report import figures
from automl_theory.report.figures.parallel import LINES
from automl_theory.report.figures.style import label


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


def test_front_is_what_no_point_dominates(scored: pd.DataFrame) -> None:
    for levels in (4, 1000):
        rounded = scored.assign(turning_angle=pd.cut(scored["turning_angle"], levels, labels=False).astype(float))
        rounded.attrs = scored.attrs
        data = figures.aspect_plane_data(rounded, "expressivity", "generalization")
        x, y = data.x, data.y
        slow = [not any((x >= a) & (y >= b) & ((x > a) | (y > b))) for a, b in zip(x, y, strict=True)]
        assert data.front.tolist() == slow


def test_aspect_plane(scored: pd.DataFrame) -> None:
    data = figures.aspect_plane_data(scored, "convergence", "generalization", "test_loss")
    assert data.proxies == ("ntk_lambda_min", "ntk_regression_error")
    assert data.left_out == {"undefined": 2}
    assert len(data.x) == len(data.arch) == 118
    assert data.x.max() == pytest.approx(100 * 117.5 / 118)
    ax = figures.draw_aspect_plane(scored, "convergence", "generalization", "test_loss")
    (front,) = ax.lines
    assert sorted(front.get_xdata()) == sorted(data.x[data.front])
    assert "left out: undefined 2" in ax.texts[0].get_text()
    with pytest.raises(InputError, match="aspects are expressivity, convergence, generalization; got 'speed'"):
        figures.draw_aspect_plane(scored, "speed")
    with pytest.raises(InputError, match="needs two aspects; got 'convergence' twice"):
        figures.draw_aspect_plane(scored, "convergence", "convergence")


def test_depth_width_groups() -> None:
    df = pd.DataFrame(
        {
            "effective_depth": [1, 1, 1, 2, 2, np.nan, 3],
            "effective_width": [4, 4, 4, 2, 2, 1, 1],
            "m": [1.0, 2, 3, 5, np.inf, 1, 7],
        }
    )
    data = figures.depth_width_data(df, "m")
    assert data.groups.fillna(-1).to_numpy().tolist() == [[1, 4, 3, 2, 1], [2, 2, 1, 5, -1], [3, 1, 1, 7, -1]]
    assert (data.tau_depth, data.tau_width, data.n) == (pytest.approx(1), pytest.approx(-1), 5)
    assert data.left_out == {"no effective_depth": 1, "infinite": 1}
    circles, crosses = figures.draw_depth_width(df, "m").collections[:2]
    assert circles.get_array().tolist() == [2]
    assert crosses.get_array().tolist() == [5, 7]
    with pytest.raises(InputError, match="metric 'x' is not a column"):
        figures.draw_depth_width(df, "x")


def test_hexbin(scored: pd.DataFrame) -> None:
    data = figures.hexbin_data(scored, "ntk_condition", "test_loss")
    assert data.left_out == {"infinite": 4, "no test_loss": 1}
    ranked = scored["test_loss"].notna()
    tau = stats.kendalltau(scored["ntk_condition"][ranked], scored["test_loss"][ranked]).statistic
    assert data.tau == pytest.approx(tau)
    assert (len(data.x), data.n_ranked) == (115, 119)
    ax = figures.draw_hexbin(scored, "ntk_condition", "test_loss")
    assert ax.collections[0].get_array().sum() == 115
    assert np.isnan(figures.hexbin_data(scored.assign(params=1.0), "params", "test_loss").tau)


def test_heat_map(scored: pd.DataFrame) -> None:
    data = figures.heat_map_data(scored, "test_loss")
    assert data.names[0] == "test_loss"
    assert set(data.names[1:]) == set(scored.attrs["proxies"])
    at = {name: number for number, name in enumerate(data.names)}
    both = scored[["ntk_lambda_min", "ntk_condition"]].dropna()
    tau = stats.kendalltau(both["ntk_lambda_min"], -both["ntk_condition"]).statistic
    assert data.tau[at["ntk_lambda_min"], at["ntk_condition"]] == pytest.approx(tau)
    assert data.n[at["ntk_condition"], at["ntk_lambda_min"]] == 118
    np.testing.assert_array_equal(data.tau, data.tau.T)
    ax = figures.draw_heat_map(scored, "test_loss")
    np.testing.assert_array_equal(ax.images[0].get_array(), data.tau)
    assert [figures.heat_map.short(tau) for tau in (-0.001, 0.004, -0.25, 1.0, np.nan)] == [
        "0",
        "0",
        "−.25",
        "1.00",
        "–",
    ]
    with pytest.raises(InputError, match="at least two columns"):
        figures.heat_map_data(scored, proxies=["params"])


def test_parallel(scored: pd.DataFrame) -> None:
    data = figures.parallel_data(scored, "test_loss")
    assert data.columns == ("turning_angle", "ntk_lambda_min", "ntk_regression_error", "test_loss")
    assert data.left_out == {"undefined": 2, "no target": 1}
    assert data.percentiles.shape == (117, 4)
    assert sorted(data.drawn) == list(range(117))
    many = pd.concat([scored] * 10, ignore_index=True)
    many.attrs = scored.attrs
    assert len(figures.parallel_data(many, "test_loss").drawn) == LINES
    drawing = figures.draw_parallel(many, "test_loss").collections[0]
    assert len(drawing.get_segments()) == LINES
    with pytest.raises(InputError, match="at least two axes"):
        figures.parallel_data(scored, columns=["params"])


def test_a_figure_draws_into_the_axes_it_is_given(scored: pd.DataFrame) -> None:
    _, ax = plt.subplots()
    assert figures.draw_hexbin(scored, "params", "test_loss", ax=ax) is ax


def test_labels_carry_units_that_say_something_new() -> None:
    df = pd.DataFrame({"parameters": [1.0], "depth": [2.0], "gap": [3.0]})
    units = {"parameters": ("size", "parameters"), "depth": ("size", "layers"), "gap": ("graph", "paths a layer")}
    df.attrs["proxies"] = {name: {"family": family, "unit": unit} for name, (family, unit) in units.items()}
    assert [label(df, name) for name in df] == ["parameters", "depth (layers)", "gap (paths a layer)"]


def test_titles_are_short_and_numbers_stand_below(scored: pd.DataFrame) -> None:
    ax = figures.draw_hexbin(scored, "ntk_condition", "test_loss")
    assert ax.get_title(loc="left").strip() == "ntk_condition"
    assert ax.texts[0].get_text().startswith("Kendall τ = 0.")
    assert "n = 115; left out: " in ax.texts[0].get_text()
    many = pd.concat([scored] * 15)
    many.attrs = scored.attrs
    bar = figures.draw_hexbin(many, "turning_angle", "test_loss").figure.axes[1]
    assert [text.get_text() for text in bar.get_yticklabels()][:4] == ["1", "2", "5", "10"]
    assert not bar.yaxis.get_minorticklocs().size


def test_figures_and_page_are_public_whatever_is_imported_first() -> None:
    assert at.figures is figures
    with pytest.raises(InputError, match="cannot write"):
        at.report(pd.DataFrame({"a": [1.0, 2.0]}), "absent/folder/r.html")
    code = (
        "import sys, automl_theory as at; at.figures.draw_hexbin; assert 'matplotlib' not in sys.modules; "
        "assert callable(at.report); import automl_theory.report.html; assert callable(at.report)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
