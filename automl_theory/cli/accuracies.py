"""automl-theory accuracy: trained results of benchmarks, converted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from automl_theory.cli.options import PROGRAM, Dataset, Epochs, Split, TrustPickle
from automl_theory.cli.tables import new_folder
from automl_theory.errors import InputError, Interrupted

if TYPE_CHECKING:
    from automl_theory.spaces import Space as NamedSpace

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Convert and look at tables of trained results.")

Source = Annotated[
    str,
    typer.Argument(
        help="digits, a file or folder of NAS-Bench-101, 201 or NATS-Bench, or a .csv or .parquet table.",
        show_default=False,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="THEIRS=OURS",
        help="For tables: rename a column, as in cell=arch or acc=test_accuracy; may be repeated.",
        show_default=False,
    ),
]
Unit = Annotated[
    str,
    typer.Option(metavar="percent|fraction", help="Of a table's accuracies; fractions are multiplied by 100."),
]
Space = Annotated[
    str | None,
    typer.Option(
        help="Space of the architectures, where the table writes them in a form of its own (a hash or matrices of "
        "nas_bench_101, a compact genotype of darts); the result is one row a class of equal ones.",
        show_default=False,
    ),
]


@app.command()
def convert(
    source: Source,
    out: Annotated[Path, typer.Argument(help="The table to write: .parquet or .csv.", show_default=False)],
    dataset: Dataset = None,
    epochs: Epochs = None,
    split: Split = None,
    columns: Columns = None,
    unit: Unit = "percent",
    space: Space = None,
    trust_pickle: TrustPickle = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the table if it exists.")] = False,
) -> None:
    """Write trained results as one small table that opens at once.

    Of a benchmark without --dataset, --epochs and --split everything is kept, one row a training run;
    they are then given where the table is used.
    """
    from automl_theory.accuracy.convert import convert as convert_source
    from automl_theory.accuracy.recipe import line
    from automl_theory.terminal import print_accuracy

    made = new_folder(out)
    try:
        with _keyed_by_option():
            table = convert_source(
                source, out, dataset=dataset, epochs=epochs, split=split, columns=_mapping(columns), unit=unit,
                space=_space(space), trust_pickle=trust_pickle, force=force, progress=_is_long(Path(source)) or None,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; {out} was not written") from None
    print_accuracy(table, line(table.attrs["accuracy"]))
    print(f"table: {out} ({table.index.nunique()} architectures{made})")


@app.command()
def show(
    source: Source = "digits",
    dataset: Dataset = None,
    epochs: Epochs = None,
    split: Split = None,
    columns: Columns = None,
    unit: Unit = "percent",
    space: Space = None,
    trust_pickle: TrustPickle = False,
) -> None:
    """Tell what trained results are: columns with their range, and the recipe."""
    from automl_theory.accuracy.recipe import line
    from automl_theory.accuracy.tables import load_accuracy
    from automl_theory.terminal import print_accuracy

    with _keyed_by_option():
        table = load_accuracy(
            source, dataset=dataset, epochs=epochs, split=split, columns=_mapping(columns), unit=unit,
            space=_space(space), trust_pickle=trust_pickle,
        )  # fmt: skip
    print_accuracy(table, line(table.attrs["accuracy"]))


@contextmanager
def _keyed_by_option() -> Iterator[None]:
    """Say of a table without a column of architectures how the command line names it."""
    from automl_theory.accuracy.table_files import NoArchitectures

    try:
        yield
    except NoArchitectures as error:
        if error.column is None:
            raise
        raise InputError(f"{error.why}: --columns {quote(f'{error.column}=arch')}") from None


def _is_long(source: Path) -> bool:
    """Whether reading takes so long that its progress is shown even where nobody may watch."""
    return source.is_dir() or (source.is_file() and source.stat().st_size > 2e8)


def _space(name: str | None) -> NamedSpace | None:
    from automl_theory.spaces import space

    return None if name is None else space(name)


def _mapping(columns: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in columns or ():
        theirs, sign, ours = text.rpartition("=")
        if not sign or not theirs or not ours:
            raise InputError(f"--columns {text!r} must look like theirs=ours, as in cell=arch; see: {PROGRAM} accuracy")
        pairs[theirs] = ours
    return pairs
