"""The command line. Heavy imports are inside the commands: --help does not import torch."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import Abort, Exit, TyperException

from automl_theory.errors import AutoMLTheoryError, InputError, Interrupted, suggest

if TYPE_CHECKING:
    import pandas as pd

    from automl_theory.spaces import Space

PROGRAM = "automl-theory"
INTERRUPTED = 130
PRESETS: dict[str, dict[str, int]] = {
    "canonical": {"channels": 16, "cells_per_stage": 5},
    "reduced": {"channels": 16, "cells_per_stage": 1},
}
LISTS = ("proxies", "spaces")
# Options of `score` that say something about one network (--module) too; the others are about a run over a space.
OF_A_MODULE = {
    "space", "module", "proxies", "seeds", "data", "n", "data_seed", "resolution", "in_channels", "bn", "output",
    "biases", "init", "dtype", "device", "export",
}  # fmt: skip

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

WHAT, HOW, RUN, OUT = "What is scored", "How it is measured", "How it runs", "What comes out"
Accuracy = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE",
        help="Trained results: digits (bundled), or a CSV or Parquet file keyed by architecture.",
        rich_help_panel=OUT,
    ),
]
Target = Annotated[str, typer.Option(help="Accuracy or loss to compare with.", rich_help_panel=OUT)]
Table = Annotated[Path, typer.Argument(help="A score table (.parquet or .csv) or a store.", show_default=False)]


def _print_version(wanted: bool) -> None:
    if wanted:
        from automl_theory import __version__

        print(f"{PROGRAM} {__version__}")
        raise Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Tells what a neural architecture will be good at, before anyone trains it."""


@app.command("list")
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


@app.command()
def score(
    context: typer.Context,
    space: Annotated[
        str | None, typer.Argument(help="A space (see: list spaces).", metavar="SPACE", show_default=False)
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(help="Instead of a space, one network: package.module:factory.", rich_help_panel=WHAT),
    ] = None,
    proxies: Annotated[
        str, typer.Option(help="core, full, or names with commas between (see: list proxies).", rich_help_panel=WHAT)
    ] = "core",
    sample: Annotated[
        int | None,
        typer.Option(help="How many architectures to draw; the whole space if left out.", rich_help_panel=WHAT),
    ] = None,
    sample_seed: Annotated[int, typer.Option(help="Seed of the draw.", rich_help_panel=WHAT)] = 0,
    strings: Annotated[
        bool, typer.Option("--strings", help="Draw strings, not classes of equal networks.", rich_help_panel=WHAT)
    ] = False,
    arch: Annotated[
        list[str] | None,
        typer.Option(help="Score this architecture; may be repeated.", rich_help_panel=WHAT, show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="How many seeds of the weights (0…k−1) to average over. Default: 1; a --module keeps its weights.",
            rich_help_panel=HOW,
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(help="digits, gaussian, a CIFAR-10/100 folder, or an .npz with x and y.", rich_help_panel=HOW)
    ] = "digits",
    n: Annotated[int, typer.Option("--n", help="Images per score.", rich_help_panel=HOW)] = 64,
    data_seed: Annotated[int, typer.Option(help="Seed of the batch.", rich_help_panel=HOW)] = 0,
    resolution: Annotated[int, typer.Option(help="Side of the images.", rich_help_panel=HOW)] = 32,
    in_channels: Annotated[int, typer.Option(help="Channels of the images.", rich_help_panel=HOW)] = 3,
    preset: Annotated[
        str,
        typer.Option(help="canonical (16 channels, 5 cells a stage) or reduced (1 cell a stage).", rich_help_panel=HOW),
    ] = "canonical",
    channels: Annotated[
        int | None, typer.Option(help="Channels of the network, instead of the preset's.", rich_help_panel=HOW)
    ] = None,
    cells_per_stage: Annotated[
        int | None,
        typer.Option(
            "--cells-per-stage", "--cells", help="Cells a stage, instead of the preset's.", rich_help_panel=HOW
        ),
    ] = None,
    bn: Annotated[
        str, typer.Option(help="BatchNorm in gradients: frozen, batch or running.", rich_help_panel=HOW)
    ] = "frozen",
    output: Annotated[str, typer.Option(help="NTK over the outputs: sum or trace.", rich_help_panel=HOW)] = "sum",
    biases: Annotated[bool, typer.Option("--biases", help="Count biases in the NTK.", rich_help_panel=HOW)] = False,
    init: Annotated[
        str, typer.Option(help="Initialisation: pytorch, he_fan_in or he_fan_out.", rich_help_panel=HOW)
    ] = "pytorch",
    dtype: Annotated[str, typer.Option(help="float32 or float64.", rich_help_panel=HOW)] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.", rich_help_panel=RUN)] = "cpu",
    store: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps every result; a stopped run goes on from it. Default: one in runs/, named by what is "
            "measured.",
            rich_help_panel=RUN,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; 0 is this one. Default: as many as there are cores.", rich_help_panel=RUN),
    ] = None,
    threads: Annotated[int, typer.Option(help="torch threads of each worker.", rich_help_panel=RUN)] = 1,
    shard: Annotated[
        str | None, typer.Option(help="i/n: score the i-th of n parts (then: merge).", rich_help_panel=RUN)
    ] = None,
    allow_mismatch: Annotated[
        bool,
        typer.Option("--allow-mismatch", help="Go on on another machine or version.", rich_help_panel=RUN),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Score again what failed before.", rich_help_panel=RUN)
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the table to this .parquet or .csv.", rich_help_panel=OUT)
    ] = None,
    accuracy: Accuracy = None,
    target: Target = "test_loss",
) -> None:
    """Score a search space, or one network (--module), without training anything."""
    if (space is None) == (module is None):
        raise InputError(f"name a space or a --module, not {'neither' if space is None else 'both'}; see: list spaces")
    if export is not None:
        from automl_theory.scoring.files import SUFFIXES, check_writable

        check_writable(export, SUFFIXES)
    if module is not None:
        _refuse_others(context)
        from automl_theory.scoring.named_module import score_named_module

        score_named_module(
            module, proxies=proxies, seeds=seeds, data=data, n=n, data_seed=data_seed, resolution=resolution,
            in_channels=in_channels, bn=bn, output=output, biases=biases, init=init, dtype=dtype, device=device,
            export=export,
        )  # fmt: skip
        return
    assert space is not None
    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; use {' or '.join(PRESETS)}.{suggest(preset, PRESETS)}")
    chosen = {"channels": channels, "cells_per_stage": cells_per_stage}
    network = PRESETS[preset] | {name: value for name, value in chosen.items() if value is not None}
    measurement = {
        "n": n, "data_seed": data_seed, "resolution": resolution, "in_channels": in_channels, "network": network,
        "bn": bn, "output": output, "biases": biases, "init": init, "dtype": dtype, "device": device,
    }  # fmt: skip
    _score_space(
        space, proxies, data, measurement, store, export, accuracy, target,
        architectures=arch or None, sample=sample, strings=strings, sample_seed=sample_seed,
        seeds=1 if seeds is None else seeds, workers=workers, threads=threads, shard=shard,
        allow_mismatch=allow_mismatch, retry_failed=retry_failed,
    )  # fmt: skip


