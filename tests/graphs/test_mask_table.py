from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.mask_measures import MEASURES
from automl_theory.graphs.mask_metrics import mask_metrics


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.Conv2d(12, 12, 3, groups=4), nn.Conv2d(12, 8, 1), nn.Flatten(), nn.Linear(32, 10)
    )


@pytest.fixture(scope="module")
def masks(net: nn.Module) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = {name: parameter for name, parameter in net.named_parameters() if name.endswith("weight")}
    drawn = {name: torch.rand(weight.shape, generator=generator) < 0.4 for name, weight in weights.items()}
    drawn["2.weight"][:] = False
    return drawn


GROUPS = {"1.weight": 4}


def test_a_row_a_layer(net, masks):
    weights = dict(net.named_parameters())
    initial = {name: weight.detach() / 2 for name, weight in weights.items()}
    table = at.mask_table(masks, weights, "neurips23", initial=initial, groups=GROUPS)
    assert list(table.index) == list(masks)
    assert table.index.name == "layer"
    for name, mask in masks.items():
        record = mask_metrics(mask, weights[name], "neurips23", initial=initial[name], groups=GROUPS.get(name, 1))
        for measure in MEASURES:
            value = np.nan if record[measure] is None else record[measure]
            assert table.loc[name, measure] == pytest.approx(value, nan_ok=True)
        assert table.loc[name, "status"] == record["status"]
        assert table.loc[name, "reason"] == (record["reason"] or "")
        assert table.loc[name, "edges"] == record["edges"]
    assert table.loc["2.weight", "status"] == "collapsed"
    assert table.loc["0.weight", "degree_left"] == table.loc["0.weight", "edges"] / table.loc["0.weight", "n_left"]
    assert table.attrs["convention"] == "neurips23"
    assert table.attrs["proxies"]["narc"] == {
        "family": "mask",
        "direction": "minimize",
        "unit": "1",
        "formula": MEASURES["narc"][2],
    }
    assert set(table[list(MEASURES)].dtypes) == {np.dtype(float)}


def test_without_weights_and_without_the_baseline(masks):
    table = at.mask_table(masks, groups=GROUPS, baseline=False)
    assert table["weighted_gap"].isna().all()
    assert table["ramanujan_gap_excess"].isna().all()
    assert table["ramanujan_gap"].notna().tolist() == [True, True, False, True]


def test_aggregation_says_what_it_rests_on(masks):
    table = at.mask_table(masks, groups=GROUPS)
    defined = table["ramanujan_gap"].dropna()
    edges = table.loc[defined.index, "edges"]
    mean, heavy = at.aggregate_masks(table), at.aggregate_masks(table, "edges")
    worst, zero = at.aggregate_masks(table, "worst"), at.aggregate_masks(table, "worst", worst=0.0)
    gap = "ramanujan_gap"
    assert mean.loc[gap, "value"] == pytest.approx(defined.mean())
    assert heavy.loc[gap, "value"] == pytest.approx((defined * edges).sum() / edges.sum())
    assert worst.loc[gap, "value"] == pytest.approx((defined.sum() + defined.min()) / 4)
    assert zero.loc[gap, "value"] == pytest.approx(defined.sum() / 4)
    assert worst.loc["narc", "value"] == pytest.approx((table["narc"].sum() + table["narc"].max()) / 4)
    pinned = at.aggregate_masks(table, "worst", worst={gap: -9.0}, measures=[gap, "narc"])
    assert pinned["value"].tolist() == pytest.approx([(defined.sum() - 9) / 4, worst.loc["narc", "value"]])
    for result in (mean, heavy, worst, zero):
        assert result.loc[gap, ["share_defined", "layers"]].tolist() == [0.75, 4]
        assert (result["mean_layer_density"] == table["density"].mean()).all()
        assert result.loc[gap, "std"] == pytest.approx(defined.std())
        assert result.loc["weighted_gap", "share_defined"] == 0
        assert np.isnan(result.loc["weighted_gap", "value"]) == (result is not zero)
    assert list(mean.index) == list(MEASURES)


