"""Which MLP cells are one and the same function, given equal weights on corresponding linear edges.

The value of a node is a sum of c · relu(W_e v_e) over the linear edges e that reach it by skips alone, c the number of
ways, v_e the value of the tail of e (the stem is the first such e, of the input). So a cell is a list of units (the
stem and the live linear edges), each with the integers c of what it reads, and the integers of the output. Two cells
are one function under every choice of corresponding weights if these lists are equal up to the order of the units.

That holds with and without biases, at initialisation and in training. Not used: relu(W · 2v) = 2 relu(W v), which makes
a few more cells equal, but only without biases. And one reservation: a dead linear edge that reads a node without input
adds relu(b) to a live node; its bias b is 0 and stays 0 under He initialisation, and not under PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from automl_theory.graphs.code import Code, code_graph, graph_code
from automl_theory.graphs.dag import CellGraph

Matrix = tuple[tuple[int, ...], ...]


def live_part(code: Code) -> Code:
    """Set every edge that is on no input-output path to zero."""
    graph = code_graph(code)
    return graph_code(CellGraph(graph.nodes, graph.live()))


def units(code: Code) -> tuple[list[tuple[int, int]], Matrix]:
    """Return the live linear edges (source, target) and what each unit reads.

    Row u + 1 of the matrix holds the counts, over all units (0 the stem, k the k-th edge), in the tail of edge u; row 0
    (the stem) reads none; the last row is the output's. A disconnected cell has one row more than units, all zero.
    """
    graph = code_graph(code)
    live = sorted(graph.live(), key=lambda edge: (edge.target, edge.source))
    linear = [(source, target) for source, target, weight in live if weight]
    counts = [[0] * (len(linear) + 1) for _ in range(graph.nodes)]
    counts[0][0] = int(graph.connected)
    for source, target, weight in live:
        if weight:
            counts[target][1 + linear.index((source, target))] += 1
        else:
            counts[target] = [a + b for a, b in zip(counts[target], counts[source], strict=True)]
    rows = [[0] * (len(linear) + 1), *(counts[source] for source, _ in linear), counts[-1]]
    return linear, tuple(map(tuple, rows))


def signature(code: Code) -> tuple[Matrix, tuple[tuple[int, int], ...]]:
    """Return the units in canonical order: equal for two cells iff they are one class; and the linear edges in it."""
    linear, rows = units(code)
    size = len(linear) + 1
    order = canonical_order(rows[:size], [(k == 0, rows[-1][k]) for k in range(size)])
    matrix = tuple(tuple(row[k] for k in order) for row in [*(rows[k] for k in order), rows[-1]])
    return matrix, tuple(linear[k - 1] for k in order if k)


def renumbered(code: Code) -> Code:
    """Return the live part with its inner nodes in canonical order, dead ones last: equal for isomorphic live parts.

    The order is by longest distance from the input, then canonical. It knows nothing of units, so a skip before a
    linear edge and one after it stay different.
    """
    graph = code_graph(live_part(code))
    if not graph.connected:
        return graph_code(CellGraph(graph.nodes, ()))
    last = graph.nodes - 1
    used = sorted({node for source, target, _ in graph.edges for node in (source, target)})
    distance = dict.fromkeys(used, 0)
    for source, target, _ in sorted(graph.edges, key=lambda edge: edge.target):
        distance[target] = max(distance[target], distance[source] + 1)
    kind = {(target, source): 1 + weight for source, target, weight in graph.edges}
    matrix = tuple(tuple(kind.get((t, s), 0) for s in used) for t in used)
    order = canonical_order(matrix, [(node == last, distance[node]) for node in used])
    place = {used[k]: position for position, k in enumerate(order)}
    place[last] = last
    return graph_code(CellGraph(graph.nodes, ((place[s], place[t], weight) for s, t, weight in graph.edges)))


def canonical_order(matrix: Sequence[Sequence[int]], colours: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Return an order of the vertices in which isomorphic coloured graphs with edge labels have equal matrices.

    matrix[a][b] labels the edge b -> a (0: none); `colours` are kept apart and come in rising order. Colour refinement,
    then every way to single out one of the vertices that are still alike (of twins, which an exchange maps onto each
    other, only one), and the least matrix of all: exact, and fast where few vertices are alike.
    """
    best: list[tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]] = []

    def search(start: Sequence[object]) -> None:
        colour = _refined(matrix, start)
        cells: dict[int, list[int]] = {}
        for vertex, shade in enumerate(colour):
            cells.setdefault(shade, []).append(vertex)
        open_cells = [cells[shade] for shade in sorted(cells) if len(cells[shade]) > 1]
        if not open_cells:
            order = tuple(sorted(range(len(colour)), key=colour.__getitem__))
            shown = tuple(tuple(matrix[a][b] for b in order) for a in order)
            if not best or shown < best[0][0]:
                best[:] = [(shown, order)]
            return
        tried: list[int] = []
        for vertex in open_cells[0]:
            if not any(_twins(matrix, vertex, other) for other in tried):
                tried.append(vertex)
                search([(shade, v != vertex) for v, shade in enumerate(colour)])

    search(list(colours))
    return best[0][1]


def _refined(matrix: Sequence[Sequence[int]], start: Sequence[object]) -> list[int]:
    colour, size = _ranks(start), len(matrix)
    while True:
        around = [
            (
                colour[v],
                sorted((matrix[v][w], colour[w]) for w in range(size) if matrix[v][w]),
                sorted((matrix[w][v], colour[w]) for w in range(size) if matrix[w][v]),
            )
            for v in range(size)
        ]
        finer = _ranks(around)
        if finer == colour:
            return colour
        colour = finer


def _ranks(values: Sequence[Any]) -> list[int]:
    ordered = sorted(values)
    rank = 0
    ranks = [0] * len(ordered)
    for position, (before, after) in enumerate(pairwise(ordered), 1):
        rank += before != after
        ranks[position] = rank
    first = {repr(value): ranks[position] for position, value in enumerate(ordered)}
    return [first[repr(value)] for value in values]


def _twins(matrix: Sequence[Sequence[int]], a: int, b: int) -> bool:
    others = [v for v in range(len(matrix)) if v not in (a, b)]
    return matrix[a][b] == matrix[b][a] == 0 and all(
        matrix[a][v] == matrix[b][v] and matrix[v][a] == matrix[v][b] for v in others
    )
