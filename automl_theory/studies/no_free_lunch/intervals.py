"""How sure a number of the study is: what is drawn again, and the two kinds of interval.

An architecture's value is a mean over seeds. Codes of one class (`canonical`) are one function with other draws of the
weights (with the same ones where they differ in dead edges alone), so the architectures are a sample of *classes*, and
the seeds a sample of draws. One class has 114 of the 541 live codes and the three largest have 249: whether these are
drawn moves every statistic over networks, and makes its interval wide.

    bootstrap   classes are drawn with replacement, with all their codes, and so are seeds, the same ones for all
                architectures (the weights are keyed by name, so a seed is shared): the percentile interval of the
                statistic, widened to the value itself. Of rank correlations.
    Student     mean ± t s/√S over the S seeds, S − 1 degrees of freedom. Of what is asked of *these* architectures:
                a difference of two of them, a rank. None for a single seed.

Below ten classes a bootstrap gives no interval. Seeds are drawn once for `each` draws of the classes, so that a column
is sorted once for all of these. All is seeded, and nothing depends on the order of rows.

The bootstrap of both counts what each network draws for itself twice, so the intervals are wide rather than narrow
(A. Owen 2007, "The pigeonhole bootstrap").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from automl_theory.analysis.landscape import interval
from automl_theory.analysis.rank_correlation import class_resamples
from automl_theory.analysis.sampling import FEWEST_CLASSES
from automl_theory.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Counts = NDArray[np.uint8]


@dataclass(frozen=True)
class Effort:
    """How much is drawn: `seed_draws` draws of the seeds times `each` draws of the classes; the level."""

    seed_draws: int = 50
    each: int = 20
    seed: int = 0
    level: float = 0.95

    @property
    def resamples(self) -> int:
        """The number of resamples."""
        return self.seed_draws * self.each


EFFORT = Effort()


@dataclass(frozen=True)
class Estimate:
    """A number with its interval (NaN ends: none could be given) and how many things it is over."""

    value: float
    low: float
    high: float
    n: int


NOTHING = Estimate(np.nan, np.nan, np.nan, 0)


def by_seed(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return `column` as architecture × seed, both sorted; NaN where a run is missing or has no finite value.

    Errors: InputError for a missing column and for two rows of one (arch, seed).
    """
    for name in ("arch", "seed", column):
        if name not in table.columns:
            raise InputError(f"the table has no column {name!r}; it has {', '.join(map(str, table.columns))}")
    if table.duplicated(["arch", "seed"]).any():
        again = table.loc[table.duplicated(["arch", "seed"]), ["arch", "seed"]].iloc[0]
        raise InputError(f"two rows for {again['arch']!r} with seed {again['seed']}; give one row a run")
    wide = table.pivot(index="arch", columns="seed", values=column).sort_index().sort_index(axis=1)
    values = wide.to_numpy(dtype=np.float64)
    return pd.DataFrame(np.where(np.isfinite(values), values, np.nan), index=wide.index, columns=wide.columns)


def classes_of(archs: pd.Index, graph: pd.DataFrame) -> NDArray[np.intp]:
    """Return the number of the class of each architecture, 0 … c − 1 in the order of their names.

    Errors: InputError for an architecture that the graph table does not hold.
    """
    known = graph.set_index("arch")["canonical"]
    missing = archs.difference(known.index)
    if len(missing):
        raise InputError(f"the graph table has no row for {missing[0]!r}; give every architecture one")
    return np.asarray(np.unique(known.loc[archs].to_numpy(dtype=str), return_inverse=True)[1], dtype=np.intp)


def seed_draws(seeds: int, effort: Effort) -> Ints:
    """Return how often each seed counts in each block, shape (blocks, seeds); a single seed always counts once."""
    rng = np.random.default_rng([effort.seed, seeds, 1])
    drawn = rng.integers(0, seeds, size=(effort.seed_draws, seeds))
    return np.stack([np.bincount(row, minlength=seeds) for row in drawn]).astype(np.int64)


def class_draws(classes: NDArray[np.intp], effort: Effort) -> Counts:
    """Return how often each row counts, shape (n, resamples); no resample at all below ten classes."""
    enough = len(np.unique(classes)) >= FEWEST_CLASSES
    return class_resamples(classes, effort.resamples if enough else 0, effort.seed)


def mean_of_seeds(values: Floats, counts: Ints | None = None) -> Floats:
    """Return the mean over seeds, shape (n,), of `values` (n, S), seed s counting `counts[s]` times; NaN is left out.

    NaN where nothing is left.
    """
    known = ~np.isnan(values)
    weights = known * (np.ones(values.shape[1]) if counts is None else counts)
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((np.where(known, values, 0.0) * weights).sum(axis=1) / total)


def percentile(value: float, drawn: Floats, effort: Effort) -> tuple[float, float]:
    """Return the ends of the bootstrap interval, widened to `value`; NaN without draws or with over 5 % undefined."""
    return interval(drawn, effort.level, value)


def student(values: Floats, effort: Effort) -> Estimate:
    """Return the mean of one value a seed and its Student interval; NaN values are left out, n counts the rest."""
    values = values[~np.isnan(values)]
    if not len(values):
        return NOTHING
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, np.nan, np.nan, len(values))
    reach = float(stats.t.ppf((1 + effort.level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - reach, mean + reach, len(values))
