"""Nested left-regular subgraphs of a layer: for each degree d, the inputs of exactly d edges and the outputs they
reach.

The left side of K_d is regular, its right side not. IMDB, the iterative mean difference of bound, is the mean over d of
the gaps of the K_d; with the singular values of |W| in place of the mask's it is the nested weighted gap.

Source: Hoang, Liu, Marculescu, Wang (ICLR 2023); Hoang, Kundu, Liu, Wang (NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from automl_theory.graphs.bipartite import BipartiteGraph
from automl_theory.graphs.ramanujan import GraphSpectrum, spectrum_of


class Nested(NamedTuple):
    """K_d: the degree d of its inputs, its graph, and its graph with each of the given weights (None: all are zero)."""

    degree: int
    graph: GraphSpectrum
    weighted: tuple[GraphSpectrum | None, ...]


def nested_subgraphs(
    graph: BipartiteGraph, weights: Sequence[NDArray[np.float64]] = (), *, least_inputs: int = 1
) -> Iterator[Nested]:
    """Yield K_d for each degree d ≥ 1 that at least `least_inputs` inputs have, d ascending.

    `weights` are arrays of values for the graph's edges, ≥ 0 and finite; a zero is no edge of the weighted graph.
    """
    degrees = graph.input_degrees
    counts = np.bincount(degrees)
    for degree in np.flatnonzero(counts):
        if degree == 0 or counts[degree] < least_inputs:
            continue
        first = graph.starts[:-1][degrees == degree]
        edges = (first[:, None] + np.arange(degree, dtype=first.dtype)).ravel()
        starts = np.arange(0, len(edges) + 1, degree, dtype=graph.starts.dtype)
        targets = graph.targets[edges]
        shape = (len(first), graph.outputs)
        mask = spectrum_of(csr_array((np.ones(len(edges)), targets, starts), shape=shape), binary=True)
        assert mask is not None
        weighted = (csr_array((w[edges], targets, starts), shape=shape) for w in weights)
        yield Nested(int(degree), mask, tuple(spectrum_of(one, binary=False) for one in weighted))
