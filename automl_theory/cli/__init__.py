"""The command line. Heavy imports are inside the commands: --help does not import torch."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, Exit, TyperException

from automl_theory.cli import accuracies, reproduce
from automl_theory.cli.listing import list_
from automl_theory.cli.options import PROGRAM
from automl_theory.cli.pruning import prune
from automl_theory.cli.ranking import rank, report
from automl_theory.cli.scoring import score
from automl_theory.cli.searching import search
from automl_theory.cli.stores import export, merge
from automl_theory.errors import AutoMLTheoryError, Interrupted

__all__ = ["app", "main", "score"]

INTERRUPTED = 130
DISTRIBUTIONS = {"sklearn": "scikit-learn"}

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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


app.command("list")(list_)
app.command()(score)
app.command()(search)
app.command()(prune)
app.add_typer(accuracies.app, name="accuracy")
app.add_typer(reproduce.app, name="reproduce")
for command in (rank, report, export, merge):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error of the user is one line on stderr and exit status 2, Ctrl-C is 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        with _warnings_in_a_line():
            code = app(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except AutoMLTheoryError as error:
        _fail(str(error), INTERRUPTED if isinstance(error, Interrupted) else 2)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package == __package__.partition(".")[0]:
            raise
        _fail(f"{package} is not installed; install it with: pip install {DISTRIBUTIONS.get(package, package)}", 2)
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
        # Whoever read our output has left.
        _silence_stdout()
        code = 1
    except OSError as error:
        _silence_stdout()
        where = f" ({error.filename})" if error.filename else ""
        _fail(f"the system refuses: {error.strerror or error}{where}; free some space, or check the place", 2)
    if code == INTERRUPTED:
        _fail("stopped; run the same command again to go on", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _silence_stdout() -> None:
    """Keep the interpreter from complaining when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
