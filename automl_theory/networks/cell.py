"""The NAS-Bench-201 network: a cell of four nodes and six edges, stacked in three stages.

    stem      conv3x3(in -> C), BN
    stage 1   N cells with C channels
    reduce    ResNet block, stride 2, C -> 2C
    stage 2   N cells with 2C channels
    reduce    ResNet block, stride 2, 2C -> 4C
    stage 3   N cells with 4C channels
    tail      BN, ReLU, global average pool, linear(4C -> classes)

A node of a cell is the sum of its incoming edges; an edge is `none` (nothing), `skip_connect` (identity),
`nor_conv_1x1` or `nor_conv_3x3` (ReLU, convolution without bias, BN) or `avg_pool_3x3` (stride 1, padding 1 not
counted). A node with no incoming edge is zero; a convolution that reads it still adds its BN bias, as in the official
network.

Parameter names are those of the official "infer.tiny" network (Dong & Yang, NAS-Bench-201, ICLR 2020), so an official
state_dict loads: `stem.0` conv, `stem.1` BN; `cells.{k}.layers.{e}.op.1` conv and `.op.2` BN of edge e;
`cells.{k}.conv_a.op.*`, `cells.{k}.conv_b.op.*`, `cells.{k}.downsample.1` in a reduction; `lastact.0` BN; `classifier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from automl_theory.counts import check_counts
from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import initialise

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

Layer = TypeVar("Layer", bound=nn.Module)


class ReLUConvBN(nn.Module):
    """BN(conv(relu(x))), (n, c_in, h, w) -> (n, c_out, h', w'): `op.0` ReLU, `op.1` convolution, `op.2` BN."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), _conv(c_in, c_out, kernel, stride), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three layers."""
        out: Tensor = self.op(x)
        return out


class Pooling(nn.Module):
    """3x3 average pooling, stride 1; the padding is not counted in the mean. The shape is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.op = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Average each 3x3 neighbourhood."""
        out: Tensor = self.op(x)
        return out


class Zero(nn.Module):
    """The `none` edge: a place holder that keeps the edge numbering; the cell never calls it."""


class Cell(nn.Module):
    """One cell: `layers.{e}` is the module of edge e in the order 0>1, 0>2, 1>2, 0>3, 1>3, 2>3. Shapes are kept."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_edge(operation, channels) for operation in operations)
        self.incoming = tuple(
            tuple((e, s) for e, (s, t) in enumerate(EDGES) if t == node and operations[e] != "none")
            for node in (1, 2, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the value of the last node."""
        nodes: list[Tensor] = [x]
        for incoming in self.incoming:
            terms = [self.layers[edge](nodes[source]) for edge, source in incoming]
            nodes.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(x))
        return nodes[-1]


class Reduction(nn.Module):
    """conv_b(conv_a(x)) + conv1x1(avgpool2(x)), conv_a with stride 2: (n, c, h, w) -> (n, 2c, h/2, w/2), even h, w."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(c_in, c_out, 3, stride=2)
        self.conv_b = ReLUConvBN(c_out, c_out, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, stride=2, padding=0), _conv(c_in, c_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual branch to the shortcut."""
        out: Tensor = self.downsample(x) + self.conv_b(self.conv_a(x))
        return out


