"""Run tasks in worker processes of this machine, one task at a time each, so that a death is attributable to its task.

Workers are spawned, not forked (forking after torch has started its threads can hang), and each has a pipe of its own:
the parent hands out a task, waits for whichever answers first, hands out the next. The number of threads is fixed
before torch is imported in the worker, since sums depend on it in their last bits. Workers ignore Ctrl-C, which the
parent handles, and end when it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from threadpoolctl import threadpool_limits

from automl_theory.counts import whole
from automl_theory.errors import AutoMLTheoryError, InputError, is_memory, one_line
from automl_theory.scoring.worker import Unsendable, set_threads, work

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MAX_ATTEMPTS = 2
POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """What became of one task: its result, or in one line why there is none, and how often it was tried."""

    task: Any
    result: Any
    error: str | None
    attempts: int


@dataclass
class _Job:
    task: Any
    attempts: int = 0
    deaths: list[str] = field(default_factory=list)


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    job: _Job | None
    ready: bool = False


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    *,
    workers: int,
    threads: int = 1,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Generator[Outcome]:
    """Yield the `Outcome` of `function(task)` for each task, as they finish.

    `workers` processes with `threads` threads each; 0 runs in this process, one task after the other. `tasks` is
    consumed as workers get free. `initializer(*initargs)` runs once in each worker before its first task; what it
    leaves in a module's globals is there for `function`. Both must be importable (module level), and tasks and results
    picklable.

    An exception of `function`, `SystemExit` too, is an outcome with its type and first line; `MemoryError` and the
    death of the worker cost one retry first, in a fresh worker. An initializer that raises ends the run with
    `AutoMLTheoryError`, and so does it where no worker can start; where some die or have no memory as they start, the
    others do all. Closing the iterator early, or an exception such as
    `KeyboardInterrupt`, ends all workers at once.
    """
    whole("workers, the number of processes,", workers, 0)
    whole("threads of each worker", threads)
    if workers == 0:
        return _run_here(function, tasks, threads, initializer, initargs)
    return _Pool(function, workers, threads, initializer, initargs).run(tasks)


def _run_here(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    threads: int,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> Generator[Outcome]:
    try:
        if initializer:
            initializer(*initargs)
    except Exception as error:
        raise AutoMLTheoryError(f"expected to start, but {one_line(error)}") from error
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    set_threads(threads)
    blas = threadpool_limits(threads, user_api="blas")
    try:
        for task in tasks:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                try:
                    outcome = Outcome(task, function(task), None, attempt)
                    break
                except (Exception, SystemExit) as error:
                    outcome = Outcome(task, None, one_line(error), attempt)
                    if not is_memory(error):
                        break
            yield outcome
    finally:
        blas.restore_original_limits()
        if torch:
            torch.set_num_threads(before)


class _Pool:
    def __init__(
        self,
        function: Callable[[Any], Any],
        workers: int,
        threads: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self.count, self.threads = workers, threads
        self.parts = (function, threads, initializer, initargs)
        self.workers: list[_Worker] = []
        self.again: deque[_Job] = deque()
        self.failed_starts = 0

    def run(self, tasks: Iterable[Any]) -> Generator[Outcome]:
        """Hand out tasks, yield outcomes, and leave no process behind."""
        queue = iter(tasks)
        clean = False
        try:
            while True:
                self.hand_out(queue)
                busy = [worker for worker in self.workers if worker.job]
                if not busy:
                    break
                awake = set(wait([handle for w in busy for handle in (w.pipe, w.process.sentinel)], POLL_SECONDS))
                for worker in busy:
                    if worker.pipe in awake or not worker.process.is_alive():
                        outcome = self.listen(worker)
                        self.hand_out(queue)
                        if outcome:
                            yield outcome
            clean = True
        finally:
            for worker in self.workers:
                self.end(worker, clean)

    def hand_out(self, queue: Iterator[Any]) -> None:
        """Give each idle worker a job, then start workers, as long as there are jobs."""
        for worker in self.workers:
            if not worker.job and (job := self.next(queue)):
                self.give(worker, job)
        while len(self.workers) < self.count and (job := self.next(queue)):
            self.start(job)

    def next(self, queue: Iterator[Any]) -> _Job | None:
        """Return the next job: one to be retried, or a new one."""
        if self.again:
            return self.again.popleft()
        for task in queue:
            return _Job(task)
        return None

    @cached_property
    def program(self) -> bytes:
        """What a worker needs to know before its first task, pickled once for all."""
        try:
            return pickle.dumps(self.parts)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"expected a function and arguments that can be sent to workers, but: {one_line(error)}; "
                "define functions at the top of a module (no lambda), or use workers=0"
            ) from error

    def start(self, job: _Job) -> None:
        """Start a worker meant for `job`, which is sent once it is ready.

        The program is not an argument of the process: what is larger than the buffer of multiprocessing's own pipe
        would be waited for in vain where the worker dies before it reads, as with a script without a guard.
        """
        _ = self.program  # what cannot be sent is told before there is a process
        context = multiprocessing.get_context("spawn")
        try:
            pipe, far = context.Pipe()
        except OSError as error:
            self.do_without(job, error)
            return
        process = context.Process(target=work, args=(far,), daemon=True)
        try:
            with _environment(self.threads), _main_of_no_file_hidden():
                process.start()
        except OSError as error:
            pipe.close()
            self.do_without(job, error)
            return
        finally:
            far.close()
        self.workers.append(_Worker(process, pipe, job))

    def do_without(self, job: _Job, error: OSError) -> None:
        """Keep to the workers that there are, where the system gives no more processes or files."""
        if not self.workers:
            raise _start_failure(one_line(error)) from error
        self.count = len(self.workers)
        self.again.append(job)

    def give(self, worker: _Worker, job: _Job) -> None:
        """Assign a job; a worker that is not ready gets it when it says so."""
        worker.job = job
        if not worker.ready:
            return
        try:
            message = pickle.dumps(job.task)
        except Exception as error:
            message = pickle.dumps(Unsendable(one_line(error)))
        with suppress(OSError):
            worker.pipe.send_bytes(message)

    def listen(self, worker: _Worker) -> Outcome | None:
        """Take what a worker says, or notice that it died; returns the outcome of its job if that is decided."""
        job = worker.job
        assert job
        try:
            if not worker.pipe.poll():
                return self.bury(worker, job) if not worker.process.is_alive() else None
            message = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            return self.bury(worker, job)
        try:
            kind, content = pickle.loads(message)
        except Exception as error:
            kind, content = "error", f"the result cannot be read: {one_line(error)}"
        if kind == "here":
            with suppress(OSError):
                worker.pipe.send_bytes(self.program)
            return None
        if kind == "ready":
            self.failed_starts, worker.ready = 0, True
            self.give(worker, job)
            return None
        if kind == "unstarted":
            raise _start_failure(content)
        if kind == "memory" and not worker.ready:
            self.lose(worker, job, content, True)
            return None
        worker.job = None
        job.attempts += 1
        if kind == "memory" and job.attempts < MAX_ATTEMPTS:
            self.remove(worker)
            self.again.append(job)
            return None
        return Outcome(job.task, content if kind == "done" else None, None if kind == "done" else content, job.attempts)

    def bury(self, worker: _Worker, job: _Job) -> Outcome | None:
        """Deal with a dead worker: its job is tried again once, then given up."""
        worker.process.join(5)
        code = worker.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        how += " (out of memory?)" if code == -signal.SIGKILL else ""
        if not worker.ready:
            killed = code is not None and code < 0
            guard = "" if killed else "; guard a script's code with if __name__ == '__main__'"
            self.lose(worker, job, f"it died with {how} before its first task{guard}", killed)
            return None
        self.remove(worker)
        job.attempts += 1
        job.deaths.append(how)
        if job.attempts < MAX_ATTEMPTS:
            self.again.append(job)
            return None
        text = f"{how} twice" if job.deaths == [how, how] else ", then ".join(job.deaths)
        return Outcome(job.task, None, f"worker died with {text}", job.attempts)

    def lose(self, worker: _Worker, job: _Job, why: str, perhaps_later: bool) -> None:
        """Deal with a worker that could not start, which is not the fault of the job that was meant for it.

        Where no other is at work or still starting, the run ends, unless a second try may help. Else a second such loss
        in a row means that there is room for no more workers than there are.
        """
        self.remove(worker)
        self.failed_starts += 1
        if not self.workers and (self.failed_starts >= MAX_ATTEMPTS or not perhaps_later):
            raise _start_failure(why)
        if self.workers and self.failed_starts >= MAX_ATTEMPTS:
            self.count, self.failed_starts = len(self.workers), 0
        self.again.append(job)

    def remove(self, worker: _Worker) -> None:
        """Take a worker out; `run` starts another if there is work for it."""
        self.workers.remove(worker)
        self.end(worker, False)

    def end(self, worker: _Worker, clean: bool) -> None:
        """End a process, by closing its pipe if it is idle, and collect it."""
        worker.pipe.close()
        if not clean:
            worker.process.terminate()
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Set the thread variables for a child, and keep Ctrl-C from it until it can ignore it itself."""
    before = {key: os.environ.get(key) for key in THREAD_VARIABLES}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]) if hasattr(signal, "pthread_sigmask") else None
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _main_of_no_file_hidden() -> Iterator[None]:
    """Start a child without the main module where that is no file, as in `python - < script`: it would look for one."""
    main = sys.modules["__main__"]
    name = getattr(main, "__file__", None)
    if name is None or os.path.exists(name):
        yield
        return
    main.__file__ = None
    try:
        yield
    finally:
        main.__file__ = name


def _start_failure(reason: str) -> AutoMLTheoryError:
    return AutoMLTheoryError(f"expected a worker to start, but {reason}; try workers=0 to see it here")
