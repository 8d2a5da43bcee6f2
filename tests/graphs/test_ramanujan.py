from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.masks import affine_plane, projective_plane
from scipy.sparse import block_diag

from automl_theory.graphs.mask_metrics import mask_metrics

MEASURED = ("sigma1", "sigma2", "ramanujan_gap", "ramanujan_gap_eigen", "ramanujan_gap_regular", "narc", "imdb")


def close(record, **expected):
    for name, value in expected.items():
        assert record[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("convention", ["strict", "iclr23"])
@pytest.mark.parametrize("q", [2, 3, 5, 7])
def test_projective_planes(q, convention):
    record = mask_metrics(projective_plane(q), convention=convention)
    n, root = q * q + q + 1, sqrt(q)
    close(record, sigma1=q + 1, sigma2=root, ramanujan_gap=root, ramanujan_gap_eigen=root, ramanujan_gap_regular=root)
    close(record, narc=-3 * q / (4 * n), imdb=root, imdb_normalised=1 / 2, expansion_ratio=1)
    assert record["degrees"] == (q + 1, q + 1)
    assert (record["components"], record["n_subgraphs"], record["status"]) == (1, 1, "ok")


@pytest.mark.parametrize("q", [3, 5, 7])
def test_affine_planes(q):
    """Lines hold q points, points lie on q + 1 lines: the biadjacency is lines x points."""
    record = mask_metrics(affine_plane(q))
    first = sqrt(q * (q + 1))
    close(record, sigma1=first, sigma2=sqrt(q), ramanujan_gap=sqrt(q - 1), imdb=sqrt(q - 1))
    close(record, ramanujan_gap_eigen=2 * sqrt(first - 1) - sqrt(q))
    assert record["degrees"] == (q + 1, q)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 7), (7, 1), (3, 3), (12, 20), (64, 9)])
def test_complete_bipartite_graphs(m, n):
    record = mask_metrics(np.ones((m, n)))
    close(record, sigma1=sqrt(m * n), ramanujan_gap=sqrt(m - 1) + sqrt(n - 1), imdb=sqrt(m - 1) + sqrt(n - 1))
    assert record["sigma2"] == 0.0
    assert record["ramanujan_gap_normalised"] == (None if m == n == 1 else 1.0)
    assert record["ramanujan_gap_excess"] == pytest.approx(0)


@pytest.mark.parametrize("copies", [2, 3, 5])
@pytest.mark.parametrize("block", [projective_plane(2), affine_plane(3), np.ones((2, 5))])
def test_copies_have_no_gap_between_the_singular_values(block, copies):
    record = mask_metrics(block_diag([block] * copies).toarray() > 0)
    assert record["components"] == copies
    assert record["sigma2"] == pytest.approx(record["sigma1"], abs=1e-12)
    assert record["sigma1"] == pytest.approx(np.linalg.norm(block.astype(float), 2))


def test_a_perfect_matching_has_bounds_of_zero():
    record = mask_metrics(np.eye(6))
    close(record, sigma1=1, sigma2=1, ramanujan_gap=-1, ramanujan_gap_eigen=-1, ramanujan_gap_regular=-1)
    assert record["ramanujan_gap_normalised"] is None
    assert record["reasons"]["ramanujan_gap_normalised"] == "the bound is zero, as of a perfect matching"
    assert record["imdb_normalised"] is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 20), st.floats(0.05, 1))
def test_the_order_of_nodes_and_isolated_ones_do_not_matter(seed, outputs, inputs, density):
    rng = np.random.default_rng(seed)
    mask = rng.random((outputs, inputs)) < density
    mask[0, 0] = True
    weight = rng.standard_normal(mask.shape)
    rows, columns = rng.permutation(outputs), rng.permutation(inputs)
    padding = ((1, 2), (3, 0))
    record = mask_metrics(mask, weight)
    other = mask_metrics(np.pad(mask[rows][:, columns], padding), np.pad(weight[rows][:, columns], padding))
    for name in (*MEASURED, "weighted_gap", "nested_weighted_gap", "coordinate_length", "components", "n_subgraphs"):
        assert other[name] == pytest.approx(record[name], abs=1e-9), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1), st.floats(1e-3, 1e3))
def test_what_scales_turns_and_bounds(seed, density, scale):
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 14)) < density
    mask[0, 0] = True
    weight = rng.standard_normal(mask.shape)
    record, scaled = mask_metrics(mask, weight), mask_metrics(mask, -scale * weight)
    turned = mask_metrics(mask.T, weight.T)
    for name in ("weighted_gap", "nested_weighted_gap"):
        assert scaled[name] == pytest.approx(scale * record[name], rel=1e-9, abs=1e-12)
    for name in ("ramanujan_gap", "ramanujan_gap_eigen", "narc", "sigma2", "weighted_gap"):
        assert turned[name] == pytest.approx(record[name], abs=1e-9)
    assert record["sigma1"] >= sqrt(record["degrees"].left * record["degrees"].right) - 1e-12
    assert 0 <= record["sigma2"] <= record["sigma1"]
    assert record["weighted_gap"] >= 0
    assert record["ramanujan_gap_normalised"] is None or record["ramanujan_gap_normalised"] <= 1


def test_narc_says_the_same_as_the_eigen_gap_where_degrees_are_regular():
    rng = np.random.default_rng(0)
    for degree in (3, 4, 6):
        for _ in range(5):
            mask = np.zeros((24, 24))
            for _ in range(degree):
                free = mask[np.arange(24), (order := rng.permutation(24))] == 0
                mask[np.arange(24)[free], order[free]] = 1
            record = mask_metrics(mask)
            if record["sigma1"] ** 2 == pytest.approx(record["degrees"].left * record["degrees"].right, abs=1e-9):
                assert (record["narc"] <= 0) == (record["ramanujan_gap_eigen"] >= 0)
    record = mask_metrics(np.kron(np.eye(3), np.ones((4, 4))))
    assert record["narc"] > 0 > record["ramanujan_gap_eigen"]
