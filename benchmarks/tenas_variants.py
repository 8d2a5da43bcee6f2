"""Why TE-NAS's pruning finds less here than its paper tells: variants of it under equal seeds, and what they keep.

    python benchmarks/tenas_variants.py --seeds 8

Seeds 100, 101, …, none of which is among those of search_nas_bench_201.py. Each variant changes one thing of the
search as the package makes it (`package`):

    he_fan_out   weights as the paper tells; the released code asks for them by a name that does not exist
    crops        the thin network reads 3×3 crops of one channel of the images, not Gaussian numbers
    released     the random draws as in the released code, crops included: weights of κ once a round, images anew for
                 each removal and repeat, weights of R anew for each removal
    batch        BatchNorm differentiated through, a backward pass an image: a quarter of an hour a search
    kappa, regions   the ranks of one of the two measures alone

Every search is kept in --run as it ends, so that a stopped benchmark goes on, and several may run at once with
--variants of their own; the last writes the summary of all. images_cifar10_train4000.npz and nb201_accuracy.parquet
are in the folder that AUTOML_THEORY_SHARED names (default ../shared), in its subfolder data.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from automl_theory import linalg
from automl_theory.data import load_batch
from automl_theory.networks.cell import EDGES
from automl_theory.networks.supernet import SuperNetwork, ThinSuperNetwork
from automl_theory.probing.regions import count_regions
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.scoring.machine import processor
from automl_theory.search import tenas
from automl_theory.spaces.nas_bench_201 import NasBench201

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("AUTOML_THEORY_SHARED") or HERE.parents[1] / "shared") / "data"
DATA = str(SHARED / "images_cifar10_train4000.npz")
TARGET = "c10_test_e200"
FIRST = 100
VARIANTS = ("package", "he_fan_out", "crops", "released", "batch", "kappa", "regions")
BETTER = (-1, 1)
REPEATS, IMAGES, SAMPLES, BATCHES = 3, 72, 1000, 3
CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")
PAPER = 93.9

Change = tuple[tenas.Removal, tenas.Measures]


class Crops:
    """Batches of random 3×3 crops of one random channel of the images, each channel of mean 0 and variance 1."""

    def __init__(self) -> None:
        images = load_batch(DATA, 4000, 0).x.numpy()
        axes = (0, 2, 3)
        self.images = (images - images.mean(axes, keepdims=True)) / images.std(axes, keepdims=True)

    def __call__(self, generator: np.random.Generator) -> list[torch.Tensor]:
        """`BATCHES` batches (samples, 1, 3, 3)."""
        count, channels, height, width = self.images.shape
        total = BATCHES * SAMPLES
        at = zip(
            *(generator.integers(0, most, total) for most in (count, channels, height - 2, width - 2)), strict=True
        )
        x = np.stack([self.images[i, c, top : top + 3, left : left + 3] for i, c, top, left in at])[:, None]
        return list(torch.from_numpy(x.astype(np.float32)).split(SAMPLES))


def kappa(candidates: tenas.Candidates, weights: int, images: int) -> float:
    """κ of a supernet."""
    batch = load_batch(DATA, IMAGES, images)
    net = SuperNetwork(candidates, 3, 1, batch.classes, seed=weights)
    return linalg.spectrum(empirical_ntk(net, batch.x).numpy(), linalg.EPS32).condition_number


def regions(candidates: tenas.Candidates, weights: int, inputs: list[torch.Tensor]) -> float:
    """R of a supernet's thin network."""
    return float(count_regions(ThinSuperNetwork(candidates, seed=weights), inputs))


def draw(*words: int) -> int:
    """A seed of a seed and what it is for."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def released(candidates: tenas.Candidates, seed: int, crops: Crops) -> Iterator[Change]:
    """The changes of a round with the released code's random draws."""
    for number, removal in enumerate(tenas.removals(candidates)):
        both = candidates, tenas.without(candidates, [removal])
        found = []
        for repeat in range(REPEATS):
            images = draw(seed, number, repeat)
            kappas = [kappa(one, seed, images) for one in both]
            inputs = crops(np.random.default_rng(images))
            counts = [regions(one, draw(seed, number), inputs) for one in both]
            found.append((tenas.relative(*kappas), tenas.relative(*counts)))
        yield removal, tuple(float(np.mean(column)) for column in zip(*found, strict=True))


def cropped(candidates: tenas.Candidates, seeds: list[int], crops: Crops) -> Iterator[Change]:
    """The changes of a round as in the package, but for the inputs of the thin network."""

    def measure(some: tenas.Candidates, seed: int) -> tenas.Measures:
        return kappa(some, seed, seed), regions(some, seed, crops(np.random.default_rng(seed)))

    return tenas.changes(candidates, measure, seeds)


