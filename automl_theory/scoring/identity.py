"""Whether a name still means the network whose scores a store holds; a built-in space's strings say it themselves."""

from __future__ import annotations

from collections.abc import Iterable

from automl_theory.errors import StoreError
from automl_theory.scoring import task
from automl_theory.scoring.store import ScoreStore
from automl_theory.spaces import Space


def to_check(kept: ScoreStore, where: Space, architectures: Iterable[str], seed: int) -> list[task.Task]:
    """Tasks that only tell which networks go by the names of those with scores, where names do not say it."""
    if not hasattr(where, "fingerprint"):
        return []
    valued = kept.valued()
    return [(arch, seed, ()) for arch in architectures if arch in valued]


def check_network(kept: ScoreStore, arch: str, network: str, error: str | None) -> None:
    """Raise StoreError unless `arch` is the network whose scores the store holds."""
    if error is not None:
        raise StoreError(
            f"{kept.path} holds scores of {arch!r}, which cannot be built now to see whether it is the same network "
            f"({error}); mend it, or use another --store"
        )
    if network:
        kept.expect_network(arch, network)
