"""What a search is asked for, checked before anything is measured."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_theory.counts import whole
from automl_theory.data import load_batch
from automl_theory.errors import InputError, suggest
from automl_theory.proxies import get_proxies
from automl_theory.scoring.machine import environment
from automl_theory.scoring.measurement import Measurement, check_names
from automl_theory.scoring.plan import check_threads
from automl_theory.search import tenas
from automl_theory.search.composite import GRAPH
from automl_theory.search.connectivity import Moderate, moderate
from automl_theory.search.objective import Objective
from automl_theory.sources import Spec
from automl_theory.spaces import Space, space

PRUNING = ("tenas", "tegnas")
ALGORITHMS = ("random", "evolution", "nsga2", *PRUNING)
ASPECTS = ("naswot", "ntk_lambda_min_normalised", "ntk_regression_error")
"""One proxy of each aspect: expressivity, convergence, generalization."""
OPTIONS = {"random": (), "evolution": ("population", "tournament", "warm_up"), "nsga2": ("population",)}
EVALUATIONS = 100


@dataclass(frozen=True)
class Search:
    """A search as it was asked for, the same for every seed; see `search`.

    graph    measures of the graph that join the proxies; with any, ranks are summed as logarithms
    allowed  the filter of `radius`
    """

    space: Space
    algorithm: str
    proxies: tuple[str, ...]
    graph: tuple[str, ...]
    data: Spec
    evaluations: int | None
    budget_seconds: float | None
    radius: float | None
    allowed: Moderate | None
    settings: dict[str, Any]
    options: dict[str, int]
    threads: int

    @property
    def steps(self) -> int:
        """Steps of a whole search, as far as it is known beforehand; 0 if only time ends it. Of a pruning, removals."""
        return tenas.all_removals(tenas.start(self.space)) if self.algorithm in PRUNING else self.evaluations or 0

    @property
    def n(self) -> int:
        """Images of a measurement."""
        measurement = self.settings.get("measurement")
        own = tenas.Supernets.n if self.algorithm in PRUNING else Measurement.n
        return int(self.settings.get("n", own if measurement is None else measurement.n))

    def about(self, seed: int) -> dict[str, Any]:
        """What decides the steps, ready for JSON."""
        batch = load_batch(self.data, self.n, 0)
        settings = {name: value for name, value in self.settings.items() if name != "store"}
        return {
            "space": self.space.name,
            "algorithm": self.algorithm,
            "proxies": [*(proxy.key for proxy in get_proxies(self.proxies)), *self.graph],
            "data": f"{batch.name}: {batch.digest[:16]}",
            "seed": seed,
            "radius": self.radius,
            "environment": environment(self.threads, str(self.settings.get("device", "cpu"))),
            "settings": json.loads(json.dumps(settings, default=str)),
            "options": {name: str(value) for name, value in sorted(self.options.items())},
        }


def default_folder(asked: Search) -> Path:
    """runs/search-<space>-<algorithm>-<digest of what decides the steps>: the same command finds the same folder."""
    about = {name: value for name, value in asked.about(0).items() if name != "seed"}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:10]
    return Path("runs") / f"search-{asked.space.name}-{asked.algorithm}-{digest}"


def prepare(
    space_or_name: str | Space,
    algorithm: str = "evolution",
    proxies: str | Iterable[str] = ASPECTS,
    data: Spec = "digits",
    *,
    evaluations: int | None = None,
    budget_seconds: float | None = None,
    radius: float | None = None,
    threads: int = 1,
    options: dict[str, int] | None = None,
    **settings: Any,
) -> Search:
    """Check what `search` is asked for, so far as that needs no network; its docstring tells arguments and errors."""
    where = space(space_or_name)
    if algorithm not in ALGORITHMS:
        near = suggest(algorithm, ALGORITHMS)
        raise InputError(f"unknown algorithm {algorithm!r}; known: {', '.join(ALGORITHMS)}.{near}")
    for name, value in (("evaluations", evaluations), ("seconds", budget_seconds)):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):
            raise InputError(f"the budget of {name} must be above 0, got {value!r}; give a positive number")
    if evaluations is not None and not isinstance(evaluations, int | np.integer):
        raise InputError(f"the budget of evaluations must be a whole number, got {evaluations!r}; round it")
    evaluations = None if evaluations is None else int(evaluations)
    check_threads(threads)
    proxies = _alone_if_composite(proxies)
    _check_options(algorithm, options or {})
    if algorithm in PRUNING:
        if evaluations is not None or budget_seconds is not None:
            raise InputError(f"{algorithm} ends by itself, after three rounds of pruning; leave the budget out")
        if radius is not None:
            raise InputError(f"{algorithm} prunes a supernet, whose architectures no filter can leave out; drop it")
        tenas.start(where)
        known = set(tenas.Supernets.__dataclass_fields__) - {"data", "generalization", "_batches"}
        for name in settings:
            if name not in known:
                has = ", ".join(sorted(known))
                raise InputError(f"{algorithm} has no setting {name!r}; it has {has}.{suggest(name, known)}")
        if proxies != ASPECTS:
            raise InputError(f"{algorithm} has measures of its own; leave proxies out")
        for name in ("n", "samples", "batches", "repeats"):
            if name in settings:
                whole(name, settings[name], 2 if name == "n" else 1)
        names: tuple[str, ...] = tuple(tenas.BETTER)[: 3 if algorithm == "tegnas" else 2]
    else:
        own = inspect.signature(Objective).parameters
        check_names({name: value for name, value in settings.items() if name not in own}, where, prepare, Objective)
        objective = Objective(where, proxies, data, threads=threads, **settings)
        names = objective.names
        if algorithm != "random":
            try:
                _ = objective.choices
            except InputError:
                raise InputError(
                    f"{algorithm} changes one variable of an architecture at a time, and space {where.name!r} has no "
                    "variables; take the algorithm random"
                ) from None
        if evaluations is None and budget_seconds is None:
            evaluations = EVALUATIONS
    graph = GRAPH if proxies == "composite" and algorithm not in PRUNING else ()
    allowed = None if radius is None else moderate(where, radius)
    rest = (evaluations, budget_seconds, radius, allowed, settings, dict(options or {}), threads)
    return Search(where, algorithm, names, graph, data, *rest)


def _alone_if_composite(proxies: str | Iterable[str]) -> str | Iterable[str]:
    """`proxies`, with "composite" as a word, which brings measures of the graph; InputError for it beside others."""
    names = [name.strip() for name in proxies.split(",")] if isinstance(proxies, str) else proxies
    if not isinstance(names, list | tuple) or "composite" not in names:
        return proxies
    if len(names) > 1:
        raise InputError("composite is a whole of proxies and measures of the graph; name it alone, or leave it out")
    return "composite"


def _check_options(algorithm: str, options: dict[str, int]) -> None:
    known = OPTIONS.get(algorithm, ())
    for name, value in options.items():
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{algorithm} has no option {name!r}; {has}.{suggest(name, known)}")
        whole(name, value)
