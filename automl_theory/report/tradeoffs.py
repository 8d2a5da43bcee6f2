"""What `no_free_lunch` found, as the lines and small tables of the page: plain text, before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.analysis.landscape import TOP
from automl_theory.analysis.tradeoff import NoFreeLunch
from automl_theory.report.contents import number_text, signed

LAYERS = 10
"""The page lists this many layers, from the front inwards."""

QUANTITIES = {
    "front": "mean percentile of the target on the front",
    "rest": "mean percentile off the front",
    "front_minus_rest": "front minus rest",
    "tau_distance": "τ of the target with nearness to the utopia point",
    "tau_layer": "τ with being in an outer layer",
    "compromise": "percentile of the best compromise",
    "best_layer": "layer of the best by the target",
    "best_distance": "its distance to the utopia point",
}


def verdict_contents(found: NoFreeLunch) -> dict[str, Any]:
    """Return what the page says of a trade-off.

    `lines` of the summary, the verdict first; `winners`: one row an aspect; `tables`: shown at once, and `details`:
    folded, each a name → {"columns", "rows"} of text; `settings`: name and value.
    """
    pairs = [(str(a), str(b)) for a, b in found.conflicts.index]
    tables = {
        "Which aspects conflict": _conflicts(found.conflicts),
        "How far from a single winner": _numbers(found.numbers),
        "At a fixed budget": _budget(found.budget, pairs, found.settings.get("budget")),
        "How accuracy sits along and off the front": _accuracy(found.accuracy),
        "Verdicts under other representatives": _codes(found.alternatives),
    }
    details = {
        "Every choice of representatives": _alternatives(found.alternatives, pairs),
        "The target by layer of the front": _layers(found.accuracy_by_layer),
    }
    return {
        "lines": [line for line in found.summary().splitlines() if line.strip()],
        "code": found.verdict_code,
        "winners": [
            (aspect, found.representatives[aspect], names[0], len(names))
            for aspect, names in found.winners.items()
            if names
        ],
        "tables": {name: table for name, table in tables.items() if table["rows"]},
        "details": {name: table for name, table in details.items() if table["rows"]},
        "settings": [(name, str(value)) for name, value in found.settings.items() if value is not None],
    }


def _rows(table: pd.DataFrame | None) -> list[tuple[Any, dict[str, Any]]]:
    return [] if table is None else [(name, dict(row)) for name, row in table.iterrows()]


def _table(columns: list[str], rows: list[list[str]]) -> dict[str, Any]:
    return {"columns": columns, "rows": rows}


def _ends(row: Mapping[str, Any], name: str, low: str, high: str, digits: int = 2) -> str:
    def text(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:.{digits}f}".replace("-", "−")

    ends = "" if np.isnan(row[low]) else f" ({text(row[low])} to {text(row[high])})"
    return text(row[name]) + ends


def _conflicts(table: pd.DataFrame) -> dict[str, Any]:
    columns = ["aspects", "Kendall τ", "overall", f"share of their best {100 * TOP:g} %", "by chance", "at the top"]
    rows = [
        [
            f"{a} and {b}",
            _ends(row, "kendall", "low", "high"),
            str(row["overall"]),
            _ends(row, "overlap", "overlap_low", "overlap_high"),
            signed(row["overlap_independent"]),
            str(row["top"]),
        ]
        for (a, b), row in _rows(table)
    ]
    return _table(columns, rows)


def _numbers(table: pd.DataFrame) -> dict[str, Any]:
    names = {
        "distance": ("distance to the utopia point", 1),
        "hypervolume": ("hypervolume", 3),
        "front_classes": ("different ones on the front", 0),
    }
    rows = [
        [
            names[name][0],
            _ends(row, "observed", "low", "high", names[name][1]),
            _ends(row, "independent", "independent_low", "independent_high", names[name][1]),
            number_text(round(float(row["p"]), 3)),
            number_text(float(row["no_conflict"])),
        ]
        for name, row in _rows(table)
        if name in names
    ]
    return _table(["", "seen", "if aspects were independent", "p", "without conflict"], rows)


def _taus(row: Mapping[str, Any], pairs: list[tuple[str, str]]) -> list[str]:
    names = [f"kendall_{a}_{b}" for a, b in pairs]
    return [_ends(row, name, f"{name}_low", f"{name}_high") for name in names]


def _budget(table: pd.DataFrame, pairs: list[tuple[str, str]], budget: object) -> dict[str, Any]:
    columns = [str(budget), "n", "verdict", "distance", *(f"τ {a}, {b}" for a, b in pairs)]
    rows = [
        [
            "its ranks taken out" if label == "residual" else _span(row["budget_low"], row["budget_high"]),
            f"{row['n']:,}",
            _words(row["verdict_code"]),
            _ends(row, "distance", "distance_low", "distance_high", 1),
            *_taus(row, pairs),
        ]
        for label, row in _rows(table)
    ]
    return _table(columns, rows)


def _span(low: float, high: float) -> str:
    ends = [f"{end:,.0f}" if float(end).is_integer() else f"{end:.4g}".replace("-", "−") for end in (low, high)]
    return " to ".join(dict.fromkeys(ends))


def _accuracy(table: pd.DataFrame | None) -> dict[str, Any]:
    rows = [
        [_quantity(str(name)), _ends(row, "value", "low", "high"), f"{row['n']:,.0f}"] for name, row in _rows(table)
    ]
    return _table(["quantity", "value", "n"], rows)


def _quantity(name: str) -> str:
    if name in QUANTITIES:
        return QUANTITIES[name]
    along = name.startswith("front_tau_")
    aspect = name.removeprefix("front_").removeprefix("tau_")
    return f"τ with {aspect}, {'along the front' if along else 'everywhere'}"


def _layers(table: pd.DataFrame | None) -> dict[str, Any]:
    rows = [
        [str(layer), f"{row['n']:,.0f}", *(number_text(float(row[name])) for name in ("mean", "min", "max"))]
        for layer, row in _rows(table)[:LAYERS]
    ]
    return _table(["layer", "n", "mean", "lowest", "highest"], rows)


def _codes(table: pd.DataFrame) -> dict[str, Any]:
    counts: dict[Any, int] = dict(table["verdict_code"].value_counts()) if len(table) > 1 else {}
    return _table(["verdict", "choices"], [[_words(code), f"{count:,}"] for code, count in counts.items()])


def _alternatives(table: pd.DataFrame, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    aspects = list(dict.fromkeys(aspect for pair in pairs for aspect in pair))
    columns = [*aspects, "n", "verdict", "distance", *(f"τ {a}, {b}" for a, b in pairs)]
    rows = [
        [
            *(str(row[aspect]) for aspect in aspects),
            f"{row['n']:,}",
            _words(row["verdict_code"]),
            _ends(row, "distance", "distance_low", "distance_high", 1),
            *_taus(row, pairs),
        ]
        for _, row in _rows(table)
    ]
    return _table(columns, rows)


def _words(code: object) -> str:
    return str(code).replace("_", " ")
