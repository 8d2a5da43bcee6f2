"""Two workers against one, and Ray against processes, in one run; their tables compared bit for bit.

    python benchmarks/ray_speed.py [--cells 80] [--n 64] [--rounds 3] [--out benchmarks/results/ray_speed.json]

Cells of NAS-Bench-201 with one cell a stage are scored for the core proxies, one thread a worker, in rounds that take
turns:

- machine: the same loop in two programs that know nothing of each other, against one alone. Two programs do twice the
  work, so 2 t1 / t2 is the speed-up that this machine's two cores allow at all;
- processes 1, processes 2: one worker process and two;
- ray 2: two workers on a Ray cluster of this machine, started and ended in each round.

Every score tells when it began and ended on its worker. The steady rate counts scores from the moment when each worker
has done its first to the moment when one has done its last: neither start-up nor tail. Start-up runs from the call to
the first score's beginning. Figures are medians over the rounds. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

import automl_theory as at
from automl_theory.proxies import get_proxies
from automl_theory.scoring import executors, ray_executor, task
from automl_theory.scoring.machine import processor
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.setting import prepare
from automl_theory.scoring.worker import set_threads

NETWORK = {"channels": 16, "cells_per_stage": 1}
WAYS = {
    "processes 1": (executors.run_tasks, 1),
    "processes 2": (executors.run_tasks, 2),
    "ray 2": (ray_executor.run_tasks, 2),
}


def settings(n: int) -> tuple[Any, ...]:
    """Arguments of `task.prepare`."""
    return prepare("nas_bench_201", "core", "digits", 1, Measurement(n=n, network=NETWORK), {}).initargs


def listed(cells: int) -> list[task.Task]:
    names = tuple(proxy.name for proxy in get_proxies("core"))
    return [(arch, 0, names) for arch in at.space("nas_bench_201").sample(cells, 0)]


def set_up(*initargs: Any) -> None:
    """Prepare a worker, and let torch do what it does once only."""
    task.prepare(*initargs)
    task.score_task(listed(1)[0])


def timed(one: task.Task) -> tuple[dict[str, tuple[float, str]], float, float, str]:
    """A score, when it began and ended, and who made it."""
    start = time.time()
    scores = task.score_task(one).scores
    return scores, start, time.time(), f"{platform.node()} {os.getpid()}"


def measure(way: str, tasks: list[task.Task], initargs: tuple[Any, ...]) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds and rate of one way, and its scores."""
    run, workers = WAYS[way]
    start = time.time()
    outcomes = list(run(timed, tasks, workers=workers, threads=1, initializer=set_up, initargs=initargs))
    wall = time.time() - start
    if failed := [outcome.error for outcome in outcomes if outcome.error]:
        raise SystemExit(f"{way}: {failed[0]}")
    ends: dict[str, list[float]] = {}
    for outcome in outcomes:
        ends.setdefault(outcome.result[3], []).append(outcome.result[2])
    first, last = max(min(times) for times in ends.values()), min(max(times) for times in ends.values())
    done = sum(first < end <= last for times in ends.values() for end in times)
    found = {
        "wall_seconds": wall,
        "startup_seconds": min(outcome.result[1] for outcome in outcomes) - start,
        "scores_per_second": done / (last - first),
        "workers_seen": len(ends),
    }
    return found, {outcome.task[0]: repr(sorted(outcome.result[0].items())) for outcome in outcomes}


def machine(cells: int, n: int) -> float:
    """Speed-up of two independent programs over one."""

    def programs(count: int) -> float:
        command = [sys.executable, __file__, "--loop", "--cells", str(cells), "--n", str(n)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(count)]
        for program in running:
            program.stdout.readline()
        for program in running:
            program.stdin.write("go\n")
            program.stdin.flush()
        return statistics.mean(float(program.communicate()[0]) for program in running)

    return 2 * programs(1) / programs(2)


def loop(cells: int, n: int) -> None:
    """One program of `machine`: says that it is ready, waits for a line, prints the seconds of its loop."""
    set_threads(1)
    set_up(*settings(n))
    tasks = listed(cells)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for one in tasks:
        task.score_task(one)
    print(time.perf_counter() - start)


def tables_equal(cells: int, n: int) -> bool:
    """Whether `score_space` gives the same table by both executors, to the last bit."""
    options: dict[str, Any] = {"sample": cells, "n": n, "network": NETWORK, "workers": 2, "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        one, other = (
            at.score_space("nas_bench_201", "core", executor=name, store=Path(folder) / f"{name}.db", **options)
            for name in ("processes", "ray")
        )
    try:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return bool(one.attrs == other.attrs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=80)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--loop", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.loop:
        loop(given.cells, given.n)
        return
    begun = time.time()
    tasks, initargs = listed(given.cells), settings(given.n)
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    limits, scores = [], []
    for _ in range(given.rounds):
        limits.append(machine(max(10, given.cells // 2), given.n))
        for way in WAYS:
            found, values = measure(way, tasks, initargs)
            rounds[way].append(found)
            scores.append(values)
            print(way, {key: round(value, 3) for key, value in found.items()}, flush=True)
    median = {
        way: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for way, rows in rounds.items()
    }
    one, two, ray = (median[way]["scores_per_second"] for way in WAYS)
    result = {
        "processor": processor(),
        "cells": given.cells,
        "n": given.n,
        "rounds": given.rounds,
        "medians": median,
        "speedup_of_two_independent_programs": statistics.median(limits),
        "speedup_of_two_processes": two / one,
        "ray_overhead_steady": two / ray - 1,
        "ray_overhead_with_startup": median["ray 2"]["wall_seconds"] / median["processes 2"]["wall_seconds"] - 1,
        "ray_startup_seconds_more": median["ray 2"]["startup_seconds"] - median["processes 2"]["startup_seconds"],
        "scores_equal_bit_for_bit": all(values == scores[0] for values in scores),
        "tables_equal_bit_for_bit": tables_equal(12, given.n),
        "seconds": time.time() - begun,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
