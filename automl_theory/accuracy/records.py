"""One row a training run, out of the records of NAS-Bench-201 and NATS-Bench."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.accuracy.recipe import COSTS, EVALUATED, METRICS, SPLITS, family_of
from automl_theory.errors import InputError

_TRAINED = {"accuracy": "train_acc1es", "loss": "train_losses"}
_TESTED = {"accuracy": "eval_acc1es", "loss": "eval_losses"}
COLUMNS = (*(f"{split}_{metric}" for split in SPLITS for metric in METRICS), *COSTS)


class Runs:
    """Collects the runs of records, column by column.

    Of each run the last epoch is taken, by its number: a schedule is a training of its own, and the twelfth epoch of
    the long one is not the short one. Accuracies are per cent, losses mean cross-entropy; `params` and `flops` are
    millions as the benchmarks write them, `latency` seconds a batch (their −1 for "not measured" is NaN).
    """

    def __init__(self) -> None:
        self.arch: list[str] = []
        self.dataset: list[str] = []
        self.epochs, self.seed = array("q"), array("q")
        self.numbers = {column: array("d") for column in COLUMNS}
        self.seen: set[tuple[str, str, int, int]] = set()
        self.families: dict[str, str] = {}

    def add(self, record: Mapping[Any, Any], where: str) -> None:
        """Take the runs of one record; InputError for anything that is not as the APIs write it."""
        arch, results = record.get("arch_str"), record.get("all_results")
        self.families.setdefault(family_of(arch, where), where)
        if len(self.families) > 1:
            one, other = self.families.values()
            raise InputError(
                f"{one} and {other} are of different search spaces: releases are mixed; give one at a time"
            )
        if not isinstance(results, Mapping):
            raise InputError(f"{where} has a record without runs; {_REMEDY}")
        for key, run in results.items():
            if not isinstance(key, tuple) or len(key) != 2 or not isinstance(run, Mapping):
                raise InputError(f"{where} has a run named {str(key)[:60]!r}, not (data set, seed); {_REMEDY}")
            self._add_run(str(arch), key[0], key[1], run, where)

    def _add_run(self, arch: str, dataset: Any, seed: Any, run: Mapping[Any, Any], where: str) -> None:
        what = f"{where}: {arch}, {dataset}, seed {seed}"
        if dataset not in EVALUATED:
            raise InputError(f"{what}: no data set of these benchmarks ({', '.join(EVALUATED)}); {_REMEDY}")
        epochs = run.get("epochs")
        if type(epochs) is not int or epochs < 1 or type(seed) is not int:
            raise InputError(f"{what}: {epochs!r} epochs; {_REMEDY}")
        key = (arch, str(dataset), epochs, seed)
        if key in self.seen:
            raise InputError(f"{what}, {epochs} epochs is there twice: releases or folders are mixed; keep one of each")
        self.seen.add(key)
        row = dict.fromkeys(COLUMNS, math.nan)
        for split, name in EVALUATED[dataset].items():
            train = split == "train"
            at = epochs - 1 if train else f"{name}@{epochs - 1}"
            for metric, field in (_TRAINED if train else _TESTED).items():
                values = run.get(field)
                if isinstance(values, Mapping) and at in values:
                    row[f"{split}_{metric}"] = _float(values[at], what)
        for split in EVALUATED[dataset]:
            _check_accuracy(row[f"{split}_accuracy"], split, what, given=_given(run, EVALUATED[dataset][split], epochs))
        row["params"], row["flops"] = (_float(run.get(field), what, math.nan) for field in ("params", "flop"))
        row["latency"] = _latency(run.get("latency"), what)
        self.arch.append(arch)
        self.dataset.append(str(dataset))
        self.epochs.append(epochs)
        self.seed.append(seed)
        for column, value in row.items():
            self.numbers[column].append(value)

    def frame(self) -> pd.DataFrame:
        """The runs as a table: index arch; dataset, epochs, seed, and `COLUMNS` without those that are empty."""
        table = pd.DataFrame(
            {
                "dataset": pd.Series(self.dataset, dtype="str"),
                "epochs": np.array(self.epochs, dtype=np.int64),
                "seed": np.array(self.seed, dtype=np.int64),
                **{column: np.array(values) for column, values in self.numbers.items()},
            }
        )
        table.index = pd.Index(self.arch, name="arch", dtype="str")
        return table.dropna(axis="columns", how="all")


_REMEDY = "fetch the file again from its official source"


def _given(run: Mapping[Any, Any], name: str, epochs: int) -> bool:
    return name == "train" or name in (run.get("eval_names") or ())


def _check_accuracy(value: float, split: str, what: str, given: bool) -> None:
    if given and not 0 <= value <= 100:
        raise InputError(f"{what}: {split} accuracy {value} is no percentage; {_REMEDY}")


def _float(value: Any, what: str, missing: float | None = None) -> float:
    if value is None and missing is not None:
        return missing
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise InputError(f"{what}: expected a number, got {str(value)[:60]!r}; {_REMEDY}")
    return float(value)


def _latency(value: Any, what: str) -> float:
    """Mean over repeated measurements, of those that are there (the benchmarks write -1 for none)."""
    if value is None:
        return math.nan
    repeated = value if isinstance(value, list | tuple) else [value]
    measured = [number for number in (_float(v, what) for v in repeated) if number > 0]
    return sum(measured) / len(measured) if measured else math.nan
