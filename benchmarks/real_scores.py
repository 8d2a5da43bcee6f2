"""What this toolkit's own scores of all of NAS-Bench-201 on CIFAR-10 images say about the benchmark's real accuracies.

    python benchmarks/real_scores.py [--preset canonical] [--n 32] [--workers 2]

Scores every class (core proxies, one seed; resumable, and the store of `whole_space.py --data` on the same images will
do), then ranks every proxy, size and graph metric against the 200-epoch test accuracies of CIFAR-10 and CIFAR-100
(NATS-Bench v1.0, mean of three seeds) over the 15,625 strings: Kendall's τ with an interval by bootstrap over classes,
the same inside the best tenth, and partial given parameters, MACs and trainable layers. The images and the table
nb201_accuracy.parquet are in the folder that AUTOML_THEORY_SHARED names; none of it ships with the package.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pandas as pd

import automl_theory as at
from automl_theory.spaces.nas_bench_201 import NasBench201

FOLDER = Path(os.environ.get("AUTOML_THEORY_SHARED", "../shared")) / "data"
IMAGES, ACCURACIES = FOLDER / "images_cifar10_train4000.npz", FOLDER / "nb201_accuracy.parquet"
TARGETS = {"cifar10": "c10_test_e200", "cifar100": "c100_test_e200"}
GRAPH = ["effective_depth", "effective_width", "paths", "algebraic_connectivity"]
SHOWN = [
    "family", "kendall", "kendall_low", "kendall_high", "spearman", "spearman_low", "spearman_high",
    "partial", "partial_low", "partial_high", "kendall_top", "kendall_top_low", "kendall_top_high", "n", "note",
]  # fmt: skip


def scores(preset: str, n: int, workers: int) -> pd.DataFrame:
    """Every string of the space with the scores of its class, its own sizes and its graph."""
    space = at.space("nas_bench_201")
    everyone = at.score_space(
        space,
        data=str(IMAGES),
        architectures=list(space),
        store=Path("runs") / f"whole_space_{preset}_{IMAGES.stem}.db",
        n=n,
        network=NasBench201.presets[preset],
        workers=workers,
    )
    return at.join(everyone, at.graph_metrics(space, everyone.index))


def ranked(table: pd.DataFrame, target: str, column: str) -> dict[str, object]:
    """The ranking against one data set's accuracies, by proxy."""
    accuracies = pd.read_parquet(ACCURACIES, columns=["arch_str", column]).set_index("arch_str")[column]
    joined = at.join(table, accuracies.rename(f"{target}_accuracy"))
    measured = [name for name, entry in table.attrs["proxies"].items() if entry["family"] != "graph"]
    proxies = [*measured, *(name for name in GRAPH if name in table.columns)]
    ranking = at.rank(joined, f"{target}_accuracy", proxies=list(dict.fromkeys(proxies)))
    return {
        "settings": {k: v for k, v in ranking.attrs["ranking"].items() if not isinstance(v, dict)},
        "proxies": json.loads(ranking[SHOWN].round(4).to_json(orient="index")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(NasBench201.presets), default="canonical")
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "real_scores.json")
    options = parser.parse_args()
    table = scores(options.preset, options.n, options.workers)
    report = {
        "images": IMAGES.name,
        "accuracies": "NATS-Bench v1.0 topology space, 200 epochs, test, mean of three seeds",
        "network": NasBench201.presets[options.preset],
        "n": options.n,
        "seeds": 1,
        "strings": len(table),
        "settings": {k: str(v) for k, v in table.attrs["settings"].items()},
        **{target: ranked(table, target, column) for target, column in TARGETS.items()},
    }
    options.out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
