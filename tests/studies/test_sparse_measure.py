"""Numbers of networks out of records of layers; rewired masks; where NaRC crosses zero."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from automl_theory.graphs.mask_aggregate import aggregate_masks
from automl_theory.graphs.mask_table import mask_pairs, mask_table
from automl_theory.pruning.at_init import prune
from automl_theory.pruning.masks import graph_settings
from automl_theory.studies.sparse_masks.measure import (
    DIFFERING,
    KEYS,
    STRICT,
    TRAINED,
    layer_records,
    of_networks,
    packed,
    pair_means,
)  # fmt: skip
from automl_theory.studies.sparse_masks.networks import build
from automl_theory.studies.sparse_masks.series import crossings, rewired

NET = build("conv", (1, 8, 8), 10, 0)
INITIAL = {name: value.detach().clone() for name, value in NET.named_parameters()}
TRAINED_WEIGHTS = {name: 2 * value for name, value in INITIAL.items()}
MASKS = {density: prune(NET, "random", density, seed=0) for density in (0.0005, 0.1)}


@pytest.fixture(scope="module")
def layers() -> pd.DataFrame:
    tables = []
    for density, masks in MASKS.items():
        table = layer_records(NET, masks, INITIAL, INITIAL, TRAINED_WEIGHTS)
        tables.append(table.assign(network="conv", method="random", density=density, seed=0))
    return pd.concat(tables, ignore_index=True)


def test_networks_are_aggregated_as_aggregate_masks_has_it(layers: pd.DataFrame) -> None:
    found = of_networks(layers).set_index("density")
    settings = graph_settings(NET, MASKS[0.1])
    whole = layers[layers["convention"] == "strict"]
    names = [name for name in STRICT if name != "coordinate_distance"]
    worst = aggregate_masks(whole.rename(columns={"layer_density": "d", "density": "x"}).assign(density=0), "defined")
    assert len(worst), "the table of all layers is one that can be aggregated"
    bad = {}
    for name in names:
        known = whole[name].dropna()
        if len(known):
            direction = mask_table(MASKS[0.1]).attrs["proxies"][name]["direction"]
            bad[name] = float(known.min() if direction == "maximize" else known.max())
    for density, masks in MASKS.items():
        table = mask_table(masks, INITIAL, "strict", initial=INITIAL, **settings)
        row = found.loc[density]
        for how, suffix in (("defined", ""), ("edges", "__edges")):
            expected = aggregate_masks(table, how, measures=names)
            got = [row[f"{name}{suffix}"] for name in names]
            np.testing.assert_allclose(got, expected["value"], rtol=1e-12)
            assert row["mean_layer_density"] == pytest.approx(expected["mean_layer_density"].iloc[0])
            assert [row[f"{name}__defined"] for name in names] == pytest.approx(expected["share_defined"].tolist())
        expected = aggregate_masks(table, "worst", measures=[*bad], worst=bad)["value"]
        np.testing.assert_allclose([row[f"{name}__worst"] for name in bad], expected, rtol=1e-12)
        for convention in ("iclr23", "neurips23"):
            released = mask_table(masks, INITIAL, convention, baseline=False, **settings)
            got = [row[f"{name}__{convention}"] for name in DIFFERING]
            np.testing.assert_allclose(got, aggregate_masks(released, measures=DIFFERING)["value"], rtol=1e-12)
        assert row["share_ramanujan"] == (table["ramanujan_gap"] > 0).mean()
        assert row["layers"] == 4
    assert found.loc[0.0005, "imdb__defined"] < 1, "something is undefined here"


def test_trained_weights_and_distances(layers: pd.DataFrame) -> None:
    strict = layers[layers["convention"] == "strict"]
    for name in TRAINED[:2]:
        np.testing.assert_allclose(strict[f"{name}_trained"], 2 * strict[name], rtol=1e-12)
    assert (strict["coordinate_distance_start"].dropna() == 0).all()
    expected = np.hypot(strict["weighted_gap"], strict["nested_weighted_gap"])
    np.testing.assert_allclose(strict["coordinate_distance"], expected, rtol=1e-9)
    assert layers.loc[layers["convention"] != "strict", "coordinate_distance"].isna().all()
    assert set(layers.loc[layers["status"] == "ok", "reason"]) == {"none"}


def test_pairs_are_means_over_the_consecutive_layers() -> None:
    table = mask_pairs(MASKS[0.1], **graph_settings(NET, MASKS[0.1]))
    found = pair_means(NET, MASKS[0.1])
    assert found == {name: pytest.approx(table[name].mean()) for name in ("throughput", "compatibility", "overlap")}
    empty = {name: torch.zeros_like(mask) for name, mask in MASKS[0.1].items()}
    assert all(math.isnan(value) for value in pair_means(NET, empty).values())


def test_measures_of_collapsed_layers_do_not_break_the_table() -> None:
    masks = {name: torch.zeros_like(mask) for name, mask in MASKS[0.1].items()}
    masks["12.weight" if "12.weight" in masks else [*masks][-1]] |= True
    table = layer_records(NET, masks, INITIAL, INITIAL, INITIAL).assign(network="n", method="m", density=0.1, seed=0)
    row = of_networks(table).iloc[0]
    assert row["layers_collapsed"] == 3
    assert row["min_layer_density"] == 0
    assert row["ramanujan_gap__defined"] == 0.25
    assert list(row[KEYS]) == ["n", "m", 0.1, 0]


def test_packed_columns_are_stored_without_objects(layers: pd.DataFrame) -> None:
    found = packed(layers)
    assert all(values.dtype.kind in "iufbU" for values in found.values())
    pd.testing.assert_frame_equal(pd.DataFrame(found), layers, check_dtype=False)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_rewiring_keeps_edges_and_moves_its_share(share: float) -> None:
    mask = torch.zeros(40, 50, dtype=torch.bool)
    mask[:10, :20] = True
    moved = rewired(mask, share, np.random.default_rng(0))
    assert moved.shape == mask.shape
    assert int(moved.sum()) == 200
    stayed = int((moved & mask).sum())
    assert stayed >= 200 - round(200 * share)
    if share == 0:
        assert torch.equal(moved, mask)
    if share == 1:
        assert stayed < 45, "20 of 200 places are expected to be taken again"


def test_full_rewiring_is_uniform() -> None:
    mask = torch.tensor([[True, True, False, False, False]])
    rng = np.random.default_rng(0)
    counts = sum(rewired(mask, 1.0, rng).int() for _ in range(2000))
    np.testing.assert_allclose(np.asarray(counts) / 2000, 0.4, atol=0.04)


def test_crossings_of_zero() -> None:
    def grid(method: str, values: list[float]) -> pd.DataFrame:
        density = [0.01, 0.1, 1.0]
        return pd.DataFrame({
            "network": "n", "method": method, "seed": 0, "density": density, "narc": values, "largest_narc": values,
        })  # fmt: skip

    nan = math.nan
    table = crossings(pd.concat([
        grid("once", [1.0, -1.0, -2.0]), grid("twice", [-1.0, 3.0, -1.0]), grid("never", [-1.0, -2.0, -1.0]),
        grid("gap", [1.0, nan, -1.0]), grid("none", [nan, nan, nan]),
    ]))  # fmt: skip
    found = table[table["quantity"] == "narc"].set_index("method")
    assert found.loc["once", "density"] == pytest.approx(10**-1.5)
    assert found.loc["twice", "density"] == pytest.approx(10**-1.75)
    assert found.loc["gap", "density"] == pytest.approx(0.1)
    assert found["times"].to_dict() == {"once": 1, "twice": 2, "never": 0, "gap": 1, "none": 0}
    assert found["low_sign"].to_dict() == {"once": "+", "twice": "-", "never": "-", "gap": "+", "none": "none"}
    assert found.loc[["never", "none"], "density"].isna().all()
