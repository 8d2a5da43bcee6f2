"""Progress with rate and time left: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

Report = Callable[[int, int, int], None]

EVERY_SECONDS = 10.0
PATIENCE_SECONDS = 2.0


def duration(seconds: float) -> str:
    """A time in words: "42 s", "3 min 05 s", "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def speed(rate: float) -> str:
    """A rate in words, three figures: "3.52/s", or "9.3/min" where it is below one in two seconds."""
    return f"{rate:.3g}/s" if rate >= 0.5 else f"{60 * rate:.3g}/min"


class ProgressLine:
    """Callable with (finished, total, failed); a context manager that leaves a last line behind.

    A total of 0 is one that nobody knows, as where time ends the run: then neither it nor the time left is shown.
    What was finished at the first call came from an earlier run, and counts neither for the rate nor for the time left.
    The rate is measured from the first result on, so that the start of worker processes does not count. On a terminal
    it is a bar, which appears after `patience` seconds; elsewhere a line every ten seconds. A run that is shorter than
    `patience` shows nothing; one that ends in an exception leaves no last line.
    """

    def __init__(self, console: Console, what: str, patience: float = 0.0) -> None:
        self.console, self.what, self.patience = console, what, patience
        self.start = self.last = time.monotonic()
        self.state = (0, 0, 0)
        self.before = 0
        self._first: tuple[int, float] | None = None
        self._called = False
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> ProgressLine:
        if not self.patience:
            self._show()
        return self

    def __call__(self, finished: int, total: int, failed: int) -> None:
        """Tell how far it is."""
        now = time.monotonic()
        if not self._called:
            self._called, self.before = True, finished
        elif self._first is None and finished > self.before:
            self._first = (finished, now)
        self.state = (finished, total, failed)
        if self._bar is None and now - self.start >= self.patience:
            self._show()
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, total=total or None, rest=self._rest())
        elif now - self.last > EVERY_SECONDS:
            self.last = now
            self.console.print(f"{self.what}: {self._count()}, {self._rest()}", highlight=False, soft_wrap=True)

    def _show(self) -> None:
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(max(5, min(40, self.console.width - 70))),
                MofNCompleteColumn(),
            )
            self._bar = Progress(*columns, TextColumn("{task.fields[rest]}"), console=self.console, transient=True)
            self._task = self._bar.add_task(self.what, total=None, rest="starting")
            self._bar.start()

    def _count(self) -> str:
        finished, total, _ = self.state
        return f"{finished}/{total}" if total else str(finished)

    def _rest(self) -> str:
        finished, total, failed = self.state
        failures = f", {failed} failed" if failed else ""
        if self._first is None or finished == self._first[0]:
            return "starting" + failures
        rate = (finished - self._first[0]) / max(time.monotonic() - self._first[1], 1e-9)
        left = f", {duration((total - finished) / rate)} left" if total else ""
        return f"{speed(rate)}{left}{failures}"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        finished, _, failed = self.state
        seconds, fresh = time.monotonic() - self.start, finished - self.before
        if kind is None and fresh and seconds >= self.patience:
            earlier = f", {self.before} of them before" if self.before else ""
            failures = f", {failed} failed" if failed else ""
            took = f"in {duration(seconds)} ({speed(fresh / max(seconds, 1e-9))})"
            self.console.print(
                f"{self.what}: {self._count()} {took}{earlier}{failures}", highlight=False, soft_wrap=True
            )


def reporting(progress: bool | Report | None, what: str) -> AbstractContextManager[Report]:
    """What a long run calls with (finished, total, failed), as its caller asked.

    A function is taken as it is; True shows a `ProgressLine` on stderr, False nothing; None shows one to somebody who
    is there to see it, on a terminal or in a notebook, if the run takes over two seconds.
    """
    if callable(progress):
        return nullcontext(progress)
    console = Console(stderr=True, force_jupyter=False)
    if progress or (progress is None and (console.is_terminal or "ipykernel" in sys.modules)):
        return ProgressLine(console, what, 0.0 if progress else PATIENCE_SECONDS)
    return nullcontext(lambda finished, total, failed: None)
