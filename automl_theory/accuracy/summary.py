"""From training runs to one row an architecture: choose a data set and a schedule, average the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.accuracy.recipe import COSTS, EVALUATED, METRICS, SPLITS, dataset_named, split_named
from automl_theory.errors import InputError

INCONSISTENT_AT = 1e-5
REFERENCE_SEED = 888


def summarise(
    runs: pd.DataFrame,
    known: Mapping[str, Any],
    *,
    dataset: str | None = None,
    epochs: int | None = None,
    split: str | None = None,
) -> pd.DataFrame:
    """Return one row an architecture, index arch, of the runs of one data set and one schedule.

    Plain columns are means over the seeds an architecture has, `<column>_seed<seed>` the single ones (where there are
    several). A data set must be named where there are several; `epochs` is the longest schedule if not named. The
    `valid` columns of "cifar10" are those of "cifar10-valid" (see `recipe`). params and flops of the seeds should be
    equal; where not, seed 888's are right (`nats_bench.api_utils.ArchResults.get_compute_costs`). `attrs["accuracy"]`
    says it all.

    Raises InputError for an unknown dataset, schedule or split, with what there is.
    """
    runs = _of_dataset(runs, dataset)
    name = str(runs.attrs["dataset"])
    runs = _of_schedule(runs, name, epochs)
    there = [s for s in SPLITS if any(f"{s}_{metric}" in runs.columns for metric in METRICS)]
    official = {kept: ours for ours, kept in EVALUATED.get(name, {}).items()}
    chosen = SPLITS if split is None else (split_named(official.get(split, split), there),)
    columns = [f"{s}_{metric}" for s in chosen for metric in METRICS if f"{s}_{metric}" in runs.columns]
    costs = [column for column in COSTS if column in runs.columns]
    order = pd.Index(runs.index.unique(), name=runs.index.name)
    parts: dict[str, pd.Series] = {}
    single: dict[str, pd.Series] = {}
    said: dict[str, str] = {}
    for column in columns:
        source = "cifar10-valid" if name == "cifar10" and column.startswith("valid_") else name
        used = runs if "dataset" not in runs.columns else runs[runs["dataset"] == source]
        if not used[column].notna().any():
            continue
        word = column.partition("_")[0]
        said[word] = EVALUATED.get(source, {}).get(word, word) + (f" of {source}" if source != name else "")
        wide = _by_seed(used, column).reindex(order)
        parts[column] = _mean(wide).mask(order.isin(_diverged(used, column)))
        if wide.shape[1] > 1:
            single |= {f"{column}_seed{seed}": wide[seed] for seed in wide.columns}
    if not parts:
        raise InputError(f"there is no {split or 'result'} of {name}; leave out split to see what there is")
    main = runs if "dataset" not in runs.columns else runs[runs["dataset"] == name]
    main = main if len(main) else runs
    for column in costs:
        parts[column] = _cost(main, column).reindex(order)
    known_columns = {f"{s}_{metric}" for s in SPLITS for metric in METRICS} | {*COSTS, "epochs", "seed"}
    for column in runs.select_dtypes("number").columns.difference(list(known_columns), sort=False):
        parts[str(column)] = _mean(_by_seed(main, column).reindex(order))
    table = pd.DataFrame({**parts, **single}, index=order)
    seeds = main["seed"] if "seed" in main.columns else pd.Series(dtype=np.int64)
    per_arch = main.groupby(level=0).size().value_counts().sort_index()
    table.attrs = {
        "accuracy": {
            **known,
            **({"dataset": name} if name else {}),
            **({"epochs": int(runs["epochs"].iloc[0])} if "epochs" in runs.columns else {}),
            "splits": said,
            "seeds": [int(seed) for seed in sorted(seeds.unique())],
            "runs_per_architecture": {str(k): int(n) for k, n in per_arch.items()},
            "unit": "percent",
        }
    }
    return table


def _by_seed(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """The column with one column a seed, rising; those without any value are left out."""
    if "seed" not in runs.columns:
        return runs[[column]].set_axis([0], axis="columns")
    wide = runs.set_index("seed", append=True)[column].unstack("seed")
    return wide[sorted(wide.columns)].dropna(axis="columns", how="all")


def _diverged(runs: pd.DataFrame, column: str) -> pd.Index:
    """Architectures with a run that has an accuracy and no loss: their mean loss is none either."""
    split, _, metric = column.rpartition("_")
    if metric != "loss" or f"{split}_accuracy" not in runs.columns:
        return runs.index[:0]
    return runs.index[runs[column].isna() & runs[f"{split}_accuracy"].notna()]


def _mean(wide: pd.DataFrame) -> pd.Series:
    """Mean of each row over what is there, summed in the order of the seeds as the benchmarks' APIs do."""
    total, count = np.zeros(len(wide)), np.zeros(len(wide))
    for seed in wide.columns:
        there = wide[seed].notna().to_numpy()
        total += np.where(there, wide[seed].to_numpy(), 0.0)
        count += there
    with np.errstate(invalid="ignore"):
        return pd.Series(total / count, index=wide.index)


def _of_dataset(runs: pd.DataFrame, wanted: str | None) -> pd.DataFrame:
    if "dataset" not in runs.columns:
        if wanted is not None:
            raise InputError(
                "the table does not say which data set it is of; leave out dataset, or add a column dataset"
            )
        return _named(runs, "")
    there = [str(name) for name in runs["dataset"].unique()]
    choices = [name for name in ("cifar10",) if "cifar10-valid" in there and name not in there] + there
    main = [name for name in choices if name != "cifar10-valid"]
    if wanted is None:
        if len(main) > 1:
            raise InputError(f"there are results of {', '.join(main)}: name the one wanted as dataset (--dataset)")
        name = main[0]
    else:
        name = dataset_named(wanted, choices)
    return _named(runs[runs["dataset"].isin({name, "cifar10-valid"} if name == "cifar10" else {name})], name)


def _named(runs: pd.DataFrame, name: str) -> pd.DataFrame:
    runs = runs.copy()
    runs.attrs = {"dataset": name}
    return runs


def _of_schedule(runs: pd.DataFrame, name: str, wanted: int | None) -> pd.DataFrame:
    if "epochs" not in runs.columns:
        if wanted is not None:
            raise InputError("the table does not say for how many epochs; leave out epochs, or add a column epochs")
        return runs
    there = sorted(int(n) for n in runs["epochs"].unique())
    if wanted is not None and wanted not in there:
        of = f" for {name}" if name else ""
        raise InputError(
            f"there is no schedule of {wanted} epochs{of}; there is: {', '.join(map(str, there))} (each is a "
            "training of its own, not an epoch of a longer one)"
        )
    chosen = there[-1] if wanted is None else wanted
    return runs[runs["epochs"] == chosen]


def _cost(runs: pd.DataFrame, column: str) -> pd.Series:
    grouped = runs[column].dropna().groupby(level=0)
    mean = grouped.mean()
    if column == "latency" or "seed" not in runs.columns:
        return mean
    spread = grouped.max() - grouped.min()
    odd = spread.index[spread > INCONSISTENT_AT]
    reference = runs.loc[runs["seed"] == REFERENCE_SEED, column]
    right = odd.intersection(reference.index)
    mean.loc[right] = reference.loc[right]
    return mean
