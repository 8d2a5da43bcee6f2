"""One HTML file with everything in it: opens offline, asks for nothing, can be mailed.

plotly.js stands in the page once. A content security policy forbids every request, so even a hostile architecture
string (they are escaped) could not reach the network.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.analysis.ranking import rank
from automl_theory.errors import InputError, require
from automl_theory.report import contents
from automl_theory.report.console import footnote
from automl_theory.report.figures import AspectData, aspects, draw_aspects
from automl_theory.report.ranking_figure import draw_ranking


def report(
    df: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    ranking: pd.DataFrame | None = None,
    title: str | None = None,
) -> Path:
    """Write the report on score table `df` to `path`, one HTML file, and return the path.

    It holds a summary, the ranking as figure and sortable table, the three aspects against each other, the ten best
    architectures of each, how everything was measured and what was left out.

    Arguments:
        target: the accuracy or loss column to compare with, by default the ranking's. Without either there is no
            ranking in the report.
        ranking: what `rank` returned, where its defaults are not wanted (a noise ceiling, another policy).
        title: of the page.

    A table without one of the three aspects gives a report without that figure, which says so. The file is replaced
    at the end in one step: an interrupted run leaves the old one. Raises `InputError` if it cannot be written, and
    `MissingExtra` without plotly or jinja2.
    """
    require("plotly", "report")
    require("jinja2", "report")
    if target is None and ranking is not None:
        target = str(ranking.attrs["ranking"]["target"])
    if ranking is None and target is not None:
        ranking = rank(df, target)
    direction = None if ranking is None else ranking.attrs["ranking"]["target_direction"]
    data, missing = None, ""
    try:
        data = aspects(df, target, target_direction=direction)
    except InputError as error:
        missing = str(error)
    page = _render(df, ranking, data, missing, title or "What these architectures are good at")
    return write_text(Path(path), page)


def _render(df: pd.DataFrame, ranking: pd.DataFrame | None, data: AspectData | None, missing: str, title: str) -> str:
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(signed=contents.signed, ends=contents.ends, unbroken=_unbroken, foldable=_foldable)
    source = resources.files("automl_theory.report").joinpath("template.html").read_text(encoding="utf-8")
    return str(
        environment.from_string(source).render(
            title=title,
            summary=contents.summary(df, ranking, data),
            ranking=None if ranking is None else [{"proxy": n, **row} for n, row in ranking.iterrows()],
            facts=None if ranking is None else ranking.attrs["ranking"],
            footnote="" if ranking is None else footnote(ranking),
            ranking_figure="" if ranking is None else _embed(draw_ranking(ranking), "figure-ranking"),
            aspects=data,
            missing=missing,
            aspects_figure="" if data is None else _embed(draw_aspects(data), "figure-aspects"),
            tops=[] if data is None else contents.top_architectures(data),
            settings=contents.settings(df),
            proxies=contents.proxy_table(df),
            left_out=contents.left_out(df, ranking, data),
            plotly_js=_trusted(require("plotly.offline", "report").get_plotlyjs()),
        )
    )


def _embed(figure: Any, name: str) -> Any:
    config = {"responsive": True, "displayModeBar": False}
    return _trusted(figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config))


def _unbroken(text: str) -> str:
    return text.replace(" %", "\u00a0%")


def _foldable(name: object) -> str:
    return str(name).replace("_", "_\u200b")


def _trusted(markup: str) -> Any:
    return require("markupsafe", "report").Markup(markup)


def write_text(path: Path, text: str) -> Path:
    """Write `text` beside `path` and move it there in one step; `InputError` if that is not possible."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path} ({error.strerror}); give a file name in an existing folder you may write to."
        ) from error
    return path
