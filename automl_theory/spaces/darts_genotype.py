"""DARTS genotypes as data: reading, writing, what is equal, and how many there are.

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ...], normal_concat=[2, 3, 4, 5], reduce=[...],
             reduce_concat=[2, 3, 4, 5])

A cell is four nodes (2 to 5) of two (operation, source) each, where the sources 0 and 1 are the cell's inputs. The
compact form of NASLib is two tuples of eight (source, number of the operation).
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache, lru_cache
from itertools import combinations, permutations, product
from typing import Any, NamedTuple

from automl_theory.errors import InputError, suggest

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""In the order of the compact form. A genotype may also hold NONE."""
NONE = "none"
LONGEST = 4_000
NODES = 4
FORM = "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[...])"

Pairs = tuple[tuple[str, int], ...]
Node = tuple[tuple[int, int], tuple[int, int]]
"""(source, number of the operation) of both inputs; the number of NONE is len(OPERATIONS)."""
Nodes = tuple[Node, ...]


class Genotype(NamedTuple):
    """Eight (operation, source) for each kind of cell: two for each node, from node 2 to node 5."""

    normal: Pairs
    reduce: Pairs


def text(genotype: Genotype) -> str:
    """Return the field's text of a genotype; the inverse of `read`."""
    concat = list(range(2, 2 + NODES))
    return (
        f"Genotype(normal={list(genotype.normal)}, normal_concat={concat}, "
        f"reduce={list(genotype.reduce)}, reduce_concat={concat})"
    )


def compact(genotype: Genotype) -> str:
    """Return NASLib's compact text; InputError for a genotype with `none`, which has no number there."""
    numbers = {name: k for k, name in enumerate(OPERATIONS)}
    if any(name == NONE for cell in genotype for name, _ in cell):
        raise InputError("the compact form has no number for 'none'; use the text Genotype(...)")
    cells = [",".join(f"({source},{numbers[name]})" for name, source in cell) for cell in genotype]
    return f"(({cells[0]}),({cells[1]}))"


def read(arch: Any) -> Genotype:
    """Return the genotype of a text, of NASLib's compact form (text or tuples), or of an official Genotype.

    A text is read as data and never executed. Errors: InputError that says what is wrong and where.
    """
    if isinstance(arch, str):
        arch = _literal(arch)
    if hasattr(arch, "normal") and hasattr(arch, "reduce"):
        for cell in ("normal", "reduce"):
            _check_concat(getattr(arch, f"{cell}_concat", range(2, 2 + NODES)), cell)
        return Genotype(_cell(arch.normal, "normal"), _cell(arch.reduce, "reduce"))
    if isinstance(arch, tuple | list) and len(arch) == 2:
        return Genotype(*(_cell(_named(pairs, cell), cell) for pairs, cell in zip(arch, Genotype._fields, strict=True)))
    raise InputError(f"expected {FORM}, or NASLib's compact form, got {_shown(arch)}")


class _Official(NamedTuple):
    normal: Any
    normal_concat: Any
    reduce: Any
    reduce_concat: Any


