"""Tensors computed once for several layers: the same values, and nobody sees another's changes."""

from __future__ import annotations

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import automl_theory as at
from automl_theory.probing.sharing import Contiguous, Rectified
from automl_theory.probing.tangent_kernel import measured_kernel


def test_one_tensor_for_one_source() -> None:
    rectified, x = Rectified(), torch.randn(3, 4)
    first = rectified.get(x, torch.relu)
    assert rectified.get(x, torch.relu) is first
    assert rectified.get(torch.randn(3, 4), torch.relu) is not first
    assert rectified.untouched()


def test_a_changed_source_or_output_is_computed_anew() -> None:
    rectified, x = Rectified(), torch.randn(3, 4)
    first = rectified.get(x, torch.relu)
    x.mul_(-1)
    second = rectified.get(x, torch.relu)
    assert second is not first
    second.add_(1)
    third = rectified.get(x, torch.relu)
    torch.testing.assert_close(third, torch.relu(x))
    assert rectified.untouched()


def test_a_tensor_changed_after_two_have_it_is_told() -> None:
    rectified, x = Rectified(), torch.randn(3, 4)
    rectified.get(x, torch.relu)
    rectified.get(x, torch.relu).view(-1).add_(1)
    assert not rectified.untouched()
    assert rectified.untouched()


def test_a_dead_source_is_not_taken_for_a_living_one() -> None:
    rectified = Rectified()
    for _ in range(50):
        x = torch.randn(2, 2)
        torch.testing.assert_close(rectified.get(x, torch.relu), torch.relu(x))
        del x
        gc.collect(0)


def test_contiguous_copies_are_made_once_and_dropped() -> None:
    contiguous = Contiguous()
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    copy = contiguous(x)
    assert copy.is_contiguous()
    assert contiguous(x.detach()) is copy
    torch.testing.assert_close(copy, x)
    x.add_(1)
    torch.testing.assert_close(contiguous(x), x)
    others = [torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last) for _ in range(9)]
    for _ in range(2):
        for other in others:
            torch.testing.assert_close(contiguous(other), other)
    plain = torch.randn(3, 3)
    assert contiguous(plain) is plain


class Edges(nn.Module):
    """A node read by two ReLUs; `change` says what is done to one of the rectified tensors.

    The node does not depend on parameters: torch refuses to differentiate through a ReLU whose output was changed.
    """

    def __init__(self, change: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        node = x * 2
        a, b = F.relu(node), F.relu(node)
        if self.change == "in place":
            b.mul_(2)
        elif self.change == "in place, through a view":
            b.view(b.shape).mul_(2)
        elif self.change == "the node":
            node.mul_(2)
            b = F.relu(node)
        elif self.change == "before it is asked for again":
            a.mul_(2)
            b = F.relu(node)
        return self.layers[0](a) + self.layers[1](b)


@pytest.mark.parametrize(
    ("change", "way"),
    [
        ("nothing", "layers"),
        ("in place", "functional (the output of a ReLU is changed in place, and its input rectified again)"),
        ("in place, through a view", "functional (the output of a ReLU is changed in place"),
        ("the node", ""),
        ("before it is asked for again", ""),
    ],
)
def test_a_network_gets_its_own_kernel(change: str, way: str) -> None:
    torch.manual_seed(0)
    net, x = Edges(change).double(), torch.randn(5, 4, dtype=torch.float64)
    kernel, how = measured_kernel(net, x)
    assert how.startswith(way)
    torch.testing.assert_close(kernel, at.empirical_ntk(net, x, method="functional"))


class Gate(nn.Module):
    """The same node rectified without gradients, then with them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        node = self.layers[0](x)
        with torch.no_grad():
            gate = F.relu(node).mean(1, keepdim=True)
        return self.layers[1](F.relu(node) * (1 + gate))


def test_a_tensor_made_without_gradients_is_not_handed_out_to_a_layer_that_has_them() -> None:
    torch.manual_seed(0)
    net, x = Gate().double(), torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(at.empirical_ntk(net, x, method="layers"), at.empirical_ntk(net, x, method="functional"))


def test_instance_norm_of_one_sample() -> None:
    """Torch's own backward pass is wrong there in channels-last."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.InstanceNorm2d(3, affine=True), nn.Tanh(), nn.Conv2d(3, 2, 3), nn.Flatten()
    ).double()
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    weights = [p for name, p in net.named_parameters() if not name.endswith("bias")]
    rows = torch.cat([g.flatten() for g in torch.autograd.grad(net(x).sum(), weights)])
    expected = (rows @ rows).view(1, 1)
    for method in ("layers", "functional", "coupled"):
        torch.testing.assert_close(at.empirical_ntk(net, x, method=method), expected)
