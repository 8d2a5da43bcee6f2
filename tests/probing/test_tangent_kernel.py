"""The tangent kernel of every kind of module against the slow reference, and what is refused."""

from __future__ import annotations

import warnings

import pytest
import torch
from reference import ntk, zoo
from torch import nn
from torch.utils.checkpoint import checkpoint

from automl_theory.errors import InputError
from automl_theory.probing.tangent_kernel import OUTPUTS, SlowerKernel, empirical_ntk, measured_kernel

FOUR_SAMPLES = ("batch_size_built_in", "parameter_as_input", "separated_indices", "distances_of_samples")


def largest_error(kernel: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference relative to the largest entry; absolute for a zero kernel."""
    assert kernel.dtype == torch.float64
    assert kernel.shape == expected.shape
    return float((kernel - expected).abs().max()) / (float(expected.abs().max()) or 1.0)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("name", zoo.CASES)
def test_every_module_in_every_mode(name):
    way = zoo.CASES[name][2]
    for bn in ("frozen", "batch", "running"):
        net, x = zoo.make(name, 4)
        if name == "batch_norm_no_running" and bn == "running":
            with pytest.raises(InputError, match=r"bn='running' needs running statistics.*use bn='frozen'"):
                empirical_ntk(net, x, bn=bn)
            continue
        jacobian = ntk.jacobian(net, x, bn=bn, biases=True)
        for output in OUTPUTS:
            kernel, how = measured_kernel(net, x, bn=bn, output=output, biases=True)
            assert largest_error(kernel, ntk.contract(jacobian, jacobian, output)) < 1e-12, (bn, output)
            assert how.split(" ")[0] == ("coupled" if bn == "batch" else way), (bn, output)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("name", zoo.CASES)
def test_float32_and_without_biases(name):
    net, x = zoo.make(name, 4, torch.float32)
    double, exact = zoo.make(name, 4)
    if name == "straight_through":
        exact = x.double()
    error = largest_error(empirical_ntk(net, x), ntk.tangent_kernel(double, exact))
    assert error < 1e-5


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("name", [name for name in zoo.CASES if name not in FOUR_SAMPLES])
def test_cross_kernels(name):
    net, x = zoo.make(name, 7)
    x, x2 = x[:4], x[4:]
    for output in ("sum", "full"):
        expected = ntk.tangent_kernel(net, x, x2, output=output, biases=True)
        assert largest_error(empirical_ntk(net, x, x2, output=output, biases=True), expected) < 1e-12
    expected = ntk.tangent_kernel(net, x, x2, bn="batch")
    assert largest_error(empirical_ntk(net, x, x2, bn="batch"), expected) < 1e-12


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("name", ["batch_norm_2d", "tied", "custom_norm", "transformer", "no_parameters", "in_place"])
@pytest.mark.parametrize("n", [1, 2])
def test_few_samples(name, n):
    net, x = zoo.make(name, n)
    for output in OUTPUTS:
        expected = ntk.tangent_kernel(net, x, output=output)
        assert largest_error(empirical_ntk(net, x, output=output), expected) < 1e-12


@pytest.mark.parametrize("name", ["called_twice_and_dead", "batch_norm_prelu", "attention", "conv_groups_stride"])
def test_all_methods_agree(name):
    net, x = zoo.make(name, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bn in ("frozen", "running"):
            expected = ntk.tangent_kernel(net, x, bn=bn, output="trace", biases=True)
            for method in ("functional", "coupled"):
                kernel = empirical_ntk(net, x, bn=bn, output="trace", biases=True, method=method)
                assert largest_error(kernel, expected) < 1e-12


def test_parameters_are_chosen_by_name_predicate_and_requires_grad():
    net, x = zoo.make("called_twice_and_dead", 4)
    names = [name for name, _ in net.named_parameters()]
    parts = {name: ntk.tangent_kernel(net, x, parameters=f"^{name}$", biases=True) for name in names}
    for choice, chosen in (
        ("^stem|head", {"stem.weight", "head.weight"}),
        (lambda name: name.startswith("norm"), {"norm.weight"}),
        (None, {n for n in names if not n.endswith("bias")}),
    ):
        kernel = empirical_ntk(net, x, parameters=choice)
        assert largest_error(kernel, sum(parts[name] for name in chosen)) < 1e-12
    kernel = empirical_ntk(net, x, parameters="head", biases=True)
    assert largest_error(kernel, parts["head.weight"] + parts["head.bias"]) < 1e-12
    net.twice.requires_grad_(False)
    net.head.weight.requires_grad_(False)
    kernel = empirical_ntk(net, x)
    assert largest_error(kernel, parts["stem.weight"] + parts["norm.weight"]) < 1e-12
    assert not parts["dead.weight"].any()


def test_no_counted_parameter_gives_zeros():
    net, x = zoo.make("linear", 3)
    for method in ("auto", "functional", "coupled"):
        assert torch.equal(empirical_ntk(net, x, parameters="nothing", method=method), torch.zeros(3, 3).double())
        assert empirical_ntk(net, x, x[:2], parameters="nothing", output="full", method=method).shape == (9, 6)


def test_training_mode_hooks_and_callers_context_make_no_difference():
    net, x = zoo.make("dropout_off", 4)
    expected = empirical_ntk(net, x)
    net.train()
    net[0].register_forward_hook(lambda module, inputs, output: None)
    assert torch.equal(empirical_ntk(net, x), expected)
    with torch.no_grad():
        assert torch.equal(empirical_ntk(net, x), expected)
    with torch.inference_mode():
        assert torch.equal(empirical_ntk(net, x.clone()), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(empirical_ntk(net.float(), x.float()), empirical_ntk(net, x.float()))
    wanted = x.float().requires_grad_()
    assert torch.equal(empirical_ntk(net, wanted), empirical_ntk(net, x.float()))
    assert wanted.grad is None


@pytest.mark.parametrize("method", ["layers", "functional", "coupled"])
def test_an_input_that_the_module_overwrites_is_kept(method):
    net = zoo.linears(lambda net, x: net.b(net.a(x.mul_(2)))).double()
    x = torch.randn(4, 6).double()
    before = x.clone()
    expected = ntk.tangent_kernel(net, x)
    assert largest_error(empirical_ntk(net, x, method=method), expected) < 1e-12
    assert torch.equal(x, before)


def test_channels_last_and_strided_inputs_make_no_difference():
    net, x = zoo.make("view_size", 4)
    expected = empirical_ntk(net, x)
    assert largest_error(empirical_ntk(net, x.contiguous(memory_format=torch.channels_last)), expected) < 1e-14
    wide = torch.zeros(4, 4, 6, 12).double()
    wide[..., ::2] = x
    assert largest_error(empirical_ntk(net, wide[..., ::2]), expected) < 1e-14


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("custom_parameter", r"Net by a slower exact way: functional \(a counted parameter of shape \(3,\) is used by"),
        ("conv_transpose", r"Sequential by a slower exact way: functional \(a counted parameter"),
        ("centred_inputs", r"coupled \(single samples give other outputs than the batch\)"),
        ("no_gradient_inside", r"functional \(a layer with counted parameters runs without gradients\)"),
        ("writes", r"functional \(.*may mix samples\)|functional \(a counted parameter"),
    ],
)
def test_a_slower_way_is_reported(name, words):
    net, x = zoo.make(name, 4)
    with pytest.warns(SlowerKernel, match=words) as seen:
        empirical_ntk(net, x)
    assert seen[0].filename == __file__
    with pytest.raises(InputError, match=r"method='layers' does not apply: .*; use method='auto'"):
        empirical_ntk(net, x, method="layers")


def test_a_method_that_does_not_apply_is_refused():
    net, x = zoo.make("centred_inputs", 4)
    with pytest.raises(InputError, match=r"samples are not independent: single samples give other outputs"):
        empirical_ntk(net, x, method="functional")
    for method in ("layers", "functional"):
        with pytest.raises(InputError, match=rf"method='{method}' does not apply to bn='batch'"):
            empirical_ntk(net, x, method=method, bn="batch")


class Broken(nn.Module):
    def __init__(self, result: object) -> None:
        super().__init__()
        self.layer, self.result = nn.Linear(6, 3), result

    def forward(self, x: torch.Tensor) -> object:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result(self.layer(x))


X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def exported() -> nn.Module:
    return torch.export.export(nn.Linear(6, 3), (X,)).module()


def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.Linear(6, 3), X)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bn": "frozn"}, "bn='frozn' is not one of batch, frozen, running. Did you mean 'frozen'"),
        ({"output": "all"}, "output='all' is not one of sum, trace, full"),
        ({"method": "fast"}, "method='fast' is not one of auto, layers, functional, coupled"),
        ({"biases": 1}, "biases=1: give True or False"),
        ({"parameters": 3}, "parameters=3: give a regular expression, or a function of a parameter's name"),
        ({"parameters": "("}, r"parameters='\(' is no regular expression"),
        ({"net": lambda x: x}, "the network must be a torch.nn.Module, got function"),
        ({"net": nn.LazyLinear(3)}, "lazy layers without weights yet; run one forward pass first"),
        ({"net": traced()}, "scripted .*pass the module it was made from"),
        ({"net": exported()}, "cannot be put into evaluation mode .*pass the module it was made from"),
        ({"net": Broken(KeyError("gone"))}, r"module fails on an input of shape \(4, 6\): 'gone'; check x"),
        ({"net": Broken(AssertionError())}, "module fails on an input of shape .*: AssertionError; check x"),
        ({"net": Broken(lambda out: (out, out))}, "must return a tensor with one row a sample, got tuple; wrap it"),
        ({"net": Broken(lambda out: out.sum())}, r"one row a sample, got \(\)"),
        ({"net": Broken(lambda out: out[:2])}, r"one row a sample, got \(2, 3\)"),
        ({"net": nn.Linear(5, 3)}, r"module fails on an input of shape \(4, 6\): mat1 and mat2 shapes"),
        ({"net": nn.Linear(6, 3).double()}, "module fails on an input .*dtype"),
        ({"x": X.numpy()}, "x must be a torch tensor of shape .*, got ndarray; use torch.as_tensor"),
        ({"x": X[0]}, r"x must have shape \(n, ...\), got \(6,\); did you forget the batch dimension"),
        ({"x": X[:0]}, "x has no samples; give at least one"),
        ({"x": X[:, :0]}, r"x has no entries \(shape \(4, 0\)\)"),
        ({"x": torch.full_like(X, torch.nan)}, "x holds NaN or infinity in 4 of 4 samples"),
        ({"x2": X[:0]}, "x2 has no samples"),
        ({"x2": X[:, :5]}, r"x2 must have the samples' shape of x, \(6,\), got \(5,\)"),
        ({"x2": X.double()}, "x2 must have the samples' dtype of x, torch.float32, got torch.float64"),
    ],
)
def test_bad_arguments(change, words):
    arguments = {"net": nn.Linear(6, 3), "x": X, **change}
    with pytest.raises(InputError, match=words):
        empirical_ntk(arguments.pop("net"), **arguments)


def test_a_module_that_destroys_what_its_own_backward_pass_needs():
    def forward(net, x):
        h = net.a(x)
        out = net.b(h)
        h.zero_()
        return out

    with pytest.raises(InputError, match=r"the backward pass of the module fails: .*inplace operation"):
        empirical_ntk(zoo.linears(forward), X)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("method", ["auto", "functional", "coupled"])
@pytest.mark.parametrize("bn", ["frozen", "batch"])
def test_checkpointing_is_refused_since_it_recomputes_outside_of_the_pass(bn, method):
    inner = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Tanh())
    net = zoo.linears(lambda net, x: net.b(checkpoint(net.c, net.a(x), use_reentrant=False)), c=inner)
    with pytest.raises(InputError, match=r"it checkpoints its activations|method='functional' does not apply"):
        empirical_ntk(net, X, bn=bn, method=method)
    net = zoo.linears(lambda net, x: net.b(checkpoint(net.c, net.a(x), use_reentrant=True)), c=inner)
    with pytest.raises(InputError, match=r"not compatible|incompatible|does not apply"):
        empirical_ntk(net, X, bn=bn, method=method)
