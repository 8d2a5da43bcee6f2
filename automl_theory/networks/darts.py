"""The DARTS evaluation network on CIFAR: two kinds of cells of four nodes, stacked (Liu, Simonyan & Yang, ICLR 2019).

    stem        conv3x3(in -> 3C), BN
    cells.{i}   reductions at i = layers // 3 and 2 layers // 3, which double the channels and halve the sides
    tail        global average pool, linear(-> classes)

Cell i reads the outputs s0 of cell i - 2 and s1 of cell i - 1 (the stem's before them), each brought to its C channels
by `preprocess0` and `preprocess1`: ReLU, conv1x1, BN, or a factorised reduction where s0 is larger. Node 2 to 5 is the
sum of two operations on earlier states (0 and 1 are the preprocessed inputs), and the cell's output concatenates the
four nodes. In a reduction, operations on the inputs have stride 2.

Parameter names are the official ones: `cells.{i}.preprocess{0,1}.op.{1,2}` (or `.conv_1`, `.conv_2`, `.bn`),
`cells.{i}._ops.{k}.op.{j}` of operation k in the order of the genotype, `classifier`. The auxiliary head and drop path,
which only training uses, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automl_theory.counts import check_counts, whole
from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import initialise

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "none",
)
FEWEST_LAYERS = 4
"""From here on the network ends in a normal cell after both reductions."""

Pairs = Sequence[tuple[str, int]]


class ReLUConvBN(nn.Module):
    """BN(conv1x1(relu(x))), (n, c_in, h, w) -> (n, c_out, h, w): `op.1` convolution, `op.2` BN."""

    def __init__(self, c_in: int, c_out: int, affine: bool) -> None:
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), _conv(c_in, c_out, 1), nn.BatchNorm2d(c_out, affine=affine))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three layers."""
        out: Tensor = self.op(x)
        return out


class SeparableConv(nn.Module):
    """ReLU, depthwise k x k, 1x1, BN (`op.0` to `op.3`), `repeats` times; the first depthwise has the stride.

    sep_conv is twice without dilation, dil_conv once with dilation 2. (n, c, h, w) -> (n, c, h / stride, w / stride).
    """

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int, repeats: int, affine: bool) -> None:
        super().__init__()
        self.op = nn.Sequential()
        for k in range(repeats):
            self.op.append(nn.ReLU())
            self.op.append(_conv(channels, channels, kernel, 1 if k else stride, dilation, groups=channels))
            self.op.append(_conv(channels, channels, 1))
            self.op.append(nn.BatchNorm2d(channels, affine=affine))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        out: Tensor = self.op(x)
        return out


