"""The study as one offline HTML file."""

from __future__ import annotations

from pathlib import Path

from automl_theory.studies import page as pages
from automl_theory.studies.no_free_lunch import contents
from automl_theory.studies.no_free_lunch.study import Study


def write_page(study: Study, path: str | Path, *, title: str = contents.TITLE) -> Path:
    """Write the page of a study to `path` and return the path; errors as in `pages.write`."""
    return pages.write(contents.page(study, title), path)
