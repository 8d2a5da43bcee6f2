"""The recommended composite in a search: its measures of the graph, beside its proxies.

    merit = Σ_k log((r_k + ½)/(n + 1)),   r_k the rank of part k among the n architectures seen, ties averaged

over the parts of `analysis.composite.DEFAULT`, all of one weight: where every part is defined, the order of
`RankComposite.default()` fitted to the architectures seen. An undefined part is the lowest value; RankComposite, which
does not learn from it, puts it below all others too.
"""

from __future__ import annotations

import math

from automl_theory.analysis.composite import DEFAULT
from automl_theory.graphs.dag import metrics
from automl_theory.graphs.table import MEASURES
from automl_theory.spaces import Space

GRAPH = tuple(name for name in DEFAULT if name in MEASURES)
"""The parts that are measures of the graph, in DEFAULT's order."""


def graph_values(space: Space, arch: str) -> dict[str, float]:
    """`GRAPH` of an architecture; NaN where undefined, as for a cell without a path, or in a space without graphs."""
    graph = space.graph(arch)
    found = {} if graph is None else metrics(graph)
    return {name: found.get(name, math.nan) for name in GRAPH}


def graph_numbers(values: dict[str, float]) -> tuple[float, ...]:
    """The same as numbers that are better when larger; undefined is −inf."""
    signed = {name: value if DEFAULT[name][0] == "maximize" else -value for name, value in values.items()}
    return tuple(-math.inf if math.isnan(value) else value for value in signed.values())
