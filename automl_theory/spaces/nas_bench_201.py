"""NAS-Bench-201: 15,625 cells of four nodes, six edges and five operations (Dong & Yang, ICLR 2020).

    |nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|

lists the operations into node 1, 2 and 3; `op~s` is the edge from node s. The edges are thus 0>1, 0>2, 1>2, 0>3,
1>3, 2>3.

Many strings are one function: dead edges do not count, a skip adds what its source is made of, and convolutions are
known up to renaming. `spaces.nas_bench_201_classes` finds 5,260 classes; 341 strings have no input-output path and
form one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from automl_theory.counts import check_counts
from automl_theory.errors import InputError, suggest
from automl_theory.graphs.dag import CellGraph, metrics
from automl_theory.spaces.base import sample_from
from automl_theory.spaces.nas_bench_201_classes import CONVOLUTIONS, EDGES, Operations, classes, live_part, signature

if TYPE_CHECKING:
    from automl_theory.networks.cell import CellNetwork, ThinNetwork
    from automl_theory.networks.cell_stack import CellStack

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
LARGEST = {"channels": 2**14, "cells_per_stage": 2**10}


class NasBench201:
    """The space; see `spaces.base.Space` for what each method owes. Iteration is by rising string (lexicographic)."""

    name = "nas_bench_201"
    size = 15_625
    presets: ClassVar[dict[str, dict[str, int]]] = {
        "canonical": {"channels": 16, "cells_per_stage": 5},
        "reduced": {"channels": 16, "cells_per_stage": 1},
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {f"{s}>{t}": OPERATIONS for s, t in EDGES}

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        return iter(_table())

    def __contains__(self, arch: object) -> bool:
        return isinstance(arch, str) and arch in _table()

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct architectures: the first n of a seeded shuffle, so that a larger n extends a smaller one.

        canonical=True draws from the 5,260 representatives (uniformly over classes; the disconnected cell is one of
        them), canonical=False from all 15,625 strings. Errors: InputError for an n larger than that.
        """
        items = self.representatives() if canonical else list(self)
        return sample_from(items, n, seed, "canonical classes" if canonical else "architectures")

    def parse(self, arch: str) -> Operations:
        """Return the six operations in the order 0>1, 0>2, 1>2, 0>3, 1>3, 2>3.

        Errors: InputError with the position (counted from 0) and the reason, for everything but the 15,625 strings.
        """
        operations = _table().get(arch) if isinstance(arch, str) else None
        return operations if operations is not None else _explain(arch)

    def string(self, operations: Operations) -> str:
        """Return the official string of six operations; the inverse of `parse`."""
        six = isinstance(operations, tuple | list) and len(operations) == len(EDGES)
        arch = _string(tuple(operations)) if six else repr(operations)
        self.parse(arch)
        return arch

    def assemble(self, chosen: Mapping[str, str]) -> str:
        """Return the architecture of an operation for each edge, as `choices` names them."""
        return self.string(tuple(chosen[edge] for edge in self.choices))

    def canonical(self, arch: str) -> str:
        """Return the representative of the class of `arch`: itself a member, and its own representative.

        It is the live part (dead edges set to `none`) of the lexicographically first string of the class. The classes
        are found once, on first use.
        """
        self.parse(arch)
        return _classes()[arch]

    def representatives(self) -> list[str]:
        """Return the 5,260 representatives, in the order in which iteration meets their classes."""
        return list(dict.fromkeys(_classes().values()))

    def convolutions(self, arch: str) -> tuple[int, ...]:
        """Return the edges with a live convolution in canonical order.

        In two members of a class the k-th edges of this list correspond: with equal weights on them (in every cell of
        the stack) the two networks compute the same function.
        """
        return signature(live_part(self.parse(arch)))[1]

    def graph(self, arch: str) -> CellGraph:
        """Return the cell: weight 1 for a convolution, 0 for a skip or a pooling; `none` is no edge."""
        operations = {edge: op for edge, op in zip(EDGES, self.parse(arch), strict=True) if op != "none"}
        return CellGraph(
            4,
            ((source, target, int(operation in CONVOLUTIONS)) for (source, target), operation in operations.items()),
            kernels={edge: KERNELS[operation] for edge, operation in operations.items() if operation in KERNELS},
            pooled=[edge for edge, operation in operations.items() if operation == "avg_pool_3x3"],
        )

    def build(
        self,
        arch: str,
        channels: int = 16,
        cells_per_stage: int = 5,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> CellNetwork:
        """Return the official network of `arch` (`networks.cell.CellNetwork`), weights `initialise(net, init, seed)`.

        All six edges are built as the string says, dead ones too. `build(canonical(arch))` leaves the dead ones out.
        """
        operations = self.parse(arch)
        from automl_theory.networks.cell import CellNetwork

        return CellNetwork(operations, channels, cells_per_stage, num_classes, in_channels, seed=seed, init=init)

    def build_thin(
        self,
        arch: str,
        channels: int = 1,
        in_channels: int = 3,
        *,
        stem: bool = False,
        seed: int = 0,
        init: str = "pytorch",
    ) -> ThinNetwork:
        """Return one cell with a BN-ReLU tail (`networks.cell.ThinNetwork`), in which TE-NAS counts linear regions."""
        operations = self.parse(arch)
        from automl_theory.networks.cell import ThinNetwork

        return ThinNetwork(operations, channels, in_channels, stem=stem, seed=seed, init=init)

    def build_stack(self, archs: Sequence[str], **settings: Any) -> CellStack:
        """Return the networks `build(arch, **settings)` of several architectures with the weights that they share."""
        members = [self.parse(arch) for arch in archs]
        from automl_theory.networks.cell_stack import CellStack

        return CellStack(members, **settings)

    def size_metrics(
        self,
        arch: str,
        channels: int = 16,
        cells_per_stage: int = 5,
        num_classes: int = 10,
        in_channels: int = 3,
        resolution: int = 32,
    ) -> dict[str, float]:
        """Return the size of the network as `build` makes it, in closed form; dead convolutions count.

        parameters        numbers in the network: the benchmark's `params` (which are in millions) times 10^6
        macs              multiply-accumulates of one image: the benchmark's `flop` times 10^6. Convolutions, and the
                          classifier with its bias as one operation a class; not BN, ReLU, pooling or sums
        depth             trainable layers on the longest input-output path of the network (the residual branch of a
                          reduction has 2); 0 if the cell is disconnected, for then there is no such path
        trainable_layers  convolutions and linear layers
        relu_units        numbers that leave a ReLU for one image

        Errors: InputError for a setting below 1, channels or cells beyond `LARGEST` (no memory holds the network), or a
        resolution that is no multiple of 4.
        """
        operations = self.parse(arch)
        check_counts(
            LARGEST,
            channels=channels,
            cells_per_stage=cells_per_stage,
            num_classes=num_classes,
            in_channels=in_channels,
            resolution=resolution,
        )
        if resolution % 4:
            raise InputError(f"resolution must be a multiple of 4 (two reductions halve it), got {resolution}; give 32")
        conv3, conv1 = operations.count("nor_conv_3x3"), operations.count("nor_conv_1x1")
        convs = conv3 + conv1
        pixels = resolution * resolution
        parameters = 9 * in_channels * channels + 2 * channels
        macs = 9 * in_channels * channels * pixels
        relus = 0
        for stage in range(3):
            width, area = channels << stage, pixels >> 2 * stage
            if stage:
                half = width // 2
                weights = 9 * half * width + 9 * width * width + half * width
                parameters += weights + 4 * width
                macs += weights * area
                relus += half * area * 4 + width * area
            weights = (9 * conv3 + conv1) * width * width
            parameters += cells_per_stage * (weights + 2 * width * convs)
            macs += cells_per_stage * weights * area
            relus += cells_per_stage * convs * width * area
        head = 4 * channels * num_classes + num_classes
        depth = metrics(self.graph(arch))["max_depth"]
        return {
            "parameters": parameters + 8 * channels + head,
            "macs": macs + head,
            "depth": 0 if depth != depth else int(depth) * 3 * cells_per_stage + 6,
            "trainable_layers": convs * 3 * cells_per_stage + 8,
            "relu_units": relus + 4 * channels * (pixels >> 4),
        }


@cache
def _table() -> dict[str, Operations]:
    """All strings by rising order. No operation's name begins another's, so sorted operations give sorted strings."""
    return {_string(operations): operations for operations in product(sorted(OPERATIONS), repeat=len(EDGES))}


@cache
def _classes() -> dict[str, str]:
    table = _table()
    representative = classes(table.values())
    return {arch: _string(representative[operations]) for arch, operations in table.items()}


def _string(operations: Operations) -> str:
    a, b, c, d, e, f = operations
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def _explain(arch: object) -> Operations:
    """Raise the InputError of a string that is not in the space."""
    if not isinstance(arch, str):
        raise InputError(f"expected an architecture string '|none~0|+|none~0|none~1|+|...|', got {type(arch).__name__}")
    if not arch:
        raise InputError("the architecture string is empty; expected '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'")
    shown = arch if len(arch) <= 120 else arch[:117] + "..."

    def fail(position: int, reason: str) -> InputError:
        return InputError(f"bad architecture {shown!r}: at position {position}, {reason}")

    for position, character in enumerate(arch):
        if character.isspace():
            raise fail(position, "there is whitespace; the string has none")
    position = 0
    for node in (1, 2, 3):
        for text in ("|",) if node == 1 else ("+", "|"):
            if arch[position : position + 1] != text:
                found = repr(arch[position]) if position < len(arch) else "the end"
                if text == "+":
                    hint = f" (node {node - 1} has {node - 1} edges, and a cell has four nodes, so three groups)"
                else:
                    hint = f" before the edges into node {node}"
                raise fail(position, f"expected {text!r}{hint}, found {found}")
            position += 1
        for source in range(node):
            end = min((k for k in (arch.find(mark, position) for mark in "~|+") if k >= 0), default=len(arch))
            operation = arch[position:end]
            if operation not in OPERATIONS:
                if not operation:
                    raise fail(position, f"expected edge {source}>{node} (node {node} has {node} edges)")
                known = f"known: {', '.join(OPERATIONS)}.{suggest(operation, OPERATIONS)}"
                raise fail(position, f"unknown operation {operation!r}; {known}")
            position = end
            if arch[position : position + 1] != "~":
                raise fail(position, f"expected '~{source}' after the operation of edge {source}>{node}")
            position += 1
            end = min((k for k in (arch.find(mark, position) for mark in "|+") if k >= 0), default=len(arch))
            if arch[position:end] != str(source):
                raise fail(position, f"expected source {source} of edge {source}>{node}, found {arch[position:end]!r}")
            position = end
            if arch[position : position + 1] != "|":
                raise fail(position, f"missing '|' after edge {source}>{node}")
            position += 1
    raise fail(position, f"there is trailing text {arch[position:][:40]!r}; a cell has four nodes, so three groups")
