"""Ramanujan measures of one bipartite graph, from its node and edge counts and its two largest singular values.

B is the biadjacency without isolated nodes: n_L inputs, n_R outputs, E edges, mean degrees d_L = E/n_L and d_R = E/n_R.
μ0 = σ1(B) is the largest eigenvalue of the adjacency, μ̂ = σ2(B) the largest but ±μ0; a graph of several components has
μ̂ = max(σ2 of the top component, σ1 of the others). A graph is Ramanujan when μ̂ is as small as that of its universal
cover, and three bounds are in use, each with a gap, bound - μ̂ (a good expander: ≥ 0), and a normalised gap, gap/bound:

    bi-regular   √(d_L - 1) + √(d_R - 1)     Δr, "difference of bound"
    eigen        2 √(μ0 - 1)                 Δs; μ0 ≥ √(d_L d_R), with equality for bi-regular graphs
    regular      2 √(d - 1)                  d = 2E/(n_L + n_R), the mean degree of all nodes

They are theorems for (bi-)regular graphs. An irregular graph enters with its mean degrees, as in both papers, and
"Ramanujan" is then a label. Closed forms:

    incidence of the projective plane of order q   μ0 = q + 1,       μ̂ = √q,   all gaps √q
    of the affine plane                            μ0 = √(q(q + 1)), μ̂ = √q,   Δr = √(q - 1)
    complete bipartite K_{m,n}                     μ0 = √(mn),       μ̂ = 0,    Δr = √(m - 1) + √(n - 1)
    several copies of one graph                    μ̂ = μ0

Sources: Hoang, Liu, Marculescu, Wang (ICLR 2023); Pal, Maji et al. (ICML 2022); the regular form with μ̂ the second
largest |eigenvalue| (which is μ0 again) circulates in a port and is not computed here.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from automl_theory.graphs.singular_values import top_two


class GraphSpectrum(NamedTuple):
    """Counts and singular values of a bipartite graph whose isolated nodes are gone; all formulas follow from these."""

    left: int
    right: int
    edges: int
    sigma1: float
    sigma2: float

    @property
    def degree_left(self) -> float:
        """d_L = E/n_L, at least 1."""
        return self.edges / self.left

    @property
    def degree_right(self) -> float:
        """d_R = E/n_R, at least 1."""
        return self.edges / self.right

    @property
    def expansion_ratio(self) -> float:
        """n_R/n_L: how many outputs the inputs reach, each."""
        return self.right / self.left

    @property
    def bound(self) -> float:
        """√(d_L - 1) + √(d_R - 1); 0 for a perfect matching."""
        return sqrt(self.degree_left - 1) + sqrt(self.degree_right - 1)

    @property
    def bound_eigen(self) -> float:
        """2 √(μ0 - 1), with μ0 ≥ 1 for zeros and ones; 0 for a perfect matching."""
        return 2 * sqrt(max(self.sigma1 - 1, 0.0))

    @property
    def bound_regular(self) -> float:
        """2 √(d - 1), d = 2E/(n_L + n_R) ≥ 1; 0 for a perfect matching."""
        return 2 * sqrt(2 * self.edges / (self.left + self.right) - 1)

    @property
    def cheeger_factor(self) -> float:
        """max(n_L, n_R)/(n_L + n_R - 1), in (1/2, 1]: what the full-spectrum code multiplies nested gaps by."""
        return max(self.left, self.right) / (self.left + self.right - 1)


def spectrum_of(matrix: csr_array, *, binary: bool) -> GraphSpectrum | None:
    """Count and measure a graph given as (inputs, outputs) in CSR; stored zeros are no edges. None without edges.

    `binary` says that all values are 1; otherwise they are |w| ≥ 0. σ1 and σ2 of one row, one column or one edge are
    its norm and 0.
    """
    if not binary and not matrix.data.all():
        matrix = matrix.copy()
        matrix.eliminate_zeros()
    inputs = np.diff(matrix.indptr) > 0
    outputs = np.bincount(matrix.indices, minlength=matrix.shape[1]) > 0
    left, right = int(inputs.sum()), int(outputs.sum())
    if not left:
        return None
    if right < matrix.shape[1]:
        number = (np.cumsum(outputs) - 1).astype(matrix.indices.dtype)
        matrix = csr_array((matrix.data, number[matrix.indices], matrix.indptr), shape=(matrix.shape[0], right))
    if left < matrix.shape[0]:
        starts = np.append(matrix.indptr[:-1][inputs], matrix.indptr[-1])
        matrix = csr_array((matrix.data, matrix.indices, starts), shape=(left, right))
    return GraphSpectrum(left, right, matrix.nnz, *top_two(matrix, binary=binary))


def normalised(gap: float, bound: float) -> float | None:
    """gap/bound ≤ 1; None where the bound is 0 (a perfect matching)."""
    return gap / bound if bound > 0 else None


def narc(graph: GraphSpectrum) -> float:
    """Normalised random coefficient [(μ̂²/4 + 1) √(n_L n_R) - E]/(n_L n_R): ≤ 0 as for a random graph, > 0 structured.

    For a bi-regular graph E = μ0 √(n_L n_R), so that NaRC = (μ̂²/4 + 1 - μ0)/√(n_L n_R) and NaRC ≤ 0 exactly where
    Δs ≥ 0. Projective plane of order q: -3q/(4n), n = q² + q + 1. This is what the released code (see `narc_released`)
    computes on a layer without isolated nodes; with isolated ones it divides by nodes that are not in the graph.
    """
    nodes = graph.left * graph.right
    return ((graph.sigma2**2 / 4 + 1) * sqrt(nodes) - graph.edges) / nodes


def narc_released(graph: GraphSpectrum, inputs: int, outputs: int, *, counted: int = 2) -> float:
    """[(μ̂²/4 + 1) √(n_L n_R) - |c E - (d_L/outputs) n_L n_R|]/(inputs outputs): NaRC as the ICLR 2023 code has it.

    `inputs` and `outputs` count isolated nodes too. The code counts each edge twice, c = 2; its docstring once, c = 1,
    which leaves next to nothing of the second term and makes the coefficient a rescaled μ̂², never below 0.
    """
    second = abs(counted * graph.edges - graph.degree_left / outputs * graph.left * graph.right)
    return ((graph.sigma2**2 / 4 + 1) * sqrt(graph.left * graph.right) - second) / (inputs * outputs)


def mixing(graph: GraphSpectrum, nodes: int, far: int) -> float:
    """[σ2 √(n_L n_R) - |2E - E n/N|]/N: the mixing coefficient that the full-spectrum code logs as "narc".

    `nodes` is N, the non-isolated nodes of the whole layer; `far` is n, the nodes on the side that the code takes for
    the right one: the inputs of a whole layer, which it transposes twice, the outputs of a nested subgraph.
    """
    return (graph.sigma2 * sqrt(graph.left * graph.right) - abs(2 * graph.edges - graph.edges * far / nodes)) / nodes
