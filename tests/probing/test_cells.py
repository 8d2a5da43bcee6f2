"""NAS-Bench-201 networks: the tangent kernel in every mode, codes and features against the slow references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import measures, ntk

from automl_theory.probing.signals import Signals
from automl_theory.probing.tangent_kernel import OUTPUTS, empirical_ntk, measured_kernel
from automl_theory.spaces import space

ARCHS = {
    "all": "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "chain": "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|",
    "dead": "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|",
    "skips": "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
}


def network(arch: str, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    net = space("nas_bench_201").build(ARCHS[arch], 4, 1, 3, 3, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if tensor.ndim == 1:
                tensor.add_(0.4 * torch.rand(tensor.shape, generator=generator))
            assert tensor.ndim or name.endswith("num_batches_tracked")
    return net.to(dtype)


def images(n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(7)).to(dtype)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("bn", ["frozen", "batch", "running"])
def test_kernel_in_every_mode(arch, bn):
    net, x = network(arch), images(7)
    x, x2 = x[:4], x[4:]
    single, pairs = network(arch, torch.float32), (images(7, torch.float32)[:4], images(7, torch.float32)[4:])
    for biases in (False, True):
        a, b = ntk.jacobian(net, x, bn=bn, biases=biases), ntk.jacobian(net, x2, bn=bn, biases=biases)
        for output in OUTPUTS:
            choice = {"bn": bn, "output": output, "biases": biases}
            for batches, mates, expected in (
                ((x,), pairs[:1], ntk.contract(a, a, output)),
                ((x, x2), pairs, ntk.contract(a, b, output)),
            ):
                kernel, how = measured_kernel(net, *batches, **choice)
                assert how == ("coupled" if bn == "batch" else "layers")
                assert float((kernel - expected).abs().max() / expected.abs().max()) < 1e-12
                kernel = empirical_ntk(single, *mates, **choice)
                assert float((kernel - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize("arch", ARCHS)
def test_codes_and_features(arch):
    net, x = network(arch, torch.float32), images(12, torch.float32)
    x[5] = x[3]
    patterns = measures.relu_patterns(net, x)
    signals = Signals(net, x)
    assert signals.codes.units == patterns.shape[1]
    expected = (patterns[:, None, :] != patterns[None, :, :]).sum(2)
    np.testing.assert_array_equal(signals.hamming, expected)
    features = measures.features(net, x)
    np.testing.assert_allclose(
        signals.feature_spectrum.eigenvalues,
        np.linalg.eigvalsh(features @ features.T / features.shape[1]),
        atol=1e-5 * np.abs(features).max() ** 2,
    )
    torch.testing.assert_close(signals.logits, ntk.in_mode(net, x, "frozen")(x).detach(), rtol=1e-4, atol=1e-5)


def test_signals_kernel_is_the_tangent_kernel_whatever_else_is_collected():
    net, x = network("all"), images(6)
    for bn in ("frozen", "batch", "running"):
        for output in ("sum", "trace"):
            expected = empirical_ntk(net, x, bn=bn, output=output, biases=True).numpy()
            for needs in ({"kernel"}, {"kernel", "codes", "features"}, set()):
                signals = Signals(net, x, bn=bn, output=output, biases=True, needs=needs)
                np.testing.assert_allclose(signals.kernel, expected, rtol=1e-12)
                assert signals.kernel_method == ("coupled" if bn == "batch" else "layers")


def test_parameters_of_the_cells_alone():
    net, x = network("all"), images(5)
    for bn in ("frozen", "batch"):
        expected = ntk.tangent_kernel(net, x, bn=bn, parameters="cell")
        kernel = empirical_ntk(net, x, bn=bn, parameters="cell")
        assert float((kernel - expected).abs().max() / expected.abs().max()) < 1e-12
