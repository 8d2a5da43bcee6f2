"""The verdict under every other choice of representative proxies, so that it cannot hang on one."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import VALUED, classes, orient, statuses, values
from automl_theory.analysis.contest import code_of, constant_aspects
from automl_theory.analysis.dominance import Floats
from automl_theory.analysis.landscape import Effort, interval, pair_reading, resampled, statistics, units
from automl_theory.analysis.pareto import default_direction
from automl_theory.analysis.representatives import ASPECTS, candidates


def choices(df: pd.DataFrame, chosen: dict[str, str]) -> list[tuple[str, ...]]:
    """Return every choice of one column an aspect, the chosen one first."""
    options = [list(dict.fromkeys((chosen[aspect], *candidates(df, aspect)))) for aspect in ASPECTS]
    return list(product(*options))


def alternatives_table(df: pd.DataFrame, chosen: dict[str, str], ways: dict[str, str], effort: Effort) -> pd.DataFrame:
    """Return one row a choice of representatives, the chosen one first.

    Columns: expressivity, convergence, generalization (the columns chosen), chosen (bool), n, verdict_code, same (as
    the chosen one's), distance, distance_low, distance_high, hypervolume, front_classes, and kendall, kendall_low,
    kendall_high, overlap of each pair of aspects. n differs where columns are undefined on different rows. With
    fewer resamples and no permutations; the code follows by the same rules.
    """
    known: dict[str, tuple[Floats, NDArray[np.bool_]]] = {}
    pairs: dict[tuple[str, str, bytes], dict[str, Any]] = {}
    groups = classes(df)

    def column(name: str) -> tuple[Floats, NDArray[np.bool_]]:
        if name not in known:
            way = default_direction(df, name, ways.get(name))
            known[name] = orient(values(df, name), way), np.isin(statuses(df, name), VALUED)
        return known[name]

    rows = []
    for choice in choices(df, chosen):
        used = np.logical_and.reduce([column(name)[1] for name in choice])
        good = [column(name)[0][used] for name in choice]
        these = units(np.column_stack(good), groups[used])
        seen = statistics(these.ranks, these.count)
        low, high = np.nan, np.nan
        if drawn := resampled(these, effort, whole=False):
            low, high = interval(drawn["distance"], effort.level, seen["distance"])
        found = {}
        for a, b in combinations(range(len(ASPECTS)), 2):
            key = (choice[a], choice[b], used.tobytes())
            if key not in pairs:
                pairs[key] = pair_reading(good[a], good[b], groups[used], effort.silent())
            found[f"{ASPECTS[a]}_{ASPECTS[b]}"] = pairs[key]
        telling = len(ASPECTS) - len(constant_aspects(these, list(ASPECTS)))
        row: dict[str, object] = dict(zip(ASPECTS, choice, strict=True))
        row |= {"chosen": list(choice) == [chosen[aspect] for aspect in ASPECTS], "n": int(used.sum())}
        row["verdict_code"] = code_of(low, high, list(found.values()), telling)
        row |= {"same": False, "distance": seen["distance"], "distance_low": low, "distance_high": high}
        row |= {name: seen[name] for name in ("hypervolume", "front_classes")}
        for name, pair in found.items():
            row |= {f"kendall_{name}": pair["kendall"], f"kendall_{name}_low": pair["low"]}
            row |= {f"kendall_{name}_high": pair["high"], f"overlap_{name}": pair["overlap"]}
        rows.append(row)
    table = pd.DataFrame(rows)
    table["same"] = table["verdict_code"] == table["verdict_code"].iloc[0]
    return table
