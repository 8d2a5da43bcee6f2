"""What training many networks at once saves: the study's 541 live MLP-DAG codes under three seeds, and plain training.

    python benchmarks/train_many_speed.py [--epochs 200] [--sample 24] [--out benchmarks/results/train_many_speed.json]

Many at once: `studies.no_free_lunch.train.train_all` on the digits with the study's own setup but the number of epochs,
two worker processes, their start, evaluations and stored pieces included. Plain: `training.train` of one network after
the other, a seeded sample of codes with the same setup, in one process, with torch's default number of threads and with
one; the faster is the reference. Two ratios:

    of the table          plain training of all 1,623 rows / many at once: codes that are one and the same network with
                          the same weights are trained once
    of trained networks   plain / many at once, both an epoch of each of the 663 networks that are really trained

Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from automl_theory.scoring.machine import processor
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.mlp_dag_stacks import groups
from automl_theory.studies.no_free_lunch.setup import FULL
from automl_theory.studies.no_free_lunch.train import parts, recipe, train_all
from automl_theory.training import train

PLAIN_EPOCHS = 50


def plain(codes: list[str], threads: int) -> float:
    """Mean seconds an epoch of one network, one after the other; the first code once more, before the clock starts."""
    (train_data, test_data), classes = parts(FULL.data, FULL.train_samples)
    how = recipe(FULL, PLAIN_EPOCHS)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    spent = []
    for code in [codes[0], *codes]:
        start = time.perf_counter()
        net = MlpDag().build(code, FULL.width, classes, in_channels=1, resolution=8, seed=FULL.seeds[0])
        train(net, train_data, test_data, how, FULL.seeds[0])
        spent.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return statistics.fmean(spent[1:]) / PLAIN_EPOCHS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--sample", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "train_many_speed.json")
    options = parser.parse_args()
    setup = replace(FULL, epochs=options.epochs, workers=options.workers)
    codes = list(setup.architectures())
    distinct = sorted({first for group in groups(codes) for first in group.distinct().values()})
    rng = np.random.default_rng(0)
    samples = {
        "codes": [codes[k] for k in rng.choice(len(codes), options.sample, replace=False)],
        "networks": [distinct[k] for k in rng.choice(len(distinct), options.sample, replace=False)],
    }
    load = os.getloadavg()[0]
    ways = {f"{threads} thread{'s' * (threads > 1)}": threads for threads in sorted({1, torch.get_num_threads()})}
    alone = {name: {way: plain(sample, n) for way, n in ways.items()} for name, sample in samples.items()}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        table, _ = train_all(setup, Path(folder))
        total = time.perf_counter() - start
    trained = len(distinct) * len(setup.seeds)
    at_once = total / trained / options.epochs
    reference = {name: min(times.values()) for name, times in alone.items()}
    report = {
        "processor": processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load average before": round(load, 2),
        "setup": {
            name: getattr(setup, name) for name in ("data", "train_samples", "width", "batch_size", "epochs", "workers")
        },
        "rows": len(table),
        "networks trained": trained,
        "seconds, all at once": round(total, 2),
        "seconds of the study's epochs at that rate": round(total * FULL.epochs / options.epochs, 1),
        "milliseconds a network-epoch, at once": round(1e3 * at_once, 4),
        "milliseconds a network-epoch, plain": {
            name: {way: round(1e3 * value, 4) for way, value in times.items()} for name, times in alone.items()
        },
        "ratio of the table": round(reference["codes"] * len(table) * options.epochs / total, 2),
        "ratio of trained networks": round(reference["networks"] / at_once, 2),
        "converged": int(table["converged"].sum()),
        "diverged": int((table["status"] != "ok").sum()),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
