"""Stacked networks against the modules one by one, and hand-written backpropagation against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.errors import InputError
from automl_theory.networks.initialise import draw
from automl_theory.networks.mlp import MlpDagNetwork
from automl_theory.networks.mlp_stack import READOUT, STEM, MlpStack, draw_stack, edge_name

CHAIN = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))


def random_stack(reads: tuple[tuple[int, ...], ...], members: int = 3, seed: int = 0) -> MlpStack:
    rng = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(members, *shape, generator=rng, dtype=torch.float64) / shape[-1] ** 0.5

    inner = [drawn(4, 4) for _ in range(len(reads) - 2)]
    return MlpStack(reads, (drawn(4, 5), *inner), drawn(3, 4))


@st.composite
def wiring(draw: st.DrawFn) -> tuple[tuple[int, ...], ...]:
    """Up to five units, each reading any units before it 0, 1 or 2 times; the readout, too."""
    units = draw(st.integers(1, 5))
    return tuple(
        tuple(draw(st.integers(0, 2)) if row and column < row else 0 for column in range(units))
        for row in range(units + 1)
    )


def slowly(networks: MlpStack, member: int, x: np.ndarray) -> np.ndarray:
    """One member, one input at a time, one unit after the other."""
    logits = []
    for one in x:
        outputs: list[np.ndarray] = []
        for unit, weight in enumerate(networks.weights):
            read = one if unit == 0 else np.zeros(4)
            for count, output in zip(networks.reads[unit], outputs, strict=False):
                read = read + count * output
            outputs.append(np.maximum(weight[member].detach().numpy() @ read, 0))
        total = sum((c * output for c, output in zip(networks.reads[-1], outputs, strict=True)), np.zeros(4))
        logits.append(networks.readout[member].detach().numpy() @ total)
    return np.array(logits)


@settings(max_examples=40, deadline=None)
@given(wiring(), st.integers(0, 5))
def test_any_wiring_computes_what_it_says(reads: tuple[tuple[int, ...], ...], seed: int) -> None:
    networks = random_stack(reads, seed=seed)
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits = networks.logits(x)
    own = networks.logits(x.expand(3, -1, -1))
    for member in range(3):
        np.testing.assert_allclose(logits[member], slowly(networks, member, x.numpy()), atol=1e-12)
    torch.testing.assert_close(own, logits)


@settings(max_examples=40, deadline=None)
@given(wiring(), st.integers(0, 5), st.booleans())
def test_descent_is_the_step_along_autograds_gradient(
    reads: tuple[tuple[int, ...], ...], seed: int, masked: bool
) -> None:
    rng = torch.Generator().manual_seed(seed)
    networks = random_stack(reads, seed=seed)
    if masked:
        masks = [(torch.rand(w.shape, generator=rng) < 0.5).double() if unit else None
                 for unit, w in enumerate(networks.weights)]  # fmt: skip
        networks = networks.masked(masks)
    x = torch.randn(3, 6, 5, generator=rng, dtype=torch.float64)
    slope = torch.randn(3, 6, 3, generator=rng, dtype=torch.float64)
    leaves = [value.clone().requires_grad_() for value in networks.parameters]
    gradients = torch.autograd.grad(networks.with_parameters(leaves).logits(x), leaves, slope, materialize_grads=True)
    moved = networks.with_parameters([value.clone() for value in networks.parameters])
    logits, descend = moved.descent(x)
    torch.testing.assert_close(logits, networks.logits(x))
    descend(-0.1 * slope)
    for before, after, gradient in zip(networks.parameters, moved.parameters, gradients, strict=True):
        torch.testing.assert_close(after, before - 0.1 * gradient, rtol=1e-12, atol=1e-12)


def test_a_drawn_stack_is_the_modules_without_biases() -> None:
    operations = ((2,), (0, 2), (1, 2, 2))
    reads = ((0, 0, 0, 0, 0), (1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (1, 0, 0, 1, 1))
    edges = ((0, 1), (1, 2), (1, 3), (2, 3))
    networks = draw_stack(reads, [(edges, seed) for seed in (0, 7)], 5, 8, 3, dtype=torch.float64)
    assert len(networks) == 2
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for member, seed in enumerate((0, 7)):
        module = MlpDagNetwork(operations, 5, 8, 3, seed=seed).double()
        torch.testing.assert_close(networks.logits(x)[member], module(x).detach(), rtol=1e-12, atol=1e-12)


def test_names_of_weights() -> None:
    names = dict(MlpDagNetwork(((2,), (2, 2)), 5, 4, 3).named_parameters())
    assert set(names) == {STEM, READOUT, edge_name((0, 1)), edge_name((0, 2)), edge_name((1, 2))}
    assert edge_name((0, 1, 0)) == edge_name((0, 1))
    assert edge_name((0, 1, 1)) == "_to_from_dag_layers.0.0.1.layer.0.weight"


def test_parallel_edges_have_weights_of_their_own() -> None:
    networks = draw_stack(((0, 0, 0), (1, 0, 0), (1, 0, 0), (0, 1, 1)), [(((0, 1), (0, 1, 1)), 3)], 5, 4, 3)
    for unit, edge in ((1, (0, 1)), (2, (0, 1, 1))):
        expected = torch.from_numpy(draw(edge_name(edge), (4, 4), "he_fan_in", 3))
        assert torch.equal(networks.weights[unit][0], expected)
    assert not torch.equal(networks.weights[1], networks.weights[2])


def test_a_masked_stack_has_zeros_there_and_its_gradient_too() -> None:
    networks = random_stack(CHAIN)
    mask = torch.zeros(3, 4, 4, dtype=torch.float64)
    mask[:, :2] = 1
    pruned = networks.masked([None, mask, None])
    assert torch.equal(pruned.weights[1], networks.weights[1] * mask)
    assert torch.equal(pruned.weights[2], networks.weights[2])
    leaves = [torch.ones_like(value).requires_grad_() for value in pruned.parameters]
    x = torch.ones(2, 5, dtype=torch.float64)
    pruned.with_parameters(leaves).logits(x).sum().backward()
    gradient = leaves[1].grad
    assert gradient is not None
    assert (gradient[:, 2:] == 0).all()
    assert (gradient[:, :2] != 0).all()


def test_wrong_input_is_refused() -> None:
    networks = random_stack(CHAIN)
    with pytest.raises(InputError, match="expected inputs of 5 numbers each, got 8; flatten or resize them"):
        networks.logits(torch.zeros(2, 1, 8, 8, dtype=torch.float64))
    with pytest.raises(InputError, match=r"expected 1 linear edges a member, got .*; stack one class"):
        draw_stack(((0, 0), (1, 0), (0, 1)), [((), 0)], 5, 4, 3)
    for masks in ([None, None], [None, None, torch.ones(3, 4)]):
        with pytest.raises(
            InputError, match=r"expected masks \(or None\) of shapes .*, one a unit, got .*; give them so"
        ):
            networks.masked(masks)
