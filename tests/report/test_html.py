from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_theory.analysis.join import join
from automl_theory.analysis.ranking import rank
from automl_theory.errors import InputError, MissingExtra
from automl_theory.report import contents
from automl_theory.report.figures import aspects
from automl_theory.report.html import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
    "--window-size=1300,2400",
]


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u200b", "").replace("\u00a0", " ").split())


def ranked(df: pd.DataFrame) -> pd.DataFrame:
    return rank(df, "test_loss", noise=("test_loss_seed0", "test_loss_seed1"), resamples=50)


def test_page_says_everything_and_asks_for_nothing(scored: pd.DataFrame, tmp_path: Path) -> None:
    df = join(scored, pd.DataFrame({"paths": 3}, index=scored.index[:100]))
    path = report(df, str(tmp_path / "r.html"), ranking=ranked(df), title="My cells")
    assert path == tmp_path / "r.html"
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "a")
        assert not {"src", "href", "srcset", "action", "data"} & set(attributes)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert source.count("plotly.js v") == 1
    assert len(source) < 8_000_000
    for expected in (
        "My cells",
        "120 architectures (108 distinct networks) were scored by 7 training-free proxies.",
        "Against test_loss (low is good)",
        "The size baseline params alone reaches",
        "noise ceiling",
        "network.channels 16",
        "bn frozen",
        "no proxy can be expected to do much better",
        "By expressivity (turning_angle)",
        "By test_loss",
        "ntk_lambda_min has no value: disconnected 2.",
        "The ranking leaves out 1 architecture without test_loss.",
        "20 of 120 architectures are not in it",
        "leaves out 2 architectures where one of its proxies has no value",
    ):
        assert expected in page.text
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_hostile_text_stays_text(scored: pd.DataFrame, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    df = scored.rename(index={scored.index[5]: evil}).rename(columns={"synflow": evil, "test_loss": f"loss{evil}"})
    df.loc[evil, "turning_angle"] = 99.0
    described = scored.attrs["proxies"].items()
    df.attrs["proxies"] = {evil if name == "synflow" else name: {**v, "unit": evil} for name, v in described}
    df.attrs["settings"] = {evil: evil}
    source = report(df, tmp_path / "r.html", target=f"loss{evil}", title=evil).read_text(encoding="utf-8")
    assert "<script>alert" not in source
    assert "<img src=x" not in source
    assert "&lt;script&gt;alert(1)" in source
    page = Page(source)
    assert "img" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_without_target_or_aspects_the_page_says_so(scored: pd.DataFrame, tmp_path: Path) -> None:
    df = scored.drop(columns="ntk_regression_error")
    df.attrs = {"proxies": scored.attrs["proxies"]}
    text = Page(report(df, tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "No accuracies were given, so the proxies are not ranked." in text
    assert "No figure: no generalization proxy in this table" in text
    assert "The table does not say" in text
    assert "noise ceiling" not in text


def test_target_alone_is_ranked_with_the_defaults(scored: pd.DataFrame, tmp_path: Path) -> None:
    text = Page(report(scored, tmp_path / "r.html", target="test_loss").read_text(encoding="utf-8")).text
    assert "1000 bootstrap resamples" in text


def test_a_tiny_table_has_a_page(scored: pd.DataFrame, tmp_path: Path) -> None:
    df = scored.iloc[:2]
    text = Page(report(df, tmp_path / "r.html", target="test_loss").read_text(encoding="utf-8")).text
    assert "No proxy could be ranked against test_loss." in text


def test_unwritable_paths_are_one_line_and_leave_nothing(scored: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*absent.*No such file or directory.*existing folder"):
        report(scored, tmp_path / "absent" / "r.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*Is a directory"):
        report(scored, tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_missing_extra_is_named(scored: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *args: Any) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=re.escape("pip install 'automl_theory[report]'")):
        report(scored, tmp_path / "r.html")


def test_top_tables_list_distinct_networks(scored: pd.DataFrame) -> None:
    data = aspects(scored, "test_loss")
    tables = {table["by"]: table["rows"] for table in contents.top_architectures(data)}
    assert list(tables) == ["expressivity", "convergence", "generalization", "target"]
    assert all(len(rows) == 10 for rows in tables.values())
    distinct = scored.loc[data.percentiles.index].sort_values("turning_angle", ascending=False)
    distinct = distinct.drop_duplicates("canonical")
    assert [row["arch"] for row in tables["expressivity"]] == distinct.index[:10].tolist()
    by_loss = scored.loc[data.percentiles.index].sort_values("test_loss").drop_duplicates("canonical")
    assert [row["arch"] for row in tables["target"]] == by_loss.index[:10].tolist()
    assert {row["strings"] for rows in tables.values() for row in rows} <= {1, 12}


def test_numbers_are_readable() -> None:
    assert [contents.number_text(v) for v in (np.inf, -np.inf, np.nan, -0.123456, 1e-7)] == [
        "∞", "−∞", "–", "−0.1235", "1e−07",
    ]  # fmt: skip


@pytest.mark.page
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page cannot be rendered")
def test_page_renders_sorts_and_raises_no_error(scored: pd.DataFrame, tmp_path: Path) -> None:
    path = report(scored, tmp_path / "r.html", ranking=ranked(scored))
    source = path.read_text(encoding="utf-8")
    click = "<script>document.querySelector('#ranking th button').click()</script></body>"
    path.write_text(source.replace("</body>", click), encoding="utf-8")
    picture = tmp_path / "page.png"

    def chromium(*options: str) -> subprocess.CompletedProcess[str]:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *options, path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    shown = chromium("--dump-dom").stdout
    assert 'data-ready="yes"' in shown
    assert re.search(r'id="failure"[^>]*display: block', shown) is None
    assert shown.count('class="main-svg"') >= 2
    order = re.findall(r"<tr[^>]*>\s*<td>([\w ]+)", shown.split('id="ranking"')[1].split("</tbody>")[0])
    assert order == sorted(order, reverse=True)
    chromium(f"--screenshot={picture}")
    matplotlib_image = pytest.importorskip("matplotlib.image")
    pixels = matplotlib_image.imread(picture)[..., :3]
    assert pixels.shape[:2] == (2400, 1300)
    assert len(np.unique((pixels * 255).astype(np.uint8).reshape(-1, 3), axis=0)) > 200
    assert 0.005 < (pixels.min(axis=2) < 0.9).mean() < 0.5