def changes(variant: str, candidates: tenas.Candidates, seed: int, number: int, crops: Crops) -> dict[Any, Any]:
    """The changes of round `number` of a search."""
    seeds = tenas.round_seeds(seed, number, REPEATS)
    if variant == "released":
        return dict(released(candidates, draw(seed, number), crops))
    if variant == "crops":
        return dict(cropped(candidates, seeds, crops))
    settings: dict[str, Any] = {"he_fan_out": {"init": "he_fan_out"}, "batch": {"bn": "batch"}}.get(variant, {})
    found = dict(tenas.changes(candidates, tenas.Supernets(DATA, **settings), seeds))
    if variant in ("kappa", "regions"):
        kept = variant == "kappa", variant == "regions"
        return {r: tuple(v if keep else 0.0 for v, keep in zip(f, kept, strict=True)) for r, f in found.items()}
    return found


def pruned(variant: str, seed: int, crops: Crops) -> str:
    """The architecture that a search ends with."""
    where = NasBench201()
    candidates = tenas.start(where)
    for number in itertools.count():
        if not tenas.removals(candidates):
            return where.string(tuple(names[0] for names in candidates))
        found = changes(variant, candidates, seed, number, crops)
        candidates = tenas.without(candidates, tenas.choose(found, BETTER))
    raise AssertionError("a search ends")


def kinds(architectures: list[str], accuracy: pd.Series) -> dict[str, Any]:
    """How many have convolutions only, and the mean accuracy of these and of the others."""
    only = [arch for arch in architectures if "skip" not in arch and "pool" not in arch]
    others = [arch for arch in architectures if arch not in only]
    return {
        "convolutions_only": len(only),
        "mean_of_these": float(accuracy[only].mean()) if only else None,
        "mean_of_others": float(accuracy[others].mean()) if others else None,
    }


def summary(records: list[dict[str, Any]], accuracy: pd.Series) -> dict[str, Any]:
    """What each variant found, and by how much that is better than the package's under the same seeds."""
    results: dict[str, Any] = {}
    base = {r["seed"]: accuracy[r["found"]] for r in records if r["variant"] == "package"}
    for variant in VARIANTS:
        mine = sorted((r for r in records if r["variant"] == variant), key=lambda r: r["seed"])
        if not mine:
            continue
        found = [r["found"] for r in mine]
        each = accuracy[found].to_numpy(dtype=np.float64)
        results[variant] = {
            "seeds": [r["seed"] for r in mine], "found": found, "mean": float(each.mean()),
            "deviation": float(each.std(ddof=1)) if len(each) > 1 else None,
            **kinds(found, accuracy),
        }  # fmt: skip
        gains = [x - base[r["seed"]] for r, x in zip(mine, each, strict=True) if r["seed"] in base]
        if variant != "package" and len(gains) > 1:
            half = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
            gain = float(np.mean(gains))
            results[variant]["better_by"] = [gain, float(gain - half), float(gain + half)]
    return results


def of_all_cells(accuracy: pd.Series) -> dict[str, Any]:
    """The cells that have convolutions only: their number, accuracies, and how many reach the paper's mean."""
    where = NasBench201()
    cells = [where.string(names) for names in itertools.product(CONVOLUTIONS, repeat=len(EDGES))]
    values = accuracy[cells]
    return {
        "cells": len(cells), "mean": float(values.mean()), "largest": float(values.max()),
        "at_least_the_papers_mean": int((values >= PAPER).sum()),
    }  # fmt: skip


def main() -> None:
    """Run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=8)
    options.add_argument("--variants", default=",".join(VARIANTS))
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--run", type=Path, default=Path("runs/tenas_variants"))
    options.add_argument("--out", type=Path, default=HERE / "results" / "tenas_variants.json")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    accuracy = pd.read_parquet(SHARED / "nb201_accuracy.parquet").set_index("arch_str")[TARGET]
    given.run.mkdir(parents=True, exist_ok=True)
    crops = Crops()
    for variant, seed in itertools.product(given.variants.split(","), range(FIRST, FIRST + given.seeds)):
        path = given.run / f"{variant}-{seed}.json"
        if path.exists():
            continue
        start = time.perf_counter()
        found = pruned(variant, seed, crops)
        record = {"variant": variant, "seed": seed, "found": found, "seconds": time.perf_counter() - start}
        path.with_suffix(".part").write_text(json.dumps(record), encoding="utf-8")
        path.with_suffix(".part").replace(path)
        print(f"{variant} {seed}: {found} {accuracy[found]:.2f}, {record['seconds']:.0f} s", flush=True)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(given.run.glob("*.json"))]
    former = HERE / "results" / "search_nas_bench_201.json"
    found = json.loads(former.read_text(encoding="utf-8"))["results"]["tenas"]["found"]
    result = {
        "settings": {"first_seed": FIRST, "threads": given.threads, "data": Path(DATA).name, "target": TARGET},
        "machine": {"processor": processor(), "python": platform.python_version(), "torch": torch.__version__},
        "cells_of_convolutions_only": of_all_cells(accuracy),
        "search_nas_bench_201": kinds(found, accuracy),
        "results": summary(records, accuracy),
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for variant, r in result["results"].items():
        print(f"{variant}: {r['mean']:.2f} ± {r['deviation'] or 0:.2f}, {r['convolutions_only']} of {len(r['found'])}")


if __name__ == "__main__":
    main()