def _refuse_others(context: typer.Context) -> None:
    """Refuse what was given with --module and means nothing there."""
    given = (
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    )
    for name in given:
        if name not in OF_A_MODULE:
            raise InputError(f"--{name.replace('_', '-')} is for a run over a space; leave it out with --module")


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

    console = Console(stderr=True, highlight=False)
    with ProgressLine(console, f"scoring {space}") as progress:
        from automl_theory.scoring.engine import score_space
        from automl_theory.scoring.plan import Measurement, default_store
        from automl_theory.spaces import space as make_space

        where, measured = make_space(space), Measurement(**measurement)
        trained = None if accuracy is None else _trained(accuracy, target)
        path = store if store is not None else default_store(where, measured, data)
        table = score_space(where, proxies, data, measurement=measured, store=path, progress=progress, **options)
    from automl_theory.scoring.rebuild import failures
    from automl_theory.terminal import print_best, print_failures

    scored = set(table["canonical"])
    print_failures([failure for failure in failures(path) if failure[0] in scored], console)
    table = _with_graph(table, where)
    if export is not None:
        from automl_theory.scoring.files import write_table

        write_table(table, export)
        console.print(f"table: {export}", markup=False, soft_wrap=True)
    console.print(f"store: {path} ({len(table)} architectures)", markup=False, soft_wrap=True)
    if trained is not None:
        _print_ranking(_joined(table, trained), target)
    else:
        print_best(table)


def _with_graph(table: pd.DataFrame, where: Space | None) -> pd.DataFrame:
    from automl_theory.analysis.join import join
    from automl_theory.graphs.table import graph_metrics

    if where is None or where.graph(table.index[0]) is None:
        return table
    return join(table, graph_metrics(where, table.index))


def _trained(accuracy: str, target: str) -> pd.DataFrame:
    from automl_theory.accuracy.tables import load_accuracy

    table = load_accuracy(accuracy)
    if target not in table.columns:
        there = [str(column) for column in table.columns]
        raise InputError(
            f"{accuracy} has no column {target!r}; --target can be {', '.join(there)}.{suggest(target, there)}"
        )
    return table


