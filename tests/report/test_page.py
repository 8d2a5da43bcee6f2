"""The page in headless Chromium: it renders, asks for nothing, filters, sorts, links, downloads, fits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, Browser

from automl_theory.analysis.ranking import rank
from automl_theory.analysis.tradeoff import no_free_lunch
from automl_theory.report.aspects import aspects
from automl_theory.report.html import report

pytestmark = [
    pytest.mark.page,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page cannot be rendered"),
]
ROWS = "[...document.querySelectorAll('#explore tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
RANKED = "[...document.querySelectorAll('#ranking tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
COUNT = "document.getElementById('count').textContent"
POINTED = "document.getElementById('pointed').textContent"
PIXELS = """(() => {
  const c = document.querySelector('canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  return new Set(new Uint32Array(d.buffer)).size;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


def opened(browser: Browser, path: Path, **how: Any) -> Browser:
    browser.events.clear()
    browser.open(path, **how)
    assert browser.run("document.documentElement.dataset.explorer") == "yes"
    return browser


def heard(browser: Browser) -> list[str]:
    """Everything in the console, every exception, and every request but the page itself."""
    said = [e["method"] for e in browser.events if e["method"] in LOUD]
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    return said + [url for url in asked if not url.startswith(("file:", "blob:"))]


LOUD = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


def ranking_of(scored: pd.DataFrame) -> pd.DataFrame:
    return rank(scored, "test_loss", resamples=20)


@pytest.fixture
def page(browser: Browser, written: Path) -> Browser:
    return opened(browser, written)


def enter(page: Browser, name: str, value: str) -> None:
    page.run(
        f"(() => {{ const f = document.getElementById({json.dumps(name)}); f.value = {json.dumps(value)};"
        " f.dispatchEvent(new Event('input')); })()"
    )


def press(page: Browser, *keys: str) -> None:
    for key in keys:
        page.call("Input.dispatchKeyEvent", type="keyDown", key=key)


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf").replace("–", "nan"))


def first_canvas(page: Browser) -> list[float]:
    return list(
        page.run(
            "(() => { const c = document.querySelector('canvas'); c.scrollIntoView({block: 'center'});"
            " const b = c.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
        )
    )


def test_renders_without_a_word_in_the_console_or_a_request(page: Browser) -> None:
    assert page.run("document.querySelectorAll('#panels canvas').length") == 3
    assert page.run(PIXELS) > 50
    assert page.run("document.getElementById('legend-bar').style.background").startswith("linear-gradient")
    assert heard(page) == []


def test_a_filter_changes_the_rows(page: Browser, scored: pd.DataFrame) -> None:
    enter(page, "explore-filter", "|NONE~0|+")
    wanted = [arch for arch in scored.index if "|none~0|+" in arch]
    assert f"{len(wanted)} of 120" in page.run(COUNT)
    assert sorted(row[0] for row in page.run(ROWS)) == sorted(wanted)[:25]
    page.run("document.getElementById('explore-clear').click()")
    names = page.run("[...document.getElementById('explore-column').options].map(o => o.textContent)")
    enter(page, "explore-column", str(names.index("synflow")))
    enter(page, "explore-least", "2")
    enter(page, "explore-most", "4.5")
    wanted = scored.index[scored["synflow"].between(2, 4.5)].tolist()
    assert f"{len(wanted)} of 120" in page.run(COUNT)
    assert all(2 <= number(row[-1]) <= 4.5 for row in page.run(ROWS)), "the column filtered by is shown"
    enter(page, "explore-column", str(names.index("ntk_lambda_min")))
    enter(page, "explore-least", "-1e9")
    enter(page, "explore-most", "")
    assert "118 of 120" in page.run(COUNT), "what is undefined is in no range"


def test_headings_sort_with_the_undefined_last(page: Browser, scored: pd.DataFrame) -> None:
    data = aspects(scored, "test_loss")
    column = "document.querySelectorAll('#explore th button')[2].click()"
    assert page.run("document.querySelectorAll('#explore th button')[2].textContent") == "convergence percentile"
    page.run(column)
    best = data.percentiles["convergence"].sort_values(ascending=False).to_numpy()
    assert [number(row[2]) for row in page.run(ROWS)] == pytest.approx(best[:25], abs=0.01)
    assert page.run("document.querySelectorAll('#explore th')[2].getAttribute('aria-sort')") == "descending"
    page.run(column)
    assert [number(row[2]) for row in page.run(ROWS)] == pytest.approx(best[::-1][:25], abs=0.01)
    page.run("for (let k = 0; k < 4; k++) document.getElementById('explore-next').click()")
    assert sorted(row[0] for row in page.run(ROWS)[-2:]) == sorted(scored.index[:2])
    assert page.run("document.getElementById('explore-next').disabled") is True


def test_the_ranking_sorts_and_filters(page: Browser, scored: pd.DataFrame) -> None:
    ranking = ranking_of(scored)
    names = [text.replace("\u200b", "").removesuffix(" size baseline") for text in page.run(RANKED)]
    assert names == ranking.index.tolist()
    page.run("document.querySelectorAll('#ranking th button')[3].click()")
    spearman = ranking["spearman"].sort_values(ascending=False)
    names = [text.replace("\u200b", "").removesuffix(" size baseline") for text in page.run(RANKED)]
    assert names == spearman.index.tolist()
    enter(page, "ranking-filter", "ntk_")
    assert len(page.run(RANKED)) == 3
    ends = "document.querySelectorAll('#ranking tbody tr:not([hidden]):not(.baseline) small').length"
    assert page.run(ends) == 3 * 5, "τ, ρ, partial ρ and top τ have intervals, top τ its n as well, which is small"


def test_both_csv_files_hold_everything(page: Browser, scored: pd.DataFrame, tmp_path: Path) -> None:
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))

    def download(button: str, name: str) -> pd.DataFrame:
        page.run(f"document.getElementById('{button}').click()")
        for _ in range(100):
            if (tmp_path / name).exists():
                break
            page.run("new Promise(f => setTimeout(f, 50))")
        time.sleep(0.1)
        return pd.read_csv(tmp_path / name, index_col=0, keep_default_na=True, encoding="utf-8")

    table = download("explore-csv", "architectures.csv")
    assert table.index.tolist() == scored.index.tolist()
    assert set(scored.columns) <= set(table.columns)
    for name in scored.columns:
        if scored[name].dtype == np.float64:
            np.testing.assert_allclose(table[name], scored[name], rtol=1e-5)
        else:
            assert table[name].tolist() == scored[name].tolist()
    ranking, shown = ranking_of(scored), download("ranking-csv", "ranking.csv")
    assert shown.columns.tolist() == ranking.columns.tolist()
    assert shown["note"].fillna("").tolist() == ranking["note"].tolist()
    for name in ranking.select_dtypes("number"):
        np.testing.assert_allclose(shown[name], ranking[name], rtol=1e-12)
    enter(page, "explore-filter", "|none~0|+")
    (tmp_path / "architectures.csv").unlink()
    assert all("|none~0|+" in arch for arch in download("explore-csv", "architectures.csv").index)


def test_a_selection_by_mouse_links_figures_and_table(page: Browser) -> None:
    x, y, w, h = first_canvas(page)
    before = page.run("document.querySelectorAll('canvas')[1].toDataURL()")
    for kind, px, py in (
        ("mousePressed", x + w / 2, y + 2),
        ("mouseMoved", x + w - 2, y + h / 2),
        ("mouseReleased", x + w - 2, y + h / 2),
    ):
        page.call("Input.dispatchMouseEvent", type=kind, x=px, y=py, button="left", buttons=1, clickCount=1)
    said = page.run(COUNT)
    assert "selected in a figure" in said
    assert 0 < int(said.split()[0]) < 120
    assert page.run("document.querySelectorAll('canvas')[1].toDataURL()") != before
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x + 1, y=y + 1, button="left", buttons=1, clickCount=1)
    assert "120 of 120" in page.run(COUNT)


