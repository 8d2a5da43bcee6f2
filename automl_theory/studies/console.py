"""A study's claims in the terminal: what a paper says, what we found with its interval, the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from automl_theory.studies.page import claim_rows

THEIRS, OURS = 12, 24
STYLES = {"agree": "green", "differ": "red", "cannot tell": "dim", "yes": "green", "no": "red"}


def print_claims(
    claims: pd.DataFrame, heads: tuple[str, str, str, str], summary: Sequence[str] = (), console: Console | None = None
) -> None:
    """Print every claim (see `page.claim_rows`) under its section, then the summary; whole at 80 columns."""
    console = console or Console()
    longest = max((len(str(name)) for name in claims["name"]), default=0)
    width = min(longest, max(24, console.width - THEIRS - OURS - len("cannot tell") - 3))
    for number, (section, (_, rows)) in enumerate(claim_rows(claims).items()):
        console.print(section, style="bold", highlight=False, markup=False)
        grid = Table(box=None, show_header=not number, header_style="italic", pad_edge=False, padding=(0, 1, 0, 0))
        grid.add_column(heads[0], min_width=width, max_width=width)
        grid.add_column(heads[1], justify="right", min_width=THEIRS, max_width=THEIRS)
        grid.add_column(heads[2], justify="right", min_width=OURS, max_width=OURS)
        grid.add_column(heads[3], no_wrap=True)
        for row in rows:
            ours = f"{row['ours']} ({row['interval']})" if row["interval"] else str(row["ours"])
            verdict = f"[{STYLES.get(row['verdict'], 'dim')}]{row['verdict']}[/]"
            grid.add_row(escape(str(row["name"])), escape(row["paper"]), escape(ours), verdict)
        console.print(grid)
        console.print()
    for line in summary:
        console.print(line, highlight=False, markup=False)
