"""Budgets: exact sums, within one of every quota, and the Erdős-Rényi-Kernel densities."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pruning as reference

from automl_theory.errors import InputError
from automl_theory.pruning.budgets import (
    apportion,
    budget,
    check_density,
    erk_counts,
    erk_densities,
    uniform_counts,
)
from automl_theory.pruning.selection import keep_density, keep_largest

some = settings(max_examples=60, deadline=None, derandomize=True)
densities = st.floats(1e-4, 1)
shapes = st.lists(st.lists(st.integers(1, 12), min_size=2, max_size=4), min_size=1, max_size=7)


@some
@given(st.integers(1, 10**7), densities)
def test_a_budget_is_the_density_to_one_weight(total, density):
    assert abs(budget(total, density) - density * total) <= 0.5 or budget(total, density) == 1
    assert 1 <= budget(total, density) <= total


@some
@given(shapes, densities)
def test_layer_budgets_add_up_and_are_within_one_of_their_quota(shapes, density):
    sizes = [math.prod(s) for s in shapes]
    for counts, quotas in (
        (uniform_counts(sizes, density), density * np.array(sizes)),
        (erk_counts(shapes, density), np.array(erk_densities(shapes, density)) * sizes),
    ):
        assert counts.sum() == budget(sum(sizes), density)
        assert (counts >= 0).all()
        assert (counts <= sizes).all()
        assert np.abs(counts - quotas).max() <= 1 + 1e-9


@some
@given(shapes, densities)
def test_erk_is_the_bisected_rule(shapes, density):
    ours = np.array(erk_densities(shapes, density))
    assert np.allclose(ours, reference.erk(shapes, density), rtol=1e-9, atol=1e-12)
    sizes = np.array([math.prod(s) for s in shapes])
    assert math.isclose((ours * sizes).sum(), density * sizes.sum(), rel_tol=1e-9)


def test_erk_of_the_authors(shared: Path) -> None:
    oracle = json.loads((shared / "oracle" / "ramanujan.json").read_text())["erk"]
    for key in ("authors_iclr", "dense_numpy"):
        for density, expected in oracle[key].items():
            ours = erk_densities(oracle["shapes"], float(density))
            assert np.allclose(ours, expected, rtol=1e-9, atol=0), (key, density)


def test_erk_makes_small_layers_dense() -> None:
    assert erk_densities([(2, 2), (100, 100)], 0.1)[0] == 1
    assert erk_densities([(4, 3), (5, 4)], 1.0) == [1, 1]


def test_apportion_by_hand() -> None:
    assert apportion([1.5, 2.5], [2, 3], 4).tolist() == [2, 2], "equal remainders: the first"
    assert apportion([0.2, 0.3, 0.5], [1, 1, 1], 1).tolist() == [0, 0, 1]
    assert apportion([3.0, 1.0], [2, 5], 4).tolist() == [2, 2], "what does not fit goes elsewhere"
    with pytest.raises(InputError, match="expected room for 5 weights, got 4; lower the density"):
        apportion([2.5, 2.5], [2, 2], 5)


@pytest.mark.parametrize("density", [0, -0.1, 1.5, math.nan, math.inf, "0.5", None, True])
def test_density_outside_is_refused(density: object) -> None:
    with pytest.raises(InputError, match=r"expected density in \(0, 1\], the share of weights to keep, got"):
        check_density(density)


@some
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.data())
def test_the_largest_stay_exactly_so_many(values, data):
    count = data.draw(st.integers(0, len(values)))
    scores = torch.tensor(values, dtype=torch.float64)
    kept = keep_largest(scores, count, np.random.default_rng(0))
    assert int(kept.sum()) == count
    if 0 < count < len(values):
        assert scores[kept].min() >= scores[~kept].max()


def test_ties_are_drawn_by_the_seed_and_evenly() -> None:
    scores = torch.tensor([2.0, 1, 1, 1, 1, 0])
    draws = [keep_largest(scores, 3, np.random.default_rng(seed)) for seed in range(400)]
    share = torch.stack(draws).double().mean(0)
    assert share[0] == 1
    assert share[5] == 0
    assert (share[1:5] - 0.5).abs().max() < 0.1, "two of four: binomial, standard error 0.025"
    assert torch.equal(draws[7], keep_largest(scores, 3, np.random.default_rng(7)))


def test_dead_weights_do_not_return_and_layers_keep_their_share() -> None:
    scores = {"a": torch.arange(10.0), "b": torch.arange(100.0, 120.0)}
    alive = {"a": torch.arange(10) < 4, "b": torch.ones(20, dtype=torch.bool)}
    masks = keep_density(scores, 0.2, "layer", np.random.default_rng(0), alive)
    assert masks["a"].nonzero().flatten().tolist() == [2, 3]
    assert masks["b"].nonzero().flatten().tolist() == [16, 17, 18, 19]
    masks = keep_density(scores, 0.2, "global", np.random.default_rng(0), alive)
    assert [int(m.sum()) for m in masks.values()] == [0, 6]


def test_scores_that_are_no_numbers_are_refused() -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(InputError, match=r"1 of 2 scores of 'a' are NaN or infinite; check the weights"):
            keep_density({"a": torch.tensor([1, bad])}, 0.5, "global", np.random.default_rng(0))
