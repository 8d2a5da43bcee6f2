"""Magnitude pruning after training, the weights rewound."""

from __future__ import annotations

import copy

import pytest
import torch
from small_networks import made, mlp

from automl_theory.errors import InputError
from automl_theory.pruning.budgets import budget
from automl_theory.pruning.masks import hold, layer_table, prunable
from automl_theory.pruning.rewinding import rewind
from automl_theory.training import Recipe, train

RECIPE = Recipe(epochs=4, batch_size=4)


def trained(name: str):
    net, x, y = made(name)
    before = copy.deepcopy(net.state_dict())
    train(net, (x, y), (x, y), RECIPE)
    return net, before, (x, y)


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_masks_are_of_the_trained_weights_and_weights_of_before(name) -> None:
    net, before, _ = trained(name)
    after = {key: w.detach().clone() for key, w in prunable(net).items()}
    masks = rewind(net, before, 0.2)
    sizes = torch.cat([w.abs().flatten() for w in after.values()])
    edge = sizes.sort(descending=True).values[budget(len(sizes), 0.2) - 1]
    for key, value in net.state_dict().items():
        if key in after:
            assert torch.equal(masks[key], after[key].abs() >= edge)
            assert torch.equal(value, before[key] * masks[key])
        else:
            assert torch.equal(value, before[key]), key
    assert layer_table(masks)[-1]["kept"] == budget(len(sizes), 0.2)


def test_in_rounds_nothing_returns_and_budgets_are_exact() -> None:
    net, before, data = trained("mlp")
    last = None
    for i in range(1, 4):
        masks = rewind(net, before, 0.1 ** (i / 3))
        total = layer_table(masks)[-1]
        assert total["kept"] == budget(total["weights"], 0.1 ** (i / 3))
        assert last is None or not any((masks[name] & ~last[name]).any() for name in masks)
        with hold(net, masks):
            train(net, data, data, RECIPE)
        assert all(not net.get_parameter(name)[~mask].any() for name, mask in masks.items())
        last = masks


def test_layers_can_have_the_same_share() -> None:
    net, before, _ = trained("mlp")
    masks = rewind(net, before, 0.5, scope="layer", parameters=["1.0.weight", "1.2.weight"])
    assert [row["kept"] for row in layer_table(masks)] == [112, 18, 130]


def test_bad_input_is_told_in_a_line_and_changes_nothing() -> None:
    net, other = mlp(4, 3, 2), mlp(4, 5, 2)
    good = copy.deepcopy(net.state_dict())
    for before, message in [
        (net.state_dict(), r"'0.weight' of before is the network's own tensor and was trained along; copy it"),
        (other.state_dict(), r"expected '0.weight' of before to have shape \(3, 4\), got \(5, 4\)"),
        ({"0.weight": good["0.weight"]}, "before has no '0.bias': it is of another network"),
        (good | {"3.weight": good["0.weight"]}, "before has '3.weight', unknown to the network"),
        (None, "expected before as a state_dict, got NoneType; copy net.state_dict()"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            rewind(net, before, 0.5)
        assert "\n" not in str(caught.value)
        assert all(torch.equal(value, good[name]) for name, value in net.state_dict().items())
