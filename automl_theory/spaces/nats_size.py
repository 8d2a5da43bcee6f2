"""NATS-Bench's size space: 32,768 networks of one cell, each with five widths (Dong et al., TPAMI 2021).

    64:48:16:32:8

are the channels of the five blocks (`networks.widths`): cell, reduction, cell, reduction, cell; each one of 8, 16, ...,
64. Widths are numbers of units, so no two strings compute the same functions: every string is its own class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, ClassVar

from automl_theory.counts import check_counts
from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.base import sample_from

if TYPE_CHECKING:
    from automl_theory.networks.widths import WidthNetwork

CANDIDATES = (8, 16, 24, 32, 40, 48, 56, 64)
Widths = tuple[int, int, int, int, int]

_CELL = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_SKIP = (0, 3)


class NatsSize:
    """The space; see `spaces.base.Space` for what each method owes. Iteration is by rising widths, the last fastest."""

    name = "nats_size"
    size = len(CANDIDATES) ** 5
    presets: ClassVar[dict[str, dict[str, int]]] = {"canonical": {}, "reduced": {}}
    choices: ClassVar[dict[str, tuple[str, ...]]] = {f"c{k}": tuple(map(str, CANDIDATES)) for k in range(1, 6)}

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        return iter(_table())

    def __contains__(self, arch: object) -> bool:
        return isinstance(arch, str) and arch in _table()

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct strings, the first n of a seeded shuffle; `canonical` makes no difference here."""
        return sample_from(list(self), n, seed)

    def parse(self, arch: str) -> Widths:
        """Return the five widths.

        Errors: InputError that names the width, counted from 1, for everything but the 32,768 strings.
        """
        widths = _table().get(arch) if isinstance(arch, str) else None
        return widths if widths is not None else _explain(arch)

    def string(self, widths: Widths) -> str:
        """Return the string of five widths; the inverse of `parse`."""
        if isinstance(widths, str) or not isinstance(widths, tuple | list):
            raise InputError(f"expected five widths, got {widths!r}; give them as (64, 48, 16, 32, 8)")
        arch = ":".join(str(width) for width in widths)
        self.parse(arch)
        return arch

    def assemble(self, chosen: Mapping[str, str]) -> str:
        """Return the architecture of a width for each of `choices`."""
        arch = ":".join(str(chosen[name]) for name in self.choices)
        self.parse(arch)
        return arch

    def canonical(self, arch: str) -> str:
        """Return the string itself."""
        self.parse(arch)
        return arch

    def representatives(self) -> list[str]:
        """Return all strings."""
        return list(self)

    def graph(self, arch: str) -> CellGraph:
        """Return the whole network, from the image (node 0) to the logits; a weight is 1 for a convolution, else 0.

        Nodes: 0 the image; 1 the stem, 2 to 4 the first cell; 5 the middle of the first reduction and 6 its end, 7 to 9
        the second cell; 10, 11 to 14 likewise; 15 the logits. A cell's skip weighs 1 where it changes the width, and
        that is all in which graphs of this space differ.
        """
        _, c2, c3, c4, c5 = self.parse(arch)
        edges, narrow = [(0, 1, 1)], [(14, 15)]
        for start, changes in ((1, False), (6, c2 != c3), (11, c4 != c5)):
            if start > 1:
                edges += [(start - 2, start - 1, 1), (start - 1, start, 1), (start - 2, start, 1)]
                narrow.append((start - 2, start))
            if changes:
                narrow.append((start + _SKIP[0], start + _SKIP[1]))
            edges += [(start + s, start + t, int((s, t) != _SKIP or changes)) for s, t in _CELL]
        edges.append((14, 15, 1))
        kernels = {(s, t): 1 if (s, t) in narrow else 9 for s, t, weight in edges if weight}
        return CellGraph(16, edges, kernels, pooled=[(4, 6), (9, 11)])

    def build(
        self, arch: str, num_classes: int = 10, in_channels: int = 3, *, seed: int = 0, init: str = "pytorch"
    ) -> WidthNetwork:
        """Return the official network of `arch` (`networks.widths.WidthNetwork`), `initialise(net, init, seed)`."""
        widths = self.parse(arch)
        from automl_theory.networks.widths import WidthNetwork

        return WidthNetwork(widths, num_classes, in_channels, seed=seed, init=init)

    def size_metrics(
        self, arch: str, num_classes: int = 10, in_channels: int = 3, resolution: int = 32
    ) -> dict[str, float]:
        """Return the size of the network as `build` makes it, in closed form.

        parameters        numbers in the network: the benchmark's `params` (which are in millions) times 10^6
        macs              multiply-accumulates of one image: the benchmark's `flop` times 10^6. Convolutions, and the
                          classifier with its bias as one operation a class; not BN, ReLU, pooling or sums
        depth             trainable layers on the longest input-output path: stem, 3 a cell, 2 a reduction, classifier
        trainable_layers  convolutions and linear layers
        relu_units        numbers that leave a ReLU for one image

        Errors: InputError for a setting below 1, or a resolution that is no multiple of 4.
        """
        widths = self.parse(arch)
        check_counts(num_classes=num_classes, in_channels=in_channels, resolution=resolution)
        if resolution % 4:
            raise InputError(f"resolution must be a multiple of 4 (two reductions halve it), got {resolution}; give 32")
        area = resolution * resolution
        c_in, layers = widths[0], 8
        parameters, macs, relus = (9 * in_channels + 2) * c_in, 9 * in_channels * c_in * area, 0
        for block, c in enumerate(widths):
            if block % 2:
                area //= 4
                weights = 9 * c_in * c + 9 * c * c + c_in * c
                parameters += weights + 4 * c
                relus += 4 * area * c_in + area * c
            else:
                projected = c_in != c
                weights = (18 + projected) * c_in * c + 27 * c * c
                parameters += weights + (10 + 2 * projected) * c
                relus += area * (2 * c_in + 3 * c)
                layers += 5 + projected
            macs += weights * area
            c_in = c
        head = (c_in + 1) * num_classes
        return {
            "parameters": parameters + 2 * c_in + head,
            "macs": macs + head,
            "depth": 15,
            "trainable_layers": layers,
            "relu_units": relus + c_in * area,
        }


@cache
def _table() -> dict[str, Widths]:
    c = CANDIDATES
    return {":".join(map(str, widths)): widths for widths in product(c, c, c, c, c)}


def _explain(arch: object) -> Widths:
    """Raise the InputError of something that is no architecture of the space."""
    if not isinstance(arch, str):
        raise InputError(f"expected a string of five widths such as '64:48:16:32:8', got {type(arch).__name__}")
    shown = arch if len(arch) <= 60 else arch[:57] + "..."
    parts = arch.split(":")
    if len(parts) != 5:
        raise InputError(f"bad architecture {shown!r}: expected five widths joined by ':', got {len(parts)}")
    known = {str(width) for width in CANDIDATES}
    wrong = next(k for k, part in enumerate(parts) if part not in known)
    listed = ", ".join(map(str, CANDIDATES))
    raise InputError(f"bad architecture {shown!r}: width {wrong + 1} is {parts[wrong][:20]!r}; use one of {listed}")
