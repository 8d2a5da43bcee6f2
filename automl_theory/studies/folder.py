"""A run's folder: what it is a run of, and its finished tables, each of which appears whole or not at all.

    run.json   settings, data and versions that decide the numbers; a folder of other ones is refused
    *.csv      tables, exact to the last bit
    *.npz      arrays

What is there is finished and is read instead of made again: so a run that was killed goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.errors import InputError, reason

ABOUT = "run.json"
WORDS = ("arch", "canonical", "network", "group", "status")

Arrays = dict[str, Any]


def open_folder(folder: Path, about: Mapping[str, Any]) -> Path:
    """Make `folder` for a run described by `about` (ready for JSON), or find that it is one of that very run.

    Errors: InputError if it is no folder, cannot be written, holds something else, or a run of another description.
    """
    remedy = "name another folder with --run (folder=)"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / ABOUT
        if file.exists():
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it holds no JSON object")
            _compare(folder, found, about, remedy)
        elif any(not _is_draft(inside) for inside in folder.iterdir()):
            raise InputError(f"{folder} holds other files, and is no run of this study; {remedy}")
        else:
            write_whole(file, lambda draft: draft.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8"))
        draft = folder / f".writable.{os.getpid()}"
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise InputError(f"cannot use {folder} for a run ({error.strerror}); {remedy}") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{folder / ABOUT} cannot be read ({reason(error)}); {remedy}") from None
    return folder


def _is_draft(file: Path) -> bool:
    """Whether a killed run left this of its first file."""
    return file.name.startswith(f".{ABOUT}.") and file.name.endswith(".part")


def _compare(folder: Path, found: Mapping[str, Any], about: Mapping[str, Any], remedy: str) -> None:
    there, here = _flat(found), _flat(json.loads(json.dumps(about)))
    names = (*here, *sorted(set(there) - set(here)))
    other = [name for name in names if there.get(name) != here.get(name)]
    if other:
        told = "; ".join(f"{name[1]} {_short(there.get(name))}, not {_short(here.get(name))}" for name in other[:3])
        raise InputError(f"{folder} is a run with {told}; give the same settings to go on with it, or {remedy}")


def _flat(about: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """(section, name) → value; a value that is in no section has an empty one."""
    found: dict[tuple[str, str], Any] = {}
    for name, value in about.items():
        inside = {(name, k): v for k, v in value.items()} if isinstance(value, Mapping) else {("", name): value}
        found.update(inside)
    return found


def _short(value: Any) -> str:
    told = "nothing" if value is None else json.dumps(value)
    return told if len(told) <= 40 else f"{told[:37]}…"


def table(file: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The table of a file, made and written first if it is not there; what comes back is what the file says.

    Errors: InputError if the file is there and cannot be read, or cannot be written.
    """
    if not file.exists():
        made = make()
        write_whole(file, lambda draft: made.to_csv(draft, index=False, float_format="%.17g"))
    try:
        # Only an empty field is a missing value.
        fields = pd.read_csv(file, dtype="str", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    return pd.DataFrame({name: fields[name] if name in WORDS else _values(fields[name]) for name in fields})


def _values(fields: pd.Series) -> Any:
    """Booleans, integers or floats, where all fields are such; every version of Python reads a float bit for bit."""
    told = fields.tolist()
    if set(told) <= {"True", "False"}:
        return [field == "True" for field in told]
    for kind in (int, float) if not any("_" in field for field in told) else ():
        with suppress(ValueError):
            return [kind(field if field or kind is int else "nan") for field in told]
    return fields


def arrays(file: Path, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of a file, made and written first if it is not there. Errors: as `table`."""
    if not file.exists():
        made = make()
        save_arrays(file, made)
    try:
        return load_arrays(file)
    except Exception as error:  # A damaged archive raises whatever its decoder meets.
        raise _unreadable(file, error) from None


def load_arrays(file: Path) -> Arrays:
    """The arrays of a file; a damaged one raises whatever its decoder meets. No pickled code is run."""
    with np.load(file, allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def save_arrays(file: Path, made: Mapping[str, Any]) -> None:
    """Write arrays, whole or not at all. Errors: as `write_whole`."""

    def save(draft: Path) -> None:
        with draft.open("wb") as held:
            np.savez_compressed(held, **made)

    write_whole(file, save)


def numbers(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The JSON object of a file, made and written first if it is not there. Errors: as `table`."""
    if not file.exists():
        made = make()
        write_whole(file, lambda draft: draft.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8"))
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    return found


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Write a draft beside `file`, flush it to the disk and move it there in one step, after a power cut too.

    Errors: InputError if that is not possible.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        write(draft)
        with draft.open("rb") as held:
            os.fsync(held.fileno())
        os.replace(draft, file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"cannot write {file} ({error.strerror}); make room, or name another folder") from None


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(f"{file} cannot be read ({reason(error)}); remove it, and it is made again")
