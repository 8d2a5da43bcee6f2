"""The NAS-Bench-101 network: one module, stacked (Ying et al., ICML 2019).

    stem      conv3x3(in -> C), BN, ReLU
    stack s   from the second on: maxpool 2x2, stride 2; then modules with C 2^s channels at their output
    tail      global average pool, linear(-> classes)

In a module the operation of a vertex (convolution, BN, ReLU; or a 3x3 maximum pooling) acts on the sum of what arrives.
From the input that is a projection, conv1x1, BN, ReLU, to the vertex's channels; from a vertex with a channel more, its
first channels. The output concatenates the interior vertices that feed it; an edge from the input adds a projection to
that, or is all there is. Channels: `nas_bench_101_channels`.

Parameter names: `stem.0` conv, `stem.1` BN; of the k-th module, counted through all stacks, and its vertex t
`cells.{k}.vertex{t}.projection.{0,1}` and `cells.{k}.vertex{t}.op.{0,1}`, and `cells.{k}.projection.{0,1}` for the edge
from its input to its output; `classifier`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automl_theory.counts import check_counts
from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import initialise
from automl_theory.networks.nas_bench_101_channels import vertex_channels

KERNELS = {"conv3x3-bn-relu": 3, "conv1x1-bn-relu": 1}
POOLING = "maxpool3x3"

Matrix = Sequence[Sequence[int]]


class ConvBNReLU(nn.Sequential):
    """relu(BN(conv(x))), (n, c_in, h, w) -> (n, c_out, h, w): `0` convolution without bias, `1` BN, `2` ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        convolution = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False, device="meta")
        norm = nn.BatchNorm2d(c_out, eps=1e-5, momentum=0.003)
        super().__init__(convolution.to_empty(device="cpu"), norm, nn.ReLU())


