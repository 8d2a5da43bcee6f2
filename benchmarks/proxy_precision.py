"""How many digits of a proxy are float32's: values of float32 against those of float64, network by network.

    python benchmarks/proxy_precision.py [--cells 8] [--n 32] [--out benchmarks/results/proxy_precision.json]

For cells sampled with a seed, the canonical NAS-Bench-201 network and a smaller one, with the same weights and images,
per proxy the median and the largest relative difference over the cells of

- float32: the value in float32 from that in float64;
- moved: the value in float64 from that in float64 of images moved by half a rounding step of float32, x(1 ± 2⁻²⁴).

Where both are alike, the rounding of the numbers themselves decides, and another implementation in float32 has other
digits too: a ReLU whose input is near 0 lets a gradient pass or not.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

import automl_theory as at
from automl_theory.proxies import get_proxies
from automl_theory.scoring.machine import processor

CURVES = ("segment_regions", "curve_length", "curvature", "turning_angle", "linear_regions_thin")
"""Left out: they take minutes a network in float64."""
NAMES = [proxy.name for proxy in get_proxies("full") if proxy.family != "size" and proxy.name not in CURVES]
NETWORKS = {
    "canonical: 16 channels, 5 cells a stage": {"channels": 16, "cells_per_stage": 5},
    "4 channels, 1 cell a stage": {"channels": 4, "cells_per_stage": 1},
}


def differences(arch: str, n: int, network: dict[str, int]) -> dict[str, dict[str, float]]:
    """{proxy: {"float32", "moved"}} of a cell; proxies without a value are left out."""
    net = at.space("nas_bench_201").build(arch, **network)
    batch = at.load_batch("digits", n)
    x, y = batch.x, torch.as_tensor(batch.y)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], x.shape)
    exact = x.double()
    inputs = {"float32": x, "float64": exact, "moved": exact * (1 + 2.0**-24 * torch.from_numpy(signs))}
    found = {}
    for way, images in inputs.items():
        found[way] = at.score(copy.deepcopy(net).to(images.dtype), images, y, NAMES)
    out = {}
    for name in NAMES:
        true = found["float64"][name]
        if np.isfinite(true) and true != 0:
            out[name] = {way: abs(found[way][name] - true) / abs(true) for way in ("float32", "moved")}
    return out


def main() -> None:
    """Run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=8)
    options.add_argument("--n", type=int, default=32)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "proxy_precision.json")
    given = options.parse_args()
    space = at.space("nas_bench_201")
    cells = [arch for arch in space.sample(2 * given.cells, given.seed) if space.graph(arch).connected][: given.cells]
    results: dict[str, Any] = {}
    for title, network in NETWORKS.items():
        rows = []
        for k, arch in enumerate(cells):
            rows.append(differences(arch, given.n, network))
            print(f"{title}: {k + 1}/{len(cells)}", flush=True)
        results[title] = {}
        for name in NAMES:
            mine = [row[name] for row in rows if name in row]
            if not mine:
                continue
            results[title][name] = {
                way: {"median": statistics.median(m[way] for m in mine), "largest": max(m[way] for m in mine)}
                for way in ("float32", "moved")
            }
            told = " ".join(f"{way} {v['median']:.0e} {v['largest']:.0e}" for way, v in results[title][name].items())
            print(f"  {name}: {told}")
    about = {"cells": cells, "n": given.n, "seed": given.seed, "data": "digits"}
    machine = {"processor": processor(), "python": platform.python_version(), "torch": torch.__version__}
    text = json.dumps({"settings": about, "machine": machine, "results": results}, indent=1)
    given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
