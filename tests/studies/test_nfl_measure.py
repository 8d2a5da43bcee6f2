"""The tables of measured networks, closed forms and graphs, against the toolkit's ways for one network or cell."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

import automl_theory as at
from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.infinite_width import dag_kernels, nngp_bound, ntk_bound, pair_bound, risk_term, stem_kernel
from automl_theory.linalg import spectrum
from automl_theory.probing.curves import equidistant, random_basis, unit_circle
from automl_theory.studies.no_free_lunch import measure
from automl_theory.studies.no_free_lunch.caveats import NAMED, warnings_measured
from automl_theory.studies.no_free_lunch.network import network_measures, stack_of

SPACE = at.space("mlp_dag")
LIVE = SPACE.live()
CODES = ["2_02_002", "1_11_121", "2_22_222", "1_22_221", "2_02_012", "0_12_102", "2_12_102"]
RAW = np.random.default_rng(0).standard_normal((9, 3, 2, 2))
UNIT = RAW.reshape(9, 12) / np.linalg.norm(RAW.reshape(9, 12), axis=1, keepdims=True)
LABELS = np.arange(9) % 3
SETTINGS = {"seeds": (0, 3), "width": 24, "points": 16, "classes": 4}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return measure.measured(CODES, RAW, **SETTINGS)


def test_a_row_for_each_code_and_seed(table: pd.DataFrame) -> None:
    assert list(table.columns) == ["arch", "seed", *measure.MEASURED]
    assert list(zip(table["arch"], table["seed"], strict=True)) == [(c, s) for c in CODES for s in (0, 3)]
    assert table["status"].eq("ok").all()
    assert table.notna().all().all()


@pytest.mark.parametrize("code", CODES)
def test_every_number_is_that_of_the_built_network(table: pd.DataFrame, code: str) -> None:
    row = table[(table["arch"] == code) & (table["seed"] == 3)].iloc[0]
    net, x = SPACE.build(code, 24, 4, 12, 1, seed=3).double(), torch.from_numpy(UNIT)
    ntk = spectrum(at.empirical_ntk(net, x, output="sum").numpy())
    features = net.nodes(x)[-1].detach()
    nngp = spectrum((features @ features.T / 24).numpy())
    assert row["ntk_trace"] == pytest.approx(ntk.eigenvalues.sum(), rel=1e-10)
    for name, found in (("ntk", ntk), ("nngp", nngp)):
        assert row[f"{name}_lambda_min"] == pytest.approx(found.lambda_min, rel=1e-8)
        assert row[f"{name}_condition_number"] == pytest.approx(found.condition_number, rel=1e-8)
        assert row[f"{name}_lambda_90"] == pytest.approx(found.cumulative_trace_eigenvalue(), rel=1e-9)
    own = network_measures(net, UNIT, basis=random_basis(12, 3), angles=equidistant(16))
    assert row["curvature"] == pytest.approx(own.curve_curvature.mean(), rel=1e-10)
    assert row["curve_length"] == pytest.approx(2 * math.pi * own.curve_speed.mean(), rel=1e-10)
    assert row["turning_angle"] == pytest.approx(own.turning_angle, rel=1e-10)
    assert row["cell_ntk_lambda_min"] == pytest.approx(own.cell_ntk.lambda_min, rel=1e-9)
    assert row["stem_share"] == pytest.approx(own.stem_share, rel=1e-10)


def test_the_proxies_of_any_module_agree(table: pd.DataFrame) -> None:
    names = ["ntk_lambda_min", "ntk_condition_number", "ntk_trace", "nngp_lambda_min"]
    for code in CODES[:3]:
        row = table[(table["arch"] == code) & (table["seed"] == 0)].iloc[0]
        net = SPACE.build(code, 24, 4, 12, 1, seed=0).double()
        found = at.score(net, torch.from_numpy(UNIT), proxies=names)
        for name in names:
            assert found[name] == pytest.approx(row[name], rel=1e-8), (code, name)


def test_values_depend_on_neither_order_company_nor_workers(table: pd.DataFrame) -> None:
    other = measure.measured(CODES[::-1][:4], RAW, **{**SETTINGS, "seeds": (3,)})
    joined = other.merge(table, on=["arch", "seed"], suffixes=("", "_all"))
    assert len(joined) == 4
    for name in measure.MEASURED[:-1]:
        np.testing.assert_allclose(joined[name], joined[f"{name}_all"], rtol=1e-9)
    calls: list[tuple[int, int, int]] = []
    twice = measure.measured(
        CODES, RAW, **SETTINGS, workers=2, progress=lambda *counts: calls.append(counts)
    )  # fmt: skip
    pd.testing.assert_frame_equal(twice, table, rtol=0, atol=0)
    assert calls[-1] == (len(calls), len(calls), 0)


def test_codes_with_the_same_live_edges_are_one_network(table: pd.DataFrame) -> None:
    dead = measure.measured(["0_20_220", "0_00_200"], RAW, **SETTINGS).drop(columns="arch")
    pd.testing.assert_frame_equal(dead[:2], dead[2:].reset_index(drop=True))


def test_too_many_inputs_for_the_neurons_are_said_to_be() -> None:
    found = measure.measured(["2_02_002"], RAW, seeds=(0,), width=5, points=3)
    assert found["status"].tolist() == ["rank_deficient"]
    assert found["nngp_lambda_min"].tolist() == [0.0]
    assert found["nngp_condition_number"].tolist() == [math.inf]


def test_closed_forms_are_those_of_each_cell() -> None:
    table = measure.exact(CODES, RAW, width=48, y=LABELS).set_index("arch")
    x = UNIT * math.sqrt(12)
    k0, targets = stem_kernel(x), np.eye(3)[LABELS]
    for code in CODES:
        kernels, row = dag_kernels(code, x), table.loc[code]
        assert row["nngp_lambda_min"] == pytest.approx(np.linalg.eigvalsh(kernels.nngp)[0], rel=1e-9)
        assert row["ntk_lambda_min"] == pytest.approx(np.linalg.eigvalsh(kernels.ntk)[0], rel=1e-9)
        values = np.linalg.eigvalsh(kernels.nngp)
        assert row["nngp_condition_number"] == pytest.approx(values[-1] / values[0], rel=1e-9)
        assert row["ntk_condition_number"] == pytest.approx(np.linalg.cond(kernels.ntk), rel=1e-8)
        full = kernels.at_width(48)
        assert row["full_ntk_lambda_min"] == pytest.approx(np.linalg.eigvalsh(full)[0], rel=1e-9)
        assert row["stem_share"] == pytest.approx(np.trace(kernels.stem) / np.trace(full), rel=1e-12)
        assert row["nngp_bound"] == pytest.approx(nngp_bound(code, k0), rel=1e-12)
        assert row["ntk_bound"] == pytest.approx(ntk_bound(code, k0), rel=1e-12)
        assert row["pair_bound"] == pytest.approx(pair_bound(kernels.nngp), rel=1e-12)
        assert row["risk_term"] == pytest.approx(risk_term(code, kernels.ntk, targets), rel=1e-9)
    assert measure.exact(CODES[:1], RAW, width=48)["risk_term"].isna().all()
    assert measure.exact(CODES[:1], np.vstack([UNIT, UNIT]), width=48)["status"].tolist() == ["rank_deficient"]


def test_wide_networks_approach_the_closed_forms_in_the_scale_said() -> None:
    """NNGP times d, NTK of the sum times d / classes."""
    wide = measure.measured(["2_21_212"], RAW, seeds=range(6), width=256, points=3).mean(numeric_only=True)
    closed = measure.exact(["2_21_212"], RAW, width=256).iloc[0]
    assert wide["nngp_lambda_min"] * 12 == pytest.approx(closed["nngp_lambda_min"], rel=0.25)
    assert wide["ntk_lambda_min"] * 12 / 10 == pytest.approx(closed["full_ntk_lambda_min"], rel=0.25)
    assert wide["stem_share"] == pytest.approx(closed["stem_share"], rel=0.1)


def test_graphs() -> None:
    table = measure.graph(LIVE).set_index("arch")
    assert len(table) == 541
    assert table["group"].nunique() == len(table.groupby(["depth", "paths"])) == 23
    assert table["canonical"].nunique() == 94
    columns = ["depth", "paths", "total_depth", "linear_edges", "live_linear_edges", "group"]
    assert table.loc["2_20_111", columns].tolist() == [pytest.approx(2 / 3), 3, 2, 2, 2, "(0.667, 3)"]
    assert table.loc["0_20_220", columns].tolist() == [1.0, 1, 1, 3, 1, "(1, 1)"]
    metrics = at.graph_metrics(SPACE, LIVE)
    np.testing.assert_allclose(table["depth"], metrics.loc[table.index, "effective_depth"])
    assert (table["paths"] == metrics.loc[table.index, "paths"]).all()
    assert (table["live_linear_edges"] == metrics.loc[table.index, "parameterised_edges"]).all()
    assert (table["linear_edges"] == [code.count("2") for code in table.index]).all()
    assert (table["linear_edges"] > table["live_linear_edges"]).any()


def test_the_cumulative_trace_eigenvalue() -> None:
    def of(*values: float) -> float:
        return spectrum(np.diag(values)).cumulative_trace_eigenvalue()

    assert of(50, 30, 9, 8, 2, 1) == 9, "50 + 30 + 9 = 89 of 100, the next reaches 97"
    assert of(50, 39, 8, 2, 1) == 39
    assert of(95, 4, 1) == 95, "the largest where it alone has the share"
    assert spectrum(np.diag([50.0, 30, 20])).cumulative_trace_eigenvalue(0.4) == 50
    assert of(0, 0) == 0
    assert math.isnan(spectrum(np.full((2, 2), np.nan)).cumulative_trace_eigenvalue())


def test_the_measures_of_one_network_with_any_weights() -> None:
    space = at.space("mlp_dag", nodes=4)
    net = space.build("2_12_112_0211", 8, 3, 12, 1, seed=1, scale="unit")
    found = network_measures(net, RAW)
    plain = network_measures(space.build("2_12_112_0211", 8, 3, 12, 1, seed=1), UNIT)
    np.testing.assert_allclose(found.ntk.eigenvalues, plain.ntk.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(found.curve_speed, plain.curve_speed, rtol=1e-9)
    with torch.no_grad():
        np.testing.assert_allclose(found.logits, net.double()(torch.from_numpy(RAW)), rtol=1e-9)
    scaled = network_measures(space.build("2_12_112_0211", 8, 3, 12, 1, seed=1, scale="dimension"), 7 * RAW)
    np.testing.assert_allclose(scaled.nngp.eigenvalues[-3:], 12 * plain.nngp.eigenvalues[-3:], rtol=1e-9)
    np.testing.assert_allclose(scaled.curve_curvature, plain.curve_curvature / math.sqrt(12), rtol=1e-9)
    with torch.no_grad():
        net._readout.weight.mul_(3)
    np.testing.assert_allclose(network_measures(net, RAW).curve_curvature, found.curve_curvature / 3, rtol=1e-9)
    assert len(found.curve_speed) == 128
    x, v = unit_circle(random_basis(12, 0), equidistant(128))
    assert x.shape == v.shape == (128, 12)


def test_a_disconnected_network_has_statuses_and_no_numbers_that_rank() -> None:
    found = network_measures(SPACE.build("2_00_000", 8, 3, 12, 1), UNIT)
    assert (found.paths, found.linear_edges, found.live_linear_edges) == (0, 1, 0)
    assert math.isnan(found.depth)
    assert math.isnan(found.stem_share)
    assert found.ntk.status == found.nngp.status == "disconnected"
    assert np.isnan(found.curve_curvature).all()
    assert found.turning_angle == 0


def test_the_three_warnings(table: pd.DataFrame) -> None:
    exact = measure.exact(CODES, RAW, width=24)
    found = warnings_measured(CODES, table, exact, dimension=12, width=24, seeds=(0, 3), points=16)
    assert list(found.columns) == ["warning", "quantity", "value", "expected"]
    assert set(found["warning"]) == {"curvature", "stem", "condition"}
    value, expected = (found.set_index("quantity")[name] for name in ("value", "expected"))
    assert value["κ divided by κ with the readout times 3"] == pytest.approx(3, rel=1e-12)
    assert value["largest relative change of the turning angle with it"] < 1e-4
    assert expected["their ratio in 2_02_002"] == 4, "four layers lose √2 each"
    assert expected["their ratio in 1_11_121"] == pytest.approx(math.sqrt(22 / 10))
    for code in NAMED:
        ratio = value[f"mean κ of {code}"] / value[f"mean κ of {code} without any ReLU"]
        assert value[f"their ratio in {code}"] == pytest.approx(ratio)
        assert 0.5 < ratio / expected[f"their ratio in {code}"] < 2
    shares = value[value.index.str.contains("12288")]
    assert len(shares) == 4
    assert shares.between(0.9, 0.98).all()
    row = "its share in this study (d = 12, width 24): measured, mean"
    assert value[row] == pytest.approx(table["stem_share"].mean())
    assert expected[row] == pytest.approx(exact["stem_share"].mean())
    mean = table.groupby("arch")[["curvature", "curve_length"]].mean()
    tau = mean["curvature"].corr(mean["curve_length"], method="kendall")
    assert value["τ of κ and curve length"] == pytest.approx(tau)
    assert found["warning"].eq("condition").sum() == 16


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: measure.measured(["2_00_000"], RAW, **SETTINGS), "'2_00_000' is disconnected: .*leave it out"),
        (lambda: measure.measured(CODES, RAW, seeds=(0,), width=0), "width to be an integer of at least 1, got 0"),
        (lambda: measure.measured(CODES, RAW, seeds=(0,), width=8, points=2), "points .* at least 3, got 2"),
        (lambda: measure.measured(CODES, RAW[:1], **SETTINGS), "n of at least 2, got \\(1, 3, 2, 2\\); stack them"),
        (lambda: measure.measured(CODES, 0 * RAW, **SETTINGS), "an input of norm 0, which has no direction; leave"),
        (lambda: measure.measured(CODES, RAW * np.nan, **SETTINGS), "inputs hold NaN"),
        (lambda: measure.measured(CODES, np.ones((3, 1)), **SETTINGS), "a circle needs inputs of at least two numbers"),
        (lambda: measure.exact(CODES, RAW, width=True), "width to be an integer of at least 1, got True"),
        (lambda: measure.exact(CODES, RAW, width=4, y=LABELS[:2]), r"labels y of shape \(9,\), got \(2,\); give each"),
        (lambda: measure.graph(["2_00_000"]), "'2_00_000' is disconnected"),
        (lambda: network_measures(torch.nn.Linear(2, 2), UNIT), "expected an MLP cell, got Linear; build one with"),
        (lambda: stack_of(SPACE.build("2_02_002", 8, bias=True)), "has biases, .*build it with bias=False"),
        (lambda: network_measures(SPACE.build("2_02_002", 8), UNIT), r"of 3072 numbers each, got \(9, 12\); resize"),
        (
            lambda: network_measures(SPACE.build("2_02_002", 8, 3, 12, 1), UNIT, basis=np.eye(3)),
            r"a basis of shape \(12, 2\), got \(3, 3\); give two directions",
        ),
    ],
)
def test_bad_arguments_are_explained(call, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        call()


def test_a_failing_network_stops_the_table() -> None:
    with pytest.raises(AutoMLTheoryError, match=r"measuring \(\(0, 1\),.*failed"):
        measure.measured(["2_02_002"], RAW, seeds=(-1,), width=8)
