"""A ranking in the terminal, readable at 80 columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDE = 90
_SHORT = {"generalization": "gen", "expressivity": "expr", "convergence": "conv"}


def print_ranking(ranking: pd.DataFrame, console: Console | None = None, *, beside: pd.DataFrame | None = None) -> None:
    """Print the table that `rank` returns: proxy, family, τ [interval], ρ [interval], n, notes; best on top.

    Size baselines are marked with ◇, the noise ceiling closes the table, notes are letters explained below it, and a
    last line says what was compared, on which rows, and what happened to undefined values. `beside` is a ranking
    against another target, whose τ gets a column of its own where the terminal has at least 90 columns.
    """
    console = console or Console()
    facts = ranking.attrs.get("ranking", {})
    if console.width < WIDE:
        beside = None
    notes = _Letters()
    taus = None if beside is None else {str(proxy): float(tau) for proxy, tau in beside["kendall"].items()}
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("proxy", overflow="fold", max_width=28)
    for column in ("for", "Kendall τ", "Spearman ρ"):
        table.add_column(column, no_wrap=True)
    if beside is not None:
        table.add_column(f"τ {_target(beside)}", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("note", no_wrap=True)
    for name, row in ranking.iterrows():
        baseline = bool(row["baseline"])
        table.add_row(
            f"{'◇ ' if baseline else ''}{escape(str(name))}",
            _SHORT.get(str(row["family"]), str(row["family"])),
            interval(row["kendall"], row["kendall_low"], row["kendall_high"]),
            interval(row["spearman"], row["spearman_low"], row["spearman_high"]),
            *([] if taus is None else [interval(taus[str(name)], np.nan, np.nan)]),
            str(row["n"]),
            notes.of(row["note"]),
            style="dim" if np.isnan(row["kendall"]) else "cyan" if baseline else None,
        )
    if ceiling := facts.get("noise_ceiling"):
        other = (beside.attrs["ranking"].get("noise_ceiling") if beside is not None else None) or {}
        table.add_section()
        table.add_row(
            "noise ceiling",
            "",
            interval(ceiling["kendall"], ceiling["kendall_low"], ceiling["kendall_high"]),
            interval(ceiling["spearman"], ceiling["spearman_low"], ceiling["spearman_high"]),
            *([] if beside is None else [interval(other.get("kendall", np.nan), np.nan, np.nan)]),
            str(ceiling["n"]),
            notes.of(f"{ceiling['columns'][0]} against {ceiling['columns'][1]}"),
            style="bold",
        )
    console.print(table)
    for line in notes.legend():
        console.print(line, style="dim", highlight=False, markup=False)
    if facts:
        console.print(escape(footnote(ranking)), style="dim", highlight=False)


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


def footnote(ranking: pd.DataFrame) -> str:
    """Return one or two sentences: the target, the rows and classes, the policy on undefined values, the intervals."""
    facts = ranking.attrs["ranking"]
    good = "low" if facts["target_direction"] == "minimize" else "high"
    policy = "left out of n" if facts["undefined"] == "drop" else "ranked last"
    without = f", {facts['without_target']} without a target left out" if facts["without_target"] else ""
    best = f" ◇ size baseline: the best is {facts['baseline']}." if facts["baseline"] else ""
    return (
        f"Target {facts['target']} ({good} is good); + means the proxy's good direction agrees. "
        f"{facts['rows']} architectures{without}, {facts['classes']} distinct; undefined values are {policy}. "
        f"{100 * facts['level']:g} % intervals: {facts['resamples']} bootstrap resamples of the distinct ones, "
        f"seed {facts['seed']}.{best}"
    )
