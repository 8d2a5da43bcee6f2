"""automl-theory search."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automl_theory.cli.networks import network as network_of
from automl_theory.cli.options import (
    HOW,
    OUT,
    RUN,
    WHAT,
    Accuracy,
    BatchNorm,
    Dataset,
    Direction,
    Epochs,
    Force,
    Images,
    Network,
    Split,
    Target,
    TrustPickle,
)
from automl_theory.cli.tables import check_trained, direction_of, load_trained
from automl_theory.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console


def search(
    space: Annotated[str, typer.Argument(help="A space (see: list spaces).", metavar="SPACE", show_default=False)],
    algorithm: Annotated[
        str,
        typer.Option(
            metavar="random|evolution|nsga2|tenas|tegnas",
            help="How: random; regularized evolution with a warm-up; NSGA-II; TE-NAS's pruning of a supernet, or "
            "TEG-NAS's with generalization as a third rank.",
            rich_help_panel=WHAT,
        ),
    ] = "evolution",
    proxies: Annotated[
        str | None,
        typer.Option(
            help="Names with commas between; several are one by the sum of ranks. Default: one an aspect. composite: "
            "the recommended one, its graph measures included. tenas and tegnas have their own.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            help="Only cells of moderate depth and width, the middle part of both ranges (the paper's: 0.5).",
            rich_help_panel=WHAT,
        ),
    ] = None,
    budget_evaluations: Annotated[
        int | None,
        typer.Option(
            help="Architectures asked for a search, those that evolution and nsga2 repeat too. Default: 100.",
            rich_help_panel=HOW,
        ),
    ] = None,
    budget_seconds: Annotated[
        float | None, typer.Option(help="Seconds of measuring a search.", rich_help_panel=HOW)
    ] = None,
    population: Annotated[
        int | None, typer.Option(help="Of evolution and nsga2. Default: 20.", rich_help_panel=HOW)
    ] = None,
    runs: Annotated[int, typer.Option(help="Searches, each with a seed of its own.", rich_help_panel=HOW)] = 1,
    seed: Annotated[
        int, typer.Option(help="Seed of the first search; the next have the next.", rich_help_panel=HOW)
    ] = 0,
    data: Images = "digits",
    n: Annotated[
        int | None, typer.Option("--n", help="Images. Default: 64; 72 for tenas and tegnas.", rich_help_panel=HOW)
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="canonical or reduced. Default: reduced, in spaces that have presets.", rich_help_panel=HOW),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(help="Channels of the networks, instead of the preset's. tenas: 3.", rich_help_panel=HOW),
    ] = None,
    cells_per_stage: Annotated[
        int | None,
        typer.Option(
            "--cells-per-stage",
            "--cells",
            help="Cells a stage, instead of the preset's. tenas: 1.",
            rich_help_panel=HOW,
        ),
    ] = None,
    network: Network = None,
    bn: BatchNorm = "frozen",
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keeps every step; a stopped search goes on from there. Default: one in runs/, named by the settings.",
            rich_help_panel=RUN,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes, a search each.", rich_help_panel=RUN)] = 1,
    threads: Annotated[int, typer.Option(help="torch threads of each.", rich_help_panel=RUN)] = 1,
    export: Annotated[
        Path | None, typer.Option(help="Write one row a search to this .csv or .parquet.", rich_help_panel=OUT)
    ] = None,
    force: Force = False,
    accuracy: Accuracy = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    split: Split = None,
    target: Target = None,
    target_direction: Direction = None,
    trust_pickle: TrustPickle = False,
) -> None:
    """Search a space for a good architecture without training any.

    Prints what was found and what it cost; with trained results also its place in the space, and over several searches
    mean, standard deviation and interval.
    """
    if runs < 1:
        raise InputError(f"--runs must be at least 1, got {runs}; give the number of searches")
    if export is not None:
        from automl_theory.scoring.files import check_free, check_writable

        check_free(check_writable(export, (".csv", ".parquet")), force)
    from rich.console import Console

    from automl_theory.progress import ProgressLine

    selection = {"dataset": dataset, "epochs": epochs, "split": split, "trust_pickle": trust_pickle}
    console = Console(stderr=True, highlight=False)
    with ProgressLine(console, f"searching {space}") as progress:
        from automl_theory.search.place import places
        from automl_theory.search.repeat import repeat
        from automl_theory.search.request import ASPECTS, PRUNING, default_folder, prepare
        from automl_theory.spaces import space as make_space

        trained, target = load_trained(accuracy, target, **selection)
        settings: dict[str, Any] = {"bn": bn} | ({} if n is None else {"n": n})
        chosen = {"channels": channels, "cells_per_stage": cells_per_stage}
        if algorithm in PRUNING:
            if proxies is not None:
                raise InputError(f"{algorithm} has measures of its own; leave --proxies out")
            if network or preset is not None:
                raise InputError(f"{algorithm} measures supernets; of their size give --channels and --cells-per-stage")
            settings |= {name: value for name, value in chosen.items() if value is not None}
        else:
            settings["network"] = network_of(make_space(space), preset, chosen, network, "reduced")
        asked = prepare(
            space,
            algorithm,
            ASPECTS if proxies is None else proxies,
            data,
            evaluations=budget_evaluations,
            budget_seconds=budget_seconds,
            radius=radius,
            threads=threads,
            options={} if population is None else {"population": population, **_warm_up(algorithm, population)},
            **settings,
        )
        if trained is not None and target is not None:
            check_trained(asked.space, trained, target)
            target_direction = direction_of(target, target_direction)
        run = default_folder(asked) if run is None else run
        found = repeat(asked, range(seed, seed + runs), run, workers=workers, progress=progress)
    table = places(found, asked.space, trained, target, target_direction=target_direction)
    _print(table, target if trained is not None else None)
    if failed := [failure for one in found for failure in one.failures]:
        from automl_theory.terminal import print_failures

        print_failures(failed, "taken to be the worst", console)
    console.print(f"steps: {run}", markup=False, soft_wrap=True)
    if export is not None:
        from automl_theory.scoring.files import write_table

        console.print(f"table: {write_table(table.set_index('seed'), export)}", soft_wrap=True)


def _warm_up(algorithm: str, population: int) -> dict[str, int]:
    """Twice the population, and a tournament that a small population can hold."""
    return {"warm_up": 2 * population, "tournament": min(5, population)} if algorithm == "evolution" else {}


def _print(table: pd.DataFrame, target: str | None) -> None:
    from rich.console import Console

    from automl_theory.progress import duration
    from automl_theory.search.place import summary

    console: Console = Console(highlight=False, markup=False)
    for row in table.to_dict("records"):
        told = f"seed {row['seed']}: {row['found']}"
        if target is not None:
            place = f"rank {row['rank']:.0f} of {table.attrs['trained']} (percentile {row['percentile']:.2f})"
            trained = not math.isnan(row[target])
            told += f"  {target} {row[target]:.2f}, {place}" if trained else "  not among the trained results"
        console.print(f"{told}, {row['evaluations']} evaluations, {duration(row['seconds'])}", soft_wrap=True)
    if target is not None and len(table) > 1:
        values = [value for value in table[target] if not math.isnan(value)]
        if len(values) < len(table):
            console.print(f"{len(values)} of {len(table)} searches found an architecture that was trained")
        if len(values) > 1:
            s = summary(values)
            console.print(
                f"{target} over {s.n} searches: mean {s.mean:.2f}, standard deviation {s.deviation:.2f}, 95 % interval "
                f"of the mean {s.low:.2f} to {s.high:.2f}",
                soft_wrap=True,
            )
    if len(table) > 1:
        console.print(
            f"a search: {table['evaluations'].mean():.0f} evaluations, {table['seconds'].mean():.1f} s of measuring",
            soft_wrap=True,
        )
