"""Which class of networks is best in a quantity, and which cannot be told from it; and the order of named networks.

A class's value under a seed is the mean over its codes (they are one function with other draws), so there is one
value a class and seed, and seeds are independent draws.

    winner   the class with the best mean over seeds
    share    in how much of the bootstrap over seeds a class is the best
    near     the classes whose difference to the winner has an interval (Student, paired by seed, one by one) that
             reaches 0: they cannot be told from the best. With a single seed nobody can

The winner among many is flattered by its own luck, so a class that is not `near` was beaten by more than that shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from automl_theory.studies.no_free_lunch.intervals import (
    EFFORT,
    Effort,
    Estimate,
    mean_of_seeds,
    seed_draws,
    student,
)


@dataclass(frozen=True)
class Winner:
    """The best class, its value; `shares`: class → share of resamples it wins (those above 0, best first); `near`.

    `classes`: how many were compared; `seeds`: over how many seeds.
    """

    canonical: str
    value: float
    shares: dict[str, float]
    near: tuple[str, ...]
    classes: int
    seeds: int


def class_values(values: pd.DataFrame, graph: pd.DataFrame) -> pd.DataFrame:
    """Return class × seed, the mean over the codes of a class, of architecture × seed; classes sorted by name."""
    canonical = graph.set_index("arch")["canonical"].loc[values.index]
    found = values.groupby(canonical.to_numpy()).mean().sort_index()
    found.index.name = "canonical"
    return found


def winner(values: pd.DataFrame, graph: pd.DataFrame, *, maximize: bool, effort: Effort = EFFORT) -> Winner | None:
    """Return the winner of a quantity (architecture × seed); None without any value.

    Classes that lack a value under some seed are left out. Of tied classes the first by name wins.
    """
    table = class_values(values, graph).dropna()
    if table.empty:
        return None
    numbers = table.to_numpy(dtype=np.float64) * (1 if maximize else -1)
    mean = numbers.mean(axis=1)
    best = int(mean.argmax())
    drawn = np.array([mean_of_seeds(numbers, counts).argmax() for counts in seed_draws(numbers.shape[1], effort)])
    count = np.bincount(drawn, minlength=len(table))
    order = [k for k in np.argsort(-count, kind="stable") if count[k]]
    names = [str(name) for name in table.index]
    near = []
    for k, name in enumerate(names):
        apart = student(numbers[best] - numbers[k], effort)
        if k != best and not apart.low > 0:
            near.append(name)
    shares = {names[k]: float(count[k] / len(drawn)) for k in order}
    value = float(mean[best] * (1 if maximize else -1))
    return Winner(names[best], value, shares, tuple(near), len(table), numbers.shape[1])


def steps(values: pd.DataFrame, graph: pd.DataFrame, codes: Sequence[str], effort: Effort = EFFORT) -> list[Estimate]:
    """Return the differences between neighbours of a row of codes, later minus earlier, as means over paired seeds.

    Each code stands for its class. NaN, with n = 0, where the class of one has no value.
    """
    table = class_values(values, graph)
    canonical = graph.set_index("arch")["canonical"]
    rows = [canonical.get(code) for code in codes]
    found = []
    for first, second in pairwise(rows):
        if first not in table.index or second not in table.index:
            found.append(Estimate(np.nan, np.nan, np.nan, 0))
        else:
            apart = table.loc[second].to_numpy(dtype=np.float64) - table.loc[first].to_numpy(dtype=np.float64)
            found.append(student(apart, effort))
    return found
