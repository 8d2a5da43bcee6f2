"""A progress line with rate and time left, on a terminal as a bar, elsewhere as a line now and then."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

EVERY_SECONDS = 10.0


def duration(seconds: float) -> str:
    """A time in words: "42 s", "3 min 05 s", "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class ProgressLine:
    """Callable with (finished, total, failed); a context manager that leaves a last line behind."""

    def __init__(self, console: Console, what: str) -> None:
        self.console, self.what = console, what
        self.start = self.last = time.monotonic()
        self.state = (0, 0, 0)
        self._bar: Progress | None = None

    def __enter__(self) -> ProgressLine:
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[rest]}"), console=self.console, transient=True)
            self._task = self._bar.add_task(self.what, total=None, rest="")
            self._bar.start()
        return self

    def __call__(self, finished: int, total: int, failed: int) -> None:
        """Tell how far it is."""
        self.state = (finished, total, failed)
        if finished == 0:
            self.start = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, total=total, rest=self._rest())
        elif time.monotonic() - self.last > EVERY_SECONDS:
            self.last = time.monotonic()
            self.console.print(f"{self.what}: {finished}/{total}, {self._rest()}", highlight=False)

    def _rest(self) -> str:
        finished, total, failed = self.state
        seconds = time.monotonic() - self.start
        if not finished or seconds <= 0:
            return "starting workers"
        rate = finished / seconds
        failures = f", {failed} failed" if failed else ""
        return f"{rate:.2f}/s, {duration((total - finished) / rate)} left{failures}"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        finished, total, failed = self.state
        if finished:
            seconds = time.monotonic() - self.start
            failures = f", {failed} failed" if failed else ""
            done = f"{self.what}: {finished}/{total} in {duration(seconds)} ({finished / max(seconds, 1e-9):.2f}/s)"
            self.console.print(done + failures, highlight=False)
