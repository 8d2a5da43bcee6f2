"""Run tasks on a Ray cluster: actors that stay, one a worker, each fed one batch at a time.

The cluster is one of this machine that lives as long as the run, or one that answers at an address. Nothing but tasks
and results travels: who calls holds the store. Tasks are idempotent, so that whatever a lost node or a dead worker was
at is run again on another. Small tasks go in batches of about a second, so that the way there and back costs nothing
beside them; a worker hands back what it does not reach in that time. Each has as many CPUs reserved, and threads fixed,
as `threads` says, before it imports anything numerical: sums, and tables, are those of worker processes bit for bit.
"""

from __future__ import annotations

import gc
import math
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from automl_theory.errors import AutoMLTheoryError, InputError, one_line
from automl_theory.scoring.executors import MAX_ATTEMPTS, THREAD_VARIABLES, Outcome
from automl_theory.scoring.ray_cluster import connected, load_ray, room
from automl_theory.scoring.worker import Unsendable, answer, set_threads

BATCH_SECONDS = 1.0
START_SECONDS = 120.0  # for a first worker to get its place
NODE_SECONDS = 3.0  # until a lost node is known as such


@dataclass
class _Job:
    task: Any
    attempts: int = 0
    nodes: list[str] = field(default_factory=list)  # where workers died of it, or beside it
    alone: bool = False


@dataclass
class _Worker:
    actor: Any
    jobs: list[_Job] = field(default_factory=list)
    node: str = ""
    since: float = 0.0

    @property
    def ready(self) -> bool:
        return bool(self.node)


class Actor:
    """The worker's side; Ray makes it a process on some node."""

    def start(self, threads: int, program: bytes, path: list[str]) -> tuple[str, str]:
        """Set up, with the caller's module `path` too; returns ("ready", the node) or ("unstarted", why)."""
        import ray

        sys.path.extend(place for place in path if place not in sys.path)
        try:
            self.function, initializer, initargs = pickle.loads(program)
            if initializer:
                initializer(*initargs)
            set_threads(threads)
            gc.freeze()
        except BaseException as error:
            return "unstarted", one_line(error)
        return "ready", str(ray.get_runtime_context().get_node_id())

    def run(self, messages: list[bytes]) -> tuple[list[bytes], float]:
        """Answer tasks one after the other until BATCH_SECONDS are over, and tell the seconds they took."""
        start, seconds, answers = time.perf_counter(), 0.0, []
        for message in messages:
            answers.append(answer(self.function, message))
            seconds = time.perf_counter() - start
            if seconds >= BATCH_SECONDS:
                break
        return answers, seconds


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    *,
    workers: int | None,
    threads: int = 1,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    address: str | None = None,
    gpus_per_task: float = 0.0,
) -> Generator[Outcome]:
    """Yield the `Outcome` of `function(task)` for each task as they finish, as `executors.run_tasks` does, on Ray.

    `workers` actors, as far as the cluster has room for them; None: as many as it has room for. Each has `threads` CPUs
    and `gpus_per_task` GPUs (a fraction is a share of one). `address` is HOST:PORT of a running cluster, or "auto" for
    the one of this machine; None starts one here and stops it afterwards. A Ray that the caller has started is used and
    left running. All tasks are read at once.

    Deaths: what a worker held when its node was lost is run again elsewhere, as often as it takes. What it held when it
    died alone is tried again, each task by itself, and one that by itself kills two workers is an outcome with an
    error. Closing the iterator ends all workers.

    Raises MissingExtra without Ray, InputError for an address that does not answer within 5 seconds or a cluster
    without a node that has room for a worker, AutoMLTheoryError if workers cannot start.
    """
    waiting = deque(_Job(task) for task in tasks)
    if not waiting:
        return
    ray = load_ray()
    with connected(ray, address, workers, threads, gpus_per_task):
        most = room(ray, threads, gpus_per_task)
        count = min(most, len(waiting), workers or most)
        pool = _Pool(ray, function, waiting, count, threads, gpus_per_task, initializer, initargs)
        try:
            yield from pool.run()
        finally:
            pool.end()


