"""What a run over a space is to do: its architectures, seeds and shard, its workers and where they run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from automl_theory.errors import InputError, suggest
from automl_theory.scoring.machine import usable_cores, usable_memory
from automl_theory.scoring.measurement import Measurement
from automl_theory.spaces import Space

Item = TypeVar("Item")

MAX_SEEDS = 1_000_000
MOST_LISTED = 10_000_000
MAX_THREADS = 1024
EXECUTORS = ("processes", "ray")
# What a worker was seen to take for the core proxies, rounded up: torch itself; each image of the canonical
# NAS-Bench-201 network; each ReLU unit of an image, in numbers (2.0 there, 2.4 in DARTS, 3.8 in NAS-Bench-101).
BYTES_PER_WORKER, BYTES_PER_IMAGE = 2**29, 12 * 2**20
NUMBERS_PER_UNIT = 4
NETWORKS_LOOKED_AT = 1000


def check_threads(threads: int) -> int:
    """`threads` if it is a whole number from 1 to 1,024; else InputError."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise InputError(f"threads={threads!r}: give the torch threads of each worker, 1 or more (to {MAX_THREADS})")
    return threads


def batch_bytes(
    measured: Measurement, sizes: Callable[[str], Mapping[str, float]] | None, architectures: Sequence[str]
) -> float:
    """Memory that a worker takes for the batch in the largest of the networks, as far as `sizes` tells their ReLUs.

    A network whose ReLUs are not known, or are few, is taken for the canonical one of NAS-Bench-201. Of many
    architectures about a thousand are looked at, at equal distances.
    """
    units = 0.0
    if sizes is not None:
        step = 1 + len(architectures) // NETWORKS_LOOKED_AT
        units = max(sizes(arch).get("relu_units", 0.0) for arch in architectures[::step])
    return measured.n * max(BYTES_PER_IMAGE, NUMBERS_PER_UNIT * np.dtype(measured.dtype).itemsize * units)


