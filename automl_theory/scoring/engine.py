"""A space to a table: plan the tasks, hand them to workers, keep every result at once, assemble the table."""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from functools import partial
from itertools import product
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from automl_theory.errors import Interrupted, StoreError
from automl_theory.progress import Report, reporting
from automl_theory.proxies import Proxy, get_proxies
from automl_theory.scoring import plan, task
from automl_theory.scoring import together as stacking
from automl_theory.scoring.executors import Outcome, run_tasks
from automl_theory.scoring.failures import failures, warn_of
from automl_theory.scoring.identity import check_network, to_check
from automl_theory.scoring.machine import environment
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.setting import prepare
from automl_theory.scoring.sqlite_file import store_place
from automl_theory.scoring.store import OtherNetwork, ScoreStore
from automl_theory.scoring.table import score_table
from automl_theory.sources import Spec
from automl_theory.spaces import Space

if TYPE_CHECKING:
    import pandas as pd


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
    together: int | None = None,
    executor: str = "processes",
    address: str | None = None,
    gpus_per_task: float = 0.0,
    shard: str | tuple[int, int] | None = None,
    allow_mismatch: bool = False,
    retry_failed: bool = False,
    progress: bool | Report | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Score architectures of a space; equal architectures are scored once and share their row's values.

    Args:
        space_or_name: a name of `list_spaces()`, or a space. The networks of a `ModuleSpace` are initialised anew by
            `init` under each seed (`at.score` takes a module as it is); a store refuses to go on with a name whose
            factory has come to return another network.
        proxies: "core", "full", a name, or a list of names; see `list_proxies`.
        data: "digits", "gaussian", a CIFAR folder, an .npz file or (x, y); see `load_batch`.
        architectures: strings of the space; or `sample`: how many to draw by `sample_seed`, of classes or (with
            `strings`) of strings; or neither: all of them.
        seeds: of the weights: k means 0…k−1; values are averaged.
        measurement: how to measure; or its fields as keywords: n=64, bn="frozen", output="sum", biases=False,
            init (the space's own), data_seed=0, resolution=32, dtype, device, network={"channels": 16,
            "cells_per_stage": 5}.
        store: file that keeps every finished architecture and from which a stopped run resumes, its folder made if
            missing; None keeps nothing.
        workers: processes; 0 (here the default) is this one, which needs no `if __name__ == "__main__"` in a script;
            None as many as there are cores to use. threads: torch threads of each.
        together: architectures with the same name-keyed weights that go through one pass, for the proxies that read the
            frozen kernel, the ReLU codes or the features; None: 16 on a GPU in nas_bench_201, else 1. Values differ by
            rounding from one at a time, so a store keeps to one number.
        executor: "processes" of this machine, or "ray": workers on the Ray cluster at `address` (HOST:PORT, or "auto"),
            without one on a cluster started here for the run; workers None or 0 are then as many as have room, each
            with `threads` CPUs and `gpus_per_task` GPUs (0.25: four share one). See docs/ray.md.
        shard: "i/n" scores the i-th of n parts; `automl-theory merge` unites their stores.
        allow_mismatch: resume although versions or machine differ (recorded).
        retry_failed: score again what failed before, as far as it is asked for here.
        progress: a function called with (finished, total, failed) at the start and after every architecture and seed,
            those of an earlier run counted as finished; or True or False: a progress line on stderr or none; or None:
            one on a terminal or in a notebook, if it takes over two seconds.

    Returns:
        The score table (see `scoring.table.score_table`), `attrs` telling settings, environment, directions, units and
        `failures`, each (architecture, seed, reason); a `FailedScores` warning names the first of them;
        edge values and sources of each column are in `get_proxy(name).documentation`.

    Raises:
        InputError for bad arguments or data, StoreError for an unusable store, Interrupted after Ctrl-C.
    """
    setting = prepare(space_or_name, proxies, data, seeds, measurement, settings, score_space)
    where, measured = setting.space, setting.measurement
    names = plan.choose_architectures(where, architectures, sample, sample_seed, strings)
    representatives = list(dict.fromkeys(where.canonical(name) for name in names))
    size = stacking.choose_together(together, where, measured)
    stacks = stacking.stacks(representatives, size)
    what = "architectures" if size == 1 else f"stacks of {size} architectures"
    shared = [arch for stack in plan.choose_shard(stacks, shard, what) for arch in stack]
    plan.check_threads(threads)
    plan.choose_executor(executor, address, gpus_per_task, measured.device)
    setting.try_settings(shared[0])
    batch = plan.batch_bytes(measured, setting.sizes, shared) * size
    processes = plan.choose_workers(workers, measured.device, threads, batch)
    asked, weights = setting.asked, setting.seeds
    recorded = setting.recorded | ({"together": size} if size > 1 else {})
    function = task.score_task if size == 1 else stacking.score_stack
    around = environment(threads, measured.device)
    if executor == "ray":
        here = address is None and measured.device == "cpu"
        run = partial(
            _run_on_ray,
            function=function,
            workers=plan.choose_workers(workers or None, "cpu", threads, batch) if here else workers or None,
            threads=threads,
            initializer=prepare_node,
            initargs=(None if allow_mismatch else around, *setting.initargs),
            address=address,
            gpus_per_task=gpus_per_task,
        )
    else:
        run = partial(
            _run_here,
            function=function,
            workers=processes,
            threads=threads,
            initializer=task.prepare,
            initargs=setting.initargs,
        )
    if size > 1:
        run = partial(stacking.run_stacks, members=stacks, run=run)
    with ExitStack() as stack:
        path = (
            store_place(store) if store is not None else Path(stack.enter_context(TemporaryDirectory())) / "scores.db"
        )
        kept = stack.enter_context(ScoreStore.open(path, recorded, around, allow_mismatch=allow_mismatch))
        if retry_failed:
            kept.retry_failed(product(shared, weights, [proxy.key for proxy in asked]))
        tasks = _missing(kept, shared, weights, asked)
        before = len(shared) * len(weights) - len(tasks)
        checks = to_check(kept, where, shared, weights[0]) if asked else []
        told = stack.enter_context(reporting(progress, f"scoring {where.name}"))
        try:
            _run(kept, checks, tasks, before, run, told)
        except _Stopped as stop:
            raise Interrupted(
                f"stopped after {stop} scores; "
                + (
                    f"they are kept in {path}: the same command goes on from there"
                    if store is not None
                    else "nothing was kept: name a store to be able to go on"
                )
            ) from None
        rows = kept.read()
        mine = set(shared)
        found = failures(kept, {proxy.key for proxy in asked})
        failed = [failure for failure in found if failure[0] in mine and failure[1] in weights]
    warn_of(failed, len(shared), "attrs['failures'] of the table", stacklevel=2)
    names = [name for name in names if where.canonical(name) in mine]
    return score_table(where, names, setting.proxies, rows, weights, setting.sizes, rows.attrs | {"failures": failed})


class _Stopped(Exception):
    """Ctrl-C in the middle of a run; the text says how far it was."""


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


def _keep(kept: ScoreStore, arch: str, seed: int, result: task.Result) -> str | None:
    """Write a result; returns why not, if the architecture's name has come to mean another network."""
    try:
        kept.write(arch, seed, result.scores, result.seconds, result.detail, result.network)
    except OtherNetwork as error:
        return f"its function returns another network than before: {error}"
    return None


