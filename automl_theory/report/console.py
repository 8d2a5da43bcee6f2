"""A ranking in the terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDE = 90
"""From this many columns on a second target's τ stands beside."""
FULL = 120
"""From this many columns on every value has its interval, below only τ."""
FEW = 20
"""A value of fewer architectures than this is marked with a star."""
LONG = 28
"""Characters of a name on one line of a narrow terminal."""
_SHORT = {"generalization": "gen", "expressivity": "expr", "convergence": "conv"}
_VALUES = {"Spearman ρ": "spearman", "partial ρ": "partial", "top τ": "kendall_top"}
_HEADS = {"Spearman ρ": "ρ", "partial ρ": "part.", "top τ": "top τ"}
"""Their heads on a narrow terminal."""


def print_ranking(ranking: pd.DataFrame, console: Console | None = None, *, beside: pd.DataFrame | None = None) -> None:
    """Print the table that `rank` returns: proxy, family, τ [interval], ρ, partial ρ, top τ, n, notes; best on top.

    On a terminal of 120 columns or more ρ, partial ρ and top τ have their intervals too; below 90 they have short
    heads, so that 80 are enough, and the family is left out where names are so long that it would not fit. Size
    baselines are marked with ◇, values of fewer than 20 architectures with a star, the noise ceiling closes the table,
    notes are letters explained below it, and the last lines say what was compared, on which rows, given what, and what
    happened to undefined values. `beside` is a ranking against another target, whose τ gets a column of its own where
    the terminal has at least 90 columns.
    """
    console = console or Console()
    facts = ranking.attrs.get("ranking", {})
    if console.width < WIDE:
        beside = None
    notes = _Letters()
    rows = _rows(ranking, beside, notes, full=console.width >= FULL)
    narrow = console.width < WIDE
    table = _table(rows, beside, narrow=narrow, notes=notes)
    wanted = console.measure(table, options=console.options.update(max_width=10 * FULL)).maximum
    if narrow and wanted > console.width:
        table = _table(rows, beside, narrow=narrow, notes=notes, family=False)
    console.print(table)
    for note in notes.legend():
        console.print(note, style="dim", highlight=False, markup=False)
    if facts:
        console.print(escape(footnote(ranking, picks=False)), style="dim", highlight=False)
    if any(cell.endswith("*") for row in rows for cell in row.cells):
        console.print(f"* of fewer than {FEW} architectures: hardly a hint", style="dim", highlight=False)


@dataclass(frozen=True)
class _Row:
    """A line of the table in the terminal: what stands in each column, and its style; `section` starts a new one."""

    name: str
    family: str
    cells: list[str]
    n: str
    note: str
    style: str | None
    section: bool = False


def _rows(ranking: pd.DataFrame, beside: pd.DataFrame | None, notes: _Letters, *, full: bool) -> list[_Row]:
    taus = None if beside is None else {str(proxy): float(tau) for proxy, tau in beside["kendall"].items()}

    def cells(row: Mapping[str, Any]) -> list[str]:
        return [_cell(row, "kendall"), *(_cell(row, name, full) for name in _VALUES.values())]

    rows = []
    for name, row in ranking.iterrows():
        baseline = bool(row["baseline"])
        rows.append(
            _Row(
                f"{'◇ ' if baseline else ''}{escape(str(name))}",
                _SHORT.get(str(row["family"]), str(row["family"])),
                cells({str(column): value for column, value in row.items()})
                + ([] if taus is None else [interval(taus[str(name)], np.nan, np.nan)]),
                str(row["n"]),
                notes.of(row["note"]),
                "dim" if np.isnan(row["kendall"]) else "cyan" if baseline else None,
            )
        )
    if ceiling := ranking.attrs.get("ranking", {}).get("noise_ceiling"):
        other = (beside.attrs["ranking"].get("noise_ceiling") if beside is not None else None) or {}
        others = [] if beside is None else [interval(other.get("kendall", np.nan), np.nan, np.nan)]
        note = notes.of(f"{ceiling['columns'][0]} against {ceiling['columns'][1]}")
        rows.append(_Row("noise ceiling", "", cells(ceiling) + others, str(ceiling["n"]), note, "bold", True))
    return rows


