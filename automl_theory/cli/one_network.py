"""automl-theory score --module: one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from automl_theory.errors import InputError

# Options of `score` that say something about one network (--module) too; the others are about a run over a space.
OF_A_MODULE = {
    "space", "module", "proxies", "seeds", "data", "n", "data_seed", "resolution", "in_channels", "bn", "output",
    "biases", "init", "dtype", "device", "export",
}  # fmt: skip


def refuse_others(context: typer.Context) -> None:
    """Refuse what was given with --module and means nothing there."""
    given = (
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    )
    for name in given:
        if name not in OF_A_MODULE:
            raise InputError(f"--{name.replace('_', '-')} is for a run over a space; leave it out with --module")


def score_module(module: str, export: Path | None, **settings: Any) -> None:
    """Score the network that `module` names, print its values, and write them to `export`."""
    from automl_theory.scoring.named_module import score_named_module
    from automl_theory.terminal import print_module

    row, reasons = score_named_module(module, **settings)
    print_module(row, reasons)
    if export is not None:
        from rich.console import Console

        from automl_theory.scoring.files import write_table

        console = Console(stderr=True, highlight=False, markup=False)
        console.print(f"table: {write_table(row, export)}", soft_wrap=True)
