"""The options of `automl-theory score` for Ray, on a cluster that lives as long as the command."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

import automl_theory as at
from automl_theory.errors import MissingExtra
from automl_theory.scoring.ray_executor import run_tasks
from automl_theory.scoring.store import ScoreStore

SMALL = ["--n", "8", "--resolution", "8", "--channels", "4", "--cells", "1", "--proxies", "naswot"]


def marked(mark: str) -> list[int]:
    """Living processes that inherited a mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc")
def test_ctrl_c_keeps_the_scores_and_leaves_nothing_behind(tmp_path: Path) -> None:
    mark, store = uuid.uuid4().hex, tmp_path / "s.db"
    command = [sys.executable, "-m", "automl_theory", "score", "nas_bench_201", "--executor", "ray", "--workers", "1"]
    running = subprocess.Popen(
        [*command, *SMALL, "--store", str(store)],
        env={**os.environ, "RAY_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline, kept = time.monotonic() + 90, 0
    while kept < 3 and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.3)
        with suppress(Exception), ScoreStore.existing(store) as opened:
            kept = len(opened.read())
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 or running.returncode == 2
    assert out == ""
    assert "the same command goes on from there" in err
    assert "raylet" not in err
    with ScoreStore.existing(store) as opened:
        assert len(opened.read()) >= kept >= 3
    while marked(mark) and time.monotonic() < deadline + 30:
        time.sleep(0.1)
    assert marked(mark) == []


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"ray is not installed; install it .* 'automl_theory\[ray\]'"):
        list(run_tasks(abs, [1], workers=1))


def test_sizes_that_a_space_does_not_know_in_closed_form_are_measured() -> None:
    names = ["parameters", "l2_norm", "az_complexity"]
    network = {"channels": 4, "cells_per_stage": 1}
    table = at.score_space("nas_bench_201", names, sample=2, n=8, resolution=8, network=network)
    assert (table[names] > 0).all(axis=None)
    assert "parameters_std" not in table
    assert (table[["l2_norm_status", "az_complexity_status"]] == "ok").all(axis=None)
