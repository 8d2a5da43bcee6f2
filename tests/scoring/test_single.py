"""Scoring one module: what comes back, and what bad input is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from reference import zoo
from torch import nn

import automl_theory
from automl_theory.errors import InputError
from automl_theory.networks.initialise import initialise
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.proxies import get_proxies
from automl_theory.scoring.single import score
from automl_theory.spaces import space


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


X = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))
Y = torch.arange(8) % 3


def test_values_statuses_and_how_they_were_measured():
    net = network()
    scores = automl_theory.score(net, X, Y)
    assert list(scores) == [proxy.name for proxy in get_proxies("core")] == [proxy.name for proxy in scores.proxies]
    eigenvalues = np.linalg.eigvalsh(empirical_ntk(net, X).numpy())
    assert scores["ntk_lambda_min"] == pytest.approx(eigenvalues[0], rel=1e-6)
    assert scores["parameters"] == sum(p.numel() for p in net.parameters())
    assert set(scores.status.values()) <= {"ok", "saturated"}
    assert scores.reasons == {}
    assert len(scores) == 17
    expected = {"n": 8, "bn": "frozen", "output": "sum", "biases": False, "seed": None, "init": "as given"}
    assert expected.items() <= scores.info.items()
    assert (scores.info["kernel_method"], scores.info["dtype"]) == ("layers", "float32")
    assert repr(scores).splitlines()[0].split() == ["parameters", "315", "ok"]


def test_choices_reach_the_kernel():
    net = network()
    for choice in ({"bn": "running"}, {"bn": "batch"}, {"output": "trace"}, {"biases": True}):
        scores = score(net, X, proxies="ntk_trace", **choice)
        assert scores["ntk_trace"] == pytest.approx(float(empirical_ntk(net, X, **choice).trace()), rel=1e-6)
        assert choice.items() <= scores.info.items()


def test_a_seed_scores_a_copy():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    chosen = "ntk_lambda_min,naswot"
    kept, seeded = score(net, X, proxies=chosen), score(net, X, proxies=chosen, seed=3, init="he_fan_in")
    assert seeded.info["init"] == "he_fan_in"
    assert dict(kept) == dict(score(net, X, proxies=chosen, seed=None))
    assert dict(seeded) == dict(score(initialise(network(), "he_fan_in", 3), X, proxies=chosen))
    assert dict(seeded) != dict(kept)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_graph_opens_the_bound():
    where, arch = space("nas_bench_201"), "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
    arch = arch.replace("|none~0|none~1|+", "|none~0|skip_connect~1|+")
    net = where.build(arch, 4, 1, 3)
    x = torch.randn(6, 3, 8, 8)
    scores = score(net, x, Y[:6], "generalization_bound,ntk_label_complexity", graph=where.graph(arch))
    assert scores["generalization_bound"] == pytest.approx(2 * scores["ntk_label_complexity"])


@pytest.mark.filterwarnings("error")  # that there is none is what is tested
def test_unusual_modules_are_scored_and_say_how():
    for name, way in (("custom_norm", "functional"), ("centred_inputs", "coupled"), ("embedding", "functional")):
        net, x = zoo.make(name, 6)
        scores = score(net, x, Y[:6], "full")
        assert scores.info["kernel_method"].startswith(way)
        assert scores.status["ntk_lambda_min"] == "ok"
        assert all((status == "failed") == (key in scores.reasons) for key, status in scores.status.items())


def test_without_labels_generalization_says_why():
    scores = score(network(), X, proxies=["ntk_alignment", "ntk_trace"])
    assert (scores.status["ntk_alignment"], scores.status["ntk_trace"]) == ("failed", "ok")
    assert math.isnan(scores["ntk_alignment"])
    assert scores.reasons == {"ntk_alignment": "labels are needed; pass y"}


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.int64])
def test_labels_of_any_integer_type(dtype):
    expected = score(network(), X, Y, "ntk_alignment")["ntk_alignment"]
    assert score(network(), X, Y.to(dtype), "ntk_alignment")["ntk_alignment"] == expected


class Wrapper(nn.Module):
    def __init__(self, change) -> None:
        super().__init__()
        self.net, self.change = network(), change

    def forward(self, x):
        return self.change(self.net(x))


def uncopyable() -> nn.Module:
    net = network()
    net.kept = net[0].weight * 2
    return net


def raising(out):
    raise AttributeError("no such thing")


BAD = {
    "constant inputs": ({"x": torch.ones(8, 3, 6, 6)}, "all 8 samples of x are identical; give inputs that differ"),
    "NaN in the inputs": (
        {"x": X.clone().index_fill_(0, torch.tensor([2]), torch.nan)},
        "x holds NaN or infinity in 1 of 8 samples; clean the input first",
    ),
    "infinite inputs": ({"x": X * torch.inf}, "x holds NaN or infinity in 8 of 8 samples"),
    "one sample": ({"x": X[:1], "y": Y[:1]}, "x has 1 sample; proxies compare samples, give at least 2"),
    "no samples": ({"x": X[:0], "y": Y[:0]}, "x has no samples; give at least one"),
    "no batch dimension": ({"x": torch.randn(6)}, "did you forget the batch dimension"),
    "an array": ({"x": X.numpy()}, "x must be a torch tensor .* got ndarray; use torch.as_tensor"),
    "wrong channels": ({"x": X[:, :2]}, r"the module fails on an input of shape \(8, 2, 6, 6\): .*check x against"),
    "wrong size": ({"x": X[..., :4]}, r"the module fails on an input of shape \(8, 3, 6, 4\)"),
    "wrong dtype": ({"x": X.double()}, "the module fails on an input .*"),
    "short labels": ({"y": Y[:5]}, r"y must be class numbers of shape \(8,\), got \(5,\)"),
    "label columns": ({"y": torch.eye(8).long()}, r"y must be class numbers of shape \(8,\), got \(8, 8\)"),
    "labels in a list": ({"y": [0, 1] * 4}, r"y must be a torch tensor of shape \(8,\), got list; use torch.as_tensor"),
    "labels in an array": ({"y": Y.numpy()}, "y must be a torch tensor .* got ndarray"),
    "real labels": ({"y": Y.float()}, "y must be integer class numbers of 0 and more, got torch.float32; use y.long"),
    "a sparse tensor": ({"x": X.to_sparse()}, r"a dense tensor with values, got torch.sparse_coo on cpu; use x.to"),
    "a tensor without values": ({"x": X.to("meta")}, "x must be a dense tensor with values, got .* on meta; use"),
    "negative labels": ({"y": Y - 1}, "y must be integer class numbers of 0 and more"),
    "unknown proxy": ({"proxies": "ntk_lamda_min"}, "unknown proxy 'ntk_lamda_min'.*Did you mean 'ntk_lambda_min'"),
    "no proxies": ({"proxies": []}, "no proxy was named"),
    "unknown bn": ({"bn": "freeze"}, "bn='freeze' is not one of batch, frozen, running"),
    "unknown output": ({"output": "full"}, "output='full' is not one of sum, trace"),
    "unknown init": ({"init": "he", "seed": 1}, "unknown initialisation 'he'"),
    "bad seed": ({"seed": -1}, "seed to be an integer of at least 0, got -1"),
    "biases in words": ({"biases": "no"}, "biases='no': give True or False"),
    "a graph in words": ({"graph": "chain"}, "graph must be a CellGraph or None, got str; give space.graph"),
    "no module": ({"net": "resnet"}, "the network must be a torch.nn.Module, got str"),
    "a class": ({"net": nn.Identity}, "the network must be a torch.nn.Module, got type"),
    "a tuple comes out": (
        {"net": Wrapper(lambda out: (out, out))},
        "one row a sample, got tuple; wrap it to return its",
    ),
    "a scalar comes out": ({"net": Wrapper(lambda out: out.mean())}, r"one row a sample, got \(\); wrap it"),
    "rows are lost": ({"net": Wrapper(lambda out: out[1:])}, r"one row a sample, got \(7, 3\)"),
    "the module raises": (
        {"net": Wrapper(raising)},
        r"fails on an input of shape \(8, 3, 6, 6\): no such thing; check x",
    ),
    "no forward": ({"net": nn.Module()}, "the module fails on an input .*forward"),
    "lazy layers": ({"net": nn.Sequential(nn.Flatten(), nn.LazyLinear(3))}, "lazy layers without weights yet"),
    "no copy": ({"net": uncopyable(), "seed": 1}, "the module cannot be copied .*; use seed=None"),
    "no running statistics": (
        {"net": nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten()), "bn": "running"},
        "bn='running' needs running statistics, and this module's BatchNorm keeps none; use bn='frozen'",
    ),
}


def test_only_the_equality_of_labels_counts():
    names = ["ntk_alignment", "ntk_label_complexity", "ntk_regression_error"]
    scores, far = (score(network(), X, y, names) for y in (Y, Y * 10**12 + 7))
    assert dict(far) == dict(scores)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_what_to_do(case):
    change, words = BAD[case]
    arguments = {"net": network(), "x": X, "y": Y, **change}
    with pytest.raises(InputError, match=words) as caught:
        score(arguments.pop("net"), arguments.pop("x"), arguments.pop("y"), **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bn", ["frozen", "batch", "running"])
def test_a_module_with_one_constant_output_is_disconnected(bn):
    scores = score(Wrapper(lambda out: out * 0 + 1), X, Y, "full", bn=bn)
    assert {scores.status[p.name] for p in scores.proxies if p.family != "size"} == {"disconnected"}
