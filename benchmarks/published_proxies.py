"""Our zero-cost proxies beside the values published per cell of NAS-Bench-201, CIFAR-10: rank agreement.

    AUTOML_THEORY_SHARED=../shared python benchmarks/published_proxies.py
        [--cells 250] [--n 64] [--stage 5] [--limit MINUTES] [--out FILE]

Published: NAS-Bench-Suite-Zero's values on CIFAR-10 (a sample of 1,104 cells; nwot on 725 of them), and Zen and NASWOT
of all cells. Ours: the canonical network (16 channels, `--stage` cells a stage, theirs has 5), weights by seed 0,
one class-balanced batch of n CIFAR-10 training images. A seeded sample of the 1,104 cells; those that are disconnected,
where theirs are sentinels or zeros, are left out and counted. Spearman's ρ of ours with theirs, and of both with test
accuracy (200 epochs, mean of three seeds). Cells that are done are kept in a file beside the result, and taken up
again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import automl_theory as at
from automl_theory.probing.allocator import keep_freed_memory
from automl_theory.probing.signals import Signals
from automl_theory.proxies import get_proxies
from automl_theory.scoring.single import evaluate, needs_of

OUT = Path(__file__).parent / "results" / "published_proxies.json"
THEIRS = {
    "parameters": "params",
    "macs": "flops",
    "l2_norm": "l2_norm",
    "grad_norm": "grad_norm",
    "snip": "snip",
    "grasp": "grasp",
    "fisher": "fisher",
    "plain": "plain",
    "synflow": "synflow",
    "jacov": "jacov",
    "epe_nas": "epe_nas",
    "naswot": "nwot",
    "zen": "naslib_zen_c10",
}
WHY = {
    "l2_norm": "at initialisation it counts layers; among cells with as many convolutions the draw of weights decides.",
    "plain": "Σ θ·g of a weight in front of a BatchNorm is 0 but for rounding; what is left are the classifier and the "
    "two shortcuts, whose share is a matter of one draw of weights, theirs or ours.",
    "zen": "theirs reads running variances after two updates with momentum 0.1, 81 % of which are the initial 1, and "
    "so lacks the scale that BatchNorm hid; ours takes the batch's own variances, as the paper's algorithm.",
    "fisher": "theirs counts a channel once for each weight that it reads, ours once.",
    "epe_nas": "logarithms of correlations near 0, of one batch: the pairs of one class are few.",
    "jacov": "dominated by the smallest eigenvalues of the correlations of one batch.",
    "grasp": "−θᵀHg has heavy tails: curvature grows with the square of the gradients of one draw of weights.",
}


def published(folder: Path) -> pd.DataFrame:
    """Published values beside accuracy, by index."""
    sample = pd.read_parquet(folder / "nb201_naslib_sample_zcp.parquet")
    sample = sample[sample["dataset"] == "cifar10"].set_index("index")
    whole = pd.read_parquet(folder / "nb201_zerocost.parquet").set_index("index")
    accuracies = pd.read_parquet(folder / "nb201_accuracy.parquet").set_index("index")
    sample = sample.join(whole[["naslib_zen_c10", "freerea_naswot_c10"]]).join(
        accuracies[["arch_str", "c10_test_e200"]]
    )
    return sample.rename(columns={"arch_str": "arch", "c10_test_e200": "accuracy"})


def measure(arch: str, x: torch.Tensor, y: torch.Tensor, stage: int) -> dict[str, float]:
    space, proxies = at.space("nas_bench_201"), get_proxies("zero_cost")
    signals = Signals(
        space.build(arch, cells_per_stage=stage),
        x,
        y,
        classes=10,
        needs=needs_of(proxies),
        size=space.size_metrics(arch),
        graph=space.graph(arch),
    )
    values, _ = evaluate(signals, proxies)
    return {name: value for name, (value, _) in values.items()}


def spearman(a: pd.Series, b: pd.Series) -> tuple[float, int]:
    both = np.isfinite(a) & np.isfinite(b)
    return float(a[both].rank().corr(b[both].rank())), int(both.sum())


def agreement(table: pd.DataFrame) -> dict[str, dict[str, float | int | str]]:
    found: dict[str, dict[str, float | int | str]] = {}
    for ours, theirs in THEIRS.items():
        rho, n = spearman(table[f"ours_{ours}"], table[theirs])
        row: dict[str, float | int | str] = {"n": n, "rho_ours_theirs": round(rho, 3)}
        known = np.isfinite(table[theirs])
        row["rho_ours_accuracy"] = round(spearman(table[f"ours_{ours}"][known], table["accuracy"][known])[0], 3)
        row["rho_theirs_accuracy"] = round(spearman(table[theirs], table["accuracy"])[0], 3)
        if ours in WHY and rho < 0.95:
            row["why"] = WHY[ours]
        found[ours] = row
    rho, n = spearman(table["ours_naswot"], table["freerea_naswot_c10"])
    found["naswot against FreeREA"] = {"n": n, "rho_ours_theirs": round(rho, 3)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=250)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--stage", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=float("inf"), help="minutes; what is done by then is the sample")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    keep_freed_memory()
    folder = Path(os.environ.get("AUTOML_THEORY_SHARED", "../shared")) / "data"
    space, table = at.space("nas_bench_201"), published(folder)
    chosen = np.random.default_rng(options.seed).permutation(table.index)[: options.cells]
    images = at.load_batch(str(folder / "images_cifar10_train4000.npz"), options.n, options.seed)
    x = images.x.contiguous(memory_format=torch.channels_last)
    kept = options.out.with_suffix(f".n{options.n}.stage{options.stage}.jsonl")
    done = {}
    if kept.exists():
        rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        done = {row.pop("index"): row for row in rows}
    start, disconnected = time.monotonic(), 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for index in map(int, chosen):
        arch = str(table.loc[index, "arch"])
        if not space.graph(arch).connected:
            disconnected += 1
            continue
        if index not in done and time.monotonic() - start < 60 * options.limit:
            done[index] = measure(arch, x, images.y, options.stage)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"index": index} | done[index]) + "\n")
    ours = pd.DataFrame.from_dict({i: done[i] for i in map(int, chosen) if i in done}, orient="index").add_prefix(
        "ours_"
    )
    report = {
        "n_images": options.n,
        "cells_per_stage": options.stage,
        "cells": len(ours),
        "disconnected_left_out": disconnected,
        "seed": options.seed,
        "agreement": agreement(table.join(ours, how="inner")),
    }
    options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