class FactorisedReduction(nn.Module):
    """BN of conv_1(relu(x)) and conv_2(relu(x) a pixel on), 1x1 of stride 2: (n, c, h, w) -> (n, c', h/2, w/2)."""

    def __init__(self, c_in: int, c_out: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = _conv(c_in, c_out // 2, 1, 2)
        self.conv_2 = _conv(c_in, c_out - c_out // 2, 1, 2)
        self.bn = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        x = self.relu(x)
        out: Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))
        return out


class Zero(nn.Module):
    """The `none` operation: a place holder that keeps the numbering; the cell never calls it."""


class Cell(nn.Module):
    """One cell with C = `channels`: s0 (n, c0, ...), s1 (n, c1, h, w) -> (n, 4C, h', w'), h' = h/2 in a reduction."""

    def __init__(
        self, pairs: Pairs, c0: int, c1: int, channels: int, *, reduction: bool, after_reduction: bool, affine: bool
    ) -> None:
        super().__init__()
        self.channels, self.stride = channels, 2 if reduction else 1
        before = FactorisedReduction if after_reduction else ReLUConvBN
        self.preprocess0 = before(c0, channels, affine)
        self.preprocess1 = ReLUConvBN(c1, channels, affine)
        self._ops = nn.ModuleList(
            _operation(name, channels, self.stride if source < 2 else 1, affine) for name, source in pairs
        )
        self._live = tuple(
            tuple((k, pairs[k][1]) for k in (node, node + 1) if pairs[k][0] != "none") for node in range(0, 8, 2)
        )

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        """Return the four nodes, concatenated."""
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        n, _, h, w = states[1].shape
        for live in self._live:
            terms = [self._ops[k](states[source]) for k, source in live]
            if not terms:
                states.append(states[1].new_zeros(n, self.channels, h // self.stride, w // self.stride))
            else:
                states.append(terms[0] if len(terms) == 1 else terms[0] + terms[1])
        return torch.cat(states[2:], dim=1)


class GenotypeNetwork(nn.Module):
    """The whole network: images (n, in_channels, h, w) -> logits (n, num_classes).

    normal, reduce    eight (operation, source) each: two for each of the nodes 2 to 5
    channels, layers  C of the first cells, at least 1; number of cells, at least 4
    affine            whether BN has weight and bias, as in the evaluation network; without, as in DARTS' search
    seed, init        the weights are `initialise(self, init, seed)`, whatever torch's random state is

    h and w must be positive multiples of 4. Errors: InputError for a bad genotype or setting, or (in the forward pass)
    an input of the wrong number of dimensions, channels or size.
    """

    def __init__(
        self,
        normal: Pairs,
        reduce: Pairs,
        channels: int = 36,
        layers: int = 20,
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        affine: bool = True,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        _check(normal, "normal")
        _check(reduce, "reduce")
        check_counts(channels=channels, num_classes=num_classes, in_channels=in_channels)
        whole("layers", layers, FEWEST_LAYERS)
        if not isinstance(affine, bool):
            raise InputError(f"affine must be True or False, got {affine!r}")
        self.in_channels = in_channels
        stem = _conv(in_channels, 3 * channels, 3)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(3 * channels))
        self.cells = nn.ModuleList()
        c0 = c1 = 3 * channels
        width, after_reduction = channels, False
        for i in range(layers):
            reduction = i in (layers // 3, 2 * layers // 3)
            width *= 2 if reduction else 1
            self.cells.append(
                Cell(
                    reduce if reduction else normal,
                    c0,
                    c1,
                    width,
                    reduction=reduction,
                    after_reduction=after_reduction,
                    affine=affine,
                )
            )
            c0, c1, after_reduction = c1, 4 * width, reduction
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(c1, num_classes, device="meta").to_empty(device="cpu")
        initialise(self, init, seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        if x.dim() != 4 or x.shape[1] != self.in_channels or any(side < 4 or side % 4 for side in x.shape[2:]):
            raise InputError(
                f"expected images of shape (n, {self.in_channels}, h, w) with h and w positive multiples of 4, "
                f"got {tuple(x.shape)}; resize or pad the images, or build the network with other in_channels"
            )
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        logits: Tensor = self.classifier(torch.flatten(self.global_pooling(s1), 1))
        return logits


def _check(pairs: Pairs, cell: str) -> None:
    if len(pairs) != 8:
        raise InputError(f"expected eight (operation, source) in the {cell} cell, got {len(pairs)}; parse a genotype")
    for k, (name, source) in enumerate(pairs):
        if name not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            raise InputError(f"unknown operation {name!r}; use {known}.{suggest(str(name), OPERATIONS)}")
        if not 0 <= source < 2 + k // 2:
            raise InputError(f"node {2 + k // 2} of the {cell} cell reads {source}; it can read 0 to {1 + k // 2}")


def _operation(name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorisedReduction(channels, channels, affine)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, padding=1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    dilated = name.startswith("dil")
    return SeparableConv(channels, int(name[-1]), stride, 1 + dilated, 1 if dilated else 2, affine)


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups, bias=False, device="meta")
    return layer.to_empty(device="cpu")
