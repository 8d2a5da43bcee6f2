"""Full-spectrum pruning against a slow search, its budget, and what it must not touch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import full_spectrum as reference
from small_networks import made, mlp

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.pruning import full_spectrum as searching
from automl_theory.pruning.budgets import budget
from automl_theory.pruning.full_spectrum import fit_to_budget, full_spectrum
from automl_theory.pruning.masks import graph_settings, layer_table
from automl_theory.training import Recipe, train

some = settings(max_examples=40, deadline=None, derandomize=True)


def numpy_of(masks):
    return {name: mask.numpy() for name, mask in masks.items()}


@pytest.mark.parametrize("convention", ["strict", "iclr23", "neurips23"])
@pytest.mark.parametrize(
    ("base", "network"), [("snip", "convolutions"), ("erk", "residual"), ("random", "mlp"), ("synflow", "mlp")]
)
def test_the_search_keeps_what_the_slow_one_keeps(base, network, convention, monkeypatch) -> None:
    net, x, y = made(network)
    seen = []

    def spy(*arguments, **options):
        seen.append(at.prune(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(searching, "prune", spy)
    found = full_spectrum(net, base, 0.4, x, y, population=6, seed=1, batch_size=3, batches=2, convention=convention)
    weights = {name: w.detach().numpy() for name, w in net.named_parameters()}
    start, *candidates = [numpy_of(masks) for masks in seen]
    assert len(candidates) == 6
    groups = graph_settings(net, found.masks)
    assert network != "convolutions" or groups == {
        "groups": {"0.weight": 1, "3.weight": 3, "6.weight": 6, "7.weight": 2}, "transposed": ["7.weight"]
    }  # fmt: skip
    for name in groups["transposed"]:  # The slow measures know no transposed layer.
        for masks in (start, *candidates):
            del masks[name]
    expected, taken = reference.search(start, candidates, weights, convention, groups["groups"])
    for name, mask in expected.items():
        assert np.array_equal(mask, found.masks[name].numpy()), name
        assert taken[name] == found.taken[name]
        assert np.array_equal(start[name], found.base[name].numpy())


@some
@given(st.integers(1, 60), st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1))
def test_a_layer_is_fitted_to_its_budget_a_weight_at_a_time(size, seed, p, q):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((size, 3))
    mask, base = rng.random((size, 3)) < p, rng.random((size, 3)) < q
    found = fit_to_budget(*(torch.from_numpy(np.asarray(a)) for a in (mask, base, weight)), rng).numpy()
    assert np.array_equal(found, reference.fitted(mask, base, weight))
    assert found.sum() == base.sum()
    assert not (found & ~mask & ~base).any(), "what comes is of the base"


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.sampled_from(["random", "erk", "snip", "grasp", "iterative_snip", "synflow", "magnitude", "phew"]),
    st.floats(0.01, 1),
    st.integers(0, 99),
)
def test_the_budget_is_exact_for_every_base(base, density, seed):
    net, x, y = made("mlp", seed)
    found = full_spectrum(net, base, density, x, y, population=2, seed=seed, batch_size=4, batches=1)
    total = layer_table(found.masks)[-1]
    assert total["kept"] == budget(total["weights"], density)
    assert [row["kept"] for row in layer_table(found.masks)] == [row["kept"] for row in layer_table(found.base)]


def test_the_coordinates_only_improve_and_are_of_the_masks() -> None:
    net, x, y = made("residual")
    weights = dict(net.named_parameters())
    found = full_spectrum(net, "snip", 0.3, x, y, population=12, batch_size=4, batches=1)
    assert any(found.taken.values()), "the search found something"
    for name, mask in found.masks.items():
        now = at.mask_metrics(mask, weights[name], "neurips23")
        before = at.mask_metrics(found.base[name], weights[name], "neurips23")
        assert found.coordinates[name] == now["coordinate"]
        assert now["imdb"] >= before["imdb"]
        assert now["coordinate_length"] >= before["coordinate_length"]


def test_the_same_seed_gives_the_same_masks_and_another_others() -> None:
    net, x, y = made("residual")
    first, again, other = (
        full_spectrum(net, "snip", 0.2, x, y, population=5, seed=seed, batch_size=3, batches=1).masks
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    longer = full_spectrum(net, "snip", 0.2, x, y, population=9, seed=0, batch_size=3, batches=1)
    shorter = full_spectrum(net, "snip", 0.2, x, y, population=5, seed=0, batch_size=3, batches=1)
    for name, number in longer.taken.items():
        assert number > 5 or number == shorter.taken[name], "candidates do not depend on how many there are"


@pytest.mark.parametrize("base", ["snip", "synflow"])
def test_the_network_and_the_random_states_stay(base) -> None:
    net, x, y = made("residual")
    before, state, mode = copy.deepcopy(net.state_dict()), torch.get_rng_state(), net.training
    told = []
    full_spectrum(net, base, 0.3, x, y, population=3, batch_size=4, progress=lambda *one: told.append(one))
    assert told == [(0, 3, 0), (1, 3, 0), (2, 3, 0), (3, 3, 0)]
    assert net.training is mode
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_no_candidates_give_the_base_on_all_data() -> None:
    net, x, y = made("mlp")
    found = full_spectrum(net, "snip", 0.3, x, y, population=0, batch_size=5)
    expected = at.prune(net, "snip", 0.3, [x[:5], x[5:]], [y[:5], y[5:]])
    assert all(torch.equal(mask, found.masks[name]) for name, mask in expected.items())
    assert set(found.taken.values()) == {0}


def test_a_trained_network_comes_in() -> None:
    net, x, y = made("mlp")
    train(net, (x, y), (x, y), Recipe(epochs=5, batch_size=4))
    found = full_spectrum(net, "grasp", 0.3, x, y, population=3, batch_size=4)
    assert layer_table(found.masks)[-1]["kept"] == budget(sum(m.numel() for m in found.masks.values()), 0.3)


def test_mini_batches_repeat_no_sample_while_the_data_last() -> None:
    rng = np.random.default_rng(0)
    parts = searching._mini_batches(10, 3, 3, rng)
    assert len(set(torch.cat(parts).tolist())) == 9
    assert [len(part) for part in searching._mini_batches(10, 3, 8, rng)] == [3] * 8
    assert [len(part) for part in searching._mini_batches(4, 100, 2, rng)] == [4, 4]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"population": -1}, "expected population to be an integer of at least 0, got -1; give"),
        ({"batch_size": 0}, "expected batch_size to be an integer of at least 1, got 0; give"),
        ({"batches": 1.5}, "expected batches to be an integer of at least 1, got 1.5; give"),
        ({"noise": 0}, "expected noise above 0, a share of the weights' std, got 0; give 0.1"),
        ({"convention": "nips"}, "convention='nips' is not one of strict, iclr23, neurips23"),
        ({"base": "snap"}, "unknown method 'snap'"),
        ({"density": 2}, r"expected density in \(0, 1\]"),
        ({"x": [torch.ones(2, 4)]}, "expected x as one tensor of all samples, got list; use torch.cat"),
        ({"y": None}, "snip needs x and y, got no y"),
        ({"seed": -1}, "expected seed to be an integer of at least 0, got -1"),
    ],
)
def test_bad_input_is_told_in_a_line(changed, message) -> None:
    given_ = {"base": "snip", "density": 0.5, "x": torch.ones(2, 4), "y": torch.tensor([0, 1])} | changed
    arguments = [given_.pop(name) for name in ("base", "density", "x", "y")]
    with pytest.raises(InputError, match=message) as caught:
        full_spectrum(mlp(4, 3, 2), *arguments, **({"population": 1} | given_))
    assert "\n" not in str(caught.value)
