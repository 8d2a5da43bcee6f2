"""TE-NAS: a supernet from which the least important operation of each edge is removed, round by round.

A round measures the supernet, and the supernet without operation o on edge e for every candidate (e, o):

    change of κ   (κ − κ₋ₑₒ)/κ     κ the condition number of the tangent kernel of a small network (3 channels, one cell
                                   a stage, 72 images)
    change of R   (R − R₋ₑₒ)/R     R the linear regions of a thinner one (1 channel, one cell, 3 × 1,000 inputs 1×3×3)
    change of E   (E − E₋ₑₒ)/E     E the error of kernel regression with that kernel; the third of TEG-NAS, on request

each the mean over three draws of weights, images and inputs. Changes are ranked (equal ones share a rank, ranks have no
gaps): the removal that lowers κ and E most, and raises R most, comes first. Of each edge the candidate with the
smallest sum of ranks is removed, until every edge has one. For NAS-Bench-201 that is 24 + 18 + 12 removals.

`none` is no candidate, as in the authors' code, so only cells without `none` are found. Departures: weights and images
are drawn anew in each of the three repeats and are the same for all removals of a round (the released initialisation
names do not exist, so that κ's repeats have equal weights; images differ between removals, and for R weights too);
images are not flipped and shifted at random; inputs of the thin network are Gaussian (there: random crops of images);
BatchNorm's statistics are constants of the gradient unless bn="batch"; E is taken between the two halves of the batch.

Sources: Chen, Gong & Wang, ICLR 2021 (TE-NAS); Chen, Gong, Wang et al. 2021 (TEG-NAS, which takes the three measures as
a reward of other search algorithms; its pruning variant is the same sum with a third rank).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from automl_theory import linalg
from automl_theory.counts import whole
from automl_theory.data import Batch, load_batch, split_halves
from automl_theory.errors import InputError
from automl_theory.networks.cell import EDGES
from automl_theory.networks.initialise import METHODS
from automl_theory.networks.supernet import SuperNetwork, ThinSuperNetwork
from automl_theory.probing.batch_norm import BN_MODES
from automl_theory.probing.call import check_choice
from automl_theory.probing.regions import thin_regions
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.sources import Spec, source_digest
from automl_theory.spaces import Space

Candidates = tuple[tuple[str, ...], ...]
Removal = tuple[int, str]
Measures = tuple[float, ...]

BETTER = {"ntk_condition_number": -1, "linear_regions_thin": 1, "ntk_regression_error": -1}
"""Measure -> whether it is wanted large (1) or small (-1); TE-NAS takes the first two."""


@dataclass(frozen=True)
class Supernets:
    """How supernets are measured: images, size of the small network, repeats; see the module."""

    data: Spec = "digits"
    n: int = 72
    channels: int = 3
    cells_per_stage: int = 1
    samples: int = 1000
    batches: int = 3
    repeats: int = 3
    bn: Literal["frozen", "batch"] = "frozen"
    init: str = "pytorch"
    generalization: bool = False
    _batches: dict[int, Batch] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Errors: InputError for a setting that no supernet can be measured with."""
        for name in ("n", "channels", "cells_per_stage", "samples", "batches", "repeats"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 2 if name == "n" else 1))
        check_choice("bn", self.bn, BN_MODES)
        check_choice("init", self.init, METHODS)

    @property
    def recorded(self) -> dict[str, Any]:
        """What its numbers depend on: settings, and the data that batches are drawn from."""
        settings = {name: value for name, value in vars(self).items() if name not in ("data", "_batches")}
        return {"settings": settings, "data": source_digest(self.data)}

    def __call__(self, candidates: Candidates, seed: int) -> Measures:
        """κ, R and, with `generalization`, E of the supernet with weights, images and inputs of `seed`."""
        batch = self._batch(seed)
        net = SuperNetwork(candidates, self.channels, self.cells_per_stage, batch.classes, seed=seed, init=self.init)
        kernel = empirical_ntk(net, batch.x, bn=self.bn).cpu().numpy()
        thin = ThinSuperNetwork(candidates, seed=seed, init=self.init)
        condition = linalg.spectrum(kernel, linalg.EPS32).condition_number
        regions = float(thin_regions(thin, self.samples, self.batches, seed))
        if not self.generalization:
            return condition, regions
        return condition, regions, _regression_error(kernel, batch.y.numpy(), batch.classes)

    def _batch(self, seed: int) -> Batch:
        if seed not in self._batches:
            self._batches[seed] = load_batch(self.data, self.n, seed)
        return self._batches[seed]


