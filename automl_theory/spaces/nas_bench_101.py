"""NAS-Bench-101: 423,624 modules of up to 7 vertices, 9 edges and three operations (Ying et al., ICML 2019).

    101_10_1+input+conv3x3-bn-relu+maxpool3x3+output

Rows of the upper triangle of the adjacency matrix, then the operation of every vertex (`nas_bench_101_module`). A
string may be any module of the benchmark, with its vertices in any order and with vertices that lead nowhere, which are
pruned; the space counts and lists each once, by its representative.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.base import sample_from
from automl_theory.spaces.nas_bench_101_enumeration import MAX_VERTICES, SIZE
from automl_theory.spaces.nas_bench_101_module import (
    OPERATIONS,
    Module,
    decoded,
    graph_of,
    hash_of,
    read,
    representative,
    string,
)
from automl_theory.spaces.nas_bench_101_order import by_hash
from automl_theory.spaces.nas_bench_101_sizes import sizes

if TYPE_CHECKING:
    from automl_theory.networks.nas_bench_101 import ModuleNetwork, ThinNetwork

HASH = re.compile(r"[0-9a-f]{32}")
ALL_EDGES = {f"{x}>{y}": (x, y) for y in range(1, MAX_VERTICES) for x in range(y)}


class NasBench101:
    """The space; see `spaces.base.Space` for what each method owes. Iteration is by rising official hash.

    Every method takes an architecture in any form that `parse` reads.
    """

    name = "nas_bench_101"
    size = classes = SIZE
    presets: ClassVar[dict[str, dict[str, int]]] = {
        "canonical": {"channels": 128, "stacks": 3, "modules_per_stack": 3},
        "reduced": {"channels": 16, "stacks": 3, "modules_per_stack": 1},
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = {
        **{f"source_{y}": tuple(map(str, range(y))) for y in range(2, MAX_VERTICES)},
        **{f"more_{k}": ("none", *ALL_EDGES) for k in range(1, 6)},
        **{f"operation_{x}": OPERATIONS for x in range(1, MAX_VERTICES - 1)},
    }
    records: ClassVar[tuple[tuple[str, ...], ...]] = (("module_adjacency", "module_operations"), ("n", "adj", "ops"))

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        for vertices, bits, operations in zip(*(column.tolist() for column in by_hash()), strict=True):
            yield string(decoded(vertices, bits, operations))

    def __contains__(self, arch: object) -> bool:
        try:
            return isinstance(arch, str) and bool(self.parse(arch))
        except InputError:
            return False

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct modules, each a representative: the first n of a seeded shuffle of all 423,624.

        `canonical` makes no difference, since the space lists representatives only. Errors: InputError for an n larger
        than that.
        """
        return sample_from(_Strings(), n, seed, "modules")

    def parse(self, arch: Any) -> Module:
        """Return the pruned module: its matrix and operations, in the order given.

        Besides the string of this space `arch` may be what the benchmark uses: the hash of a module; a pair of matrix
        and operations; a mapping with "module_adjacency" and "module_operations", or its JSON; a ModelSpec. A mapping
        with "n", "adj" and "ops" has the codes vertices, bits and operations of `nas_bench_101_enumeration`.

        Errors: InputError that says what is wrong and (in a string) at which position, for anything else, an unknown
        operation, an edge that goes down, an input without a path to the output, and, after pruning as in the official
        code, more than 7 vertices or 9 edges.
        """
        return self._by_hash(arch) if isinstance(arch, str) and HASH.fullmatch(arch) else read(arch)

    def string(self, operations: Any) -> str:
        """Return the string of a module in any form that `parse` reads, pruned, its vertices in the order given."""
        return string(self.parse(operations))

    def assemble(self, chosen: Mapping[str, str]) -> str:
        """Return the module of a source for each vertex, up to five more edges, and operations.

        There are seven vertices, 0 the input and 6 the output. An edge leads to each from its source (to 1 from 0), so
        that the input reaches the output; more edges join in order, but for one that would make it more than nine after
        pruning. Every choice is thus a module, and every module of the benchmark is some choice. Errors: InputError for
        what is not among `choices`.
        """
        for name, options in self.choices.items():
            if chosen.get(name) not in options:
                raise InputError(f"{name} has no option {chosen.get(name)!r}; give one of {', '.join(options)}")
        matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), dtype=int)
        matrix[0, 1] = 1
        for y in range(2, MAX_VERTICES):
            matrix[int(chosen[f"source_{y}"]), y] = 1
        ops = ["input", *(chosen[f"operation_{x}"] for x in range(1, MAX_VERTICES - 1)), "output"]
        for edge in (chosen[f"more_{k}"] for k in range(1, 6)):
            wider = matrix.copy()
            if edge != "none":
                wider[ALL_EDGES[edge]] = 1
            try:
                self.parse((wider, ops))
            except InputError:
                continue
            matrix = wider
        return self.string((matrix, ops))

    def hash(self, arch: Any) -> str:
        """Return the official MD5 hash, 32 hexadecimal digits, equal for isomorphic modules and for no others."""
        return hash_of(self.parse(arch))

    def canonical(self, arch: Any) -> str:
        """Return the representative of the isomorphism class of `arch`, which has the same hash.

        Of all ways to number the vertices it has the smallest adjacency (edge x > y is bit x + y (y - 1) / 2), and of
        those the smallest operations (by their order in `OPERATIONS`): the module that the official generator lists.
        Isomorphic modules compute one function of corresponding weights but for the rounding of channels: where the
        output's do not divide evenly, its first vertices have one more.
        """
        return string(representative(self.parse(arch)))

    def representatives(self) -> list[str]:
        """Return the 423,624 representatives, by rising official hash."""
        return list(self)

    def graph(self, arch: Any) -> CellGraph:
        """Return the module: its vertices are the nodes, and an edge carries the operation of the vertex it leads to.

        Weights count trainable layers: 1 for a convolution at the target, 0 for a pooling or the output, and 1 more on
        edges from the input, for their projection. Layers on a path through the network are thus weights on a path
        through the graph, exactly; a convolution that reads several vertices is on several edges.
        """
        return graph_of(self.parse(arch))

    def build(
        self,
        arch: Any,
        channels: int = 128,
        stacks: int = 3,
        modules_per_stack: int = 3,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> ModuleNetwork:
        """Return the official network (`networks.nas_bench_101.ModuleNetwork`) of the pruned module.

        The weights are `initialise(net, init, seed)`, keyed by module and vertex.
        """
        matrix, ops = self.parse(arch)
        from automl_theory.networks.nas_bench_101 import ModuleNetwork

        return ModuleNetwork(
            matrix, ops, channels, stacks, modules_per_stack, num_classes, in_channels, seed=seed, init=init
        )

    def build_thin(
        self,
        arch: Any,
        channels: int = 1,
        in_channels: int = 3,
        *,
        stem: bool = False,
        seed: int = 0,
        init: str = "pytorch",
    ) -> ThinNetwork:
        """Return one narrow module (`networks.nas_bench_101.ThinNetwork`), in which linear regions are counted."""
        matrix, ops = self.parse(arch)
        from automl_theory.networks.nas_bench_101 import ThinNetwork

        return ThinNetwork(matrix, ops, channels, in_channels, stem=stem, seed=seed, init=init)

    def size_metrics(
        self,
        arch: Any,
        channels: int = 128,
        stacks: int = 3,
        modules_per_stack: int = 3,
        num_classes: int = 10,
        in_channels: int = 3,
        resolution: int = 32,
    ) -> dict[str, float]:
        """Return the size of the network as `build` makes it, in closed form.

        With C_t channels at vertex t (`networks.nas_bench_101_channels`), a module has k² C_t² + 2 C_t parameters for
        each k×k convolution and C_in C_t + 2 C_t for each edge from the input.

        parameters        numbers in the network: the benchmark's `trainable_parameters`
        macs              multiply-accumulates of the convolutions and the classifier, of one image
        depth             trainable layers on the longest input-output path, stem and classifier included
        trainable_layers  convolutions and linear layers
        relu_units        numbers that leave a ReLU for one image

        Errors: InputError for a setting below 1 or beyond `nas_bench_101_sizes.LARGEST` (no memory holds the network),
        or fewer channels than vertices that the output concatenates.
        """
        module = self.parse(arch)
        return sizes(module, channels, stacks, modules_per_stack, num_classes, in_channels, resolution)

    def _by_hash(self, wanted: str) -> Module:
        """Find a hash among the rows, which rise by hash and lie evenly: a handful of them are hashed."""
        low, high = 0, self.size - 1
        below, above = 0, 1 << 128
        target = int(wanted, 16)
        while low <= high:
            row = low + (target - below) * (high - low) // (above - below)
            found = int(_hash_of_row(row), 16)
            if found == target:
                return _row(row)
            if found < target:
                low, below = row + 1, found
            else:
                high, above = row - 1, found
        raise InputError(f"no module of NAS-Bench-101 has the hash {wanted!r}; give the hash of one of its 423,624")


class _Strings(Sequence[str]):
    """The strings of the rows, each made when it is asked for."""

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, row: Any) -> Any:
        return string(_row(row))


def _row(row: int) -> Module:
    return decoded(*(int(column[row]) for column in by_hash()))


@lru_cache(maxsize=SIZE)
def _hash_of_row(row: int) -> str:
    return hash_of(_row(row))
