"""A ranking in the terminal, readable at 100 columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_ranking(ranking: pd.DataFrame, console: Console | None = None) -> None:
    """Print the table that `rank` returns: proxy, family, τ [interval], ρ [interval], n, note; best on top.

    Size baselines are marked with ◇, the noise ceiling closes the table, and a line below says what was compared,
    on which rows, and what happened to undefined values.
    """
    console = console or Console()
    facts = ranking.attrs.get("ranking", {})
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    table.add_column("proxy", overflow="fold", max_width=28)
    table.add_column("family", no_wrap=True)
    table.add_column("Kendall τ", no_wrap=True)
    table.add_column("Spearman ρ", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("note", ratio=1)
    for name, row in ranking.iterrows():
        baseline = bool(row["baseline"])
        table.add_row(
            f"{'◇ ' if baseline else ''}{escape(str(name))}",
            _short(str(row["family"])),
            interval(row["kendall"], row["kendall_low"], row["kendall_high"]),
            interval(row["spearman"], row["spearman_low"], row["spearman_high"]),
            str(row["n"]),
            escape(row["note"].replace(" %", "\u00a0%")),
            style="dim" if np.isnan(row["kendall"]) else "cyan" if baseline else None,
        )
    if ceiling := facts.get("noise_ceiling"):
        table.add_section()
        table.add_row(
            "noise ceiling",
            "",
            interval(ceiling["kendall"], ceiling["kendall_low"], ceiling["kendall_high"]),
            interval(ceiling["spearman"], ceiling["spearman_low"], ceiling["spearman_high"]),
            str(ceiling["n"]),
            escape(f"{ceiling['columns'][0]} against {ceiling['columns'][1]}"),
            style="bold",
        )
    console.print(table)
    if facts:
        console.print(escape(footnote(ranking)), style="dim", highlight=False)


def interval(value: float, low: float, high: float) -> str:
    """Return "0.61 [0.55, 0.66]", without the brackets where there is no interval, "–" for NaN."""
    if np.isnan(value):
        return "–"
    ends = "" if np.isnan(low) else f" \\[{low:.2f}, {high:.2f}]"
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


def _short(family: str) -> str:
    return {"generalization": "general.", "expressivity": "express.", "convergence": "converg."}.get(family, family)
