"""DARTS and NAS-Bench-301: genotypes of a normal and a reduction cell (Liu et al., ICLR 2019; Zela et al., ICLR 2022).

    Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=[...], reduce_concat=[2, 3, 4, 5])

The space lists the 1.08 · 10^18 genotypes of NAS-Bench-301, two different sources a node and seven operations, each
node's inputs in rising order of their source. It also takes genotypes beyond: an operation `none`, one source read
twice, inputs in another order, NASLib's compact form.

Equal are genotypes that differ in the order of a node's inputs, in the order of the nodes, or in what a `none` reads:
an order of the nodes permutes the channels of a cell's output, and the weights that read them can be permuted likewise.
The classes are too many to list as well: sample some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from automl_theory.counts import whole
from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.darts_genotype import (
    Genotype,
    Nodes,
    assembled,
    cell_classes,
    cells_listed,
    choices,
    compact,
    nodes_of,
    numbered,
    pairs_of,
    read,
    renumbered,
    text,
)
from automl_theory.spaces.darts_sizes import graph, sizes

if TYPE_CHECKING:
    from automl_theory.networks.darts import GenotypeNetwork


class Darts:
    """The space; see `spaces.base.Space` for what each method owes. Every method takes any form that `parse` reads.

    Iteration goes through all reduction cells of the first normal cell first, and is not meant to end.
    """

    name = "darts"
    size = cells_listed() ** 2
    presets: ClassVar[dict[str, dict[str, int]]] = {
        "canonical": {"channels": 36, "layers": 20},
        "reduced": {"channels": 16, "layers": 5},
    }

    choices: ClassVar[dict[str, tuple[str, ...]]] = choices()

    def __len__(self) -> int:
        return self.size

    @cached_property
    def classes(self) -> int:
        """The number of classes of equal genotypes, exactly."""
        return cell_classes() ** 2

    def __iter__(self) -> Iterator[str]:
        most = cells_listed()
        for normal in range(most):
            for reduce in range(most):
                yield _text(numbered(normal), numbered(reduce))

    def __contains__(self, arch: object) -> bool:
        try:
            return isinstance(arch, str) and bool(read(arch))
        except InputError:
            return False

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct genotypes, drawn one by one, so that a larger n extends a smaller one.

        canonical=True draws uniformly from the representatives (a drawn cell that is not its own is drawn again),
        canonical=False from the genotypes that the space lists. Errors: InputError for an n larger than that.
        """
        most = self.classes if canonical else self.size
        what = "classes" if canonical else "genotypes"
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n <= most:
            raise InputError(f"can sample 0 to {most} distinct {what}, got n={n!r}; give n in that range")
        whole("seed", seed, 0)
        random = np.random.default_rng(seed)
        chosen: dict[str, None] = {}
        while len(chosen) < n:
            chosen[_text(_draw(random, canonical), _draw(random, canonical))] = None
        return list(chosen)

    def parse(self, arch: Any) -> Genotype:
        """Return the genotype: the pairs (operation, source) of both cells, in the order given.

        `arch` may be the field's text, which is read as data and never executed, NASLib's compact form (its text or
        tuples), or a Genotype of the official code. Errors: InputError that says what is wrong and where, for anything
        else, an unknown operation, a source that comes later, or a cell that does not concatenate all four nodes.
        """
        return read(arch)

    def string(self, arch: Any) -> str:
        """Return the field's text of a genotype in any form that `parse` reads, its pairs in the order given."""
        return text(read(arch))

    def assemble(self, chosen: Mapping[str, str]) -> str:
        """Return the genotype of an option for each of `choices`: sources "0,2" and both operations of each node."""
        return text(read(assembled(chosen)))

    def compact(self, arch: Any) -> str:
        """Return the compact text that NASLib's tables have; InputError for a genotype with `none`."""
        return compact(read(arch))

    def canonical(self, arch: Any) -> str:
        """Return the representative: of all orders of nodes and inputs the smallest, by (source, operation)."""
        genotype = read(arch)
        return _text(*(renumbered(nodes_of(cell))[0] for cell in genotype))

    def representatives(self) -> list[str]:
        """Raise InputError: nobody has memory for the classes."""
        raise InputError(
            f"darts has {self.classes} classes, too many to list; take a sample of them: sample=100, --sample 100"
        )

    def graph(self, arch: Any) -> CellGraph:
        """Return both cells as one graph: a reduction that reads the stem twice, and a normal cell after it.

        Node 0 is the stem's output; then each cell has its two preprocessed inputs, its nodes, and its output. The
        normal cell's first input comes from the stem, its second from the reduction, as in the network. A weight
        counts convolutions: 4 for sep_conv, 2 for dil_conv, 1 for a preprocessing and for a skip of stride 2, 0 for
        other skips and pooling. A source read twice by a node has a node of its own on the second edge.
        """
        return graph(read(arch))

    def build(
        self,
        arch: Any,
        channels: int = 36,
        layers: int = 20,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        affine: bool = True,
        seed: int = 0,
        init: str = "pytorch",
    ) -> GenotypeNetwork:
        """Return the official network for CIFAR (`networks.darts.GenotypeNetwork`), `initialise(net, init, seed)`.

        The default is DARTS' own evaluation network; NAS-Bench-301 trained channels=32, layers=8.
        """
        genotype = read(arch)
        from automl_theory.networks.darts import GenotypeNetwork

        return GenotypeNetwork(
            *genotype, channels, layers, num_classes, in_channels, affine=affine, seed=seed, init=init
        )

    def size_metrics(
        self,
        arch: Any,
        channels: int = 36,
        layers: int = 20,
        num_classes: int = 10,
        in_channels: int = 3,
        resolution: int = 32,
        *,
        affine: bool = True,
    ) -> dict[str, float]:
        """Return the size of the network as `build` makes it, in closed form.

        With C channels sep_conv_k has 2 (k² C + C²) + 4 C parameters, dil_conv_k half of that, a skip of stride 2
        C² + 2 C, and the preprocessing of c channels c C + 2 C; without `affine` the summands 2 C and 4 C fall away.

        parameters        numbers in the network (without the auxiliary head, as papers count them)
        macs              multiply-accumulates of one image: convolutions, and the classifier with its bias as one
                          operation a class
        depth             trainable layers on the longest input-output path; 0 if there is none
        trainable_layers  convolutions and linear layers
        relu_units        numbers that leave a ReLU for one image

        Errors: InputError for a setting out of range, or a resolution that is no multiple of 4.
        """
        return sizes(read(arch), channels, layers, num_classes, in_channels, resolution, affine=affine)


def _text(normal: Nodes, reduce: Nodes) -> str:
    return text(Genotype(pairs_of(normal), pairs_of(reduce)))


def _draw(random: np.random.Generator, canonical: bool) -> Nodes:
    most = cells_listed()
    while True:
        nodes = numbered(int(random.integers(most)))
        if not canonical or renumbered(nodes)[0] == nodes:
            return nodes
