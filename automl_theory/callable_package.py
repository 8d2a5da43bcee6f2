"""A package that has the name of a public function and is called in its place: `at.search`, `at.report`.

Python puts a package into the place of that name as soon as anything in it is imported, so the name means the package
from the beginning, and the package has the signature and the docstring of the function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


class CallablePackage(ModuleType):
    """The class of such a package, whose `FUNCTION_IN` names the module with the function."""

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        where: str = vars(self)["FUNCTION_IN"]
        function: Callable[..., Any] = getattr(import_module(where), self.__name__.rpartition(".")[2])
        return function

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # the function's, not the package's
        return self.__wrapped__.__doc__

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the function."""
        return self.__wrapped__(*args, **named)

    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, (self.__name__,)


def make_callable(package: str) -> None:
    """Let a package that is being imported be called as the function of its own name."""
    sys.modules[package].__class__ = CallablePackage
