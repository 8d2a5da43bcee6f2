"""MLP-DAG: cells of `nodes` nodes after the input, every edge zero, skip or linear + ReLU (Chen, Huang & Wang, 2023).

    2_02_002

lists the operations into node 1, 2 and 3 (`graphs.code`). With three nodes there are 3^6 = 729 codes. 188 are
degenerate, and the paper leaves them out: 67 are disconnected, 121 are connected by skips alone. 541 live ones remain.

Many codes are one function: dead edges do not count, nodes can be renumbered, and skips only say what a linear edge
reads (`spaces.mlp_dag_classes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from automl_theory.counts import check_counts, whole
from automl_theory.errors import InputError
from automl_theory.graphs.code import LINEAR, Code, code_graph, code_string, parse_code
from automl_theory.graphs.dag import CellGraph, metrics
from automl_theory.spaces.base import sample_from
from automl_theory.spaces.mlp_dag_classes import live_part, renumbered, signature

if TYPE_CHECKING:
    from automl_theory.networks.mlp import MlpDagNetwork

# Up to here (59,049 codes) the whole space is held in memory and its classes are found by looking at every code.
ENUMERABLE = 4


class MlpDag:
    """The space; see `spaces.base.Space` for what each method owes. Iteration is by rising code (lexicographic).

    nodes  H, the number of nodes after the input, at least 1: 3^(H(H+1)/2) codes.

    Up to 4 nodes a class holds all codes that `mlp_dag_classes` knows to be one function. With more, the space cannot
    be enumerated, and a class holds the codes whose live parts are equal up to renumbering of nodes: never two
    functions, but a function may have several classes.

    Errors: InputError for a bad number of nodes.
    """

    def __init__(self, nodes: int = 3) -> None:
        self.nodes = whole("nodes", nodes)
        self.name = "mlp_dag" if nodes == 3 else f"mlp_dag_{nodes}"

    @property
    def size(self) -> int:
        """The number of codes, 3^(H(H+1)/2)."""
        return int(3 ** (self.nodes * (self.nodes + 1) // 2))

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        starts = [t * (t - 1) // 2 for t in range(1, self.nodes + 2)]
        for digits in product("012", repeat=starts[-1]):
            text = "".join(digits)
            yield "_".join(text[a:b] for a, b in pairwise(starts))

    def __contains__(self, arch: object) -> bool:
        try:
            return isinstance(arch, str) and bool(parse_code(arch, self.nodes))
        except InputError:
            return False

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct architectures by a seed; a larger n extends a smaller one.

        Up to 4 nodes: the first n of a seeded shuffle of the representatives (the disconnected cell is one), or of all
        codes if not `canonical`. With more nodes codes are drawn uniformly (their representatives are kept if
        `canonical`) until n differ. Errors: InputError for an n larger than there are.
        """
        if self.nodes <= ENUMERABLE:
            items = self.representatives() if canonical else list(self)
            return sample_from(items, n, seed, "canonical classes" if canonical else "architectures")
        sample_from([], 0, seed)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n <= self.size // 1000:
            most = f"{self.size // 1000} architectures of {self.nodes} nodes"
            raise InputError(f"can draw 0 to {most}, got n={n!r}; give n in that range")
        rng, found = np.random.default_rng(seed), dict[str, None]()
        while len(found) < n:
            drawn = rng.integers(3, size=self.nodes * (self.nodes + 1) // 2).tolist()
            code = tuple(tuple(drawn[t * (t - 1) // 2 : t * (t + 1) // 2]) for t in range(1, self.nodes + 1))
            found.setdefault(code_string(renumbered(code) if canonical else code))
        return list(found)

    def parse(self, arch: str) -> Code:
        """Return the operations into node 1, 2, ...: "2_02_002" gives ((2,), (0, 2), (0, 0, 2)).

        0 is zero, 1 skip, 2 linear. Errors: InputError with the position (counted from 0) and the reason.
        """
        return parse_code(arch, self.nodes)

    def string(self, operations: Code) -> str:
        """Return the code of operations; the inverse of `parse`."""
        arch = code_string(operations)
        self.parse(arch)
        return arch

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The edges as variables, "0>1", ..., each with the options "0" (nothing), "1" (skip) and "2" (linear)."""
        return {
            f"{source}>{target}": ("0", "1", "2") for target in range(1, self.nodes + 1) for source in range(target)
        }

    def assemble(self, chosen: Mapping[str, str]) -> str:
        """Return the code of an operation for each edge, as `choices` names them."""
        groups = (
            "".join(chosen[f"{source}>{target}"] for source in range(target)) for target in range(1, self.nodes + 1)
        )
        return "_".join(groups)

    def canonical(self, arch: str) -> str:
        """Return the representative of the class of `arch`: itself a member, and its own representative.

        Up to 4 nodes it is the live part (dead edges set to 0) of the lexicographically first code of the class; the
        classes are found once, on first use. With more nodes it is the live part with its nodes renumbered.
        """
        code = self.parse(arch)
        return _classes(self.nodes)[arch] if self.nodes <= ENUMERABLE else code_string(renumbered(code))

    def representatives(self) -> list[str]:
        """Return one code of each class, in the order in which iteration meets the classes.

        Errors: InputError with more than 4 nodes, where there are too many to list.
        """
        if self.nodes > ENUMERABLE:
            raise InputError(
                f"a space of {self.nodes} nodes has {self.size} architectures, too many to list; use sample(n, seed)"
            )
        return list(dict.fromkeys(_classes(self.nodes).values()))

    def linear_edges(self, arch: str) -> tuple[tuple[int, int], ...]:
        """Return the live linear edges (source, target) in canonical order.

        In two members of a class (up to 4 nodes) the k-th edges of this list correspond: with equal weights on them,
        on stem and readout, the two networks compute the same function.
        """
        return signature(self.parse(arch))[1]

    def degeneracy(self, arch: str) -> str | None:
        """Return why the paper leaves `arch` out: "disconnected", "no_linear_edge" (on no path), or None."""
        measured = metrics(self.graph(arch))
        if not measured["paths"]:
            return "disconnected"
        return None if measured["total_depth"] else "no_linear_edge"

    def live(self) -> list[str]:
        """Return the codes with a linear edge on some input-output path, in order: 541 of 729 with three nodes.

        Errors: InputError with more than 4 nodes.
        """
        if self.nodes > ENUMERABLE:
            self.representatives()
        return [arch for arch in self if self.degeneracy(arch) is None]

    def graph(self, arch: str) -> CellGraph:
        """Return the cell: weight 1 for a linear edge, 0 for a skip; a zero is no edge."""
        return code_graph(self.parse(arch))

    def build(
        self,
        arch: str,
        width: int = 256,
        num_classes: int = 10,
        in_channels: int = 3,
        resolution: int = 32,
        *,
        bias: bool = False,
        scale: str = "none",
        seed: int = 0,
        init: str = "he_fan_in",
    ) -> MlpDagNetwork:
        """Return the network of `arch` on in_channels × resolution × resolution inputs, weights name-keyed by the seed.

        width, bias, scale, init: see `networks.mlp.MlpDagNetwork`; m = 256 and He initialisation are the paper's. All
        edges are built as the code says, dead ones too.
        """
        operations = self.parse(arch)
        features = _features(width, num_classes, in_channels, resolution, bias)
        from automl_theory.networks.mlp import MlpDagNetwork

        return MlpDagNetwork(operations, features, width, num_classes, bias=bias, scale=scale, seed=seed, init=init)

    def size_metrics(
        self,
        arch: str,
        width: int = 256,
        num_classes: int = 10,
        in_channels: int = 3,
        resolution: int = 32,
        *,
        bias: bool = False,
        scale: str = "none",
    ) -> dict[str, float]:
        """Return the size of the network as `build` makes it, in closed form; dead linear edges count.

        parameters        (d + b) m + L (m + b) m + (m + b) C with d = in_channels · resolution², L linear edges, C
                          classes, and b = 1 with biases, else 0
        macs              d m + L m² + m C, multiply-accumulates of one input
        depth             linear layers on the longest input-output path, stem and readout included; 0 if disconnected
        trainable_layers  L + 2
        relu_units        (L + 1) m

        Errors: InputError for a setting below 1.
        """
        linear = sum(group.count(LINEAR) for group in self.parse(arch))
        features = _features(width, num_classes, in_channels, resolution, bias)
        macs = features * width + linear * width * width + width * num_classes
        biases = (width + linear * width + num_classes) if bias else 0
        depth = metrics(self.graph(arch))["max_depth"]
        return {
            "parameters": macs + biases,
            "macs": macs,
            "depth": 0 if depth != depth else int(depth) + 2,
            "trainable_layers": linear + 2,
            "relu_units": (linear + 1) * width,
        }


def _features(width: int, num_classes: int, in_channels: int, resolution: int, bias: bool) -> int:
    """d, after a check of the settings."""
    check_counts(width=width, num_classes=num_classes, in_channels=in_channels, resolution=resolution)
    if not isinstance(bias, bool):
        raise InputError(f"bias must be True or False, got {bias!r}")
    return in_channels * resolution * resolution


@cache
def _classes(nodes: int) -> dict[str, str]:
    """Map each code to the live part of the first code of its class."""
    first: dict[object, Code] = {}
    by_live: dict[Code, str] = {}
    found: dict[str, str] = {}
    for arch in MlpDag(nodes):
        live = live_part(parse_code(arch))
        if live not in by_live:
            by_live[live] = code_string(first.setdefault(signature(live)[0], live))
        found[arch] = by_live[live]
    return found
