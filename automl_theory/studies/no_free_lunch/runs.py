"""Which training runs count: diverged, not converged and never half-way ones, counted and handled in one place.

    diverged        no loss: left out of the mean over seeds; an architecture all of whose runs diverged is lost
    not converged   its losses are those at the end of its budget, and count; claims about losses are made twice, with
                    and without these runs, and a verdict that only one of the two gives is none (`claims`)
    never half-way  50 % training accuracy was not reached: counts as the slowest run that did reach it

If more than `TOO_MANY` of the architectures are lost, more than that share of runs did not converge (for losses), or
never reached 50 % (for epochs), the outcome says nothing: `why_not` tells the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_theory.errors import InputError
from automl_theory.spaces.mlp_dag_stacks import groups
from automl_theory.studies.no_free_lunch.intervals import by_seed
from automl_theory.studies.no_free_lunch.published import ASPECTS

TOO_MANY = 0.1


@dataclass(frozen=True)
class RunCounts:
    """How many architectures and runs there are, and what became of them.

    lost   architectures without any result
    """

    architectures: int
    runs: int
    diverged: int
    not_converged: int
    never_halfway: int
    lost: int


def count_runs(trained: pd.DataFrame | None) -> RunCounts:
    """Count the runs of a trained table; all 0 without one. Diverged runs are in none of the other two counts."""
    if trained is None or not len(trained):
        return RunCounts(0, 0, 0, 0, 0, 0)
    bad = diverged(trained)
    fine = ~bad
    return RunCounts(
        architectures=int(trained["arch"].nunique()),
        runs=len(trained),
        diverged=int(bad.sum()),
        not_converged=int((fine & ~trained["converged"].astype(bool)).sum()),
        never_halfway=int((fine & trained["epochs_to_50"].isna()).sum()),
        lost=int(trained["arch"].nunique() - trained.loc[fine, "arch"].nunique()),
    )


def count_networks(codes: Iterable[str]) -> int:
    """Count the different networks: codes that differ in dead edges alone are one, measured and trained once.

    It stands in the tables under each of its codes: the 541 live ones are 221 networks.
    """
    return sum(len(set(group.edges)) for group in groups(codes))


def diverged(trained: pd.DataFrame) -> pd.Series:
    """Return which rows have no result: status "diverged", or a training loss that is not finite."""
    finite = np.isfinite(trained["train_loss"].to_numpy(dtype=np.float64))
    return pd.Series((trained["status"].to_numpy() != "ok") | ~finite, index=trained.index)


def usable(trained: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that did not diverge; `epochs_to_50` of those never half-way is that of the slowest that were."""
    rows = trained.loc[~diverged(trained)].copy()
    rows["epochs_to_50"] = rows["epochs_to_50"].fillna(rows["epochs_to_50"].max())
    return rows


def outcome(trained: pd.DataFrame, name: str, *, converged_only: bool = False) -> pd.DataFrame:
    """Return an outcome ("train_loss", "epochs_to_50" or "gap") as architecture × seed of the usable runs."""
    rows = usable(trained)
    if converged_only:
        rows = rows.loc[rows["converged"].astype(bool)]
    return by_seed(rows, name)


def why_not(trained: pd.DataFrame | None, name: str) -> str:
    """Return why an outcome says nothing, or "" if it does."""
    if name not in ASPECTS:
        raise InputError(f"expected an outcome out of {', '.join(ASPECTS)}, got {name!r}; name one of them")
    counts = count_runs(trained)
    if not counts.runs:
        return "nothing was trained"
    if counts.lost > TOO_MANY * counts.architectures:
        return f"{counts.lost} of {counts.architectures} architectures diverged in every run"
    if name == "epochs_to_50":
        if counts.never_halfway > TOO_MANY * counts.runs:
            return f"{counts.never_halfway} of {counts.runs} runs never reached 50 % training accuracy"
        return ""
    if counts.not_converged > TOO_MANY * counts.runs:
        return f"{counts.not_converged} of {counts.runs} runs have not converged"
    return ""
