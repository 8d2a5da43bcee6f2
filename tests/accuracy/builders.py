"""Benchmark files made with the benchmarks' own classes, and nothing else."""

from __future__ import annotations

import bz2
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

EVALUATED = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
CELLS = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
)
WIDTHS = ("8:8:8:8:8", "8:8:8:16:32", "8:8:40:32:40")


def record(
    api: Any, index: int, arch: str, epochs: int, seeds: Sequence[int], datasets: Sequence[str] = tuple(EVALUATED),
    *, weights: Any = None, latency: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """One ArchResults state dictionary of module `api` (nas_201_api.api_utils or nats_bench.api_utils)."""
    results = api.ArchResults(index, arch)
    for place, dataset in enumerate(datasets):
        for seed in seeds:
            rng = np.random.default_rng([index, place, seed, epochs])
            run = api.ResultsCount(
                dataset, weights, {}, {}, np.float64(0.1 + index), 10.0 + index,
                {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": 10}, seed, epochs, None,
            )  # fmt: skip
            curve = {i: float(v) for i, v in enumerate(rng.uniform(10, 99, epochs))}
            losses = {i: float(v) for i, v in enumerate(rng.exponential(1, epochs))}
            run.update_train_info(curve, None, losses, OrderedDict((i, 1.5) for i in range(epochs)))
            keys = [f"{name}@{i}" for name in EVALUATED[dataset] for i in range(epochs)]
            run.update_eval(
                {key: float(v) for key, v in zip(keys, rng.uniform(10, 99, len(keys)), strict=True)},
                {key: float(v) for key, v in zip(keys, rng.exponential(1, len(keys)), strict=True)},
                dict.fromkeys(keys, 0.25),
            )
            if latency:
                run.update_latency([np.float64(0.01), np.float64(0.03)])
            results.update(dataset, seed, run)
    state: dict[str, Any] = results.state_dict()
    return state


def nas_bench_201(
    archs: Sequence[str] = CELLS, runs: Sequence[int] = (1, 2, 3, 3), short: int = 3, long: int = 5
) -> Any:
    """The content of a NAS-Bench-201 file, with epochs `short` for "less" and `long` for "full"."""
    from nas_201_api import api_utils as api

    seeds = (777, 888, 999)
    infos = {
        i: {
            "less": record(api, i, arch, short, (777,)),
            "full": record(api, i, arch, long, seeds[: runs[i]]),
        }
        for i, arch in enumerate(archs)
    }
    return {"meta_archs": list(archs), "arch2infos": infos, "evaluated_indexes": list(infos)}


def nats_bench(index: int, arch: str, epochs: Sequence[int] = (3, 5), seeds: Sequence[int] = (777, 888, 999)) -> Any:
    """The content of one file of a NATS-Bench folder."""
    from nats_bench import api_utils as api

    return OrderedDict((f"{hp:02d}", record(api, index, arch, hp, seeds)) for hp in epochs)


def write_pbz2(path: Path, content: Any, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol=protocol)))
    return path


def nats_folder(folder: Path, archs: Sequence[str] = CELLS, meta: bool = True, **options: Any) -> Path:
    """A folder as `nats_bench` reads it in its fast mode."""
    for index, arch in enumerate(archs):
        write_pbz2(folder / f"{index:06d}.pickle.pbz2", nats_bench(index, arch, **options))
    if meta:
        about = {"meta_archs": list(archs), "total_archs": len(archs), "arch2infos": None, "evaluated_indexes": set()}
        write_pbz2(folder / "meta.pickle.pbz2", about)
    return folder
