"""What a report says in words and tables, computed before anything is drawn: plain lists and dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import classes, count_undefined, described, statuses
from automl_theory.report.aspects import AspectData

TOP = 10


def summary(df: pd.DataFrame, ranking: pd.DataFrame | None, data: AspectData | None) -> list[str]:
    """Return two or three plain sentences: what was scored, what tracks the target best, how the aspects disagree."""
    distinct = len(np.unique(classes(df)))
    twins = "" if distinct == len(df) else f" ({distinct:,} distinct networks)"
    says = [f"{len(df):,} architectures{twins} were scored by {len(described(df))} training-free proxies."]
    says += ["No accuracies were given, so the proxies are not ranked."] if ranking is None else _winners(ranking)
    if data is not None and len(data.percentiles) > 2:
        (a, b), rho = min(data.correlations.items(), key=lambda item: item[1])
        if rho < 0:
            says.append(f"The strongest conflict is between {a} and {b}: Spearman ρ = {signed(rho)}.")
        else:
            says.append(f"No two aspects conflict here: the weakest pair is {a} and {b}, Spearman ρ = {signed(rho)}.")
    return says


def _winners(ranking: pd.DataFrame) -> list[str]:
    facts = ranking.attrs["ranking"]
    good = "low" if facts["target_direction"] == "minimize" else "high"
    rivals = ranking.loc[~ranking["baseline"] & ~ranking["kendall"].isna()]
    if not len(rivals):
        return [f"No proxy could be ranked against {facts['target']}."]
    at = int(np.argmax(rivals["kendall"]))
    name, best = rivals.index[at], rivals.iloc[at]
    says = [
        f"Against {facts['target']} ({good} is good) {name} agrees best: Kendall τ = {ends(best, 'kendall')} "
        f"on {best['n']:,} architectures."
    ]
    if facts["baseline"] in ranking.index:
        size = ranking.loc[[facts["baseline"]]].iloc[0]
        reached = abs(size["kendall"])
        below = f"{(rivals['kendall'] < reached).sum()} of {len(rivals)} proxies stay below that."
        if size["kendall"] < 0:
            says.append(
                f"The size baseline {facts['baseline']} points the wrong way, {ends(size, 'kendall')}: turned round it "
                f"alone would reach {signed(reached)}, and {below}"
            )
        else:
            says.append(f"The size baseline {facts['baseline']} alone reaches {ends(size, 'kendall')}; {below}")
    if facts["noise_ceiling"]:
        says.append(
            f"Two training seeds agree with each other to τ = {ends(facts['noise_ceiling'], 'kendall')}: "
            "no proxy can be expected to do much better."
        )
    return says


def top_architectures(data: AspectData) -> list[dict[str, Any]]:
    """Return one table an aspect, and one for the target: the ten best distinct networks, {"by", "column", "rows"}.

    A row is {"arch", "strings", "value", "percentiles", "target"}; of several equal architectures the first is shown,
    and `strings` says how many strings of the table build it.
    """
    orders = {aspect: (column, data.percentiles[aspect], data.raw[column]) for aspect, column in data.proxies.items()}
    if data.target is not None:
        good = data.target if data.target_direction == "maximize" else -data.target
        orders["target"] = (str(data.target.name), good, data.target)
    strings = np.bincount(data.classes)
    return [
        {
            "by": by,
            "column": column,
            "rows": [
                {
                    "arch": str(data.percentiles.index[i]),
                    "strings": int(strings[data.classes[i]]),
                    "value": number_text(float(shown.iloc[i])),
                    "percentiles": [f"{data.percentiles[aspect].iloc[i]:.0f}" for aspect in data.proxies],
                    "target": "" if data.target is None else number_text(float(data.target.iloc[i])),
                }
                for i in _best_distinct(good.to_numpy(dtype=np.float64), data.classes)
            ],
        }
        for by, (column, good, shown) in orders.items()
    ]


def _best_distinct(good: NDArray[np.float64], equal: NDArray[np.intp]) -> list[int]:
    best_first = np.argsort(-good, kind="stable")
    best_first = best_first[~np.isnan(good[best_first])]
    _, first = np.unique(equal[best_first], return_index=True)
    return [int(i) for i in best_first[np.sort(first)][:TOP]]


def left_out(df: pd.DataFrame, ranking: pd.DataFrame | None, data: AspectData | None) -> list[str]:
    """Return one sentence for each thing that the figures and tables do not show, and why."""
    says = []
    for number, record in enumerate(df.attrs.get("join", []), start=1):
        if record["without_partner"] or record["unused"]:
            says.append(
                f"Joined table {number} ({', '.join(record['columns'][:4])}): {record['without_partner']:,} of "
                f"{len(df):,} architectures are not in it, {record['unused']:,} of its rows are not asked for."
            )
    if ranking is not None and (without := ranking.attrs["ranking"]["without_target"]):
        says.append(f"The ranking leaves out {_architectures(without)} without {ranking.attrs['ranking']['target']}.")
    policy = ranking.attrs["ranking"]["undefined"] if ranking is not None else "drop"
    alike: dict[str, list[str]] = {}
    for proxy in described(df):
        if counts := count_undefined(statuses(df, proxy)):
            alike.setdefault(", ".join(f"{reason} {count:,}" for reason, count in counts.items()), []).append(proxy)
    for reasons, names in alike.items():
        have = "has" if len(names) == 1 else "have"
        last = " (ranked last)" if policy == "worst" else ""
        says.append(f"{', '.join(names)} {have} no value: {reasons}{last}.")
    for key in df.attrs.get("left_out", []):
        says.append(f"The store holds {key}, which this version does not know or measures otherwise; it is not shown.")
    if data is not None and data.dropped:
        says.append(
            f"The figure of the aspects leaves out {_architectures(data.dropped)} "
            "where one of its proxies has no value."
        )
    return says


def _architectures(count: int) -> str:
    return f"{count:,} architecture{'' if count == 1 else 's'}"


def number_text(value: float) -> str:
    """Return four significant digits, "∞", or "–" for NaN."""
    if np.isnan(value):
        return "–"
    return f"{value:.4g}".replace("inf", "∞").replace("-", "−")


def signed(value: float) -> str:
    """Return two decimals with a real minus sign, "–" for NaN."""
    return "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")


def ends(row: Any, measure: str) -> str:
    """Return "0.61 (0.55 to 0.66)", without the ends where there is no interval."""
    low, high = (row.get(f"{measure}_{end}", np.nan) for end in ("low", "high"))
    return signed(row[measure]) + ("" if np.isnan(low) else f" ({signed(low)} to {signed(high)})")
