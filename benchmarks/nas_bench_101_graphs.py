"""What it costs to list NAS-Bench-101 and to measure all its 423,624 graphs, in one process and on one thread.

    python benchmarks/nas_bench_101_graphs.py [--alone 20000] [--table nb101.parquet] [--out FILE]

Seconds, on the clock and of the processor (they differ on a busy machine), for

- enumerate: the unique modules, and their order by hash from the file;
- list: their strings;
- graph_metrics: `at.graph_metrics` of the whole space, from strings to DataFrame;
- alone: `graphs.dag.metrics` cell by cell for the first --alone modules, scaled to all; whether it is bit for bit the
  same is recorded;
- sizes: `size_metrics` of every module.

With --table, a file with columns params and test_acc_e108 in the order of hashes, it is recorded in how many rows the
closed form of the parameters differs, and Kendall's tau of every measure with the accuracy.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

import automl_theory as at
from automl_theory.graphs.dag import METRICS, metrics
from automl_theory.spaces.nas_bench_101_order import by_hash


def timed(function: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    spent = {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}
    return {name: round(seconds, 2) for name, seconds in spent.items()}, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", type=int, default=20_000)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "nas_bench_101_graphs.json")
    arguments = parser.parse_args()
    space = at.space("nas_bench_101")
    seconds: dict[str, Any] = {}
    seconds["enumerate"], _ = timed(by_hash)
    seconds["list"], names = timed(lambda: list(space))
    seconds["graph_metrics"], table = timed(lambda: at.graph_metrics(space))
    some = names[: arguments.alone]
    alone, rows = timed(lambda: [list(metrics(space.graph(arch)).values()) for arch in some])
    seconds["alone"] = {name: round(value * len(names) / len(some), 2) for name, value in alone.items()}
    seconds["sizes"], sizes = timed(lambda: pd.DataFrame([space.size_metrics(arch) for arch in names], table.index))
    report: dict[str, Any] = {
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "pandas": pd.__version__},
        "threads": 1,
        "modules": len(names),
        "seconds": seconds,
        "measured_alone": len(some),
        "bit_equal": bool((np.array(rows) == table[list(METRICS)].to_numpy()[: len(some)]).all()),
    }
    if arguments.table is not None:
        known = pd.read_parquet(arguments.table)
        measures = table[list(METRICS)].join(sizes)
        report["rows_with_other_parameters"] = int((sizes["parameters"].to_numpy() != known["params"]).sum())
        report["kendall_tau"] = {
            name: round(float(kendalltau(measures[name], known["test_acc_e108"]).statistic), 4) for name in measures
        }
    print(json.dumps(report, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