def choose_workers(workers: int | None, device: str, threads: int = 1, batch: float = 0) -> int:
    """Worker processes: as asked, else as many as have `threads` cores and `batch` bytes of memory (one on a GPU)."""
    if workers is None:
        if device != "cpu":
            return 1
        fitting = usable_memory() / (BYTES_PER_WORKER + batch)
        return int(max(1, min(usable_cores() // threads, fitting)))
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise InputError(f"workers={workers!r}: give 0 (this process) or a positive number of processes")
    return workers


def choose_executor(executor: str, address: str | None, gpus_per_task: float, device: str) -> str:
    """`executor` if the options go with it: address and GPUs with Ray, a share of a GPU with device cuda alone."""
    if executor not in EXECUTORS:
        raise InputError(f"executor={executor!r} is not one of {', '.join(EXECUTORS)}.{suggest(executor, EXECUTORS)}")
    is_number = isinstance(gpus_per_task, int | float) and not isinstance(gpus_per_task, bool)
    if not is_number or not 0 <= gpus_per_task < math.inf or (gpus_per_task > 1 and gpus_per_task % 1):
        raise InputError(f"gpus_per_task={gpus_per_task!r}: give a share of one GPU, as 0.25, or a whole number")
    if executor != "ray":
        for name, value in (("address", address), ("gpus_per_task", gpus_per_task)):
            if value:
                raise InputError(f"{name}={value!r} is for Ray; add executor='ray' (--executor ray), or leave it out")
        return executor
    if device != "cpu" and not gpus_per_task:
        raise InputError(
            f"on Ray device {device!r} needs a share of a GPU for each worker; give gpus_per_task, as 0.25"
        )
    if device not in ("cpu", "cuda"):
        raise InputError(f"device={device!r}: Ray chooses each worker's GPU; use device cuda")
    if device == "cpu" and gpus_per_task:
        raise InputError(f"gpus_per_task={gpus_per_task!r} with device cpu would leave GPUs idle; use device cuda")
    return executor


def choose_architectures(
    space: Space, architectures: Iterable[Any] | None, sample: int | None, sample_seed: int, strings: bool
) -> list[str]:
    """The architectures of a run, each once: a given list, a sample (of classes, or of strings), or all.

    What `space.parse` returned may be in the list in place of strings, if the space has a `string` that turns it back.
    Without a list and a sample: all classes' representatives, or all strings. Raises InputError for an architecture the
    space does not know, an empty list, both a list and a sample, or a sample that is not from 1 to the space's size.
    """
    if architectures is not None:
        if isinstance(architectures, str) or not isinstance(architectures, Iterable):
            got = "one string" if isinstance(architectures, str) else type(architectures).__name__
            raise InputError(f"architectures must be a list of strings, got {got}; put it in a list")
        if sample is not None:
            raise InputError("architectures and a sample of them were asked for; give one of the two")
        text = getattr(space, "string", None)
        given = [arch if isinstance(arch, str) or text is None else text(arch) for arch in architectures]
        for arch in given:
            space.parse(arch)
        chosen = list(dict.fromkeys(given))
        if not chosen:
            raise InputError(
                "no architectures were given; give at least one, or leave the list out for the whole space"
            )
        return chosen
    if sample is not None:
        try:
            most = space.size if strings else getattr(space, "classes", None) or len(space.representatives())
        except InputError:  # Too many classes to be counted: `sample` knows how many it can draw.
            most = space.size
        if isinstance(sample, bool) or not isinstance(sample, int | np.integer) or not 1 <= sample <= most:
            what = "strings" if strings else "classes of equal architectures"
            raise InputError(f"sample={sample!r}: space {space.name} has {most} {what}; give 1 to {most}")
        return space.sample(int(sample), sample_seed, canonical=not strings)
    if space.size > MOST_LISTED:
        raise InputError(
            f"space {space.name} has {space.size:,} architectures, too many to score; give a sample of them, as by "
            "sample=100 or --sample 100"
        )
    return list(space) if strings else space.representatives()


def choose_seeds(seeds: int | Iterable[int]) -> list[int]:
    """Seeds of the weights: k gives 0…k−1; a list is taken as it is, each seed once.

    Raises InputError for none, or one that is no integer from 0 to 2⁶³ − 1 (what a store can hold).
    """
    chosen: list[Any] = list(seeds) if isinstance(seeds, Iterable) else []
    if not isinstance(seeds, Iterable) and _is_seed(seeds) and seeds <= MAX_SEEDS:
        chosen = list(range(seeds))
    if not chosen or not all(map(_is_seed, chosen)):
        raise InputError(
            f"seeds={seeds!r}: give a positive number of seeds (to {MAX_SEEDS}), or a list of numbers of 0 and more"
        )
    return list(dict.fromkeys(int(seed) for seed in chosen))


def _is_seed(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | np.integer) and bool(0 <= value < 2**63)


def choose_shard(items: Sequence[Item], shard: str | tuple[int, int] | None, what: str = "architectures") -> list[Item]:
    """Every n-th item from the i-th on, for shard "i/n" (1 ≤ i ≤ n); all items for None.

    Shards of one list are disjoint and together the list. Raises InputError for another form or a shard without items.
    """
    if shard is None:
        return list(items)
    try:
        i, n = (int(part) for part in (shard.split("/") if isinstance(shard, str) else shard))
    except (ValueError, TypeError):
        raise InputError(f"shard={shard!r} must look like 2/4: the second of four parts") from None
    if not 1 <= i <= n:
        raise InputError(f"shard={shard!r} must have 1 ≤ i ≤ n, as in 2/4: the second of four parts")
    if i > len(items):
        raise InputError(f"shard {i}/{n} of {len(items)} {what} is empty; use at most {len(items)} shards")
    return list(items)[i - 1 :: n]
