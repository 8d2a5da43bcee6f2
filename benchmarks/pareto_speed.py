"""What the Pareto front and the exact hypervolume of three columns cost, beside moocore's C, in one run.

    python benchmarks/pareto_speed.py [--rows 15625 423624] [--rounds 5] [--out benchmarks/results/pareto_speed.json]

For each size and kind of data, the fastest of some rounds of

- front: `dominance.front_mask`, and moocore's `is_nondominated(keep_weakly=True)`;
- hypervolume: `hypervolume` of all rows, and moocore's;
- pareto: `at.pareto` of a table with these columns (front, hypervolume, bookkeeping; without layers);
- layers: all layers of the table (up to --layers-up-to rows).

Kinds: random; correlated (few on the front, many layers); simplex and sphere (every row on the front); noisy simplex;
curve (two columns opposed, the third random, so that a sweep's staircase is long); faces (a zero in every row); grid
and all tied (ties); total order. Whether results agree is recorded. Run it on an idle machine with one thread.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd

import automl_theory as at
from automl_theory.analysis.dominance import front_mask, layer_numbers


def kinds(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    simplex = rng.exponential(size=(n, 3))
    simplex /= simplex.sum(axis=1, keepdims=True)
    sphere = np.abs(rng.normal(size=(n, 3)))
    faces = rng.random((n, 3))
    faces[np.arange(n), rng.integers(0, 3, n)] = 0
    t = rng.random(n)
    return {
        "random": rng.random((n, 3)),
        "correlated": rng.random((n, 1)) + 0.05 * rng.random((n, 3)),
        "simplex": simplex,
        "sphere": sphere / np.linalg.norm(sphere, axis=1, keepdims=True),
        "noisy simplex": simplex + 0.01 * rng.random((n, 3)),
        "curve": np.column_stack([t, 1 - t, rng.random(n)]),
        "faces": faces,
        "grid": rng.integers(0, 30, size=(n, 3)).astype(float),
        "all tied": np.ones((n, 3)),
        "total order": np.repeat(t[:, None], 3, axis=1),
    }


def fastest(rounds: int, function: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of the fastest round, and the result."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = function()
        spent.append(time.perf_counter() - start)
    return 1000 * min(spent), result


def measure(points: np.ndarray, rounds: int, layers: bool) -> dict[str, Any]:
    start = np.full(3, -0.1)
    df = pd.DataFrame(points, columns=["a", "b", "c"])
    reference, up = dict.fromkeys(df.columns, -0.1), dict.fromkeys(df.columns, "maximize")
    front_ms, front = fastest(rounds, lambda: front_mask(points))
    volume_ms, volume = fastest(rounds, lambda: at.hypervolume(points, start))
    pareto_ms, _ = fastest(rounds, lambda: at.pareto(df, ["a", "b", "c"], directions=up, reference=reference))
    theirs_ms, theirs = fastest(rounds, lambda: moocore.is_nondominated(points, maximise=True, keep_weakly=True))
    their_volume_ms, their_volume = fastest(rounds, lambda: moocore.hypervolume(points, ref=start, maximise=True))
    found = {
        "front": int(front.sum()),
        "front_ms": round(front_ms, 2),
        "hypervolume_ms": round(volume_ms, 2),
        "front_and_hypervolume_ms": round(front_ms + volume_ms, 2),
        "pareto_ms": round(pareto_ms, 2),
        "moocore_front_ms": round(theirs_ms, 2),
        "moocore_hypervolume_ms": round(their_volume_ms, 2),
        "same_front": bool((front == theirs).all()),
        "hypervolume_relative_difference": abs(volume - their_volume) / their_volume,
    }
    if layers:
        layers_ms, numbers = fastest(1, lambda: layer_numbers(points))
        found |= {"layers": int(numbers.max()), "layers_ms": round(layers_ms, 2)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[15_625, 423_624])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers-up-to", type=int, default=15_625)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pareto_speed.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for n in arguments.rows:
        results[str(n)] = {}
        for name, points in kinds(n).items():
            found = results[str(n)][name] = measure(points, arguments.rounds, n <= arguments.layers_up_to)
            print(f"{n:7} {name:14} {found}", flush=True)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "moocore": moocore.__version__}
    report = {"versions": versions, "rounds": arguments.rounds, "threads": 1, "results": results}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
