"""Scoring many architectures in one pass: the same table as one by one, whoever does it and wherever it was stopped."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import automl_theory as at
from automl_theory.errors import InputError, Interrupted, StoreError
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.together import choose_together, stacks
from automl_theory.spaces.nas_bench_201 import NasBench201

TINY: dict[str, Any] = {"n": 8, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}, "progress": False}
SPACE = at.space("nas_bench_201")
SPECIAL = [
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|avg_pool_3x3~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
]
CELLS = list(dict.fromkeys([*SPECIAL, *SPACE.sample(14, 3)]))


def table(**settings: Any) -> pd.DataFrame:
    return at.score_space(settings.pop("space", SPACE), **{"architectures": CELLS, **TINY, **settings})


def same(a: pd.DataFrame, b: pd.DataFrame, tolerance: float = 0.0) -> None:
    """Insist on equal tables, floats up to a relative tolerance; the time that a row took does not count."""
    assert list(a) == list(b)
    assert list(a.index) == list(b.index)
    for name in a:
        if a[name].dtype.kind == "f":
            np.testing.assert_allclose(b[name], a[name], rtol=tolerance, atol=0, err_msg=name)
        else:
            assert a[name].equals(b[name]), name


@pytest.fixture(scope="module")
def together() -> pd.DataFrame:
    return table(together=6, seeds=2)


@pytest.mark.parametrize("biases", [False, True])
def test_core_proxies_are_those_of_one_at_a_time(biases):
    choice = {"dtype": "float64", "biases": biases}
    one, many = table(**choice), table(together=6, **choice)
    same(one, many, 1e-10)
    statuses = one.filter(like="_status").to_numpy().ravel().tolist()
    assert {"ok", "disconnected"} <= set(statuses)
    assert "failed" not in statuses
    assert many.attrs["settings"]["together"] == 6
    assert "together" not in one.attrs["settings"]


def test_proxies_that_need_the_network_too_have_it():
    proxies = "ntk_lambda_min,naswot,ntk_condition_number_batch,segment_regions,grad_norm,log_synflow,zen,vkdnw"
    choice = {"dtype": "float64", "proxies": proxies, "architectures": CELLS[4:8]}
    same(table(**choice), table(together=3, **choice), 1e-9)


@pytest.mark.parametrize("proxies", ["grad_norm,naswot", "log_synflow", "linear_regions_thin"])
def test_proxies_that_a_stack_does_not_serve_go_the_single_way(proxies):
    same(table(proxies=proxies), table(proxies=proxies, together=6))


def test_workers_do_not_matter(together):
    same(together, table(together=6, seeds=2, workers=2))


def test_shards_are_of_whole_stacks(together, tmp_path):
    stores = [tmp_path / f"{i}.db" for i in (1, 2)]
    parts = [table(together=6, seeds=2, store=store, shard=(i, 2)) for i, store in enumerate(stores, 1)]
    same(together, pd.concat(parts).loc[CELLS])
    with pytest.raises(InputError, match="shard 5/5 of 4 stacks of 6 architectures is empty; use at most 4 shards"):
        table(together=6, shard=(5, 5))


@pytest.mark.parametrize("after", [1, 9, 20])
def test_a_run_stopped_within_a_stack_ends_in_the_same_table(together, tmp_path, after):
    def stop(finished: int, total: int, failed: int) -> None:
        if finished == after:
            raise KeyboardInterrupt

    store = tmp_path / "scores.db"
    with pytest.raises(Interrupted, match=f"stopped after {after} of {2 * len(CELLS)} scores"):
        table(together=6, seeds=2, store=store, **{"progress": stop})
    same(together, table(together=6, seeds=2, store=store))


def test_a_store_keeps_to_one_number(tmp_path):
    store = tmp_path / "scores.db"
    table(together=4, architectures=CELLS[:3], store=store)
    for other in (None, 1, 5):
        with pytest.raises(StoreError, match="together"):
            table(together=other, architectures=CELLS[:3], store=store)


class Broken(NasBench201):
    def build_stack(self, archs: Any, **settings: Any) -> Any:
        raise RuntimeError("no stack today")


class BrokenAlone(Broken):
    def build(self, *archs: Any, **settings: Any) -> Any:
        raise RuntimeError("no network either")


class Full(NasBench201):
    def build_stack(self, archs: Any, **settings: Any) -> Any:
        raise MemoryError("no room for a stack")


def test_what_cannot_be_stacked_goes_the_single_way_and_says_so(tmp_path):
    store = tmp_path / "scores.db"
    alone = table(architectures=CELLS[:8])
    same(alone, table(architectures=CELLS[:8], space=Broken(), together=4, store=store))
    with closing(sqlite3.connect(store)) as database:
        details = dict(database.execute("SELECT arch, detail FROM run"))
    for arch, status in alone["naswot_status"].items():
        said = details[SPACE.canonical(str(arch))]
        assert said == ("" if status == "disconnected" else "together: RuntimeError: no stack today")


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # the reason is looked at
def test_a_failure_after_a_failed_stack_is_told_by_its_own_reason(tmp_path):
    found = table(architectures=CELLS[4:6], space=BrokenAlone(), together=2, proxies="naswot")
    assert {reason for _, _, reason in found.attrs["failures"]} == {"RuntimeError: no network either"}


@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # the reason is looked at
def test_no_memory_for_a_stack_says_so(tmp_path):
    from automl_theory.scoring.failures import failures_of

    store = tmp_path / "scores.db"
    found = table(architectures=CELLS[4:6], space=Full(), together=2, store=store, proxies="naswot")
    assert set(found["naswot_status"]) == {"failed"}
    assert "no room for a stack; let fewer architectures go together" in failures_of(store)[0][2]


def test_a_bad_number_is_refused():
    for bad in (0, -1, 2.5, True, 5000):
        with pytest.raises(InputError, match=r"together=.*: give the architectures of one pass, 1 to 4,096"):
            table(together=bad)
    with pytest.raises(InputError, match="space 'mlp_dag' cannot stack its architectures; use together=1"):
        at.score_space("mlp_dag", sample=2, together=2)
    for choice in ({"bn": "batch"}, {"output": "trace"}):
        with pytest.raises(InputError, match="stacks have bn='frozen' and output='sum'; use these, or together=1"):
            table(together=2, **choice)


def test_a_gpu_stacks_where_it_can():
    def chosen(space: str, **choice: Any) -> int:
        return choose_together(None, at.space(space), Measurement(**choice))

    assert chosen("nas_bench_201", device="cuda") == chosen("nas_bench_201", device="cuda:1") == 16
    assert chosen("nas_bench_201") == chosen("mlp_dag", device="cuda") == 1
    assert chosen("nas_bench_201", device="cuda", bn="batch") == 1


def test_stacks_are_runs_of_the_plan():
    assert stacks(["a", "b", "c", "d", "e"], 2) == [("a", "b"), ("c", "d"), ("e",)]


def test_the_command_line_asks_for_it(tmp_path, monkeypatch, capsys):
    from automl_theory.cli import main

    monkeypatch.chdir(tmp_path)
    small = ["--n", "8", "--resolution", "8", "--channels", "4", "--cells-per-stage", "1", "--workers", "0"]
    for extra in (["--together", "3"], []):
        with pytest.raises(SystemExit) as stop:
            main(["score", "nas_bench_201", *small, "--sample", "4", "--export", f"{len(extra)}.csv", *extra])
        assert stop.value.code == 0
    assert len(list(Path("runs").glob("*.db"))) == 2
    one, many = (pd.read_csv(f"{n}.csv") for n in (0, 2))
    same(one[["arch", "naswot"]], many[["arch", "naswot"]], 1e-3)
