"""What the commands share: reading score tables, joining trained results, showing a ranking."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal, cast

from automl_theory.cli.options import PROGRAM
from automl_theory.errors import InputError, suggest

if TYPE_CHECKING:
    import pandas as pd

    from automl_theory.spaces import Space

TARGETS = ("test_accuracy", "test_loss", "valid_accuracy", "valid_loss")


def read_scores(path: Path) -> pd.DataFrame:
    """A score table from a file, or from a store, known by its first bytes or its name."""
    from automl_theory.scoring.sqlite_file import is_database

    if path.suffix == ".db" or is_database(path):
        from automl_theory.scoring.rebuild import table_of_store

        return with_graph(*table_of_store(path))
    from automl_theory.scoring.files import read_table

    return read_table(path)


def with_graph(table: pd.DataFrame, where: Space | None) -> pd.DataFrame:
    """The table with the graph metrics of its cells, where the space has graphs."""
    from automl_theory.analysis.join import join
    from automl_theory.graphs.table import graph_metrics

    if where is None or where.graph(table.index[0]) is None:
        return table
    return join(table, graph_metrics(where, table.index))


def load_trained(accuracy: str | None, target: str | None, **selection: Any) -> tuple[pd.DataFrame | None, str | None]:
    """Trained results and the column to compare with; (None, target) without any."""
    if accuracy is None:
        for name, value in selection.items():
            if value:
                option = name.replace("_", "-")
                raise InputError(
                    f"--{option} chooses among trained results; name those with --accuracy, or leave it out"
                )
        return None, target
    from automl_theory.accuracy.table_files import NoArchitectures
    from automl_theory.accuracy.tables import load_accuracy

    try:
        table = load_accuracy(accuracy, **selection)
    except NoArchitectures as error:
        how = "--space SPACE" if error.column is None else f"--columns {quote(f'{error.column}=arch')}"
        raise InputError(
            f"{error.why}, and convert the table once: {PROGRAM} accuracy convert {quote(accuracy)} accuracies.csv "
            f"{how}"
        ) from None
    if target is None:
        told = _told(table)
        target = told[0] if len(told) == 1 else default_target(table)
    if target not in table.columns:
        raise InputError(
            f"{accuracy} has no column {target!r}; --target can be {_targets(table)}."
            f"{suggest(target, map(str, table.columns))}"
        )
    return table, target


SHOWN_TARGETS = 6
EVALUATED = re.compile(r"(?<![a-z])(test|valid|val|eval)(?![a-z])", re.IGNORECASE)


def _told(table: pd.DataFrame) -> list[str]:
    """Columns of numbers whose names say that they are accuracies or losses, those of `TARGETS` first."""
    from automl_theory.analysis.columns import tells_training

    names = [name for name in _numbers(table) if tells_training(name) or EVALUATED.search(name)]
    return sorted(names, key=lambda name: name not in TARGETS)


def _numbers(table: pd.DataFrame) -> list[str]:
    names = map(str, table.select_dtypes("number").columns)
    return [name for name in names if not re.search(r"_seed\d+$", name)]


def _targets(table: pd.DataFrame) -> str:
    """Columns that may be compared with: those that say so, or all numbers where none does."""
    names = _told(table) or _numbers(table)
    more = len(names) - SHOWN_TARGETS
    return ", ".join(names[:SHOWN_TARGETS]) + (f" and {more} more" if more > 0 else "")


def default_target(table: pd.DataFrame) -> str:
    """The column to compare with when none is named: test_loss of the bundled digits, else the first of `TARGETS`."""
    if table.attrs.get("accuracy", {}).get("name") == "digits" and "test_loss" in table.columns:
        return "test_loss"
    return next((name for name in TARGETS if name in table.columns), "test_accuracy")


def check_trained(where: Space, trained: pd.DataFrame, target: str) -> None:
    """InputError unless some architecture of the space has a number in column `target` of the trained results."""
    if target not in trained.select_dtypes("number"):
        raise InputError(f"column {target!r} of the trained results holds no numbers; name another with --target")
    known = trained.index[trained[target].notna()]
    if not any(arch in where for arch in known):
        like = f", which are like {known[0]!r}" if len(known) else ""
        raise InputError(
            f"no architecture of {where.name} is among the {len(known):,} with a trained result{like}; take a table of "
            f"that space or, if it writes them in another way, convert it: accuracy convert --space {where.name}"
        )


def direction_of(target: str, given: str | None) -> str:
    """Which way the target is good: as --target-direction says, else by its name."""
    from automl_theory.analysis.columns import told_direction

    try:
        return told_direction(target, given)
    except InputError:
        if given is not None:
            raise
        raise InputError(
            f"cannot tell from its name whether {target!r} is good when high or low; say --target-direction "
            "maximize or minimize"
        ) from None


def join_trained(scores: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """Scores with trained results beside them."""
    from automl_theory.analysis.join import join

    return join(scores, trained)


def scores_with_target(
    path: Path, accuracy: str | None, target: str | None, **selection: Any
) -> tuple[pd.DataFrame, str]:
    """A score table with the column to compare with, and that column; InputError if there is none."""
    trained, target = load_trained(accuracy, target, **selection)
    scores = read_scores(path)
    if trained is not None:
        assert target is not None
        return join_trained(scores, trained), target
    target = target or default_target(scores)
    if target not in scores.columns:
        raise InputError(
            f"{path} has no column {target!r}; add trained results with --accuracy (digits, or a file), or name a "
            f"column with --target.{suggest(target, map(str, scores.columns))}"
        )
    return scores, target


def show_ranking(
    table: pd.DataFrame,
    target: str,
    *,
    target_direction: str | None = None,
    undefined: str = "drop",
    interval: str = "bootstrap",
    given: Sequence[str] | None = None,
    top: float = 0.1,
    k: int = 10,
) -> pd.DataFrame:
    """Rank, print the ranking and what the trained results are, and return it."""
    from automl_theory.accuracy.recipe import line
    from automl_theory.analysis.ranking import rank
    from automl_theory.report.console import print_ranking
    from automl_theory.terminal import print_recipe

    target_direction = direction_of(target, target_direction)
    policy = cast(Literal["drop", "worst"], undefined)
    ranking = rank(
        table,
        target,
        target_direction=target_direction,
        noise=_two_seeds(table.columns, target),
        undefined=policy,
        interval=cast(Literal["bootstrap", "analytic"], interval),
        given=given,
        top=top,
        k=k,
    )
    numbers = table.select_dtypes("number").columns
    others = [other for other in ("test_accuracy", "test_loss") if other in numbers and other != target]
    print_ranking(ranking, beside=rank(table, others[0], undefined=policy, resamples=0) if others else None)
    if recipe := table.attrs.get("accuracy"):
        print_recipe(line(recipe))
    return ranking


def _two_seeds(columns: Iterable[Any], target: str) -> tuple[str, str] | None:
    """The first two columns of single training seeds of the target: how well they agree is the noise ceiling."""
    pattern = re.compile(re.escape(target) + r"_seed(\d+)")
    seeds = sorted(int(match[1]) for column in columns if (match := pattern.fullmatch(str(column))))
    return (f"{target}_seed{seeds[0]}", f"{target}_seed{seeds[1]}") if len(seeds) > 1 else None


def new_folder(file: Path) -> str:
    """Return ", in a new folder" if a file to be written has none yet, else ""."""
    return "" if file.parent.exists() else ", in a new folder"
