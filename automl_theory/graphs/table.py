"""Graph measures of many architectures as one DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import pandas as pd

from automl_theory.errors import InputError
from automl_theory.graphs.dag import METRICS, CellGraph
from automl_theory.graphs.many import metrics_of_many

MEASURES = {
    "paths": ("maximize", "paths", "P, the number of input-output paths"),
    "effective_depth": ("maximize", "layers a path", "sum_p d_p / P"),
    "effective_width": ("maximize", "paths a layer", "#{p : d_p > 0} / effective depth"),
    "total_depth": ("maximize", "layers", "sum_p d_p"),
    "min_depth": ("minimize", "layers", "min_p d_p"),
    "max_depth": ("maximize", "layers", "max_p d_p"),
    "shortest_path": ("minimize", "edges", "min_p |p|"),
    "longest_path": ("maximize", "edges", "max_p |p|"),
    "parameterised_edges": ("maximize", "edges", "#{live edges with a trainable layer}"),
    "live_edges": ("maximize", "edges", "#{edges on an input-output path}"),
    "density": ("maximize", "1", "live edges / (v (v - 1) / 2), v live nodes"),
    "algebraic_connectivity": ("maximize", "1", "second smallest Laplacian eigenvalue of the live graph"),
    "spectral_gap": ("maximize", "1", "largest minus second largest adjacency eigenvalue of the live graph"),
    "effective_kernel": ("maximize", "entries a path", "sum_p k_p / P, k_p the kernels' entries on path p"),
    "deepest_kernel": ("maximize", "entries", "max of k_p over the paths that do not pool"),
    "unpooled_paths": ("maximize", "paths", "#{p : p does not pool}"),
    "identity_paths": ("maximize", "paths", "#{p : p does not pool, k_p = 0}"),
}
"""Measure -> direction, unit, formula."""


MOST = 10_000_000
"""Graphs that a table is made of."""

CHUNK = 1 << 14
"""Graphs held at a time."""


class HasGraphs(Protocol):
    """What is asked of a space: iteration over its architectures, and the graph of each (None where there is none)."""

    def __iter__(self) -> Iterator[str]:
        """Yield the architectures."""

    def graph(self, arch: str) -> CellGraph | None:
        """Return the graph of one architecture."""


def graph_metrics(space: HasGraphs, architectures: Iterable[str] | None = None) -> pd.DataFrame:
    """Return one row an architecture (index `arch`, in the order given; the whole space by default).

    Columns: the measures of `graphs.dag.metrics` as float64 (counts of paths, edges and trainable layers; eigenvalues
    are pure numbers), and `connected` (bool). `space` is a space as `automl_theory.space` returns it; torch is not
    needed. An architecture without a graph has nan in every measure and counts as connected, since nothing says
    otherwise. No architectures: an empty table with the same columns.

    `attrs["proxies"]` describes the measures like proxies: family "graph", direction, unit, formula. `join` carries it
    on, so that `rank` (where they are named in `proxies=`) and `rank_table` know them. Chen et al. find a middle depth
    and width best, so that no end is good by itself; a direction says which end somebody argues for:

    effective_depth, total_depth, max_depth, longest_path   maximize: linear regions multiply with depth
    min_depth, shortest_path          minimize: on a short way the gradient reaches the input undiminished (ResNets)
    effective_width, paths            maximize: many ways side by side converge faster
    parameterised_edges, live_edges, density   maximize: more operations in use, which is size by another name
    algebraic_connectivity, spectral_gap       maximize: a signal spreads over the graph in fewer steps
    effective_kernel, deepest_kernel   maximize: depth weighed by the size of the kernels, not blurred by pooling
    unpooled_paths, identity_paths     maximize: ways on which nothing is averaged away, or even changed (ResNets)

    Errors: InputError for one string in place of a list, something that is no space, and whatever the space raises for
    a bad architecture. Sources: Chen, Huang, Gong, Hanin & Wang, NeurIPS 2022 (effective depth and width); Montúfar et
    al. 2014 (regions and depth); He et al. 2016 (short ways); Chung 1997 (eigenvalues).
    """
    if isinstance(architectures, str):
        raise InputError(f"expected several architectures, got one string; pass [{architectures!r}]")
    if not hasattr(space, "graph"):
        raise InputError(f"expected a space, got {space!r}; make one with automl_theory.space('nas_bench_201')")
    if architectures is not None and not isinstance(architectures, Iterable):
        raise InputError(f"expected several architectures, got {architectures!r}; pass a list of strings")
    if architectures is None and getattr(space, "size", 0) > MOST:
        raise InputError(
            "the space is too large to measure whole; give architectures, as by space.sample(1000, seed=0)"
        )
    names = list(space if architectures is None else architectures)
    rows = np.full((len(names), len(METRICS)), np.nan)
    connected = np.ones(len(names), dtype=bool)
    for start in range(0, len(names), CHUNK):
        graphs = [space.graph(name) for name in names[start : start + CHUNK]]
        known = [start + row for row, graph in enumerate(graphs) if graph is not None]
        rows[known] = metrics_of_many([graph for graph in graphs if graph is not None])
        connected[known] = rows[known, 0] > 0
    table = pd.DataFrame(rows, columns=list(METRICS), index=pd.Index(names, name="arch", dtype=str))
    table["connected"] = connected
    table.attrs["proxies"] = {
        name: {"family": "graph", "direction": direction, "unit": unit, "formula": formula}
        for name, (direction, unit, formula) in MEASURES.items()
    }
    return table
