"""The rows of a score table as the page carries them: compressed JSON for its scatters, its table and its CSV files."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.analysis.columns import VALUED, statuses
from automl_theory.analysis.dominance import front_mask
from automl_theory.report.aspects import PANELS, AspectData

DIGITS = 6


def explorer_data(df: pd.DataFrame, data: AspectData | None, ranking: pd.DataFrame | None = None) -> str:
    """Return base64 of gzip of JSON with everything that the page's scripts show.

        arch      the architectures
        columns   numeric columns, the percentiles of the aspects first
        values    one list a column: six significant digits, whole numbers all; null for NaN, "inf" and "-inf" as text
        texts     the other columns, each [name, levels, codes]
        panels    pairs of columns, a scatter each, and `fronts`: the rows on the Pareto front of each
        target    a column or null; minimize: whether low is good
        ranking   the whole ranking as CSV text, "" without one

    Base64 has no character with a meaning in HTML, so names cannot break out.
    """
    columns: dict[str, list[float | int | str | None]] = {}
    kept = None if data is None else _kept(df, data)
    if data is not None and kept is not None:
        for aspect in data.proxies:
            spread = np.full(len(df), np.nan)
            spread[kept] = data.percentiles[aspect].round(2).to_numpy(dtype=np.float64)
            columns[f"{aspect} percentile"] = _numbers(spread)
    numeric = [c for c in df.columns if pd.api.types.is_numeric_dtype(df[c].dtype) and df[c].dtype != bool]
    columns |= {str(c): _numbers(df[c].to_numpy(dtype=np.float64, na_value=np.nan)) for c in numeric}
    content = {
        "arch": [str(name) for name in df.index],
        "columns": list(columns),
        "values": list(columns.values()),
        "texts": [_coded(df[c]) for c in df.columns if c not in numeric],
        "panels": [] if data is None else [[f"{a} percentile", f"{b} percentile"] for a, b in PANELS],
        "fronts": [] if data is None or kept is None else [_front(data, kept, a, b) for a, b in PANELS],
        "target": None if data is None or data.target is None else str(data.target.name),
        "minimize": data is not None and data.target_direction == "minimize",
        "ranking": "" if ranking is None else ranking.to_csv(lineterminator="\r\n"),
    }
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
    return base64.b64encode(packed).decode()


def _kept(df: pd.DataFrame, data: AspectData) -> np.ndarray:
    return np.asarray(
        np.logical_and.reduce([np.isin(statuses(df, column), VALUED) for column in data.proxies.values()])
    )


def _front(data: AspectData, kept: np.ndarray, a: str, b: str) -> list[int]:
    good = front_mask(data.percentiles[[a, b]].to_numpy(dtype=np.float64))
    return [int(row) for row in np.flatnonzero(kept)[good]]


def _coded(column: pd.Series) -> list[Any]:
    codes, levels = pd.factorize(column.astype(object).where(column.notna(), "").map(str))
    return [str(column.name), [str(level) for level in levels], codes.tolist()]


def _numbers(numbers: np.ndarray) -> list[float | int | str | None]:
    return [_number(value) for value in numbers.tolist()]


def _number(value: float) -> float | int | str | None:
    if np.isnan(value):
        return None
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.{DIGITS}g}")
