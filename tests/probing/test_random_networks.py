"""Networks wired at random: whatever way is taken, the kernel is that of one plain backward pass a sample."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_theory.probing.tangent_kernel import measured_kernel

CHANNELS = 4
CONVOLUTIONS = [(3, False, 1), (3, False, 2), (1, False, 1), (3, True, 1), (3, False, 4)]


class Wired(nn.Module):
    """Layers, some used more than once, joined by what `seed` says."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.stem = nn.Conv2d(2, CHANNELS, 3, padding=1, bias=False)
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(CHANNELS, CHANNELS, k, padding=k // 2, bias=b, groups=g) for k, b, g in CONVOLUTIONS]
        )
        self.norms = nn.ModuleList(
            [
                *(nn.BatchNorm2d(CHANNELS) for _ in range(3)),
                nn.BatchNorm2d(CHANNELS, affine=False),
                nn.GroupNorm(2, CHANNELS),
                nn.InstanceNorm2d(CHANNELS, affine=True),
            ]
        )
        self.readout = nn.Linear(CHANNELS, 3)
        for norm in self.norms:
            if norm.affine:
                nn.init.normal_(norm.weight, 1, 0.5)
                nn.init.normal_(norm.bias, 0, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        draw = random.Random(self.seed)
        nodes = [self.stem(x)]
        for _ in range(draw.randint(4, 12)):
            nodes.append(self.node(draw, nodes))
        return self.readout((nodes[-1] + nodes[-2] + 0.2).tanh().mean((2, 3)))

    def node(self, draw: random.Random, nodes: list[Tensor]) -> Tensor:
        x = draw.choice(nodes[-3:])
        kind = draw.randrange(17)
        if kind < 5:
            return draw.choice(self.convolutions)(x)
        if kind < 9:
            return draw.choice(self.norms)(x)
        if kind == 9:
            return F.relu(x)
        if kind == 10:
            return draw.choice(self.norms)(draw.choice(self.convolutions)(F.relu(x)))
        if kind == 11:
            return x + draw.choice(nodes)
        if kind == 12:
            with torch.no_grad():
                gate = torch.sigmoid(F.relu(x))
            return F.relu(x) * gate
        if kind == 13:
            return F.relu(x.clone(), inplace=True)
        if kind == 14:
            return F.avg_pool2d(x, 3, 1, 1)
        if kind == 15:
            return x * torch.sigmoid(x.detach())
        y = x.clone()
        y += draw.choice(nodes)
        return y


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 3, 4]),
    bn=st.sampled_from(["frozen", "running"]),
    output=st.sampled_from(["sum", "trace"]),
    biases=st.booleans(),
)
def test_any_wiring(seed: int, n: int, bn: str, output: str, biases: bool) -> None:
    torch.manual_seed(seed)
    net, x = Wired(seed).double(), torch.randn(n, 2, 7, 7, dtype=torch.float64)
    kernel, how = measured_kernel(net, x, bn=bn, output=output, biases=biases)
    exact, _ = measured_kernel(net, x, bn=bn, output=output, biases=biases, method="coupled")
    torch.testing.assert_close(kernel, exact, rtol=0, atol=1e-7 * float(exact.abs().max()) + 1e-30, msg=how)
