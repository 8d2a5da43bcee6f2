"""All measures of one pruned layer as one record: a value or None, and the reason for every None."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from automl_theory.errors import InputError
from automl_theory.graphs.bipartite import as_array, bipartite
from automl_theory.graphs.channels import channel_overlap
from automl_theory.graphs.conventions import Convention, convention_named
from automl_theory.graphs.full_spectrum import Coordinate, coordinate, distance, length
from automl_theory.graphs.mask_measures import FACTS, MEASURES
from automl_theory.graphs.mask_reasons import reasons, status
from automl_theory.graphs.mask_values import counted, of_groups, of_nested, of_weights, of_whole, unguarded
from automl_theory.graphs.nested import nested_subgraphs
from automl_theory.graphs.ramanujan import spectrum_of

Record = dict[str, Any]


def mask_metrics(
    mask: Any,
    weight: Any = None,
    convention: str = "strict",
    *,
    initial: Any = None,
    groups: int = 1,
    transposed: bool = False,
    baseline: bool = True,
) -> Record:
    """Measure a pruned layer as a bipartite graph: connectivity, Ramanujan gaps, nested subgraphs, full spectrum.

    Args:
        mask: (out, in) or (out, in/groups, *kernel) of booleans, zeros and ones (numpy, lists or torch). Left nodes are
            the unrolled inputs (group, channel, kernel position), right nodes the outputs, see `graphs.bipartite`.
        weight: of the mask's shape; without it λ, its nested form and the coordinate are None.
        convention: "strict" (every graph with an edge is measured), "iclr23" or "neurips23" (as the papers' released
            codes, whose guards, factors and slips `graphs.conventions` lists).
        initial: the weights at initialisation, for `coordinate_distance`.
        groups, transposed: as the convolution was made. The authors' codes know neither: a grouped layer measured with
            groups=1 is what they compute. With groups, the measures are those of the block-diagonal graph, which is
            disconnected by construction (σ2 is at least the second group's σ1, the gap as low); `per_group` has σ1, σ2,
            gap and degrees of each group, and `ramanujan_gap_per_group` their mean gap.
        baseline: False leaves out the random-mask value, which costs a small layer more than all other measures.

    Returns:
        A dict, always with the same keys; undefined is None. n_L, n_R, d_L, d_R, E leave isolated nodes out.

        inputs, outputs        numbers of left and right nodes, n_left and n_right without isolated ones
        groups, edges, density   diagonal blocks, kept weights, kept weights per weight of the layer
        components             connected components with an edge
        degrees                (d_L, d_R) = (E/n_L, E/n_R)
        sigma1, sigma2         μ0 and μ̂, the singular values of the mask; σ2 = 0 for one row, one column, one edge
        ramanujan_gap, …_eigen, …_regular       the three gaps, bound - σ2, see `graphs.ramanujan`
        …_normalised           gap/bound; None where the bound is 0 (a perfect matching)
        ramanujan_gap_random, ramanujan_gap_excess   the mean gap of random masks of this shape and number of edges, and
            the gap (per group) minus that, see `graphs.random_masks`
        narc                   normalised random coefficient: [(σ2²/4 + 1)√(n_L n_R) - E]/(n_L n_R), ≤ 0 as for a random
            graph; iclr23 divides by isolated nodes too; neurips23 logs the mixing coefficient under that name
        narc_single_count      NaRC as its docstring has it, edges counted once: next to a rescaled σ2²
        imdb, imdb_normalised  mean over the nested left-regular subgraphs K_d of Δr, of Δr/bound (`graphs.nested`);
            every degree counts the same, one input as much as a thousand; imdb_edge_weighted weighs them by edges
        imdb_eigen, …          the same of Δs; imdb_without_factor: before the factor of neurips23
        imdb_or_gap            imdb_normalised or else ramanujan_gap_normalised: what the ICLR 2023 figure plots
        n_subgraphs, subgraph_degrees   the K_d that count: their number, and ((d, inputs of degree d), …)
        expansion_ratio, expansion_max, expansion_mean   n_R/n_L of the layer, and over the K_d
        weighted_gap, nested_weighted_gap   λ = σ1 - σ2 of |W|, and its mean over the K_d; in units of the weights
        coordinate             (Δr, λ, IMDB, nested λ); coordinate_length its L2 norm, coordinate_distance the L2
            distance from the coordinate of the same mask with the initial weights
        mixing, …              coefficients of neurips23 alone
        channel_overlap        see `graphs.channels`; 1 without a kernel
        status                 "ok", "no_subgraphs" (no K_d passes the convention), "low_degree" (the whole layer does
            not), "collapsed" (no edge left)
        reason, reasons        why, in words: of the status (None if ok), and of every measure that is None

    NaN or infinity among the kept weights, now or at initialisation, makes the weighted measures None, and says so.

    Errors: InputError for a mask that is not one of zeros and ones of two axes or more, weights of another shape, an
    unknown convention, `initial` without `weight`, groups that do not divide the outputs.

    Sources: Hoang, Liu, Marculescu, Wang (ICLR 2023); Hoang, Kundu, Liu, Wang (NeurIPS 2023).
    """
    rules = convention_named(convention)
    if initial is not None and weight is None:
        raise InputError("initial weights came without weights to compare with them; give weight= as well")
    kept = as_array(mask)
    graph = bipartite(kept, weight, groups=groups, transposed=transposed)
    if not rules.zero_weights_are_edges and graph.weights is not None and not graph.weights.all():
        kept = kept.astype(bool) & (as_array(weight) != 0)
        graph = bipartite(kept, weight, groups=groups, transposed=transposed)
    weights = [] if graph.weights is None else [graph.weights]
    if initial is not None:
        started = bipartite(kept, initial, groups=groups, transposed=transposed)
        weights += [] if started.weights is None else [started.weights]
    finite = all(bool(np.isfinite(values).all()) for values in weights)
    if not finite:
        weights = []

    whole = spectrum_of(graph.matrix(), binary=True)
    passes = whole is not None and rules.whole(whole.degree_left, whole.degree_right)
    nodes = 0 if whole is None else whole.left + whole.right
    nested = [
        one
        for one in nested_subgraphs(graph, weights, least_inputs=rules.least_inputs)
        if rules.nested(one.graph.degree_left, one.graph.degree_right)
    ]
    record: Record = dict.fromkeys((*FACTS, *MEASURES, "coordinate", "per_group", "status", "reason", "reasons"))
    record |= counted(graph, whole) | of_nested(nested, nodes, rules)
    if whole is not None:
        record |= unguarded(graph, whole, baseline=baseline) | of_groups(graph, whole, rules)
        record |= of_whole(graph, whole, rules) if passes else {}
    if baseline and record["ramanujan_gap_per_group"] is not None:
        record["ramanujan_gap_excess"] = record["ramanujan_gap_per_group"] - record["ramanujan_gap_random"]
    record["imdb_or_gap"] = record["imdb_normalised"]
    if record["imdb_or_gap"] is None:
        record["imdb_or_gap"] = record["ramanujan_gap_normalised"]
    points = []
    for number, values in reversed([*enumerate(weights)]):
        weighted = spectrum_of(graph.matrix(values), binary=False)
        record |= of_weights(nested, number, weighted, nodes, rules, passes=passes)
        points.append(_coordinate(record, rules))
    if points:
        record["coordinate"] = points[-1]
        record["coordinate_length"] = length(points[-1])
        record["coordinate_distance"] = distance(*points) if len(points) == 2 else None
    record["channel_overlap"] = channel_overlap(graph, prod(kept.shape[2:]))
    if rules.name == "iclr23" and not passes:
        record["degrees"] = None
    record["status"], record["reason"] = status(record, rules, passes=passes)
    absent = "no weights were given" if weight is None else None if finite else "kept weights hold NaN or infinity"
    record["reasons"] = reasons(record, rules, weighted=absent, initial=initial is not None, baseline=baseline)
    return record


def _coordinate(record: Record, rules: Convention) -> Coordinate | None:
    axes = (record[name] for name in Coordinate._fields)
    return coordinate(*axes, zero_for_undefined=rules.undefined_counts_zero)
