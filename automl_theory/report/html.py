"""One HTML file with everything in it: opens offline, asks for nothing, can be mailed.

Its figures are drawn by a few hundred lines of its own: a plotting library (5 MB) and the points of a whole space would
not fit into 8 MB, and needs eval. A content security policy forbids every request, so even a hostile architecture
string (they are escaped) could not reach the network.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.analysis.ranking import rank
from automl_theory.analysis.tradeoff import NoFreeLunch, no_free_lunch
from automl_theory.errors import InputError, require
from automl_theory.progress import Report
from automl_theory.report import contents, provenance
from automl_theory.report.aspects import PANELS, AspectData, aspects
from automl_theory.report.console import FEW, footnote
from automl_theory.report.explorer import explorer_data
from automl_theory.report.ranking_svg import ranking_svg
from automl_theory.report.tradeoffs import verdict_contents

MEASURES = {
    "kendall": "Kendall τ",
    "spearman": "Spearman ρ",
    "partial": "partial ρ",
    "kendall_top": "top τ",
    "weighted_kendall": "weighted τ",
    "overlap": "overlap at k",
    "regret": "regret at k",
}
"""Columns of a ranking shown where it has them, with their intervals; the CSV has all of them."""

SCRIPTS = ("tables.js", "cell.js", "scatter.js", "explorer.js")

MANY = 3000
"""From this many rows on the page's own ranking has analytic intervals: a bootstrap would take minutes."""


def report(
    df: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    target_direction: str | None = None,
    ranking: pd.DataFrame | None = None,
    title: str | None = None,
    representatives: Mapping[str, str] | None = None,
    tradeoff: NoFreeLunch | None = None,
    progress: bool | Report | None = None,
) -> Path:
    """Write the report on score table `df` to `path`, one HTML file, and return the path.

    It holds a summary, the ranking as figure and sortable table, the three aspects against each other, whether one
    architecture wins them all, the ten best of each, all of them, how everything was measured and what was left out.

    Arguments:
        target: the accuracy or loss column to compare with, by default the ranking's. Without either there is no
            ranking in the report.
        target_direction: as in `rank`; by default the ranking's, else what the target's name tells.
        ranking: what `rank` returned, where its defaults are not wanted (a noise ceiling, another policy). The page's
            own has bootstrap intervals, from `MANY` rows on analytic ones.
        title: of the page.
        representatives: aspect → column, the proxy that stands for it, over the defaults.
        tradeoff: what `no_free_lunch` returned, where its defaults are not wanted; its representatives are then the
            page's.
        progress: as in `score_space`, for the ranking and the trade-off.

    A table without one of the three aspects gives a report without that figure, which says so. The file is replaced
    at the end in one step: an interrupted run leaves the old one. Raises `InputError` if it cannot be written, and for
    unknown columns, aspects and directions; `MissingExtra` without jinja2.
    """
    require("jinja2", "report")
    if target is None and ranking is not None:
        target = str(ranking.attrs["ranking"]["target"])
    if ranking is None and target is not None:
        interval: Any = "bootstrap" if len(df) < MANY else "analytic"
        ranking = rank(df, target, target_direction=target_direction, interval=interval, progress=progress)
    direction = target_direction if ranking is None else ranking.attrs["ranking"]["target_direction"]
    if tradeoff is not None:
        representatives = tradeoff.representatives
    data, missing = None, ""
    try:
        data = aspects(df, target, representatives, target_direction=direction)
    except InputError as error:
        if representatives:
            raise
        missing = str(error)
    if tradeoff is None and data is not None:
        tradeoff = no_free_lunch(
            df, target, representatives=representatives, target_direction=direction, progress=progress
        )
    page = _render(df, ranking, data, missing, tradeoff, title or "What these architectures are good at")
    return write_text(Path(path), page)


def _render(
    df: pd.DataFrame,
    ranking: pd.DataFrame | None,
    data: AspectData | None,
    missing: str,
    tradeoff: NoFreeLunch | None,
    title: str,
) -> str:
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(signed=contents.signed, unbroken=_unbroken, foldable=_foldable)
    source = _own("template.html")
    return str(
        environment.from_string(source).render(
            title=title,
            summary=contents.summary(df, ranking, data),
            ranking=None if ranking is None else [{"proxy": n, **row} for n, row in ranking.iterrows()],
            measures={} if ranking is None else {c: text for c, text in MEASURES.items() if c in ranking.columns},
            few=FEW,
            facts=None if ranking is None else ranking.attrs["ranking"],
            footnote="" if ranking is None else footnote(ranking),
            ranking_figure="" if ranking is None else _trusted(ranking_svg(ranking)),
            aspects=data,
            missing=missing,
            panels=[] if data is None else [(a, b, data.correlations[a, b]) for a, b in PANELS],
            verdict=None if tradeoff is None else verdict_contents(tradeoff),
            conditions=provenance.conditions(df, ranking),
            versions=provenance.versions(),
            recipe=provenance.recipe(df),
            tops=[] if data is None else contents.top_architectures(data),
            settings=provenance.settings(df),
            proxies=provenance.proxy_table(df),
            left_out=contents.left_out(df, ranking, data),
            data=explorer_data(df, data, ranking),
            scripts=[_trusted(_own(name)) for name in SCRIPTS],
        )
    )


def _own(name: str) -> str:
    return resources.files("automl_theory.report").joinpath(name).read_text(encoding="utf-8")


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
