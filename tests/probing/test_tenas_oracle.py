"""Parity with values that the authors' own TE-NAS and TEG-NAS code produced (folder of real data; skips without it)."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from automl_theory import linalg
from automl_theory.networks.initialise import initialise
from automl_theory.probing.regions import count_regions
from automl_theory.probing.signals import Signals
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.proxies import get_proxy
from automl_theory.spaces import space

ARCHS = ("best_like", "resnet_like", "all_skip", "all_none", "dag2_par", "dead_branch")
SIZES = {"C16_N1": 16, "C3_N1": 3}


@pytest.fixture(scope="module")
def oracle(shared):
    return json.loads((shared / "oracle" / "tenas.json").read_text())


def network(oracle, arch: str, channels: int, dtype: torch.dtype) -> torch.nn.Module:
    net = space("nas_bench_201").build(oracle["archs"][arch]["arch_str"], channels, 1)
    return initialise(net, "he_fan_in", seed=2023).to(dtype)


def inputs(seed: int, dtype: torch.dtype) -> torch.Tensor:
    generator = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(generator.standard_normal((16, 3, 32, 32)).astype(np.float32)).to(dtype)


def one_hot(factor: int) -> np.ndarray:
    return np.eye(10)[(factor * np.arange(16)) % 10]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("size", SIZES)
def test_spectra_and_condition_numbers_in_float64(oracle, arch, size):
    expected = oracle["archs"][arch][size]
    net, x = network(oracle, arch, SIZES[size], torch.float64), inputs(1234, torch.float64)
    for bn, mode in (("batch", "train"), ("running", "eval")):
        kernel = empirical_ntk(net, x, bn=bn).numpy()
        spectrum = linalg.spectrum(kernel)
        if arch == "all_none":
            assert not kernel.any()
            assert (spectrum.status, spectrum.condition_number, spectrum.lambda_min) == ("disconnected", np.inf, 0.0)
            continue
        eigenvalues = expected[f"{mode}_f64"]["eig_ascending"]
        np.testing.assert_allclose(spectrum.eigenvalues, eigenvalues, rtol=1e-6)
        assert spectrum.condition_number == pytest.approx(expected[f"{mode}_f64"]["tenas_cond"], rel=1e-6)
        assert spectrum.status == "ok"
        if bn == "batch":
            largest = np.max(expected["ntk_matrix_train_f64"])
            np.testing.assert_allclose(kernel, expected["ntk_matrix_train_f64"], atol=1e-9 * largest)
    assert sum(p.numel() for p in net.parameters()) == expected["n_params_total"]


@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch != "all_none"])
@pytest.mark.parametrize("size", SIZES)
def test_condition_numbers_in_float32(oracle, arch, size):
    net, x = network(oracle, arch, SIZES[size], torch.float32), inputs(1234, torch.float32)
    for bn, mode in (("batch", "train"), ("running", "eval")) if size == "C3_N1" else (("running", "eval"),):
        kernel = empirical_ntk(net, x, bn=bn).numpy()
        value = linalg.spectrum(kernel, linalg.EPS32).condition_number
        assert value == pytest.approx(oracle["archs"][arch][size][f"{mode}_f32"]["tenas_cond"], rel=1e-3)
        assert value == pytest.approx(oracle["archs"][arch][size][f"{mode}_f64"]["tenas_cond"], rel=1e-3)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("size", SIZES)
def test_kernel_regression_error_of_teg_nas(oracle, arch, size):
    net = network(oracle, arch, SIZES[size], torch.float64)
    x, held = inputs(1234, torch.float64), inputs(5678, torch.float64)
    choice = {"bn": "batch", "parameters": "cell"}
    k, cross = empirical_ntk(net, x, **choice).numpy(), empirical_ntk(net, held, x, **choice).numpy()
    error, status = linalg.kernel_regression_error(k, cross, one_hot(1), one_hot(3), centre="own")
    if arch == "all_none":
        assert status == "disconnected"
        return
    assert status == "ok"
    assert error == pytest.approx(oracle["archs"][arch][size]["tegnas_f64"]["mse"], rel=1e-5)


def test_logits_of_a_batch_mode_pass(oracle):
    for arch in ("best_like", "dead_branch"):
        signals = Signals(network(oracle, arch, 3, torch.float64), inputs(1234, torch.float64), bn="batch", needs=())
        np.testing.assert_allclose(
            signals.logits[0].numpy(), oracle["archs"][arch]["C3_N1"]["logits_train_f64_row0"], rtol=1e-9
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_duplicated_inputs_are_rank_deficient_never_negative(oracle, dtype):
    x = inputs(1234, dtype)
    x = torch.cat([x, x[:4]])
    for arch, channels in (("best_like", 3), ("all_skip", 3), ("dag2_par", 16)):
        for bn in ("frozen", "running") if channels == 16 else ("frozen", "batch", "running"):
            signals = Signals(network(oracle, arch, channels, dtype), x, bn=bn, needs={"kernel", "codes", "features"})
            assert get_proxy("ntk_condition_number")(signals) == (np.inf, "rank_deficient"), (arch, bn)
            assert get_proxy("ntk_lambda_min")(signals) == (0.0, "rank_deficient")
            assert get_proxy("ntk_rank")(signals) == (16.0, "rank_deficient")
            assert get_proxy("ntk_lambda_min_normalised")(signals) == (0.0, "rank_deficient")
            assert get_proxy("nngp_lambda_min")(signals) == (0.0, "rank_deficient")
            assert get_proxy("naswot")(signals) == (-np.inf, "rank_deficient")
            assert get_proxy("linear_regions")(signals) == (16.0, "ok")


def test_the_all_none_cell_is_disconnected(oracle):
    arch = oracle["archs"]["all_none"]["arch_str"]
    net = network(oracle, "all_none", 3, torch.float32)
    for graph in (None, space("nas_bench_201").graph(arch)):
        for biases in (False, True):
            signals = Signals(net, inputs(1234, torch.float32), graph=graph, biases=biases)
            assert signals.disconnected
            for name in ("ntk_lambda_min", "ntk_condition_number", "naswot", "ntk_trace"):
                value, status = get_proxy(name)(signals)
                assert np.isnan(value)
                assert status == "disconnected"


@pytest.mark.parametrize("arch", ARCHS)
def test_region_counts_of_the_thin_network(oracle, arch):
    """The oracle's weights are named after the search network, where an edge's operation has its place in a list."""
    architecture = oracle["archs"][arch]["arch_str"]
    operations = space("nas_bench_201").parse(architecture)
    edges = ("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2")
    place = {"none": 0, "skip_connect": 1, "nor_conv_1x1": 2, "nor_conv_3x3": 3, "avg_pool_3x3": 4}

    def rename(name: str) -> str:
        cell, _, rest = name.partition(".layers.")
        edge, _, tail = rest.partition(".")
        return f"{cell}.edges.{edges[int(edge)]}.{place[operations[int(edge)]]}.{tail}" if rest else name

    for key, channels, stem, seed, shape in (
        ("regions_C1_depth1", 1, False, 42, (3, 1000, 1, 3, 3)),
        ("regions_C3_stem_3x8x8", 3, True, 43, (2, 250, 3, 8, 8)),
    ):
        net = space("nas_bench_201").build_thin(architecture, channels, 3, stem=stem)
        initialise(net, "he_fan_in", seed=2023, rename=rename)
        generator = np.random.Generator(np.random.PCG64(seed))
        batches = list(torch.from_numpy(generator.standard_normal(shape).astype(np.float32)))
        assert count_regions(net, batches) == oracle["archs"][arch][key]["exact_unique"]