def test_a_selection_by_touch(browser: Browser, written: Path) -> None:
    page = opened(browser, written, width=375, height=700)
    page.call("Emulation.setTouchEmulationEnabled", enabled=True)
    x, y, w, h = first_canvas(page)
    steps = [(x + w * (0.4 + 0.1 * k), y + h * (0.3 + 0.03 * k)) for k in range(6)]
    page.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": steps[0][0], "y": steps[0][1]}])
    for px, py in steps[1:]:
        page.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": px, "y": py}])
    page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    page.call("Emulation.setTouchEmulationEnabled", enabled=False)
    assert "selected in a figure" in page.run(COUNT)
    assert 0 < int(page.run(COUNT).split()[0]) < 120


def test_keys_go_through_the_points_and_select(page: Browser, scored: pd.DataFrame) -> None:
    places = aspects(scored, "test_loss").percentiles
    x, y = places["expressivity"], places["convergence"]
    page.run("document.querySelector('canvas').focus()")
    press(page, "Home")
    assert page.run(POINTED).startswith(x.idxmin())
    press(page, "ArrowRight", "ArrowRight")
    assert page.run(POINTED).startswith(x.sort_values().index[2])
    press(page, "Enter", "End")
    assert page.run(POINTED).startswith(x.idxmax())
    press(page, "Enter")
    a, b = x.sort_values().index[2], x.idxmax()
    inside = x.between(x[a], x[b]) & y.between(min(y[a], y[b]), max(y[a], y[b]))
    assert page.run(COUNT).startswith(f"{inside.sum()} of 120 architectures, selected in a figure")
    assert sorted(row[0] for row in page.run(ROWS)) == sorted(x.index[inside])[:25] or inside.sum() > 25
    press(page, "Escape")
    assert "120 of 120" in page.run(COUNT)
    page.run("document.querySelector('#explore tbody tr').focus()")
    assert page.run(POINTED).startswith(scored.index[0])
    assert page.run("document.activeElement.tagName") == "TR"


