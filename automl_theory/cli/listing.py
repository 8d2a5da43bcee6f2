"""automl-theory list."""

from __future__ import annotations

from typing import Annotated

import typer

from automl_theory.cli.options import PROGRAM
from automl_theory.errors import InputError, suggest

LISTS = ("proxies", "spaces")


def list_(
    what: Annotated[str, typer.Argument(metavar="proxies|spaces", help="What to list.")],
    family: Annotated[str | None, typer.Option(help="Only proxies of one aspect.")] = None,
) -> None:
    """Show the proxies (aspect, direction, formula) or the search spaces."""
    if what not in LISTS:
        raise InputError(f"cannot list {what!r}; use: {PROGRAM} list {'|'.join(LISTS)}.{suggest(what, LISTS)}")
    if what == "spaces":
        from automl_theory.spaces import list_spaces, space

        for name in list_spaces():
            known = space(name)
            print(f"{name}  {known.size} architectures, {len(known.representatives())} classes of equal ones")
        return
    from automl_theory.proxies import REGISTRY, list_proxies
    from automl_theory.terminal import print_proxies

    print_proxies([REGISTRY[name] for name in list_proxies(family)])
