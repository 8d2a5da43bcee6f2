"""Long work cut into pieces, each stored in a file of its own as soon as it is done, so that a killed run goes on.

A folder of pieces holds `about.json`, which says of what run they are, and `piece-0000.npz`, ...: arrays, no code. A
file is whole or absent (`folder.write_whole`). The cut depends on nothing but the work: results do not depend on the
number of workers or on interruptions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.probing.allocator import keep_freed_memory
from automl_theory.progress import Report
from automl_theory.scoring.executors import run_tasks
from automl_theory.studies.folder import load_arrays, save_arrays, write_whole

Arrays = dict[str, NDArray[Any]]


def run_pieces(
    function: Callable[[Any], Arrays],
    tasks: Sequence[Any],
    sizes: Sequence[int],
    folder: Path,
    about: dict[str, Any],
    *,
    workers: int,
    progress: Report | None = None,
) -> list[Arrays]:
    """Return `function(task)` of every task, in their order: read from `folder` where done before, else run and stored.

    function, tasks   as `scoring.executors.run_tasks` takes them
    workers           processes of one thread each; 1: this process itself does the work, on one thread
    sizes             of each task, how much work it is: large ones start first, and `progress` counts them
    about             what decides the results, ready for JSON
    progress          called with (finished, total, failed), in units of `sizes`

    A stored piece that cannot be read is run again. Errors: InputError if the folder is of another `about`, or cannot
    be written; AutoMLTheoryError with the first reason if a task failed, when all others are done and stored.
    """
    _open(folder, about)
    files = [folder / f"piece-{number:04d}.npz" for number in range(len(tasks))]
    found = [_read(file) for file in files]
    failures: list[str] = []
    total, failed = sum(sizes), 0
    finished = sum(size for size, piece in zip(sizes, found, strict=True) if piece is not None)
    missing = [number for number, piece in enumerate(found) if piece is None]
    missing.sort(key=lambda number: -sizes[number])
    if progress:
        progress(finished, total, failed)
    numbered = [(number, function, tasks[number]) for number in missing]
    for outcome in run_tasks(_numbered, numbered, workers=workers if workers > 1 else 0, initializer=keep_freed_memory):
        number = outcome.task[0]
        if outcome.error:
            failures.append(f"piece {number}: {outcome.error}")
            failed += sizes[number]
        else:
            found[number] = outcome.result
            save_arrays(files[number], outcome.result)
            finished += sizes[number]
        if progress:
            progress(finished, total, failed)
    if failures:
        raise AutoMLTheoryError(
            f"{len(failures)} of {len(tasks)} pieces failed, first {failures[0]}; what is done is in {folder}, "
            "run again to try the rest"
        )
    return [piece for piece in found if piece is not None]


def _numbered(task: tuple[int, Callable[[Any], Arrays], Any]) -> Arrays:
    return task[1](task[2])


def _open(folder: Path, about: dict[str, Any]) -> None:
    """Make the folder and say in it of what run it is, or see that it says so already."""
    note = folder / "about.json"
    wanted = json.loads(json.dumps(about))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if note.exists():
            known = json.loads(note.read_text(encoding="utf-8"))
            other = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
            if other:
                raise InputError(
                    f"expected {folder} to be of this run, but it is of one with another {', '.join(other)}; "
                    "give another folder, or remove this one"
                )
            return
        if any(folder.glob("piece-*.npz")):
            raise InputError(f"expected about.json beside the pieces in {folder}; give another folder, or remove it")
        write_whole(note, lambda draft: draft.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8"))
    except InputError:
        raise
    except (OSError, ValueError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"expected a folder to write to, but {folder} is none ({reason}); give another") from error


def _read(file: Path) -> Arrays | None:
    """The arrays of a piece; None where it is absent or damaged."""
    with suppress(Exception):  # A damaged archive raises whatever its decoder meets.
        return load_arrays(file)
    return None
