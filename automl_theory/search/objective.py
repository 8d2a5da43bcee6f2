"""Training-free measures as the objective of an outer search loop.

    objective = at.Objective("nas_bench_201", ["ntk_lambda_min_normalised", "naswot"])
    study = optuna.create_study(directions=objective.directions)
    study.optimize(objective.optuna(), n_trials=200)

Whatever the loop, an architecture comes in and one number a proxy goes out, as `score_space` would have it: each
canonical class is measured once, and a value depends on nothing but architecture and settings.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from automl_theory.errors import VALUED, AutoMLTheoryError, InputError, suggest
from automl_theory.scoring import plan, task
from automl_theory.scoring.executors import run_tasks
from automl_theory.scoring.plan import Measurement
from automl_theory.scoring.setting import prepare
from automl_theory.scoring.store import ScoreStore
from automl_theory.scoring.table import score_table
from automl_theory.sources import Spec
from automl_theory.spaces import Space

if TYPE_CHECKING:
    from pymoo.core.problem import ElementwiseProblem

    from automl_theory.search.optuna import OptunaObjective

MOST_LISTED = 100_000
"""Architectures of a space without variables of its own that are listed as the options of one variable."""

ONE = threading.Lock()
"""Measuring sets threads and a random state of the whole process, so one evaluation is made at a time."""


@dataclass(frozen=True)
class Evaluation:
    """What an architecture scored.

    values     proxy -> mean over seeds, nan where it is undefined
    statuses   proxy -> "ok", or the gravest status of any seed (see `errors.STATUSES`)
    seconds    it took; 0 where it or its class was known
    """

    arch: str
    canonical: str
    values: dict[str, float]
    statuses: dict[str, str]
    seconds: float

    @property
    def undefined(self) -> tuple[str, ...]:
        """The proxies without a value."""
        return tuple(name for name, status in self.statuses.items() if status not in VALUED)


class Objective:
    """One or more proxies of an architecture as an objective.

    space       a space or its name
    proxies     names, or a group; `names` has them in order, `directions` "maximize" or "minimize" for each
    data, seeds, measurement, settings   as in `score_space`: n=64, network={"channels": 16}, bn="frozen", ...
    threads     torch's, of an evaluation
    store       a file as `score_space` keeps, from which known classes are read and to which new ones are written, so
                that a search that was killed finds what it measured; several processes may share it

    Calling it with an architecture gives a float, or a tuple of floats for several proxies; an undefined value is the
    worst end, -inf where it is maximised and +inf where it is minimised, and never the best. `evaluate` gives values
    with statuses. Every class is measured once: `evaluations` counts the networks, `known` holds their scores. A pickle
    carries them along; what a copy measures stays with the copy, unless there is a store.

    Threads may share an objective, which measures one network at a time; for more, use processes.

    Errors: InputError for what `score_space` refuses, or an architecture that is not in the space; StoreError for an
    unusable store; AutoMLTheoryError for a network that cannot be measured.
    """

    def __init__(
        self,
        space: str | Space,
        proxies: str | Iterable[str] = ("ntk_lambda_min_normalised", "naswot", "ntk_regression_error"),
        data: Spec = "digits",
        *,
        seeds: int | Iterable[int] = 1,
        threads: int = 1,
        store: str | PathLike[str] | None = None,
        measurement: Measurement | None = None,
        **settings: Any,
    ) -> None:
        plan.check_threads(threads)
        self.setting = prepare(space, proxies, data, seeds, measurement, settings)
        self.threads, self.store = threads, None if store is None else Path(store)
        self.around = plan.environment(threads, self.setting.measurement.device)
        self.known: dict[str, pd.DataFrame] = {}
        self.seen: dict[str, Evaluation] = {}
        self.evaluations = 0
        if self.store is not None:
            with self._opened(self.store) as kept:
                self._learn(kept.read())

    @property
    def space(self) -> Space:
        """The space."""
        return self.setting.space

    @property
    def names(self) -> tuple[str, ...]:
        """The proxies, in the order of the values."""
        return tuple(proxy.name for proxy in self.setting.proxies)

    @property
    def directions(self) -> tuple[str, ...]:
        """ "maximize" or "minimize" for each proxy."""
        return tuple(proxy.direction for proxy in self.setting.proxies)

    @cached_property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The variables of an architecture, each with its options: those of the space, else one that lists them all.

        Errors: InputError for a space without variables that is too large to be listed.
        """
        own = getattr(self.space, "choices", None)
        if own is not None:
            return {name: tuple(options) for name, options in own.items()}
        if self.space.size > MOST_LISTED:
            raise InputError(
                f"space {self.space.name!r} has no variables, and {self.space.size:,} architectures are too many to "
                f"list (at most {MOST_LISTED:,}); give the space a `choices` mapping and an `assemble` method"
            )
        return {"architecture": tuple(self.space)}

    def architecture(self, chosen: Mapping[str, str]) -> str:
        """Return the architecture of an option for each of `choices`.

        Errors: InputError for a missing or unknown variable, or an option that it does not have.
        """
        variables = self.choices
        for name in chosen:
            if name not in variables:
                raise InputError(
                    f"{name!r} is no variable; there are {', '.join(variables)}.{suggest(name, variables)}"
                )
        for name, options in variables.items():
            if name not in chosen:
                raise InputError(f"no option for {name!r}; give one of {', '.join(options[:8])}")
            if chosen[name] not in options:
                raise InputError(
                    f"{name!r} has no option {chosen[name]!r}; give one of {', '.join(options[:8])}."
                    f"{suggest(chosen[name], options)}"
                )
        if getattr(self.space, "choices", None) is None:
            return chosen["architecture"]
        return str(self.space.assemble(chosen))  # type: ignore[attr-defined]

    def evaluate(self, arch: str) -> Evaluation:
        """Measure an architecture, or look it or its class up."""
        if arch in self.seen:
            return self.seen[arch]
        canonical = self.space.canonical(arch)
        start, fresh = time.perf_counter(), False
        with ONE:
            if canonical not in self.known:
                fresh = True
                self._measure(canonical)
            rows = self.known[canonical]
        s = self.setting
        row = score_table(s.space, [arch], s.proxies, rows, s.seeds, s.sizes, {}).iloc[0]
        values = {name: float(row[name]) for name in self.names}
        statuses = {name: str(row[f"{name}_status"]) for name in self.names}
        self.seen[arch] = Evaluation(arch, canonical, values, statuses, 0.0)
        return replace(self.seen[arch], seconds=time.perf_counter() - start) if fresh else self.seen[arch]

    def __call__(self, arch: str) -> float | tuple[float, ...]:
        """Return the value, or the values in the order of `names`; undefined is the worst end."""
        found = self.numbers(self.evaluate(arch))
        return found[0] if len(found) == 1 else found

    def numbers(self, evaluation: Evaluation) -> tuple[float, ...]:
        """The values of an evaluation in the order of `names`; undefined is -inf or +inf, whichever is worst."""
        worst = {"maximize": -math.inf, "minimize": math.inf}
        return tuple(
            worst[direction] if name in evaluation.undefined or math.isnan(evaluation.values[name]) else value
            for (name, value), direction in zip(evaluation.values.items(), self.directions, strict=True)
        )

    def optuna(self, undefined: str = "prune") -> OptunaObjective:
        """This objective for `optuna.Study.optimize`; see `search.optuna`."""
        from automl_theory.search.optuna import OptunaObjective

        return OptunaObjective(self, undefined)

    def pymoo(self) -> ElementwiseProblem:
        """This objective as a problem of pymoo; see `search.pymoo`."""
        from automl_theory.search.pymoo import problem

        return problem(self)

    def ray_tune(self, config: Mapping[str, str]) -> dict[str, Any]:
        """This objective as a function that Ray Tune tunes; see `search.ray_tune`."""
        from automl_theory.search.ray_tune import metrics

        return metrics(self, config)

    def _measure(self, canonical: str) -> None:
        s = self.setting
        if not s.asked:
            self.known[canonical] = _rows([])
            return
        if self.store is not None:
            with self._opened(self.store) as kept:
                self._learn(kept.read())
            if canonical in self.known:
                return
        names = tuple(proxy.name for proxy in s.asked)
        tasks = [(canonical, seed, names) for seed in s.seeds]
        results = []
        outcomes = run_tasks(
            task.score_task, tasks, workers=0, threads=self.threads, initializer=task.prepare, initargs=s.initargs
        )
        with closing(outcomes):  # type: ignore[type-var]
            for outcome in outcomes:
                if outcome.error is not None:
                    raise AutoMLTheoryError(f"{canonical} cannot be measured: {outcome.error}")
                results.append((outcome.task[1], outcome.result))
        self.evaluations += len(results)
        self.known[canonical] = _rows(
            [
                (canonical, seed, key, value, status)
                for seed, result in results
                for key, (value, status) in result.scores.items()
            ]
        )
        if self.store is not None:
            with self._opened(self.store) as kept:
                for seed, result in results:
                    kept.write(canonical, seed, result.scores, result.seconds, result.detail, result.network)

    def _learn(self, rows: pd.DataFrame) -> None:
        """Take over every class of which all proxies and seeds are there."""
        keys = {proxy.key for proxy in self.setting.asked}
        mine = rows[rows["proxy"].isin(keys) & rows["seed"].isin(self.setting.seeds) & (rows["status"] != "failed")]
        wanted = len(keys) * len(self.setting.seeds)
        for arch, part in mine.groupby("arch", sort=False):
            if len(part) == wanted:
                self.known.setdefault(str(arch), part)

    def _opened(self, store: Path) -> ScoreStore:
        store.parent.mkdir(parents=True, exist_ok=True)
        return ScoreStore.open(store, self.setting.recorded, self.around)


def _rows(rows: list[tuple[str, int, str, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["arch", "seed", "proxy", "value", "status"])
