"""Regularized evolution: the best of a random sample gets a child, and the oldest dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import numpy as np

from automl_theory.errors import InputError
from automl_theory.search.merit import Numbers, RankSum
from automl_theory.search.variation import Variables


def evolution(
    variables: Variables,
    seed: int,
    *,
    population: int = 20,
    tournament: int = 5,
    warm_up: int = 40,
    log: bool = False,
) -> Generator[str, Numbers, None]:
    """Propose architectures for ever: first `warm_up` random ones, of which the best `population` live.

    Then, again and again: of `tournament` different living ones the best by rank sum among all seen has a child, one
    variable of which is changed; the child joins, and the oldest leaves, however good it is. Among the first, those
    that were seen earlier are older. `log` sums logarithms of ranks (see `RankSum`). Errors: InputError unless
    1 <= tournament <= population <= warm_up.

    Source: Real, Aggarwal, Huang & Le 2019 (ageing); Abdelfattah et al. 2021 (warm-up by proxy).
    """
    if not 1 <= tournament <= population <= warm_up:
        raise InputError(
            f"expected 1 <= tournament <= population <= warm_up, got {tournament}, {population} and {warm_up}; "
            "make the population larger than the tournament, and the warm-up at least as large"
        )
    rng, ranks = np.random.default_rng(seed), RankSum(log)
    pool = []
    for _ in range(warm_up):
        genes = variables.random(rng)
        numbers = yield variables.arch(genes)
        ranks.add(numbers)
        pool.append((genes, numbers))
    kept = sorted(sorted(range(warm_up), key=lambda k: -ranks(pool[k][1]))[:population])
    living = deque(pool[k] for k in kept)
    while True:
        drawn = sorted(rng.choice(population, tournament, replace=False).tolist())
        parent = max((living[k] for k in drawn), key=lambda member: ranks(member[1]))
        genes = variables.mutate(parent[0], rng)
        numbers = yield variables.arch(genes)
        ranks.add(numbers)
        living.append((genes, numbers))
        living.popleft()
