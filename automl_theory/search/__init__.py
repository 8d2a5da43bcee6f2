"""Search without training: objectives for anybody's search loop, and algorithms of our own."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_theory.search.run import Found


class _Callable(ModuleType):
    """The package has the name of the function `automl_theory.search`, and takes its place once it is imported."""

    def __call__(self, *args: Any, **named: Any) -> "Found":
        """Search; see `automl_theory.search.run.search`."""
        from automl_theory.search.run import search

        return search(*args, **named)


sys.modules[__name__].__class__ = _Callable
