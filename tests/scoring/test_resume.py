"""Runs that are killed, interrupted, doubled or starved end in the table of one that was left alone, byte for byte."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from torch import nn

import automl_theory as at
from automl_theory.cli import main
from automl_theory.errors import StoreError
from automl_theory.scoring.failures import failures_of
from automl_theory.scoring.rebuild import table_of_store
from automl_theory.scoring.store import ScoreStore

TINY: dict[str, Any] = {"n": 8, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}
OPTIONS = ["--n", "8", "--resolution", "8", "--channels", "4", "--cells-per-stage", "1"]
SAMPLE, SEEDS = 30, 2
RUN = ["score", "nas_bench_201", *OPTIONS, "--sample", str(SAMPLE), "--seeds", str(SEEDS)]
TOTAL = SAMPLE * SEEDS


def cli(*arguments: object) -> None:
    """Run the command line in this process, and insist that it went well."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 0


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start the installed command in a process group of its own."""
    program = Path(sysconfig.get_path("scripts")) / "automl-theory"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    return subprocess.Popen(
        [str(program), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    return out + errors


def scored(store: Path) -> int:
    """How many runs are in the store, read from outside, while others write."""
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10) as db:
            return int(db.execute("SELECT count(*) FROM run").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def wait_for(store: Path, count: int, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until the store has `count` runs, and return the processes that are at work then."""
    give_up = time.monotonic() + 90
    while scored(store) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.005)
    return psutil.Process(process.pid).children(recursive=True)


