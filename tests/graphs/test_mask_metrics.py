from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.masks import measures

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.conventions import CONVENTIONS
from automl_theory.graphs.mask_measures import FACTS, MEASURES, STATUSES
from automl_theory.graphs.mask_metrics import mask_metrics

ICLR = {
    "n_left": "n_left",
    "n_right": "n_right",
    "edges": "edges",
    "mu0": "sigma1",
    "mu_hat": "sigma2",
    "delta_r": "ramanujan_gap",
    "delta_s": "ramanujan_gap_eigen",
    "delta_r_mean_degree_form": "ramanujan_gap_regular",
    "expansion_ratio": "expansion_ratio",
    "narc": "narc",
    "narc_undirected_edges": "narc_single_count",
    "imdb_n_subgraphs": "n_subgraphs",
    "imdb": "imdb",
    "imdb_norm": "imdb_normalised",
    "ims": "imdb_eigen",
    "ims_norm": "imdb_eigen_normalised",
    "max_expansion_ratio": "expansion_max",
    "mean_expansion_ratio": "expansion_mean",
    "density": "density",
}
NEURIPS = {
    "full_delta_r": "ramanujan_gap",
    "full_lambda": "weighted_gap",
    "full_mixing": "mixing",
    "full_mixing_w": "mixing_weighted",
    "iter_imdb": "imdb",
    "iter_imsg": "nested_weighted_gap",
    "iter_mixing": "nested_mixing",
    "iter_mixing_w": "nested_mixing_weighted",
    "iter_n_subgraphs": "n_subgraphs",
    "imdb_without_factor": "imdb_without_factor",
    "imsg_without_factor": "nested_weighted_gap_without_factor",
    "full_spectrum_l2": "coordinate_length",
}


def agree(record: dict, expected: dict, names: dict[str, str], tolerance: float) -> int:
    compared = 0
    for theirs, ours in names.items():
        if theirs in expected:
            value = None if expected[theirs] == "inf" else expected[theirs]
            assert record[ours] == (value if value is None else pytest.approx(value, abs=tolerance)), (theirs, ours)
            compared += 1
    return compared


def test_oracle(shared: Path):
    """Both conventions of both authors' codes, the weights moved, and their distance."""
    cases = json.loads((shared / "oracle" / "ramanujan.json").read_text())["cases"]
    stored = np.load(shared / "oracle" / "ramanujan_masks.npz")
    compared = 0
    for case in cases:
        mask = stored[case["id"]]
        weight = np.random.default_rng(case["weight_seed"]).standard_normal(mask.shape).astype(np.float32)
        noise = np.random.default_rng(case["weight_seed"] + 1000).standard_normal(mask.shape).astype(np.float32)
        moved = weight + np.float32(0.1) * noise
        exact = case["dense_numpy"]
        iclr = mask_metrics(mask, weight, "iclr23")
        before = mask_metrics(mask, weight, "neurips23")
        after = mask_metrics(mask, moved, "neurips23", initial=weight)
        compared += agree(iclr, exact["iclr"], ICLR, 1e-8) + agree(iclr, case["authors_iclr"], ICLR, 5e-5)
        compared += agree(before, exact["fullspectrum"], NEURIPS, 1e-8)
        compared += agree(before, case["authors_dst"], NEURIPS, 5e-5)
        compared += agree(after, exact["fullspectrum_t"], NEURIPS, 1e-8)
        compared += agree(after, case["authors_dst_t"], NEURIPS, 5e-5)
        assert after["coordinate_distance"] == pytest.approx(exact["coordinate_l2_distance_from_init"], abs=1e-8)
        assert [list(pair) for pair in iclr["subgraph_degrees"]] == exact["iclr"]["imdb_degrees"]
        degrees = (exact["iclr"]["d_left"], exact["iclr"]["d_right"])
        assert iclr["degrees"] == (None if None in degrees else pytest.approx(degrees, abs=1e-8))
    assert compared == 12 * (16 + 12 + 9 + 12 + 9) + sum(len(ICLR.keys() & case["authors_iclr"]) for case in cases)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(CONVENTIONS)), st.sampled_from([1, 1, 2, 4]))
