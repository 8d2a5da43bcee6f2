"""What a score table looks like: figures, one offline HTML page, tables in the terminal. Never imports torch."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from automl_theory.report import figures

__all__ = ["figures"]


class _Callable(ModuleType):
    """The package has the name of the function `automl_theory.report`, and takes its place once it is imported."""

    def __call__(self, *args: Any, **named: Any) -> Path:
        """Write the page; see `automl_theory.report.html.report`."""
        from automl_theory.report.html import report

        return report(*args, **named)


sys.modules[__name__].__class__ = _Callable
