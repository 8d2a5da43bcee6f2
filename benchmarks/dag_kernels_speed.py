"""What closed forms and measured networks cost: all 541 live MLP-DAG cells on 128 inputs.

    python benchmarks/dag_kernels_speed.py [--n 128] [--rounds 3] [--out benchmarks/results/dag_kernels_speed.json]

One thread. Exact kernels, path sums, bounds, spectra, and the study's tables: all closed forms, and everything measured
of networks of width 256 under one seed (kernels, spectra, curves). Beside it, one draw of finite NTKs of the same cells
one network after the other, the way to the same kernels by Monte Carlo. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import automl_theory as at
from automl_theory.scoring.machine import processor
from automl_theory.studies.no_free_lunch import measure

SAMPLED = 20


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "dag_kernels_speed.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = at.space("mlp_dag")
    live = space.live()
    batch = at.load_batch("digits", options.n, size=8, channels=1)
    x = batch.x
    form = at.infinite_width
    flat = x.flatten(1).double().numpy()
    k0 = form.stem_kernel(flat * np.sqrt(flat.shape[1]) / np.linalg.norm(flat, axis=1, keepdims=True))
    sampled = [live[k] for k in np.random.default_rng(0).permutation(len(live))[:SAMPLED]]

    def one_draw() -> None:
        for arch in sampled:
            at.empirical_ntk(space.build(arch, 256, 10, 1, 8), x, output="trace")

    ways = {
        "exact kernels": lambda: form.dag_kernels(live, x),
        "path sums": lambda: form.dag_kernels(live, x, rule="paths"),
        "bounds of Theorems 4.4 and 4.6": lambda: (form.nngp_bound(live, k0), form.ntk_bound(live, k0)),
        "spectra of exact kernels": lambda: np.linalg.eigvalsh(form.dag_kernels(live, x).ntk),
        "the study's table of closed forms": lambda: measure.exact(live, flat, width=256, y=batch.y),
        "the study's table of networks, width 256, one seed": lambda: measure.measured(
            live, flat, seeds=(0,), width=256
        ),
    }
    with threadpool_limits(1):
        times = {name: statistics.median(seconds(way) for _ in range(options.rounds)) for name, way in ways.items()}
        one_draw()
        draw = seconds(one_draw) * len(live) / SAMPLED
    report = {
        "processor": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "n": options.n,
        "cells": len(live),
        "threads": 1,
        "unit": "seconds, median of rounds",
        "seconds": times,
        f"one draw of finite NTKs, width 256, scaled from {SAMPLED} cells": draw,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(report, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
