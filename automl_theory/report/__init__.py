"""What a score table looks like: figures, one offline HTML page, tables in the terminal. Never imports torch."""

from automl_theory.callable_package import make_callable
from automl_theory.report import figures

__all__ = ["figures"]

FUNCTION_IN = "automl_theory.report.html"
make_callable(__name__)
