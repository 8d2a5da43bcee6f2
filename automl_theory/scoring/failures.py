"""What could not be scored, and why, as a store recorded it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from os import PathLike

from automl_theory.errors import FailedScores
from automl_theory.scoring.store import ScoreStore

Failure = tuple[str, int, str]
"""(architecture, seed, reason)."""

SLOWER_WAY = re.compile(r"(^|; )(kernel|together): [^;]*")
"""What a run's detail says beside reasons: how the kernel was computed, or why not together, the slower ways."""


def reason_of(detail: str) -> str:
    """Why something failed, of a run's detail or an evaluation's reason."""
    return SLOWER_WAY.sub("", detail).removeprefix("; ")


def failures(kept: ScoreStore, keys: Collection[str] | None = None) -> list[Failure]:
    """What failed in a store, sorted; of the proxies with these keys, or of all."""
    rows, runs = kept.read(), kept.read_runs()
    reasons = {(arch, seed): detail for arch, seed, detail in runs[["arch", "seed", "detail"]].itertuples(index=False)}
    failed = rows[rows["status"] == "failed"]
    if keys is not None:
        failed = failed[failed["proxy"].isin(keys)]
    pairs = sorted({(str(arch), int(seed)) for arch, seed in failed[["arch", "seed"]].itertuples(index=False)})
    return [(*pair, reason_of(reasons.get(pair, ""))) for pair in pairs]


def failures_of(path: str | PathLike[str]) -> list[Failure]:
    """`failures` of the store in a file."""
    with ScoreStore.existing(path) as kept:
        return failures(kept)


def warn_of(found: Collection[Failure], total: int, where: str, stacklevel: int) -> None:
    """Warn of failures among `total` architectures, naming the first reason and `where` the others are."""
    if found:
        count = len({arch for arch, _, _ in found})
        arch, seed, why = next(iter(found))
        warnings.warn(
            f"{count} of {total} architectures failed, {arch!r} under seed {seed}: {why}; {where} has every reason",
            FailedScores,
            stacklevel=stacklevel + 1,
        )
