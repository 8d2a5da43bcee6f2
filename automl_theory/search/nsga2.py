"""NSGA-II: a population sorted into fronts, sparse places of a front preferred."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from automl_theory.analysis.dominance import dense_ranks, layer_numbers
from automl_theory.errors import InputError
from automl_theory.search.merit import Numbers
from automl_theory.search.variation import Genes, Variables

FRESH_TRIES = 20


def nsga2(variables: Variables, seed: int, *, population: int = 20) -> Generator[str, Numbers, None]:
    """Propose architectures for ever: `population` random ones, then generations of as many children.

    Parents win binary tournaments by (front, crowding); a child takes each variable from one of two parents and changes
    each with probability 1/variables, drawn again up to 20 times while it is in the population or generation already.
    The best `population` of parents and children by (front, crowding) live on; equal ones in the order of their birth.
    Errors: InputError for a population below 2. Source: Deb, Pratap, Agarwal & Meyarivan 2002.
    """
    if population < 2:
        raise InputError(f"expected a population of at least 2, got {population}; give more")
    rng = np.random.default_rng(seed)
    genes: list[Genes] = []
    values: list[Numbers] = []
    for _ in range(population):
        one = variables.random(rng)
        values.append((yield variables.arch(one)))
        genes.append(one)
    while True:
        front, crowd = fronts(values)
        keys = list(zip(front.tolist(), (-crowd).tolist(), strict=True))
        kept = sorted(range(len(genes)), key=keys.__getitem__)[:population]
        genes, values = [genes[k] for k in kept], [values[k] for k in kept]
        for _ in range(population):
            for _ in range(FRESH_TRIES):
                # They are sorted: of two the smaller number wins.
                first, second = rng.integers(population, size=(2, 2)).min(axis=1)
                child = variables.cross(genes[first], genes[second], rng)
                if child not in genes:
                    break
            values.append((yield variables.arch(child)))
            genes.append(child)


def fronts(values: list[Numbers]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The number of each point's front, from 1, and its crowding distance there; values (n, d), larger is better.

    The distance is Σ_k (next − previous)/(last − first) over the dense ranks in column k within the front, which unlike
    the values are finite and have no scale; the ends have +inf.
    """
    points = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    layers = layer_numbers(points)
    crowding = np.zeros(len(points))
    for layer in np.unique(layers):
        members = np.flatnonzero(layers == layer)
        for rank in dense_ranks(points[members]).T:
            order = np.argsort(rank, kind="stable")
            span = max(int(rank.max()), 1)
            crowding[members[order[[0, -1]]]] = np.inf
            crowding[members[order[1:-1]]] += (rank[order[2:]] - rank[order[:-2]]) / span
    return layers, crowding
