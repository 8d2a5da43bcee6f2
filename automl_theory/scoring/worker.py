"""The worker's side of `executors`: start, answer one task at a time, leave with the parent."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from automl_theory.errors import is_memory, one_line


@dataclass
class Unsendable:
    """Sent in the place of a task that cannot be pickled."""

    reason: str


def work(pipe: Connection) -> None:
    """Be a worker: say "here", take the program, start, say "ready", then answer each task.

    The program is (function, threads, initializer, its arguments), pickled. Where the worker cannot start, it says
    "memory" or "unstarted", and why. It ends with the pipe or the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        pipe.send(("here", None))
        program = pipe.recv_bytes()
        try:
            function, threads, initializer, initargs = _read(program)
            if initializer:
                initializer(*initargs)
            set_threads(threads)
            gc.freeze()  # what is loaded stays: the collector need not look through it, 4 % of a run's time
        except BaseException as error:
            pipe.send(("memory" if is_memory(error) else "unstarted", one_line(error)))
            return
        del program, initargs
        pipe.send(("ready", None))
        while True:
            pipe.send_bytes(answer(function, pipe.recv_bytes()))


def _read(program: bytes) -> Any:
    try:
        return pickle.loads(program)
    except (AttributeError, ImportError) as error:
        raise ImportError(f"{error}; what workers run has to be in a module or in a script's file") from error


def answer(function: Callable[[Any], Any], message: bytes) -> bytes:
    """Run one pickled task; returns the pickled ("done", result), or ("memory" or "error", why)."""
    try:
        task = pickle.loads(message)
        if isinstance(task, Unsendable):
            return pickle.dumps(("error", f"the task cannot be sent: {task.reason}"))
        return pickle.dumps(("done", function(task)))
    except BaseException as error:
        return pickle.dumps(("memory" if is_memory(error) else "error", one_line(error)))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)


def set_threads(threads: int) -> None:
    """Fix torch's threads, if it is loaded; the environment variables do it where it is loaded later."""
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(threads)
