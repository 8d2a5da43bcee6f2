from __future__ import annotations

import numpy as np
import pytest

from automl_theory.errors import InputError
from automl_theory.graphs.mask_metrics import mask_metrics
from automl_theory.graphs.random_masks import random_gap, random_gap_closed_form, random_gap_samples


@pytest.mark.parametrize(
    ("outputs", "inputs", "density"),
    [(64, 576, 0.1), (64, 576, 0.6), (128, 128, 0.1), (128, 128, 0.5), (128, 1152, 0.05), (256, 1152, 0.03)],
)
def test_where_it_holds_the_closed_form_meets_the_sampled_mean(outputs, inputs, density):
    edges = round(density * outputs * inputs)
    gaps = random_gap_samples(outputs, inputs, edges, samples=16, seed=1)
    error = np.std(gaps, ddof=1) / 4
    assert random_gap_closed_form(outputs, inputs, edges) == pytest.approx(np.mean(gaps), abs=0.06 + 2 * error)
    assert random_gap(outputs, inputs, edges) == random_gap_closed_form(outputs, inputs, edges)


@pytest.mark.parametrize(
    ("outputs", "inputs", "edges"), [(64, 27, 100), (10, 512, 300), (300, 300, 500), (6, 8, 40), (64, 576, 36_800)]
)
def test_elsewhere_it_is_sampled(outputs, inputs, edges):
    gaps = random_gap_samples(outputs, inputs, edges, samples=40, seed=7)
    spread = np.std(gaps, ddof=1)
    assert random_gap(outputs, inputs, edges) == pytest.approx(np.mean(gaps), abs=4 * spread / 2 + 1e-9)
    random_gap.cache_clear()
    assert random_gap(outputs, inputs, edges) == random_gap(outputs, inputs, edges)


def test_samples_have_the_edges_asked_for_and_are_seeded():
    assert random_gap_samples(5, 6, 30, samples=2) == pytest.approx([2 + np.sqrt(5)] * 2)
    assert random_gap_samples(5, 6, 1, samples=1) == [0]
    assert random_gap_samples(9, 9, 40, samples=3) == random_gap_samples(9, 9, 40, samples=3)
    assert random_gap_samples(9, 9, 40, samples=3) != random_gap_samples(9, 9, 40, samples=3, seed=1)


def test_random_masks_have_no_excess_and_structured_ones_have():
    rng = np.random.default_rng(5)
    excess = [mask_metrics(rng.random((48, 96)) < 0.2)["ramanujan_gap_excess"] for _ in range(12)]
    assert abs(np.mean(excess)) < 4 * np.std(excess) / np.sqrt(12) + 0.05
    blocks = np.kron(np.eye(4), rng.random((12, 24)) < 0.8)
    assert mask_metrics(blocks)["ramanujan_gap_excess"] < -3


def test_the_full_mask_is_its_own_average():
    assert random_gap(7, 5, 35) == np.sqrt(6) + 2


@pytest.mark.parametrize("edges", [0, 36])
def test_bad_input(edges):
    with pytest.raises(InputError, match=f"a 5 x 7 mask has 1 to 35 edges, got {edges}; give one of these"):
        random_gap(5, 7, edges)