def test_a_network_without_an_edge():
    table = at.mask_table({"a": np.zeros((2, 3))}, convention="neurips23")
    for how in ("defined", "edges", "worst"):
        assert np.isnan(at.aggregate_masks(table, how).loc["ramanujan_gap", "value"])
    assert at.aggregate_masks(table).loc["imdb", "value"] == 0
    assert np.isnan(at.aggregate_masks(table, "edges").loc["imdb", "value"])


def test_the_figure_of_the_iclr_paper():
    """Per layer the normalised IMDB, where it has no value the whole graph's, and the mean over layers with either."""
    rng = np.random.default_rng(0)
    masks = {
        f"{n}": rng.random(shape) < p for n, (shape, p) in enumerate([((48, 64), 0.5), ((64, 96), 0.2), ((5, 5), 0.1)])
    }
    table = at.mask_table(masks, convention="iclr23")
    expected = np.mean([table.loc["0", "imdb_normalised"], table.loc["1", "ramanujan_gap_normalised"]])
    row = at.aggregate_masks(table, measures=["imdb_or_gap"]).loc["imdb_or_gap"]
    assert (row["value"], row["share_defined"]) == (pytest.approx(expected), pytest.approx(2 / 3))


def test_pairs(masks):
    table = at.mask_pairs(masks, groups=GROUPS)
    assert table["first"].tolist() == ["0.weight", "1.weight", "2.weight"]
    assert table["second"].tolist() == ["1.weight", "2.weight", "4.weight"]
    assert table["reason"].tolist()[1:] == ["the second layer has no edge left", "the first layer has no edge left"]
    assert table["throughput"].notna().tolist() == [True, False, False]
    skipping = at.mask_pairs(masks, [("0.weight", "2.weight"), ("2.weight", "0.weight")], "iclr23")
    assert skipping["throughput"].tolist()[0] == 0
    assert "cannot follow" in skipping["reason"].iloc[1]
    assert at.mask_pairs(masks, []).empty


def test_bad_input(masks):
    with pytest.raises(InputError, match=r"expected masks as a mapping name -> array, got list; give \{name: mask\}"):
        at.mask_table([np.eye(3)])
    with pytest.raises(InputError, match="no masks were given; give at least one layer's"):
        at.mask_table({})
    with pytest.raises(InputError, match=r"no weights for the mask '0\.weight'; give weights under the masks' names"):
        at.mask_table(masks, {})
    with pytest.raises(InputError, match=r"no initial weights for the mask 'a'"):
        at.mask_table({"a": np.eye(3)}, {"a": np.eye(3)}, initial={})
    with pytest.raises(
        InputError, match=r"no mask is named '1\.wight'; give names of masks\. Did you mean '1\.weight'\?"
    ):
        at.mask_table(masks, groups={"1.wight": 4})
    with pytest.raises(InputError, match=r"a: mask \(3, 3\) and weight \(2, 2\) differ in shape"):
        at.mask_table({"a": np.eye(3)}, {"a": np.eye(2)})
    with pytest.raises(InputError, match="a: expected a mask of shape"):
        at.mask_pairs({"a": np.ones(3), "b": np.eye(3)})
    with pytest.raises(InputError, match=r"expected pairs of layers \(first, second\); give two names each"):
        at.mask_pairs(masks, [("0.weight",)])
    table = at.mask_table({"a": np.eye(3)})
    with pytest.raises(InputError, match="how='mean' is not one of defined, edges, worst; give one of them"):
        at.aggregate_masks(table, "mean")
    with pytest.raises(InputError, match=r'worst=0 is read with how="worst" only; leave it out'):
        at.aggregate_masks(table, worst=0)
    with pytest.raises(
        InputError, match=r"expected a table with a row a layer; make one with automl_theory\.mask_table"
    ):
        at.aggregate_masks(pd.DataFrame())
    with pytest.raises(InputError, match="the table has no measure 'gap'; its measures are the keys of"):
        at.aggregate_masks(table, measures=["gap"])


def test_a_table_keeps_why_a_measure_is_nan() -> None:
    table = at.mask_table({"a": np.eye(4, dtype=bool), "b": np.ones((3, 2), dtype=bool)})
    reasons = table.attrs["reasons"]
    for layer in table.index:
        undefined = set(table.columns[table.loc[layer].isna()])
        assert undefined <= set(reasons[layer])
    assert reasons["b"]["weighted_gap"] == "no weights were given"
