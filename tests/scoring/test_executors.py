from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.scoring.executors import Outcome, run_tasks

STATE: dict[str, Any] = {}


def prepare(value: int) -> None:
    STATE["value"] = value
    STATE["pid"] = os.getpid()


def broken_prepare() -> None:
    raise RuntimeError("no such network\nsecond line")


def dying_prepare() -> None:
    os._exit(3)


def first_alone(lock: str, how: str, seconds: float) -> None:
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        time.sleep(seconds)
    except FileExistsError:
        if how == "memory":
            raise MemoryError("no room for another") from None
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL)


def no_memory() -> None:
    raise MemoryError("no room at all")


def slow_square(task: int) -> int:
    time.sleep(0.05)
    return task * task


def square(task: int) -> int:
    return task * task + int(STATE.get("value", 0))


def misbehave(task: tuple[str, Any]) -> Any:
    kind, argument = task
    if kind == "raise":
        raise ValueError("bad cell\nmore")
    if kind == "exit":
        sys.exit(4)
    if kind == "die":
        os._exit(7)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind in ("kill once", "memory once"):
        if not Path(argument).exists():
            Path(argument).touch()
            if kind == "memory once":
                raise MemoryError("alloc")
            os.kill(os.getpid(), signal.SIGKILL)
        return "second time"
    if kind == "memory":
        raise MemoryError
    if kind == "lambda":
        return lambda: 0
    if kind == "big":
        return bytes(argument)
    if kind == "threads":
        import torch

        return os.environ["OMP_NUM_THREADS"], torch.get_num_threads()
    if kind == "sleep":
        time.sleep(argument)
    return os.getpid()


def children() -> list[psutil.Process]:
    """The workers of this process: the resource tracker of multiprocessing, which it may have started, aside."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "resource_tracker" not in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert children() == []


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_and_state_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    outcomes = list(run_tasks(square, iter(range(9)), workers=workers, initializer=prepare, initargs=(5,)))
    STATE.clear()
    assert sorted(o.task for o in outcomes) == list(range(9))
    assert all(o == Outcome(o.task, o.task**2 + 5, None, 1) for o in outcomes)


def test_no_tasks_start_no_worker() -> None:
    assert list(run_tasks(square, [], workers=2, initializer=broken_prepare)) == []


def test_everything_that_can_go_wrong_with_one_task(tmp_path: Path) -> None:
    tasks = [
        ("raise", 0), ("exit", 0), ("die", 0), ("kill", 0), ("kill once", str(tmp_path / "k")),
        ("memory once", str(tmp_path / "m")), ("memory", 0), ("lambda", 0), ("big", 3_000_000), ("fine", 0),
        ("unsendable", lambda: 0),
    ]  # fmt: skip
    outcomes = {o.task[0]: o for o in run_tasks(misbehave, tasks, workers=2)}
    assert len(outcomes) == len(tasks)
    errors = {name: (o.error, o.attempts) for name, o in outcomes.items()}
    assert errors["raise"] == ("ValueError: bad cell", 1)
    assert errors["exit"] == ("SystemExit: 4", 1)
    assert errors["die"] == ("worker died with exit code 7 twice", 2)
    assert errors["kill"] == ("worker died with signal 9 (out of memory?) twice", 2)
    assert errors["kill once"] == (None, 2)
    assert errors["memory once"] == (None, 2)
    assert errors["memory"] == ("MemoryError", 2)
    assert "pickle" in str(errors["lambda"][0]).lower()
    assert "the task cannot be sent" in str(errors["unsendable"][0])
    assert outcomes["big"].result == bytes(3_000_000)
    assert outcomes["kill once"].result == "second time"
    assert errors["fine"] == (None, 1)


def test_a_worker_killed_from_outside_costs_one_retry() -> None:
    outcomes = run_tasks(misbehave, [("fine", 0), ("sleep", 1.5), ("fine", 1)], workers=1)
    first = next(outcomes)
    time.sleep(0.3)
    os.kill(first.result, signal.SIGKILL)
    rest = list(outcomes)
    assert {(o.task[0], o.attempts, o.error) for o in rest} == {("sleep", 2, None), ("fine", 1, None)}


def test_threads_of_a_worker() -> None:
    (outcome,) = run_tasks(misbehave, [("threads", 0)], workers=1, threads=1)
    assert outcome.result == ("1", 1)


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (broken_prepare, "RuntimeError: no such network"),
        (dying_prepare, "code 3"),
        (no_memory, "MemoryError: no room at all"),
    ],
)
def test_a_failing_initializer_is_one_error(start: Any, text: str) -> None:
    with pytest.raises(AutoMLTheoryError, match=text):
        list(run_tasks(square, range(50), workers=2, initializer=start))


@pytest.mark.parametrize("how", ["kill", "exit", "memory"])
@pytest.mark.parametrize(("tasks", "seconds"), [(2, 0.0), (40, 0.0), (3, 2.0)])
def test_where_only_one_worker_can_start_it_does_all(tmp_path: Path, how: str, tasks: int, seconds: float) -> None:
    """A worker that dies while it starts, say for memory, is not the fault of the task it was meant for."""
    arguments = (str(tmp_path / "lock"), how, seconds)
    outcomes = list(run_tasks(slow_square, range(tasks), workers=3, initializer=first_alone, initargs=arguments))
    assert sorted((o.task, o.result, o.error, o.attempts) for o in outcomes) == [
        (task, task * task, None, 1) for task in range(tasks)
    ]


def few_files() -> None:
    """Leave this process room for one worker's pipes, not for three."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 11, most))