def _regression_error(kernel: linalg.Array, labels: np.typing.NDArray[np.int64], classes: int) -> float:
    """Mean of `linalg.kernel_regression_error` from either class-balanced half to the other."""
    y, halves = np.eye(classes)[labels], split_halves(labels)
    return float(
        np.mean(
            [
                linalg.kernel_regression_error(
                    kernel[np.ix_(a, a)], kernel[np.ix_(b, a)], y[a], y[b], eps=linalg.EPS32
                )[0]
                for a, b in (halves, halves[::-1])
            ]
        )
    )


def start(space: Space) -> Candidates:
    """All operations but `none` on every edge. Errors: InputError for a space without supernets."""
    if space.name != "nas_bench_201":
        raise InputError(
            f"space {space.name!r} has no supernet; only nas_bench_201 can be pruned, take random, evolution or nsga2"
        )
    from automl_theory.spaces.nas_bench_201 import OPERATIONS

    return tuple(tuple(name for name in OPERATIONS if name != "none") for _ in EDGES)


def removals(candidates: Candidates) -> list[Removal]:
    """Every (edge, operation) that leaves its edge with at least one."""
    return [(e, name) for e, names in enumerate(candidates) if len(names) > 1 for name in names]


def all_removals(candidates: Candidates) -> int:
    """How many removals are measured until every edge has one candidate, each round taking one from every edge."""
    sizes = [len(names) for names in candidates]
    return sum(sum(size - gone for size in sizes if size - gone > 1) for gone in range(max(sizes)))


def without(candidates: Candidates, removed: Sequence[Removal]) -> Candidates:
    """The candidates less `removed`."""
    gone = set(removed)
    return tuple(tuple(name for name in names if (e, name) not in gone) for e, names in enumerate(candidates))


def round_seeds(seed: int, number: int, repeats: int) -> list[int]:
    """Seeds of weights, images and inputs in a round (numbered from 0), one a repeat."""
    return [int(word) for word in np.random.SeedSequence([seed, number]).generate_state(repeats)]


def changes(
    candidates: Candidates, measure: Callable[[Candidates, int], Measures], seeds: Sequence[int]
) -> Iterator[tuple[Removal, Measures]]:
    """Each removal with the mean over `seeds` of the relative changes (before − after)/before of all measures."""
    before = [measure(candidates, seed) for seed in seeds]
    for removal in removals(candidates):
        smaller = without(candidates, [removal])
        after = [measure(smaller, seed) for seed in seeds]
        found = [
            [relative(x, y) for x, y in zip(whole, rest, strict=True)]
            for whole, rest in zip(before, after, strict=True)
        ]
        yield removal, tuple(math.fsum(column) / len(seeds) for column in zip(*found, strict=True))


def relative(before: float, after: float) -> float:
    """(before − after)/before, rounded to three decimals; where κ is infinite 0 for both, else 1 or −inf."""
    if math.isinf(before) or math.isinf(after):
        return 0.0 if before == after else 1.0 if math.isinf(before) else -math.inf
    return round((before - after) / before, 3) if before else 0.0


def prune(
    measure: Callable[[Candidates, int], Measures],
    candidates: Candidates,
    better: Sequence[int],
    seeds: Sequence[int],
    told: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """A round, ready for JSON: the changes, what is removed and left, supernets measured (repeats too) and seconds.

    `told` is called with the number of removals measured, after each.
    """
    start = time.perf_counter()
    measured: dict[Removal, Measures] = {}
    for removal, found in changes(candidates, measure, seeds):
        measured[removal] = found
        told(len(measured))
    removed = choose(measured, better)
    return {
        "changes": [[edge, name, list(found)] for (edge, name), found in measured.items()],
        "removed": [list(removal) for removal in removed],
        "left": [list(names) for names in without(candidates, removed)],
        "evaluations": (len(measured) + 1) * len(seeds),
        "seconds": time.perf_counter() - start,
    }


def choose(measured: dict[Removal, Measures], better: Sequence[int]) -> list[Removal]:
    """Of each edge the removal with the smallest sum of ranks over all removals; of equal ones the first by κ.

    better   +1 for a measure that is wanted large: its removal ranks first that changes it least, or raises it; −1 for
             one that is wanted small. A change that is NaN ranks last
    """
    total = dict.fromkeys(measured, 0)
    for column, way in enumerate(better):
        wanted = {removal: _last_if_nan(way * values[column]) for removal, values in measured.items()}
        ranks = {value: rank for rank, value in enumerate(sorted(set(wanted.values())))}
        for removal, value in wanted.items():
            total[removal] += ranks[value]
    ordered = sorted(measured, key=lambda removal: _last_if_nan(better[0] * measured[removal][0]))
    ordered.sort(key=lambda removal: total[removal])
    return [next(r for r in ordered if r[0] == edge) for edge in sorted({edge for edge, _ in measured})]


def _last_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
