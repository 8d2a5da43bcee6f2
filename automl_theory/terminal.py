"""Tables of the command line: names and architecture strings stay whole at 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

SHOWN_FAILURES = 3


class Described(Protocol):
    """What is shown of a proxy."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def family(self) -> str:
        """The aspect it speaks about."""

    @property
    def direction(self) -> str:
        """Either "maximize" or "minimize"."""

    @property
    def core(self) -> bool:
        """Whether it belongs to the group `core`."""

    @property
    def formula(self) -> str:
        """Its formula in a line."""


def print_proxies(proxies: Sequence[Described], console: Console | None = None) -> None:
    """Print proxies under their aspects: name, better direction, whether core, formula."""
    console = console or Console()
    width = max((len(proxy.name) for proxy in proxies), default=0)
    for family in dict.fromkeys(proxy.family for proxy in proxies):
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=width)
        table.add_column(no_wrap=True, min_width=len("smaller"))
        table.add_column(no_wrap=True, min_width=len("core"))
        table.add_column(overflow="fold", ratio=1)
        for proxy in (proxy for proxy in proxies if proxy.family == family):
            better = "larger" if proxy.direction == "maximize" else "smaller"
            table.add_row(proxy.name, better, "core" if proxy.core else "", escape(proxy.formula))
        console.print(family, style="bold")
        console.print(Padding(table, (0, 0, 1, 2)))
    console.print(
        "larger or smaller: which values are held to be better. core: what --proxies core computes, with one forward "
        "and one backward pass.",
        style="dim",
        highlight=False,
    )


def print_best(table: pd.DataFrame, console: Console | None = None) -> None:
    """Print the best architecture of each proxy of a score table, each architecture once and whole below the table."""
    console = console or Console()
    best = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("proxy", "aspect", "best value"):
        best.add_column(column, no_wrap=True)
    for column in ("undefined", "best"):
        best.add_column(column, justify="right", no_wrap=True)
    numbers: dict[str, int] = {}
    for name, proxy in _measured(table):
        values = table[name].dropna()
        if values.empty:
            best.add_row(name, proxy["family"], "–", str(len(table)), "–", style="dim")
            continue
        arch = str(values.idxmax() if proxy["direction"] == "maximize" else values.idxmin())
        tied = int((values == values[arch]).sum()) - 1
        number = numbers.setdefault(arch, len(numbers) + 1)
        mark = f"{number}" + (f" and {tied} more" if tied else "")
        best.add_row(name, proxy["family"], f"{values[arch]:.6g}", str(len(table) - len(values)), mark)
    if not best.row_count:
        return
    console.print(best)
    for arch, number in numbers.items():
        console.print(f"{number:>2}  {arch}", highlight=False, markup=False, soft_wrap=True)


def print_failures(failures: Sequence[tuple[str, int, str]], told: str, console: Console) -> None:
    """Print how many scores failed, what is `told` of them, and the first reasons."""
    if not failures:
        return
    console.print(f"failed: {len(failures)} ({told})", highlight=False, markup=False, soft_wrap=True)
    for arch, seed, reason in failures[:SHOWN_FAILURES]:
        console.print(f"  {arch} seed {seed}: {reason}", highlight=False, markup=False, soft_wrap=True)
    if len(failures) > SHOWN_FAILURES:
        console.print(f"  and {len(failures) - SHOWN_FAILURES} more", highlight=False)


def print_kernels(details: Sequence[tuple[str, str]], console: Console) -> None:
    """Print for how many architectures a store's details say that the kernel was computed the slower way, and why."""
    slower: dict[str, set[str]] = {}
    for arch, detail in details:
        for part in detail.split("; "):
            if part.startswith("kernel: "):
                slower.setdefault(part.removeprefix("kernel: "), set()).add(arch)
    for way, architectures in sorted(slower.items()):
        count = f"{len(architectures)} architecture{'s' if len(architectures) > 1 else ''}"
        console.print(f"kernel of {count} by the slower way: {way}", highlight=False, markup=False, soft_wrap=True)


def print_module(row: pd.DataFrame, reasons: Mapping[str, str], console: Console | None = None) -> None:
    """Print the scores of one network, a table of one row: value, spread over seeds, status and why there is none."""
    console = console or Console()
    spread = ["std"] if len(row.attrs["seeds"]) > 1 else []
    table = Table(box=None, pad_edge=False)
    for column in ("proxy", "aspect", "value", *spread):
        table.add_column(column, no_wrap=True)
    table.add_column("status", overflow="fold")
    for name, proxy in row.attrs["proxies"].items():
        status, reason = str(row[f"{name}_status"].iloc[0]), reasons.get(name, "")
        numbers = [f"{row[name].iloc[0]:.6g}", *(f"{row[f'{name}_{word}'].iloc[0]:.3g}" for word in spread)]
        table.add_row(name, proxy["family"], *numbers, escape(f"{status}: {reason}" if reason else status))
    console.print(table)
    way = row.attrs["settings"]
    console.print(
        f"{row.index[0]}: n={way['n']}, bn={way['bn']}, output={way['output']}, biases={way['biases']}, "
        f"init={way['init']}, {way['dtype']}, kernel by {way['kernel_method']}",
        highlight=False,
        markup=False,
    )
    console.print(f"data: {way['source']}", highlight=False, markup=False)


def print_recipe(line: str, console: Console | None = None) -> None:
    """Print what trained results are, in one line."""
    (console or Console()).print(f"Trained results: {line}", highlight=False, markup=False, soft_wrap=True)


def print_accuracy(table: pd.DataFrame, line: str, console: Console | None = None) -> None:
    """Print what a table of trained results holds: columns with their range, and what they are in a line.

    Columns of single seeds are counted, not shown.
    """
    console = console or Console()
    numbers = table.select_dtypes("number")
    shown = [str(column) for column in numbers.columns if "_seed" not in str(column)]
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column("column", no_wrap=True)
    for column in ("lowest", "median", "highest", "rows"):
        grid.add_column(column, justify="right", no_wrap=True)
    for name in shown:
        values = numbers[name].dropna()
        grid.add_row(
            name, *(f"{value:.6g}" for value in (values.min(), values.median(), values.max())), str(len(values))
        )
    console.print(grid)
    if single := numbers.shape[1] - len(shown):
        console.print(f"and {single} columns of single training seeds", highlight=False)
    print_recipe(line, console)


def _measured(table: pd.DataFrame) -> Iterable[tuple[str, dict[str, Any]]]:
    """Proxies of the table besides sizes and graph measures, of which the best says nothing."""
    return [(name, proxy) for name, proxy in table.attrs["proxies"].items() if proxy["family"] not in ("size", "graph")]
