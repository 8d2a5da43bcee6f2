"""The filter of the connectivity paper: architectures that are neither extreme in depth nor in width.

    keep a  ⇔  |d̄(a) − d*| ≤ r·D/2  and  |m̄(a) − m*| ≤ r·M/2

d̄ is the effective depth and m̄ the effective width (`graphs.dag.metrics`), d* and m* the middles and D and M the lengths
of their ranges over the space. With r = 1/2, the paper's choice, 6,256 of the 15,625 cells of NAS-Bench-201 are kept.
Source: Chen, Huang, Gong, Hanin & Wang, NeurIPS 2022; the released code has other limits for that space (8,226 cells).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from automl_theory.errors import InputError
from automl_theory.graphs.dag import metrics
from automl_theory.graphs.table import graph_metrics
from automl_theory.spaces import Space

LISTED = 1_000_000
SAMPLED = 10_000


@dataclass(frozen=True)
class Moderate:
    """Whether an architecture of `space` has an effective depth and an effective width within limits."""

    space: Space
    depth: tuple[float, float]
    width: tuple[float, float]

    def __call__(self, arch: str) -> bool:
        """False for a cell without a trainable layer on any path, whose effective width is undefined."""
        found = _measured(self.space, arch)
        if found is None:
            return False
        return self.depth[0] <= found[0] <= self.depth[1] and self.width[0] <= found[1] <= self.width[1]


def moderate(space: Space, radius: float = 0.5) -> Moderate:
    """The filter of a space; ranges are over its classes, or over 10,000 sampled ones of a space above a million.

    Errors: InputError for a radius that is not above 0 and at most 1, a space without graphs, or one where all
    architectures have the same depth and width.
    """
    if isinstance(radius, bool) or not (isinstance(radius, int | float | np.number) and 0 < radius <= 1):
        raise InputError(f"radius must be above 0 and at most 1, got {radius!r}; the paper's is 0.5")
    names = space.representatives() if space.size <= LISTED else space.sample(SAMPLED, 0)
    if space.graph(names[0]) is None:
        raise InputError(f"space {space.name!r} has no graphs, which the filter by depth and width needs; leave it out")
    measured = graph_metrics(space, names)[["effective_depth", "effective_width"]].to_numpy()
    found = measured[(measured[:, 0] > 0) & ~np.isnan(measured[:, 1])]
    if not len(found) or (found == found[0]).all():
        raise InputError(
            f"all architectures of space {space.name!r} have one effective depth and width: the filter would leave "
            "none out; drop it"
        )
    limits = []
    for values in found.T.tolist():
        middle, reach = (max(values) + min(values)) / 2, radius * (max(values) - min(values)) / 2
        limits.append((middle - reach - 1e-9, middle + reach + 1e-9))
    return Moderate(space, limits[0], limits[1])


def _measured(space: Space, arch: str) -> tuple[float, float] | None:
    graph = space.graph(arch)
    assert graph is not None
    found = metrics(graph)
    depth, width = found["effective_depth"], found["effective_width"]
    return None if math.isnan(depth) or math.isnan(width) or depth == 0 else (depth, width)
