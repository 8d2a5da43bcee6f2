"""What one pass collects: statuses of degenerate networks, ReLU codes in every disguise, sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import measures, zoo
from torch import nn

from automl_theory.errors import InputError
from automl_theory.probing.activations import Codes, count_distinct, distinct_codes
from automl_theory.probing.regions import count_regions, patterns, thin_regions
from automl_theory.probing.signals import Signals
from automl_theory.probing.sizes import module_sizes
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.proxies import get_proxy
from automl_theory.scoring.single import score
from automl_theory.spaces import space

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "rectify",
    [
        F.relu,
        torch.relu,
        torch.Tensor.relu,
        lambda h: F.relu(h, inplace=True),
        lambda h: F.relu(input=h),
        torch.relu_,
        torch.Tensor.relu_,
        F.relu_,
        F.relu6,
        lambda h: F.relu6(h, True),
        lambda h: F.leaky_relu(h, 0.1),
        lambda h: F.leaky_relu(h, 0.1, True),
        lambda h: F.hardtanh(h, 0.0, 2.0),
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.LeakyReLU(0.2, inplace=True),
    ],
)
def test_codes_of_every_rectifier(rectify):
    """The residual sum would betray a rectifier in place that the pass had made another one of."""
    torch.manual_seed(0)
    net = zoo.linears(lambda net, x: (lambda h: net.b(rectify(h) + h))(net.a(x)))
    for needs in ({"codes"}, {"codes", "kernel"}):
        signals = Signals(net, X, needs=needs)
        signs = (net.a(X) > 0).numpy()
        np.testing.assert_array_equal(signals.hamming, (signs[:, None] != signs[None]).sum(2))
        assert signals.codes.units == 5
        torch.testing.assert_close(signals.logits, net(X).detach())


def test_a_symmetric_hardtanh_is_no_rectifier():
    net = zoo.linears(lambda net, x: net.b(F.hardtanh(net.a(x))))
    for needs in ({"codes"}, {"codes", "kernel"}):
        assert Signals(net, X, needs=needs).codes.units == 0
    np.testing.assert_allclose(Signals(net, X).kernel, empirical_ntk(net, X).numpy())


def test_codes_count_every_call_and_know_what_they_miss():
    net = zoo.linears(lambda net, x: (lambda h: net.b(F.relu(h) + F.relu(h) + F.relu(2 * h)))(net.a(x)))
    signals = Signals(net, X)
    assert signals.codes.units == 15
    single = Signals(zoo.linears(lambda net, x: net.b(F.relu(net.a(x)))), X)
    single.net.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(signals.hamming, 3 * Signals(single.net, X).hamming)
    gate = zoo.linears(lambda net, x: net.b(net.a(x) * F.relu(net.gate)), gate=nn.Parameter(torch.ones(())))
    assert not Signals(gate, X).codes.missed
    rows = zoo.linears(lambda net, x: net.b(F.relu(net.a(x).reshape(-1)).reshape(-1, 5)))
    signals = Signals(rows, X)
    assert signals.codes.missed
    for name in ("naswot", "linear_regions", "segment_regions"):
        with pytest.raises(Exception, match="a ReLU of the module reads something else than one row a sample"):
            get_proxy(name)(signals)


def test_codes_are_exact_in_every_precision():
    source = torch.randn(4, 3000, generator=torch.Generator().manual_seed(1))
    signs = (source > 0).numpy()
    expected = (signs[:, None] != signs[None]).sum(2)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        codes = Codes(4)
        codes.add(source, torch.relu(source).to(dtype).sign())
        np.testing.assert_array_equal(codes.hamming(), expected)


def test_nan_in_a_rectifier_reaches_the_outputs():
    net = zoo.linears(lambda net, x: net.b(F.relu(net.a(x))))
    with torch.no_grad():
        net.a.bias[2] = torch.nan
    assert get_proxy("naswot")(Signals(net, X))[1] == "non_finite"


def test_the_same_source_changed_in_place_is_another_source():
    codes, h = Codes(2), torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    codes.add(h, torch.relu(h))
    h.abs_()
    codes.add(h, torch.relu(h))
    assert codes.hamming()[0, 1] == 1


@pytest.mark.parametrize("units", [1, 7, 8, 9, 20])
def test_distinct_codes(units):
    rng = np.random.default_rng(units)
    codes = rng.random((200, units)) > 0.5
    assert distinct_codes(codes) == len({tuple(row) for row in codes})
    hamming = (codes[:, None] != codes[None]).sum(2).astype(float)
    assert count_distinct(hamming) == distinct_codes(codes)


def test_distinct_codes_of_nothing():
    assert distinct_codes(np.zeros((0, 3), dtype=bool)) == 0
    assert distinct_codes(np.zeros((5, 0), dtype=bool)) == 1
    assert count_distinct(np.zeros((4, 4))) == 1


def test_region_counts_against_the_slow_way():
    net = space("nas_bench_201").build_thin(
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|", 1, 1, seed=2
    )
    batches = [torch.randn(60, 1, 3, 3, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    slow = np.concatenate([measures.relu_patterns(net, batch) for batch in batches])
    fast = np.concatenate([patterns(net, batch) for batch in batches])
    assert slow.shape == fast.shape
    assert count_regions(net, batches) == measures.regions(slow)
    assert count_regions(nn.Flatten(), batches) == 1
    generator = np.random.Generator(np.random.PCG64(9))
    drawn = list(torch.from_numpy(generator.standard_normal((2, 40, 1, 3, 3)).astype(np.float32)))
    assert thin_regions(net, 40, 2, 9) == measures.regions(
        np.concatenate([measures.relu_patterns(net, batch) for batch in drawn])
    )


def test_disconnected_by_identical_rows_or_by_the_graph():
    constant = zoo.linears(lambda net, x: net.b(0 * net.a(x)))
    assert Signals(constant, X).disconnected
    assert not Signals(nn.Linear(6, 3), X).disconnected
    arch = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    graph = space("nas_bench_201").graph(arch)
    assert Signals(nn.Linear(6, 3), X, graph=graph).disconnected
    assert not Signals(constant, X[:1]).disconnected, "one sample cannot tell"
    assert not Signals(nn.Linear(6, 3), X[:1]).disconnected


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([0, 1, 2, 3, 4], 4, "labels must be 0 to 3, got 0 to 4"),
        ([0, -1, 2, 3, 4], None, "labels must be 0 to 4, got -1 to 4"),
    ],
)
def test_labels_out_of_range(labels, classes, words):
    with pytest.raises(InputError, match=words):
        Signals(nn.Linear(6, 3), X, torch.tensor(labels), classes=classes)


def test_labels_of_any_integer_type():
    expected = np.eye(2)[[0, 1, 1, 0, 1]]
    for dtype in (torch.uint8, torch.int32, torch.bool, torch.int64):
        signals = Signals(nn.Linear(6, 3), X, torch.tensor([0, 1, 1, 0, 1]).to(dtype), needs=())
        np.testing.assert_array_equal(signals.targets, expected)


@pytest.mark.filterwarnings("error")  # that there is none is what is tested
def test_the_way_of_the_kernel_is_told_without_a_warning():
    for name, way in (
        ("conv", "layers"),
        ("custom_norm", "functional (a counted"),
        ("centred_inputs", "coupled (single"),
    ):
        net, x = zoo.make(name, 4)
        signals = Signals(net, x)
        assert signals.kernel_method.startswith(way)
        trace = Signals(net, x, output="trace")
        assert trace.kernel_method.startswith(way)
        np.testing.assert_allclose(signals.kernel, empirical_ntk(net, x, method="coupled").numpy(), rtol=1e-10)
    assert Signals(net, x, needs={"codes"}).kernel_method == "none"


def test_tokens_as_inputs():
    net, x = zoo.make("embedding", 4)
    signals = Signals(net.float(), x)
    assert signals.eps == pytest.approx(2**-23)
    assert signals.spectrum.status == "ok"


# Sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arch",
    [
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|",
        "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|nor_conv_1x1~2|",
        "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    ],
)
@pytest.mark.parametrize(("channels", "cells"), [(4, 1), (8, 2)])
def test_sizes_of_a_module_are_the_closed_forms_of_its_string(arch, channels, cells):
    where = space("nas_bench_201")
    net = where.build(arch, channels, cells, 7)
    signals = Signals(net, torch.randn(2, 3, 16, 16), needs=())
    expected = where.size_metrics(arch, channels, cells, 7, resolution=16)
    assert signals.size["macs"] == expected["macs"] - 7
    for name in ("parameters", "depth", "trainable_layers", "relu_units"):
        assert signals.size[name] == expected[name], name
        assert get_proxy(name)(signals) == (expected[name], "ok")


def test_sizes_given_beforehand_are_taken():
    size = {"parameters": 1.0, "macs": 2.0, "depth": 3.0, "trainable_layers": 4.0, "relu_units": 5.0}
    assert Signals(nn.Linear(6, 3), X, size=size, needs=()).size == size


@pytest.mark.parametrize(
    ("name", "parameters", "macs", "depth", "layers"),
    [
        ("linear", 53, 6 * 5 + 5 * 3, 2, 2),
        ("linear_sequence", 28 + 63, 5 * 6 * 4 + 60, 2, 2),
        ("conv", 4 * 4 * 9 + 4 + 15, 16 * 144 + 12, 2, 2),
        ("conv_groups", 4 * 2 * 9 + 4 + 15, 16 * 72 + 12, 2, 2),
        ("conv_transpose", 4 * 3 * 9 + 3 + 192 * 3 + 3, 36 * 108 + 576, 2, 2),
        ("part_frozen", 35 + 24 + 15, 30 + 20 + 12, 3, 3),
        ("batch_norm_no_running", 35 + 10 + 18, 45, 2, 2),
        ("no_parameters", 0, 0, 0, 0),
    ],
)
def test_sizes_counted_by_hand(name, parameters, macs, depth, layers):
    net, x = zoo.make(name, 2)
    expected = {"parameters": parameters, "macs": macs, "depth": depth, "trainable_layers": layers}
    before = [p.requires_grad for p in net.parameters()]
    signals = Signals(net, x, needs=())
    assert {key: signals.size[key] for key in expected} == expected
    assert [p.requires_grad for p in net.parameters()] == before


def test_sizes_of_unusual_modules():
    integer = zoo.linears(lambda net, x: net.b(net.a(x)), table=nn.Parameter(torch.arange(3), requires_grad=False))
    assert module_sizes(integer, X[:1])["parameters"] == 35 + 18 + 3
    shared, x = zoo.make("tied", 1)
    assert module_sizes(shared, x)["depth"] == 3
    branches = zoo.linears(lambda net, x: net.b(net.a(x)) + net.c(x), c=nn.Linear(6, 3))
    assert module_sizes(branches, X[:1])["depth"] == 2


def perceptron(depth: int, *last: nn.Module) -> nn.Module:
    layers = [part for _ in range(depth) for part in (nn.Linear(9, 9), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9), *layers, nn.Linear(9, 3), *last)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LayerNorm(3, elementwise_affine=False)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_kernel_of_a_constant_sum_is_refused(last, dtype):
    torch.manual_seed(0)
    net, x = perceptron(2, last).to(dtype), torch.randn(8, 3, 8, 8).to(dtype)
    y = torch.arange(8) % 3
    result = score(net, x, y, ["ntk_trace", "ntk_label_alignment", "naswot"])
    assert result.status["naswot"] == "ok"
    for name in ("ntk_trace", "ntk_label_alignment"):
        assert result.status[name] == "failed"
        assert result.reasons[name].startswith(
            "the outputs of every sample add up to the same number, as after a softmax"
        )
    assert score(net, x, y, ["ntk_trace"], output="trace").status["ntk_trace"] == "ok"


@pytest.mark.parametrize("depth", [2, 18, 30])
def test_a_deep_network_whose_outputs_hardly_differ_has_a_kernel(depth):
    torch.manual_seed(0)
    net, x = perceptron(depth), torch.randn(8, 3, 8, 8)
    found = Signals(net, x, needs=("kernel",))
    assert not found.constant_sum
    assert not Signals(net, x[:1], needs=("kernel",)).constant_sum


def test_a_network_built_in_inference_mode_is_refused():
    with torch.inference_mode():
        net = nn.Linear(3, 2)
    with pytest.raises(InputError, match="was built in inference mode and has no gradients; build it outside of it"):
        score(net, torch.randn(4, 3), None, ["ntk_trace"])
    assert net.weight.requires_grad


def test_a_network_spread_over_devices_is_refused():
    with pytest.raises(InputError, match=r"is spread over devices by a wrapper; pass what it wraps, its \.module"):
        score(nn.DataParallel(nn.Linear(6, 3)), X, None, ["ntk_trace"])


def test_one_sample_is_the_same_whatever_else_is_asked():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        net[1].weight.zero_()
    x, y = torch.randn(1, 3, 8, 8), torch.tensor([1])
    for needs in (("loss", "labels"), ("loss", "labels", "kernel")):
        found = Signals(net, x, y, needs=needs)
        assert get_proxy("grad_norm")(found) == (pytest.approx(get_proxy("grad_norm")(found)[0]), "ok")


def test_a_tensor_with_gradients_that_is_no_parameter():
    """As the architecture weights of a supernet that are kept in a list."""

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alphas = [torch.ones(3, requires_grad=True)]
            self.layer = nn.Linear(6, 3)

        def forward(self, x):
            return self.layer(x) * self.alphas[0]

    net, x = Weighted(), torch.randn(5, 6)
    assert not empirical_ntk(net, x, method="functional").requires_grad
    assert score(net, x, torch.arange(5) % 3, ["ntk_trace"]).status["ntk_trace"] == "ok"
