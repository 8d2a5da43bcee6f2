from __future__ import annotations

import importlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_theory.analysis.join import join
from automl_theory.analysis.ranking import rank
from automl_theory.analysis.tradeoff import no_free_lunch
from automl_theory.errors import InputError, MissingExtra
from automl_theory.report import contents
from automl_theory.report.aspects import aspects
from automl_theory.report.html import report


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
    assert "unsafe-eval" not in source
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


def test_the_page_states_what_makes_published_numbers_differ(scored: pd.DataFrame, tmp_path: Path) -> None:
    scored.attrs["settings"] |= {"init": "he_fan_in", "data": "digits", "data_seed": 7, "space": "nas_bench_201"}
    scored.attrs |= {
        "seeds": [3, 4],
        "environment": {"torch": "2.13.0"},
        "accuracy": {"release": "NATS-Bench v1.0", "dataset": "cifar10", "epochs": 200, "seeds": [777, 888]},
    }
    ranking = rank(scored, "test_loss", interval="analytic", undefined="worst")
    text = Page(report(scored, tmp_path / "r.html", ranking=ranking).read_text(encoding="utf-8")).text
    for expected in (
        "BatchNorm frozen",
        "initialisation init he_fan_in; weight seeds 3, 4",
        "batch n 32, data digits, data_seed 7",
        "architectures 120 of nas_bench_201, 108 distinct",
        "accuracy test_loss: NATS-Bench v1.0, cifar10, 200 epochs, mean of 2 seeds",
        "network channels 16",
        "undefined values ranked last",
        "scored with torch 2.13.0",
        "release NATS-Bench v1.0",
        "Page made with python",
        "numpy ",
    ):
        assert expected in text


def test_the_trade_off_is_told(scored: pd.DataFrame, tmp_path: Path) -> None:
    found = no_free_lunch(scored, "test_loss", budget="params", representatives={"convergence": "ntk_condition"})
    ranking = rank(scored, "test_loss", interval="analytic")
    path = report(scored, tmp_path / "r.html", ranking=ranking, tradeoff=found)
    text = Page(path.read_text(encoding="utf-8")).text
    assert all(" ".join(line.split()) in text for line in found.summary().splitlines())
    for expected in (
        "expressivity by turning_angle, convergence by ntk_condition,",
        "Which aspects conflict",
        "expressivity and convergence",
        "How far from a single winner",
        "At a fixed budget params n verdict distance",
        "its ranks taken out",
        "How accuracy sits along and off the front",
        "mean percentile of the target on the front",
        "Verdicts under other representatives",
        "Every choice of representatives",
        "The target by layer of the front",
        f"convergence ntk_condition {found.winners['convergence'][0]}",
    ):
        assert expected in text


def test_bad_representatives_and_directions_are_refused(scored: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="aspects are expressivity, convergence, generalization; got 'speed'"):
        report(scored, tmp_path / "r.html", representatives={"speed": "synflow"})
    with pytest.raises(InputError, match="convergence representative 'synflo' is not a column"):
        report(scored, tmp_path / "r.html", representatives={"convergence": "synflo"})
    with pytest.raises(InputError, match='pass target_direction="maximize" or "minimize"'):
        report(scored, tmp_path / "r.html", target="synflow")
    assert not list(tmp_path.iterdir())
    text = Page(
        report(scored, tmp_path / "r.html", target="synflow", target_direction="maximize").read_text(encoding="utf-8")
    ).text
    assert "Against synflow (high is good)" in text


def test_progress_is_told(scored: pd.DataFrame, tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    report(scored, tmp_path / "r.html", target="test_loss", progress=lambda *state: told.append(state))
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] > 100


def test_a_size_baseline_that_points_the_wrong_way_is_said_to(scored: pd.DataFrame) -> None:
    ranking = rank(scored.assign(params=-scored["params"]), "test_loss", resamples=0)
    tau = ranking.loc["params", "kendall"]
    below = int((ranking.loc[~ranking["baseline"], "kendall"] < -tau).sum())
    said = (
        f"The size baseline params points the wrong way, −{-tau:.2f}: turned round it alone would reach {-tau:.2f}, "
        f"and {below} of 6 proxies stay below that."
    )
    assert said in contents.summary(scored, ranking, None)
