"""A contest in plain words: who wins, what conflicts, what a space without conflict would have shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.analysis.contest import Contest
from automl_theory.analysis.landscape import TOP
from automl_theory.analysis.notes import share
from automl_theory.analysis.sampling import FEWEST_CLASSES


def verdict(
    found: Contest,
    names: Mapping[str, str],
    front: int,
    budget: pd.DataFrame,
    alternatives: pd.DataFrame,
    space: str,
    level: float,
) -> str:
    """Return the answer in some sentences, one a line: the verdict, the aspects, budget, and other representatives.

    `names`: aspect → column; `front`: rows on it; `budget` and `alternatives`: the tables of those names, which may
    be empty; `space`: " of <space>" or "".
    """
    among = f"{found.n:,} architectures{space} ({found.classes:,} different)"
    aspects = " · ".join(f"{aspect}: {column}" for aspect, column in names.items())
    lines = [_headline(found, among, level)]
    if found.n > 1:
        lines.append(_numbers(found, front, level))
        lines += [_pair(a, b, row) for (a, b), row in zip(found.pairs, _rows(found.conflicts), strict=True)]
    for aspect in found.constant:
        lines.append(f"{aspect.capitalize()} ({names[aspect]}) is the same for all: it tells nobody apart.")
    lines += _elsewhere(found, budget, alternatives)
    lines.append(f"Measured as {aspects}.")
    return "\n".join(lines)


def _headline(found: Contest, among: str, level: float) -> str:
    if found.code == "too_few":
        why = "no resamples were drawn" if found.classes >= FEWEST_CLASSES else "too few"
        start = "Undecided" if found.n else "No verdict"
        if not found.n:
            return f"{start}: no architecture has a value in every aspect."
        return f"{start}: {among}: {why} for an interval ({FEWEST_CLASSES} different ones are the least)."
    if found.code == "no_contest":
        return f"No contest: fewer than two aspects tell {among} apart."
    if found.code == "one_wins_all":
        return f"One architecture wins all aspects among {among}: {_few(found.nearest)}."
    if found.code == "undecided":
        return (
            f"Undecided: among {among}, whether one wins all aspects depends on which were drawn "
            f"(it does in part of the resamples, at level {level:g})."
        )
    none = f"no architecture wins all aspects among {among}"
    if found.code == "no_free_lunch":
        return f"No free lunch: {none}, and aspects pull apart."
    return f"No single winner: {none}, though no two aspects are shown to conflict."


def _numbers(found: Contest, front: int, level: float) -> str:
    distance, volume, chance = _rows(found.numbers)
    text = (
        f"The best compromise, {_few(found.nearest)}, is {distance['observed']:.1f} percentile points from the utopia "
        f"point{_ends(distance['low'], distance['high'], level, 1)}; "
    )
    if not np.isnan(distance["independent"]):
        text += (
            f"independent aspects would show {distance['independent']:.1f} ({distance['independent_low']:.1f} to "
            f"{distance['independent_high']:.1f}, p = {distance['p']:.2g}), "
        )
    text += f"a space without conflict 0. {front:,} {'is' if front == 1 else 'are'} on the Pareto front"
    if not np.isnan(chance["independent"]):
        text += (
            f" ({chance['observed']:.0f} different; {chance['independent']:.0f} if independent, "
            f"{chance['no_conflict']:.0f} without conflict)"
        )
    return f"{text}; hypervolume {volume['observed']:.3f}{_ends(volume['low'], volume['high'], level, 3)} of 1."


def _pair(a: str, b: str, row: Mapping[str, Any]) -> str:
    words = {"conflict": "conflict", "agreement": "agree", "unclear": "show no clear relation"}
    if np.isnan(row["kendall"]):
        return f"{a.capitalize()} and {b}: no correlation is defined."
    text = f"{a.capitalize()} and {b} {words[row['overall']]} overall (τ {_signed(row['kendall'])}"
    if not np.isnan(row["low"]):
        text += f", {_signed(row['low'])} to {_signed(row['high'])}"
    chance, seen = _percent(row["overlap_independent"]), f"their best {100 * TOP:g} % share {_percent(row['overlap'])}"
    if row["top"] == "unclear":
        at_the_top = ", nor at the top" if row["overall"] == "unclear" else "; at the top nothing is clear"
        return f"{text}){at_the_top}: {seen}, which so few cannot tell from chance ({chance})."
    join = "and" if row["top"] == row["overall"] else f"but {words[row['top']]}"
    return f"{text}) {join} at the top: {seen}, where chance gives {chance}."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _elsewhere(found: Contest, budget: pd.DataFrame, alternatives: pd.DataFrame) -> list[str]:
    lines = []
    if len(budget):
        bins = budget.drop(index="residual")
        same = int((bins["verdict_code"] == found.code).sum())
        other = _counted(bins.loc[bins["verdict_code"] != found.code, "verdict_code"])
        lines.append(
            f"At a fixed budget the verdict is the same in {same} of {len(bins)} bins{other}; "
            f"with the budget's ranks taken out it is {_words(budget['verdict_code'].loc['residual'])}."
        )
    others = alternatives.loc[~alternatives["chosen"]] if len(alternatives) else alternatives
    if len(others):
        rest = _counted(others.loc[~others["same"], "verdict_code"])
        lines.append(
            f"Under {int(others['same'].sum())} of {len(others)} other choices of representatives the verdict is the "
            f"same{rest}."
        )
    return lines


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]


def _counted(codes: pd.Series) -> str:
    counts = codes.value_counts()
    return f" (else {', '.join(f'{_words(code)} {count}' for code, count in counts.items())})" if len(counts) else ""


def _words(code: object) -> str:
    return str(code).replace("_", " ")


def _few(architectures: list[str]) -> str:
    return architectures[0] + (f" (and {len(architectures) - 1:,} tied)" if len(architectures) > 1 else "")


def _ends(low: float, high: float, level: float, digits: int) -> str:
    return "" if np.isnan(low) else f" ({100 * level:g} % interval {low:.{digits}f} to {high:.{digits}f})"


def _percent(part: float) -> str:
    return "nothing" if part == 0 else share(round(1e6 * part), 1_000_000)
