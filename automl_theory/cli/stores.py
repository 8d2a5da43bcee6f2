"""automl-theory export and merge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_theory.cli.options import Force
from automl_theory.cli.tables import read_scores


def export(
    store: Annotated[Path, typer.Argument(help="A store.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="The table to write: .parquet or .csv.", show_default=False)],
    force: Force = False,
) -> None:
    """Write the table of a store, finished or not."""
    from automl_theory.scoring.files import SUFFIXES, check_apart, check_free, check_writable, write_table

    check_apart(output, {"the store": store})
    check_free(check_writable(output, SUFFIXES), force)
    table = read_scores(store)
    print(f"table: {write_table(table, output)} ({len(table)} architectures)")


def merge(
    target: Annotated[Path, typer.Argument(help="The store to unite in; made if missing.", show_default=False)],
    sources: Annotated[list[Path], typer.Argument(help="Stores of the shards of one run.", show_default=False)],
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Unite shards of other machines or versions.")
    ] = False,
) -> None:
    """Unite the stores of a run's shards (score --shard 1/2, score --shard 2/2) in one."""
    from automl_theory.scoring.merging import merge as merge_stores

    count = merge_stores(target, sources, allow_mismatch=allow_mismatch)
    print(f"store: {target} ({count} scores)")
