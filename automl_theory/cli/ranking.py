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
    Force,
    Given,
    Interval,
    Picks,
    Split,
    Table,
    Target,
    Top,
    TrustPickle,
    Undefined,
)
from automl_theory.cli.tables import default_target, new_folder, read_scores, scores_with_target, show_ranking


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
    given: Given = None,
    top: Top = 0.1,
    k: Picks = 10,
) -> None:
    """Rank proxies by their agreement with trained results.

    Kendall τ and Spearman ρ with intervals, the size baselines and the noise ceiling.
    """
    scores, compared = scores_with_target(
        table, accuracy, target, dataset=dataset, epochs=epochs, split=split, trust_pickle=trust_pickle
    )
    show_ranking(
        scores, compared, target_direction=target_direction, undefined=undefined, interval=interval,
        given=given or None, top=top, k=k,
    )  # fmt: skip


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
    given: Given = None,
    top: Top = 0.1,
    k: Picks = 10,
    representative: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ASPECT=COLUMN",
            help="The proxy that stands for expressivity, convergence or generalization; repeatable.",
            rich_help_panel=OUT,
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.", rich_help_panel=OUT)] = None,
    force: Force = False,
) -> None:
    """Write one offline HTML page.

    It holds the ranking, the three aspects against each other, whether one architecture wins them all, the best
    architectures, and how it was measured.
    """
    from automl_theory.errors import require
    from automl_theory.scoring.files import check_free, check_writable

    require("jinja2", "report")
    check_free(check_writable(output, (".html", ".htm")), force)
    made = new_folder(output)
    chosen = _representatives(representative or [])
    from automl_theory.analysis.representatives import choose_representatives
    from automl_theory.report.html import report as write_report

    selection = {"dataset": dataset, "epochs": epochs, "split": split, "trust_pickle": trust_pickle}
    compared: str | None
    if target is None and accuracy is None and not any(selection.values()):
        scores = read_scores(table)
        compared = name if (name := default_target(scores)) in scores.columns else None
    else:
        scores, compared = scores_with_target(table, accuracy, target, **selection)
    if chosen:
        choose_representatives(scores, chosen)
    ranking = None
    if compared is not None:
        ranking = show_ranking(
            scores, compared, target_direction=target_direction, undefined=undefined, interval=interval,
            given=given or None, top=top, k=k,
        )  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    print(f"report: {write_report(scores, output, ranking=ranking, title=title, representatives=chosen)}{made}")


def _representatives(given: list[str]) -> dict[str, str]:
    from automl_theory.errors import InputError

    chosen: dict[str, str] = {}
    for text in given:
        aspect, equals, column = text.partition("=")
        if not (aspect and equals and column) or aspect in chosen:
            raise InputError(
                f"--representative {text!r}: give an aspect and a column, as in convergence=ntk_lambda_min, each "
                "aspect once"
            )
        chosen[aspect] = column
    return chosen
