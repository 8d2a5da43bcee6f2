"""The resumable score table: one SQLite file, one transaction an architecture.

A run that is killed loses the architecture in work and nothing else: WAL mode, written with `synchronous=NORMAL`,
survives the death of the process, and a power cut leaves the table of some transactions earlier. What is measured
(`settings`) and where (`environment`) are written at creation and compared at every opening, so one file never mixes
two measures.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from automl_theory.errors import STATUSES, InputError, StoreError
from automl_theory.scoring.sqlite_file import (
    APPLICATION_ID,
    BUSY_SECONDS,
    SCHEMA,
    check_header,
    check_tables,
    naming,
    patiently,
)
from automl_theory.scoring.statements import ANY_GOOD, RUN, TABLES, UPSERT

if TYPE_CHECKING:
    import pandas as pd


class OtherNetwork(StoreError):
    """A name stands for another network than the one whose scores a store holds under it."""


class ScoreStore:
    """A store of scores keyed by (arch, seed, proxy); a context manager. Make one with `open` or `existing`."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path, self._db = path, db

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        allow_mismatch: bool = False,
    ) -> ScoreStore:
        """Create the store, or re-open it to go on.

        `settings` (JSON values: space, data digest, n, bn, initialisation, …) say what is measured and must equal those
        the file was made with. `environment` (versions, processor, threads per worker, device) must too, unless
        `allow_mismatch`: then the differences are recorded in the file. A missing or empty file becomes a new store.
        Raises `StoreError` if the file is something else, damaged, from a newer version, in an unusable place, or
        differs.
        """
        wanted = {"settings": _json(settings), "environment": _json(environment)}
        store = cls._connect(Path(path), create=True)
        try:
            with store._transaction("open"):
                if store._meta("settings") is None:
                    if store._db.execute("SELECT 1 FROM score LIMIT 1").fetchone():
                        raise StoreError(
                            f"expected {path} to say what its scores measure, but it does not: something else changed "
                            "the file; restore a copy or use another --store"
                        )
                    rows = [(kind, key, value) for kind, part in wanted.items() for key, value in part.items()]
                    store._db.executemany("INSERT INTO meta VALUES (?, ?, ?)", [*rows, ("created", "at", _now())])
                else:
                    store._compare(wanted, allow_mismatch)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def existing(cls, path: str | PathLike[str]) -> ScoreStore:
        """Open a store that exists, with the settings it has: to read it, or to merge it."""
        if not Path(path).exists():
            raise StoreError(f"expected a score store, but {path} does not exist; check the path")
        store = cls._connect(Path(path), create=False) if check_header(Path(path)) else None
        if store and store._meta("settings") is not None:
            return store
        if store:
            store.close()
        raise StoreError(f"expected a score store, but {path} is empty; give the store a run wrote")

    @classmethod
    def _connect(cls, path: Path, create: bool) -> ScoreStore:
        filled = check_header(path)
        with naming(path, "open"):
            db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        store = cls(path, db)
        try:
            with naming(path, "open"):
                if filled and db.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                    raise sqlite3.DatabaseError("malformed")
            if create:
                store._create()
            with naming(path, "open"):
                if create or filled:
                    check_tables(path, db)
                mode = patiently(db, "PRAGMA journal_mode=WAL")
                if mode != "wal":
                    raise StoreError(
                        f"expected a file system that supports SQLite's WAL mode, but {path} stays in mode {mode}; "
                        "network folders do not, keep the store on a local disk"
                    )
                db.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            store.close()
            raise
        return store

    def _create(self) -> None:
        with self._transaction("create"):
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                for statement in TABLES:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version={SCHEMA}")

    def _meta(self, kind: str) -> dict[str, str] | None:
        with naming(self.path, "read"):
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                return None
            if not self._db.execute("SELECT 1 FROM meta WHERE kind = 'created'").fetchone():
                return None
            return dict(self._db.execute("SELECT key, value FROM meta WHERE kind = ? ORDER BY key", (kind,)))

    def _compare(self, wanted: Mapping[str, Mapping[str, str]], allow_mismatch: bool) -> None:
        for kind, new in wanted.items():
            old = self._meta(kind) or {}
            keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            if not keys:
                continue
            if kind == "settings" or not allow_mismatch:
                listed = ", ".join(f"{key}: {old.get(key, 'absent')} → {new.get(key, 'absent')}" for key in keys)
                remedy = "use another --store" + ("" if kind == "settings" else ", or --allow-mismatch to mix them")
                raise StoreError(f"expected the {kind} {self.path} was made with, but they differ ({listed}); {remedy}")
            rows = [(_now(), key, old.get(key), new.get(key)) for key in keys]
            self._db.executemany("INSERT INTO environment_change VALUES (?, ?, ?, ?)", rows)

    @property
    def settings(self) -> dict[str, Any]:
        """What this store measures, as given when it was made (JSON values)."""
        return self._values("settings")

    @property
    def environment(self) -> dict[str, Any]:
        """Where it was made: versions, processor, threads, device."""
        return self._values("environment")

    def _values(self, kind: str) -> dict[str, Any]:
        try:
            return {key: json.loads(value) for key, value in (self._meta(kind) or {}).items()}
        except ValueError as error:
            raise StoreError(
                f"expected the {kind} of {self.path} as JSON, but: {error}; restore a copy or use another --store"
            ) from error

    def done(self, proxies: Iterable[str]) -> set[tuple[str, int]]:
        """Return the (arch, seed) pairs that have a row, failed or not, for each of `proxies`."""
        wanted = sorted(set(proxies))
        if not wanted:
            raise InputError("expected at least one proxy key, got none; name the proxies to look for")
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT arch, seed FROM score WHERE proxy IN ({marks}) GROUP BY arch, seed HAVING count(*) = ?"
        with naming(self.path, "read"):
            return set(self._db.execute(query, (*wanted, len(wanted))))

    def missing(self, arch: str, seed: int, proxies: Sequence[str]) -> list[str]:
        """Return those of `proxies`, in their order, that have no row for this architecture and seed."""
        with naming(self.path, "read"):
            rows = self._db.execute("SELECT proxy FROM score WHERE arch = ? AND seed = ?", (arch, seed))
            present = {proxy for (proxy,) in rows}
        return [proxy for proxy in proxies if proxy not in present]

    def write(
        self,
        arch: str,
        seed: int,
        scores: Mapping[str, tuple[float | None, str]],
        seconds: float,
        detail: str = "",
        network: str = "",
    ) -> None:
        """Write all scores {proxy: (value, status)} of one architecture and seed in one transaction.

        A row of equal key is replaced, but never a good one by a `failed` one. NaN and None are stored as NULL.
        `network` is the fingerprint of what was scored, where the name does not say it. Raises `OtherNetwork` if good
        scores of another one are here, `StoreError` if the disk is full or the store stays locked; then none of these
        scores is stored.
        """
        rows = [(arch, int(seed), key, None if v is None else float(v), status) for key, (v, status) in scores.items()]
        with self._transaction("write"):
            if network:
                self._expect(arch, network)
            self._db.executemany(UPSERT, rows)
            self._db.execute(RUN, (arch, int(seed), float(seconds), detail, _now()))

    def expect_network(self, arch: str, network: str) -> None:
        """Raise `OtherNetwork` if good scores of another network than the one of this fingerprint are here."""
        with self._transaction("write"):
            self._expect(arch, network)

    def _expect(self, arch: str, network: str) -> None:
        found = self._db.execute("SELECT value FROM meta WHERE kind = 'network' AND key = ?", (arch,)).fetchone()
        if found == (network,):
            return
        if self._db.execute(ANY_GOOD, (arch,)).fetchone():
            raise OtherNetwork(
                f"expected the network {arch!r} whose scores {self.path} holds ({found[0] if found else 'unknown'}), "
                f"but it is another one now ({network}); give it another name, or use another --store"
            )
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('network', ?, ?)", (arch, network))

    def valued(self) -> set[str]:
        """Return the architectures that have a score which is not `failed`."""
        return {arch for (arch,) in self._rows("SELECT DISTINCT arch FROM score WHERE status <> 'failed'")}

    def retry_failed(self, wanted: Iterable[tuple[str, int, str]]) -> int:
        """Delete those of the (arch, seed, proxy) rows `wanted` whose status is `failed`; returns how many.

        They count as missing then, and the record of why goes with them.
        """
        rows = list(wanted)
        with self._transaction("write"):
            delete = "DELETE FROM score WHERE arch = ? AND seed = ? AND proxy = ? AND status = 'failed'"
            gone = self._db.executemany(delete, rows).rowcount
            self._db.executemany("UPDATE run SET detail = '' WHERE arch = ? AND seed = ?", {row[:2] for row in rows})
        return gone

    def read(self) -> pd.DataFrame:
        """Return the scores: arch, seed, proxy, value (float64), status, sorted by the first three, whatever the order
        written.

        `attrs` holds settings, environment and the recorded changes of environment.
        """
        import pandas as pd

        columns = ["arch", "seed", "proxy", "value", "status"]
        frame = pd.DataFrame(self._rows("SELECT * FROM score ORDER BY arch, seed, proxy"), columns=columns)
        frame = frame.astype({"seed": "int64", "value": "float64"})
        if unknown := sorted(set(frame["status"]) - set(STATUSES)):
            raise StoreError(
                f"expected statuses of {', '.join(STATUSES)} in {self.path}, but it holds {unknown[0]!r}; "
                "upgrade automl_theory, restore a copy or use another --store"
            )
        changes = self._rows("SELECT * FROM environment_change ORDER BY rowid")
        frame.attrs = {
            "settings": self.settings,
            "environment": self.environment,
            "environment_changes": [list(row) for row in changes],
        }
        return frame

    def read_runs(self) -> pd.DataFrame:
        """Return what each architecture cost: arch, seed, seconds, detail, finished_at (UTC, ISO 8601)."""
        import pandas as pd

        columns = ["arch", "seed", "seconds", "detail", "finished_at"]
        frame = pd.DataFrame(self._rows("SELECT * FROM run ORDER BY arch, seed"), columns=columns)
        return frame.astype({"seed": "int64", "seconds": "float64"})

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with naming(self.path, "read"):
            return self._db.execute(query).fetchall()

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        with naming(self.path, doing):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; what was written is in it."""
        self._db.close()

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _json(values: Mapping[str, Any]) -> dict[str, str]:
    try:
        return {str(key): json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in values.items()}
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected settings of JSON values, but {error}; give numbers, text, lists or mappings"
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
