"""Claims in the terminal: the paper's figure, ours with its interval, the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from automl_theory.studies.no_free_lunch.contents import sections

PAPER, OURS = 12, 22
STYLES = {"agree": "green", "differ": "red", "cannot tell": "dim"}


def print_claims(claims: pd.DataFrame, summary: Sequence[str], console: Console | None = None) -> None:
    """Print every claim under its section (name, the paper, ours, verdict), then the summary; whole at 80 columns."""
    console = console or Console()
    longest = max((len(str(name)) for name in claims["name"]), default=0)
    width = min(longest, max(24, console.width - PAPER - OURS - len("cannot tell") - 3))
    heads = ("claim", "the paper", "ours (95 %)", "verdict")
    for number, (section, (_, rows)) in enumerate(sections(claims).items()):
        console.print(section, style="bold", highlight=False, markup=False)
        grid = Table(box=None, show_header=not number, header_style="italic", pad_edge=False, padding=(0, 1, 0, 0))
        grid.add_column(heads[0], min_width=width, max_width=width)
        grid.add_column(heads[1], justify="right", min_width=PAPER, max_width=PAPER)
        grid.add_column(heads[2], justify="right", min_width=OURS, max_width=OURS)
        grid.add_column(heads[3], no_wrap=True)
        for row in rows:
            ours = f"{row['ours']} ({row['interval']})" if row["interval"] else str(row["ours"])
            verdict = f"[{STYLES[row['verdict']]}]{row['verdict']}[/]"
            grid.add_row(escape(row["name"]), escape(row["paper"]), escape(ours), verdict)
        console.print(grid)
        console.print()
    for line in summary:
        console.print(line, highlight=False, markup=False)
