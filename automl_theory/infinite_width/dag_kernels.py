"""NNGP and NTK of the infinitely wide network of a cell: by the exact recursion, and by the paper's path sum.

The network (no biases, He initialisation): stem X_0 = relu(W x), W_ij ~ N(0, 2/d); a cell whose node t is
X_t = Σ over skips X_s + Σ over linear edges relu(W_e X_s), W_e ~ N(0, 2/m) entrywise; readout y = V X_H,
V ~ N(0, 2/m). m is the width, d the dimension of x.

**Exact.** Let the stem count as a linear edge that reads the input kernel K_x = <x, x'>/d, and let c_te be the number
of all-skip paths from the head of linear edge e to node t. A coordinate of X_t is Σ_e c_te relu(g_e) with independent
Gaussians g_e of covariance 2 K_tail(e), so

    K_t = Σ_e c_te² (A_e - μ_e μ_eᵀ) + (Σ_e c_te μ_e)(Σ_e c_te μ_e)ᵀ,
    A_e = √(K_ii K_jj) κ1(ρ_ij) and μ_e,i = √(K_ii/π), K = K_tail(e), ρ its correlations:

covariances of different edges add, means add coherently (a ReLU's mean is not 0), and one edge that arrives c times
by skips counts c² times. Backwards, with b_te the number of all-skip paths from t to the tail of e (b_tH: to the
output),

    D_t = 2 b_tH² + Σ_e b_te² κ0(ρ_tail(e)) D_head(e)                the kernel of the gradients ∂y/∂X_t
    NTK of one logit = m (K_H + Σ_e ½ κ0(ρ_tail(e)) D_head(e) K_tail(e)) + ½ κ0(ρ_x) D_0 <x, x'>,

e over the linear edges of the cell. The last term is the stem's. It does not grow with m: against the others it is as
d to m, and most of the NTK of an image.

**Paths** (Chen, Huang & Wang 2023, Theorems 4.4 and 4.6): every input-output path counts as a chain of its own,

    K = Σ_p κ1^(d_p)(K_0),   G = Σ_p G_(d_p),   G_0 = K_0,  G_d = κ1^(d)(K_0) + κ0(κ1^(d-1)(K_0)) G_(d-1),

with d_p linear edges on path p. It equals the exact kernel where the cell has one path, and nowhere else: it leaves
out the covariances between paths. Two paths that meet share ReLU means, which do not cancel (two parallel linear
edges: diagonal 2 + 2/π, not 2), and skips that meet again add coherently (X + X has diagonal 4, not 2). The diagonal
of `1_11_112` is 10.55, not P = 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from automl_theory.errors import InputError, suggest
from automl_theory.graphs.code import code_graph, parse_code
from automl_theory.graphs.dag import CellGraph
from automl_theory.infinite_width.arc_cosine import maps

Array = NDArray[np.float64]
Rule = Literal["exact", "paths"]
Dag = str | CellGraph

RULES = ("exact", "paths")
# A correlation this near to ±1 is ±1: rounding makes no difference between equal inputs and inputs 1e-7 apart.
_SNAP = 1 - 16 * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class DagKernels:
    """Kernels of n inputs: float64 (n, n) for one cell, (a, n, n) for a list of a cells.

    Attributes:
        nngp: E[X_H X_H'] of one neuron of the output node. (The Gram of features of a network of width m is m times
            this.) Of the order P |x|²/d.
        ntk: NTK of one logit divided by the width, readout and cell edges only; its first term, the readout's, is
            `nngp`.
        stem: the stem's part of the NTK of one logit, not divided by anything: ½ κ0 D_0 <x, x'>.

    The NTK of one logit of a network of width m is m·ntk + stem (`at_width`); that of the sum of C logits, and the
    trace over them, is C times as much. The larger d against m, the more of it is the stem: 95 % for 64×64 colour
    images at the paper's m = 256.

    A disconnected cell has zeros. An input of norm 0 has zeros in its row and column.
    """

    nngp: Array
    ntk: Array
    stem: Array

    def at_width(self, width: int) -> Array:
        """NTK of one logit at `width` neurons, stem included, as the infinitely wide network gives it."""
        return width * self.ntk + self.stem


def dag_kernels(dags: Dag | Iterable[Dag], x: Any, rule: Rule = "exact") -> DagKernels:
    """NNGP, NTK and the stem's NTK of cells in the limit of infinite width; see the module for formulas.

    Args:
        dags: a code such as "2_02_002" of any number of nodes, a `CellGraph` with edges of weight 0 (skip) and 1
            (linear + ReLU), or several of either: kernels are then stacked (24 a n² bytes for a of them).
        x: inputs (n, …), a numpy array or a torch tensor, flattened to (n, d) and taken as they are. The paper's own
            measurements divide each by its norm; its theorems have |x|² = d.
        rule: "exact"; or "paths", the paper's sum over paths, right only for a cell with one path (see above).

    Raises:
        InputError: for a bad code, an edge of more than one layer, an unknown rule, or x that is empty or not finite.

    Source: exact recursion as in the module; Chen, Huang & Wang, "No Free Lunch in Neural Architectures?", 2023.
    """
    if rule not in RULES:
        raise InputError(f"rule={rule!r} is not one of {', '.join(RULES)}.{suggest(str(rule), RULES)}")
    one = isinstance(dags, str | CellGraph)
    graphs = as_graphs(dags)
    flat = flat_inputs(x)
    size = (len(graphs), len(flat), len(flat))
    nngp, ntk, stem = np.zeros(size), np.zeros(size), np.zeros(size)
    kernel_of = (_exact if rule == "exact" else _paths)(flat)
    for k, graph in enumerate(graphs):
        if graph.connected:
            nngp[k], ntk[k], stem[k] = kernel_of(graph)
    if one:
        return DagKernels(nngp[0], ntk[0], stem[0])
    return DagKernels(nngp, ntk, stem)


def stem_kernel(x: Any) -> Array:
    """K_0 = E[X_0 X_0'] of one neuron of the stem, (n, n): the kernel that the cell starts from.

    K_0,ij = |x_i||x_j| κ1(ρ_ij)/d, so K_0,ii = 1 for |x_i|² = d. Errors: as `dag_kernels`.
    """
    flat = flat_inputs(x)
    return linear_layer(flat @ flat.T / flat.shape[1])[0]


def as_graph(dag: Dag) -> CellGraph:
    """The cell of a code, or the cell itself. Errors: InputError for a bad code or an edge of more than one layer."""
    graph = dag if isinstance(dag, CellGraph) else code_graph(parse_code(dag))
    for source, target, weight in graph.edges:
        if weight > 1:
            raise InputError(f"edge {source}>{target} has {weight} layers; write it as {weight} edges over more nodes")
    return graph


def as_graphs(dags: Dag | Iterable[Dag]) -> list[CellGraph]:
    """The cells of one code or cell, or of several. Errors: as `as_graph`."""
    return [as_graph(dag) for dag in ([dags] if isinstance(dags, str | CellGraph) else dags)]


def flat_inputs(x: Any) -> Array:
    """Inputs (n, …), numpy or torch, as (n, d) float64. Errors: InputError for none, or values that are not finite."""
    detached = x.detach().cpu().numpy() if hasattr(x, "detach") else x
    try:
        values = np.asarray(detached, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"expected inputs as an array of numbers (n, ...), got {type(x).__name__}; stack them"
        ) from None
    if values.ndim < 2 or not values.size:
        raise InputError(f"expected inputs of shape (n, ...) with n of at least 1, got {values.shape}; stack them")
    if not np.isfinite(values).all():
        raise InputError("inputs hold NaN or infinity; leave those samples out")
    return values.reshape(len(values), -1)


def _correlation(kernel: Array, variance: Array) -> Array:
    scale = np.sqrt(variance)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    correlation = kernel * inverse[:, None] * inverse[None, :]
    correlation[np.abs(correlation) > _SNAP] = np.sign(correlation[np.abs(correlation) > _SNAP])
    np.fill_diagonal(correlation, np.where(variance > 0, 1.0, 0.0))
    return correlation


def linear_layer(kernel: Array) -> tuple[Array, Array, Array]:
    """A, κ0 and μ of a linear edge that reads a node with this kernel; κ0 is 0 in the rows of a zero input."""
    variance = np.diag(kernel).copy()
    zeroth, first = maps(_correlation(kernel, variance))
    scale = np.sqrt(variance)
    if not variance.all():
        zeroth[variance == 0], zeroth[:, variance == 0] = 0.0, 0.0
    after = first * scale[:, None] * scale[None, :]
    np.fill_diagonal(after, variance)
    return after, zeroth, np.sqrt(variance / np.pi)


def _exact(x: Array) -> Callable[[CellGraph], tuple[Array, Array, Array]]:
    """The exact recursion on inputs x; what all cells share (stem, first layer) is computed once."""
    inner = x @ x.T
    k0, slope_x, mean_x = linear_layer(inner / x.shape[1])
    stem_covariance = k0 - np.outer(mean_x, mean_x)
    first = linear_layer(k0)

    def kernels(graph: CellGraph) -> tuple[Array, Array, Array]:
        live, last = sorted(graph.live()), graph.nodes - 1
        linear = [(s, t) for s, t, weight in live if weight]
        skips = _skip_paths(graph)
        # For each linear edge, the stem first: where its values enter, their covariance and their mean.
        heads, covariances, means = [0], [stem_covariance], [mean_x]
        node: dict[int, Array] = {0: k0}
        layer: dict[int, tuple[Array, Array, Array]] = {0: first}

        def kernel(t: int) -> Array:
            if t not in node:
                counts = [int(skips[head, t]) for head in heads]
                total, mean = np.zeros_like(k0), np.zeros(len(x))
                for count, covariance, part in zip(counts, covariances, means, strict=True):
                    if count:
                        total += float(count) ** 2 * covariance
                        mean += float(count) * part
                node[t] = total + np.outer(mean, mean)
            return node[t]

        for tail, head in linear:
            if tail not in layer:
                layer[tail] = linear_layer(kernel(tail))
            after, _, mean = layer[tail]
            heads.append(head)
            covariances.append(after - np.outer(mean, mean))
            means.append(mean)
        output = kernel(last)
        gradient: dict[int, Array] = {}
        for t in range(last, -1, -1):
            back = np.full_like(k0, 2 * float(skips[t, last]) ** 2)
            for tail, head in linear:
                if skips[t, tail]:
                    back += float(skips[t, tail]) ** 2 * layer[tail][1] * gradient[head]
            gradient[t] = back
        ntk = output.copy()
        for tail, head in linear:
            ntk += 0.5 * layer[tail][1] * gradient[head] * node[tail]
        return output, ntk, 0.5 * slope_x * gradient[0] * inner

    return kernels


def _skip_paths(graph: CellGraph) -> NDArray[Any]:
    """(nodes, nodes) exact counts of all-skip paths s → t in the live part; 1 for s = t."""
    counts = np.zeros((graph.nodes, graph.nodes), dtype=object)
    np.fill_diagonal(counts, 1)
    for source, target, weight in sorted(graph.live(), key=lambda edge: edge.target):
        if not weight:
            counts[:, target] += counts[:, source]
    return counts


def _paths(x: Array) -> Callable[[CellGraph], tuple[Array, Array, Array]]:
    """The sum over paths on inputs x; the kernels of a chain of d linear edges are computed once for every d."""
    inner = x @ x.T
    k0, slope_x, _ = linear_layer(inner / x.shape[1])
    chains = [(k0, k0, np.ones_like(k0))]

    def kernels(graph: CellGraph) -> tuple[Array, Array, Array]:
        depths = graph.depth_histogram()
        while len(chains) <= max(depths):
            before, tangent, slopes = chains[-1]
            after, slope, _ = linear_layer(before)
            chains.append((after, after + slope * tangent, slope * slopes))
        nngp, ntk, slopes = np.zeros_like(k0), np.zeros_like(k0), np.zeros_like(k0)
        for d, count in depths.items():
            kernel, tangent, slope = chains[d]
            nngp += count * kernel
            ntk += count * tangent
            slopes += count * slope
        return nngp, ntk, slope_x * slopes * inner

    return kernels