def _joined(table: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    from automl_theory.analysis.join import join

    return join(table, trained)


def _print_ranking(table: pd.DataFrame, target: str) -> pd.DataFrame:
    from automl_theory.analysis.ranking import rank
    from automl_theory.report.console import print_ranking

    ranking = rank(table, target)
    numbers = table.select_dtypes("number").columns
    others = [other for other in ("test_accuracy", "test_loss") if other in numbers and other != target]
    print_ranking(ranking, beside=rank(table, others[0], resamples=0) if others else None)
    return ranking


def _read(path: Path) -> pd.DataFrame:
    """A score table from a file, or from a store, known by its first bytes or its name."""
    from automl_theory.scoring.sqlite_file import is_database

    if path.suffix == ".db" or is_database(path):
        from automl_theory.scoring.rebuild import table_of_store

        return _with_graph(*table_of_store(path))
    from automl_theory.scoring.files import read_table

    return read_table(path)


def _with_target(path: Path, accuracy: str | None, target: str) -> pd.DataFrame:
    trained = None if accuracy is None else _trained(accuracy, target)
    scores = _read(path)
    if trained is not None:
        return _joined(scores, trained)
    if target not in scores.columns:
        near = suggest(target, map(str, scores.columns))
        raise InputError(
            f"{path} has no column {target!r}; add trained results with --accuracy (digits, or a file), or name a "
            f"column with --target.{near}"
        )
    return scores


@app.command()
def rank(table: Table, accuracy: Accuracy = None, target: Target = "test_loss") -> None:
    """Rank proxies by their agreement with trained results.

    Kendall τ and Spearman ρ with intervals, the size baselines and the noise ceiling.
    """
    _print_ranking(_with_target(table, accuracy, target), target)


@app.command()
def report(
    table: Table,
    output: Annotated[Path, typer.Option(help="The page to write.", rich_help_panel=OUT)] = Path("report.html"),
    accuracy: Accuracy = None,
    target: Annotated[
        str | None,
        typer.Option(help="Accuracy or loss to compare with; test_loss where there is one.", rich_help_panel=OUT),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.", rich_help_panel=OUT)] = None,
) -> None:
    """Write one offline HTML page.

    It holds the ranking, the three aspects against each other, the best architectures, and how it was measured.
    """
    from automl_theory.errors import require
    from automl_theory.scoring.files import check_writable

    for needed in ("plotly", "jinja2"):
        require(needed, "report")
    check_writable(output, (".html", ".htm"))
    from automl_theory.report.html import report as write_report

    if target is None and accuracy is None:
        scores = _read(table)
        target = "test_loss" if "test_loss" in scores.columns else None
    else:
        target = target or "test_loss"
        scores = _with_target(table, accuracy, target)
    ranking = None if target is None else _print_ranking(scores, target)
    print(f"report: {write_report(scores, output, ranking=ranking, title=title)}")


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="A store.", show_default=False)],
    output: Annotated[Path, typer.Argument(help="The table to write: .parquet or .csv.", show_default=False)],
) -> None:
    """Write the table of a store, finished or not."""
    from automl_theory.scoring.files import SUFFIXES, check_writable, write_table

    check_writable(output, SUFFIXES)
    table = _read(store)
    print(f"table: {write_table(table, output)} ({len(table)} architectures)")


@app.command()
def merge(
    target: Annotated[Path, typer.Argument(help="The store to unite in; made if missing.", show_default=False)],
    sources: Annotated[list[Path], typer.Argument(help="Stores of the shards of one run.", show_default=False)],
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-mismatch", help="Unite shards of other machines or versions.")
    ] = False,
) -> None:
    """Unite the stores of a run's shards (score --shard 1/2, score --shard 2/2) in one."""
    from automl_theory.scoring.store import merge as merge_stores

    count = merge_stores(target, sources, allow_mismatch=allow_mismatch)
    print(f"store: {target} ({count} scores)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error of the user is one line on stderr and exit status 2, Ctrl-C is 130."""
    try:
        with _warnings_in_a_line():
            code = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except AutoMLTheoryError as error:
        _fail(str(error), INTERRUPTED if isinstance(error, Interrupted) else 2)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else PROGRAM
        if told := error.format_message().rstrip("."):
            _fail(f"{told}; see: {command} --help", 2)
        code = 2  # Nothing was asked for, and the help is printed.
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    except Exit as stop:
        code = stop.exit_code
    except BrokenPipeError:
        # Whoever read our output has left; keep the interpreter from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code == INTERRUPTED:
        _fail("stopped; run the same command again to go on", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Show a warning as one line on stderr, without the place in the code."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"{PROGRAM}: note: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _fail(message: str, code: int) -> None:
    print(f"{PROGRAM}: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
