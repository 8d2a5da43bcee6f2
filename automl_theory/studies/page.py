"""The page of a study as data, and its one offline HTML file: claims with verdicts, parts with charts and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.errors import require
from automl_theory.report.contents import signed
from automl_theory.report.html import write_text
from automl_theory.studies import svg
from automl_theory.studies.charts import interval_bar


@dataclass(frozen=True)
class Table:
    """A table of text; a `sortable` one has buttons in its heads, a `folded` one opens on a click."""

    name: str
    columns: tuple[dict[str, Any], ...]
    rows: tuple[tuple[str, ...], ...]
    sortable: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Part:
    """A heading of the page with what stands under it; charts are SVG.

    colours   what `svg.colour` stands for in them, as (quantity, value of 0, value of 1)
    """

    id: str
    title: str
    prose: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    hints: tuple[str, ...] = ()
    colours: tuple[str, str, str] | None = None


@dataclass(frozen=True, eq=False)
class Page:
    """Everything a page says.

    summary   what came out: the first sentence is large, the others a list
    about     small lines on papers and data
    heading   over the claims
    heads     of their table: what a claim is, what a paper says or predicts, what we found, the verdict
    rules     how a verdict follows from an interval
    verdicts  all possible ones, in the order they are counted
    claims    section, name, paper, ours, low, high, n, verdict, why: `claim_rows` tells the types
    parts     one without charts and tables is left out
    facts     how the numbers came about, as (name, value)
    """

    title: str
    summary: tuple[str, ...]
    about: tuple[str, ...]
    heading: str
    heads: tuple[str, str, str, str]
    rules: tuple[str, ...]
    verdicts: tuple[str, ...]
    claims: pd.DataFrame
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, str], ...]


def write(page: Page, path: str | Path) -> Path:
    """Write a page to `path` and return the path; the file appears in one step.

    Errors: InputError if it cannot be written; MissingExtra without jinja2.
    """
    return write_text(Path(path), render(page))


def render(page: Page) -> str:
    """Return the page's HTML. It asks for nothing from anywhere; a content security policy forbids it."""
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    sections = {
        name: (data, [{**row, "bar": _trusted(row["bar"])} for row in rows])
        for name, (data, rows) in claim_rows(page.claims).items()
    }
    parts = [part for part in page.parts if part.charts or part.tables]
    return str(
        environment.from_string(_text("automl_theory.studies", "page.html")).render(
            title=page.title,
            page=page,
            counts={verdict: int((page.claims["verdict"] == verdict).sum()) for verdict in page.verdicts},
            sections=sections,
            parts=[replace(part, charts=tuple(map(_trusted, part.charts))) for part in parts],
            gradient=[svg.colour(share) for share in (0.0, 0.5, 1.0)],
            script=_trusted(_text("automl_theory.report", "tables.js")),
        )
    )


def claim_rows(claims: pd.DataFrame) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Section → the data it is about, if that is one for all, and its claims as text.

    A claim is {name, data, paper, ours, interval, n, bar, verdict, why}. `paper` and `ours` are numbers or words, `low`
    and `high` numbers, a column `data` may be missing; numbers within [−1, 1] have a `bar`, SVG.
    """
    return {str(name): _section(part) for name, part in claims.groupby("section", sort=False)}


def _section(claims: pd.DataFrame) -> tuple[str, list[dict[str, Any]]]:
    about = [_words(value) for value in claims["data"].unique()] if "data" in claims else [""]
    rows = [_row(row) for row in claims.to_dict("records")]
    return (about[0], [{**row, "data": ""} for row in rows]) if len(about) == 1 else ("", rows)


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    ours, low, high, paper, n = (_float(row[name]) for name in ("ours", "low", "high", "paper", "n"))
    numbers = [v for v in (ours, low, high, paper) if math.isfinite(v)]
    small = math.isfinite(ours) and max(map(abs, numbers)) <= 1
    say = signed if small and max(map(abs, numbers)) >= 0.01 else svg.number
    told = math.isfinite(low) and math.isfinite(high) and low < high
    return {
        "name": row["name"],
        "data": _words(row.get("data", "")),
        "paper": say(paper) if math.isfinite(paper) else _words(row["paper"]),
        "ours": say(ours) if math.isfinite(ours) else _words(row["ours"]),
        "interval": f"{say(low)} to {say(high)}" if told else "",
        "n": f"{int(n):,}" if math.isfinite(n) and n else "",
        "bar": interval_bar(ours, low, high, paper) if small else "",
        "verdict": row["verdict"],
        "why": row["why"],
    }


def text_table(
    name: str, table: pd.DataFrame, *, sortable: bool = False, folded: bool = False, code: Sequence[str] = ()
) -> Table:
    """A table of text for the page; floats have three digits, and a column of numbers stands on the right.

    The columns named in `code` are set as code.
    """
    text = {str(c): [_cell(value) for value in table[c]] for c in table}
    columns = tuple(
        {"label": label, "code": label in code, "number": label not in code and _numeric(cells)}
        for label, cells in text.items()
    )
    return Table(name, columns, tuple(zip(*text.values(), strict=True)), sortable, folded)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return svg.number(value)
    return "–" if value is None or value is pd.NA else str(value)


def _numeric(cells: Sequence[str]) -> bool:
    return all(not cell.strip("–−-0123456789.,e∞ %()to") for cell in cells)


def _float(value: Any) -> float:
    try:
        return float(value) if not isinstance(value, str | bool) else math.nan
    except TypeError:
        return math.nan


def _words(value: object) -> str:
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _trusted(markup: str) -> Any:
    return require("markupsafe", "report").Markup(markup)