class Vertex(nn.Module):
    """An interior vertex with `channels` channels that reads the vertices `sources`, 0 being the module's input."""

    def __init__(self, operation: str, sources: Sequence[int], c_in: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.inner = tuple(source for source in sources if source)
        self.projection = ConvBNReLU(c_in, channels, 1) if 0 in sources else None
        if operation == POOLING:
            self.op: nn.Module = nn.MaxPool2d(3, stride=1, padding=1)
        else:
            self.op = ConvBNReLU(channels, channels, KERNELS[operation])

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        """Return the value of the vertex from those of the vertices before it."""
        terms = [_first(values[source], self.channels) for source in self.inner]
        if self.projection is not None:
            terms.append(self.projection(values[0]))
        out: Tensor = self.op(sum(terms[1:], start=terms[0]))
        return out


class Module(nn.Module):
    """One module: (n, channels[0], h, w) -> (n, channels[-1], h, w), with `channels` of every vertex."""

    def __init__(self, matrix: Matrix, operations: Sequence[str], channels: Sequence[int]) -> None:
        super().__init__()
        last = len(matrix) - 1
        for t in range(1, last):
            sources = [s for s in range(t) if matrix[s][t]]
            self.add_module(f"vertex{t}", Vertex(operations[t], sources, channels[0], channels[t]))
        self.vertices = tuple(f"vertex{t}" for t in range(1, last))
        self.concatenated = tuple(s for s in range(1, last) if matrix[s][last])
        self.projection = ConvBNReLU(channels[0], channels[-1], 1) if matrix[0][last] else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the value of the output vertex."""
        values: list[Tensor] = [x]
        for name in self.vertices:
            values.append(getattr(self, name)(values))
        parts = [values[source] for source in self.concatenated]
        if not parts:
            assert self.projection is not None
            projected: Tensor = self.projection(x)
            return projected
        out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return out if self.projection is None else out + self.projection(x)


class ModuleNetwork(nn.Module):
    """The whole network of one module: images (n, in_channels, h, w) -> logits (n, num_classes).

    matrix, operations   a pruned module: V rows of V zeros and ones, V names
    channels             C, at least as many as vertices that the output concatenates
    stacks, modules_per_stack   at least 1; the benchmark trained 3 and 3, with C = 128
    seed, init           the weights are `initialise(self, init, seed)`, whatever torch's random state is

    The official momentum of BN, 0.997, is 0.003 in PyTorch's terms. A pooling of an odd side rounds up.

    Errors: InputError for an unknown operation, a setting below 1, too few channels, or (in the forward pass) an input
    of the wrong number of dimensions or channels.
    """

    def __init__(
        self,
        matrix: Matrix,
        operations: Sequence[str],
        channels: int = 128,
        stacks: int = 3,
        modules_per_stack: int = 3,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        matrix = _checked(matrix, operations)
        check_counts(
            channels=channels,
            stacks=stacks,
            modules_per_stack=modules_per_stack,
            num_classes=num_classes,
            in_channels=in_channels,
        )
        self.in_channels = in_channels
        self.stem = ConvBNReLU(in_channels, channels, 3)
        self.cells = nn.ModuleList()
        width = channels
        for stack in range(stacks):
            for _ in range(modules_per_stack):
                split = vertex_channels(matrix, width, channels << stack)
                self.cells.append(Module(matrix, operations, split))
                width = channels << stack
        self.modules_per_stack = modules_per_stack
        self.downsample = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, num_classes, device="meta").to_empty(device="cpu")
        initialise(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        _check_images(x, self.in_channels)
        x = self.stem(x)
        for k, cell in enumerate(self.cells):
            if k and k % self.modules_per_stack == 0:
                x = self.downsample(x)
            x = cell(x)
        logits: Tensor = self.classifier(self.global_pooling(x).flatten(1))
        return logits


class ThinNetwork(nn.Module):
    """One module whose interior vertices have `channels` channels each, for counting linear regions as TE-NAS does.

    (n, in_channels, h, w) -> features (n, channels k, h, w), where the output concatenates k vertices (or projects the
    input to `channels`). Splitting one channel among them is impossible, hence this shape. With `stem=False` the module
    reads the input itself, which then needs `channels` channels; with `stem=True` a conv3x3-BN-ReLU stem comes first.
    Names as in `ModuleNetwork`, the module being `cells.0`.

    Errors: InputError for a bad module or setting, and in the forward pass for an input with other channels.
    """

    def __init__(
        self,
        matrix: Matrix,
        operations: Sequence[str],
        channels: int = 1,
        in_channels: int = 3,
        *,
        stem: bool = False,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        matrix = _checked(matrix, operations)
        check_counts(channels=channels, in_channels=in_channels)
        self.in_channels = in_channels if stem else channels
        self.stem = ConvBNReLU(in_channels, channels, 3) if stem else nn.Identity()
        shared = sum(row[-1] for row in matrix[1:-1]) or 1
        split = vertex_channels(matrix, channels, channels * shared)
        self.cells = nn.ModuleList([Module(matrix, operations, split)])
        initialise(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        _check_images(x, self.in_channels)
        features: Tensor = self.cells[0](self.stem(x))
        return features


def _first(value: Tensor, channels: int) -> Tensor:
    return value if value.shape[1] == channels else value[:, :channels]


def _check_images(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise InputError(
            f"expected images of shape (n, {channels}, h, w), got {tuple(x.shape)}; give such images, or build the "
            "network with other channels"
        )


def _checked(matrix: Matrix, operations: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    vertices = len(matrix)
    if len(operations) != vertices or vertices < 2 or any(len(row) != vertices for row in matrix):
        raise InputError(f"expected a square matrix and an operation a vertex, got {matrix!r} and {operations!r}")
    for operation in operations[1:-1]:
        if operation not in KERNELS and operation != POOLING:
            known = (*KERNELS, POOLING)
            raise InputError(
                f"unknown operation {operation!r}; use {', '.join(known)}.{suggest(str(operation), known)}"
            )
    return tuple(tuple(map(int, row)) for row in matrix)