def _table(
    rows: list[_Row], beside: pd.DataFrame | None, *, narrow: bool, notes: _Letters, family: bool = True
) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("proxy", overflow="fold", max_width=LONG if narrow else None)
    if family:
        table.add_column("for", no_wrap=True)
    table.add_column("Kendall τ", no_wrap=True)
    for head in _VALUES:
        table.add_column(_HEADS[head] if narrow else head, no_wrap=True)
    if beside is not None:
        table.add_column(f"τ {_target(beside)}", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("note", no_wrap=True)
    for row in rows:
        if row.section:
            table.add_section()
        told = notes.joined(row.note) if narrow else row.note
        table.add_row(row.name, *([row.family] if family else []), *row.cells, row.n, told, style=row.style)
    return table


def _cell(row: Mapping[str, Any], name: str, with_ends: bool = True) -> str:
    """Return a value of a row, with its interval if asked for; nothing where the row has no such value."""
    if name not in row:
        return ""
    low, high = (row.get(f"{name}_{end}", np.nan) if with_ends else np.nan for end in ("low", "high"))
    few = name == "kendall_top" and not np.isnan(row[name]) and row.get("n_top", FEW) < FEW
    return interval(row[name], low, high) + ("*" if few else "")


class _Letters:
    """Gives every distinct part of the notes a letter, a to z, then aa …, in order of appearance."""

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}

    def of(self, note: str) -> str:
        parts = [part for part in note.split("; ") if part]
        for part in parts:
            count, letter = len(self._parts), ""
            while part not in self._parts:
                letter = chr(ord("a") + count % 26) + letter
                count = count // 26 - 1
                if count < 0:
                    self._parts[part] = letter
        return " ".join(self._parts[part] for part in parts)

    def joined(self, letters: str) -> str:
        """Return the letters of a row without spaces, where none has two."""
        return letters.replace(" ", "") if len(self._parts) <= 26 else letters

    def legend(self) -> list[str]:
        return [f"{letter}  {part}" for part, letter in self._parts.items()]


def _target(ranking: pd.DataFrame) -> str:
    return str(ranking.attrs["ranking"]["target"])


def interval(value: float, low: float, high: float) -> str:
    """Return "0.61 [0.55,0.66]", without the brackets where there is no interval, "–" for NaN."""
    if np.isnan(value):
        return "–"
    ends = "" if np.isnan(low) else f" \\[{low:.2f},{high:.2f}]"
    return f"{value:.2f}{ends}"


def footnote(ranking: pd.DataFrame, picks: bool = True) -> str:
    """Return a few sentences: target and its recipe, rows, policy on undefined values, what partial and top mean.

    `picks`: also how many k are, where overlap and regret are shown. The ranking must have the facts that `rank`
    writes to `attrs["ranking"]`.
    """
    facts = ranking.attrs["ranking"]
    good = "low" if facts["target_direction"] == "minimize" else "high"
    policy = "left out of n" if facts["undefined"] == "drop" else "ranked last"
    without = f", {facts['without_target']:,} without a target left out" if facts["without_target"] else ""
    given = ", ".join(facts["given"]) or "nothing"
    dash = " (–: it is one of them, or follows from them)" if _unmeasured(ranking) else ""
    shown = f"Overlap and regret: k = {facts['k']} picks. " if picks else ""
    return (
        f"Target {facts['target']} ({good} is good); + means the proxy's good direction agrees. "
        f"{facts['rows']:,} architectures{without}, {facts['classes']:,} distinct; undefined values are {policy}. "
        f"Partial ρ is given {given}{dash}. Top: the best {100 * facts['top']:g} % by target, "
        f"{facts['rows_top']:,} architectures. {shown}{_intervals(facts)}{_strongest(facts)}"
    )


def _unmeasured(ranking: pd.DataFrame) -> bool:
    """Whether a proxy with a τ has no partial correlation."""
    return bool(ranking.attrs["ranking"]["given"] and (ranking["partial"].isna() & ranking["kendall"].notna()).any())


def _strongest(facts: Mapping[str, Any]) -> str:
    """Return which size baseline the notes compare with, and that it counts turned round where it points wrong."""
    name, tau = facts["baseline"], facts["baseline_kendall"]
    if name is None:
        return ""
    turned = ", pointing the wrong way: the notes compare with it turned round" if tau < 0 else ""
    return f" ◇ size baseline: the strongest is {name}, |τ| {abs(tau):.2f}{turned}."


def _intervals(facts: dict[str, Any]) -> str:
    seeds = (
        f"; those of τ and ρ are widened by what {len(facts['seeds'])} training seeds differ by, "
        "those of partial ρ and top τ and the notes' comparisons with sizes are not"
        if facts["seeds"]
        else ""
    )
    if facts["interval"] == "analytic":
        return f"{100 * facts['level']:g} % intervals: analytic, the distinct ones as clusters{seeds}."
    if not facts["resamples"]:
        return "No intervals."
    return (
        f"{100 * facts['level']:g} % intervals: {facts['resamples']} bootstrap resamples of the distinct ones, "
        f"seed {facts['seed']}{seeds}."
    )
