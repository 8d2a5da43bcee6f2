"""What the 13 proxies of NAS-Bench-Suite-Zero cost together, against one plain forward+backward of the network.

    python benchmarks/zero_cost_speed.py [--cells 20] [--n 64] [--threads 2] [--out FILE]

For cells sampled with a seed, the canonical NAS-Bench-201 network and one batch, in one process and in turn:

- plain: forward in training mode and gradients of the mean cross-entropy by all parameters, channels-last, the fastest
  plain way; nothing kept;
- zero_cost: `Signals` and all 13 proxies of the group "zero_cost", as `score_space` calls them;
- each group of proxies that shares a pass, alone. Their sum is what they cost one after another.

Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

import automl_theory as at
from automl_theory.probing.allocator import keep_freed_memory
from automl_theory.probing.signals import Signals
from automl_theory.proxies import get_proxies
from automl_theory.scoring.machine import processor
from automl_theory.scoring.single import evaluate, needs_of

ROUNDS = 3
GROUPS = {
    "zero_cost": "zero_cost",
    "parameters, macs, l2_norm": "parameters,macs,l2_norm",
    "naswot": "naswot",
    "grad_norm, snip, plain, fisher": "grad_norm,snip,plain,fisher",
    "grasp": "grasp",
    "jacov, epe_nas": "jacov,epe_nas",
    "synflow": "synflow",
    "zen": "zen",
}


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure_cell(arch: str, n: int) -> dict[str, float]:
    """Medians over rounds of every way on one cell."""
    space, batch = at.space("nas_bench_201"), at.load_batch("digits", n)
    x = batch.x.contiguous(memory_format=torch.channels_last)
    y = torch.as_tensor(batch.y)
    net = space.build(arch)
    trained = space.build(arch).to(memory_format=torch.channels_last).train()
    parameters = [p for p in trained.parameters() if p.requires_grad]
    sizes, graph = space.size_metrics(arch), space.graph(arch)

    def plain() -> None:
        torch.autograd.grad(F.cross_entropy(trained(x), y), parameters, allow_unused=True)

    def scored(names: str) -> None:
        proxies = get_proxies(names)
        signals = Signals(net, x, y, classes=batch.classes, needs=needs_of(proxies), size=sizes, graph=graph)
        _, reasons = evaluate(signals, proxies)
        assert not reasons, reasons

    ways: dict[str, Callable[[], None]] = {"plain": plain}
    ways |= {name: lambda names=names: scored(names) for name, names in GROUPS.items()}
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            times[name].append(seconds(way))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "zero_cost_speed.json")
    options = parser.parse_args()
    keep_freed_memory()
    space = at.space("nas_bench_201")
    cells = [a for a in space.sample(2 * options.cells, options.seed) if space.graph(a).connected][: options.cells]
    report: dict[str, object] = {
        "processor": processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "n": options.n,
        "seed": options.seed,
        "cells": cells,
        "network": "canonical: 16 channels, 5 cells a stage, 32×32",
        "unit": "seconds",
    }
    threads: dict[str, object] = {}
    for count in options.threads:
        torch.set_num_threads(count)
        rows = []
        for k, arch in enumerate(cells):
            row = measure_cell(arch, options.n)
            rows.append(row)
            print(f"{count} thread(s) {k + 1}/{len(cells)}", {name: round(v, 3) for name, v in row.items()}, flush=True)
        ratios = {name: [row[name] / row["plain"] for row in rows] for name in GROUPS}
        ratios["one after another"] = [
            sum(row[name] for name in GROUPS if name != "zero_cost") / row["plain"] for row in rows
        ]
        threads[str(count)] = {
            "median_seconds": {name: statistics.median(row[name] for row in rows) for name in rows[0]},
            "median_ratios_to_plain": {name: statistics.median(values) for name, values in ratios.items()},
            "worst_ratio": max(ratios["zero_cost"]),
            "rows": rows,
        }
        print(json.dumps({k: v for k, v in threads[str(count)].items() if k != "rows"}, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report | {"threads": threads}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
