from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from torch import nn

import automl_theory as at
from automl_theory.errors import FailedScores, InputError, Interrupted, StoreError
from automl_theory.scoring.failures import failures_of
from automl_theory.scoring.machine import environment
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.rebuild import table_of_store
from automl_theory.scoring.store import ScoreStore

TINY: dict[str, Any] = {"n": 8, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_the_table_of_a_store_is_that_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = at.score_space("nas_bench_201", "core", sample=5, seeds=[3, 0], store=path, **TINY)
    table, where = table_of_store(path)
    assert where is not None
    assert where.name == "nas_bench_201"
    assert table.attrs.pop("seeds") == [0, 3]
    run.attrs.pop("seeds")
    pd.testing.assert_frame_equal(table, run.sort_index(), check_exact=True)
    assert table.attrs == run.attrs
    assert table.attrs["settings"]["network"]["channels"] == 4


def test_an_unfinished_store_says_missing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    def stop(finished: int, total: int, failed: int) -> None:
        if finished == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        at.score_space("nas_bench_201", ["naswot"], sample=2, seeds=2, store=path, progress=stop, **TINY)
    table, _ = table_of_store(path)
    assert sorted(table["naswot_status"]) == ["missing", "ok"]
    assert table["parameters"].notna().all()


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Linear(8, 10))


def broken() -> nn.Module:
    raise ValueError("no such layer")


def test_a_store_of_ones_own_networks_needs_no_space(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with pytest.warns(FailedScores, match="1 of 2 architectures failed, 'a' under seed 0: ValueError: no such layer"):
        run = at.score_space({"b": small, "a": broken}, ["naswot", "parameters"], n=8, resolution=4, store=path)
    table, where = table_of_store(path)
    assert where is None
    pd.testing.assert_frame_equal(table[run.columns], run.sort_index(), check_exact=True)
    assert failures_of(path) == [("a", 0, "ValueError: no such layer")]
    assert run.attrs["failures"] == table.attrs["failures"] == failures_of(path)


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("naswot: no ReLU; kernel: functional (weights are tied)", "naswot: no ReLU"),
        ("kernel: functional (weights are tied)", ""),
        ("kernel: coupled (a cumsum); swap: no ReLU; no memory", "swap: no ReLU; no memory"),
    ],
)
def test_how_the_kernel_was_computed_is_no_reason_of_a_failure(tmp_path: Path, detail: str, reason: str) -> None:
    path = tmp_path / "s.db"
    with pytest.warns(FailedScores):
        at.score_space({"a": broken}, ["naswot"], n=8, resolution=4, store=path)
    change(path, f"UPDATE run SET detail = '{detail}'")
    assert failures_of(path) == [("a", 0, reason)]


def test_proxies_that_this_version_lacks_are_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    at.score_space("nas_bench_201", ["naswot", "ntk_trace", "ntk_rank"], sample=1, store=path, **TINY)
    change(path, "UPDATE score SET proxy = 'gone' WHERE proxy = 'ntk_trace'")
    change(path, "UPDATE score SET proxy = 'naswot@99' WHERE proxy = 'naswot'")
    table, _ = table_of_store(path)
    assert table.attrs["left_out"] == ["gone", "naswot@99"]
    assert {"gone", "naswot", "ntk_trace"}.isdisjoint(table.columns)
    assert table["ntk_rank_status"].tolist() == ["saturated"]
    change(path, "DELETE FROM score WHERE proxy = 'ntk_rank'")
    with pytest.raises(InputError, match="score it again"):
        table_of_store(path)


def test_stores_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="check the path"):
        table_of_store(tmp_path / "absent.db")
    settings = Measurement(n=8).settings(at.space("nas_bench_201"), {})
    ScoreStore.open(tmp_path / "new.db", settings, environment(1, "cpu")).close()
    with pytest.raises(InputError, match="holds no scores yet; run: automl-theory score"):
        table_of_store(tmp_path / "new.db")


@pytest.mark.parametrize(
    ("key", "value"),
    [("space", None), ("network", None), ("network", "[1]"), ("resolution", '"a"'), ("space", "3")],
)
def test_settings_that_no_run_wrote(tmp_path: Path, key: str, value: str | None) -> None:
    path = tmp_path / "s.db"
    at.score_space("nas_bench_201", ["ntk_rank"], sample=1, store=path, **TINY)
    if value is None:
        change(path, f"DELETE FROM meta WHERE key = '{key}'")
    else:
        change(path, f"UPDATE meta SET value = '{value}' WHERE key = '{key}'")
    with pytest.raises(StoreError, match=f"setting '{key}' of .* restore a copy, or score it again"):
        table_of_store(path)
