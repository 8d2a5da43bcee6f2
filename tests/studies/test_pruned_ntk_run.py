"""The pruned-NTK study with a folder: a stopped run goes on, and its page says what the tables say."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html import escape as escaped
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from automl_theory.errors import InputError, Interrupted
from automl_theory.studies import charts, page, pruned_ntk
from automl_theory.studies.console import print_claims
from automl_theory.studies.pruned_ntk import Setup, Study, contents, drawing, figures

sys.path.append(str(Path(__file__).parents[1] / "report"))
from browser import CHROMIUM, Browser

TINY = Setup(keeps=(1.0, 0.5, 0.25), widths=(16, 32, 64, 128), draws=70, seed=3, workers=1)
FILES = ("draws.csv", "cells.csv", "estimates.csv", "statements.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "tiny"


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return pruned_ntk.run(TINY, folder)


def same(first: Study, second: Study) -> None:
    for name in ("draws", "cells", "estimates", "statements"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)


def test_a_folder_changes_no_number_and_holds_every_table(study: Study, folder: Path) -> None:
    same(study, pruned_ntk.run(TINY))
    assert study.folder == folder
    assert {file.name for file in folder.iterdir()} >= {*FILES, "run.json", "pieces"}
    kept = pd.read_csv(folder / "estimates.csv", keep_default_na=False, na_values=[""])
    np.testing.assert_allclose(kept["value"], study.estimates["value"], rtol=1e-15)


def test_a_stopped_run_goes_on_where_it_was(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, done = drawing.measured, []

    def stop_at_the_third(task: drawing.Task) -> dict[str, np.ndarray]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(task)
        return stopping(task)

    monkeypatch.setattr(drawing, "measured", stop_at_the_third)
    with pytest.raises(Interrupted, match=r"stopped; what is finished is kept in .*: the same command goes on"):
        pruned_ntk.run(TINY, tmp_path / "run")
    monkeypatch.undo()
    pieces = sorted((tmp_path / "run" / "pieces").glob("piece-*.npz"))
    assert len(pieces) == 3
    assert not (tmp_path / "run" / "draws.csv").exists()
    before = [file.stat().st_mtime_ns for file in pieces]
    told: list[tuple[int, int, int]] = []
    resumed = pruned_ntk.run(replace(TINY, workers=2), tmp_path / "run", progress=lambda *state: told.append(state))
    same(study, resumed)
    assert [file.stat().st_mtime_ns for file in pieces] == before, "finished pieces are read, not made again"
    assert told[0][0] >= 3
    assert told[-1][0] == told[-1][1]


def test_a_finished_run_is_read_and_another_one_refused(
    study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "measured", lambda _: pytest.fail("nothing is left to do"))
    again = pruned_ntk.run(replace(TINY, workers=2), folder)
    same(study, again)
    assert again.seconds == study.seconds
    with pytest.raises(InputError, match=r"is a run with seed 3, not 4; give the same settings to go on"):
        pruned_ntk.run(replace(TINY, seed=4), folder)


def test_default_folders_are_told_apart_by_settings_not_by_workers() -> None:
    here = pruned_ntk.default_folder(TINY)
    assert re.fullmatch(r"runs/pruned_ntk-[0-9a-f]{8}", here.as_posix())
    assert pruned_ntk.default_folder(replace(TINY, workers=2)) == here
    assert pruned_ntk.default_folder(replace(TINY, seed=4)) != here


def test_claims_are_the_estimates_with_a_prediction(study: Study) -> None:
    claims = contents.claims(study)
    ruled = study.estimates[study.estimates["verdict"] != ""]
    assert list(claims["verdict"]) == list(ruled["verdict"])
    np.testing.assert_array_equal(claims["ours"], ruled["value"])
    assert list(dict.fromkeys(claims["section"])) == list(contents.WORDS.values())
    said = dict(zip(claims["name"], claims["paper"], strict=True))
    assert said["B, slope of d var in 1/α"] == "above 0"
    assert said["its R²"] == "≥ 0.95"
    assert said["exponent of α"] == 3.0
    counts = study.statements["verdict"].value_counts()
    assert f"{counts.get('agree', 0)} agree" in contents.summary(study)[0]


def test_every_claim_says_why(study: Study) -> None:
    table = study.estimates.assign(verdict="cannot tell", value=np.nan, low=np.nan, high=np.nan)
    said = contents.claims(replace(study, estimates=table[table["predicted"].notna()]))["why"]
    assert set(said) == {"There are too few pairs with enough weights to tell."}
    why = contents.claims(study).set_index("name")["why"]
    assert why["exponent of α"] == "The interval lies within 3 ± 0.1."
    table = study.estimates.assign(verdict="differ")
    why = contents.claims(replace(study, estimates=table)).set_index("name")["why"]
    assert why["B, slope of d var in 1/α"] == "None of the interval is there."
    assert why["slope of log var in log d, common to all α"] == "The interval lies outside of −1 ± 0.25."


def test_summary_names_what_does_not_agree(study: Study) -> None:
    verdicts = ["differ", "agree", "agree", "cannot tell", "agree", "agree"]
    said = contents.summary(replace(study, statements=study.statements.assign(verdict=verdicts)))
    assert said[0].endswith("4 agree, 1 differ, 1 cannot tell.")
    assert said[1:] == (
        f"Differs: {contents.WORDS['factor']}.",
        f"Cannot be told: {contents.WORDS['variance']}.",
    )


def test_claims_fit_80_columns_whole(study: Study) -> None:
    console = Console(width=80, record=True, file=StringIO())
    print_claims(contents.claims(study), contents.HEADS, contents.summary(study), console)
    lines = console.export_text().splitlines()
    assert max(map(cell_len, lines)) <= 80
    for verdict in contents.VERDICTS:
        count = int((contents.claims(study)["verdict"] == verdict).sum())
        assert sum(line.rstrip().endswith(f" {verdict}") for line in lines) >= count
    assert all(words in "\n".join(lines) for words in contents.WORDS.values())


def test_figures_show_the_tables(study: Study) -> None:
    fixed, proportional = figures.flat(study.cells, TINY)
    np.testing.assert_allclose(fixed.x, [1, 2, 4])
    table = study.cells.set_index(["keep", "width"])["deviation"]
    np.testing.assert_array_equal(fixed.middle, table.loc[[(1.0, 128), (0.5, 128), (0.25, 128)]])
    np.testing.assert_array_equal(proportional.middle, table.loc[[(1.0, 16), (0.5, 32), (0.25, 64)]])
    points, a, b = figures.affine(study.cells, study.estimates)
    assert (points["keep"] * points["width"] >= 64).all()
    fitted = study.estimates[study.estimates["statement"] == "variance"].set_index("quantity")["value"]
    assert (a, b) == (fitted["A, its intercept"], fitted["B, slope of d var in 1/α"])
    drawn = figures.draw_affine(study.cells, study.estimates)
    assert drawn.count("<circle") == len(points)


def test_page_tells_all_and_asks_for_nothing(study: Study, tmp_path: Path) -> None:
    path = pruned_ntk.write_page(study, tmp_path / "p.html", title="A <title>")
    said = path.read_text(encoding="utf-8")
    assert "<h1>A &lt;title&gt;</h1>" in said
    assert "default-src 'none'" in said
    assert not re.findall(r"(?:src|href)=[\"'](?!#)", said)
    for words in (*contents.RULES, *contents.WORDS.values(), "2.4287229440232"):
        assert escaped(words).replace("&#x27;", "&#39;") in said
    for name in ("factor", "means", "affine", "widths", "flat"):
        assert f'id="figure-{name}"' in said
    assert page.render(contents.page(study, "A <title>")) == said
    with pytest.raises(InputError, match=r"cannot write .*give a file name in an existing folder"):
        pruned_ntk.write_page(study, tmp_path / "no" / "p.html")


@pytest.mark.page
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page cannot be rendered")
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_page_fits_its_window(width: int, scheme: str, study: Study, tmp_path: Path) -> None:
    path = pruned_ntk.write_page(study, tmp_path / "p.html")
    browser = Browser(tmp_path / "profile")
    try:
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.call("Page.navigate", url=path.as_uri())
        ready = "document.documentElement.dataset.ready"
        browser.run(f"new Promise(f => {{ const t = setInterval(() => {ready} && (clearInterval(t), f(1)), 20) }})")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        cut = """[...document.querySelectorAll('svg.chart text')].filter(t => {
          const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
          return a.left < b.left - 1 || a.right > b.right + 1;
        }).map(t => t.textContent)"""
        assert browser.run(cut) == []
        loud = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        assert [event["method"] for event in browser.events if event["method"] in loud] == []
    finally:
        browser.close()


def test_rows_of_claims_are_words_and_numbers() -> None:
    table = pd.DataFrame(
        [
            ("s", "tau", 0.5, 0.25, 0.1, 0.4, 12, "yes", "w"),
            ("s", "words", "yes", "the last", np.nan, np.nan, 0, "cannot tell", "w"),
            ("t", "large", np.nan, 12.5, 2.0, 20.0, 0, "no", "w"),
        ],
        columns=["section", "name", "paper", "ours", "low", "high", "n", "verdict", "why"],
    )
    found = page.claim_rows(table)
    assert list(found) == ["s", "t"]
    about, (tau, words) = found["s"]
    assert about == ""
    assert (tau["paper"], tau["ours"], tau["interval"], tau["n"]) == ("0.50", "0.25", "0.10 to 0.40", "12")
    assert tau["bar"].count("<circle") == tau["bar"].count("<path") == 1
    assert [words[name] for name in ("paper", "ours", "interval", "n", "bar")] == ["yes", "the last", "", "", ""]
    assert [found["t"][1][0][name] for name in ("paper", "interval", "bar")] == ["–", "2 to 20", ""]


def test_charts_leave_out_what_is_not_there() -> None:
    x = np.array([1.0, 2.0, 3.0])
    gap = charts.Line("a", x, np.array([1.0, np.nan, 3.0]), np.full(3, np.nan), np.full(3, np.nan))
    drawn = charts.draw_lines([gap], "n", "t", "b", ("x", "y"))
    assert drawn.count("<circle") == 2
    assert "<polygon" not in drawn
    rows = [charts.Interval("known", 0.2, 0.1, 0.3), charts.Interval("alone", 0.4, np.nan, np.nan)]
    drawn = charts.draw_intervals([*rows, charts.Interval("none <", np.nan, np.nan, np.nan)], "n", "t", "b", "ρ")
    assert drawn.count("<circle") == 2
    assert drawn.count('stroke="var(--accent)"') == 1
    assert "none &lt;" in drawn
    assert "nan" not in drawn
    assert charts.stroke_of(8) == (charts.svg.STROKES[1], "5 3")