def test_pointing_shows_name_and_cell(page: Browser, scored: pd.DataFrame) -> None:
    x, y, w, h = first_canvas(page)
    places = aspects(scored, "test_loss").percentiles
    best = places["expressivity"].idxmax()
    left = x + 42 + places.loc[best, "expressivity"] / 100 * (w - 56)
    top = y + h - 36 - places.loc[best, "convergence"] / 100 * (h - 46)
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=left, y=top)
    assert page.run(POINTED).startswith(best)
    drawn = page.run("[...document.querySelectorAll('#pointed svg text')].map(t => t.textContent)")
    kinds = {"nor_conv_3x3": "3×3", "nor_conv_1x1": "1×1", "avg_pool_3x3": "pool", "skip_connect": "skip"}
    operations = [part.split("~")[0] for part in best.replace("+", "").split("|") if part]
    assert drawn == [kinds[name] for name in operations if name != "none"] + ["in", "1", "2", "out"]
    assert page.run("drawCell('2_02_002')") is None
    assert page.run("drawCell('|toString~0|+|none~0|none~1|+|none~0|none~1|none~2|')") is None


def test_dark_phone_and_print(browser: Browser, written: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    browser.open(written, prefers_color_scheme="dark")
    assert browser.run(background) == "rgb(22, 24, 27)"
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run(background) == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", media="")
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000
    browser.open(written, width=375, height=700)
    assert browser.run("document.documentElement.scrollWidth") <= 375


def test_figures_without_a_size_wait_for_one(page: Browser) -> None:
    """As in a window folded to nothing: nothing can be drawn then, and nothing fails."""
    page.run("document.getElementById('panels').style.display = 'none'; dispatchEvent(new Event('resize'))")
    page.run("document.querySelector('#explore tbody tr').focus()")
    assert page.run("document.getElementById('failure').style.display") != "block"
    page.run("document.getElementById('panels').style.display = ''; dispatchEvent(new Event('resize'))")
    assert page.run(PIXELS) > 100
    assert heard(page) == []


def test_names_in_the_figure_of_the_ranking_are_whole_on_a_phone(
    browser: Browser, scored: pd.DataFrame, tmp_path: Path
) -> None:
    df = scored.rename(columns={"synflow": "ntk_condition_number_batch"})
    df.attrs["proxies"]["ntk_condition_number_batch"] = df.attrs["proxies"].pop("synflow")
    path = report(df, tmp_path / "r.html", ranking=ranking_of(df))
    for width in (360, 1300):
        opened(browser, path, width=width)
        inside = (
            "(() => { const f = document.getElementById('figure-ranking'), box = f.getBoundingClientRect();"
            "return [...f.querySelectorAll('text')].every(t => { const b = t.getBoundingClientRect();"
            "return b.left >= box.left - 1 && b.right <= box.right + 1; }); })()"
        )
        assert browser.run(inside)


def test_hostile_names_are_text(browser: Browser, scored: pd.DataFrame, tmp_path: Path) -> None:
    evil = [
        "</script><script>console.log('in')</script>",
        "<img src=x onerror=console.log('in')>",
        "\"quoted\" and 'single', with, commas",
        "\u202eevil RTL \u0627\u0644\u0639\u0631\u0628\u064a\u0629 é 模型 🙂",
        "__proto__",
    ]
    df = scored.rename(index=dict(zip(scored.index[5:10], evil, strict=True)))
    df = df.rename(columns={"synflow": evil[0], "synflow_std": "a_std", "synflow_status": "a_status"})
    df.attrs = {"proxies": {**scored.attrs["proxies"], evil[0]: scored.attrs["proxies"]["synflow"]}}
    for name in evil:
        df.loc[name, "turning_angle"] = 99.0 + len(name)
    page = opened(browser, report(df, tmp_path / "r.html", ranking=ranking_of(df), title=evil[1]))
    assert page.run("document.querySelector('h1').textContent") == evil[1]
    page.run("document.querySelectorAll('#explore th button')[1].click()")
    assert {row[0] for row in page.run(ROWS)[:5]} == set(evil)
    tops = page.run("[...document.querySelectorAll('.tops td.arch')].map(c => c.textContent)")
    assert set(evil) <= set(tops)
    page.run("document.querySelector('#explore tbody tr').focus()")
    assert page.run(POINTED).startswith(page.run(ROWS)[0][0])
    assert page.run("document.querySelectorAll('img, #pointed svg').length") == 0
    lines = page.run("window.explorerCsv()").split("\r\n")
    assert sum(line.startswith('"""quoted"" and \'single\', with, commas",') for line in lines) == 1
    assert heard(page) == []


def test_the_whole_space_stays_under_eight_megabytes(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ops = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    cell = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    index = pd.Index([cell.format(*six) for six in product(ops, repeat=6)], name="arch")
    n, quality = len(index), rng.normal(size=len(index))
    families = ("expressivity", "convergence", "generalization", "size")
    columns = {f"p{k}": quality * rng.normal() + rng.normal(size=n) for k in range(20)}
    columns |= {f"p{k}_std": rng.random(n) for k in range(20)} | {f"p{k}_status": ["ok"] * n for k in range(20)}
    df = pd.DataFrame({**columns, "test_accuracy": 90 + quality}, index=index)
    df.attrs["proxies"] = {f"p{k}": {"family": family, "direction": "maximize"} for k, family in enumerate(families)}
    found = no_free_lunch(df, "test_accuracy", budget=None, resamples=0, permutations=0)
    path = report(df, tmp_path / "r.html", target="test_accuracy", tradeoff=found)
    assert path.stat().st_size < 8_000_000
    assert "95 % intervals: analytic" in path.read_text(encoding="utf-8")
    page = opened(browser, path)
    assert "15625 of 15625" in page.run(COUNT)
    assert page.run(PIXELS) > 50
    page.run("document.querySelector('canvas').focus()")
    press(page, "Home", *["ArrowRight"] * 3, "Enter", "End", "Enter")
    assert "selected in a figure" in page.run(COUNT)
    assert heard(page) == []
