"""Graph measures of many architectures as one DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import pandas as pd

from automl_theory.errors import InputError
from automl_theory.graphs.dag import METRICS, CellGraph, metrics


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

    Errors: InputError for one string in place of a list, something that is no space, and whatever the space raises for
    a bad architecture. Source: Chen, Huang, Gong, Hanin & Wang, NeurIPS 2022 (effective depth and width).
    """
    if isinstance(architectures, str):
        raise InputError(f"expected several architectures, got one string; pass [{architectures!r}]")
    if not hasattr(space, "graph"):
        raise InputError(f"expected a space, got {space!r}; make one with automl_theory.space('nas_bench_201')")
    if architectures is not None and not isinstance(architectures, Iterable):
        raise InputError(f"expected several architectures, got {architectures!r}; pass a list of strings")
    names = list(space if architectures is None else architectures)
    rows = np.full((len(names), len(METRICS)), np.nan)
    connected = np.ones(len(names), dtype=bool)
    for row, name in enumerate(names):
        graph = space.graph(name)
        if graph is not None:
            values = metrics(graph)
            rows[row] = [values[metric] for metric in METRICS]
            connected[row] = values["paths"] > 0
    table = pd.DataFrame(rows, columns=list(METRICS), index=pd.Index(names, name="arch", dtype=str))
    table["connected"] = connected
    return table
