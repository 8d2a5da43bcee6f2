"""A space to a table: plan the tasks, hand them to workers, keep every result at once, assemble the table."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_theory.data import load_batch
from automl_theory.errors import InputError, Interrupted, suggest
from automl_theory.proxies import Proxy, get_proxies
from automl_theory.scoring import plan, task
from automl_theory.scoring.executors import run_tasks
from automl_theory.scoring.plan import Measurement
from automl_theory.scoring.store import ScoreStore
from automl_theory.scoring.table import score_table
from automl_theory.sources import Spec
from automl_theory.spaces import Space, space

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int, int], None]


def score_space(
    space_or_name: str | Space,
    proxies: str | Iterable[str] = "core",
    data: Spec = "digits",
    *,
    architectures: Iterable[str] | None = None,
    sample: int | None = None,
    sample_seed: int = 0,
    strings: bool = False,
    seeds: int | Iterable[int] = 1,
    measurement: Measurement | None = None,
    store: str | PathLike[str] | None = None,
    workers: int | None = 0,
    threads: int = 1,
    shard: str | tuple[int, int] | None = None,
    allow_mismatch: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Score architectures of a space; equal architectures are scored once and share their row's values.

    Args:
        space_or_name: a name of `list_spaces()`, a space, or what `space` makes one from.
        proxies: "core", "full", a name, or a list of names; see `list_proxies`.
        data: "digits", "gaussian", a CIFAR folder, an .npz file or (x, y); see `load_batch`.
        architectures: strings of the space; or `sample`: how many to draw by `sample_seed`, of classes or (with
            `strings`) of strings; or neither: all of them.
        seeds: of the weights: k means 0…k−1; values are averaged.
        measurement: how to measure; or its fields as keywords: n=64, bn="frozen", output="sum", biases=False,
            init="pytorch", data_seed=0, resolution=32, dtype, device, network={"channels": 16, "cells_per_stage": 5}.
        store: file that keeps every finished architecture and from which a stopped run resumes; None keeps nothing.
        workers: processes (0: this one; None: one a core); threads: torch threads of each.
        shard: "i/n" scores the i-th of n parts; `automl-theory merge` unites their stores.
        allow_mismatch: resume although versions or machine differ (recorded).
        retry_failed: score again what failed before.
        progress: called with (finished, total, failed) after every architecture and seed.

    Returns:
        The score table (see `scoring.table.score_table`), `attrs` telling settings, environment, directions and units.

    Raises:
        InputError for bad arguments or data, StoreError for an unusable store, Interrupted after Ctrl-C.
    """
    measured = measurement or Measurement(**settings)
    where = space_or_name if isinstance(space_or_name, Space) else space(space_or_name)
    chosen = get_proxies(proxies)
    plan.check_device(measured.device)
    batch = load_batch(data, measured.n, measured.data_seed, size=measured.resolution, channels=measured.in_channels)
    measured = replace(measured, network=_network(where, measured, batch.classes))
    names = plan.choose_architectures(where, architectures, sample, sample_seed, strings)
    weights = plan.choose_seeds(seeds)
    recorded = measured.settings(where, {"data": batch.name, "source": batch.source, "digest": batch.digest})
    with ExitStack() as stack:
        if store is None:
            store = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scores.db"
        around = plan.environment(threads, measured.device)
        kept = stack.enter_context(ScoreStore.open(store, recorded, around, allow_mismatch=allow_mismatch))
        if retry_failed:
            kept.retry_failed()
        representatives = list(dict.fromkeys(where.canonical(name) for name in names))
        mine = set(plan.choose_shard(representatives, shard))
        sizes = _closed_sizes(where, measured)
        asked = [proxy for proxy in chosen if sizes is None or proxy.family != "size"]
        tasks = _missing(kept, [r for r in representatives if r in mine], weights, asked)
        initargs = (where, measured, batch.x.numpy(), batch.y.numpy(), batch.classes)
        _run(kept, tasks, plan.choose_workers(workers, measured.device), threads, initargs, progress)
        rows = kept.read()
    names = [name for name in names if where.canonical(name) in mine]
    return score_table(where, names, chosen, rows, weights, sizes, rows.attrs)


def _network(where: Space, measured: Measurement, classes: int) -> dict[str, Any]:
    """Settings of `build`: what was asked for, and the channels and classes of the data if the space asks for them."""
    from_data = {"in_channels": measured.in_channels, "num_classes": classes}
    takes = inspect.signature(where.build).parameters
    settings = {**{name: value for name, value in from_data.items() if name in takes}, **measured.network}
    flexible = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    for name in settings:
        if name not in takes and not flexible:
            raise InputError(f"space {where.name!r} has no network setting {name!r}.{suggest(name, takes)}")
    return settings


def _closed_sizes(where: Space, measured: Measurement) -> Callable[[str], dict[str, float]] | None:
    closed = getattr(where, "size_metrics", None)
    return closed and (lambda arch: closed(arch, **measured.network, resolution=measured.resolution))


def _missing(kept: ScoreStore, architectures: Iterable[str], seeds: list[int], proxies: list[Proxy]) -> list[task.Task]:
    """Tasks for what the store lacks, in order."""
    if not proxies:
        return []
    names = {proxy.key: proxy.name for proxy in proxies}
    done = kept.done(names)
    return [
        (arch, seed, tuple(names[key] for key in kept.missing(arch, seed, list(names))))
        for arch in architectures
        for seed in seeds
        if (arch, seed) not in done
    ]


def _run(
    kept: ScoreStore,
    tasks: list[task.Task],
    workers: int,
    threads: int,
    initargs: tuple[Any, ...],
    progress: Progress | None,
) -> None:
    finished = failed = 0
    if progress:
        progress(0, len(tasks), 0)
    try:
        outcomes = run_tasks(
            task.score_task,
            tasks,
            workers=min(workers, len(tasks)),
            threads=threads,
            initializer=task.prepare,
            initargs=initargs,
        )
        with closing(outcomes):  # type: ignore[type-var]
            for outcome in outcomes:
                arch, seed, names = outcome.task
                if outcome.error is None:
                    kept.write(arch, seed, outcome.result.scores, outcome.result.seconds, outcome.result.detail)
                else:
                    failed += 1
                    keys = [proxy.key for proxy in get_proxies(names)]
                    kept.write(arch, seed, dict.fromkeys(keys, (None, "failed")), 0.0, outcome.error)
                finished += 1
                if progress:
                    progress(finished, len(tasks), failed)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped after {finished} of {len(tasks)} scores; all of them are in {kept.path}: "
            "the same command goes on from there"
        ) from None
