"""The parts of a layer's record, each from the spectra that it needs: measure -> value or None."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from automl_theory.graphs.bipartite import BipartiteGraph
from automl_theory.graphs.conventions import Convention, Guard
from automl_theory.graphs.full_spectrum import weighted_gap
from automl_theory.graphs.nested import Nested
from automl_theory.graphs.ramanujan import GraphSpectrum, mixing, narc, narc_released, normalised, spectrum_of
from automl_theory.graphs.random_masks import random_gap

Values = dict[str, Any]


class Degrees(NamedTuple):
    """Mean degrees of the nodes that have an edge: E/n_L of the inputs, E/n_R of the outputs."""

    left: float
    right: float


def counted(graph: BipartiteGraph, whole: GraphSpectrum | None) -> Values:
    """What there is: nodes, edges, components, degrees (None without edges)."""
    return {
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "groups": graph.groups,
        "n_left": 0 if whole is None else whole.left,
        "n_right": 0 if whole is None else whole.right,
        "edges": graph.edges,
        "density": graph.edges / graph.possible_edges,
        "components": graph.components(),
        "degrees": None if whole is None else Degrees(whole.degree_left, whole.degree_right),
    }


def unguarded(graph: BipartiteGraph, whole: GraphSpectrum, *, baseline: bool) -> Values:
    """What every convention defines for a graph with an edge: the regular gap and, if wanted, the random-mask value."""
    gap = whole.bound_regular - whole.sigma2
    edges = max(1, round(graph.edges / graph.groups))
    size = graph.outputs // graph.groups, graph.inputs // graph.groups
    return {
        "ramanujan_gap_regular": gap,
        "ramanujan_gap_regular_normalised": normalised(gap, whole.bound_regular),
        "ramanujan_gap_random": random_gap(*size, edges) if baseline else None,
    }


def of_whole(graph: BipartiteGraph, whole: GraphSpectrum, rules: Convention) -> Values:
    """The measures of the whole layer's mask, which passes the convention's guard."""
    gap, gap_eigen = whole.bound - whole.sigma2, whole.bound_eigen - whole.sigma2
    mixed = mixing(whole, whole.left + whole.right, whole.left) if rules.mixing else None
    coefficients = {
        "strict": narc(whole),
        "iclr23": narc_released(whole, graph.inputs, graph.outputs),
        "neurips23": mixed,
    }
    return {
        "sigma1": whole.sigma1,
        "sigma2": whole.sigma2,
        "expansion_ratio": whole.expansion_ratio,
        "ramanujan_gap": gap,
        "ramanujan_gap_normalised": normalised(gap, whole.bound),
        "ramanujan_gap_eigen": gap_eigen,
        "ramanujan_gap_eigen_normalised": normalised(gap_eigen, whole.bound_eigen),
        "narc": coefficients[rules.name],
        "narc_single_count": narc_released(whole, graph.inputs, graph.outputs, counted=1),
        "mixing": mixed,
    }


def of_groups(graph: BipartiteGraph, whole: GraphSpectrum, rules: Convention) -> Values:
    """σ1, σ2, gap and degrees of each group, None for a group that does not pass, and the mean gap of those that do."""
    if graph.groups == 1:
        spectra: list[GraphSpectrum | None] = [whole]
    else:
        blocks = (graph.group(number) for number in range(graph.groups))
        spectra = [spectrum_of(block.matrix(), binary=True) for block in blocks]
    passed = [one if one and rules.whole(one.degree_left, one.degree_right) else None for one in spectra]
    gap = mean([one.bound - one.sigma2 for one in passed if one])
    values: Values = {"ramanujan_gap_per_group": gap}
    if graph.groups > 1:
        values["per_group"] = tuple(
            one
            and {
                "sigma1": one.sigma1,
                "sigma2": one.sigma2,
                "ramanujan_gap": one.bound - one.sigma2,
                "degrees": Degrees(one.degree_left, one.degree_right),
            }
            for one in passed
        )
    return values


def of_nested(nested: Sequence[Nested], nodes: int, rules: Convention) -> Values:
    """IMDB and its relatives over the subgraphs that pass; without any None (neurips23: 0). `nodes` are the layer's."""
    graphs = [one.graph for one in nested]
    factors = [graph.cheeger_factor if rules.cheeger else 1.0 for graph in graphs]
    gaps = [graph.bound - graph.sigma2 for graph in graphs]
    gaps_eigen = [graph.bound_eigen - graph.sigma2 for graph in graphs]
    edges = [graph.edges for graph in graphs]
    values: Values = {
        "n_subgraphs": len(nested),
        "subgraph_degrees": tuple((one.degree, one.graph.left) for one in nested),
        "imdb": mean(factor * gap for factor, gap in zip(factors, gaps, strict=True)),
        "imdb_without_factor": mean(gaps),
        "imdb_eigen": mean(gaps_eigen),
        "nested_mixing": mean(_mixed(graph, nodes) for graph in graphs) if rules.mixing else None,
    }
    if rules.undefined_counts_zero and not nested:
        values |= dict.fromkeys(("imdb", "imdb_without_factor", "nested_mixing"), 0.0)
    return values | {
        "imdb_normalised": mean(normalised(gap, graph.bound) for gap, graph in zip(gaps, graphs, strict=True)),
        "imdb_eigen_normalised": mean(
            normalised(gap, graph.bound_eigen) for gap, graph in zip(gaps_eigen, graphs, strict=True)
        ),
        "imdb_edge_weighted": float(np.average(gaps, weights=edges)) if edges else None,
        "expansion_max": max((graph.expansion_ratio for graph in graphs), default=None),
        "expansion_mean": mean(graph.expansion_ratio for graph in graphs),
    }


