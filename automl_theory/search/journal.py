"""The steps of a search in a file, a line each, written as they happen: a search that was killed goes on from it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from automl_theory.errors import InputError, reason


class Journal:
    """Steps of one search: `found` those of the file, `add` for the next; without a file nothing is kept.

    file    JSON lines, the first being `about`: what decides the steps. A line that a killed process left unfinished is
            dropped
    about   ready for JSON

    Errors: InputError for a file of another search, one that is no journal, or a place that cannot be written.
    """

    def __init__(self, file: Path | None, about: Mapping[str, Any]) -> None:
        self.file, self.found = file, list[dict[str, Any]]()
        if file is None:
            return
        head = json.loads(json.dumps(dict(about)))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            lines = [json.loads(line) for line in whole.splitlines()]
            if any(not isinstance(line, dict) for line in lines):
                raise ValueError("a line is no JSON object")
        except (OSError, ValueError) as error:
            raise InputError(f"{file} is no journal of a search ({reason(error)}); name another folder") from None
        if lines and lines[0] != head:
            other = [name for name in {**head, **lines[0]} if head.get(name) != lines[0].get(name)]
            told = "; ".join(f"{name} {lines[0].get(name)}, not {head.get(name)}" for name in other[:3])
            raise InputError(f"{file} is of a search with {told}; give the same settings, or name another folder")
        self.found = lines[1:]
        if whole != text:
            self._write(whole, "w")
        if not lines:
            self._write(json.dumps(head) + "\n", "w")

    def add(self, step: dict[str, Any]) -> None:
        """Keep a step."""
        if self.file is not None:
            self._write(json.dumps(step) + "\n", "a")

    def _write(self, text: str, mode: str) -> None:
        assert self.file is not None
        try:
            with self.file.open(mode, encoding="utf-8") as held:
                held.write(text)
                held.flush()
                os.fsync(held.fileno())
        except OSError as error:
            raise InputError(
                f"cannot write {self.file} ({error.strerror}); make room, or name another folder"
            ) from None
