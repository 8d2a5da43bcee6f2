"""The values of the no-free-lunch authors' own code on the recipe that comes with them, for whatever cells it holds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference.mlp_dag import depths, linear_edges, recipe_basis, recipe_curve, recipe_inputs, recipe_weight

import automl_theory as at
from automl_theory.networks.mlp import MlpDagNetwork
from automl_theory.probing.curves import velocity, velocity_and_acceleration
from automl_theory.studies.no_free_lunch.network import network_measures

RTOL = 1e-9


@cache
def oracle(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def network(code: str, recipe: dict[str, Any]) -> MlpDagNetwork:
    """The network of a code of any number of nodes with the recipe's weights, each drawn from its parameter's name."""
    space = at.space("mlp_dag", nodes=code.count("_") + 1)
    assert code in space
    net = MlpDagNetwork(space.parse(code), recipe["dim"], recipe["width"], recipe["classes"]).double()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.from_numpy(recipe_weight(name, tuple(parameter.shape))))
    return net


def measure(code: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Everything the oracle has of a cell, by the study's own function."""
    found = network_measures(
        network(code, recipe),
        recipe_inputs(recipe["batch"], recipe["dim"]),
        basis=recipe_basis(recipe["dim"]),
        angles=np.linspace(0, 2 * np.pi, 64),
    )
    return {
        "depth": found.depth,
        "P": found.paths,
        "n_linear": found.live_linear_edges,
        "nngp_eig_ascending": found.nngp.eigenvalues,
        "ntk_eig_ascending": found.ntk.eigenvalues,
        "ntk_lmin": found.ntk.lambda_min,
        "ntk_lambda_at_90pct_cumsum_as_plotted": found.ntk.cumulative_trace_eigenvalue(),
        "length_mean": found.curve_speed.mean(),
        "curvature_sum64": found.curve_curvature.sum(),
        "logits_row0": found.logits[0],
    }


def slow_measure(code: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """The same by the toolkit's kernel and curve of any module."""
    net = network(code, recipe)
    x = torch.from_numpy(recipe_inputs(recipe["batch"], recipe["dim"]))
    with torch.no_grad():
        features, logits = net.nodes(x)[-1], net(x)
    ntk = np.linalg.eigvalsh(at.empirical_ntk(net, x, output="sum").numpy())
    shares = np.cumsum(ntk[::-1]) / ntk.sum()
    curve = recipe_curve(recipe["dim"], 64)
    length = float(velocity(net, *curve[:2]).norm(dim=1).mean())
    first, second = velocity_and_acceleration(net, *curve)
    squared, across = (first**2).sum(1), (first * second).sum(1)
    bend = (squared * (second**2).sum(1) - across**2).clamp_min(0).sqrt() / squared**1.5
    return {
        "depth": sum(depths(code)) / len(depths(code)),
        "P": len(depths(code)),
        "n_linear": len(linear_edges(code)),
        "nngp_eig_ascending": np.linalg.eigvalsh((features @ features.T).numpy()),
        "ntk_eig_ascending": ntk,
        "ntk_lmin": ntk[0],
        "ntk_lambda_at_90pct_cumsum_as_plotted": ntk[::-1][int(np.searchsorted(shares, 0.9)) - 1],
        "length_mean": length,
        "curvature_sum64": float(bend.sum()),
        "logits_row0": logits[0].numpy(),
    }


def test_every_cell_of_the_oracle(shared: Path) -> None:
    path = shared / "oracle" / "nfl_dags.json"
    if not path.is_file():
        pytest.skip(f"the reference values {path} are absent")
    found = oracle(path)
    assert len(found["dags"]) >= 5
    for code, expected in found["dags"].items():
        for way in (measure, slow_measure):
            ours = way(code, found["recipe"])
            for name, value in expected.items():
                np.testing.assert_allclose(ours[name], value, rtol=RTOL, err_msg=f"{code} {name} {way.__name__}")


@pytest.mark.parametrize("code", ["2", "1_22", "0_20_101", "1_11_111", "2_12_112_0211", "2_02_002_0002_00002"])
def test_other_cells_of_the_recipe_by_both_ways(code: str) -> None:
    """No file is needed for these: dead edges, skips alone, one node and five."""
    recipe = {"dim": 192, "width": 64, "classes": 10, "batch": 32}
    ours, slow = measure(code, recipe), slow_measure(code, recipe)
    for name, value in slow.items():
        np.testing.assert_allclose(ours[name], value, rtol=RTOL, err_msg=name)


def test_graph_columns_agree_with_the_oracle(shared: Path) -> None:
    path = shared / "oracle" / "nfl_dags.json"
    if not path.is_file():
        pytest.skip(f"the reference values {path} are absent")
    dags = oracle(path)["dags"]
    table = at.graph_metrics(at.space("mlp_dag"), [code for code in dags if code.count("_") == 2])
    for code, row in table.iterrows():
        assert row["paths"] == dags[code]["P"]
        assert row["effective_depth"] == pytest.approx(dags[code]["depth"], rel=1e-15)
        assert row["parameterised_edges"] == dags[code]["n_linear"]


@pytest.mark.parametrize("code", ["2_02_002", "1_22_221"])
def test_the_named_seed_draws_the_recipe_in_single_precision(code: str) -> None:
    """`init="he_fan_in"` under seed 2023 is the recipe, rounded to float32."""
    recipe = {"dim": 192, "width": 64, "classes": 10}
    net = at.space("mlp_dag").build(code, width=64, in_channels=3, resolution=8, seed=2023)
    ours, exact = dict(net.named_parameters()), dict(network(code, recipe).named_parameters())
    assert ours.keys() == exact.keys()
    for name, parameter in exact.items():
        assert torch.equal(ours[name], parameter.float())
