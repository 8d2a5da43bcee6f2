"""The steps of a search in a file, a line each, written as they happen: a search that was killed goes on from it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from automl_theory.errors import InputError, reason

if sys.platform != "win32":
    import fcntl


class Journal:
    """Steps of one search: `found` those of the file, `add` for the next; without a file nothing is kept.

    file    JSON lines, the first being `about`: what decides the steps. A line that a killed process left unfinished is
            cut off. Until `close`, or the end of a `with` block or of the process, no other journal may have the file
    about   ready for JSON

    Errors: InputError for a file of another search, one that is no journal, one that another search is writing, or a
    place that cannot be written.
    """

    def __init__(self, file: Path | None, about: Mapping[str, Any]) -> None:
        self.file, self.found = file, list[dict[str, Any]]()
        if file is None:
            return
        self._head = json.loads(json.dumps(dict(about)))
        self._begun = False
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._held = file.open("a+b")
        except OSError as error:
            raise InputError(f"cannot keep the steps in {file} ({error.strerror}); name another folder") from None
        try:
            self._lock(file)
            self._read(file, self._head)
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others have the file."""
        if self.file is not None:
            with suppress(OSError):  # What a full disk did not take was told when it was written.
                self._held.close()

    def add(self, step: dict[str, Any]) -> None:
        """Keep a step."""
        if self.file is None:
            return
        if not self._begun:
            self._write(self._head)
            self._begun = True
        self._write(step)

    def _lock(self, file: Path) -> None:
        if sys.platform == "win32":  # Nothing there keeps two searches from one file.
            return
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another search is writing {file}; wait for it, or name another folder") from None
        except OSError:  # A file system without locks.
            return

    def _read(self, file: Path, head: dict[str, Any]) -> None:
        try:
            self._held.seek(0)
            text = self._held.read()
            whole = text[: text.rfind(b"\n") + 1]
            lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
            if any(not isinstance(line, dict) for line in lines):
                raise ValueError("a line is no JSON object")
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is no journal of a search ({reason(error)}); name another folder") from None
        if lines and lines[0] != head:
            old, new = _flat(lines[0]), _flat(head)
            other = [name for name in {**new, **old} if new.get(name) != old.get(name)]
            told = "; ".join(f"{name} {old.get(name)}, not {new.get(name)}" for name in other[:3])
            raise InputError(f"{file} is of a search with {told}; give the same settings, or name another folder")
        self.found, self._begun = lines[1:], bool(lines)
        if whole != text:
            self._held.truncate(len(whole))

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._held.write(json.dumps(line).encode() + b"\n")
            self._held.flush()
            os.fsync(self._held.fileno())
        except OSError as error:
            raise InputError(
                f"cannot write {self.file} ({error.strerror}); make room, or name another folder"
            ) from None


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    """Entries, and those of mappings among them by the names of both."""
    found: dict[str, Any] = {}
    for name, value in about.items():
        inner = value if isinstance(value, Mapping) else None
        found |= {name: value} if inner is None else {f"{name}: {key}": part for key, part in inner.items()}
    return found
