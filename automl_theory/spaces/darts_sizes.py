"""Sizes and graph of a DARTS network in closed form, from its genotype."""

from __future__ import annotations

from automl_theory.counts import check_counts, whole
from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.darts_genotype import NONE, Genotype, Pairs

LARGEST = {"channels": 2**12, "layers": 2**10}
FEWEST_LAYERS = 4
_NOWHERE = -(10**9)


def sizes(
    genotype: Genotype,
    channels: int,
    layers: int,
    num_classes: int,
    in_channels: int,
    resolution: int,
    *,
    affine: bool,
) -> dict[str, float]:
    """Return the sizes that `Darts.size_metrics` describes."""
    _check(channels, layers, num_classes, in_channels, resolution)
    if not isinstance(affine, bool):
        raise InputError(f"affine must be True or False, got {affine!r}")
    gains = 2 if affine else 0
    area = resolution * resolution
    width, c0, c1 = channels, 3 * channels, 3 * channels
    weights = 9 * in_channels * c1
    parameters, macs, relus, trainable = weights + 2 * c1, weights * area, 0, 2
    deep0 = deep1 = 1
    after_reduction = False
    for i in range(layers):
        reduction = i in (layers // 3, 2 * layers // 3)
        width *= 2 if reduction else 1
        cell = genotype.reduce if reduction else genotype.normal
        out_area = area // 4 if reduction else area
        before = [(c0, 4 * area if after_reduction else area, 1 + after_reduction), (c1, area, 1)]
        for c_in, relu_area, convolutions in before:
            parameters += c_in * width + gains * width
            macs += c_in * width * area
            relus += c_in * relu_area
            trainable += convolutions
        for name, source in cell:
            smaller = reduction and source < 2
            kernels, norms, convolutions, _ = _operation(name, width, smaller)
            parameters += kernels + gains * width * norms
            macs += kernels * out_area
            if norms:
                relus += width * (area if smaller else out_area) + width * out_area * (norms - 1)
            trainable += convolutions
        deep0, deep1 = deep1, _deepest(cell, deep0 + 1, deep1 + 1, reduction)
        c0, c1, area, after_reduction = c1, 4 * width, out_area, reduction
    head = (c1 + 1) * num_classes
    return {
        "parameters": parameters + head,
        "macs": macs + head,
        "depth": max(deep1 + 1, 0),
        "trainable_layers": trainable,
        "relu_units": relus,
    }


def graph(genotype: Genotype) -> CellGraph:
    """Return the graph that `Darts.graph` describes."""
    edges: list[tuple[int, int, int]] = []
    kernels: dict[tuple[int, int], int] = {}
    pooled: list[tuple[int, int]] = []
    nodes = 1
    s0 = s1 = 0
    for cell, reduction in ((genotype.reduce, True), (genotype.normal, False)):
        states = [nodes, nodes + 1]
        edges += [(s0, nodes, 1), (s1, nodes + 1, 1)]
        nodes += 2
        made: list[int] = []
        for k in range(0, len(cell), 2):
            arriving: list[tuple[int, int, str]] = []
            for name, source in cell[k : k + 2]:
                if name == NONE:
                    continue
                start, weight = (states + made)[source], _operation(name, 1, reduction and source < 2)[3]
                if start in [other for other, _, _ in arriving]:
                    edges.append((start, nodes, weight))
                    _tell((start, nodes), name, kernels, pooled)
                    start, weight, name, nodes = nodes, 0, "skip_connect", nodes + 1
                arriving.append((start, weight, name))
            for start, weight, name in arriving:
                edges.append((start, nodes, weight))
                _tell((start, nodes), name, kernels, pooled)
            made.append(nodes)
            nodes += 1
        edges += [(node, nodes, 0) for node in made]
        s0, s1, nodes = 0, nodes, nodes + 1
    return CellGraph(nodes, edges, kernels, pooled)


def _tell(edge: tuple[int, int], name: str, kernels: dict[tuple[int, int], int], pooled: list[tuple[int, int]]) -> None:
    """Enter a separable or dilated convolution's entries for a channel (depthwise k², pointwise 1), or a pooling."""
    if name.startswith(("sep", "dil")):
        kernels[edge] = (2 if name.startswith("sep") else 1) * (int(name[-1]) ** 2 + 1)
    elif "pool" in name:
        pooled.append(edge)


def _operation(name: str, channels: int, smaller: bool) -> tuple[int, int, int, int]:
    """Numbers in its kernels, its BNs, its convolutions, and those of them on a path. `smaller`: it has stride 2."""
    if name.startswith(("sep", "dil")):
        repeats = 2 if name.startswith("sep") else 1
        kernel = int(name[-1])
        return repeats * (kernel * kernel * channels + channels * channels), repeats, 2 * repeats, 2 * repeats
    if name == "skip_connect" and smaller:
        return channels * channels, 1, 2, 1
    return 0, 0, 0, 0


def _deepest(cell: Pairs, deep0: int, deep1: int, reduction: bool) -> int:
    """Convolutions on the deepest path to the cell's output; far below 0 where no path leads there."""
    deep = [deep0, deep1]
    for k in range(0, len(cell), 2):
        deep.append(
            max(
                _NOWHERE if name == NONE else deep[source] + _operation(name, 1, reduction and source < 2)[3]
                for name, source in cell[k : k + 2]
            )
        )
    return max(max(deep[2:]), _NOWHERE)


def _check(channels: int, layers: int, num_classes: int, in_channels: int, resolution: int) -> None:
    whole("layers", layers, FEWEST_LAYERS, LARGEST["layers"])
    check_counts(LARGEST, channels=channels, num_classes=num_classes, in_channels=in_channels, resolution=resolution)
    if resolution % 4:
        raise InputError(f"resolution must be a multiple of 4 (two reductions halve it), got {resolution}; give 32")