class CellNetwork(nn.Module):
    """The whole network of one cell: images (n, in_channels, h, w) -> logits (n, num_classes).

    operations        six names of `OPERATIONS`, in the order of `EDGES`
    channels          C of the first stage, at least 1
    cells_per_stage   N, at least 1 (the benchmark trained N = 5)
    seed, init        the weights are `initialise(self, init, seed)`, whatever torch's random state is

    h and w must be positive multiples of 4, since the two branches of a reduction meet only at even sizes. In train
    mode BN needs more than one value a channel: a batch of one 4x4 image is refused by torch itself.

    Errors: InputError for a wrong number of operations, an unknown one, a setting below 1, or (in the forward pass) an
    input of the wrong number of dimensions, channels or size.
    """

    def __init__(
        self,
        operations: Sequence[str],
        channels: int = 16,
        cells_per_stage: int = 5,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        operations = _checked(operations)
        check_counts(
            channels=channels, cells_per_stage=cells_per_stage, num_classes=num_classes, in_channels=in_channels
        )
        self.in_channels = in_channels
        self.stem = nn.Sequential(_conv(in_channels, channels, 3), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        for stage in range(3):
            width = channels * 2**stage
            if stage:
                self.cells.append(Reduction(width // 2, width))
            self.cells.extend(Cell(operations, width) for _ in range(cells_per_stage))
        self.lastact = nn.Sequential(nn.BatchNorm2d(4 * channels), nn.ReLU())
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = _blank(nn.Linear(4 * channels, num_classes, device="meta"))
        initialise(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        if x.dim() != 4 or x.shape[1] != self.in_channels or any(side < 4 or side % 4 for side in x.shape[2:]):
            raise InputError(
                f"expected images of shape (n, {self.in_channels}, h, w) with h and w positive multiples of 4, "
                f"got {tuple(x.shape)}; resize or pad the images, or build the network with other in_channels"
            )
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        x = self.global_pooling(self.lastact(x))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


class ThinNetwork(nn.Module):
    """One cell and a BN-ReLU tail, the network whose ReLU patterns TE-NAS counts: (n, in_channels, h, w) -> features.

    With `stem=False` (TE-NAS' own choice: channels 1, inputs (n, 1, 3, 3)) the cell reads the input itself, which then
    needs `channels` channels; with `stem=True` a conv3x3-BN stem from `in_channels` comes first. Wider nets and larger
    images saturate: every sample has a pattern of its own. Names: `stem.0`, `stem.1`, `cells.0.layers.{e}.op.{1,2}`,
    `lastact.0`.

    Errors: InputError for bad operations or settings, and in the forward pass for an input with other channels.
    Source: Chen, Gong, Wang, TE-NAS, ICLR 2021.
    """

    def __init__(
        self,
        operations: Sequence[str],
        channels: int = 1,
        in_channels: int = 3,
        *,
        stem: bool = False,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        operations = _checked(operations)
        check_counts(channels=channels, in_channels=in_channels)
        self.in_channels = in_channels if stem else channels
        self.stem = nn.Sequential(_conv(in_channels, channels, 3), nn.BatchNorm2d(channels)) if stem else nn.Identity()
        self.cells = nn.ModuleList([Cell(operations, channels)])
        self.lastact = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        initialise(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (n, channels, h, w)."""
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise InputError(
                f"expected an input of shape (n, {self.in_channels}, h, w), got {tuple(x.shape)}; "
                "give such images, or build the network with other channels"
            )
        features: Tensor = self.lastact(self.cells[0](self.stem(x)))
        return features


def _checked(operations: Sequence[str]) -> tuple[str, ...]:
    if isinstance(operations, str) or len(operations) != len(EDGES):
        raise InputError(f"expected six operations, one an edge, got {operations!r}; parse the architecture first")
    for operation in operations:
        if operation not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise InputError(f"unknown operation {operation!r}; use {known}.{suggest(str(operation), OPERATIONS)}")
    return tuple(operations)


def _edge(operation: str, channels: int) -> nn.Module:
    if operation == "none":
        return Zero()
    if operation == "skip_connect":
        return nn.Identity()
    if operation == "avg_pool_3x3":
        return Pooling()
    return ReLUConvBN(channels, channels, 3 if operation == "nor_conv_3x3" else 1)


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return _blank(nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False, device="meta"))


def _blank(layer: Layer) -> Layer:
    """Give a layer on the meta device memory; torch's own initialisation there cost neither time nor random numbers."""
    for name, parameter in tuple(layer.named_parameters()):
        setattr(layer, name, nn.Parameter(torch.empty(parameter.shape)))
    return layer
