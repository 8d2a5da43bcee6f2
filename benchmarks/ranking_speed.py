"""How long `rank` takes: 20 proxies over all 15,625 strings of NAS-Bench-201, bootstrap and analytic intervals.

    python benchmarks/ranking_speed.py [--resamples 1000] [--proxies 20]

The proxies are made up: a class of equal networks has a quality, its strings have an accuracy of their own, and each
proxy is quality, size and noise in another mixture; every fifth is rounded to few values, and all are undefined on the
largest class. Sizes are the real ones, and the partial correlation given three of them is part of the time. The
process computes on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd

import automl_theory as at
from automl_theory.scoring.machine import processor

OUT = Path(__file__).parent / "results" / "ranking_speed.json"


def made_up(proxies: int) -> pd.DataFrame:
    space, rng = at.space("nas_bench_201"), np.random.default_rng(0)
    archs = list(space)
    sizes = pd.DataFrame([space.size_metrics(arch) for arch in archs], index=pd.Index(archs, name="arch"))
    df = sizes[["parameters", "macs", "trainable_layers"]].astype(float)
    canonical = [space.canonical(arch) for arch in archs]
    number = pd.factorize(pd.Series(canonical))[0]
    size = (df["parameters"] / df["parameters"].std()).groupby(number).mean().to_numpy()
    quality = size + rng.normal(size=len(size))
    largest = np.bincount(number).argmax()
    for k in range(proxies):
        by_quality, by_size, by_noise = rng.uniform([0, 0, 0.3], [1, 0.5, 2])
        value = by_quality * quality + by_size * size + by_noise * rng.normal(size=len(size))
        value = np.round(value * 2) if k % 5 == 4 else value
        df[f"proxy_{k}"] = np.where(number == largest, np.nan, value[number])
    df.attrs["proxies"] = {
        name: {"family": "other" if name.startswith("proxy") else "size", "direction": "maximize"} for name in df
    }
    df["test_accuracy"] = quality[number] + 0.2 * rng.normal(size=len(df))
    df["canonical"] = canonical
    return df


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--proxies", type=int, default=20)
    options = parser.parse_args()
    df = made_up(options.proxies)
    names = [f"proxy_{k}" for k in range(options.proxies)]
    report: dict[str, object] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "rows": len(df),
        "classes": int(df["canonical"].nunique()),
        "proxies": options.proxies,
        "baselines": 3,
        "resamples": options.resamples,
    }
    found = {}
    for method in ("analytic", "bootstrap"):
        start = time.perf_counter()
        found[method] = at.rank(
            df, "test_accuracy", proxies=names, interval=method, resamples=options.resamples, progress=True
        )
        report[f"{method}_seconds"] = round(time.perf_counter() - start, 1)
    shift = {}
    for measure in ("kendall", "spearman", "kendall_top", "partial", "partial_kendall"):
        width = found["bootstrap"][f"{measure}_high"] - found["bootstrap"][f"{measure}_low"]
        moved = [
            (found["analytic"][f"{measure}_{end}"] - found["bootstrap"][f"{measure}_{end}"]).abs() / width
            for end in ("low", "high")
        ]
        shift[measure] = round(float(pd.concat(moved).max()), 3)
    report["largest_difference_of_an_end_in_widths"] = shift
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(OUT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
