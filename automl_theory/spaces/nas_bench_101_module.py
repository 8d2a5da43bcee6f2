"""A module of NAS-Bench-101: reading it, pruning it, its official hash, its representative and its graph.

    101_10_1+input+conv3x3-bn-relu+maxpool3x3+output

is the official ModelSpec in one word: the rows of the adjacency matrix above its diagonal, joined by `_` (row x has a
digit for vertex x + 1, x + 2, …), then the operations of all vertices. Here 0>1, 0>3, 1>2, 2>3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import md5
from itertools import permutations
from typing import Any, NamedTuple, NoReturn

import numpy as np

from automl_theory.errors import InputError, suggest
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.nas_bench_101_enumeration import KINDS, MAX_EDGES, MAX_VERTICES, bit

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
KERNELS = {"conv3x3-bn-relu": 9, "conv1x1-bn-relu": 1}
"""Numbers in the kernel of a convolution, for one input and one output channel."""
POOLING = "maxpool3x3"
INPUT, OUTPUT = "input", "output"
EXAMPLE = "'101_10_1+input+conv3x3-bn-relu+maxpool3x3+output'"
FORMS = f"a string such as {EXAMPLE}, a hash, JSON, or a pair (matrix, operations)"

Matrix = tuple[tuple[int, ...], ...]


class Module(NamedTuple):
    """A pruned module, as the official ModelSpec has it: every vertex lies on a path from input to output.

    matrix  V rows of V zeros and ones, matrix[x][y] = 1 for the edge x > y, zero on and below the diagonal
    ops     the operations of the V vertices: "input", names of `OPERATIONS`, "output"
    """

    matrix: Matrix
    ops: tuple[str, ...]


def read(arch: object) -> Module:
    """Return the pruned module of a string, of JSON, or of the official Python forms; see `NasBench101.parse`."""
    if isinstance(arch, str):
        return _read_json(arch) if arch.lstrip()[:1] in ("{", "[") else _read_text(arch)
    if isinstance(arch, Mapping):
        if {"n", "adj", "ops"} <= set(arch):
            return _coded(arch["n"], arch["adj"], arch["ops"])
        for key in ("module_adjacency", "module_operations"):
            if key not in arch:
                there = ", ".join(map(str, list(arch)[:6])) or "an empty mapping"
                raise InputError(f"a module needs 'module_adjacency' and 'module_operations', got {there}; add {key!r}")
        return _checked(arch["module_adjacency"], arch["module_operations"])
    if hasattr(arch, "matrix") and hasattr(arch, "ops"):
        if arch.matrix is None or arch.ops is None:
            raise InputError("the ModelSpec is invalid: its input is not connected to its output; connect them")
        return _checked(arch.matrix, arch.ops)
    if isinstance(arch, tuple | list) and len(arch) == 2:
        return _checked(*arch)
    raise InputError(f"expected a module, got {type(arch).__name__}; give {FORMS}")


def string(module: Module) -> str:
    """Return the string of a module, the inverse of `read`."""
    return f"{_adjacency_text(module.matrix)}+{'+'.join(module.ops)}"


def hash_of(module: Module) -> str:
    """Return the official hash, 32 hexadecimal digits, equal for isomorphic modules and for no others.

    Every vertex starts from MD5("(out-degree, in-degree, label)"), labels 0, 1, 2 in the order of `OPERATIONS`, -1 the
    input, -2 the output. V times each becomes the MD5 of its sources' hashes (sorted, joined), its targets' and its
    own, with "|" between; the hash is the MD5 of the sorted list as Python prints it. Source: Ying et al. 2019,
    `nasbench.lib.graph_util.hash_module`.
    """
    sources, targets = _neighbours(module.matrix)
    labels = (-1, *map(OPERATIONS.index, module.ops[1:-1]), -2)
    hashes = [_md5(str((len(t), len(s), label))) for s, t, label in zip(sources, targets, labels, strict=True)]
    for _ in labels:
        hashes = [
            _md5(f"{''.join(sorted([hashes[k] for k in s]))}|{''.join(sorted([hashes[k] for k in t]))}|{own}")
            for s, t, own in zip(sources, targets, hashes, strict=True)
        ]
    return _md5(str(sorted(hashes)))


def representative(module: Module) -> Module:
    """Return the module of the same class that `nas_bench_101_enumeration` lists."""
    vertices = len(module.ops)
    bits, numberings = _least(vertices, _bits(module.matrix))
    kinds = [OPERATIONS.index(operation) for operation in module.ops[1:-1]]
    return decoded(vertices, bits, min(_code(kinds, places) for places in numberings))


def decoded(vertices: int, bits: int, operations: int) -> Module:
    """Return the module of the three codes of `nas_bench_101_enumeration`."""
    return Module(_matrix(vertices, bits), _ops(vertices, operations))


def graph_of(module: Module) -> CellGraph:
    """Return the module as a graph with layers on edges; see `NasBench101.graph`."""
    layers = [int(operation in KERNELS) for operation in module.ops]
    edges = list(_edges(module.matrix))
    return CellGraph(
        len(layers),
        [(x, y, layers[y] + (x == 0)) for x, y in edges],
        kernels={(x, y): KERNELS.get(module.ops[y], 0) + (x == 0) for x, y in edges},
        pooled=[(x, y) for x, y in edges if module.ops[y] == POOLING],
    )


def _coded(vertices: Any, bits: Any, operations: Any) -> Module:
    """The pruned module of three codes, checked."""
    vertices = _within("n", vertices, 2, MAX_VERTICES)
    bits = _within("adj", bits, 0, 2 ** (vertices * (vertices - 1) // 2) - 1)
    return _pruned(*decoded(vertices, bits, _within("ops", operations, 0, KINDS ** (vertices - 2) - 1)))


def _within(name: str, code: Any, least: int, most: int) -> int:
    if isinstance(code, bool) or not isinstance(code, int | np.integer) or not least <= code <= most:
        raise InputError(f"the code {name!r} of a module must be an integer from {least} to {most}, got {code!r}")
    return int(code)


def _read_json(text: str) -> Module:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = " ".join(str(error).split())[:100]
        raise InputError(f"bad architecture {_shown(text)}: no JSON ({line}); give {FORMS}") from None
    if isinstance(told, str):
        raise InputError(f"bad architecture {_shown(text)}: JSON of a string; give the string itself")
    return read(told)


def _read_text(arch: str) -> Module:
    adjacency, plus, names = arch.partition("+")
    known = _adjacency(adjacency) if plus and arch.isascii() else None
    ops = tuple(names.split("+"))
    if known is not None and len(known) == len(ops) and _proper(ops):
        return _pruned(known, ops)
    _explain(arch)


@lru_cache(maxsize=1 << 14)
def _adjacency(text: str) -> Matrix | None:
    """The matrix of the rows above its diagonal; None if they are not such rows."""
    rows = text.split("_")
    vertices = len(rows) + 1
    if any(len(row) != vertices - 1 - x or row.strip("01") for x, row in enumerate(rows)):
        return None
    return (*((0,) * (x + 1) + tuple(map(int, row)) for x, row in enumerate(rows)), (0,) * vertices)


@lru_cache(maxsize=1 << 12)
def _proper(ops: tuple[str, ...]) -> bool:
    return ops[0] == INPUT and ops[-1] == OUTPUT and all(operation in OPERATIONS for operation in ops[1:-1])


def _explain(arch: str) -> NoReturn:
    """Raise the InputError of a string that is no module."""
    shown = _shown(arch)
    if not arch:
        raise InputError(f"the architecture string is empty; expected {FORMS}")

    def fail(position: int, reason: str) -> InputError:
        return InputError(f"bad architecture {shown}: at position {position}, {reason}")

    for position, character in enumerate(arch):
        if character.isspace():
            raise fail(position, "there is whitespace; the string has none")
    adjacency, _, names = arch.partition("+")
    for position, digit in enumerate(adjacency):
        if digit not in "01_":
            raise fail(position, f"expected 0, 1, '_' or '+' in the rows of the matrix, found {digit!r}; see {EXAMPLE}")
    rows, position = adjacency.split("_"), 0
    vertices = len(rows) + 1
    for x, row in enumerate(rows):
        if len(row) != vertices - 1 - x:
            told = f"row {x} of {vertices} vertices needs a digit for each later vertex, {vertices - 1 - x} in all"
            raise fail(position, f"{told}, found {len(row)}; see {EXAMPLE}")
        position += len(row) + 1
    if position > len(arch):
        raise fail(len(arch), f"expected '+' and the {vertices} operations, found the end; see {EXAMPLE}")
    ops = names.split("+")
    for vertex, operation in enumerate(ops):
        if vertex < vertices and (wrong := _wrong_operation(vertex, operation, vertices)):
            raise fail(position, wrong)
        if vertex >= vertices:
            raise fail(position, f"there is an operation too many, {operation[:40]!r}; the matrix has {vertices} rows")
        position += len(operation) + 1
    raise fail(len(arch), f"expected {vertices} operations, one a vertex, found {len(ops)}")


def _wrong_operation(vertex: int, operation: object, vertices: int) -> str | None:
    """Why an operation may not stand at a vertex; None if it may."""
    for place, name in ((0, INPUT), (vertices - 1, OUTPUT)):
        if vertex == place:
            right = isinstance(operation, str) and operation == name
            return None if right else f"vertex {vertex} must be {name!r}, found {str(operation)[:40]!r}"
    if isinstance(operation, str) and operation in OPERATIONS:
        return None
    near = suggest(str(operation), OPERATIONS)
    return f"unknown operation {str(operation)[:40]!r} of vertex {vertex}; known: {', '.join(OPERATIONS)}.{near}"


def _checked(matrix: Any, ops: Any) -> Module:
    """The pruned module of an official pair, checked."""
    try:
        array = np.asarray(matrix)
    except (TypeError, ValueError):
        array = np.asarray(None)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
        shape = f"shape {array.shape}" if array.ndim else "something else"
        raise InputError(f"the matrix of a module must be square, a row and column a vertex (2 or more), got {shape}")
    vertices = len(array)
    if isinstance(ops, str) or not isinstance(ops, Sequence | np.ndarray):
        raise InputError(f"the operations of a module must be a list of names, got {ops!r}; give one a vertex")
    if len(ops) != vertices:
        raise InputError(f"a matrix of {vertices} vertices needs {vertices} operations, got {len(ops)}; give one each")
    rows = array.tolist()
    for x, y in np.ndindex(array.shape):
        if not isinstance(rows[x][y], int | float) or rows[x][y] not in (0, 1):
            raise InputError(f"entry [{x}][{y}] of the matrix must be 0 or 1, got {rows[x][y]!r}; give one of them")
        if rows[x][y] and x >= y:
            raise InputError(
                f"the matrix must be upper triangular, but entry [{x}][{y}] is 1; renumber the vertices so that edges "
                "go from a lower to a higher one"
            )
    for vertex, operation in enumerate(ops):
        if told := _wrong_operation(vertex, operation, vertices):
            raise InputError(f"bad operations: {told}")
    return _pruned(tuple(tuple(map(int, row)) for row in rows), tuple(map(str, ops)))


def _pruned(matrix: Matrix, ops: tuple[str, ...]) -> Module:
    """Leave out vertices on no input-output path; InputError if nothing is left or more than the space holds."""
    live = _live(matrix)
    if live is None:
        return Module(matrix, ops)
    if not live:
        raise InputError("the input of the module is not connected to its output; add a path of edges between them")
    kept = tuple(tuple(matrix[x][y] for y in live) for x in live)
    edges = sum(map(sum, kept))
    for what, count, most in (("vertices", len(live), MAX_VERTICES), ("edges", edges, MAX_EDGES)):
        if count > most:
            raise InputError(
                f"a module has at most {most} {what}, got {count} on paths from input to output; use fewer"
            )
    return Module(kept, tuple(ops[x] for x in live))


@lru_cache(maxsize=1 << 14)
def _live(matrix: Matrix) -> tuple[int, ...] | None:
    """The vertices on an input-output path; None if these are all, and the module is small enough."""
    last = len(matrix) - 1
    forward, backward = {0}, {last}
    for x, row in enumerate(matrix):
        if x in forward:
            forward.update(y for y, entry in enumerate(row) if entry)
    for x in range(last, -1, -1):
        if any(matrix[x][y] for y in backward):
            backward.add(x)
    live = tuple(sorted(forward & backward))
    whole = len(live) == len(matrix) <= MAX_VERTICES and sum(map(sum, matrix)) <= MAX_EDGES
    return None if whole else live


@lru_cache(maxsize=1 << 14)
def _least(vertices: int, bits: int) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """The smallest adjacency of any renumbering, and the renumberings that lead to it."""
    edges = [(x, y) for y in range(vertices) for x in range(y) if bits >> bit(x, y) & 1]
    found: dict[int, list[tuple[int, ...]]] = {}
    for inner in permutations(range(1, vertices - 1)):
        places = (0, *inner, vertices - 1)
        if all(places[x] < places[y] for x, y in edges):
            found.setdefault(sum(1 << bit(places[x], places[y]) for x, y in edges), []).append(places)
    least = min(found)
    return least, tuple(found[least])


def _code(kinds: list[int], places: tuple[int, ...]) -> int:
    last = len(places) - 1
    return sum(kind * KINDS ** (last - 1 - place) for kind, place in zip(kinds, places[1:-1], strict=True))


@lru_cache(maxsize=1 << 14)
def _matrix(vertices: int, bits: int) -> Matrix:
    every = range(vertices)
    return tuple(tuple(int(x < y and bits >> bit(x, y) & 1) for y in every) for x in every)


@lru_cache(maxsize=1 << 10)
def _ops(vertices: int, code: int) -> tuple[str, ...]:
    inner = (OPERATIONS[code // KINDS**place % KINDS] for place in range(vertices - 3, -1, -1))
    return (INPUT, *inner, OUTPUT)


@lru_cache(maxsize=1 << 14)
def _bits(matrix: Matrix) -> int:
    return sum(1 << bit(x, y) for x, y in _edges(matrix))


@lru_cache(maxsize=1 << 14)
def _adjacency_text(matrix: Matrix) -> str:
    return "_".join("".join(map(str, row[x + 1 :])) for x, row in enumerate(matrix[:-1]))


@lru_cache(maxsize=1 << 14)
def _edges(matrix: Matrix) -> tuple[tuple[int, int], ...]:
    return tuple((x, y) for x, row in enumerate(matrix) for y, entry in enumerate(row) if entry)


@lru_cache(maxsize=1 << 14)
def _neighbours(matrix: Matrix) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """The sources and the targets of every vertex."""
    every = range(len(matrix))
    return (
        tuple(tuple(x for x in every if matrix[x][y]) for y in every),
        tuple(tuple(y for y in every if matrix[x][y]) for x in every),
    )


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _shown(arch: str) -> str:
    return repr(arch if len(arch) <= 120 else arch[:117] + "...")
