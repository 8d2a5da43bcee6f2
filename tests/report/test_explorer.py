"""What the page carries for its scripts, unpacked again."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.report.aspects import PANELS, aspects
from automl_theory.report.explorer import explorer_data


def unpacked(text: str) -> dict[str, Any]:
    return dict(json.loads(gzip.decompress(base64.b64decode(text))))


def test_every_column_is_there_and_whole_numbers_are_whole(scored: pd.DataFrame) -> None:
    scored["parameters"] = 1_073_466 + np.arange(len(scored))
    scored["live"] = np.arange(len(scored)) % 2 == 0
    content = unpacked(explorer_data(scored, aspects(scored, "test_loss")))
    assert content["arch"] == scored.index.tolist()
    texts = {name: [levels[code] for code in codes] for name, levels, codes in content["texts"]}
    assert set(content["columns"][3:]) | set(texts) == set(scored.columns)
    assert texts["canonical"] == scored["canonical"].tolist()
    assert texts["live"] == scored["live"].astype(str).tolist()
    values = dict(zip(content["columns"], content["values"], strict=True))
    assert values["parameters"] == scored["parameters"].tolist()
    shown = [np.nan if v is None else float(v) for v in values["ntk_condition"]]
    np.testing.assert_allclose(shown, scored["ntk_condition"], rtol=1e-5)
    assert (content["target"], content["minimize"], content["ranking"]) == ("test_loss", True, "")


def test_fronts_are_rows_that_no_row_dominates(scored: pd.DataFrame) -> None:
    content = unpacked(explorer_data(scored, aspects(scored)))
    columns = dict(zip(content["columns"], np.array(content["values"][:3], dtype=float), strict=False))
    for (a, b), front in zip(PANELS, content["fronts"], strict=True):
        x, y = columns[f"{a} percentile"], columns[f"{b} percentile"]
        with np.errstate(invalid="ignore"):
            slow = [
                i
                for i in range(len(x))
                if not np.isnan(x[i] + y[i]) and not any((x >= x[i]) & (y >= y[i]) & ((x > x[i]) | (y > y[i])))
            ]
        assert front == slow


def test_without_aspects_there_are_only_the_columns(scored: pd.DataFrame) -> None:
    content = unpacked(explorer_data(scored[["synflow"]], None))
    assert (content["columns"], content["panels"], content["fronts"], content["target"]) == (["synflow"], [], [], None)
