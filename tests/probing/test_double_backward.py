"""Convolution and BatchNorm with their second derivative written out, against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from automl_theory.probing.double_backward import Backward, Geometry, batch_normalise, convolve


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def second(out: torch.Tensor, inputs: list[torch.Tensor], directions: list[torch.Tensor]) -> list[torch.Tensor]:
    """First derivatives of ⟨seed, sin(out)⟩, and those of their product with the directions."""
    value = (random(*out.shape, seed=9) * out.sin()).sum()
    first = torch.autograd.grad(value, inputs, create_graph=True)
    along = torch.autograd.grad(first, inputs, directions, allow_unused=True)
    return [*first, *along]


GEOMETRIES = {
    "3x3": ((5, 4, 3, 3), Geometry((1, 1), (1, 1), (1, 1), 1)),
    "1x1": ((5, 4, 1, 1), Geometry((1, 1), (0, 0), (1, 1), 1)),
    "stride": ((5, 4, 3, 3), Geometry((2, 2), (1, 1), (1, 1), 1)),
    "uneven": ((5, 4, 3, 2), Geometry((1, 2), (2, 0), (1, 2), 1)),
    "groups": ((6, 2, 3, 3), Geometry((1, 1), (0, 0), (1, 1), 2)),
}


@pytest.mark.parametrize("along_weight", [True, False], ids=["along the weight itself", "along any direction"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolution(name, along_weight):
    shape, geometry = GEOMETRIES[name]
    x, weight = random(3, 4, 7, 7).requires_grad_(), random(*shape, seed=1).requires_grad_()
    directions = [random(*x.shape, seed=2), weight.detach() if along_weight else random(*shape, seed=3)]
    ours = second(convolve(x, weight, geometry, Backward()), [x, weight], directions)
    arguments = (geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
    torchs = second(F.conv2d(x, weight, None, *arguments), [x, weight], directions)
    for a, b in zip(ours, torchs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_gradients_of_the_inputs_only():
    x, weight = random(3, 4, 7, 7).requires_grad_(), random(5, 4, 3, 3, seed=1).requires_grad_()
    out = convolve(x, weight, GEOMETRIES["3x3"][1], Backward(inputs_only=True))
    found = torch.autograd.grad(out.sum(), [x, weight], allow_unused=True)
    expected = torch.autograd.grad(F.conv2d(x, weight, padding=1).sum(), x)[0]
    torch.testing.assert_close(found[0], expected)
    assert found[1] is None


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 4, 5, 5), (6, 4, 5), (6, 4)])
def test_batch_norm(shape, affine):
    x = (random(*shape) * 2 + 1).requires_grad_()
    weight, bias = (random(4, seed=1), random(4, seed=2)) if affine else (None, None)
    direction = [random(*shape, seed=3)]
    ours = second(batch_normalise(x, weight, bias, 0.1), [x], direction)
    torchs = second(F.batch_norm(x, None, None, weight, bias, True, 0.0, 0.1), [x], direction)
    for a, b in zip(ours, torchs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_batch_norm_by_numbers():
    """Not even against torch: differences of differences."""
    x = random(4, 2, 3).requires_grad_()
    weight, bias = random(2, seed=1), random(2, seed=2)
    assert torch.autograd.gradgradcheck(lambda x: batch_normalise(x, weight, bias, 0.1).sin(), (x,))
