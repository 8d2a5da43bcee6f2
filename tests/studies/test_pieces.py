"""Pieces of work on disk: what a killed run leaves, what is refused, what is made anew."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.studies.pieces import Arrays, run_pieces

TASKS = (3, 1, 4, 1, 5)

SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from automl_theory.studies.pieces import run_pieces

def square(task):
    time.sleep(0.5)
    return {"square": np.array([task**2])}

if __name__ == "__main__":
    run_pieces(square, (3, 1, 4, 1, 5), (1,) * 5, Path(sys.argv[1]), {"of": "squares"}, workers=1)
"""


def square(task: int) -> Arrays:
    return {"square": np.array([task**2]), "words": np.array(["ok"])}


def odd_fails(task: int) -> Arrays:
    if task % 2:
        raise ValueError(f"{task} is odd")
    return square(task)


def squares(folder: Path, about: dict[str, Any] | None = None, **settings: Any) -> list[int]:
    found = run_pieces(square, TASKS, TASKS, folder, about or {"of": "squares"}, **{"workers": 1, **settings})
    return [int(piece["square"][0]) for piece in found]


def test_results_come_in_the_order_of_the_tasks_and_are_stored(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []
    assert squares(tmp_path / "new" / "folder", progress=lambda *told: calls.append(told)) == [9, 1, 16, 1, 25]
    assert calls == [(0, 14, 0), (5, 14, 0), (9, 14, 0), (12, 14, 0), (13, 14, 0), (14, 14, 0)], "large ones first"
    assert len([*(tmp_path / "new" / "folder").glob("piece-*.npz")]) == 5
    assert not [*tmp_path.rglob("*.part")]


def test_workers_give_the_same(tmp_path: Path) -> None:
    assert squares(tmp_path / "two", workers=2) == squares(tmp_path / "one")


def test_what_is_stored_is_not_done_again(tmp_path: Path) -> None:
    squares(tmp_path)
    np.savez(tmp_path / "piece-0002.npz", square=np.array([-1]))
    (tmp_path / "piece-0004.npz").write_bytes(b"half a file")
    (tmp_path / "piece-0000.npz").unlink()
    calls: list[tuple[int, int, int]] = []
    assert squares(tmp_path, progress=lambda *told: calls.append(told)) == [9, 1, -1, 1, 25]
    assert calls[0] == (6, 14, 0)
    assert len(calls) == 3


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    script, folder = tmp_path / "script.py", tmp_path / "pieces"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script), str(folder)])
    limit = time.monotonic() + 120
    while len([*folder.glob("piece-*.npz")]) < 2:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in folder.glob("piece-*.npz")}
    assert 2 <= len(kept) < 5
    assert squares(folder) == [9, 1, 16, 1, 25]
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    squares(tmp_path, {"of": "squares", "width": 64})
    with pytest.raises(
        InputError, match=r"^expected .* to be of this run, but it is of one with another width; give another folder"
    ):
        squares(tmp_path, {"of": "squares", "width": 32})
    with pytest.raises(InputError, match="another sort, width"):
        squares(tmp_path, {"of": "squares", "sort": 1})
    assert squares(tmp_path, {"of": "squares", "width": 64}) == [9, 1, 16, 1, 25]
    (tmp_path / "about.json").unlink()
    with pytest.raises(InputError, match=r"expected about.json beside the pieces in .*; give another folder"):
        squares(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"expected a folder to write to, but .* is none .*; give another"):
        squares(tmp_path / "file" / "folder")
    squares(tmp_path / "good")
    for broken in ("{", "[]"):
        (tmp_path / "good" / "about.json").write_text(broken)
        with pytest.raises(InputError, match="expected a folder to write to"):
            squares(tmp_path / "good")


def test_a_failed_task_is_told_after_the_others(tmp_path: Path) -> None:
    calls: list[tuple[int, int, int]] = []
    with pytest.raises(AutoMLTheoryError, match=r"4 of 5 pieces failed, first piece 4: ValueError: 5 is odd; .* again"):
        run_pieces(odd_fails, TASKS, TASKS, tmp_path, {"of": "squares"}, workers=1, progress=lambda *t: calls.append(t))
    assert calls[-1] == (4, 14, 10)
    assert squares(tmp_path) == [9, 1, 16, 1, 25]


def test_a_damaged_piece_is_run_again(tmp_path: Path) -> None:
    whole = run_pieces(square, TASKS, (1,) * 5, tmp_path, {"of": "squares"}, workers=1)
    for number, piece in enumerate(sorted(tmp_path.glob("piece-*.npz"))):
        held = bytearray(piece.read_bytes())
        start = len(held) // (number + 2)
        held[start : start + 40] = bytes(byte ^ 0xFF for byte in held[start : start + 40])
        piece.write_bytes(held)
    again = run_pieces(square, TASKS, (1,) * 5, tmp_path, {"of": "squares"}, workers=1)
    for one, other in zip(whole, again, strict=True):
        assert one["square"] == other["square"]


def test_a_piece_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    run_pieces(square, TASKS, (1,) * 5, tmp_path, {"of": "squares"}, workers=1)
    (tmp_path / "piece-0002.npz").unlink()
    (tmp_path / "piece-0002.npz").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*piece-0002.npz .*make room, or name another folder"):
        run_pieces(square, TASKS, (1,) * 5, tmp_path, {"of": "squares"}, workers=1)
    assert not list(tmp_path.glob(".*.part"))
