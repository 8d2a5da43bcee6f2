"""The command line. Heavy imports are inside the commands: --help does not import torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import Abort, Exit, TyperException

from automl_theory.errors import AutoMLTheoryError, InputError

if TYPE_CHECKING:
    import pandas as pd

PROGRAM = "automl-theory"
PRESETS: dict[str, dict[str, int]] = {
    "canonical": {"channels": 16, "cells_per_stage": 5},
    "reduced": {"channels": 16, "cells_per_stage": 1},
}

app = typer.Typer(
    name=PROGRAM,
    help="Tells what a neural architecture will be good at, before anyone trains it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Proxies = Annotated[str, typer.Option(help="core, full, or names separated by commas (see: list proxies).")]
Data = Annotated[str, typer.Option(help="digits, gaussian, a CIFAR-10/100 folder, or an .npz file with x and y.")]
Accuracy = Annotated[str | None, typer.Option(help="digits (bundled), or a CSV/Parquet table keyed by architecture.")]
Target = Annotated[str, typer.Option(help="Accuracy or loss column to compare with.")]
Table = Annotated[Path, typer.Argument(help="A score table (.parquet, .csv) or a store (.db).")]


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="proxies or spaces")]) -> None:
    """Show the proxies (with aspect, direction, formula) or the search spaces."""
    from rich.console import Console
    from rich.table import Table as RichTable

    if what == "spaces":
        from automl_theory.spaces import list_spaces, space

        for name in list_spaces():
            print(f"{name}  {space(name).size} architectures")
    elif what == "proxies":
        from automl_theory.proxies import REGISTRY

        table = RichTable("proxy", "aspect", "better", "core", "formula", box=None, pad_edge=False)
        for proxy in REGISTRY.values():
            better = "larger" if proxy.direction == "maximize" else "smaller"
            table.add_row(proxy.name, proxy.family, better, "core" if proxy.core else "", proxy.formula)
        Console().print(table)
    else:
        from automl_theory.errors import suggest

        choices = ("proxies", "spaces")
        raise InputError(f"cannot list {what!r}; use: {PROGRAM} list proxies|spaces.{suggest(what, choices)}")


@app.command()
def score(
    space: Annotated[str | None, typer.Argument(help="A space (see: list spaces).")] = None,
    module: Annotated[str | None, typer.Option(help="Score one network: package.module:factory.")] = None,
    proxies: Proxies = "core",
    sample: Annotated[int | None, typer.Option(help="How many to draw; all if left out.")] = None,
    strings: Annotated[bool, typer.Option(help="Draw strings instead of classes of equal networks.")] = False,
    sample_seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    seeds: Annotated[int | None, typer.Option(help="Weight seeds 0…k−1 to average over (default 1).")] = None,
    data: Data = "digits",
    n: Annotated[int, typer.Option("--n", help="Images per score.")] = 64,
    data_seed: Annotated[int, typer.Option(help="Seed of the batch.")] = 0,
    resolution: Annotated[int, typer.Option(help="Side of the images.")] = 32,
    in_channels: Annotated[int, typer.Option(help="Channels of the images.")] = 3,
    preset: Annotated[
        str, typer.Option(help="canonical (16 channels, 5 cells a stage) or reduced (1 cell).")
    ] = "canonical",
    channels: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    cells: Annotated[int | None, typer.Option(help="Cells a stage, instead of the preset's.")] = None,
    bn: Annotated[str, typer.Option(help="BatchNorm in gradients: frozen, batch or running.")] = "frozen",
    output: Annotated[str, typer.Option(help="NTK over the outputs: sum or trace.")] = "sum",
    biases: Annotated[bool, typer.Option(help="Count biases in the NTK.")] = False,
    init: Annotated[str, typer.Option(help="Initialisation: pytorch, he_fan_in or he_fan_out.")] = "pytorch",
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1.")] = "cpu",
    store: Annotated[Path | None, typer.Option(help="Keeps every result; a stopped run resumes from it.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes (default: one a core).")] = None,
    threads: Annotated[int, typer.Option(help="torch threads per worker.")] = 1,
    shard: Annotated[str | None, typer.Option(help="i/n: score the i-th of n parts (see: merge).")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the table to .parquet or .csv.")] = None,
    accuracy: Accuracy = None,
    target: Target = "test_loss",
    allow_mismatch: Annotated[bool, typer.Option(help="Resume on another machine or version.")] = False,
    retry_failed: Annotated[bool, typer.Option(help="Score again what failed before.")] = False,
) -> None:
    """Score a search space, or one network (--module), without training anything."""
    if (space is None) == (module is None):
        raise InputError(f"name a space or a --module, not {'neither' if space is None else 'both'}; see: list spaces")
    if export is not None:
        from automl_theory.scoring.files import SUFFIXES, check_writable

        check_writable(export, SUFFIXES)
    if module is not None:
        from automl_theory.scoring.named_module import score_named_module

        score_named_module(
            module, proxies=proxies, data=data, n=n, data_seed=data_seed, resolution=resolution, in_channels=in_channels,
            seeds=seeds, init=init, bn=bn, output=output, biases=biases, dtype=dtype, device=device, export=export,
        )  # fmt: skip
        return
    assert space is not None
    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; use {' or '.join(PRESETS)}")
    chosen = {"channels": channels, "cells_per_stage": cells}
    network = PRESETS[preset] | {name: value for name, value in chosen.items() if value is not None}
    measurement = {
        "n": n, "data_seed": data_seed, "resolution": resolution, "in_channels": in_channels, "network": network,
        "bn": bn, "output": output, "biases": biases, "init": init, "dtype": dtype, "device": device,
    }  # fmt: skip
    _score_space(
        space, proxies, data, measurement, store, export, accuracy, target,
        sample=sample, strings=strings, sample_seed=sample_seed, seeds=1 if seeds is None else seeds, workers=workers,
        threads=threads, shard=shard, allow_mismatch=allow_mismatch, retry_failed=retry_failed,
    )  # fmt: skip


def _score_space(
    space: str,
    proxies: str,
    data: str,
    measurement: dict[str, Any],
    store: Path | None,
    export: Path | None,
    accuracy: str | None,
    target: str,
    **options: Any,
) -> None:
    from rich.console import Console

    from automl_theory.progress import ProgressLine
    from automl_theory.scoring.engine import score_space
    from automl_theory.scoring.plan import Measurement, default_store
    from automl_theory.spaces import space as make_space

    where, measured = make_space(space), Measurement(**measurement)
    path = store if store is not None else default_store(where, measured, data)
    path.parent.mkdir(parents=True, exist_ok=True) if store is None else None
    console = Console(stderr=True)
    with ProgressLine(console, f"scoring {space}") as progress:
        table = score_space(where, proxies, data, measurement=measured, store=path, progress=progress, **options)
    table = _with_graph(table, where)
    if export is not None:
        from automl_theory.scoring.files import write_table

        write_table(table, export)
        console.print(f"table: {export}", highlight=False, soft_wrap=True)
    console.print(f"store: {path} ({len(table)} architectures)", highlight=False, soft_wrap=True)
    if accuracy is not None:
        _print_ranking(_joined(table, accuracy), target)
    else:
        _print_best(table)


def _with_graph(table: pd.DataFrame, where: Any) -> pd.DataFrame:
    from automl_theory.analysis.join import join
    from automl_theory.graphs.table import graph_metrics

    if where.graph(table.index[0]) is None:
        return table
    return join(table, graph_metrics(where, table.index))


def _joined(table: pd.DataFrame, accuracy: str) -> pd.DataFrame:
    from automl_theory.accuracy.tables import load_accuracy
    from automl_theory.analysis.join import join

    return join(table, load_accuracy(accuracy))


def _ranked(table: pd.DataFrame, target: str) -> pd.DataFrame:
    from automl_theory.analysis.ranking import rank

    noise = (f"{target}_seed0", f"{target}_seed1")
    return rank(table, target, noise=noise if set(noise) <= set(table.columns) else None)


def _print_ranking(table: pd.DataFrame, target: str) -> pd.DataFrame:
    from automl_theory.report.console import print_ranking

    ranking = _ranked(table, target)
    print_ranking(ranking)
    return ranking


def _print_best(table: pd.DataFrame) -> None:
    """Without accuracies: the best architecture of each proxy."""
    from rich.console import Console
    from rich.table import Table as RichTable

    best = RichTable("proxy", "aspect", "best value", "architecture", "undefined", box=None, pad_edge=False)
    for name, proxy in table.attrs["proxies"].items():
        values = table[name].dropna()
        if proxy["family"] == "size" or values.empty:
            continue
        arch = values.idxmax() if proxy["direction"] == "maximize" else values.idxmin()
        best.add_row(name, proxy["family"], f"{values[arch]:.6g}", str(arch), str(len(table) - len(values)))
    Console().print(best)


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".db":
        from automl_theory.scoring.rebuild import table_of_store

        table, where = table_of_store(path)
        return _with_graph(table, where)
    from automl_theory.scoring.files import read_table

    return read_table(path)


@app.command()
def rank(table: Table, accuracy: Accuracy = None, target: Target = "test_loss") -> None:
    """Rank proxies by their agreement with trained results (Kendall τ, Spearman ρ, intervals, size baselines)."""
    scores = _read(table)
    _print_ranking(scores if accuracy is None else _joined(scores, accuracy), target)


@app.command()
def report(
    table: Table,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    accuracy: Accuracy = None,
    target: Target = "test_loss",
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
) -> None:
    """Write one offline HTML page: ranking, the three aspects, the best architectures, how it was measured."""
    from automl_theory.report.html import report as write_report
    from automl_theory.scoring.files import check_writable

    check_writable(output, (".html", ".htm"))
    scores = _read(table)
    if accuracy is not None:
        scores = _joined(scores, accuracy)
    ranking = _print_ranking(scores, target) if target in scores.columns or accuracy is not None else None
    print(f"report: {write_report(scores, output, ranking=ranking, title=title)}")


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="A store (.db).")],
    output: Annotated[Path, typer.Argument(help="The table to write: .parquet or .csv.")],
) -> None:
    """Write the table of a store, finished or not."""
    from automl_theory.scoring.files import SUFFIXES, check_writable, write_table

    check_writable(output, SUFFIXES)
    table = _read(store)
    print(f"table: {write_table(table, output)} ({len(table)} architectures)")


@app.command()
def merge(
    target: Annotated[Path, typer.Argument(help="The store to unite in; made if missing.")],
    sources: Annotated[list[Path], typer.Argument(help="Stores of the shards of one run.")],
    allow_mismatch: Annotated[bool, typer.Option(help="Unite shards of other machines or versions.")] = False,
) -> None:
    """Unite the stores of a run's shards (score --shard 1/2, score --shard 2/2) in one."""
    from automl_theory.scoring.store import merge as merge_stores

    count = merge_stores(target, sources, allow_mismatch=allow_mismatch)
    print(f"store: {target} ({count} scores)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error of the user is one line on stderr and exit status 2, Ctrl-C is 130."""
    try:
        code = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except AutoMLTheoryError as error:
        from automl_theory.errors import Interrupted

        _fail(str(error), 130 if isinstance(error, Interrupted) else 2)
    except TyperException as error:
        _fail(f"{error.format_message()} Try: {PROGRAM} --help", 2)  # type: ignore[attr-defined]
    except (KeyboardInterrupt, Abort):
        _fail("stopped", 130)
    except Exit as stop:
        code = stop.exit_code
    except BrokenPipeError:
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print(f"{PROGRAM}: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
