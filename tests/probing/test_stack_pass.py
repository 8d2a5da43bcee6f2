"""One pass over a stack of NAS-Bench-201 networks against a pass over each of them alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.errors import InputError
from automl_theory.networks.cell_stack import CellStack
from automl_theory.probing.gram import gram
from automl_theory.probing.signals import Signals
from automl_theory.probing.stack_pass import see
from automl_theory.probing.stack_products import batched_grams, grams, unfolded_gradients, weight_gradients
from automl_theory.probing.stack_signals import Seen, StackSignals
from automl_theory.spaces import space

SPACE = space("nas_bench_201")
SPECIAL = [
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|none~0|none~1|none~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|avg_pool_3x3~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
]
CELLS = [*SPECIAL, *SPACE.sample(14, 3, canonical=False)]


def images(n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    # One image of 8x8 would be constant after pooling in the last stage, and rounding all that BatchNorm sees.
    side = 8 if n > 1 else 16
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(7)).to(dtype)


def stacked(archs: list[str], x: torch.Tensor, cells: int = 1, init: str = "pytorch", **choices: bool) -> list[Seen]:
    return see(SPACE.build_stack(archs, channels=4, cells_per_stage=cells, seed=1, init=init).to(x.dtype), x, **choices)


def alone(arch: str, x: torch.Tensor, cells: int = 1, init: str = "pytorch", biases: bool = False) -> Signals:
    return Signals(SPACE.build(arch, 4, cells, seed=1, init=init).to(x.dtype), x, biases=biases)


def apart(a: np.ndarray | torch.Tensor, b: np.ndarray | torch.Tensor) -> float:
    """Largest difference, relative to the largest entry."""
    first, second = np.asarray(a), np.asarray(b)
    return float(np.abs(first - second).max() / max(np.abs(first).max(), 1e-300))


@pytest.mark.parametrize(
    ("n", "cells", "init", "biases"), [(5, 1, "pytorch", False), (3, 2, "he_fan_in", True), (1, 1, "pytorch", True)]
)
def test_a_member_of_a_stack_is_what_it_is_alone(n, cells, init, biases):
    x = images(n)
    for arch, seen in zip(CELLS, stacked(CELLS, x, cells, init, biases=biases), strict=True):
        single = alone(arch, x, cells, init, biases)
        assert apart(single.logits, seen.logits) < 1e-10
        assert apart(single._features, seen.features) < 1e-10
        assert apart(single.kernel, seen.kernel) < 1e-10
        assert (single.counted, single.codes.units) == (seen.counted, seen.codes.units)
        assert np.array_equal(single.hamming, seen.codes.hamming())


def test_single_precision():
    x = images(8, torch.float32)
    for arch, seen in zip(CELLS, stacked(CELLS, x, 2), strict=True):
        single = alone(arch, x, 2)
        assert apart(single.logits, seen.logits) < 1e-5
        if np.array_equal(single.hamming, seen.codes.hamming()):
            assert apart(single.kernel, seen.kernel) < 1e-5
        assert seen.kernel.dtype == np.float64


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(CELLS), min_size=1, max_size=5))
def test_the_company_does_not_matter(archs):
    x = images(3)
    for arch, seen in zip(archs, stacked(archs, x), strict=True):
        (by_itself,) = stacked([arch], x)
        assert apart(by_itself.kernel, seen.kernel) < 1e-10
        assert np.array_equal(by_itself.codes.hamming(), seen.codes.hamming())


def test_what_is_not_asked_for_is_not_there_and_changes_nothing_else():
    x = images(4)
    both, kernels, codes = (stacked(CELLS[-4:], x, **choice) for choice in ({}, {"codes": False}, {"kernel": False}))
    for all_, kernel, code in zip(both, kernels, codes, strict=True):
        assert (kernel.codes, code.kernel) == (None, None)
        assert np.array_equal(all_.kernel, kernel.kernel)
        assert np.array_equal(all_.codes.hamming(), code.codes.hamming())
        assert torch.equal(all_.logits, code.logits)


def test_the_stack_is_left_as_it_was():
    stack = SPACE.build_stack(CELLS[-3:], channels=4, cells_per_stage=1).double()
    before = {name: value.clone() for name, value in stack.state_dict().items()}
    see(stack, images(3))
    assert stack.training
    assert all(p.requires_grad and p.grad is None for p in stack.parameters())
    assert all(torch.equal(value, before[name]) for name, value in stack.state_dict().items())


def test_weights_are_those_of_each_network():
    stack = SPACE.build_stack(CELLS, channels=4, cells_per_stage=2, seed=5, init="he_fan_out")
    shared = dict(stack.named_parameters())
    for arch in CELLS:
        operations = SPACE.parse(arch)
        for name, value in SPACE.build(arch, 4, 2, seed=5, init="he_fan_out").named_parameters():
            head, layers, rest = name.partition(".layers.")
            edge = rest[:1]
            mine = f"{head}{layers}{edge}.{operations[int(edge)]}{rest[1:]}" if layers else name
            assert torch.equal(shared[mine], value), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_a_gpu_sees_the_same():
    x = images(4)
    stack = SPACE.build_stack(CELLS, channels=4, cells_per_stage=1, seed=1).double().cuda()
    for here, there in zip(stacked(CELLS, x), see(stack, x.cuda()), strict=True):
        assert apart(here.kernel, there.kernel) < 1e-8
        assert np.array_equal(here.codes.hamming(), there.codes.hamming())


def test_an_empty_stack_is_refused():
    with pytest.raises(InputError, match="a stack needs architectures, got none; give at least one"):
        CellStack([])
    with pytest.raises(InputError, match="at position 1, unknown operation 'conv'"):
        SPACE.build_stack(["|conv~0|"])


def test_many_grams_are_the_grams_of_each():
    rows = torch.randn(12, 40, generator=torch.Generator().manual_seed(0))
    one_by_one = torch.stack([gram(part) for part in rows.split(4)])
    assert torch.equal(grams(rows, 4), one_by_one)
    assert apart(batched_grams(rows.view(3, 4, 40)), one_by_one) < 1e-6


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1)])
def test_per_sample_gradients_by_patches(kernel, stride):
    conv = torch.nn.Conv2d(3, 4, kernel, stride, padding=kernel // 2, bias=False).double()
    x = images(5)
    out = conv(x)
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).double()
    expected = torch.stack(
        [torch.autograd.grad(conv(x[i : i + 1]), conv.weight, grad[i : i + 1])[0].flatten() for i in range(5)]
    )
    for way in (unfolded_gradients, weight_gradients):
        assert apart(expected, way(x, grad, conv).detach()) < 1e-12


def test_signals_of_a_member_build_the_network_when_it_is_needed():
    arch, x, y = CELLS[-1], images(6), torch.tensor([0, 1, 2, 0, 1, 2])
    built = []

    def build() -> torch.nn.Module:
        built.append(SPACE.build(arch, 4, 1, seed=1).double())
        return built[-1]

    (seen,) = stacked([arch], x)
    signals = StackSignals(seen, build, x, y, classes=3, seed=1, graph=SPACE.graph(arch))
    single = Signals(SPACE.build(arch, 4, 1, seed=1).double(), x, y, classes=3, seed=1, graph=SPACE.graph(arch))
    assert np.allclose(signals.spectrum.eigenvalues, single.spectrum.eigenvalues, rtol=1e-8)
    assert np.allclose(signals.feature_spectrum.eigenvalues, single.feature_spectrum.eigenvalues, rtol=1e-8)
    assert np.array_equal(signals.targets, single.targets)
    assert (signals.eps, signals.finite, signals.disconnected) == (single.eps, True, False)
    assert not built
    assert signals.log_flow == single.log_flow
    assert signals.training("fisher").fisher == single.training("fisher").fisher
    assert len(built) == 1
    assert np.array_equal(signals.batch_spectrum.eigenvalues, single.batch_spectrum.eigenvalues)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = signals.nothing
    assert set(vars(single)) - set(vars(signals)) <= {"spectrum"}