def exported(store: Path) -> dict[str, bytes]:
    """The files that `export` makes of a store."""
    folder = store.with_suffix(".exported")
    for name in ("t.parquet", "t.csv"):
        cli("export", store, folder / name, "--force")
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing happened to, in this process."""
    store = tmp_path_factory.mktemp("undisturbed") / "s.db"
    cli(*RUN, "--store", store, "--workers", 0)
    return store


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(undisturbed, tmp_path / "s.db"))


def test_kill_9_in_the_middle_and_another_worker_count_and_order(undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    process = start(*RUN, "--store", store, "--workers", 2)
    family = wait_for(store, 4, process)
    assert len(family) >= 2
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    done = scored(store)
    assert 4 <= done < TOTAL
    names = at.space("nas_bench_201").sample(SAMPLE, 0)
    again = [part for name in reversed(names) for part in ("--arch", name)]
    said = finish(start("score", "nas_bench_201", *OPTIONS, *again, "--seeds", SEEDS, "--store", store, "--workers", 1))
    assert f"{TOTAL}/{TOTAL} in " in said
    assert f", {done} of them before" in said
    assert exported(store) == exported(undisturbed)


def test_shards_of_two_runs_merged_are_the_whole(undisturbed: Path, tmp_path: Path) -> None:
    shards = [tmp_path / f"{i}.db" for i in (1, 2)]
    for i, shard in enumerate(shards, 1):
        cli(*RUN, "--store", shard, "--workers", 0, "--shard", f"{i}/2")
    assert [scored(shard) for shard in shards] == [TOTAL // 2] * 2
    cli("merge", tmp_path / "all.db", *reversed(shards))
    assert exported(tmp_path / "all.db") == exported(undisturbed)


def test_two_processes_on_one_store_at_once(undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    for process in [start(*RUN, "--store", store, "--workers", 0) for _ in range(2)]:
        assert f"{SAMPLE} architectures" in finish(process)
    assert exported(store) == exported(undisturbed)
    with ScoreStore.existing(store) as kept:
        assert kept._rows("PRAGMA integrity_check") == [("ok",)]
        assert len(kept.read_runs()) == TOTAL


def test_ctrl_c_stops_within_seconds_and_says_how_to_resume(undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    process = start(*RUN, "--store", store, "--workers", 2)
    family = wait_for(store, 3, process)
    begin = time.monotonic()
    # As a terminal does: to everybody in the group, the workers too.
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 130
    assert out == ""
    (line,) = [line for line in errors.splitlines() if not line.startswith("scoring nas_bench_201: ")]
    assert line.startswith("automl-theory: error: stopped after ")
    assert line.endswith(f" of {TOTAL} scores; they are kept in {store}: the same command goes on from there")
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert 3 <= scored(store) < TOTAL
    cli(*RUN, "--store", store, "--workers", 0)
    assert exported(store) == exported(undisturbed)


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.ReLU(), nn.Linear(width, 10))


def once(marker: Path, kind: str) -> nn.Module:
    """Fail the first time, in a way that exceptions do not tell of."""
    if not marker.exists():
        marker.touch()
        fall(kind)
    return net(8)


def unless(marker: Path, kind: str) -> nn.Module:
    """Fail every time until somebody has mended what was wrong."""
    if not marker.exists():
        fall(kind)
    return net(8)


def fall(kind: str) -> None:
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exited":
        os._exit(7)
    raise MemoryError


def family_of(tmp_path: Path) -> dict[str, Any]:
    return {
        "fine": functools.partial(net, 8),
        "killed": functools.partial(unless, tmp_path / "mended", "killed"),
        "exited once": functools.partial(once, tmp_path / "exited", "exited"),
        "memory": functools.partial(unless, tmp_path / "mended", "memory"),
        "wide": functools.partial(net, 32),
    }


@pytest.fixture
def _no_process_is_left() -> Iterator[None]:
    yield
    left = [child for child in psutil.Process().children() if "resource_tracker" not in " ".join(child.cmdline())]
    assert left == []


@pytest.mark.usefixtures("_no_process_is_left")
@pytest.mark.filterwarnings("ignore::automl_theory.errors.FailedScores")  # statuses and reasons are looked at
def test_a_worker_that_dies_or_runs_out_of_memory_costs_one_status(tmp_path: Path) -> None:
    store, space = tmp_path / "s.db", at.space(family_of(tmp_path))
    options: dict[str, Any] = {"n": 8, "resolution": 4, "store": store}
    table = at.score_space(space, ["ntk_trace", "parameters"], workers=2, **options)
    statuses = table["ntk_trace_status"].to_dict()
    failed = ["killed", "memory"]
    assert statuses == {name: "failed" if name in failed else "ok" for name in space}
    assert failures_of(store) == [
        ("killed", 0, "worker died with signal 9 (out of memory?) twice"),
        ("memory", 0, "MemoryError"),
    ]
    calm = at.score_space({"fine": functools.partial(net, 8)}, ["ntk_trace", "parameters"], n=8, resolution=4)
    for name in ("fine", "exited once"):
        assert table.loc[name, "ntk_trace"] == calm.loc["fine", "ntk_trace"]
    # A resume leaves what failed alone, unless it is asked to try again.
    (tmp_path / "mended").touch()
    pd.testing.assert_frame_equal(
        at.score_space(space, ["ntk_trace", "parameters"], **options), table, check_exact=True
    )
    mended = at.score_space(space, ["ntk_trace", "parameters"], retry_failed=True, **options)
    assert set(mended["ntk_trace_status"]) == {"ok"}
    assert mended.loc["killed", "ntk_trace"] == calm.loc["fine", "ntk_trace"]
    pd.testing.assert_frame_equal(mended.loc[["fine", "wide"]], table.loc[["fine", "wide"]], check_exact=True)
    assert failures_of(store) == []


def say(store: Path, arguments: list[object], capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in [*RUN, "--store", store, "--workers", 0, *arguments]])
    return stop.value.code, capsys.readouterr().err


def test_another_environment_is_refused_unless_asked_for(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = exported(copy)
    with sqlite3.connect(copy) as db:
        db.execute("""UPDATE meta SET value = '"1.0"' WHERE kind = 'environment' AND key = 'torch'""")
        db.execute("DELETE FROM score WHERE arch = (SELECT max(arch) FROM score)")
    db.close()
    code, said = say(copy, [], capsys)
    assert code == 2
    assert 'torch: "1.0" → ' in said
    assert "--allow-mismatch to mix them" in said
    assert len(said.splitlines()) == 1
    code, said = say(copy, ["--threads", 2], capsys)
    assert code == 2
    assert 'threads_per_worker: "1" → "2"' in said
    code, said = say(copy, ["--allow-mismatch"], capsys)
    assert code == 0
    table, _ = table_of_store(copy)
    ((_, key, old, new),) = table.attrs["environment_changes"]
    assert (key, old) == ("torch", '"1.0"')
    assert new
    after = exported(copy)
    assert after["t.csv"] == before["t.csv"]
    assert after["t.csv.json"] != before["t.csv.json"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--bn", "batch"], 'bn: "frozen" → "batch"'),
        (["--n", 12], "n: 8 → 12"),
        (["--data", "gaussian"], 'data: "digits" → "gaussian"'),
        (["--channels", 8], '"channels": 4'),
        (["--init", "he_fan_in", "--allow-mismatch"], 'init: "pytorch" → "he_fan_in"'),
    ],
)
def test_other_settings_are_refused(
    copy: Path, arguments: list[object], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = say(copy, arguments, capsys)
    assert code == 2
    assert text in said
    assert "use another --store" in said
    assert len(said.splitlines()) == 1
    assert scored(copy) == TOTAL


def test_an_own_space_of_another_name_is_another_setting(tmp_path: Path) -> None:
    options: dict[str, Any] = {"n": 8, "resolution": 4, "store": tmp_path / "s.db"}
    at.score_space({"a": functools.partial(net, 8)}, ["ntk_trace"], **options)
    other = at.space({"a": functools.partial(net, 16)}, name="others")
    with pytest.raises(StoreError, match='space: "modules" → "others"'):
        at.score_space(other, ["ntk_trace"], **options)
