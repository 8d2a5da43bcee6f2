"""Searches under many seeds, in this process or in several."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from automl_theory.counts import whole
from automl_theory.errors import AutoMLTheoryError
from automl_theory.progress import Report
from automl_theory.scoring.executors import run_tasks
from automl_theory.search.request import Search
from automl_theory.search.run import Found, run


def repeat(
    asked: Search, seeds: Sequence[int], folder: Path | None = None, *, workers: int = 0, progress: Report | None = None
) -> list[Found]:
    """Make the search under each seed, and return what was found in the order of `seeds`.

    workers    processes, a search each; 0 or 1 is this one. Results do not depend on it
    progress   called with (finished, total, failed): steps in this process (of an unknown total, 0, where
               time alone ends a search), searches with several

    Errors: as `run`; AutoMLTheoryError with the first reason if a search failed in a process, the others being kept.
    """
    whole("workers, the number of processes,", workers, 0)
    told = progress or (lambda finished, total, failed: None)
    if workers < 2 or len(seeds) < 2:
        found = list[Found]()
        for number, seed in enumerate(seeds):

            def step(done: int, steps: int, number: int = number) -> None:
                earlier = number * steps or sum(one.evaluations for one in found)
                told(earlier + done, len(seeds) * steps, 0)

            found.append(run(asked, seed, folder, step))
        return found
    results: dict[int, Found] = {}
    failures: list[str] = []
    told(0, len(seeds), 0)
    outcomes = run_tasks(partial(_one, asked, folder), seeds, workers=min(workers, len(seeds)), threads=asked.threads)
    with closing(outcomes):
        for outcome in outcomes:
            if outcome.error:
                failures.append(f"seed {outcome.task}: {outcome.error}")
            else:
                results[outcome.task] = outcome.result
            told(len(results) + len(failures), len(seeds), len(failures))
    if failures:
        raise AutoMLTheoryError(f"{len(failures)} of {len(seeds)} searches failed, first {failures[0]}")
    return [results[seed] for seed in seeds]


def _one(asked: Search, folder: Path | None, seed: int) -> Found:
    return run(asked, seed, folder)
