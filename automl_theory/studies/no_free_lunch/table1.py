"""Table 1 and Figure 7: where networks, ensembles and pruned ensembles rank among the live networks.

The rank of a network in an outcome (less is better in all three) is 1 + the number of live networks that are strictly
better under the same seed; a network does not compete with itself. The sum of the three ranks is the paper's verdict on
a network, smaller is better. Ranks are taken seed by seed, and averaged, with Student's interval over seeds. Runs that
diverged rank behind all others, in the pool and among the networks ranked.

Figure 7 prunes the wide and the deep part of the ensemble by different shares, and reports Kendall's τ of each share
with the sum of ranks over that grid.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_theory.analysis.rank_correlation import correlations
from automl_theory.studies.no_free_lunch.intervals import (
    EFFORT,
    NOTHING,
    Effort,
    Estimate,
    by_seed,
    class_draws,
    mean_of_seeds,
    percentile,
    seed_draws,
    student,
)
from automl_theory.studies.no_free_lunch.published import ASPECTS, TABLE_1
from automl_theory.studies.no_free_lunch.runs import diverged, usable

SHARES = ("wide_pruning", "deep_pruning")


def ranks(extras: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """Return the ranks of every row of `extras`: its network, shares pruned and seed; one column an outcome; total; n.

    n is the number of live networks it was ranked among under that seed. Seeds that were not trained give no row.
    """
    pool = usable(trained)
    everyone = trained.groupby("seed")["arch"].nunique()
    mine = _comparable(extras, pool)
    found = mine.loc[mine["seed"].isin(everyone.index), ["network", *SHARES, "seed"]].reset_index(drop=True)
    mine = mine.loc[mine["seed"].isin(everyone.index)].reset_index(drop=True)
    codes = mine["network"].map({entry.name: entry.code for entry in TABLE_1})
    for name in ASPECTS:
        tables = {seed: column.dropna() for seed, column in by_seed(pool, name).items()}
        values = mine[name].to_numpy(dtype=np.float64)
        runs = zip(values, mine["seed"], codes, everyone.loc[mine["seed"]], strict=True)
        found[name] = [_rank(value, tables.get(seed), code, int(n)) for value, seed, code, n in runs]
    found["total"] = found[list(ASPECTS)].sum(axis=1)
    found["n"] = everyone.loc[mine["seed"]].to_numpy()
    return found


def totals(trained: pd.DataFrame) -> pd.DataFrame:
    """Return the sum of the three ranks of every live network, architecture × seed; tied ones share the best rank.

    A run that diverged ranks last in all three.
    """
    archs = pd.Index(sorted(set(trained["arch"])), name="arch")
    pool, found = usable(trained), []
    for name in ASPECTS:
        values = by_seed(pool, name).reindex(archs)
        found.append(values.rank(method="min").fillna(float(len(archs))))
    return found[0] + found[1] + found[2]


def table_1(extras: pd.DataFrame, trained: pd.DataFrame, *, effort: Effort = EFFORT) -> pd.DataFrame:
    """Return one row a network of the paper's Table 1 and outcome (and "total"): ours with interval, and the paper's.

    Columns network, label, outcome, rank, low, high, seeds, n, paper. Networks that were not trained have NaN.
    """
    found = ranks(extras, trained)
    n = int(found["n"].max()) if len(found) else 0
    rows = []
    for entry in TABLE_1:
        per_seed = seeds_of(found, entry.name)
        for name in (*ASPECTS, "total"):
            rank = student(per_seed[name].to_numpy(dtype=np.float64), effort)
            least, most = (3, 3 * (n + 1)) if name == "total" else (1, n + 1)
            low, high = np.clip([rank.low, rank.high], least, most)
            rows.append((entry.name, entry.label, name, rank.value, low, high, rank.n, n, getattr(entry, name)))
    return pd.DataFrame(rows, columns=["network", "label", "outcome", "rank", "low", "high", "seeds", "n", "paper"])


def seeds_of(found: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the rows of `ranks` of one network of Table 1, by seed; ensembles are known by their shares pruned."""
    entry = {entry.name: entry for entry in TABLE_1}[name]
    chosen = (found["network"] == name).to_numpy()
    if entry.pruning is not None:
        near = np.isclose(found[list(SHARES)].to_numpy(dtype=np.float64), entry.pruning)
        chosen = np.asarray(near.all(axis=1))
    return found.loc[chosen].drop_duplicates("seed").set_index("seed").sort_index()


def difference(found: pd.DataFrame, first: str, second: str, *, effort: Effort = EFFORT) -> Estimate:
    """Return the sum of ranks of one network of Table 1 minus that of another, paired by seed."""
    a, b = (seeds_of(found, name)["total"] for name in (first, second))
    return student((a - b).dropna().to_numpy(dtype=np.float64), effort)


def sweep(extras: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """Return the grid of Figure 7: wide_pruning, deep_pruning, and the sum of ranks by seed (one column a seed)."""
    found = ranks(extras, trained)
    found = found.loc[found[list(SHARES)].notna().all(axis=1)].drop_duplicates([*SHARES, "seed"])
    return found.pivot(index=list(SHARES), columns="seed", values="total").sort_index().reset_index()


def sweep_tau(grid: pd.DataFrame, share: str, *, effort: Effort = EFFORT) -> Estimate:
    """Return τ-b of a share pruned with the sum of ranks over the grid, by a bootstrap over networks and seeds."""
    grid = grid.dropna()
    if len(grid) < 3:
        return NOTHING
    x = grid[share].to_numpy(dtype=np.float64)
    values = grid.drop(columns=list(SHARES)).to_numpy(dtype=np.float64)
    value = float(correlations(x, mean_of_seeds(values))[0][0])
    weights = class_draws(np.arange(len(grid), dtype=np.intp), effort)
    drawn = []
    for block, counts in enumerate(seed_draws(values.shape[1], effort) if weights.size else ()):
        part = weights[:, block * effort.each : (block + 1) * effort.each]
        drawn.append(correlations(x, mean_of_seeds(values, counts), part)[0])
    return Estimate(value, *percentile(value, np.concatenate(drawn) if drawn else np.empty(0), effort), len(grid))


def _comparable(extras: pd.DataFrame, pool: pd.DataFrame) -> pd.DataFrame:
    """Without outcomes where a run diverged; never half-way takes as long as the slowest in the pool."""
    found, bad = extras.copy(), diverged(extras).to_numpy()
    late = found["epochs_to_50"].isna().to_numpy() & ~bad
    found.loc[late, "epochs_to_50"] = np.inf if pool.empty else pool["epochs_to_50"].max()
    found.loc[bad, list(ASPECTS)] = np.nan
    return found


def _rank(value: float, pool: pd.Series | None, code: object, everyone: int) -> int:
    single = isinstance(code, str)
    if np.isnan(value):
        return everyone + (not single)
    if pool is None:
        return 1
    better = int((pool.to_numpy() < value).sum())
    return 1 + better - int(single and bool(pool.get(code, np.inf) < value))
