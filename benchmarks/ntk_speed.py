"""What the one-pass tangent kernel and all core proxies cost, against one plain forward+backward and the published way.

    python benchmarks/ntk_speed.py [--cells 20] [--n 64] [--threads 1 2] [--out benchmarks/results/ntk_speed.json]

For cells sampled with a seed, the canonical NAS-Bench-201 network and one batch, in one process and in turn:

- plain: forward in training mode and gradient of the summed logits, channels-last, no graph retained;
- ntk: `empirical_ntk(net, x, bn="frozen")`, its float64 Gram included;
- core: the instrumented pass and every core proxy;
- published: TE-NAS's way, one backward pass a sample through the whole batch, then the Gram. Its passes are equal, so a
  few are timed and scaled to n; on the first two cells all n are run too, and the ratio of the two is recorded.

Agreement with exact kernels, and peak memory (in fresh processes), are measured after that. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

import automl_theory as at
from automl_theory.data import Batch
from automl_theory.probing.allocator import keep_freed_memory
from automl_theory.probing.signals import Signals
from automl_theory.proxies import get_proxies
from automl_theory.scoring.machine import processor
from automl_theory.scoring.single import evaluate, needs_of

ROUNDS = 3
TIMED_PASSES = 3


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def plain(net: torch.nn.Module, x: torch.Tensor) -> None:
    """One forward and one backward pass, nothing kept."""
    torch.autograd.grad(net(x).sum(), [p for p in net.parameters() if p.requires_grad], allow_unused=True)


def published(net: torch.nn.Module, x: torch.Tensor, passes: int) -> float:
    """Seconds of TE-NAS's kernel, with `passes` of the n equal backward passes timed and scaled to n."""
    weights = [p for name, p in net.named_parameters() if "weight" in name]
    start = time.perf_counter()
    logits = net(x)
    forward = time.perf_counter() - start
    rows = []
    start = time.perf_counter()
    for i in range(passes):
        logits[i : i + 1].backward(torch.ones_like(logits[i : i + 1]), retain_graph=True)
        rows.append(torch.cat([p.grad.reshape(-1) for p in weights if p.grad is not None]))
        net.zero_grad()
    backward = (time.perf_counter() - start) * len(x) / passes
    stacked = torch.stack(rows)
    stacked = stacked.repeat(-(-len(x) // passes), 1)[: len(x)]
    gram = seconds(lambda: torch.einsum("nc,mc->nm", stacked, stacked))
    return forward + backward + gram


def core(net: torch.nn.Module, x: torch.Tensor, batch: Batch, size: Mapping[str, float] | None = None) -> None:
    """The instrumented pass and every core proxy."""
    proxies = get_proxies("core")
    signals = Signals(net, x, batch.y, classes=batch.classes, needs=needs_of(proxies), size=size)
    evaluate(signals, proxies)


def measure_cell(arch: str, n: int, full_published: bool) -> dict[str, float]:
    """Medians over rounds of every way on one cell; published in both layouts."""
    space, batch = at.space("nas_bench_201"), at.load_batch("digits", n)
    x = batch.x.contiguous(memory_format=torch.channels_last)
    net = space.build(arch)
    trained = space.build(arch).to(memory_format=torch.channels_last).train()

    ways = {
        "plain": lambda: plain(trained, x),
        "ntk": lambda: at.empirical_ntk(net, x),
        "core": lambda: core(net, x, batch, space.size_metrics(arch)),
    }
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            times[name].append(seconds(way))
    row = {name: statistics.median(values) for name, values in times.items()}
    row["published"] = repeated(trained, x)
    if full_published:
        row["published_all_passes"] = published(trained, x, n)
    default = space.build(arch).train()
    row["published_default_layout"] = repeated(default, batch.x.contiguous())
    return row


def repeated(net: torch.nn.Module, x: torch.Tensor) -> float:
    """Median of the published way over rounds, after one to warm up."""
    times = [published(net, x, TIMED_PASSES) for _ in range(1 + ROUNDS)]
    return statistics.median(times[1:])


def agreement(arch: str, n: int) -> dict[str, dict[str, float]]:
    """Largest differences between kernels relative to their largest entry, on digits, with one and five cells a stage.

    float64: the layer-wise kernel against torch.func. float32: both against the float64 kernel, and against each other.
    In a deep network some ReLU of some sample reads a number near zero, and rounding decides on which side: "moved
    inputs" is what the float64 kernel itself does when the inputs change by the rounding error of float32, 6e-8 of
    their size. Two float32 kernels that round differently cannot agree better than that.
    """
    found = {}
    for cells in (1, 5):
        kernels = {}
        for dtype in (torch.float32, torch.float64):
            net = at.space("nas_bench_201").build(arch, cells_per_stage=cells).to(dtype)
            x = at.load_batch("digits", n).x.to(dtype)
            for method in ("layers", "functional"):
                kernels[method, dtype] = at.empirical_ntk(net, x, method=method)
        noise = torch.rand(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0)) * 2 - 1
        moved = at.empirical_ntk(net, x * (1 + noise * 2**-24), method="layers")
        fast32, exact32 = kernels["layers", torch.float32], kernels["functional", torch.float32]
        fast64, exact64 = kernels["layers", torch.float64], kernels["functional", torch.float64]
        found[f"{cells} cell{'s' * (cells > 1)} a stage"] = {
            "float64, layers to torch.func": difference(fast64, exact64),
            "float32, layers to torch.func": difference(fast32, exact32),
            "layers in float32 to float64": difference(fast32, fast64),
            "torch.func in float32 to float64": difference(exact32, exact64),
            "float64, moved inputs": difference(moved, fast64),
        }
    return found


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def peak_memory(way: str, n: int) -> float:
    """Peak resident memory in MB of one way on the largest cell, in a process of its own."""
    command = [sys.executable, __file__, "--memory", way, "--n", str(n)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_child(way: str, n: int) -> None:
    torch.set_num_threads(1)
    conv = "nor_conv_3x3"
    arch = f"|{conv}~0|+|{conv}~0|{conv}~1|+|{conv}~0|{conv}~1|{conv}~2|"
    net, x = at.space("nas_bench_201").build(arch), at.load_batch("digits", n).x
    if way == "plain":
        plain(net.to(memory_format=torch.channels_last).train(), x.contiguous(memory_format=torch.channels_last))
    elif way == "ntk":
        at.empirical_ntk(net, x)
    elif way == "core":
        core(net, x, at.load_batch("digits", n))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(next(float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "ntk_speed.json")
    parser.add_argument("--memory", choices=["nothing", "plain", "ntk", "core"])
    options = parser.parse_args()
    if options.memory:
        memory_child(options.memory, options.n)
        return
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
        "threads": {},
    }
    for threads in options.threads:
        torch.set_num_threads(threads)
        rows = []
        for k, arch in enumerate(cells):
            row = measure_cell(arch, options.n, full_published=k < 2)
            rows.append(row)
            print(
                f"{threads} thread(s) {k + 1}/{len(cells)}", {name: round(v, 3) for name, v in row.items()}, flush=True
            )
        names = ["plain", "ntk", "core", "published", "published_default_layout"]
        medians = {name: statistics.median(row[name] for row in rows) for name in names}
        ratios = {
            "ntk / plain": [row["ntk"] / row["plain"] for row in rows],
            "core / plain": [row["core"] / row["plain"] for row in rows],
            "published / ntk": [row["published"] / row["ntk"] for row in rows],
            "published in the default layout / ntk": [row["published_default_layout"] / row["ntk"] for row in rows],
            "published, all passes / scaled": [
                row["published_all_passes"] / row["published"] for row in rows if "published_all_passes" in row
            ],
        }
        result = {
            "median_seconds": medians,
            "median_ratios": {name: statistics.median(values) for name, values in ratios.items()},
            "worst_ratios": {name: max(values) for name, values in ratios.items() if name.endswith("plain")},
            "rows": rows,
        }
        report["threads"][str(threads)] = result
        print(json.dumps(result["median_ratios"], indent=1), flush=True)
    report["agreement_with_torch_func"] = {arch: agreement(arch, options.n) for arch in cells[:3]}
    report["peak_memory_mb"] = {
        str(n): {way: peak_memory(way, n) for way in ("nothing", "plain", "ntk", "core")} for n in (64, 256)
    }
    print(json.dumps({k: report[k] for k in ("agreement_with_torch_func", "peak_memory_mb")}, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
