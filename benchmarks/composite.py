"""What `RankComposite.default()` says about real accuracies, on the half of NAS-Bench-201 that chose its parts, on the
other half, and on spaces that played no part: NAS-Bench-101 and DARTS.

    python benchmarks/composite.py [--workers 2] [--modules 1200]

The classes of NAS-Bench-201 are halved by a seeded permutation; parts and directions of the composite were fixed on the
first half and committed before the second was looked at. Kendall's τ over all strings and inside the best tenth by
accuracy, with 95 % intervals by bootstrap over classes; without each part; the spread over single seeds; the cost of an
architecture. Of DARTS there are 1,000 genotypes that the authors of SWAP trained, and a seeded 600 of those for which
NASLib has the XGBoost surrogate of NAS-Bench-301, which is a prediction and no training. Stores are kept in runs/ and
resumed. Accuracies and images are in the folder that AUTOML_THEORY_SHARED names; none of it ships with the package.
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
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import kendalltau

import automl_theory as at
from automl_theory.analysis.composite import DEFAULT
from automl_theory.graphs.table import MEASURES

FOLDER = Path(os.environ.get("AUTOML_THEORY_SHARED", "../shared")) / "data"
IMAGES = FOLDER / "images_cifar10_train4000.npz"
PROXIES = [name for name in DEFAULT if name not in MEASURES]
SPLIT_SEED, N = 20261122, 64
SEEDS = 1
NETWORKS = {
    "nas_bench_201": {"channels": 16, "cells_per_stage": 1},
    "nas_bench_101": {"channels": 16, "stacks": 3, "modules_per_stack": 1},
    "darts": {"channels": 16, "layers": 5},
}
"""One cell a stage; with five layers DARTS has a normal cell a stage, and reduction cells between."""
RESAMPLES = 200
BUDGET = 171
"""Supernets of a TE-NAS run: 57 with 3 repeats."""


def scored(
    name: str,
    architectures: list[str],
    workers: int,
    seeds: list[int] | None = None,
    proxies: list[str] | None = None,
) -> pd.DataFrame:
    """The score table with graph measures beside."""
    space = at.space(name)
    table = at.score_space(
        space, proxies or PROXIES, str(IMAGES), architectures=architectures, n=N, network=NETWORKS[name],
        seeds=range(SEEDS) if seeds is None else seeds,
        store=Path("runs") / f"composite_{name}.db", workers=workers, progress=True,
    )  # fmt: skip
    return at.join(table, at.graph_metrics(space, table.index))


def composite(table: pd.DataFrame, without: str | None = None) -> NDArray[np.float64]:
    """The default composite, or what is left of it without a part."""
    whole = at.RankComposite.default()
    if without is None:
        return whole.fit(table).score_samples(table)
    kept = {name: way for name, (way, _) in DEFAULT.items() if name != without}
    model = at.RankComposite("log", list(kept.values()), list(kept))
    return model.fit(table).score_samples(table)


def taus(score: NDArray[np.float64], accuracy: NDArray[np.float64]) -> tuple[float, float]:
    """Kendall's τ over all, and inside the best tenth by accuracy."""
    top = accuracy >= np.quantile(accuracy, 0.9)
    return kendalltau(score, accuracy).statistic, kendalltau(score[top], accuracy[top]).statistic


def with_intervals(
    score: NDArray[np.float64], accuracy: NDArray[np.float64], classes: pd.Series, seed: int = 0
) -> dict[str, list[float]]:
    """τ and its interval, over all and in the best tenth."""
    groups = list(classes.reset_index(drop=True).groupby(classes.to_numpy()).indices.values())
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))])
        drawn.append(taus(score[rows], accuracy[rows]))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    found = taus(score, accuracy)
    return {name: [round(float(v[k]), 3) for v in (found, low, high)] for k, name in enumerate(("all", "best_tenth"))}


