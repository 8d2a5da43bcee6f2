"""Search without training: objectives for anybody's search loop, and algorithms of our own."""

from automl_theory.callable_package import make_callable

FUNCTION_IN = "automl_theory.search.run"
make_callable(__name__)
