"""SET and RigL: layer budgets held exactly, the right weights dropped and grown, masks to follow over time."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pruning as reference
from small_networks import NETWORKS, made, mlp
from torch import Tensor, nn

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.pruning.dynamic import METHODS, DynamicSparse, drop_fraction

some = settings(max_examples=12, deadline=None, derandomize=True)


def run(
    net: nn.Module, sparse: DynamicSparse, x: Tensor, y: Tensor, steps: int, optimiser: torch.optim.Optimizer
) -> list[bool]:
    """The loop of the docstring."""
    changed = []
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(net(x)[:, :3], y).backward()
        changed.append(sparse.step(optimiser))
    return changed


@pytest.mark.parametrize("method", METHODS)
@some
@given(st.sampled_from(list(NETWORKS)), st.floats(0.05, 0.9), st.integers(1, 4), st.floats(0.05, 1), st.booleans())
def test_every_layer_keeps_its_budget_and_only_its_weights(method, name, density, every, fraction, adam):
    net, x, y = made(name)
    masks = at.prune(net, "erk", density)
    sparse = DynamicSparse(net, masks, method, until=9, every=every, fraction=fraction)
    optimiser = (
        torch.optim.Adam(net.parameters(), 0.01) if adam else torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    )
    changed = run(net, sparse, x, y, 12, optimiser)
    assert changed == [t % every == 0 and t < 9 for t in range(1, 13)]
    assert list(sparse.snapshots) == [0] + [t for t in range(1, 9) if t % every == 0]
    for snapshot in (*sparse.snapshots.values(), sparse.masks):
        assert {n: int(m.sum()) for n, m in snapshot.items()} == {n: int(m.sum()) for n, m in masks.items()}
    for n, mask in sparse.masks.items():
        parameter = net.get_parameter(n)
        assert not bool(parameter[~mask].any())
        assert not any(bool(s[~mask].any()) for s in optimiser.state[parameter].values() if s.shape == mask.shape)


def test_the_masks_given_are_not_written_into() -> None:
    net, x, y = made("mlp")
    masks = at.prune(net, "random", 0.3)
    before = {n: m.clone() for n, m in masks.items()}
    sparse = DynamicSparse(net, masks, "set", until=10, every=1)
    run(net, sparse, x, y, 3, torch.optim.SGD(net.parameters(), 0.1))
    assert all(torch.equal(masks[n], before[n]) for n in masks)
    assert not all(torch.equal(masks[n], sparse.masks[n]) for n in masks)
    assert all(torch.equal(sparse.snapshots[0][n], before[n]) for n in masks)


def test_the_share_follows_a_cosine() -> None:
    assert drop_fraction(0, 100, 0.3) == 0.3
    assert math.isclose(drop_fraction(50, 100, 0.3), 0.15)
    assert drop_fraction(100, 100, 0.3) == drop_fraction(101, 100, 0.3) == 0
    shares = [drop_fraction(t, 100, 0.3) for t in range(120)]
    assert all(a >= b for a, b in pairwise(shares))


@pytest.mark.parametrize("seed", range(3))
def test_rigl_moves_the_weights_that_the_slow_version_moves(seed):
    _, x, y = made("mlp", seed)
    torch.manual_seed(seed)
    # No ReLU: a dead unit's weights would tie at 0, and the seed draws between those.
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    sparse = DynamicSparse(net, at.prune(net, "erk", 0.3, seed=seed), "rigl", until=10, every=2, fraction=0.5)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    for step in range(1, 12):
        optimiser.zero_grad()
        F.cross_entropy(net(x), y).backward()
        weights = {n: net.get_parameter(n).detach().clone() for n in sparse.masks}
        before = dict(sparse.masks)
        assert sparse.step(optimiser) == (step in (2, 4, 6, 8))
        for n, mask in before.items():
            parameter = net.get_parameter(n)
            if step not in (2, 4, 6, 8):
                assert torch.equal(sparse.masks[n], mask)
                assert not torch.equal(parameter, weights[n])
                continue
            count = 0 if bool(mask.all()) else math.floor(drop_fraction(step, 10, 0.5) * int(mask.sum()))
            expected = reference.change(weights[n], mask, parameter.grad.abs(), count)
            assert torch.equal(sparse.masks[n], expected)
            stay = mask & expected
            assert torch.equal(parameter[stay], weights[n][stay]), "no step of the optimiser"
            assert not bool(parameter[~stay].any()), "grown from 0"


def test_set_drops_the_smallest_and_grows_anywhere() -> None:
    net = mlp(20, 20)
    with torch.no_grad():
        net[0].weight.copy_(torch.arange(1.0, 401).reshape(20, 20))
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask.view(-1)[::4] = True
    grown = torch.zeros(20, 20)
    for seed in range(200):
        with torch.no_grad():
            net[0].weight.copy_(torch.arange(1.0, 401).reshape(20, 20))
        sparse = DynamicSparse(net, {"0.weight": mask}, "set", until=10**9, every=1, fraction=0.4, seed=seed)
        sparse.step(torch.optim.SGD(net.parameters(), 0.1))
        after = sparse.masks["0.weight"]
        assert bool(after.view(-1)[160::4].all()), "60 of 100 stay, the largest"
        grown += after & ~mask
    free = torch.ones(400, dtype=torch.bool)
    free[160::4] = False
    share = (grown / 200).view(-1)[free & ~mask.view(-1)]
    # 40 grow among 340 places: 0.118 each, standard error 0.023 over 200 seeds.
    assert abs(float(share.mean()) - 40 / 340) < 0.01
    assert float((share - 40 / 340).abs().max()) < 0.11


def test_seeds_decide_and_repeat() -> None:
    def masks(seed: int) -> Tensor:
        net, x, y = made("mlp")
        sparse = DynamicSparse(net, at.prune(net, "erk", 0.2), "set", until=20, every=2, seed=seed)
        run(net, sparse, x, y, 9, torch.optim.SGD(net.parameters(), 0.1))
        return torch.cat([m.flatten() for m in sparse.masks.values()])

    assert torch.equal(masks(0), masks(0))
    assert not torch.equal(masks(0), masks(1))


def test_momentum_of_grown_weights_starts_from_zero() -> None:
    net, x, y = made("mlp")
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    sparse = DynamicSparse(net, at.prune(net, "erk", 0.3), "rigl", until=100, every=3)
    run(net, sparse, x, y, 2, optimiser)
    before = {n: m.clone() for n, m in sparse.masks.items()}
    momenta = {n: optimiser.state[net.get_parameter(n)]["momentum_buffer"].clone() for n in before}
    run(net, sparse, x, y, 1, optimiser)
    for n, mask in before.items():
        stay = mask & sparse.masks[n]
        momentum = optimiser.state[net.get_parameter(n)]["momentum_buffer"]
        assert torch.equal(momentum[stay], momenta[n][stay])
        assert not bool(momentum[~stay].any())


def test_it_trains_and_rigl_finds_the_inputs_that_matter() -> None:
    """Only two of 40 inputs carry the class; a sparse layer moves its weights there."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 40, generator=generator), torch.arange(300) % 3
    x[:, 7] += 2.0 * (y == 0)
    x[:, 23] += 2.0 * (y == 1)
    torch.manual_seed(0)
    net = mlp(40, 32, 3)
    masks = at.prune(net, "random", 0.1)
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    sparse = DynamicSparse(net, masks, "rigl", until=250, every=5, fraction=0.5)
    run(net, sparse, x, y, 300, optimiser)
    accuracy = float((net(x).argmax(1) == y).double().mean())
    first, last = (s["0.weight"][:, [7, 23]].sum() for s in (sparse.snapshots[0], sparse.masks))
    assert accuracy > 0.7
    assert last > 1.5 * first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "rigel"}, r"method='rigel' is not one of set, rigl. Did you mean 'rigl'\?"),
        ({"until": 0}, "expected until to be an integer of at least 1, got 0; give"),
        ({"every": 1.5}, "expected every to be an integer of at least 1, got 1.5"),
        ({"seed": -1}, "expected seed to be an integer of at least 0, got -1"),
        ({"fraction": 0}, r"expected fraction in \(0, 1\], got 0; give 0.3, say"),
        ({"masks": {}}, "expected masks as a mapping of names to boolean tensors, got an empty one"),
        ({"masks": {"a": torch.ones(2, dtype=torch.bool)}}, "the masks are of another network"),
    ],
)
def test_bad_settings_are_told_in_a_line(changes, message):
    net = mlp(4, 5, 3)
    with pytest.raises(InputError, match=message):
        DynamicSparse(**({"net": net, "masks": at.prune(net, "erk", 0.5), "until": 10} | changes))


def test_missing_and_non_finite_gradients_are_told() -> None:
    net = mlp(4, 5, 3)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    sparse = DynamicSparse(net, at.prune(net, "random", 0.5), until=10, every=1)
    with pytest.raises(InputError, match=r"rigl needs the gradient of '0.weight', which has none; call step after"):
        sparse.step(optimiser)
    (net(torch.ones(2, 4)).sum() * math.nan).backward()
    with pytest.raises(InputError, match=r"gradients of '0.weight' are NaN or infinite: training diverged; lower"):
        sparse.step(optimiser)