def picks(score: NDArray[np.float64], accuracy: NDArray[np.float64]) -> dict[str, float]:
    """Accuracy of the first pick, and mean and best of the first ten; the best there is."""
    first = np.argsort(-score, kind="stable")
    return {
        "pick": float(accuracy[first[0]]),
        "top10_mean": float(accuracy[first[:10]].mean()),
        "top10_best": float(accuracy[first[:10]].max()),
        "optimum": float(accuracy.max()),
    }


def nas_bench_201(workers: int) -> dict[str, object]:
    """Both halves and the whole, with ablation and single seeds."""
    space = at.space("nas_bench_201")
    every = list(space)
    table = scored("nas_bench_201", every, workers)
    known = pd.read_parquet(FOLDER / "nb201_accuracy.parquet").set_index("arch_str").loc[table.index]
    targets = {"cifar10": "c10_test_e200", "cifar100": "c100_test_e200"}
    names = np.array(sorted(set(table["canonical"])))
    first = dict(zip(names, np.random.default_rng(SPLIT_SEED).permutation(len(names)) < len(names) // 2, strict=True))
    chosen = table["canonical"].map(first).to_numpy(dtype=bool)
    found: dict[str, object] = {}
    for part, rows in {"chosen_on": chosen, "held_out": ~chosen, "all": np.ones(len(table), dtype=bool)}.items():
        some = table[rows]
        some.attrs = table.attrs
        score = composite(some)
        about: dict[str, object] = {"strings": int(rows.sum()), "classes": int(some["canonical"].nunique())}
        for data, column in targets.items():
            accuracy = known[column].to_numpy()[rows]
            about[data] = {**with_intervals(score, accuracy, some["canonical"]), **picks(score, accuracy)}
        if part != "chosen_on":
            about["without"] = {
                name: {
                    data: [round(t, 3) for t in taus(composite(some, name), known[column].to_numpy()[rows])]
                    for data, column in targets.items()
                }
                for name in DEFAULT
            }
        found[part] = about
    found["other_seeds_without_log_synflow_cifar10"] = other_seeds(every, workers, known[targets["cifar10"]].to_numpy())
    found["under_a_budget"] = under_a_budget(table, known[list(targets.values())].set_axis(list(targets), axis=1))
    return found


def other_seeds(every: list[str], workers: int, accuracy: NDArray[np.float64]) -> list[list[float]]:
    """The spread over seeds 0, 1 and 2; without SynFlow, whose pass in float64 costs as much as all others."""
    found = []
    for seed in range(3):
        table = scored("nas_bench_201", every, workers, [seed], [name for name in PROXIES if name != "log_synflow"])
        found.append([round(t, 3) for t in taus(composite(table, "log_synflow"), accuracy)])
    return found


def under_a_budget(table: pd.DataFrame, known: pd.DataFrame) -> dict[str, object]:
    """As many cells at random as TE-NAS measures supernets, ranked among themselves; 20 seeds, mean and spread."""
    found: dict[str, list[dict[str, float]]] = {data: [] for data in known}
    for seed in range(20):
        some = table.loc[at.space("nas_bench_201").sample(BUDGET, seed, canonical=False)]
        some.attrs = table.attrs
        score = composite(some)
        for data in known:
            found[data].append(picks(score, known.loc[some.index, data].to_numpy()))
    tables = {data: pd.DataFrame(rows) for data, rows in found.items()}
    return {
        "evaluations": BUDGET,
        **{data: {"mean": t.mean().round(3).to_dict(), "sd": t.std().round(3).to_dict()} for data, t in tables.items()},
    }


def elsewhere(name: str, known: pd.Series, workers: int) -> dict[str, object]:
    """The same formula on architectures of a space that played no part; `known` is architecture → accuracy in %."""
    table = scored(name, list(known.index), workers)
    accuracy = known.loc[table.index].to_numpy()
    sizes = pd.DataFrame([at.space(name).size_metrics(arch) for arch in table.index], index=table.index)
    ways = {part: way for part, (way, _) in DEFAULT.items() if table[part].nunique() > 1}
    score = composite(table)

    def alone(values: pd.Series, sign: int = 1) -> list[float]:
        """The τs of one measure; undefined is worst."""
        return [round(t, 3) for t in taus((sign * values).fillna(-np.inf).to_numpy(dtype=float), accuracy)]

    return {
        "architectures": len(table),
        **with_intervals(score, accuracy, table["canonical"]),
        **picks(score, accuracy),
        "parts": {part: alone(table[part], 1 if way == "maximize" else -1) for part, way in ways.items()},
        "sizes": {size: alone(sizes[size]) for size in ("trainable_layers", "parameters", "macs")},
    }


def nas_bench_101(modules: int) -> pd.Series:
    """Test accuracies of a seeded sample of modules, at 108 epochs."""
    space = at.space("nas_bench_101")
    known = pd.Series(pd.read_parquet(FOLDER / "nb101.parquet")["test_acc_e108"].to_numpy(), index=list(space))
    return known.loc[space.sample(modules, 0)] * (100 if known.max() <= 1 else 1)


def darts_trained() -> pd.Series:
    """Validation accuracies of really trained genotypes."""
    known = pd.read_parquet(FOLDER / "darts_swap1000.parquet")
    return _first(pd.Series(known["c10_acc_e200"].to_numpy(), index=known["genotype"].map(at.space("darts").string)))


def darts_predicted() -> pd.Series:
    """The surrogate's predictions for a seeded sample of genotypes."""
    known = pd.read_parquet(FOLDER / "nb301_naslib.parquet").dropna(subset="val_accuracy").sample(600, random_state=0)
    return _first(pd.Series(known["val_accuracy"].to_numpy(), index=known["arch"].map(at.space("darts").string)))


def _first(known: pd.Series) -> pd.Series:
    return known[~known.index.duplicated()]


def cost() -> dict[str, float]:
    """What an architecture and seed costs, one thread: seconds, and as a multiple of a plain pass.

    A plain pass is forward and backward of the same reduced network on the same images, channels-last; both are taken
    in turn on 20 classes, and the medians are given.
    """
    space, batch = at.space("nas_bench_201"), at.load_batch(str(IMAGES), N)
    x, y = batch.x.contiguous(memory_format=torch.channels_last), torch.as_tensor(batch.y)
    seconds, ratios = [], []
    for cell in space.sample(21, 9):
        net = space.build(cell, **NETWORKS["nas_bench_201"]).to(memory_format=torch.channels_last).train()
        weights = [p for p in net.parameters() if p.requires_grad]
        times: dict[str, list[float]] = {"plain": [], "scored": []}
        for _ in range(3):
            start = time.perf_counter()
            torch.autograd.grad(F.cross_entropy(net(x), y), weights, allow_unused=True)
            times["plain"].append(time.perf_counter() - start)
            start = time.perf_counter()
            at.score(space.build(cell, **NETWORKS["nas_bench_201"]), batch.x, batch.y, proxies=PROXIES)
            times["scored"].append(time.perf_counter() - start)
        seconds.append(min(times["scored"]))
        ratios.append(min(times["scored"]) / min(times["plain"]))
    return {"seconds": round(float(np.median(seconds[1:])), 3), "plain_passes": round(float(np.median(ratios[1:])), 2)}


def main() -> None:
    """Measure and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--modules", type=int, default=1200)
    given = parser.parse_args()
    result = {
        "parts": {name: way for name, (way, _) in DEFAULT.items()},
        "settings": {"n": N, "seeds": SEEDS, "networks": NETWORKS, "split_seed": SPLIT_SEED, "resamples": RESAMPLES},
        "cost_of_an_architecture": cost(),
        "nas_bench_101": elsewhere("nas_bench_101", nas_bench_101(given.modules), given.workers),
        "darts_trained": elsewhere("darts", darts_trained(), given.workers),
        "darts_predicted": elsewhere("darts", darts_predicted(), given.workers),
        "nas_bench_201": nas_bench_201(given.workers),
    }
    file = Path(__file__).parent / "results" / "composite.json"
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
