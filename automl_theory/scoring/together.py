"""Architectures that share name-keyed weights, scored many at once: one stacked pass instead of a pass each.

Meant for a GPU, which one small network leaves idle. Scores differ from those of single passes by rounding alone, and
so they do between stacks of other members: a store records how many go together, and a stack is always measured whole,
also when only some of its members are missing. Stacks are `together` successive architectures in the order of the plan,
so that scores depend neither on workers nor on where a run was stopped.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from automl_theory.errors import InputError, is_memory, one_line, reason
from automl_theory.probing.loss_gradients import PARTS
from automl_theory.probing.stack_signals import Seen
from automl_theory.proxies import get_proxies
from automl_theory.scoring import task
from automl_theory.scoring.executors import Outcome
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.single import needs_of
from automl_theory.spaces import Space

ON_A_GPU = 16
"""Architectures in a stack where nothing is said; see `choose_together`."""
MOST = 4096
_SEEN = frozenset({"kernel", "codes", "features"})


@dataclass(frozen=True)
class StackTask:
    """The architectures of one stack under one seed, and the tasks of those of them that are to be scored."""

    members: tuple[str, ...]
    seed: int
    tasks: tuple[task.Task, ...]


def choose_together(together: int | None, space: Space, measurement: Measurement) -> int:
    """Architectures a stack: as asked, else `ON_A_GPU` on a GPU where the space and the measurement allow it, else 1.

    Raises InputError for no whole number from 1 to 4,096, or one above 1 where architectures cannot be stacked: in a
    space without `build_stack`, or with another BatchNorm mode than frozen or another output than the sum.
    """
    able = hasattr(space, "build_stack")
    fitting = measurement.bn == "frozen" and measurement.output == "sum"
    if together is None:
        return ON_A_GPU if able and fitting and measurement.device != "cpu" else 1
    if isinstance(together, bool) or not isinstance(together, int) or not 1 <= together <= MOST:
        raise InputError(f"together={together!r}: give the architectures of one pass, 1 to {MOST:,}")
    if together > 1 and not able:
        raise InputError(f"together={together}: space {space.name!r} cannot stack its architectures; use together=1")
    if together > 1 and not fitting:
        raise InputError(
            f"together={together} with bn={measurement.bn!r} and output={measurement.output!r}: stacks have "
            "bn='frozen' and output='sum'; use these, or together=1"
        )
    return together


def stacks(architectures: Sequence[str], together: int) -> list[tuple[str, ...]]:
    """The architectures in order, `together` at a time."""
    return [tuple(architectures[i : i + together]) for i in range(0, len(architectures), together)]


def run_stacks(
    tasks: Sequence[task.Task], members: Sequence[tuple[str, ...]], run: Callable[[list[Any]], Generator[Outcome]]
) -> Generator[Outcome]:
    """Yield the outcome of every task, as `run` yields those of the stacks that hold them."""
    stack_of = {arch: stack for stack in members for arch in stack}
    groups: dict[tuple[tuple[str, ...], int], list[task.Task]] = defaultdict(list)
    for one in tasks:
        groups[stack_of[one[0]], one[1]].append(one)
    outcomes = run([StackTask(stack, seed, tuple(group)) for (stack, seed), group in groups.items()])
    with closing(outcomes):
        for outcome in outcomes:
            found = [None] * len(outcome.task.tasks) if outcome.error is not None else outcome.result
            for one, result in zip(outcome.task.tasks, found, strict=True):
                yield Outcome(one, result, outcome.error, outcome.attempts)


def score_stack(stack: StackTask) -> list[task.Result]:
    """Score the tasks of a stack, in order: those that the pass serves after one pass over all members, others singly.

    What the pass cannot do, for whatever reason but memory, goes the single way, and a result's detail says why.
    `Result.seconds` has an equal share of the pass.
    """
    served = [_is_served(one) for one in stack.tasks]
    start = time.perf_counter()
    seen, why = _see(stack, [one for one, ok in zip(stack.tasks, served, strict=True) if ok])
    share = (time.perf_counter() - start) / max(1, sum(served))
    return [
        _read(one, seen[one[0]], share)
        if ok and one[0] in seen
        else _alone(one, why if ok and task.connected(one[0]) else "")
        for one, ok in zip(stack.tasks, served, strict=True)
    ]


def _is_served(one: task.Task) -> bool:
    """Whether a stacked pass saves this task one of its own."""
    needs = needs_of(get_proxies(one[2])) if one[2] else set()
    return "kernel" in needs or bool(needs & _SEEN and not needs & PARTS)


def _alone(one: task.Task, why: str) -> task.Result:
    """Score a task by itself, and say `why` where a pass over its stack failed."""
    result = task.score_task(one)
    return replace(result, detail="; ".join(filter(None, [result.detail, f"together: {why}"]))) if why else result


def _see(stack: StackTask, tasks: Sequence[task.Task]) -> tuple[dict[str, Seen], str]:
    """What one pass shows of each connected member, nothing where no task needs it; and why it cannot be had."""
    members = [arch for arch in stack.members if task.connected(arch)]
    if not any(task.connected(arch) for arch, _, _ in tasks):
        return {}, ""
    needs = needs_of(get_proxies(name for _, _, names in tasks for name in names))
    try:
        return task.see_together(members, stack.seed, needs), ""
    except Exception as error:
        if is_memory(error):
            raise MemoryError(f"{reason(error)}; let fewer architectures go together") from error
        return {}, one_line(error).replace(";", ",")


def _read(one: task.Task, seen: Seen, share: float) -> task.Result:
    """Read a task's proxies from what the pass saw of its architecture."""
    arch, seed, names = one
    start = time.perf_counter() - share
    with task.seeded(arch, seed):
        return task.read(task.collected(seen, arch, seed), get_proxies(names), start)
