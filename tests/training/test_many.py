"""Many networks at once against one after another, each by `train`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from automl_theory.data import dataset, stratified_split
from automl_theory.errors import InputError
from automl_theory.networks.mlp_stack import MlpStack
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.mlp_dag_stacks import Group, groups, stack
from automl_theory.training import Data, Many, Recipe, Result, train, train_many
from automl_theory.training.recipe import orders

SPACE = MlpDag()
PLAIN = Recipe(10, 40, 0.02, 0.0, 0.0, "constant")
WIDTH = 24


def digits(n: int = 200, dtype: torch.dtype = torch.float64) -> tuple[Data, Data]:
    whole = dataset("digits")
    chosen, rest = stratified_split(whole.labels, n, 0)
    x, y = torch.from_numpy(whole.images).flatten(1).to(dtype), torch.from_numpy(whole.labels)
    return (x[chosen], y[chosen]), (x[rest[:150]], y[rest[:150]])


TRAIN, TEST = digits()


def alone(code: str, seed: int, recipe: Recipe) -> Result:
    net = SPACE.build(code, WIDTH, 10, in_channels=1, resolution=8, seed=seed).double()
    return train(net, TRAIN, TEST, recipe, seed)


def stacked(group: Group, members: Sequence[tuple[str, int]]) -> MlpStack:
    return stack(group, members, 64, WIDTH, dtype=torch.float64)


def together(members: Sequence[tuple[str, int]], recipe: Recipe, rates: Sequence[float] | None = None) -> Many:
    """Members of one class."""
    (group,) = groups(dict.fromkeys(code for code, _ in members))
    seeds = [seed for _, seed in members]
    return train_many(stacked(group, members), TRAIN, TEST, recipe, seeds=seeds, learning_rates=rates)


def assert_equal(many: Many, place: int, one: Result, tolerance: float = 1e-8) -> None:
    assert many.train_loss[place] == pytest.approx(one.train_loss, rel=0, abs=tolerance)
    assert many.test_loss[place] == pytest.approx(one.test_loss, rel=0, abs=tolerance)
    assert many.train_accuracy[place] == one.train_accuracy
    assert many.test_accuracy[place] == one.test_accuracy
    assert many.accuracies[place] == pytest.approx(one.history)
    assert many.status[place] == one.status
    if one.epochs_to_50 != 1:
        assert many.epochs_to_50[place] == pytest.approx(one.epochs_to_50, nan_ok=True)


@pytest.mark.parametrize(
    ("recipe", "own_rates"),
    [
        (PLAIN, False),
        (replace(PLAIN, schedule="cosine"), True),
        (replace(PLAIN, momentum=0.9, weight_decay=1e-3, learning_rate=0.005), False),
        (replace(PLAIN, momentum=0.5, schedule="cosine"), True),
        (replace(PLAIN, weight_decay=0.01), True),
    ],
)
def test_a_dozen_come_out_as_trained_one_after_another(recipe: Recipe, own_rates: bool) -> None:
    """50 steps in float64, the same losses to 1e-8."""
    rng = np.random.default_rng(7)
    codes = rng.choice(SPACE.live(), 12, replace=False).tolist()
    for group in groups(codes):
        members = [(code, int(seed)) for code in group.codes for seed in rng.choice(100, 2, replace=False)][:4]
        rates = rng.uniform(0.001, 0.02, len(members)).tolist() if own_rates else None
        many = together(members, recipe, rates)
        for place, (code, seed) in enumerate(members[:2]):
            how = replace(recipe, learning_rate=rates[place]) if rates else recipe
            assert_equal(many, place, alone(code, seed, how))


CLASS = max(groups(SPACE.live()), key=lambda group: len(group.codes) * (len(group.reads) > 3))
MEMBERS = tuple((code, seed) for code in CLASS.codes[:3] for seed in (0, 1))
RATES = (0.01, 0.02, 0.005, 0.03, 0.01, 0.002)
SHORT = replace(PLAIN, epochs=2)
WHOLE = together(MEMBERS, SHORT, RATES)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(range(len(MEMBERS))), min_size=1, max_size=6))
def test_neither_order_nor_company_matters(chosen: list[int]) -> None:
    part = together([MEMBERS[k] for k in chosen], SHORT, [RATES[k] for k in chosen])
    for name in ("train_loss", "test_loss", "halfway_loss", "losses", "accuracies", "epochs_to_50"):
        np.testing.assert_allclose(getattr(part, name), getattr(WHOLE, name)[chosen], rtol=1e-9)
    for mine, theirs in zip(part.stack.parameters, WHOLE.stack.parameters, strict=True):
        np.testing.assert_allclose(mine, theirs[chosen], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("recipe", [SHORT, replace(SHORT, momentum=0.9)])
def test_a_member_that_diverges_leaves_the_others_alone(recipe: Recipe) -> None:
    wild = together(MEMBERS, recipe, [RATES[0], 1e300, *RATES[2:]])
    calm = together(MEMBERS, recipe, RATES)
    others = [0, 2, 3, 4, 5]
    assert wild.status == ("ok", "diverged", "ok", "ok", "ok", "ok")
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "halfway_loss", "epochs_to_50"):
        values = getattr(wild, name)
        np.testing.assert_array_equal(values[others], getattr(calm, name)[others], err_msg=name)
        assert math.isnan(values[1]), name
    np.testing.assert_array_equal(wild.losses[others], calm.losses[others])
    assert np.isnan(wild.losses[1]).all()
    assert not wild.converged[1]
    one = alone(*MEMBERS[1], replace(recipe, learning_rate=1e300))
    assert one.status == "diverged"


def test_all_may_diverge_and_curves_keep_the_epochs_before() -> None:
    """A weight decay that multiplies all weights by -1e5 a step; `train` keeps the same epochs."""
    recipe = replace(PLAIN, learning_rate=0.01, weight_decay=1e7)
    many = together(MEMBERS[:2], recipe)
    assert many.status == ("diverged", "diverged")
    for place, member in enumerate(MEMBERS[:2]):
        history = alone(*member, recipe).history
        kept = many.accuracies[place]
        assert 1 <= len(history) < 10
        assert kept[~np.isnan(kept)].tolist() == pytest.approx(list(history))
    assert np.isnan(many.train_loss).all()
    assert not many.converged.any()


def test_weights_that_break_in_the_last_step_are_noticed() -> None:
    many = together(MEMBERS[:2], Recipe(1, 200, 0.0, 0.0, 0.0, "constant"), [1e300, 0.01])
    assert many.status == ("diverged", "ok")
    assert not np.isnan(many.losses).any()


def test_the_halfway_loss_is_that_of_half_the_epochs() -> None:
    many, half = together(MEMBERS, replace(PLAIN, epochs=5)), together(MEMBERS, replace(PLAIN, epochs=2))
    np.testing.assert_allclose(many.halfway_loss, half.train_loss, rtol=1e-12)
    np.testing.assert_allclose(many.losses[:, :2], half.losses, rtol=1e-12)
    wanted = np.abs(many.halfway_loss - many.train_loss) <= 0.01
    np.testing.assert_array_equal(many.converged, wanted)
    assert not wanted.any()
    assert together(MEMBERS, replace(PLAIN, learning_rate=1e-6)).converged.all()


def test_running_losses_by_hand() -> None:
    """Two steps of one epoch: losses of each batch before its step, weighted by its size."""
    code, seed = MEMBERS[0]
    recipe = Recipe(1, 120, 0.05, 0.0, 0.0, "constant")
    net = SPACE.build(code, WIDTH, 10, in_channels=1, resolution=8, seed=seed).double()
    total = 0.0
    for chosen in next(orders(seed, 200)).tensor_split(2):
        loss = nn.functional.cross_entropy(net(TRAIN[0][chosen]), TRAIN[1][chosen])
        total += loss.item() * len(chosen)
        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in net.parameters():
                if parameter.grad is not None:
                    parameter -= 0.05 * parameter.grad
    assert together(MEMBERS[:1], recipe).losses[0, 0] == pytest.approx(total / 200, rel=1e-12)


def test_half_the_accuracy_within_the_first_epoch_is_told_apart() -> None:
    """The line starts at the accuracy of the untrained network."""
    recipe = Recipe(2, 2, 0.02, 0.0, 0.0, "constant")
    long, seeds = (TRAIN[0].repeat(4, 1), TRAIN[1].repeat(4)), [0] * 6
    many = train_many(stacked(CLASS, MEMBERS), long, TEST, recipe, seeds=seeds)
    before = together(MEMBERS, replace(recipe, epochs=0)).train_accuracy
    assert (many.accuracies[:, 0] > 50).any()
    fast = many.accuracies[:, 0] > 50
    expected = (50 - before) / (many.accuracies[:, 0] - before)
    np.testing.assert_allclose(many.epochs_to_50[fast], expected[fast])


def test_no_epochs_is_an_evaluation() -> None:
    many = together(MEMBERS, replace(PLAIN, epochs=0))
    assert_equal(many, 0, alone(*MEMBERS[0], replace(PLAIN, epochs=0)))
    assert many.losses.shape == (6, 0)
    assert np.isnan(many.halfway_loss).all()
    assert not many.converged.any()


def test_the_stack_given_and_the_global_random_state_are_left_alone() -> None:
    given_stack = stacked(CLASS, MEMBERS)
    before, state = [value.clone() for value in given_stack.parameters], torch.get_rng_state()
    trained = train_many(given_stack, TRAIN, TEST, SHORT, seeds=[0] * 6).stack
    assert torch.equal(torch.get_rng_state(), state)
    for value, old, new in zip(given_stack.parameters, before, trained.parameters, strict=True):
        assert torch.equal(value, old)
        assert not value.requires_grad
        assert not new.requires_grad
        assert not torch.equal(value, new)


@dataclass(frozen=True)
class Plain:
    """A stack of linear models, which leaves its gradients to autograd."""

    parameters: tuple[Tensor, ...]

    def with_parameters(self, parameters: Sequence[Tensor]) -> Plain:
        return Plain(tuple(parameters))

    def logits(self, x: Tensor) -> Tensor:
        weight, bias = self.parameters
        return x @ weight.mT + bias.unsqueeze(1)


@pytest.mark.parametrize("recipe", [PLAIN, replace(PLAIN, momentum=0.9, weight_decay=0.1)])
def test_any_stack_of_networks_can_be_trained(recipe: Recipe) -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 10, 64, generator=rng, dtype=torch.float64)
    bias = torch.randn(3, 10, generator=rng, dtype=torch.float64)
    many = train_many(Plain((weight, bias)), TRAIN, TEST, recipe, seeds=[5, 6, 5])
    for place, seed in enumerate((5, 6, 5)):
        net = nn.Linear(64, 10).double()
        net.load_state_dict({"weight": weight[place], "bias": bias[place]})
        assert_equal(many, place, train(net, TRAIN, TEST, recipe, seed))
        torch.testing.assert_close(many.stack.parameters[0][place], net.weight.detach())


def test_pruned_weights_stay_zero_whatever_the_recipe() -> None:
    rng = torch.Generator().manual_seed(1)
    whole = stacked(CLASS, MEMBERS)
    masks = [None, *((torch.rand(w.shape, generator=rng) < 0.5).double() for w in whole.weights[1:])]
    pruned = whole.masked(masks)
    for recipe in (SHORT, replace(SHORT, momentum=0.9, weight_decay=0.01)):
        many = train_many(pruned, TRAIN, TEST, recipe, seeds=[0] * 6)
        for mask, weight in zip(masks[1:], many.stack.weights[1:], strict=True):
            assert (weight[mask == 0] == 0).all()
            assert (weight[mask == 1] != 0).all()
        assert (many.train_loss != train_many(whole, TRAIN, TEST, recipe, seeds=[0] * 6).train_loss).all()


def test_orders_are_those_of_train() -> None:
    generator = torch.Generator().manual_seed(3)
    for order in islice(orders(3, 10), 4):
        assert torch.equal(order, torch.randperm(10, generator=generator))


def test_wrong_input_is_refused() -> None:
    networks = stacked(CLASS, MEMBERS)
    (x, y), seeds = TRAIN, [0] * 6
    with pytest.raises(InputError, match="expected a seed for each of 6 members, got 2; give as many"):
        train_many(networks, TRAIN, TEST, seeds=[0, 1])
    with pytest.raises(InputError, match="expected seed to be an integer of at least 0, got -1"):
        train_many(networks, TRAIN, TEST, seeds=[-1] * 6)
    with pytest.raises(InputError, match="expected a rate for each of 6 members, got 1; give as many"):
        train_many(networks, TRAIN, TEST, seeds=seeds, learning_rates=[0.1])
    for bad in (-1.0, math.nan, math.inf, "high"):
        with pytest.raises(InputError, match=r"expected learning rates in \[0, inf\), got .*; give numbers there"):
            train_many(networks, TRAIN, TEST, seeds=seeds, learning_rates=[bad] * 6)
    with pytest.raises(InputError, match=r"inputs of train_data in torch.float64, as the weights, got torch.float32"):
        train_many(networks, (x.float(), y), TEST, seeds=seeds)
    with pytest.raises(InputError, match=r"test_data as a pair"):
        train_many(networks, TRAIN, (x, y, y), seeds=seeds)
    with pytest.raises(InputError, match="expected labels below 10, the number of logits, got 12"):
        train_many(networks, TRAIN, (x, y + 3), seeds=seeds)
    with pytest.raises(InputError, match="expected inputs of 64 numbers each, got 63; flatten or resize them"):
        train_many(networks, (x[:, 1:], y), TEST, seeds=seeds)
    with pytest.raises(InputError, match=r"expected logits of shape \(2, 1, classes\) of one input, got \(1, 5\)"):
        train_many(Wrong((torch.zeros(2, 5, 64, dtype=torch.float64),)), TRAIN, TEST, seeds=[0, 0])
    for lengths in ((), (0, 0), (2, 3)):
        weights = tuple(torch.zeros(length, 10, 64, dtype=torch.float64) for length in lengths)
        with pytest.raises(InputError, match="expected weights stacked over one number of members, at least 1, got"):
            train_many(Wrong(weights), TRAIN, TEST, seeds=[0, 0])


class Wrong(Plain):
    """Gives the logits of its first member alone."""

    def with_parameters(self, parameters: Sequence[Tensor]) -> Wrong:
        return Wrong(tuple(parameters))

    def logits(self, x: Tensor) -> Tensor:
        return x @ self.parameters[0][0].T
