"""Spaces and proxies of other distributions, found by their entry points.

    [project.entry-points."automl_theory.spaces"]
    my_space = "my_package.spaces:MySpace"

A plug-in is named from the metadata of its distribution, which imports nothing; it is loaded when it is asked for. What
is wrong with one is one line, a warning or the InputError of whoever asked for it by name, and names the distribution.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from automl_theory.errors import InputError, one_line

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

SPACES = "automl_theory.spaces"
PROXIES = "automl_theory.proxies"


@dataclass(frozen=True)
class Plugin:
    """An entry point and the name of the distribution that it comes from."""

    name: str
    distribution: str
    entry: EntryPoint

    def load(self) -> Any:
        """Import what the entry point names; InputError that names the distribution where that fails."""
        try:
            return self.entry.load()
        except (Exception, SystemExit) as error:
            raise InputError(
                f"the plug-in {self.name!r} of {self.distribution} cannot be loaded ({one_line(error, 200)}); "
                "update or uninstall that distribution"
            ) from error


def warn(message: object) -> None:
    """Warn in one line, without a line of code."""
    warnings.warn(" ".join(str(message).split()), UserWarning, stacklevel=2)


@cache
def plugins(group: str, taken: Collection[str] = frozenset()) -> dict[str, Plugin]:
    """Return the plug-ins of a group by name, sorted; found once in a process.

    One with a name of `taken` (what is built in) is left out with a warning, and so are two that share a name: neither
    may shadow the other by the order of installation.
    """
    from importlib.metadata import distributions

    found: dict[str, list[Plugin]] = {}
    seen: set[str] = set()
    for distribution in distributions():
        entries = _entries(distribution, group)
        if not entries:
            continue
        owner = _name(distribution)
        if owner in seen:
            continue
        seen.add(owner)
        for entry in entries:
            found.setdefault(entry.name, []).append(Plugin(entry.name, owner, entry))
    known: dict[str, Plugin] = {}
    for name, candidates in sorted(found.items()):
        owners = " and ".join(plugin.distribution for plugin in candidates)
        if name in taken:
            warn(f"the plug-in {name!r} of {owners} is not used, since {name!r} is built in; it needs another name")
        elif len(candidates) > 1:
            warn(f"the plug-ins {name!r} of {owners} are not used, since they share a name; uninstall one of them")
        else:
            known[name] = candidates[0]
    return known


def _name(distribution: Distribution) -> str:
    metadata = distribution.metadata
    return str(metadata["Name"]) if "Name" in metadata else "an unnamed distribution"


def _entries(distribution: Distribution, group: str) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points.select(group=group))
    except Exception as error:
        warn(f"the entry points of {_name(distribution)} cannot be read ({one_line(error, 200)})")
        return []
