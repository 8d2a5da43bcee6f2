"""The page of the no-free-lunch study: what it says, what it draws, and that it opens alone, on a phone too."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_study import EPOCHS, SHARES, made

from automl_theory.errors import InputError
from automl_theory.studies import svg
from automl_theory.studies.no_free_lunch import contents, figures
from automl_theory.studies.no_free_lunch.architectures import by_architecture
from automl_theory.studies.no_free_lunch.page import write_page
from automl_theory.studies.no_free_lunch.study import Study
from automl_theory.studies.page import claim_rows, render

sys.path.append(str(Path(__file__).parents[1] / "report"))
from browser import CHROMIUM, Browser

CUT = """[...document.querySelectorAll('svg.chart text')].filter(t => {
  const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
  return a.left < b.left - 1 || a.right > b.right + 1;
}).map(t => t.textContent)"""


@pytest.fixture(scope="module")
def study() -> Study:
    return made()


@pytest.fixture(scope="module")
def page(study: Study) -> str:
    return render(contents.page(study))


@pytest.fixture(scope="module")
def architectures(study: Study) -> pd.DataFrame:
    return by_architecture(study.graph, study.exact, study.measured, study.trained)


def test_one_row_an_architecture_with_means_over_the_runs_that_count(study: Study, architectures: pd.DataFrame) -> None:
    assert list(architectures.index) == list(study.graph["arch"])
    lost = study.trained["arch"][3]  # Its run of seed 0 diverged.
    other = study.trained[(study.trained["arch"] == lost) & (study.trained["seed"] == 1)]
    assert architectures.loc[lost, "train_loss"] == other["train_loss"].item()
    assert (architectures.loc[lost, "runs"], architectures.loc[lost, "converged"]) == (1, 1)
    open_ = study.trained["arch"][5]
    assert (architectures.loc[open_, "runs"], architectures.loc[open_, "converged"]) == (2, 1)
    code = study.graph["arch"][20]
    both = study.measured.loc[study.measured["arch"] == code, "curvature"]
    assert architectures.loc[code, "curvature"] == pytest.approx(both.mean(), rel=1e-15)


def test_every_claim_is_on_the_page_under_its_section(study: Study, page: str) -> None:
    said = re.sub(r"\s+", " ", page)
    counts = {verdict: int((study.table["verdict"] == verdict).sum()) for verdict in contents.VERDICTS}
    assert sum(counts.values()) == len(study.table)
    for verdict, count in counts.items():
        assert f'<b>{count}</b> <span class="verdict {verdict.split()[0]}">{verdict}</span>' in said
    assert page.count('<td class="why">') == len(study.table)
    for section in study.table["section"].unique():
        assert f"<h3>{section}</h3>".replace("'", "&#39;") in said


def test_claims_as_text(study: Study) -> None:
    table = pd.DataFrame(
        [
            ("s", "τ of a with b", 0.47, -0.5, -0.6, -0.25, 23, "digits", "differ", "The other side."),
            ("s", "winner", "chain", "2_02_002", np.nan, np.nan, 94, "digits", "agree", "It is."),
            ("s", "rank", 71.0, 56.5, 1.0, 95.0, 3, "digits", "cannot tell", "Both sides."),
            ("t", "missing", 0.1, np.nan, np.nan, np.nan, 0, "digits", "cannot tell", "Nothing was trained."),
        ],
        columns=list(study.table.columns),
    )
    found = claim_rows(table)
    assert list(found) == ["s", "t"]
    about, (tau, winner, rank) = found["s"]
    assert about == "digits"
    assert (tau["paper"], tau["ours"], tau["interval"], tau["n"]) == ("0.47", "−0.50", "−0.60 to −0.25", "23")
    assert tau["bar"].startswith("<svg")
    assert (winner["paper"], winner["ours"], winner["interval"], winner["bar"]) == ("chain", "2_02_002", "", "")
    assert (rank["ours"], rank["interval"], rank["bar"]) == ("56.5", "1 to 95", "")
    assert [found["t"][1][0][name] for name in ("ours", "n", "interval")] == ["–", "", ""]


def test_planes_have_the_groups_of_the_paper(architectures: pd.DataFrame) -> None:
    data = figures.plane_data(architectures, "train_loss")
    assert len(data.groups) == 23
    assert data.groups["n"].sum() == architectures["train_loss"].notna().sum()
    assert figures.draw_plane(data).count("<circle") == 23
    chain = data.groups[(data.groups["depth"] == 3) & (data.groups["width"] == 1)]
    assert chain["mean"].item() == architectures.loc["2_02_002", "train_loss"]


def test_scatters_leave_out_what_has_no_value(architectures: pd.DataFrame) -> None:
    table = architectures.assign(gap=architectures["gap"].where(architectures.index != "2_02_002"))
    data = figures.scatter_data(table, "ntk_lambda_90", "gap")
    assert len(data.codes) == len(table) - 1
    assert "2_02_002" not in data.codes
    assert figures.draw_scatter(data).count("<title>") == len(data.codes)
    constant = figures.scatter_data(table.assign(gap=1.0), "ntk_lambda_90", "gap")
    assert np.isnan(constant.tau)
    assert "τ –" in figures.draw_scatter(constant)


def test_curves_and_sweep_are_means_with_bands_over_seeds(study: Study) -> None:
    (line,) = figures.curve_data(study.curves, {"2_02_002": "chain", "0_00_000": "not there"})
    rows = study.curves["loss"][study.curves["arch"] == "2_02_002"]
    assert (line.label, len(line.x)) == ("chain", EPOCHS)
    np.testing.assert_array_equal(line.middle, rows.mean(axis=0))
    np.testing.assert_array_equal(line.high, rows.max(axis=0))
    grid = pd.DataFrame(
        {"wide_pruning": [0, 0, 0.5, 0.5], "deep_pruning": [0, 0.2, 0, 0.2], 0: [9, 8, 7, 6], 1: [7, 8, 9, 8]}
    )
    first, second = figures.sweep_data(grid, "wide_pruning", "deep_pruning")
    assert (first.label, second.label) == ("0 %", "20 %")
    assert (list(first.x), list(first.middle), list(first.low)) == ([0, 50], [8, 8], [7, 7])
    assert list(second.high) == [8, 8]


def test_front_is_marked_in_full_colour(study: Study, architectures: pd.DataFrame) -> None:
    codes = ["2_02_002", "1_11_121"]
    data = figures.front_data(architectures, ("curvature", "nngp_lambda_min", "ntk_lambda_90"), codes)
    assert set(data.table.index[data.on_front]) == set(codes) & set(architectures.index)
    assert figures.draw_front(data).count('class="ring"') == data.on_front.sum()


def test_parts_without_tables_are_left_out(study: Study) -> None:
    drawn = ["planes", "theory", "per-network", "fronts", "table-1", "sweep", "curves", "warnings", "all"]
    heads = re.compile(r'<h2 id="([^"]+)">')
    assert heads.findall(render(contents.page(study))) == ["claims", *drawn, "how"]
    bare = replace(study, extras=study.extras.iloc[:0], curves={"arch": [], "loss": [], "accuracy": []})
    drawn.remove("sweep")
    drawn.remove("curves")
    assert heads.findall(render(contents.page(bare))) == ["claims", *drawn, "how"]
    sweep = next(part for part in contents.page(study).parts if part.id == "sweep")
    assert [chart.count("<polygon") for chart in sweep.charts] == [len(SHARES)] * 2


def test_page_says_how_it_came_about_and_asks_for_nothing(study: Study, page: str) -> None:
    said = dict(contents.facts(study))
    assert said["architectures"].startswith("94 codes of mlp_dag: 94 networks that differ in a live edge, 94 functions")
    assert said["runs"].startswith("188, of which 1 have not converged, 1 diverged, 1 never reached")
    assert said["time"] == "training 1 min 01 s"
    assert (
        "learning rate one out of four an architecture"
        in dict(contents.facts(replace(study, setup=replace(study.setup, tune=True))))["training"]
    )
    assert "made-up &lt;digits&gt;" in page
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=[\"'](?!#)", page)
    assert render(contents.page(study)) == page
    assert len(page) < 2_000_000


def test_page_is_written_in_one_step_or_not_at_all(study: Study, tmp_path: Path) -> None:
    path = write_page(study, tmp_path / "p.html", title="A <title>")
    assert "<h1>A &lt;title&gt;</h1>" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["p.html"]
    with pytest.raises(InputError, match=r"cannot write .*give a file name in an existing folder"):
        write_page(study, tmp_path / "no" / "p.html")


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0.0, 1.0, False, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (-0.15, 3.15, False, [0.0, 1.0, 2.0, 3.0]),
        (1.0, 9000.0, True, [1.0, 10.0, 100.0, 1000.0]),
        (2.0, 60.0, True, [3.0, 10.0, 30.0]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, log: bool, ticks: list[float]) -> None:
    assert svg.Scale(low, high, 0, 100, log).ticks() == pytest.approx(ticks)


def test_scales_of_odd_values() -> None:
    assert svg.scale([1e-3, 10], 0, 1).log
    assert not svg.scale([-1e-3, 10], 0, 1).log
    assert not svg.scale([-1.0, 10], 0, 1, log=True).log, "no logarithm of what is not positive"
    for values in ([], [np.nan], [3.0], [0.0, 0.0]):
        found = svg.scale(values, 0, 100)
        assert found.low < found.high
        assert found.ticks()
    assert svg.scale([5.0, 10.0], 0, 100, margin=0.0)(7.5) == 50
    told = {0.0: "0", -0.25: "−0.25", 1234.0: "1,234", 2e-6: "2e−6", 2.5e-4: "2.5e−4", 1e10: "1e10", 3e-12: "3e−12"}
    assert {value: svg.number(value) for value in told} == told
    assert svg.number(np.nan) == "–"


@pytest.mark.page
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page cannot be rendered")
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_page_fits_its_window_without_a_word_in_the_console(
    width: int, scheme: str, study: Study, tmp_path: Path
) -> None:
    path = write_page(study, tmp_path / "p.html")
    browser = Browser(tmp_path / "profile")
    try:
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=features)
        browser.call("Page.navigate", url=path.as_uri())
        ready = "document.documentElement.dataset.ready"
        browser.run(f"new Promise(f => {{ const t = setInterval(() => {ready} && (clearInterval(t), f(1)), 20) }})")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        overflow = (
            "[...document.querySelectorAll('svg.chart text')].filter(t => { const a = t.getBoundingClientRect(), "
        )
        overflow += (
            "b = t.ownerSVGElement.getBoundingClientRect(); return a.left < b.left - 1 || a.right > b.right + 1 })"
        )
        assert browser.run(f"{overflow}.map(t => t.textContent)") == []
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true); "
                    "document.querySelectorAll('table.sortable th button')[2].click()")  # fmt: skip
        assert browser.run("document.querySelector('table.sortable tbody tr').cells[2].textContent") == "3"
        loud = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        assert [event["method"] for event in browser.events if event["method"] in loud] == []
        asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
        assert all(url.startswith("file:") for url in asked)
    finally:
        browser.close()
