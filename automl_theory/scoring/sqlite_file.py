"""Is this file a score store, and what went wrong with it: the first bytes, and SQLite's errors in plain words."""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from automl_theory.errors import StoreError, reason

APPLICATION_ID = 0x61746C73
MAGIC = b"SQLite format 3\0"
SCHEMA = 1
BUSY_SECONDS = 60.0
COLUMNS = {
    "meta": "kind key value",
    "environment_change": "opened_at key old new",
    "score": "arch seed proxy value status",
    "run": "arch seed seconds detail finished_at",
}


def is_database(path: Path) -> bool:
    """Whether `path` is a file that begins as SQLite's do."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def check_header(path: Path) -> bool:
    """Return whether a store of ours is at `path`: False if nothing is, `StoreError` if something else is.

    Reads the first 100 bytes (https://sqlite.org/fileformat.html) without SQLite, which could change a foreign file.
    """
    if path.is_dir():
        raise StoreError(f"expected a file for the score store, but {path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise StoreError(f"expected a file for the score store, but {path} is a device or a pipe; name another file")
    if not path.parent.is_dir():
        raise StoreError(f"expected an existing folder for the store, but {path.parent} is none; create it first")
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"expected a readable store, but {path}: {error.strerror}; check its permissions") from error
    if not head:
        return False
    if not head.startswith(MAGIC):
        raise StoreError(f"expected a score store, but {path} is no SQLite file; name another file, it was left alone")
    if len(head) < 100:
        raise StoreError(f"expected a whole score store, but {path} is cut off; restore a copy or name another file")
    version, application = struct.unpack(">I4xI", head[60:72])
    if application != APPLICATION_ID:
        raise StoreError(f"expected a score store, but {path} is another program's database; name another file")
    if version > SCHEMA:
        raise StoreError(f"expected a store of schema {SCHEMA}, but {path} has schema {version}; upgrade automl_theory")
    return True


def check_tables(path: Path, db: sqlite3.Connection) -> None:
    """Raise `StoreError` unless the tables have the columns that this version writes."""
    for table, columns in COLUMNS.items():
        found = " ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
        if found != columns:
            raise StoreError(
                f"expected the columns {columns} in table {table} of the score store {path}, but it has "
                f"{found or 'none'}: something else changed the file; restore a copy or use another --store"
            )


@contextmanager
def naming(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into `StoreError`s that say what was wanted, what happened, and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            told = f"another process has held it for {BUSY_SECONDS:.0f} s; wait for it or use another --store"
        elif "full" in text or "disk I/O" in text:
            told = f"the disk is full or failing ({text}); free some space and resume, finished architectures are kept"
        elif "malformed" in text or "not a database" in text:
            told = "the file is damaged; restore a copy or use another --store, it was left as it is"
        elif "readonly" in text or "unable to open" in text:
            told = f"the file or its folder cannot be written ({text}); check permissions or use another --store"
        else:
            told = f"SQLite says: {text}; check the file or use another --store"
        raise StoreError(f"expected to {doing} the score store {path}, but {told}") from error


def patiently(db: sqlite3.Connection, statement: str) -> str:
    """Execute a statement that SQLite does not wait for by itself while another process holds the file."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(db.execute(statement).fetchone()[0])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.05)


def store_place(store: str | PathLike[str]) -> Path:
    """The path of a store, in a folder that is made if it is missing."""
    try:
        path = Path(store)
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.lstat()
    except OSError as error:
        place = str(Path(store).parent)[:200]
        raise StoreError(f"cannot make the folder {place} for the store: {error.strerror}; use another store") from None
    except (TypeError, ValueError) as error:
        raise StoreError(f"store={store!r} is no path ({reason(error)}); give the name of a file") from None
    return path
