"""What the tests of the Ray executor run on its workers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info


def square(task: Any) -> Any:
    """The square of a number; a word goes wrong in its way."""
    if task == "exit":
        raise SystemExit("told to")
    if task == "die":
        os._exit(3)
    if task == "memory":
        raise MemoryError("too much")
    if task == "wait":
        time.sleep(0.4)
        return 0
    if task == "threads":
        return {pool["num_threads"] for pool in threadpool_info()}, os.environ["OMP_NUM_THREADS"]
    return task * task


def slow(task: tuple[int, str]) -> tuple[int, int]:
    """Leave a line in a file, then take a while."""
    number, folder = task
    with open(Path(folder) / str(os.getpid()), "a", encoding="utf-8") as file:
        file.write(f"{number}\n")
    time.sleep(0.3)
    return number, os.getpid()


def refuse() -> None:
    """An initializer that goes wrong."""
    raise ValueError("not on this node")
