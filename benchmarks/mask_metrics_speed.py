"""What all measures of a mask cost, beside the dense way, on one core: time, memory and the difference of σ2.

    python benchmarks/mask_metrics_speed.py [--rounds 5] [--out benchmarks/results/mask_metrics_speed.json]

- layer: `at.mask_metrics` with weights and all nested subgraphs, random masks of a 512 x 512 x 3 x 3 convolution (and
  of smaller ones) at several densities; fastest of some rounds. Peak memory by tracemalloc in one more round, beside
  4 times the mask in CSR (float64 values, int32 indices) plus the small-side Gram.
- dense: the same singular values (mask, |W|, and both of every nested subgraph) by numpy's dense float64 SVD, once.
- network: `at.mask_table` of the 37 weights of a ResNet-34 (3 x 3 stem, 10 classes), random masks of one density; the
  cache of random-mask values is emptied before every round.

Run it on an idle machine; it sets its threads to one itself.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from threadpoolctl import threadpool_limits

import automl_theory as at
from automl_theory.graphs.random_masks import random_gap

SHAPES = [(128, 128, 3, 3), (256, 256, 3, 3), (512, 512, 3, 3)]
DENSITIES = [0.01, 0.05, 0.2, 0.5]


def draw(shape: tuple[int, ...], density: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(shape) < density, rng.standard_normal(shape).astype(np.float32)


def fastest(rounds: int, function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest round, and the result."""
    spent = []
    for _ in range(rounds):
        random_gap.cache_clear()
        start = time.perf_counter()
        result = function()
        spent.append(time.perf_counter() - start)
    return min(spent), result


def peak(function: Callable[[], Any]) -> float:
    """Megabytes allocated at most while the function runs."""
    tracemalloc.start()
    function()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def dense(mask: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """σ2 and λ of the whole layer by dense SVDs, those of every nested subgraph computed on the way."""
    b = mask.reshape(len(mask), -1).astype(np.float64)
    w = np.abs(weight.reshape(b.shape) * b)
    degrees = b.sum(axis=0)
    for degree in sorted(set(degrees) - {0}):
        for matrix in (b, w):
            np.linalg.svd(matrix[:, degrees == degree], compute_uv=False)
    whole, weighted = (np.linalg.svd(matrix, compute_uv=False) for matrix in (b, w))
    return float(whole[1]), float(weighted[0] - weighted[1])


def layer(shape: tuple[int, ...], density: float, rounds: int) -> dict[str, Any]:
    mask, weight = draw(shape, density)
    seconds, record = fastest(rounds, lambda: at.mask_metrics(mask, weight))
    start = time.perf_counter()
    sigma2, gap = dense(mask, weight)
    dense_seconds = time.perf_counter() - start
    inputs, edges, side = mask[0].size, int(mask.sum()), min(len(mask), mask[0].size)
    csr = edges * (8 + 4) + (inputs + 1) * 4
    return {
        "seconds": round(seconds, 4),
        "dense_seconds": round(dense_seconds, 3),
        "ratio": round(dense_seconds / seconds, 1),
        "peak_mb": round(peak(lambda: at.mask_metrics(mask, weight)), 2),
        "allowed_mb": round((4 * csr + side * side * 8) / 1e6, 2),
        "nested_subgraphs": record["n_subgraphs"],
        "sigma2_difference": abs(record["sigma2"] - sigma2),
        "weighted_gap_difference": abs(record["weighted_gap"] - gap),
    }


def resnet34() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv1": (64, 3, 3, 3)}
    channels = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            shapes[f"layer{stage}.{block}.conv1"] = (width, channels, 3, 3)
            shapes[f"layer{stage}.{block}.conv2"] = (width, width, 3, 3)
            if channels != width:
                shapes[f"layer{stage}.{block}.downsample"] = (width, channels, 1, 1)
            channels = width
    return shapes | {"fc": (10, 512)}


def network(density: float, rounds: int) -> dict[str, Any]:
    drawn = {name: draw(shape, density, seed) for seed, (name, shape) in enumerate(resnet34().items())}
    masks = {name: mask for name, (mask, _) in drawn.items()}
    weights = {name: weight for name, (_, weight) in drawn.items()}
    seconds, table = fastest(rounds, lambda: at.mask_table(masks, weights))
    return {"seconds": round(seconds, 3), "layers": len(table), "edges": int(table["edges"].sum())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "mask_metrics_speed.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"layers": {}, "networks": {}}
    with threadpool_limits(1):
        for shape in SHAPES:
            for density in DENSITIES:
                name = f"{'x'.join(map(str, shape))} at {density}"
                found = results["layers"][name] = layer(shape, density, arguments.rounds)
                print(f"{name:22} {found}", flush=True)
        for density in DENSITIES:
            found = results["networks"][f"ResNet-34 at {density}"] = network(density, max(1, arguments.rounds // 2))
            print(f"ResNet-34 at {density} {found}", flush=True)
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    report = {"versions": versions, "rounds": arguments.rounds, "threads": 1} | results
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
