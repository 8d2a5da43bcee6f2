"""The hook of `train`: what takes the step in place of the optimiser."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from automl_theory.networks.initialise import initialise
from automl_theory.pruning.at_init import prune
from automl_theory.pruning.dynamic import DynamicSparse
from automl_theory.pruning.masks import hold
from automl_theory.training import Data, Recipe, evaluate, train

RECIPE = Recipe(epochs=3, batch_size=10)


def data(n: int = 35) -> Data:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = 3 * np.eye(3, 6)[y] + rng.standard_normal((n, 6))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


def network() -> nn.Sequential:
    return initialise(nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)), seed=0)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_step_that_steps_changes_nothing() -> None:
    plain, hooked = network(), network()
    rates: list[float] = []

    def step(optimiser: torch.optim.Optimizer) -> None:
        rates.append(optimiser.param_groups[0]["lr"])
        assert all(parameter.grad is not None for parameter in hooked.parameters())
        optimiser.step()

    assert train(plain, data(), data(), RECIPE) == train(hooked, data(), data(), RECIPE, step=step)
    assert equal(plain, hooked)
    assert rates == [RECIPE.rate(number, 12) for number in range(12)], "4 steps in each of 3 epochs"


def test_a_step_that_does_not_step_leaves_the_weights() -> None:
    net = network()
    before = copy.deepcopy(net)
    train(net, data(), data(), RECIPE, step=lambda optimiser: None)
    assert equal(net, before)


def test_looking_now_and_then_changes_nothing() -> None:
    plain, looked = network(), network()

    def step(optimiser: torch.optim.Optimizer) -> None:
        optimiser.step()
        evaluate(looked, data())
        looked.train()

    assert train(plain, data(), data(), RECIPE) == train(looked, data(), data(), RECIPE, step=step)


def test_a_still_mask_is_what_hold_keeps() -> None:
    held, stepped = network(), network()
    masks = prune(held, "random", 0.3, seed=0)
    with hold(held, masks):
        first = train(held, data(), data(), RECIPE)
    sparse = DynamicSparse(stepped, masks, "set", until=1, every=1)
    assert first == train(stepped, data(), data(), RECIPE, step=sparse.step)
    assert equal(held, stepped)
    assert [*sparse.snapshots] == [0]


@pytest.mark.parametrize("method", ["set", "rigl"])
def test_masks_move_in_training_within_their_budgets(method: str) -> None:
    net = network()
    masks = prune(net, "erk", 0.3, seed=0)
    sparse = DynamicSparse(net, masks, method, until=9, every=3)
    train(net, data(), data(), RECIPE, step=sparse.step)
    assert sparse.steps == 12
    assert [*sparse.snapshots] == [0, 3, 6]
    assert any(not torch.equal(sparse.masks[name], mask) for name, mask in masks.items())
    for name, weight in net.named_parameters():
        if name in masks:
            assert int(sparse.masks[name].sum()) == int(masks[name].sum())
            assert not weight[~sparse.masks[name]].any()
