"""Train NAS-Bench-201 cells on the digits of scikit-learn and write the table that the package bundles.

    python benchmarks/train_digits.py --classes 1000 --workers 2

One row a connected canonical class and seed, in the order of the nested sample, so that any prefix of the file is a
proper sample. The seed decides initial weights (keyed by name) and batch order. A killed run loses the runs in flight;
started again it trains what is missing, and the file is the same as without the interruption, with any number of
workers. `digits.json` beside it states the recipe; a folder with another recipe is refused.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from automl_theory.data import dataset, stratified_split
from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.progress import ProgressLine
from automl_theory.scoring.executors import run_tasks
from automl_theory.spaces import space
from automl_theory.training import Data, Recipe, train

FOLDER = Path(__file__).resolve().parents[1] / "automl_theory" / "accuracy"
SEEDS = (0, 1)
VALUES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "epochs_to_50")
COLUMNS = ("canonical", "seed", *VALUES, "status")
NETWORK = {"channels": 8, "cells_per_stage": 3, "num_classes": 10, "in_channels": 1, "init": "pytorch"}
TRAINING = Recipe(epochs=10, batch_size=50)
TRAIN_SAMPLES = 500

Key = tuple[str, int]


def recipe(epochs: int) -> dict[str, Any]:
    """Everything that decides the numbers; two files are comparable if this is equal."""
    data = dataset("digits")
    return {
        "name": "digits",
        "space": "nas_bench_201",
        "sample": "space.sample(space.size, sample_seed) over canonical classes, without the disconnected one",
        "sample_seed": 0,
        "seeds": list(SEEDS),
        "data": {
            "source": data.source,
            "train": TRAIN_SAMPLES,
            "test": len(data.labels) - TRAIN_SAMPLES,
            "split": "stratified_split",
            "split_seed": 0,
            "augmentation": "none",
        },
        "network": NETWORK,
        "training": asdict(Recipe(**{**asdict(TRAINING), "epochs": epochs})),
        "optimiser": "SGD, Nesterov, cosine to 0 per step, weight decay on all parameters; channels-last, one thread",
        "versions": {"torch": torch.__version__.split("+")[0], "numpy": np.__version__},
    }


def classes(settings: dict[str, Any]) -> list[str]:
    """All connected canonical classes in the order of the nested sample."""
    cells = space(settings["space"])
    representatives = cells.representatives()
    order = cells.sample(len(representatives), settings["sample_seed"])
    disconnected = cells.canonical("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    return [arch for arch in order if arch != disconnected]


@cache
def digits(train_samples: int, split_seed: int) -> tuple[Data, Data]:
    data = dataset("digits")
    images = torch.from_numpy(data.images).contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(data.labels)
    chosen, rest = (torch.from_numpy(part) for part in stratified_split(data.labels, train_samples, split_seed))
    return (images[chosen], labels[chosen]), (images[rest], labels[rest])


def run(task: tuple[str, int, dict[str, Any]]) -> tuple[list[str], float]:
    """Train one class under one seed; return its row as it is written, and the seconds it took."""
    arch, seed, settings = task
    start = time.perf_counter()
    net: Any = space(settings["space"]).build(arch, seed=seed, **settings["network"])
    net = net.to(memory_format=torch.channels_last)
    parts = digits(settings["data"]["train"], settings["data"]["split_seed"])
    result = train(net, *parts, Recipe(**settings["training"]), seed)
    row = [arch, str(seed), *(f"{getattr(result, name):.6g}" for name in VALUES), result.status]
    return row, time.perf_counter() - start


def read(path: Path) -> dict[Key, list[str]]:
    """The finished rows of a file, by class and seed."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if not lines or tuple(lines[0]) != COLUMNS or any(len(line) != len(COLUMNS) for line in lines):
        raise InputError(f"expected the columns {', '.join(COLUMNS)} in {path}; give another --out or remove the file")
    return {(line[0], int(line[1])): line for line in lines[1:]}


def write(path: Path, rows: dict[Key, list[str]], order: dict[str, int]) -> None:
    """Write all rows, sorted by place in the sample and seed; the file is replaced at once or not at all."""
    part = path.with_suffix(".csv.part")
    with part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        lines.writerows(rows[key] for key in sorted(rows, key=lambda key: (order[key[0]], key[1])))
    os.replace(part, path)


def state(path: Path, settings: dict[str, Any], rows: int, seconds: float | None) -> None:
    """Write the recipe with what the file holds: rows, and the median seconds a run of the last session."""
    text = json.dumps({**settings, "rows": rows, "seconds_per_run": seconds}, indent=2, ensure_ascii=False)
    part = path.with_suffix(".json.part")
    part.write_text(text + "\n", encoding="utf-8")
    os.replace(part, path)


def continued(path: Path, settings: dict[str, Any]) -> float | None:
    """Refuse a folder with another recipe; return the seconds a run it remembers."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    seconds: float | None = found.get("seconds_per_run")
    different = [name for name in settings if found.get(name) != settings[name]]
    if different:
        raise InputError(f"{path} was made with another {', '.join(different)}; give another --out or remove the files")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--classes", type=int, default=1000, help="classes of the nested sample")
    parser.add_argument("--workers", type=int, default=1, help="processes; 0: in this one")
    parser.add_argument("--epochs", type=int, default=TRAINING.epochs)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of digits.csv and digits.json")
    chosen = parser.parse_args(arguments)
    table, about = chosen.out / "digits.csv", chosen.out / "digits.json"
    try:
        settings = recipe(chosen.epochs)
        order = {arch: place for place, arch in enumerate(classes(settings))}
        if not 1 <= chosen.classes <= len(order):
            raise InputError(f"expected classes in 1..{len(order)}, got {chosen.classes}; ask for that many")
        chosen.out.mkdir(parents=True, exist_ok=True)
        seconds = continued(about, settings)
        rows = read(table)
        if rows and not about.exists():
            raise InputError(f"{table} has rows, but {about} with their recipe is absent; give another --out")
        wanted = list(order)[: chosen.classes]
        tasks = [(arch, seed, settings) for arch in wanted for seed in SEEDS if (arch, seed) not in rows]
        state(about, settings, len(rows), seconds)
        spent: list[float] = []
        failures: list[str] = []
        with ProgressLine(Console(stderr=True), "training") as progress:
            progress(0, len(tasks), 0)
            for outcome in run_tasks(run, tasks, workers=chosen.workers):
                if outcome.error:
                    failures.append(f"{outcome.task[0]} seed {outcome.task[1]}: {outcome.error}")
                else:
                    row, took = outcome.result
                    rows[(row[0], int(row[1]))] = row
                    spent.append(took)
                    write(table, rows, order)
                    state(about, settings, len(rows), round(statistics.median(spent), 2))
                progress(len(spent) + len(failures), len(tasks), len(failures))
    except AutoMLTheoryError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join([*failures, f"{table}: {len(rows)} rows"]), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