def test_the_slow_way_agrees(seed, convention, groups):
    rng = np.random.default_rng(seed)
    shape = (4 * rng.integers(1, 6), rng.integers(1, 7), *rng.integers(1, 4, rng.integers(0, 3)))
    mask, weight = rng.random(shape) < rng.random() ** 2, rng.standard_normal(shape).astype(np.float32)
    record = mask_metrics(mask, weight, convention, groups=groups, baseline=False)
    if record["edges"]:
        for name, value in measures(mask, weight, convention, groups).items():
            assert record[name] == (value if value is None else pytest.approx(value, abs=1e-9)), name


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(CONVENTIONS)), st.booleans())
def test_every_none_has_a_reason_and_every_reason_a_none(seed, convention, weighted):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, rng.integers(2, 5)))
    mask = rng.random(shape) < rng.random() ** 2
    weight = rng.standard_normal(shape) * (rng.random(shape) < 0.8) if weighted else None
    record = mask_metrics(mask, weight, convention, initial=weight if seed % 2 else None, baseline=seed % 3 > 0)
    assert list(record) == [*FACTS, *MEASURES, "coordinate", "per_group", "status", "reason", "reasons"]
    absent = {name for name in (*MEASURES, "coordinate", "degrees") if record[name] is None}
    assert set(record["reasons"]) == absent
    assert all(record["reasons"].values())
    assert not any("None" in reason for reason in record["reasons"].values())
    assert record["status"] in STATUSES
    assert (record["reason"] is None) == (record["status"] == "ok")
    assert all(name in at.mask_metrics.__doc__ for name in ("narc_single_count", "imdb_or_gap", "channel_overlap"))
    values = [record[name] for name in MEASURES if record[name] is not None]
    assert np.isfinite(values).all()
    if weighted and record["coordinate"] is not None and seed % 2:
        assert record["coordinate_distance"] == 0


def test_a_collapsed_layer_is_a_record():
    for convention in CONVENTIONS:
        record = mask_metrics(np.zeros((6, 8)), np.ones((6, 8)), convention)
        assert (record["status"], record["reason"]) == ("collapsed", "no edge left")
        assert (record["edges"], record["n_left"], record["n_right"], record["components"]) == (0, 0, 0, 0)
        assert record["sigma1"] is record["ramanujan_gap"] is record["degrees"] is None
        assert record["reasons"]["sigma2"] == "no edge left"
    assert record["imdb"] == record["coordinate_length"] == 0
    assert mask_metrics(np.zeros((6, 8)))["imdb"] is None


def test_reasons_name_the_guard_that_fails():
    mask = np.random.default_rng(118).random((4, 24, 3, 3)) < 0.5
    record = mask_metrics(mask, convention="iclr23")
    assert (record["status"], record["degrees"], record["n_left"]) == ("low_degree", None, 196)
    assert record["reason"] == "mean degrees d_L = 2.041, d_R = 100; iclr23 asks for d_L ≥ 3 and d_R ≥ 3"
    assert record["reasons"]["sigma1"] == record["reason"]
    assert record["imdb_or_gap"] == record["imdb_normalised"]
    sparse = mask_metrics(np.random.default_rng(102).random((64, 96)) < 0.2, convention="iclr23")
    assert sparse["status"] == "no_subgraphs"
    assert sparse["reason"].startswith("no nested subgraph has three inputs of one degree d ≥ 3 and d_R ≥ 3, as iclr23")
    assert sparse["imdb_or_gap"] == sparse["ramanujan_gap_normalised"]
    assert record["reasons"]["weighted_gap"] == record["reasons"]["coordinate"] == "no weights were given"


def test_weights_that_are_zero():
    """An edge in strict, none in iclr23, none of the weighted graph alone in neurips23."""
    rng = np.random.default_rng(3)
    mask = rng.random((20, 30)) < 0.5
    weight = rng.standard_normal(mask.shape)
    weight[2:5] = weight[:, 7] = 0
    gone = mask & (weight != 0)
    strict = mask_metrics(mask, weight)
    assert strict["ramanujan_gap"] == mask_metrics(mask)["ramanujan_gap"]
    assert mask_metrics(mask, weight, "iclr23")["imdb"] == mask_metrics(gone, convention="iclr23")["imdb"]
    neurips = mask_metrics(mask, weight, "neurips23")
    assert neurips["ramanujan_gap"] == strict["ramanujan_gap"]
    assert neurips["weighted_gap"] == pytest.approx(strict["weighted_gap"])
    assert (
        neurips["mixing_weighted"]
        != mask_metrics(mask, np.where(mask, weight + 1e-9, 0), "neurips23")["mixing_weighted"]
    )
    nothing = mask_metrics(mask, np.zeros(mask.shape), "neurips23")
    assert (nothing["weighted_gap"], nothing["coordinate"][1]) == (None, 0)
    assert "weights of exactly zero are no edges in neurips23" in nothing["reasons"]["weighted_gap"]
    assert mask_metrics(mask, np.zeros(mask.shape))["weighted_gap"] == 0
    assert mask_metrics(mask, np.zeros(mask.shape), "iclr23")["status"] == "collapsed"