class _Pool:
    def __init__(
        self,
        ray: Any,
        function: Callable[[Any], Any],
        waiting: deque[_Job],
        count: int,
        threads: int,
        gpus: float,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self.ray, self.waiting, self.count, self.threads = ray, waiting, count, threads
        environment = {"env_vars": dict.fromkeys(THREAD_VARIABLES, str(threads))}
        self.kind = ray.remote(Actor).options(
            num_cpus=threads, num_gpus=gpus, max_restarts=0, max_task_retries=0, runtime_env=environment
        )
        try:
            program = ray.cloudpickle.dumps((function, initializer, initargs))
        except Exception as error:
            raise InputError(
                f"expected a function and arguments that can be sent to workers, but: {one_line(error)}; "
                "use executor='processes' with workers=0"
            ) from error
        self.program = ray.put(program)
        self.pending: dict[Any, _Worker] = {}
        self.failed_starts, self.seconds_a_task = 0, BATCH_SECONDS

    def run(self) -> Generator[Outcome]:
        """Keep workers busy until every task has its outcome."""
        while True:
            while self.waiting and len(self.pending) < self.count:
                self.start()
            if not any(worker.jobs for worker in self.pending.values()) and not self.waiting:
                return
            done, _ = self.ray.wait(list(self.pending), num_returns=1, timeout=1.0)
            for ref in done:
                worker = self.pending.pop(ref)
                yield from self.listen(worker, ref)
            if not done:
                self.check_places()

    def start(self) -> None:
        """Ask for one more worker; it gets its first batch when it says that it is ready."""
        worker = _Worker(self.kind.remote(), since=time.monotonic())
        self.pending[worker.actor.start.remote(self.threads, self.program, sys.path)] = worker

    def check_places(self) -> None:
        """Raise if no worker has got a place for long: another program may hold all of the cluster."""
        late = time.monotonic() - START_SECONDS
        if all(not worker.ready and worker.since < late for worker in self.pending.values()):
            raise AutoMLTheoryError(
                f"no worker got a place in the Ray cluster within {START_SECONDS:.0f} seconds; see what holds its CPUs "
                "and GPUs with: ray status"
            )

    def give(self, worker: _Worker) -> None:
        """Hand the next batch to a worker; or let it go, if there is none."""
        if not self.waiting:
            self.ray.kill(worker.actor)
            return
        worker.jobs = [self.waiting.popleft()]
        fair = math.ceil(len(self.waiting) / (2 * self.count))
        while not worker.jobs[0].alone and len(worker.jobs) < min(fair, BATCH_SECONDS / self.seconds_a_task):
            if self.waiting[0].alone:
                break
            worker.jobs.append(self.waiting.popleft())
        self.pending[worker.actor.run.remote([_message(job.task) for job in worker.jobs])] = worker

    def listen(self, worker: _Worker, ref: Any) -> Generator[Outcome]:
        """Take what a worker says, give it more, and yield what is decided by it."""
        try:
            content = self.ray.get(ref)
        except self.ray.exceptions.RayError as error:
            yield from self.bury(worker, error)
            return
        if not worker.ready:
            kind, said = content
            if kind == "unstarted":
                self.ray.kill(worker.actor)
                raise _start_failure(said)
            worker.node, self.failed_starts = said, 0
            self.give(worker)
            return
        answers, seconds = content
        jobs, worker.jobs = worker.jobs, []
        self.seconds_a_task = max(1e-4, 0.5 * self.seconds_a_task + 0.5 * seconds / len(answers))
        self.waiting.extendleft(reversed(jobs[len(answers) :]))
        outcomes, short = [], False
        for job, message in zip(jobs, answers, strict=False):
            outcome = _outcome(job, message)
            if outcome is None:
                short = True
                job.alone = True
                self.waiting.append(job)
            else:
                outcomes.append(outcome)
        if short:
            self.ray.kill(worker.actor)
        else:
            self.give(worker)
        yield from outcomes

    def bury(self, worker: _Worker, error: Exception) -> Generator[Outcome]:
        """Deal with a dead worker: its jobs are tried again, one by one; of a lost node they are not to blame."""
        jobs, worker.jobs = worker.jobs, []
        self.ray.kill(worker.actor)
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts > MAX_ATTEMPTS and not any(other.ready for other in self.pending.values()):
                raise _start_failure(f"it died before its first task ({one_line(error)})")
            return
        alone = len(jobs) == 1
        for job in jobs:
            job.alone = True
            if alone:
                job.nodes.append(worker.node)
            if len(job.nodes) >= MAX_ATTEMPTS:
                time.sleep(NODE_SECONDS)
                living = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
                job.nodes = [node for node in job.nodes if node in living]
            job.attempts = len(job.nodes)
            if job.attempts >= MAX_ATTEMPTS:
                yield Outcome(job.task, None, "worker died twice (out of memory?)", job.attempts)
            else:
                self.waiting.appendleft(job)

    def end(self) -> None:
        """End every worker at once."""
        for worker in self.pending.values():
            self.ray.kill(worker.actor)


def _message(task: Any) -> bytes:
    try:
        return pickle.dumps(task)
    except Exception as error:
        return pickle.dumps(Unsendable(one_line(error)))


def _outcome(job: _Job, message: bytes) -> Outcome | None:
    """What became of a job; None if it ran out of memory for the first time."""
    try:
        kind, content = pickle.loads(message)
    except Exception as error:
        kind, content = "error", f"the result cannot be read: {one_line(error)}"
    job.attempts += 1
    if kind == "memory" and job.attempts < MAX_ATTEMPTS:
        return None
    return Outcome(job.task, content if kind == "done" else None, None if kind == "done" else content, job.attempts)


def _start_failure(why: str) -> AutoMLTheoryError:
    return AutoMLTheoryError(
        f"expected a worker to start on the Ray cluster, but {why}; every node needs the versions of this machine, and "
        "executor='processes' with workers=0 shows it here"
    )