def of_weights(
    nested: Sequence[Nested],
    number: int,
    weighted: GraphSpectrum | None,
    nodes: int,
    rules: Convention,
    *,
    passes: bool,
) -> Values:
    """λ, nested λ and mixing coefficients of the weights of that number in each `Nested`.

    `weighted` is the whole layer's graph with these weights, `nodes` counts the nodes of the mask's, and `passes` says
    whether that is measured. neurips23 asks its guards of the weighted graphs too, and one nested graph that fails
    leaves the mean undefined.
    """
    passes = passes and _passes(weighted, rules.whole)
    inner = [one.weighted[number] for one in nested]
    all_pass = all(_passes(graph, rules.nested) for graph in inner)
    factors = [one.graph.cheeger_factor if rules.cheeger else 1.0 for one in nested]
    gaps = [weighted_gap(graph) for graph in inner]
    values: Values = {
        "weighted_gap": weighted_gap(weighted) if passes else None,
        "nested_weighted_gap": mean(factor * gap for factor, gap in zip(factors, gaps, strict=True)),
        "nested_weighted_gap_without_factor": mean(gaps),
        "mixing_weighted": None,
        "nested_mixing_weighted": None,
    }
    if rules.mixing:
        if passes and weighted:
            values["mixing_weighted"] = mixing(weighted, nodes, weighted.left)
        values["nested_mixing_weighted"] = mean(_mixed(graph, nodes) for graph in inner)
    if not all_pass or not nested:
        absent = 0.0 if rules.undefined_counts_zero and not nested else None
        values |= dict.fromkeys(("nested_weighted_gap", "nested_weighted_gap_without_factor"), absent)
        values["nested_mixing_weighted"] = absent if rules.mixing else None
    return values


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined; None without any."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _passes(graph: GraphSpectrum | None, guard: Guard) -> bool:
    return guard(0.0, 0.0) if graph is None else guard(graph.degree_left, graph.degree_right)


def _mixed(graph: GraphSpectrum | None, nodes: int) -> float | None:
    return None if graph is None else mixing(graph, nodes, graph.right)
