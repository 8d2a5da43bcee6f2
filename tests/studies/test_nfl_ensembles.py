"""Table 1's networks and Figure 7's sweep: graphs, masks, and a run from its parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from automl_theory.errors import InputError
from automl_theory.networks.initialise import draw
from automl_theory.networks.mlp_stack import draw_stack, edge_name
from automl_theory.spaces.mlp_dag_stacks import union
from automl_theory.studies.no_free_lunch.ensembles import COLUMNS, DEEP, SINGLE, WIDE, masks, train_extras
from automl_theory.studies.no_free_lunch.setup import Setup
from automl_theory.studies.no_free_lunch.train import parts, recipe, train_all
from automl_theory.training import train

M = 12
TINY = Setup(
    codes=(WIDE, SINGLE, DEEP), train_samples=150, width=M, epochs=4, batch_size=30, seeds=(0, 5), workers=1,
    pruning=(0.0, 0.9),
)  # fmt: skip
GRAPH = union((WIDE, DEEP))


@pytest.fixture(scope="module")
def extras(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return train_extras(TINY, tmp_path_factory.mktemp("extras"))


class Slow(torch.nn.Module):
    """The ensemble edge by edge, with its pruned weights, as a plain module."""

    def __init__(self, kept: list[torch.Tensor], seed: int) -> None:
        super().__init__()

        def weight(name: str, *shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.from_numpy(draw(name, shape, "he_fan_in", seed)))

        self.stem, self.readout = weight("_stem.layer.0.weight", M, 64), weight("_readout.weight", 10, M)
        self.edges = torch.nn.ParameterList([weight(edge_name(edge), M, M) for edge in GRAPH.edges])
        self.kept = kept

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(x @ self.stem.T)
        e01, e02, e12, e12_deep, e03, e13, e23 = (w * mask for w, mask in zip(self.edges, self.kept, strict=True))
        one = first + torch.relu(first @ e01.T)
        two = torch.relu(first @ e02.T) + torch.relu(one @ e12.T) + torch.relu(one @ e12_deep.T)
        three = torch.relu(first @ e03.T) + torch.relu(one @ e13.T) + two + torch.relu(two @ e23.T)
        return three @ self.readout.T


def test_the_table_holds_table_1_and_the_sweep(extras: pd.DataFrame) -> None:
    assert tuple(extras.columns) == COLUMNS
    single = extras[extras["network"] != "ensemble"]
    assert [*zip(single["network"], single["arch"], single["seed"], strict=True)] == [
        (network, arch, seed)
        for network, arch in (("single", SINGLE), ("wide", WIDE), ("deep", DEEP))
        for seed in (0, 5)
    ]
    assert single[["wide_pruning", "deep_pruning"]].isna().all(axis=None)
    joined = extras[extras["network"] == "ensemble"]
    assert {*joined["arch"]} == {f"{WIDE}+{DEEP}"}
    assert [*zip(joined["wide_pruning"], joined["deep_pruning"], joined["seed"], strict=True)] == [
        (*ratios, seed) for ratios in ((0.0, 0.0), (0.2, 0.5), (0.0, 0.9), (0.9, 0.0), (0.9, 0.9)) for seed in (0, 5)
    ]
    assert (extras["status"] == "ok").all()
    np.testing.assert_allclose(extras["gap"], extras["test_loss"] - extras["train_loss"])


def test_parameters_are_the_weights_that_are_left(extras: pd.DataFrame) -> None:
    outer, edge = 64 * M + 10 * M, M * M
    expected = {"single": 5, "wide": 4, "deep": 3}
    for network, edges in expected.items():
        assert {*extras.loc[extras["network"] == network, "parameters"]} == {outer + edges * edge}
    for _, row in extras[extras["network"] == "ensemble"].iterrows():
        left = 4 * (edge - round(row["wide_pruning"] * edge)) + 3 * (edge - round(row["deep_pruning"] * edge))
        assert row["parameters"] == outer + left


def test_single_networks_are_those_of_the_main_table(extras: pd.DataFrame, tmp_path: Path) -> None:
    table = train_all(TINY, tmp_path)[0].set_index(["arch", "seed"])
    single = extras[extras["network"] != "ensemble"].set_index(["arch", "seed"])
    names = ["train_loss", "test_loss", "halfway_loss", "epochs_to_50"]
    np.testing.assert_allclose(single[names], table.loc[single.index, names], rtol=1e-4)


@pytest.mark.parametrize(("ratios", "seed"), [((0.0, 0.0), 5), ((0.2, 0.5), 0), ((0.9, 0.0), 5), ((0.9, 0.9), 0)])
def test_an_ensemble_is_the_network_written_out(extras: pd.DataFrame, ratios: tuple[float, float], seed: int) -> None:
    kept = [mask[0] for mask in masks(GRAPH, [(ratios, seed)], M) if mask is not None]
    net = Slow(kept, seed)
    (first, second), _ = parts("digits", 150)
    one = train(net, first, second, recipe(TINY), seed)
    found = extras[
        (extras["wide_pruning"] == ratios[0]) & (extras["deep_pruning"] == ratios[1]) & (extras["seed"] == seed)
    ].iloc[0]
    assert found["train_loss"] == pytest.approx(one.train_loss, rel=1e-4)
    assert found["test_loss"] == pytest.approx(one.test_loss, rel=1e-4)


def test_masks_take_the_stated_share_by_edge_and_seed() -> None:
    found = masks(GRAPH, [((0.2, 0.5), 0), ((0.2, 0.5), 1), ((0.5, 0.5), 0)], 10)
    assert found[0] is None
    for mask, owner in zip(found[1:], GRAPH.owners, strict=True):
        assert mask is not None
        zeros = (mask == 0).sum((1, 2)).tolist()
        assert zeros == ([20, 20, 50] if owner == 0 else [50, 50, 50])
        assert ((mask == 0) | (mask == 1)).all()
        assert not torch.equal(mask[0], mask[1])
        assert (mask[2] <= mask[0]).all(), "what 20 % prune, 50 % prune too"
    flat = [mask[0].flatten().tolist() for mask, owner in zip(found[1:], GRAPH.owners, strict=True)
            if mask is not None and owner == 0]  # fmt: skip
    assert len({*map(tuple, flat)}) == len(flat)


def test_the_deep_cells_parallel_edge_differs_from_the_wides() -> None:
    networks = draw_stack(GRAPH.reads, [(GRAPH.edges, 0)], 64, M, 10)
    wide, deep = GRAPH.edges.index((1, 2)) + 1, GRAPH.edges.index((1, 2, 1)) + 1
    assert not torch.equal(networks.weights[wide], networks.weights[deep])


def test_another_sweep_in_the_folder_is_refused(tmp_path: Path) -> None:
    setup = replace(TINY, epochs=1, seeds=(0,), pruning=())
    assert len(train_extras(setup, tmp_path)) == 5
    with pytest.raises(InputError, match="of one with another pruning; give another folder"):
        train_extras(replace(setup, pruning=(0.0,)), tmp_path)
    with pytest.raises(InputError, match=r"expected shares of pruned weights in \[0, 1\), got 1.0; give such as"):
        replace(setup, pruning=(1.0,))
