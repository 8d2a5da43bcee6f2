"""A pruned layer as a bipartite graph: inputs on the left, outputs on the right, one edge a kept weight.

A weight of shape (out, in/groups, *kernel) is unrolled over its kernel: the left nodes are the triples (group, input
channel of the group, kernel position), the right nodes the output channels; a linear layer has one position. Stride,
padding and what the layer before wires to the inputs play no part. With `groups` > 1 the outputs of a group see the
inputs of that group alone, so that the biadjacency is block-diagonal, one block a group (a depthwise layer is a forest
of stars); read without its groups, a grouped layer would share one block's inputs among all groups.

Source: Hoang, Liu, Marculescu, Wang, "Revisiting Pruning at Initialization through the Lens of Ramanujan Graph" (ICLR
2023), whose code unrolls the same way and knows no groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from automl_theory.errors import InputError


@dataclass(frozen=True)
class BipartiteGraph:
    """The edges of a layer, input by input (compressed sparse rows), with isolated nodes.

    Attributes:
        inputs, outputs: number of left and right nodes, the isolated ones among them.
        starts: (inputs + 1,); the edges of input j are those from starts[j] up to starts[j + 1].
        targets: (edges,) the output of each edge, ascending within an input.
        weights: (edges,) |w| in float64, or None where none were given.
        groups: number of diagonal blocks, all of one shape.
    """

    inputs: int
    outputs: int
    starts: NDArray[Any]
    targets: NDArray[Any]
    weights: NDArray[np.float64] | None
    groups: int = 1

    @property
    def edges(self) -> int:
        """Number of kept weights."""
        return len(self.targets)

    @property
    def possible_edges(self) -> int:
        """Number of weights of the layer: inputs x outputs / groups."""
        return self.inputs * self.outputs // self.groups

    @property
    def input_degrees(self) -> NDArray[Any]:
        """(inputs,) number of edges of each input."""
        return np.diff(self.starts)

    @property
    def output_degrees(self) -> NDArray[Any]:
        """(outputs,) number of edges of each output."""
        return np.bincount(self.targets, minlength=self.outputs)

    def matrix(self, values: NDArray[np.float64] | None = None) -> csr_array:
        """The transposed biadjacency, (inputs, outputs) in CSR: ones, or one value an edge."""
        return csr_array(
            (np.ones(self.edges) if values is None else values, self.targets, self.starts),
            shape=(self.inputs, self.outputs),
        )

    def components(self) -> int:
        """Number of connected components that have an edge; isolated nodes are not counted."""
        nodes = self.inputs + self.outputs
        starts = np.concatenate([self.starts, np.full(self.outputs, self.edges, self.starts.dtype)])
        square = csr_array(
            (np.ones(self.edges, np.int8), self.targets + self.targets.dtype.type(self.inputs), starts),
            shape=(nodes, nodes),
        )
        count = int(connected_components(square, directed=True, connection="weak", return_labels=False))
        isolated = (self.input_degrees == 0).sum() + (self.output_degrees == 0).sum()
        return count - int(isolated)

    def group(self, number: int) -> BipartiteGraph:
        """The graph of one group (0 ≤ number < groups), its nodes numbered from 0."""
        inputs, outputs = self.inputs // self.groups, self.outputs // self.groups
        starts = self.starts[number * inputs : (number + 1) * inputs + 1]
        edges = slice(starts[0], starts[-1])
        weights = None if self.weights is None else self.weights[edges]
        targets = self.targets[edges] - self.targets.dtype.type(number * outputs)
        return BipartiteGraph(inputs, outputs, starts - starts[0], targets, weights)


def bipartite(mask: Any, weight: Any = None, *, groups: int = 1, transposed: bool = False) -> BipartiteGraph:
    """Return the graph of a layer's mask.

    Args:
        mask: (out, in) or (out, in/groups, *kernel), of booleans, zeros and ones: numpy, nested lists or torch. Axis 0
            is the layer's outputs; for a transposed convolution, (in, out/groups, *kernel), say transposed=True.
        weight: of the mask's shape; |w| is kept on every edge, and is not looked at elsewhere.
        groups: as the convolution was made with; it divides the number of outputs.

    Errors: InputError for a mask that is empty, has less than two axes or holds something else than zeros and ones, a
    weight of another shape, and groups that do not divide the outputs. All zeros are a valid, collapsed layer.
    """
    kept = _kept(mask)
    values = None if weight is None else as_array(weight)
    if values is not None and values.shape != kept.shape:
        raise InputError(f"mask {kept.shape} and weight {values.shape} differ in shape; give the weight of that layer")
    if values is not None and values.dtype.kind not in "biuf":
        raise InputError(f"expected real weights, got {values.dtype}; convert them to floats")
    if isinstance(groups, bool) or not isinstance(groups, int | np.integer) or groups < 1 or kept.shape[0] % groups:
        axis = "inputs" if transposed else "outputs"
        raise InputError(f"groups={groups!r} does not divide the {kept.shape[0]} {axis}; give the layer's own groups")
    if transposed:
        kept, values = _turned(kept, groups), None if values is None else _turned(values, groups)
    outputs, block = kept.shape[0], prod(kept.shape[1:])
    index: type[np.signedinteger[Any]] = np.int32 if max(kept.size, block * groups) < 2**31 else np.int64
    flat = np.flatnonzero(kept)
    group = flat // (block * (outputs // groups)) if groups > 1 else 0
    sources = (flat % block + group * block).astype(index)
    ends = np.concatenate([[0], np.cumsum(np.count_nonzero(kept.reshape(outputs, -1), axis=1))]).astype(index)
    data = np.ones(len(flat), np.int8) if values is None else np.abs(values.reshape(-1)[flat].astype(np.float64))
    del flat, group
    by_input = csr_array((data, sources, ends), shape=(outputs, block * groups)).tocsc()
    kept_weights = None if values is None else by_input.data
    return BipartiteGraph(block * groups, outputs, by_input.indptr, by_input.indices, kept_weights, groups)


def as_array(values: Any) -> NDArray[Any]:
    """Return numpy's view of an array, a list or a torch tensor on any device, with or without gradients.

    Errors: InputError for rows of unequal length.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError("expected rows of one length in an array; give a rectangle") from None


def _kept(mask: Any) -> NDArray[np.bool_]:
    array = as_array(mask)
    if array.ndim < 2 or not array.size:
        raise InputError(
            f"expected a mask of shape (out, in) or (out, in, *kernel), got {array.shape}; give one layer's"
        )
    if array.dtype == np.bool_:
        return array
    kept: NDArray[np.bool_] = array == 1
    if array.dtype.kind not in "iuf" or not np.all(kept | (array == 0)):
        raise InputError("a mask holds zeros and ones only; for the graph of all non-zero weights pass weight != 0")
    return kept


def _turned(array: NDArray[Any], groups: int) -> NDArray[Any]:
    """(in, out/groups, *kernel) of a transposed convolution as (out, in/groups, *kernel)."""
    inputs, outputs, *kernel = array.shape
    apart = array.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return np.ascontiguousarray(apart).reshape(groups * outputs, inputs // groups, *kernel)
