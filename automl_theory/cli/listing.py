"""automl-theory list."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from automl_theory.cli.options import PROGRAM
from automl_theory.errors import InputError, one_line, suggest
from automl_theory.plugins import warn

LISTS = ("proxies", "spaces")


def list_(
    what: Annotated[str, typer.Argument(metavar="proxies|spaces", help="What to list.")],
    family: Annotated[str | None, typer.Option(help="Only proxies of one aspect.")] = None,
) -> None:
    """Show the proxies (aspect, direction, formula) or the search spaces, and which distribution a plug-in is from."""
    if what not in LISTS:
        raise InputError(f"cannot list {what!r}; use: {PROGRAM} list {'|'.join(LISTS)}.{suggest(what, LISTS)}")
    if what == "spaces":
        if family is not None:
            raise InputError("--family is for proxies; leave it out with spaces")
        _list_spaces()
        return
    from automl_theory.proxies import get_proxy, list_proxies, proxy_plugins
    from automl_theory.terminal import print_proxies

    names, plugins = list_proxies(family), proxy_plugins()
    print_proxies([replace(get_proxy(name), core=False) if name in plugins else get_proxy(name) for name in names])
    for name in names:
        if name in plugins:
            print(f"{name} is a plug-in of {plugins[name].distribution}")


def _list_spaces() -> None:
    from automl_theory.spaces import list_spaces, space, space_plugins

    for name in list_spaces():
        plugin = space_plugins().get(name)
        try:
            known = space(name)
            classes = getattr(known, "classes", None)
            equal = len(known.representatives()) if classes is None else classes
            line = f"{name}  {known.size} architectures, {equal} classes of equal ones"
        except Exception as error:
            if plugin is None:
                raise
            named = plugin.distribution in str(error)
            warn(error if named else f"the plug-in {name!r} of {plugin.distribution} is broken ({one_line(error)})")
            continue
        print(line if plugin is None else f"{line}  (plug-in of {plugin.distribution})")
