"""The network of NATS-Bench's size space: one cell a stage, every block with a width of its own.

    stem         conv3x3(in -> c1), BN
    cells.0      cell      c1 -> c1
    cells.1      ResNet block, stride 2   c1 -> c2
    cells.2      cell      c2 -> c3
    cells.3      ResNet block, stride 2   c3 -> c4
    cells.4      cell      c4 -> c5
    tail         BN, ReLU, global average pool, linear(c5 -> classes)

The cell (`OPERATIONS`) has the best CIFAR-100 test accuracy in NAS-Bench-201: a ReLU-conv3x3-BN on every edge, but a
skip from its input to its output. Where a cell changes the width, the edges that leave its input do so, and the skip is
then a convolution 1x1 with BN and without ReLU, as the official factorised reduction of stride 1.

Parameter names are those of the official "infer.shape.tiny" network (Dong, Liu, Musial & Gabrys, NATS-Bench, TPAMI
2021): as in `networks.cell`, and `cells.{k}.layers.3.conv` and `.bn` for a skip that changes the width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from automl_theory.counts import check_counts
from automl_theory.errors import InputError
from automl_theory.networks.cell import EDGES, Reduction, ReLUConvBN
from automl_theory.networks.initialise import initialise

OPERATIONS = ("nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_3x3", "nor_conv_3x3")
STAGES = 5


class Projection(nn.Module):
    """BN(conv1x1(x)), (n, c_in, h, w) -> (n, c_out, h, w): a skip between unequal widths."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False, device="meta").to_empty(device="cpu")
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both layers."""
        out: Tensor = self.bn(self.conv(x))
        return out


class WideningCell(nn.Module):
    """The cell of `OPERATIONS`, (n, c_in, h, w) -> (n, c_out, h, w): `layers.{e}` is edge e of `cell.EDGES`."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for (source, _), operation in zip(EDGES, OPERATIONS, strict=True):
            width = c_out if source else c_in
            if operation == "nor_conv_3x3":
                self.layers.append(ReLUConvBN(width, c_out, 3))
            else:
                self.layers.append(nn.Identity() if width == c_out else Projection(width, c_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the value of the last node."""
        nodes = [x]
        for node in (1, 2, 3):
            terms = [self.layers[e](nodes[s]) for e, (s, t) in enumerate(EDGES) if t == node]
            nodes.append(sum(terms[1:], start=terms[0]))
        return nodes[-1]


class WidthNetwork(nn.Module):
    """The whole network: images (n, in_channels, h, w) -> logits (n, num_classes).

    widths        c1 to c5, each at least 1
    seed, init    the weights are `initialise(self, init, seed)`, whatever torch's random state is

    h and w must be positive multiples of 4. Errors: InputError for other than five widths, a setting below 1, or (in
    the forward pass) an input of the wrong number of dimensions, channels or size.
    """

    def __init__(
        self,
        widths: Sequence[int],
        num_classes: int = 10,
        in_channels: int = 3,
        *,
        seed: int = 0,
        init: str = "pytorch",
    ) -> None:
        super().__init__()
        if len(widths) != STAGES:
            raise InputError(f"expected {STAGES} widths, got {len(widths)}; parse the architecture first")
        check_counts(**{f"c{k + 1}": width for k, width in enumerate(widths)})
        check_counts(num_classes=num_classes, in_channels=in_channels)
        c1, c2, c3, c4, c5 = widths
        self.in_channels = in_channels
        stem = nn.Conv2d(in_channels, c1, 3, padding=1, bias=False, device="meta").to_empty(device="cpu")
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(c1))
        self.cells = nn.ModuleList(
            [WideningCell(c1, c1), Reduction(c1, c2), WideningCell(c2, c3), Reduction(c3, c4), WideningCell(c4, c5)]
        )
        self.lastact = nn.Sequential(nn.BatchNorm2d(c5), nn.ReLU())
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(c5, num_classes, device="meta").to_empty(device="cpu")
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
        logits: Tensor = self.classifier(torch.flatten(self.global_pooling(self.lastact(x)), 1))
        return logits