def test_weights_that_are_not_finite_and_pruned_ones_that_are_not():
    mask, weight = np.ones((4, 6)), np.ones((4, 6))
    weight[1, 2] = np.nan
    record = mask_metrics(mask, weight)
    assert (record["status"], record["weighted_gap"], record["coordinate"]) == ("ok", None, None)
    assert record["reasons"]["coordinate"] == record["reasons"]["weighted_gap"] == "kept weights hold NaN or infinity"
    mask[1, 2] = 0
    assert mask_metrics(mask, weight)["weighted_gap"] > 0


def test_groups_are_blocks():
    rng = np.random.default_rng(4)
    mask, weight = rng.random((12, 5, 3, 3)) < 0.4, rng.standard_normal((12, 5, 3, 3))
    record = mask_metrics(mask, weight, groups=3)
    alone = [mask_metrics(mask[rows], weight[rows]) for rows in (slice(0, 4), slice(4, 8), slice(8, 12))]
    both = sorted((one[name] for one in alone for name in ("sigma1", "sigma2")), reverse=True)
    assert (record["sigma1"], record["sigma2"]) == pytest.approx(both[:2])
    assert record["components"] == 3
    assert record["n_left"] == sum(one["n_left"] for one in alone)
    for group, one in zip(record["per_group"], alone, strict=True):
        for name, value in group.items():
            assert value == pytest.approx(one[name]), name
    assert record["ramanujan_gap_per_group"] == pytest.approx(np.mean([one["ramanujan_gap"] for one in alone]))
    assert record["ramanujan_gap_excess"] == record["ramanujan_gap_per_group"] - record["ramanujan_gap_random"]
    assert record["ramanujan_gap"] < record["ramanujan_gap_per_group"]
    mask[4:8] = False
    assert mask_metrics(mask, groups=3)["per_group"][1] is None


def test_a_depthwise_layer_is_a_forest_of_stars():
    record = mask_metrics(np.ones((16, 1, 3, 3)), groups=16)
    assert (record["sigma1"], record["sigma2"], record["components"]) == (3, 3, 16)
    assert record["degrees"] == (1, 9)
    assert record["per_group"][0]["sigma2"] == 0
    assert record["ramanujan_gap_per_group"] == pytest.approx(np.sqrt(8))
    released = mask_metrics(np.ones((16, 1, 3, 3)), convention="iclr23")
    assert (released["sigma1"], released["sigma2"]) == (pytest.approx(12), 0)


def test_torch_tensors_and_parameters():
    mask = torch.rand(8, 4, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.3
    weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(1)))
    record = at.mask_metrics(mask, weight, initial=weight.detach() * 2)
    assert record == mask_metrics(mask.numpy(), weight.detach().numpy(), initial=2 * weight.detach().numpy())
    assert record["coordinate_distance"] == pytest.approx(
        np.hypot(record["weighted_gap"], record["nested_weighted_gap"])
    )


@pytest.mark.parametrize("density", [0.01, 0.05, 0.5])
def test_memory_is_four_times_the_mask_and_a_gram(density):
    """Allocated beside mask and weights: 4 x CSR (float64 values, int32 indices) and the small side's Gram."""
    rng = np.random.default_rng(6)
    shape = (512, 512, 3, 3) if density < 0.02 else (256, 256, 3, 3)
    mask, weight = rng.random(shape) < density, rng.standard_normal(shape).astype(np.float32)
    mask_metrics(mask, weight)
    tracemalloc.start()
    mask_metrics(mask, weight)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * (12 * mask.sum() + 4 * mask[0].size) + 8 * len(mask) ** 2


def test_bad_input():
    with pytest.raises(InputError, match=r"convention='iclr' is not one of strict, iclr23, neurips23; .* Did you mean"):
        mask_metrics(np.eye(3), convention="iclr")
    with pytest.raises(InputError, match="convention=None is not one of"):
        mask_metrics(np.eye(3), convention=None)
    with pytest.raises(InputError, match="initial weights came without weights to compare with them; give weight="):
        mask_metrics(np.eye(3), initial=np.eye(3))
    with pytest.raises(InputError, match="differ in shape"):
        mask_metrics(np.eye(3), np.eye(3), initial=np.eye(4))
