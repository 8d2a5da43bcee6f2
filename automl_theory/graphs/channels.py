"""How a pruned layer passes on what the layer before delivers: throughput, compatibility, channel overlap.

Layer 1 has m outputs, layer 2 reads them as inputs c·K + k, k < K: K kernel positions a channel, or the pixels of a
feature map that a flatten turned into the inputs of a linear layer.

Source: `scores.py` of the code released with Hoang et al. (ICLR 2023), where the throughput is a "modified Copeland
score".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from automl_theory.errors import InputError
from automl_theory.graphs.bipartite import BipartiteGraph


class LayerPair(NamedTuple):
    """Measures of two consecutive layers; None where undefined, and then the reason (None where all are defined)."""

    throughput: float | None
    compatibility: float | None
    overlap: float | None
    reason: str | None


def layer_pair(first: BipartiteGraph, second: BipartiteGraph, *, released: bool = False) -> LayerPair:
    """Measure the passage from layer `first` to layer `second`.

        throughput     mean over the live channels c of layer 1 and the positions k of
                       (out-degree of (c, k) / live outputs of layer 2) / (in-degree of c / live inputs of layer 1):
                       1 is good, above 1 compresses, below 1 is a bottleneck
        compatibility  share of the live channels of layer 1 that have any edge in layer 2
        overlap        `channel_overlap` of layer 2 with the channels of layer 1

    A node is live if it has an edge; a layer without edges leaves all but the overlap undefined. `released=True` is the
    released code: it takes the last m of all degrees counted up to the last live output, so that isolated last outputs
    shift every channel (0.2756 instead of 0.2024 on a 16-channel layer with two of them dead), and gives 0 where a
    value is undefined. Errors: InputError where the inputs of layer 2 are no multiple of the outputs of layer 1.
    """
    if second.inputs % first.outputs:
        raise InputError(
            f"a layer with {second.inputs} inputs cannot follow one with {first.outputs} outputs; "
            "give consecutive layers, or name the pairs that are"
        )
    positions = second.inputs // first.outputs
    overlap = channel_overlap(second, positions)
    if not first.edges or not second.edges:
        if released:
            return LayerPair(0.0, 0.0, overlap or 0.0, None)
        return LayerPair(None, None, overlap, f"the {'second' if first.edges else 'first'} layer has no edge left")
    arriving = _released_degrees(first) if released else first.output_degrees
    leaving = second.input_degrees.reshape(first.outputs, positions)
    live = arriving != 0
    share_in = arriving[live] / np.count_nonzero(first.input_degrees)
    share_out = leaving[live] / np.count_nonzero(second.output_degrees)
    throughput = float((share_out / share_in[:, None]).mean())
    compatibility = float((leaving[live].sum(axis=1) > 0).mean())
    if overlap is None:
        overlap = 0.0 if released else None
    return LayerPair(throughput, compatibility, overlap, _no_overlap(overlap))


def channel_overlap(graph: BipartiteGraph, positions: int) -> float | None:
    """Mean over the input channels of |∩_k N(c, k)| / min_k |N(c, k)|, N(c, k) the outputs that input c·K + k reaches.

    `positions` is K, a divisor of the inputs. Channels with a position that reaches nothing are left out; None if that
    leaves none. K = 1 gives 1; a random mask of density p about p^(K - 1), a filter pruned as a whole 1.
    """
    fewest = graph.input_degrees.reshape(-1, positions).min(axis=1)
    full = fewest > 0
    if not full.any():
        return None
    merged = csr_array(
        (np.ones(graph.edges, np.int32), graph.targets.copy(), graph.starts[::positions].copy()),
        shape=(graph.inputs // positions, graph.outputs),
    )
    merged.has_canonical_format = False
    merged.has_sorted_indices = False
    merged.sum_duplicates()
    everywhere = np.add.reduceat(np.append(merged.data == positions, 0), merged.indptr[:-1])
    return float((everywhere[full] / fewest[full]).mean())


def _no_overlap(overlap: float | None) -> str | None:
    return None if overlap is not None else "no channel has an edge at every position"


def _released_degrees(graph: BipartiteGraph) -> NDArray[Any]:
    degrees = np.concatenate([graph.input_degrees, graph.output_degrees])
    counted = degrees[: np.flatnonzero(degrees)[-1] + 1]
    if len(counted) < graph.outputs:
        return graph.output_degrees
    return counted[-graph.outputs :]