def _run_here(tasks: list[Any], *, function: Callable[[Any], Any], workers: int, **options: Any) -> Generator[Outcome]:
    return run_tasks(function, tasks, workers=min(workers, len(tasks)), **options)


def _run_on_ray(tasks: list[Any], *, function: Callable[[Any], Any], **options: Any) -> Generator[Outcome]:
    from automl_theory.scoring.ray_executor import run_tasks

    return run_tasks(function, tasks, **options)


def prepare_node(expected: dict[str, str] | None, *initargs: Any) -> None:
    """`task.prepare` on a node of a cluster; StoreError if scores there would differ in their last bits from here."""
    measured: Measurement = initargs[1]
    if expected is not None:
        found = environment(int(expected["threads_per_worker"]), measured.device)
        unlike = [f"{key} {found[key]!r}, not {value!r}" for key, value in expected.items() if found[key] != value]
        if unlike:
            raise StoreError(
                f"the node {platform.node()} has {', '.join(unlike)}, and its scores could differ in their last bits; "
                "make it alike, or give allow_mismatch=True (--allow-mismatch)"
            )
    task.prepare(*initargs)


def _run(
    kept: ScoreStore,
    checks: list[task.Task],
    tasks: list[task.Task],
    before: int,
    run: Callable[[list[task.Task]], Generator[Outcome]],
    told: Report,
) -> None:
    finished, total, failed = before, before + len(tasks), 0
    try:
        told(finished, total, failed)
        outcomes = run([*checks, *tasks])
        with closing(outcomes):
            for outcome in outcomes:
                arch, seed, names = outcome.task
                if not names:
                    check_network(kept, arch, outcome.result.network if outcome.result else "", outcome.error)
                    continue
                error = outcome.error if outcome.error is not None else _keep(kept, arch, seed, outcome.result)
                if error is not None:
                    failed += 1
                    keys = [proxy.key for proxy in get_proxies(names)]
                    kept.write(arch, seed, dict.fromkeys(keys, (None, "failed")), 0.0, error)
                finished += 1
                told(finished, total, failed)
    except KeyboardInterrupt:
        raise _Stopped(f"{finished} of {total}") from None
