"""Stores of the shards of one run, united in one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from os import PathLike

from automl_theory.errors import InputError, StoreError
from automl_theory.scoring.statements import CHANGE, MERGED_RUN, UPSERT
from automl_theory.scoring.store import ScoreStore


def merge(target: str | PathLike[str], sources: Sequence[str | PathLike[str]], *, allow_mismatch: bool = False) -> int:
    """Unite shards of one run in `target` (made if missing); returns how many scores it then has.

    All must have equal settings, and equal environments unless `allow_mismatch`. A failed row yields to a good one; two
    good rows of one key with different values raise `StoreError` naming the first such key, and good scores of two
    networks of one name `OtherNetwork`. Each source goes in whole or not at all.
    """
    if not sources:
        raise InputError("expected at least one store to merge, got none; name the shards")
    for source in sources:
        with ScoreStore.existing(source) as shard:
            settings, environment = shard.settings, shard.environment
            scores = shard._rows("SELECT * FROM score ORDER BY arch, seed, proxy")
            networks = shard._meta("network") or {}
            runs, changes = shard._rows("SELECT * FROM run"), shard._rows("SELECT * FROM environment_change")
        with ScoreStore.open(target, settings, environment, allow_mismatch=allow_mismatch) as store:
            have = {row[:3]: row[3:] for row in store._rows("SELECT * FROM score WHERE status <> 'failed'")}
            for *key, value, status in scores:
                old = have.get(tuple(key))
                if old and status != "failed" and (_bits(old[0]), old[1]) != (_bits(value), status):
                    raise StoreError(
                        f"expected equal scores in {source} and {target}, but {key[2]} of {key[0]} (seed {key[1]}) is "
                        f"{value!r} ({status}) and {old[0]!r} ({old[1]}); keep the stores apart and score it again"
                    )
            with store._transaction("write"):
                for arch in sorted(networks.keys() & {arch for arch, _, _, _, status in scores if status != "failed"}):
                    store._expect(arch, networks[arch])
                store._db.executemany(UPSERT, scores)
                store._db.executemany(MERGED_RUN, runs)
                store._db.executemany(CHANGE, [row + row for row in changes])
    with ScoreStore.existing(target) as store:
        return int(store._rows("SELECT count(*) FROM score")[0][0])


def _bits(value: float | None) -> bytes:
    return b"" if value is None else struct.pack("<d", value)