@pytest.mark.parametrize("size", [0, 10**7])
def test_a_script_without_a_guard_is_told_to_have_one(size: int, tmp_path: Path) -> None:
    """Its workers run it again and die of it, before they read what a pipe's buffer does not hold."""
    script = tmp_path / "script.py"
    script.write_text(
        "from test_executors import square, run_tasks\n"
        f"list(run_tasks(square, range(9), workers=2, initializer=len, initargs=(bytes({size}),)))\n"
    )
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env=here, timeout=120
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "with exit code 1 before its first task; guard a script's code with if __name__ == '__main__'; try" in last


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("from test_executors import square", "[0, 1, 4]"),
        ("def square(task): pass", "Can't get attribute 'square'"),
    ],
)
def test_a_program_that_is_no_file(function: str, told: str) -> None:
    """As in `python - < script`, the guard or not: a worker can import what is in modules, nothing else."""
    program = f"from test_executors import run_tasks\n{function}\n"
    program += "print(sorted(o.result for o in run_tasks(square, range(3), workers=2)))\n"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-"], input=program, capture_output=True, text=True, check=False, env=here, timeout=120
    )
    assert told in (done.stdout or done.stderr.splitlines()[-1])
    if not done.stdout:
        assert "what workers run has to be in a module or in a script's file; try workers=0" in done.stderr


def test_a_function_that_is_not_there_in_a_worker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(task: int) -> int:
        return task

    module = types.ModuleType("made_up_module")
    made.__module__, made.__qualname__ = "made_up_module", "made"
    module.made = made  # type: ignore[attr-defined]  # a module has what it is given
    monkeypatch.setitem(sys.modules, "made_up_module", module)
    with pytest.raises(
        AutoMLTheoryError, match="No module named 'made_up_module'; what workers run has to be in a mod"
    ):
        list(run_tasks(made, [1], workers=1))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="it counts the open files in /proc")
def test_with_few_files_there_are_few_workers() -> None:
    program = (
        "from test_executors import few_files, slow_square\n"
        "from automl_theory.scoring.executors import run_tasks\n"
        "if __name__ == '__main__':\n"
        "    few_files()\n"
        "    print(sorted(o.result for o in run_tasks(slow_square, range(9), workers=9)))\n"
    )
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=here)
    assert done.stdout.strip() == str([task * task for task in range(9)]), done.stderr


def test_a_failing_initializer_in_process() -> None:
    with pytest.raises(AutoMLTheoryError, match="no such network"):
        list(run_tasks(square, range(5), workers=0, initializer=broken_prepare))


def test_exceptions_in_process(tmp_path: Path) -> None:
    tasks = [("raise", 0), ("memory", 0), ("memory once", str(tmp_path / "m"))]
    outcomes = list(run_tasks(misbehave, tasks, workers=0))
    assert [(o.error, o.attempts) for o in outcomes] == [("ValueError: bad cell", 1), ("MemoryError", 2), (None, 2)]


def test_closing_early_ends_busy_workers_at_once_and_tasks_are_lazy() -> None:
    taken = []

    def tasks() -> Iterator[tuple[str, Any]]:
        for i in range(10**9):
            taken.append(i)
            yield ("fine", 0) if i == 0 else ("sleep", 60)

    outcomes = run_tasks(misbehave, tasks(), workers=2)
    next(outcomes)
    begin = time.monotonic()
    outcomes.close()
    assert time.monotonic() - begin < 5
    assert len(taken) <= 4


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_killing_or_interrupting_the_parent_leaves_no_worker(kind: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_executors import misbehave, run_tasks\n"
        "if __name__ == '__main__':\n"
        "    for o in run_tasks(misbehave, [('fine', 0), ('fine', 0)] + [('sleep', 60)] * 4, workers=2):\n"
        "        print(o.result, flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert parent.stdout
    parent.stdout.readline()
    parent.stdout.readline()
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) >= 2
    parent.send_signal(kind)
    _, errors = parent.communicate(timeout=20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    if kind == signal.SIGINT:
        assert errors.decode().count("Traceback") == 1
        assert b"KeyboardInterrupt" in errors


@pytest.mark.parametrize(("arguments", "text"), [
    ({"workers": -1}, "expected workers"),
    ({"workers": 1.5}, "expected workers"), ({"workers": 1, "threads": 0}, "expected threads"),
])  # fmt: skip
def test_bad_arguments(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        run_tasks(square, [1], **arguments)


def test_a_function_that_cannot_be_sent() -> None:
    with pytest.raises(InputError, match="top of a module"):
        list(run_tasks(lambda task: task, [1], workers=1))
