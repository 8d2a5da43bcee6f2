"""What a search is asked for, checked before anything is measured."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest
from automl_theory.scoring.machine import environment
from automl_theory.scoring.measurement import check_names
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

    graph     measures of the graph that join the proxies; with any, ranks are summed as logarithms
    allowed   the filter of `radius`
    measured  what the numbers of a step depend on: revisions of proxies, data, settings, versions
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
    measured: dict[str, Any]
    settings: dict[str, Any]
    options: dict[str, int]
    threads: int

    @property
    def steps(self) -> int:
        """Steps of a whole search, as far as it is known beforehand; 0 if only time ends it. Of a pruning, removals."""
        return tenas.all_removals(tenas.start(self.space)) if self.algorithm in PRUNING else self.evaluations or 0

    def about(self, seed: int) -> dict[str, Any]:
        """What decides the steps, ready for JSON."""
        return {
            "space": self.space.name,
            "algorithm": self.algorithm,
            "seed": seed,
            "radius": self.radius,
            "options": self.options,
            **self.measured,
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
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
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
        if isinstance(proxies, str) or tuple(proxies) != ASPECTS:
            raise InputError(f"{algorithm} has measures of its own; leave proxies out")
        measure = tenas.Supernets(data, generalization=algorithm == "tegnas", **settings)
        names: tuple[str, ...] = tuple(tenas.BETTER)[: 3 if algorithm == "tegnas" else 2]
        measured = {"proxies": [*names], **measure.recorded, "environment": environment(threads, "cpu")}
    else:
        own = inspect.signature(Objective).parameters
        check_names({name: value for name, value in settings.items() if name not in own}, where, prepare, Objective)
        objective = Objective(where, proxies, data, threads=threads, **settings)
        names, setting = objective.names, objective.setting
        if "seeds" in settings:
            settings["seeds"] = setting.seeds
        keys = [*(proxy.key for proxy in setting.proxies), *(GRAPH if proxies == "composite" else ())]
        measured = {
            "proxies": keys,
            "settings": setting.recorded,
            "seeds": setting.seeds,
            "environment": objective.around,
        }
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
    if graph and where.graph(where.sample(1, 0)[0]) is None:
        warnings.warn(
            f"space {where.name!r} has no graphs: of the composite, {', '.join(graph)} are the same for all",
            stacklevel=3,
        )
    allowed = None if radius is None else moderate(where, radius)
    radius = None if radius is None else float(radius)
    rest = (evaluations, budget_seconds, radius, allowed, measured, settings, dict(options or {}), threads)
    return Search(where, algorithm, names, graph, data, *rest)


def _alone_if_composite(proxies: str | Iterable[str]) -> str | list[str]:
    """`proxies`, with "composite" as a word, which brings measures of the graph; InputError for it beside others."""
    names = (
        [word for name in proxies.split(",") if (word := name.strip())] if isinstance(proxies, str) else list(proxies)
    )
    if "composite" not in names:
        return names
    if len(names) > 1:
        raise InputError("composite is a whole of proxies and measures of the graph; name it alone, or leave it out")
    return "composite"


def _check_options(algorithm: str, options: dict[str, int]) -> None:
    known = OPTIONS.get(algorithm, ())
    for name, value in options.items():
        if name not in known:
            if not known:
                raise InputError(f"{algorithm} has no options; leave {name} out")
            raise InputError(f"{algorithm} has no option {name!r}; it has {', '.join(known)}.{suggest(name, known)}")
        whole(name, value)
