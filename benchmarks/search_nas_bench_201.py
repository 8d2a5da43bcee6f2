"""Training-free searches of NAS-Bench-201 under seeds fixed beforehand: what they find, and what they cost.

    python benchmarks/search_nas_bench_201.py --seeds 20

TE-NAS's pruning in its published setting (3 channels, one cell a stage, 72 CIFAR-10 images; regions of a one-channel
cell), seeds 0 to 19, beside the paper's 93.90 ± 0.47 on CIFAR-10 and 71.24 ± 0.56 on CIFAR-100 (4 seeds); and the
recommended composite under the same budget, as many architectures as TE-NAS measures supernets: its first choice and
its first ten among random classes of the space, and among those that evolution proposes.

Each search keeps its steps in --run, so that a stopped benchmark goes on. --store names scores of the composite that
are read in the place of measuring, as benchmarks/composite.py keeps them; seconds are then unknown.
images_cifar10_train4000.npz and nb201_accuracy.parquet are in the folder that AUTOML_THEORY_SHARED names (default
../shared), in its subfolder data.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from automl_theory.scoring.machine import processor
from automl_theory.search.place import places, summary
from automl_theory.search.repeat import repeat
from automl_theory.search.request import Search, prepare

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("AUTOML_THEORY_SHARED") or HERE.parents[1] / "shared") / "data"
TARGETS = {"cifar10": "c10_test_e200", "cifar100": "c100_test_e200"}
PAPER = {"cifar10": (93.90, 0.47), "cifar100": (71.24, 0.56)}
PAPER_SEEDS = 4
BUDGET = 171
"""Supernets of a TE-NAS run: 57 with 3 repeats."""
COMPOSITE = ("random", "evolution")
"""Searches that take the composite."""


def measured(asked: Search, seeds: range, folder: Path, trained: pd.DataFrame, workers: int) -> dict[str, Any]:
    """Make the searches and summarise them."""

    def told(finished: int, total: int, failed: int) -> None:
        print(f"{asked.algorithm}: {finished}/{total}", flush=True)

    found = repeat(asked, seeds, folder / asked.algorithm, workers=workers, progress=told)
    result: dict[str, Any] = {
        "seeds": len(seeds),
        "found": [one.found for one in found],
        "seconds": None
        if "store" in asked.settings
        else {
            "mean": float(np.mean([one.seconds for one in found])),
            "largest": max(one.seconds for one in found),
        },
        "evaluations": float(np.mean([one.evaluations for one in found])),
    }
    for name, column in TARGETS.items():
        table = places(found, asked.space, trained, column)
        s = summary(table[column].tolist())
        result[name] = {
            "mean": s.mean, "deviation": s.deviation, "interval_of_mean": [s.low, s.high],
            "each": table[column].tolist(), "rank": table["rank"].tolist(),
            "top10_mean": None if table["top10_mean"].isna().any() else float(table["top10_mean"].mean()),
            "best_in_space": float(trained[column].max()),
        }  # fmt: skip
        if name in PAPER and asked.algorithm == "tenas":
            mean, deviation = PAPER[name]
            test = stats.ttest_ind_from_stats(s.mean, s.deviation, s.n, mean, deviation, PAPER_SEEDS, equal_var=False)
            result[name]["paper"] = {
                "mean": mean, "deviation": deviation, "seeds": PAPER_SEEDS,
                "inside_or_below_interval": mean <= s.high, "welch_p": float(test.pvalue),
            }  # fmt: skip
    return result


def main() -> None:
    """Run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--algorithms", default="tenas,tegnas,random,evolution")
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--run", type=Path, default=Path("runs/search_nas_bench_201"))
    options.add_argument("--store", type=Path)
    options.add_argument("--out", type=Path, default=HERE / "results" / "search_nas_bench_201.json")
    given = options.parse_args()
    data = str(SHARED / "images_cifar10_train4000.npz")
    trained = pd.read_parquet(SHARED / "nb201_accuracy.parquet").set_index("arch_str")
    results: dict[str, Any] = json.loads(given.out.read_text())["results"] if given.out.exists() else {}
    for algorithm in given.algorithms.split(","):
        settings: dict[str, Any] = {}
        if algorithm in COMPOSITE:
            settings = {
                "proxies": "composite",
                "evaluations": BUDGET,
                "network": {"channels": 16, "cells_per_stage": 1},
            }
            settings |= {} if given.store is None else {"store": given.store}
        asked = prepare("nas_bench_201", algorithm, data=data, threads=given.threads, **settings)
        results[algorithm] = measured(asked, range(given.seeds), given.run, trained, given.workers)
        about = {"threads": given.threads, "workers": given.workers, "data": Path(data).name}
        machine = {"processor": processor(), "python": platform.python_version(), "torch": torch.__version__}
        text = json.dumps({"settings": about, "machine": machine, "results": results}, indent=2)
        given.out.write_text(text + "\n", encoding="utf-8")
        for name in TARGETS:
            s = results[algorithm][name]
            low, high = s["interval_of_mean"]
            print(f"{algorithm} {name}: {s['mean']:.2f} ± {s['deviation']:.2f}, mean in {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
