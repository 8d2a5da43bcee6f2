"""The sparse-masks study as one offline HTML file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from automl_theory.studies import page as pages
from automl_theory.studies.sparse_masks import contents
from automl_theory.studies.sparse_masks.study import Study


def write_page(
    study: Study, answers: pd.DataFrame, cells: pd.DataFrame, path: str | Path, *, title: str = contents.TITLE
) -> Path:
    """Write the page of a study, its `answers.answers` and `answers.cell_table` to `path`, and return the path.

    Errors: as `studies.page.write`.
    """
    return pages.write(contents.page(study, answers, cells, title), path)
