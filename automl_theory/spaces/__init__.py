"""Search spaces: sets of architectures that can be enumerated, sampled, built and drawn as graphs.

A space is a file here; naming it in `_SPACES` makes it known. Nothing here imports torch: `build` does, when called.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from automl_theory.errors import InputError, suggest
from automl_theory.spaces.base import Factory, ModuleSpace, Space

__all__ = ["ModuleSpace", "Space", "list_spaces", "space"]

_SPACES = {
    "mlp_dag": ("automl_theory.spaces.mlp_dag", "MlpDag"),
    "nas_bench_201": ("automl_theory.spaces.nas_bench_201", "NasBench201"),
}


def list_spaces() -> list[str]:
    """Return the names that `space` knows, sorted."""
    return sorted(_SPACES)


def space(
    name_or_factories: str | Space | Mapping[str, Factory] | Iterable[Factory],
    **settings: Any,
) -> Space:
    """Return a search space.

    A name of `list_spaces()` gives that space; a mapping or a list of functions that return modules gives a
    `ModuleSpace` of them; a space is returned as it is. `settings` go to the constructor of the space.

    Errors: InputError for an unknown name (with the nearest known one), settings that the space does not take,
    settings with a space that is there already, or anything else.
    """
    if isinstance(name_or_factories, str):
        if name_or_factories not in _SPACES:
            raise InputError(
                f"unknown space {name_or_factories!r}; known: {', '.join(list_spaces())}."
                f"{suggest(name_or_factories, _SPACES)}"
            )
        module, attribute = _SPACES[name_or_factories]
        make: Callable[..., Space] = getattr(importlib.import_module(module), attribute)
        return _call(name_or_factories, make, (), settings)
    if isinstance(name_or_factories, Space):
        if settings:
            raise InputError(f"a space that is there already takes no settings, got {', '.join(settings)}")
        return name_or_factories
    return _call("modules", ModuleSpace, (name_or_factories,), settings)


def _call(name: str, make: Callable[..., Space], arguments: tuple[Any, ...], settings: dict[str, Any]) -> Space:
    try:
        inspect.signature(make).bind(*arguments, **settings)
    except TypeError as error:
        raise InputError(f"bad settings of space {name!r}: {error}") from error
    return make(*arguments, **settings)
