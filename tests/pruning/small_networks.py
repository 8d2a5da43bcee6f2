"""Small networks of the kinds that pruning meets, in float64, with a batch of eight."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from reference.zoo import Net
from torch import Tensor, nn

Made = tuple[nn.Module, Tensor, Tensor]


def mlp(*widths: int, bias: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    for d_in, d_out in pairwise(widths):
        layers += [nn.Linear(d_in, d_out, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def block(channels: int) -> nn.Module:
    """A residual block as in ResNets."""
    return Net(
        lambda net, x: torch.relu(x + net.b(torch.relu(net.a(x)))),
        a=nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)),
        b=nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)),
    )


def residual() -> nn.Sequential:
    stem = [nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True)]
    return nn.Sequential(*stem, block(4), nn.MaxPool2d(2), block(4), nn.AdaptiveAvgPool2d(2), nn.Flatten(), mlp(16, 3))


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=3, stride=2),
        nn.Dropout(0.2),
        nn.ReLU6(),
        nn.Conv2d(6, 6, 1, groups=6, bias=False),
        nn.ConvTranspose2d(6, 4, 2, groups=2),
        nn.Flatten(),
        nn.LazyLinear(3),
    )


def tied() -> nn.Module:
    shared = nn.Linear(6, 6)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.ReLU(), shared, nn.ReLU(), shared, nn.LayerNorm(6))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), mlp(32, 7, 5, 3)),
    "convolutions": convolutions,
    "residual": residual,
    "tied": tied,
}


def made(name: str, seed: int = 0) -> Made:
    """The network, inputs (8, 2, 4, 4) and labels: the same on every call."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x, y = torch.randn(8, 2, 4, 4, dtype=torch.float64), torch.arange(8) % 3
        net = NETWORKS[name]()
        net(x.float())
        return net.double(), x, y
