"""What the choice of training seeds adds to the error of a rank correlation.

The target is the mean over s seeds. Noise that each architecture draws for itself is in the bootstrap over classes
already: another draw of architectures is another draw of it. Drawing seeds with replacement as well would count it
twice, and would measure against a mean of fewer seeds, which lowers every τ. What is left is what a seed does to all
architectures at once (batch order, name-keyed initial weights). With τ_k the agreement with seed k alone,

    σ² = max(0, mean_{k<l} [(τ_k − τ_l)² − v_kl] / 2) / s

is the method-of-moments estimate of its share in the variance of a mean over s seeds, where v_kl is what the sampling
of classes lets τ_k and τ_l differ by. With two or three seeds σ² is rough, and mostly 0.

Widened by it are the intervals of τ and ρ over all rows (bootstrap: a normal draw a resample), and no others. Among the
best rows the target's own noise is a large part of its order, and in a partial correlation that of the sizes hangs on
the same seed: there a mean over s seeds does not err by 1/√s of what one seed does, so that σ² would be a guess. Those
intervals, the paired differences of `compare` and of the notes beside a ranking speak of the seeds that were trained.
"""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pandas as pd

from automl_theory.analysis.columns import values
from automl_theory.analysis.rank_correlation import Floats
from automl_theory.analysis.sampling import Bools, Sample


def named_seeds(df: pd.DataFrame, target: str) -> list[str]:
    """Return the numeric columns <target>_seed0, <target>_seed777, … by rising seed."""
    names = [name for name in map(str, df.columns) if re.fullmatch(re.escape(target) + r"_seed\d+", name)]
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(df[name].dtype)]
    return sorted(numeric, key=lambda name: int(name.rpartition("_seed")[2]))


def seed_columns(df: pd.DataFrame, target: str) -> list[str]:
    """Return the columns of `named_seeds` if there are two or more and `target` is their mean.

    [] otherwise: then nothing is known about seeds. Rows where a seed is missing do not count for the check.
    """
    names = named_seeds(df, target)
    if len(names) < 2:
        return []
    each = np.array([values(df, name) for name in names])
    mean, rows = values(df, target), np.isfinite(each).all(axis=0)
    rows &= np.isfinite(mean)
    same = rows.any() and np.allclose(each[:, rows].mean(axis=0), mean[rows], rtol=1e-4, atol=1e-9)
    return names if same else []


def seed_error(sample: Sample, x: Floats, seeds: list[Floats], used: Bools) -> tuple[float, float]:
    """Return σ of τ and of ρ between proxy `x` and the mean of the columns `seeds`; 0 for fewer than two seeds.

    Measured on the rows `used` where every seed has a value. 0 where there is no interval anyway.
    """
    rows = used.copy()
    for column in seeds:
        rows &= ~np.isnan(column)
    linear = Sample(sample.classes, sample.inside, sample.level, None)
    pairs = [linear.pair(x, column, rows) for column in seeds]
    if len(pairs) < 2 or not all(len(pair.tau_spread) for pair in pairs):
        return 0.0, 0.0
    errors = []
    for measure in ("tau", "rho"):
        excess = []
        for a, b in combinations(pairs, 2):
            spread = getattr(a, f"{measure}_spread") - getattr(b, f"{measure}_spread")
            expected = linear.error(spread, a.effective) ** 2
            excess.append((getattr(a, measure) - getattr(b, measure)) ** 2 - expected)
        errors.append(float(np.sqrt(max(0.0, np.mean(excess) / 2) / len(seeds))))
    return errors[0], errors[1]
