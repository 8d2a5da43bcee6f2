"""What it costs to score architectures many at once, against one after another: the same cells, in one run, in turn.

    python benchmarks/together_speed.py [--cells 16] [--n 64] [--together 4 16] [--device cpu] [--threads 1]

For cells sampled with a seed and the networks "reduced" (one cell a stage) and "canonical" (five), seconds an
architecture for all core proxies, building included: `one` as `score_space(together=1)` measures it, then stacks of
each size asked for. The best of the rounds, the first of which warms up, by the clock and of processor time, which
other work on the machine disturbs less. Differences of the values from those of `one` are relative, where both are
finite: in float32 the smallest eigenvalue of an ill-conditioned kernel is known to few digits in either way.

`--device cuda` runs the same on a GPU. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import automl_theory as at
from automl_theory.proxies import get_proxies
from automl_theory.scoring import task
from automl_theory.scoring.machine import processor
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.together import StackTask, score_stack, stacks

NETWORKS = {"reduced": 1, "canonical": 5}


def measure(cells: int, sizes: list[int], options: argparse.Namespace, per_stage: int) -> dict[str, Any]:
    """Seconds an architecture of every way, and how far their values are apart."""
    space, batch = at.space("nas_bench_201"), at.load_batch("digits", options.n)
    network = {"channels": 16, "cells_per_stage": per_stage, "num_classes": batch.classes}
    measurement = Measurement(n=options.n, network=network, device=options.device)
    task.prepare(space, measurement, batch.x.numpy(), batch.y.numpy(), batch.classes)
    names = tuple(proxy.name for proxy in get_proxies("core") if proxy.family != "size")
    archs = [arch for arch in space.sample(cells + 1, options.seed) if space.graph(arch).connected][:cells]

    def one() -> list[task.Result]:
        return [task.score_task((arch, 0, names)) for arch in archs]

    def many(size: int) -> list[task.Result]:
        found = (score_stack(StackTask(s, 0, tuple((a, 0, names) for a in s))) for s in stacks(archs, size))
        return [result for results in found for result in results]

    ways: dict[str, Callable[[], list[task.Result]]] = {"one": one}
    ways |= {str(size): lambda size=size: many(size) for size in sizes}
    values: dict[str, list[task.Result]] = {}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter(), time.process_time()
            values[name] = way()
            ends = time.perf_counter(), time.process_time()
            spent[name].append(tuple((end - begin) / cells for begin, end in zip(start, ends, strict=True)))
    seconds, processor_seconds = (
        {name: min(times[clock] for times in rounds) for name, rounds in spent.items()} for clock in (0, 1)
    )
    return {
        "seconds_an_architecture": seconds,
        "processor_seconds_an_architecture": processor_seconds,
        "times_faster": {name: seconds["one"] / value for name, value in seconds.items() if name != "one"},
        "median_difference": statistics.median(d for name in values for d in apart(values["one"], values[name])),
        "largest_difference": max(d for name in values for d in apart(values["one"], values[name])),
        "rounds": spent,
    }


def apart(one: list[task.Result], other: list[task.Result]) -> list[float]:
    """Relative differences of the values of two lists of results; none of a list with itself."""
    if one is other:
        return []
    pairs = [(a.scores[key][0], b.scores[key][0]) for a, b in zip(one, other, strict=True) for key in a.scores]
    return [abs(a - b) / abs(a) for a, b in pairs if math.isfinite(a) and math.isfinite(b) and a]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--together", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "together_speed.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    on_gpu = options.device != "cpu"
    result: dict[str, Any] = {
        "machine": torch.cuda.get_device_name(options.device) if on_gpu else f"{processor()}, {platform.machine()}",
        "torch": torch.__version__,
        "device": options.device,
        "threads": options.threads,
        "cells": options.cells,
        "n": options.n,
        "seed": options.seed,
        "rounds": options.rounds,
        "networks": {},
    }
    for name in options.networks:
        result["networks"][name] = measure(options.cells, options.together, options, NETWORKS[name])
        print(name, json.dumps({k: v for k, v in result["networks"][name].items() if k != "rounds"}, indent=2))
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