def _literal(arch: str) -> Any:
    """The text as tuples, lists, names and numbers; nothing else is understood."""
    if not arch.strip():
        raise InputError(f"the genotype is empty; expected {FORM}")
    if len(arch) > LONGEST:
        raise InputError(f"the genotype has {len(arch)} characters, and none needs more than {LONGEST}; give one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(arch.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset - 1}" if isinstance(error, SyntaxError) and error.offset else ""
        raise InputError(f"bad genotype {_shown(arch)}: it cannot be read{place}; expected {FORM}") from None
    if not isinstance(tree, ast.Call):
        return _value(tree, arch)
    if not (isinstance(tree.func, ast.Name) and tree.func.id == "Genotype"):
        raise InputError(f"bad genotype {_shown(arch)}: expected {FORM}")
    fields = dict(zip(_Official._fields, tree.args, strict=False)) if len(tree.args) <= 4 else {}
    named = {str(keyword.arg): keyword.value for keyword in tree.keywords}
    missing = [name for name in _Official._fields if name not in fields | named]
    unknown = [name for name in named if name not in _Official._fields or name in fields]
    if missing or unknown or len(tree.args) > 4 or len(named) < len(tree.keywords):
        problem = f"{missing[0]}= is missing" if missing else f"{(unknown or ['an argument'])[0]} is one too many"
        raise InputError(f"bad genotype {_shown(arch)}: {problem}; expected {FORM}")
    return _Official(**{name: _value(node, arch) for name, node in (fields | named).items()})


def _value(node: ast.expr, arch: str) -> Any:
    ranged = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"
    try:
        if ranged and isinstance(node, ast.Call) and len(node.args) == 2 and not node.keywords:
            start, stop = (ast.literal_eval(argument) for argument in node.args)
            return [*range(start, min(stop, start + 100))]
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        told = ast.get_source_segment(arch.strip(), node) or ""
        raise InputError(f"bad genotype {_shown(arch)}: {told[:60]!r} is no list of pairs; expected {FORM}") from None


def _check_concat(concat: Any, cell: str) -> None:
    try:
        given = sorted(concat)
    except TypeError:
        given = None
    if given != list(range(2, 2 + NODES)):
        shown = list(concat) if isinstance(concat, Iterable) else concat
        raise InputError(f"{cell}_concat must be [2, 3, 4, 5], all nodes of a DARTS cell, got {str(shown)[:60]}")


def _named(pairs: Any, cell: str) -> Any:
    """(source, number) pairs as (name, source)."""
    if not isinstance(pairs, tuple | list):
        return pairs
    named = []
    for pair in pairs:
        ints = isinstance(pair, tuple | list) and len(pair) == 2 and all(type(part) is int for part in pair)
        if not ints or not 0 <= pair[1] < len(OPERATIONS):
            raise InputError(
                f"bad compact genotype: the {cell} cell has {str(pair)[:60]}; expected (source, operation), the "
                f"operation from 0 to {len(OPERATIONS) - 1} ({', '.join(OPERATIONS)})"
            )
        named.append((OPERATIONS[pair[1]], pair[0]))
    return named


def _cell(pairs: Any, cell: str) -> Pairs:
    known = (*OPERATIONS, NONE)
    if not isinstance(pairs, tuple | list) or len(pairs) != 2 * NODES:
        got = f"{len(pairs)}" if isinstance(pairs, tuple | list) else str(pairs)[:60]
        raise InputError(f"the {cell} cell must have eight (operation, source), two for each of four nodes, got {got}")
    for k, pair in enumerate(pairs):
        node = 2 + k // 2
        where = f"pair {k + 1} of the {cell} cell (node {node})"
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{where} must be (operation, source) as in ('sep_conv_3x3', 0), got {str(pair)[:60]}")
        name, source = pair
        if name not in known:
            raise InputError(
                f"{where} has the unknown operation {str(name)[:60]!r}; known: {', '.join(known)}."
                f"{suggest(str(name)[:60], known)}"
            )
        if type(source) is not int or not 0 <= source < node:
            raise InputError(f"{where} reads {str(source)[:60]}; node {node} can read 0 to {node - 1}")
    return tuple((str(name), source) for name, source in pairs)


def _shown(arch: object) -> str:
    shown = repr(arch) if isinstance(arch, str) else re.sub(r" at 0x\w+", "", str(arch))
    return shown if len(shown) <= 80 else shown[:77] + "..."


def nodes_of(cell: Pairs) -> Nodes:
    """Return the four nodes, inputs in rising order; a `none` reads nothing, so its source is written 0."""
    numbers = {name: k for k, name in enumerate((*OPERATIONS, NONE))}
    pairs = [(0 if name == NONE else source, numbers[name]) for name, source in cell]
    return tuple(_ordered(pairs[k], pairs[k + 1]) for k in range(0, 2 * NODES, 2))


def pairs_of(nodes: Nodes) -> Pairs:
    """Return eight (operation, source); the inverse of `nodes_of` for what that returns."""
    return tuple(((*OPERATIONS, NONE)[number], source) for node in nodes for source, number in node)


@lru_cache(maxsize=1 << 16)
def renumbered(nodes: Nodes) -> tuple[Nodes, tuple[int, ...]]:
    """Return the smallest cell that is `nodes` with its nodes in another order, and that order.

    Node 2 + k of the result is node 2 + order[k] of the argument. An order puts no node before one that it reads.
    """
    best: tuple[Nodes, tuple[int, ...]] | None = None
    for order in permutations(range(len(nodes))):
        place = {0: 0, 1: 1} | {2 + old: 2 + new for new, old in enumerate(order)}
        if any(place[source] >= 2 + new for new, old in enumerate(order) for source, _ in nodes[old]):
            continue
        moved = tuple(_ordered(*((place[source], number) for source, number in nodes[old])) for old in order)
        if best is None or moved < best[0]:
            best = moved, order
    assert best is not None
    return best


def _ordered(a: tuple[int, int], b: tuple[int, int]) -> Node:
    return (a, b) if a <= b else (b, a)


@cache
def topologies(nodes: int = NODES) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the pairs of different sources of each node: 1 · 3 · 6 · 10 = 180 for four nodes."""
    return tuple(product(*(tuple(combinations(range(2 + k), 2)) for k in range(nodes))))


def cells_listed(nodes: int = NODES, operations: int = len(OPERATIONS)) -> int:
    """Return the number of cells with two different sources a node: topologies times operations^(2 nodes)."""
    count: int = operations ** (2 * nodes)
    return len(topologies(nodes)) * count


def cell_classes(nodes: int = NODES, operations: int = len(OPERATIONS)) -> int:
    """Return the number of those cells up to renumbering of nodes, exactly.

    A cell x has |orders| / |Aut x| numberings, so that the classes are Σ_x |Aut x| / |orders|. By topology, and over
    the orders that leave a topology as it is: such an order fixes operations^(cycles of it on the edges) of its cells.
    """
    total = Fraction(0)
    for topology in topologies(nodes):
        orders = fixed = 0
        for order in permutations(range(nodes)):
            place = [0, 1, *(2 + order[k] for k in range(nodes))]
            moved = {place[2 + k]: tuple(sorted(place[s] for s in topology[k])) for k in range(nodes)}
            if all(sources[1] < target for target, sources in moved.items()):
                orders += 1
                if all(moved[2 + k] == topology[k] for k in range(nodes)):
                    edges = {(s, 2 + k): (place[s], place[2 + k]) for k in range(nodes) for s in topology[k]}
                    fixed += operations ** _cycles(edges)
        total += Fraction(fixed, orders)
    assert total.denominator == 1
    return int(total)


def _cycles(permutation: dict[Any, Any]) -> int:
    waiting, count = set(permutation), 0
    while waiting:
        count += 1
        at = next(iter(waiting))
        while at in waiting:
            waiting.remove(at)
            at = permutation[at]
    return count


def numbered(index: int) -> Nodes:
    """Return the cell of a number below `cells_listed()`: topology first, then the operations, the last fastest."""
    digits: list[int] = []
    for _ in range(2 * NODES):
        index, digit = divmod(index, len(OPERATIONS))
        digits.append(digit)
    digits.reverse()
    sources = topologies()[index]
    return tuple(((a, digits[2 * k]), (b, digits[2 * k + 1])) for k, (a, b) in enumerate(sources))


def choices() -> dict[str, tuple[str, ...]]:
    """Return the variables of a listed genotype and their options; node 2 has no choice of sources."""
    variables: dict[str, tuple[str, ...]] = {}
    for cell in Genotype._fields:
        for node in range(2, 2 + NODES):
            if node > 2:
                variables[f"{cell}_{node}_sources"] = tuple(f"{a},{b}" for a, b in combinations(range(node), 2))
            variables |= {f"{cell}_{node}_{which}": OPERATIONS for which in ("first", "second")}
    return variables


def assembled(chosen: Mapping[str, str]) -> Genotype:
    """Return the genotype of an option for each of `choices`; InputError for sources that are no two numbers."""
    cells = []
    for cell in Genotype._fields:
        pairs: list[tuple[str, int]] = []
        for node in range(2, 2 + NODES):
            given = chosen.get(f"{cell}_{node}_sources", "0,1")
            if not re.fullmatch(r"[0-4],[0-4]", given):
                raise InputError(f"the sources of node {node} must be two numbers as in '0,1', got {given!r}")
            first, second = map(int, given.split(","))
            pairs += [(chosen[f"{cell}_{node}_first"], first), (chosen[f"{cell}_{node}_second"], second)]
        cells.append(tuple(pairs))
    return Genotype(*cells)
