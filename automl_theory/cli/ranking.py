"""automl-theory rank and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_theory.cli.options import (
    OUT,
    Accuracy,
    Dataset,
    Direction,
    Epochs,
    Interval,
    Split,
    Table,
    Target,
    TrustPickle,
    Undefined,
)
from automl_theory.cli.tables import default_target, read_scores, scores_with_target, show_ranking


def rank(
    table: Table,
    accuracy: Accuracy = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    split: Split = None,
    trust_pickle: TrustPickle = False,
    target: Target = None,
    target_direction: Direction = None,
    undefined: Undefined = "drop",
    interval: Interval = "bootstrap",
) -> None:
    """Rank proxies by their agreement with trained results.

    Kendall τ and Spearman ρ with intervals, the size baselines and the noise ceiling.
    """
    scores, compared = scores_with_target(
        table, accuracy, target, dataset=dataset, epochs=epochs, split=split, trust_pickle=trust_pickle
    )
    show_ranking(scores, compared, target_direction=target_direction, undefined=undefined, interval=interval)


def report(
    table: Table,
    output: Annotated[Path, typer.Option("--html", "--output", help="The page to write.", rich_help_panel=OUT)] = Path(
        "report.html"
    ),
    accuracy: Accuracy = None,
    dataset: Dataset = None,
    epochs: Epochs = None,
    split: Split = None,
    trust_pickle: TrustPickle = False,
    target: Target = None,
    target_direction: Direction = None,
    undefined: Undefined = "drop",
    interval: Interval = "bootstrap",
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

    selection = {"dataset": dataset, "epochs": epochs, "split": split, "trust_pickle": trust_pickle}
    compared: str | None
    if target is None and accuracy is None and not any(selection.values()):
        scores = read_scores(table)
        compared = name if (name := default_target(scores)) in scores.columns else None
    else:
        scores, compared = scores_with_target(table, accuracy, target, **selection)
    ranking = None
    if compared is not None:
        ranking = show_ranking(
            scores, compared, target_direction=target_direction, undefined=undefined, interval=interval
        )
    print(f"report: {write_report(scores, output, ranking=ranking, title=title)}")
