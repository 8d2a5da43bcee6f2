"""One search from its seed to the architecture that it found, within a budget, step by step in a journal."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from automl_theory.counts import whole
from automl_theory.errors import VALUED, InputError, Interrupted
from automl_theory.scoring.failures import Failure, reason_of, warn_of
from automl_theory.search import tenas
from automl_theory.search.composite import graph_numbers, graph_values
from automl_theory.search.evolution import evolution
from automl_theory.search.journal import Journal
from automl_theory.search.merit import Numbers, best
from automl_theory.search.nsga2 import nsga2
from automl_theory.search.objective import Objective
from automl_theory.search.random_search import random_search
from automl_theory.search.request import ASPECTS, PRUNING, Search, prepare
from automl_theory.search.variation import Variables
from automl_theory.sources import Spec
from automl_theory.spaces import Space

Loop = Generator[str, Numbers, None]
Told = Callable[[int, int], None]
Parts = dict[str, type | tuple[type, ...]]

EVALUATION: Parts = {"arch": str, "values": dict, "statuses": dict, "numbers": list, "seconds": (int, float)}
ROUND: Parts = {"changes": list, "removed": list, "left": list, "evaluations": int, "seconds": (int, float)}
"""The parts of a step in a journal, and what they are."""
IDLE = 1000
"""Proposals in a row without a new class after which a search that only time would end has nothing more to find."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    found         the architecture
    best          all architectures that were measured, best first, those without any value last; the found one alone
                  for TE-NAS
    trace         the steps: {"arch", "values", "statuses", "seconds"} of an evaluation, with the "reason" of a failure;
                  of a pruning round {"changes", "removed", "left", "evaluations", "seconds"}
    evaluations   architectures that were asked for, repeated ones too; for TE-NAS supernets, counting repeats
    seconds       that measuring them took; an architecture whose class came up before in this search costs none
    """

    algorithm: str
    seed: int
    found: str
    best: tuple[str, ...]
    trace: tuple[dict[str, Any], ...] = field(repr=False)
    evaluations: int
    seconds: float

    @property
    def failures(self) -> list[Failure]:
        """What could not be measured: (architecture, seed of the search, reason), each architecture once."""
        failed = {step["arch"]: step.get("reason", "") for step in self.trace if "failed" in _statuses(step)}
        return [(arch, self.seed, why) for arch, why in failed.items()]


def _statuses(step: dict[str, Any]) -> set[str]:
    return set(step.get("statuses", {}).values())


def search(
    space_or_name: str | Space,
    algorithm: str = "evolution",
    proxies: str | Iterable[str] = ASPECTS,
    data: Spec = "digits",
    *,
    evaluations: int | None = None,
    budget_seconds: float | None = None,
    seed: int = 0,
    radius: float | None = None,
    folder: str | PathLike[str] | None = None,
    threads: int = 1,
    options: dict[str, int] | None = None,
    **settings: Any,
) -> Found:
    """Search a space without training, and return what was found and what it cost.

    algorithm        "random"; "evolution" (regularized, warmed up); "nsga2"; "tenas", pruning of a supernet by κ and
                     linear regions; "tegnas", the same with the error of kernel regression
    proxies          of architectures; several are one by the sum of ranks among all architectures seen, which also
                     names the found one (for nsga2 it is thus on the first front). "composite" is the recommended one,
                     measures of the graph included: see `search.composite`. tenas and tegnas have their own
    evaluations      budget: architectures asked for, 100 if no budget is given
    budget_seconds   budget: the first evaluation that ends beyond it is the last; what is found then depends on the
                     machine. Known classes cost no time: 1,000 proposals in a row without a new one end it too
    radius           only architectures of moderate depth and width: `connectivity.moderate`
    folder           where every step is kept; a search that was killed goes on from there to the same result
    threads          torch's
    options          of the algorithm: population, tournament, warm_up
    settings         how architectures are measured, and where scores are kept, as in `Objective` (n, network, bn,
                     init, store, ...); for tenas and tegnas those of `tenas.Supernets`

    The same seed gives the same result. A `FailedScores` warning tells what could not be measured, `failures` of the
    result has all reasons. Errors: InputError for an unknown name or a bad setting, and a folder of
    another search, or where no architecture can be measured; Interrupted after Ctrl-C.
    """
    asked = prepare(
        space_or_name,
        algorithm,
        proxies,
        data,
        evaluations=evaluations,
        budget_seconds=budget_seconds,
        radius=radius,
        threads=threads,
        options=options,
        **settings,
    )
    found = run(asked, seed, None if folder is None else Path(folder))
    warn_of(found.failures, len(found.best), "`failures` of the result", stacklevel=2)
    return found


def run(asked: Search, seed: int, folder: Path | None = None, told: Told | None = None) -> Found:
    """Make one search of `asked` under `seed`.

    `told` is called with (steps done, all steps) at the start, when the journal's are done, and after each other one.
    """
    seed = whole("seed", seed, 0)
    file = None if folder is None else folder / f"seed-{seed:04d}.jsonl"
    try:
        with Journal(file, asked.about(seed)) as journal:
            walk = _prune if asked.algorithm in PRUNING else _evaluate
            return walk(asked, seed, journal, told or (lambda done, steps: None))
    except KeyboardInterrupt:
        kept = f"its steps are kept in {file}: the same command goes on" if file else "nothing was kept: name a folder"
        raise Interrupted(f"stopped the search of seed {seed}; {kept}") from None


def _evaluate(asked: Search, seed: int, journal: Journal, told: Told) -> Found:
    objective = Objective(asked.space, asked.proxies, asked.data, threads=asked.threads, **asked.settings)
    loop = _loop(asked, objective, seed)
    trace: list[dict[str, Any]] = []
    spent: dict[str, float] = {}
    seen: dict[str, Numbers] = {}
    network = cache(objective.network)
    idle, known = 0, min(len(journal.found), asked.evaluations or len(journal.found))
    told(known, asked.steps)
    arch = next(loop, None)
    while arch is not None:
        if len(trace) < len(journal.found):
            step = _known(journal, len(trace), EVALUATION)
            if step["arch"] != arch:
                raise InputError(f"{journal.file} has other steps than this version makes; name another folder")
            if step.get("network") and step["network"] != network(arch):
                how = "stands for another network than" if network(arch) else "cannot be built now, as it could be"
                raise InputError(f"{arch!r} {how} when {journal.file} was written; name another folder")
        else:
            evaluation = objective.evaluate(arch)
            numbers = [
                value if way == "maximize" else -value
                for value, way in zip(objective.numbers(evaluation), objective.directions, strict=True)
            ]
            graph = graph_values(asked.space, arch) if asked.graph else {}
            step = {
                "arch": arch,
                "values": evaluation.values | graph,
                "statuses": evaluation.statuses,
                "numbers": [*numbers, *graph_numbers(graph)],
                "seconds": evaluation.seconds,
            }
            if journal.file is not None and (tells := network(arch)):
                step["network"] = tells
            if "failed" in _statuses(step):
                step["reason"] = reason_of(evaluation.reason)
            journal.add(step)
        trace.append(step)
        canonical = asked.space.canonical(arch)
        idle = idle + 1 if canonical in seen else 0
        spent.setdefault(canonical, step["seconds"])
        seen.setdefault(canonical, tuple(step["numbers"]))
        if len(trace) > known:
            told(len(trace), asked.steps)
        if len(trace) == asked.evaluations or (asked.evaluations is None and idle == IDLE):
            break
        if asked.budget_seconds and math.fsum(spent.values()) >= asked.budget_seconds:
            break
        try:
            arch = loop.send(tuple(step["numbers"]))
        except StopIteration:
            arch = None
    if not trace:
        raise InputError("the filter lets no architecture pass; give a larger radius")
    if all(_statuses(step) == {"failed"} for step in trace):
        why = trace[0].get("reason", "")
        raise InputError(f"none of {len(trace)} architectures could be measured, the first: {why}; change the settings")
    valued = {asked.space.canonical(step["arch"]) for step in trace if _statuses(step) & set(VALUED)}
    order = tuple(sorted(best(seen, log=bool(asked.graph)), key=lambda arch: arch not in valued))
    return Found(asked.algorithm, seed, order[0], order, tuple(trace), len(trace), sum(spent.values()))


def _known(journal: Journal, number: int, parts: Parts) -> dict[str, Any]:
    """A step of the journal; InputError for one that lacks some of its parts, or has something else there."""
    step = journal.found[number]
    if lacking := sorted(name for name, kind in parts.items() if not isinstance(step.get(name), kind)):
        raise InputError(f"step {number + 1} of {journal.file} has no {', '.join(lacking)}; name another folder")
    return step


def _loop(asked: Search, objective: Objective, seed: int) -> Loop:
    choices = {} if asked.algorithm == "random" else objective.choices
    variables = Variables(choices, objective.architecture, asked.allowed or (lambda arch: True))
    if asked.algorithm == "random":
        return random_search(asked.space, variables, seed)
    if asked.algorithm == "nsga2":
        return nsga2(variables, seed, **asked.options)
    return evolution(variables, seed, log=bool(asked.graph), **asked.options)


def _prune(asked: Search, seed: int, journal: Journal, told: Told) -> Found:
    measure = tenas.Supernets(data=asked.data, generalization=asked.algorithm == "tegnas", **asked.settings)
    candidates, trace = tenas.start(asked.space), list[dict[str, Any]]()
    better = list(tenas.BETTER.values())[: len(asked.proxies)]
    before = torch.get_num_threads()
    torch.set_num_threads(asked.threads)
    done = 0

    def measured(count: int) -> None:
        told(done + count, asked.steps)

    measured(sum(len(step.get("changes", ())) for step in journal.found))
    try:
        while tenas.removals(candidates):
            if len(trace) < len(journal.found):
                step = _known(journal, len(trace), ROUND)
            else:
                seeds = tenas.round_seeds(seed, len(trace), measure.repeats)
                step = tenas.prune(measure, candidates, better, seeds, measured)
                journal.add(step)
            trace.append(step)
            done += len(step["changes"])
            candidates = tuple(tuple(names) for names in step["left"])
    finally:
        torch.set_num_threads(before)
    cells: Any = asked.space
    found = cells.string([names[0] for names in candidates])
    evaluations, seconds = (sum(step[name] for step in trace) for name in ("evaluations", "seconds"))
    return Found(asked.algorithm, seed, found, (found,), tuple(trace), evaluations, seconds)
