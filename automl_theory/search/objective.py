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
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from automl_theory.errors import InputError, suggest
from automl_theory.scoring import task
from automl_theory.scoring.executors import Outcome, run_tasks
from automl_theory.scoring.identity import check_network
from automl_theory.scoring.machine import environment
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.plan import check_threads
from automl_theory.scoring.setting import prepare
from automl_theory.scoring.sqlite_file import store_place
from automl_theory.scoring.store import ScoreStore
from automl_theory.scoring.table import score_table
from automl_theory.search.evaluation import Evaluation
from automl_theory.sources import Spec
from automl_theory.spaces import Space

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from automl_theory.search.pymoo import Problem

MOST_LISTED = 100_000
"""Architectures of a space without variables of its own that are listed as the options of one variable."""

ONE = threading.Lock()
"""Measuring sets threads and a random state of the whole process, so one evaluation is made at a time."""


class Objective:
    """One or more proxies of an architecture as an objective.

    space       a space or its name
    proxies     names, or a group; `names` has them in order, `directions` "maximize" or "minimize" for each
    data, seeds, measurement, settings   as in `score_space` (with together=1): n=64, network={"channels": 16}, ...
    seed        of the weights, in the place of `seeds`: seed=3 is seeds=[3]
    threads     torch's, of an evaluation
    store       a file as `score_space` keeps, from which known classes are read and to which new ones are written, so
                that a search that was killed finds what it measured; several processes may share it

    Calling it with an architecture gives a float, or a tuple of floats for several proxies; an undefined value is the
    worst end, -inf where it is maximised and +inf where it is minimised. `evaluate` gives values with statuses. A
    network that cannot be built or measured has the status "failed" and a reason, as in `score_space`.

    Every class is measured once: `evaluations` counts networks and seeds, `known` holds class -> {(seed, proxy key):
    (value, status)}. A pickle carries it along; what a copy measures stays with the copy, unless there is a store. What
    a store has as failed is tried again.

    Threads may share an objective, which measures one network at a time; for more, use processes.

    Errors: InputError for what `score_space` refuses (settings that the networks do not take, at the first evaluation),
    or an architecture that is not in the space; StoreError for an unusable store, or one that holds scores of another
    network of that name.
    """

    def __init__(
        self,
        space: str | Space,
        proxies: str | Iterable[str] = ("ntk_lambda_min_normalised", "naswot", "ntk_regression_error"),
        data: Spec = "digits",
        *,
        seeds: int | Iterable[int] = 1,
        seed: int | None = None,
        threads: int = 1,
        store: str | PathLike[str] | None = None,
        measurement: Measurement | None = None,
        **settings: Any,
    ) -> None:
        check_threads(threads)
        if seed is not None and not (isinstance(seeds, int) and seeds == 1):
            raise InputError(f"seed={seed!r} and seeds={seeds!r} were given; give one of the two")
        weights = seeds if seed is None else [seed]
        self.setting = prepare(space, proxies, data, weights, measurement, settings, Objective)
        # Absolute, since Ray Tune runs each trial in a folder of its own.
        self.threads, self.store = threads, None if store is None else store_place(store).absolute()
        self.around = environment(threads, self.setting.measurement.device)
        self.known: dict[str, dict[tuple[int, str], tuple[float, str]]] = {}
        self.reasons: dict[str, str] = {}
        self.seen: dict[str, Evaluation] = {}
        self.evaluations = 0
        if self.store is not None:
            with self._opened(self.store) as kept:
                self._learn(kept)

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
                f"list (at most {MOST_LISTED:,}); propose some yourself, as of objective.space.sample(100, 0), "
                "or give the space a `choices` mapping and an `assemble` method"
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
        space: Any = self.space
        return str(space.assemble(chosen)) if getattr(space, "choices", None) is not None else chosen["architecture"]

    def evaluate(self, arch: str) -> Evaluation:
        """Measure an architecture, or look it or its class up.

        Errors: InputError for what is no architecture of the space, options by name included: see `architecture`.
        """
        if not isinstance(arch, str):
            raise InputError(
                f"an architecture is a text of space {self.space.name!r}, not {type(arch).__name__}; "
                "options by name become one by objective.architecture(options)"
            )
        if arch in self.seen:
            return self.seen[arch]
        canonical = self.space.canonical(arch)
        with ONE:
            start, before = time.perf_counter(), self.evaluations
            read_off = canonical not in self.reasons and not self.setting.asked
            if canonical not in self.reasons:
                self._settle(canonical)
            measured, seconds = self.evaluations > before, time.perf_counter() - start
        scores = [(canonical, seed, key, *score) for (seed, key), score in self.known[canonical].items()]
        rows = pd.DataFrame(scores, columns=["arch", "seed", "proxy", "value", "status"])
        s = self.setting
        row = score_table(s.space, [arch], s.proxies, rows, s.seeds, s.sizes, {}).iloc[0]
        values = {name: float(row[name]) for name in self.names}
        statuses = {name: str(row[f"{name}_status"]) for name in self.names}
        self.seen[arch] = Evaluation(arch, canonical, values, statuses, 0.0, self.reasons[canonical])
        if read_off:
            seconds = time.perf_counter() - start
        return replace(self.seen[arch], seconds=seconds) if measured or read_off else self.seen[arch]

    def __call__(self, arch: str) -> float | tuple[float, ...]:
        """Return the value, or the values in the order of `names`; undefined is the worst end."""
        found = self.numbers(self.evaluate(arch))
        return found[0] if len(found) == 1 else found

    def numbers(self, evaluation: Evaluation) -> tuple[float, ...]:
        """The values of an evaluation in the order of `names`; undefined is -inf or +inf, whichever is worst."""
        worst = {"maximize": -math.inf, "minimize": math.inf}
        return tuple(
            worst[direction] if math.isnan(value) else value
            for value, direction in zip(evaluation.values.values(), self.directions, strict=True)
        )

    def network(self, arch: str) -> str:
        """The fingerprint of the network that `arch` stands for; "" where its name says all, or it cannot be built."""
        s, tell = self.setting, getattr(self.space, "fingerprint", None)
        if tell is None:
            return ""
        m, canonical = s.measurement, self.space.canonical(arch)
        try:
            with ONE, task.seeded(canonical, s.seeds[0]):
                return str(tell(self.space.build(canonical, seed=s.seeds[0], init=m.init, **m.network)))
        except (Exception, SystemExit):
            return ""

    def optuna(self, undefined: str | BaseTrial = "prune") -> Any:
        """This objective for `optuna.Study.optimize`, an `OptunaObjective`; see `search.optuna`.

        Given a trial it is that function itself, and prunes: `study.optimize(objective.optuna)` is enough.
        """
        from automl_theory.search.optuna import OptunaObjective

        return OptunaObjective(self, undefined) if isinstance(undefined, str) else OptunaObjective(self)(undefined)

    def pymoo(self, **settings: Any) -> Problem:
        """This objective as a problem of pymoo, whose settings it takes, as elementwise_runner; see `search.pymoo`."""
        from automl_theory.search.pymoo import Problem

        return Problem(self, **settings)

    def ray_tune(self, config: Mapping[str, str]) -> dict[str, Any]:
        """This objective as a function that Ray Tune tunes; see `search.ray_tune`."""
        from automl_theory.search.ray_tune import metrics

        return metrics(self, config)

    def _settle(self, canonical: str) -> None:
        """Have all scores of a class: by the store, and by measuring what it lacks."""
        s, reasons = self.setting, []
        if s.asked and not self.reasons:
            s.try_settings(canonical)
        keys = [proxy.key for proxy in s.asked]
        if self._tasks(canonical):
            with ExitStack() as stack:
                kept = stack.enter_context(self._opened(self.store)) if self.store is not None else None
                if kept is not None and kept.missing(canonical, s.seeds[0], keys) != keys:
                    self._learn(kept)
                how: dict[str, Any] = {"threads": self.threads, "initializer": task.prepare, "initargs": s.initargs}
                outcomes = run_tasks(task.score_task, self._tasks(canonical), workers=0, **how)
                stack.enter_context(closing(outcomes))
                reasons = [self._take(outcome, kept) for outcome in outcomes]
        self.known.setdefault(canonical, {})
        self.reasons[canonical] = "; ".join(dict.fromkeys(filter(None, reasons)))

    def _tasks(self, canonical: str) -> list[task.Task]:
        """What is to be measured of a class; first, where its name does not say it, whether it is the network known."""
        s, known = self.setting, self.known.get(canonical, {})
        missing = [
            (canonical, seed, names)
            for seed in s.seeds
            if (names := tuple(proxy.name for proxy in s.asked if (seed, proxy.key) not in known))
        ]
        return [(canonical, s.seeds[0], ()), *missing] if known and hasattr(s.space, "fingerprint") else missing

    def _take(self, outcome: Outcome, kept: ScoreStore | None) -> str:
        """Keep what became of a task; returns the reason of what failed."""
        arch, seed, names = outcome.task
        if not names:
            if kept is not None:
                check_network(kept, arch, outcome.result.network if outcome.result else "", outcome.error)
            return ""
        result = outcome.result
        if outcome.error is not None:
            failed = {proxy.key: (math.nan, "failed") for proxy in self.setting.asked if proxy.name in names}
            result = task.Result(failed, 0.0, outcome.error)
        if kept is not None:
            kept.write(arch, seed, result.scores, result.seconds, result.detail, result.network)
        self.known.setdefault(arch, {}).update({(seed, key): score for key, score in result.scores.items()})
        self.evaluations += 1
        return str(result.detail)

    def _learn(self, kept: ScoreStore) -> None:
        """Take over every score that a store has, but for failures."""
        s = self.setting
        rows, keys = kept.read(), [proxy.key for proxy in s.asked]
        mine = rows[rows["proxy"].isin(keys) & rows["seed"].isin(s.seeds) & (rows["status"] != "failed")]
        for arch, seed, key, value, status in mine.itertuples(index=False):
            self.known.setdefault(arch, {}).setdefault((seed, key), (value, status))

    def _opened(self, store: Path) -> ScoreStore:
        return ScoreStore.open(store, self.setting.recorded, self.around)
