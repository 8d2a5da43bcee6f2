"""Search algorithms on small spaces whose answer is known, beside slow obvious versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise, product

import numpy as np
import pytest

from automl_theory.errors import InputError
from automl_theory.search.connectivity import moderate
from automl_theory.search.evolution import evolution
from automl_theory.search.merit import Numbers, RankSum, best
from automl_theory.search.nsga2 import fronts, nsga2
from automl_theory.search.random_search import random_search
from automl_theory.search.variation import Variables
from automl_theory.spaces import space
from automl_theory.spaces.nas_bench_201 import NasBench201

CHOICES = {f"v{k}": tuple("abcd") for k in range(4)}


def joined(chosen: Mapping[str, str]) -> str:
    return "".join(chosen.values())


TOY = Variables(CHOICES, joined, lambda arch: True)


def score(arch: str) -> Numbers:
    return (float(sum("abcd".index(letter) for letter in arch)),)


def two(arch: str) -> Numbers:
    return float(arch.count("a")), float(arch.count("b"))


def drive(loop: object, values: Callable[[str], Numbers], n: int) -> list[str]:
    asked = [next(loop)]
    while len(asked) < n:
        asked.append(loop.send(values(asked[-1])))
    return asked


def test_evolution_finds_the_best_of_a_smooth_space() -> None:
    for seed in range(5):
        assert "dddd" in drive(evolution(TOY, seed), score, 200)


def reference_evolution(seed: int, n: int, population: int, tournament: int, warm_up: int) -> list[str]:
    """The algorithm with one measure, written down again: ages are birth numbers, the oldest dies."""
    rng = np.random.default_rng(seed)
    asked, living = [], []
    for birth in range(warm_up):
        genes = TOY.random(rng)
        asked.append(TOY.arch(genes))
        living.append((birth, genes))
    living.sort(key=lambda one: (-score(TOY.arch(one[1]))[0], one[0]))
    living = sorted(living[:population])
    for birth in range(warm_up, n):
        drawn = sorted(rng.choice(population, tournament, replace=False))
        living.sort()
        parent = max((living[k] for k in drawn), key=lambda one: score(TOY.arch(one[1]))[0])
        child = TOY.mutate(parent[1], rng)
        asked.append(TOY.arch(child))
        living.append((birth, child))
        living.remove(min(living))
    return asked


@pytest.mark.parametrize("seed", range(3))
def test_the_oldest_dies(seed: int) -> None:
    found = drive(evolution(TOY, seed, population=6, tournament=3, warm_up=9), score, 80)
    assert found == reference_evolution(seed, 80, 6, 3, 9)


def test_a_tournament_of_one_forgets_even_the_best() -> None:
    found = drive(evolution(TOY, 0, population=1, tournament=1, warm_up=1), score, 50)
    assert all(sum(a != b for a, b in zip(x, y, strict=True)) == 1 for x, y in pairwise(found))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (3, 2, 4), (1, 5, 4)])
def test_impossible_sizes_of_evolution(sizes: tuple[int, int, int]) -> None:
    tournament, population, warm_up = sizes
    with pytest.raises(InputError, match="1 <= tournament <= population <= warm_up"):
        next(evolution(TOY, 0, tournament=tournament, population=population, warm_up=warm_up))


def test_nsga2_finds_the_whole_front() -> None:
    front = {"".join(letters) for letters in product("ab", repeat=4)}
    wanted = {two(arch) for arch in front}
    for seed in range(3):
        seen = drive(nsga2(TOY, seed), two, 300)
        assert wanted <= {two(arch) for arch in seen}


def test_nsga2_refuses_a_population_of_one() -> None:
    with pytest.raises(InputError, match="at least 2"):
        next(nsga2(TOY, 0, population=1))


def brute_fronts(points: list[Numbers]) -> list[int]:
    left, number, layer = set(range(len(points))), 0, [0] * len(points)

    def dominates(a: Numbers, b: Numbers) -> bool:
        return a != b and all(x >= y for x, y in zip(a, b, strict=True))

    while left:
        number += 1
        front = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        for i in front:
            layer[i] = number
        left -= front
    return layer


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_fronts_are_those_of_brute_force(columns: int) -> None:
    rng = np.random.default_rng(columns)
    for _ in range(30):
        points = [tuple(float(v) for v in row) for row in rng.integers(0, 5, (25, columns))]
        points[0] = (float("-inf"),) * columns
        layers, crowding = fronts(points)
        assert layers.tolist() == brute_fronts(points)
        assert not np.isnan(crowding).any()


def test_crowding_by_hand() -> None:
    layers, crowding = fronts([(0.0, 9.0), (1.0, 5.0), (2.0, 4.0), (100.0, 0.0), (0.0, 0.0)])
    assert layers.tolist() == [1, 1, 1, 1, 2]
    assert crowding[[0, 3]].tolist() == [np.inf, np.inf]
    assert crowding[1:3] == pytest.approx([4 / 3, 4 / 3])  # two ranks of three in both columns


def test_rank_sum_by_hand_and_its_order() -> None:
    ranks = RankSum()
    for numbers in [(1.0, 3.0), (2.0, 2.0), (2.0, -np.inf)]:
        ranks.add(numbers)
    assert ranks((2.0, 2.0)) == 2.0 + 1.5
    logs = RankSum(log=True)
    for numbers in [(1.0, 3.0), (2.0, 2.0), (2.0, -np.inf)]:
        logs.add(numbers)
    assert logs((2.0, 2.0)) == pytest.approx(np.log(2.5 / 4) + np.log(2 / 4))
    assert best({"x": (1.0, 1.0), "y": (2.0, 2.0), "z": (2.0, 2.0)}) == ["y", "z", "x"]


def test_random_search_is_the_sample_of_the_space_and_ends_with_it() -> None:
    where = space("nas_bench_201")
    allowed = Variables({}, joined, lambda arch: True)
    asked = list(random_search(where, allowed, 3))
    assert asked == where.sample(len(where.representatives()), 3)


def test_every_proposal_passes_the_filter() -> None:
    some = Variables(CHOICES, joined, lambda arch: "a" not in arch)
    for loop in (evolution(some, 0), nsga2(some, 0)):
        assert all("a" not in arch for arch in drive(loop, score, 100))
    nothing = Variables(CHOICES, joined, lambda arch: False)
    with pytest.raises(InputError, match="none passed the filter"):
        next(evolution(nothing, 0))


def test_a_mutation_changes_one_variable_and_all_are_reached() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(500):
        child = TOY.mutate((0, 1, 2, 3), rng)
        changed = [k for k in range(4) if child[k] != (0, 1, 2, 3)[k]]
        assert len(changed) == 1
        seen.add(child)
    assert len(seen) == 4 * 3


def test_the_filter_of_the_connectivity_paper_keeps_its_cells() -> None:
    where = space("nas_bench_201")
    keep = moderate(where)
    assert sum(map(keep, where)) == 6256
    assert keep.depth == pytest.approx((1.625 - 0.6875, 1.625 + 0.6875), abs=1e-6)
    assert keep.width == pytest.approx((2.1667 - 0.9167, 2.1667 + 0.9167), abs=1e-3)
    assert sum(map(moderate(where, 1.0), where)) == 13_642


class OneCell(NasBench201):
    """A space of one class."""

    def representatives(self) -> list[str]:
        return super().representatives()[-1:]


def test_bad_filters() -> None:
    with pytest.raises(InputError, match="radius must be above 0 and at most 1"):
        moderate(space("nas_bench_201"), 0)
    with pytest.raises(InputError, match="has no graphs"):
        moderate(space({"a": dict, "b": dict}))
    with pytest.raises(InputError, match="have one effective depth and width: the filter would leave none out"):
        moderate(OneCell())
