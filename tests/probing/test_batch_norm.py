"""BatchNorm in its three modes, and statistics that float32 does not spoil."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from automl_theory.errors import InputError
from automl_theory.probing.batch_norm import affine, moments, normalise

SHAPES = [(6, 3), (6, 3, 5), (6, 3, 4, 5), (6, 3, 2, 3, 4)]


def example(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(len(shape))
    x = torch.randn(shape, generator=generator).to(dtype) * 2 + 0.7
    weight, bias, mean = (torch.randn(3, generator=generator).to(dtype) for _ in range(3))
    return x, weight, bias, mean, torch.rand(3, generator=generator).to(dtype) + 0.5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [False, True])
def test_every_mode_is_torchs_batch_norm(shape, layout):
    x, weight, bias, mean, var = example(shape)
    if layout and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    for given in ((weight, bias), (weight, None), (None, None)):
        expected = F.batch_norm(x, None, None, *given, training=True, eps=0.01)
        for mode in ("batch", "frozen"):
            y, constants = normalise(x, (mean, var), *given, 0.01, mode, (6,))
            torch.testing.assert_close(y, expected)
            assert len(constants) == (mode == "frozen")
        torch.testing.assert_close(affine(x, *constants[0], *given), expected)
        y, constants = normalise(x, (mean, var), *given, 0.01, "running", (6,))
        torch.testing.assert_close(y, F.batch_norm(x, mean, var, *given, training=False, eps=0.01))
        torch.testing.assert_close(affine(x, *constants[0], *given), y)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    x, weight, bias, _, _ = example(shape)
    for inputs in ((x, weight, bias), (x, None, None)):
        wanted = [None if t is None else t.requires_grad_() for t in inputs]

        def in_batch_mode(*given):
            return normalise(given[0], (None, None), *(given[1:] or (None, None)), 0.01, "batch", (6,))[0]

        assert torch.autograd.gradcheck(in_batch_mode, [t for t in wanted if t is not None])
    x.requires_grad_()
    y, ((mean, inverse),) = normalise(x, (None, None), weight.detach(), bias.detach(), 0.01, "frozen", (6,))
    seed = torch.randn_like(y)
    (found,) = torch.autograd.grad(y, x, seed)
    scale = (inverse * weight.detach()).view(1, 3, *(1,) * (x.ndim - 2))
    torch.testing.assert_close(found, seed * scale)
    y, _ = normalise(x, (None, None), weight, bias, 0.01, "frozen", (6,))
    for gradient, expected in zip(
        torch.autograd.grad(y, (x, weight, bias), seed),
        (seed * scale, _sum(seed * affine(x.detach(), mean, inverse, None, None)), _sum(seed)),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected)


def _sum(x: torch.Tensor) -> torch.Tensor:
    return x.sum([d for d in range(x.ndim) if d != 1])


@pytest.mark.parametrize("mode", ["batch", "frozen"])
def test_two_groups_have_statistics_of_their_own(mode):
    x, weight, bias, _, _ = example((6, 3, 4, 5))
    y, constants = normalise(x, (None, None), weight, bias, 0.01, mode, (2, 4))
    for part, rows in ((x[:2], y[:2]), (x[2:], y[2:])):
        torch.testing.assert_close(rows, F.batch_norm(part, None, None, weight, bias, training=True, eps=0.01))
    assert len(constants) == (2 if mode == "frozen" else 0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
def test_float32_statistics_are_right_to_float32(layout, offset):
    """Torch's channels-last kernel is wrong in the fifth digit here."""
    x = torch.randn(64, 4, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.5 + offset
    x = x.contiguous(memory_format=layout)
    mean, var = moments(x)
    assert mean.dtype == var.dtype == torch.float32
    exact_mean, exact_var = moments(x.double())
    torch.testing.assert_close(exact_mean, x.double().mean((0, 2, 3)), rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(exact_var, x.double().var((0, 2, 3), correction=0), rtol=1e-13, atol=0)
    assert float(((mean - exact_mean).abs() / (exact_var.sqrt() + exact_mean.abs())).max()) < 2e-7
    assert float(((var - exact_var) / exact_var).abs().max()) < 5e-7
    for mode in ("batch", "frozen"):
        y = normalise(x, (None, None), None, None, 1e-5, mode, (64,))[0]
        exact = normalise(x.double(), (None, None), None, None, 1e-5, mode, (64,))[0]
        assert float((y - exact).abs().max()) < 2e-6 * (1 + 2 * offset)


def test_half_precision_keeps_float32_statistics():
    x = torch.randn(8, 3, 4, 4).to(torch.bfloat16)
    mean, var = moments(x)
    assert mean.dtype == var.dtype == torch.float32
    assert normalise(x, (None, None), None, None, 1e-5, "frozen", (8,))[0].dtype == torch.bfloat16


def test_running_statistics_are_needed():
    with pytest.raises(InputError, match="bn='running' needs running statistics"):
        normalise(torch.randn(4, 3), (None, None), None, None, 1e-5, "running", (4,))
