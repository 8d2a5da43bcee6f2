"""The pruned-NTK study as one offline HTML file."""

from __future__ import annotations

from pathlib import Path

from automl_theory.studies import page as pages
from automl_theory.studies.pruned_ntk import contents
from automl_theory.studies.pruned_ntk.reproduce import Study


def write_page(study: Study, path: str | Path, *, title: str = contents.TITLE) -> Path:
    """Write the page of a study to `path` and return the path. Errors: as `studies.page.write`."""
    return pages.write(contents.page(study, title), path)
