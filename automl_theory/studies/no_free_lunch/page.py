"""The study as one offline HTML file: claims with verdicts, figures, the three warnings, every architecture."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from automl_theory.errors import require
from automl_theory.report.html import write_text
from automl_theory.studies import svg
from automl_theory.studies.no_free_lunch import contents
from automl_theory.studies.no_free_lunch.architectures import by_architecture
from automl_theory.studies.no_free_lunch.study import Study

TITLE = "No free lunch in neural architectures, measured anew"
COLOURS = tuple(svg.colour(share) for share in (0.0, 0.5, 1.0))


def write_page(study: Study, path: str | Path, *, title: str = TITLE) -> Path:
    """Write the page of a study to `path` and return the path; the file appears in one step.

    Errors: InputError if it cannot be written; MissingExtra without jinja2.
    """
    return write_text(Path(path), render(study, title))


def render(study: Study, title: str = TITLE) -> str:
    """Return the page's HTML. It asks for nothing from anywhere; a content security policy forbids it."""
    jinja2 = require("jinja2", "report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    architectures = by_architecture(study.graph, study.exact, study.measured, study.trained)
    return str(
        environment.from_string(_text("automl_theory.studies.no_free_lunch", "page.html")).render(
            title=title,
            summary=study.summary,
            counts=contents.verdict_counts(study.table),
            about_data=f"Here: {study.about['data']['source']}.",
            sections=_marked(contents.sections(study.table)),
            parts=[_drawn(part) for part in contents.parts(study, architectures)],
            everything=contents.everything(architectures),
            facts=contents.facts(study),
            colours=COLOURS,
            script=_trusted(_text("automl_theory.report", "tables.js")),
        )
    )


def _drawn(part: contents.Part) -> dict[str, Any]:
    return {**vars(part), "charts": [_trusted(chart) for chart in part.charts]}


def _marked(sections: dict[str, tuple[str, list[dict[str, Any]]]]) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    return {
        name: (data, [{**row, "bar": _trusted(row["bar"])} for row in rows]) for name, (data, rows) in sections.items()
    }


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _trusted(markup: str) -> Any:
    return require("markupsafe", "report").Markup(markup)
