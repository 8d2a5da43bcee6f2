"""Search spaces: sets of architectures that can be enumerated, sampled, built and drawn as graphs.

A space is a file here; naming it in `_SPACES` makes it known. Another distribution's is known by its entry point in the
group "automl_theory.spaces". Nothing here imports torch: `build` does, when called.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from automl_theory.errors import InputError, one_line, suggest
from automl_theory.plugins import SPACES, Plugin, plugins
from automl_theory.spaces.base import Factory, ModuleSpace, Space

__all__ = ["ModuleSpace", "Space", "list_spaces", "space", "space_plugins"]

_SPACES = {
    "darts": ("automl_theory.spaces.darts", "Darts"),
    "mlp_dag": ("automl_theory.spaces.mlp_dag", "MlpDag"),
    "nas_bench_101": ("automl_theory.spaces.nas_bench_101", "NasBench101"),
    "nas_bench_201": ("automl_theory.spaces.nas_bench_201", "NasBench201"),
    "nats_size": ("automl_theory.spaces.nats_size", "NatsSize"),
}


def list_spaces() -> list[str]:
    """Return the names that `space` knows, sorted: those built in, and plug-ins, which are not loaded for it."""
    return sorted({*_SPACES, *space_plugins()})


def space_plugins() -> dict[str, Plugin]:
    """Return the spaces of other distributions by name; see `plugins.plugins`."""
    return plugins(SPACES, frozenset(_SPACES))


def space(
    name_or_factories: str | Space | Mapping[str, Factory] | Iterable[Factory],
    **settings: Any,
) -> Space:
    """Return a search space.

    A name of `list_spaces()` gives that space, a plug-in's by loading it; a mapping or a list of functions that return
    modules gives a `ModuleSpace` of them; a space is returned as it is. `settings` go to the constructor of the space.

    Errors: InputError for an unknown name (with the nearest known one), settings that the space does not take,
    settings with a space that is there already, a plug-in that cannot be loaded or makes no space of its name, or
    anything else.
    """
    if isinstance(name_or_factories, str):
        if name_or_factories not in _SPACES and name_or_factories in space_plugins():
            return _of_plugin(space_plugins()[name_or_factories], settings)
        if name_or_factories not in _SPACES:
            known = list_spaces()
            raise InputError(
                f"unknown space {name_or_factories!r}; known: {', '.join(known)}.{suggest(name_or_factories, known)}"
            )
        module, attribute = _SPACES[name_or_factories]
        make: Callable[..., Space] = getattr(importlib.import_module(module), attribute)
        return _call(name_or_factories, make, (), settings)
    if isinstance(name_or_factories, Space):
        if settings:
            raise InputError(f"a space that is there already takes no settings, got {', '.join(settings)}")
        return name_or_factories
    return _call("modules", ModuleSpace, (name_or_factories,), settings)


def _of_plugin(plugin: Plugin, settings: dict[str, Any]) -> Space:
    make = plugin.load()
    who = f"the plug-in {plugin.name!r} of {plugin.distribution}"
    if not callable(make):
        raise InputError(f"{who} must name a class or function that makes a space, it names a {type(make).__name__}")
    try:
        made = _call(plugin.name, make, (), settings)
        name = made.name if isinstance(made, Space) else None
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{who} cannot be made ({one_line(error, 200)}); update or uninstall it") from error
    if name != plugin.name:
        got = f"a {type(made).__name__}, which is no space" if name is None else f"the space {name!r}"
        raise InputError(f"{who} makes {got}; its author can tell by automl_theory.testing.check_space")
    return made


def _call(name: str, make: Callable[..., Space], arguments: tuple[Any, ...], settings: dict[str, Any]) -> Space:
    try:
        inspect.signature(make).bind(*arguments, **settings)
    except TypeError as error:
        raise InputError(f"bad settings of space {name!r}: {error}") from error
    return make(*arguments, **settings)
