"""All ten methods: exact budgets, seeds, scopes, a module left alone, the slow versions, and what is refused."""

from __future__ import annotations

import math
import pickle
import random
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pruning as reference
from reference.zoo import CASES, Net, make
from small_networks import NETWORKS, made, mlp
from torch import Tensor, nn

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.pruning.at_init import METHODS, scores
from automl_theory.pruning.budgets import budget, erk_counts, uniform_counts
from automl_theory.pruning.masks import Masks, prunable

pytestmark = pytest.mark.filterwarnings("ignore:.*have a score of 0")  # told in a test of its own, below

some = settings(max_examples=12, deadline=None, derandomize=True)
SCORED = [name for name, method in METHODS.items() if method.score]
SEVERAL = [name for name, method in METHODS.items() if method.rounds > 1]


def few_rounds(method: str) -> int | None:
    return 5 if METHODS[method].rounds > 1 else None


def kept(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def equal(a: Masks, b: Masks) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("method", METHODS)
@some
@given(st.sampled_from(list(NETWORKS)), st.floats(1e-3, 1), st.integers(0, 3), st.sampled_from([None, "layer"]))
def test_budgets_are_exact_to_one_weight(method, name, density, seed, scope):
    net, x, y = made(name, seed)
    scope = scope if "layer" in METHODS[method].scopes else None
    masks = at.prune(net, method, density, x, y, seed, scope=scope, rounds=few_rounds(method))
    weights = prunable(net)
    total = sum(w.numel() for w in weights.values())
    assert kept(masks) == budget(total, density)
    assert {n: m.shape for n, m in masks.items()} == {n: w.shape for n, w in weights.items()}
    assert all(mask.dtype == torch.bool for mask in masks.values())
    if scope == "layer":
        assert all(abs(int(m.sum()) - density * m.numel()) <= 1 for m in masks.values())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("density", [1e-9, 0.001, 0.05, 0.5, 0.999, 1])
def test_budgets_at_the_edges(method, density):
    net, x, y = made("residual")
    masks = at.prune(net, method, density, x.float(), y, rounds=few_rounds(method))
    total = sum(m.numel() for m in masks.values())
    assert kept(masks) == max(1, round(density * total))


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_masks_whatever_the_global_state(method):
    net, x, y = made("convolutions")
    draws = []
    for _ in range(2):
        torch.rand(3)
        np.random.random()  # noqa: NPY002  # that state is the matter
        draws.append(at.prune(net, method, 0.2, x, y, seed=1, rounds=few_rounds(method)))
    assert equal(*draws)
    drawn = method in ("random", "uniform", "erk", "phew")
    other = at.prune(net.eval(), method, 0.2, x, y, seed=2, rounds=few_rounds(method))
    # Saliencies see the seed through the dropout of train mode; magnitude and synflow not at all.
    if drawn or method in ("magnitude", "synflow"):
        assert equal(draws[0], other) is not drawn


def test_masks_do_not_follow_the_weights_of_the_same_seed() -> None:
    net = at.initialise(mlp(40, 60, 10), seed=3)
    mask = at.prune(net, "random", 0.5, seed=3)["0.weight"].flatten().double()
    correlation = np.corrcoef(mask.numpy(), net[0].weight.detach().flatten().numpy())[0, 1]
    assert abs(correlation) < 0.08, "2,400 weights: standard error 0.02"


def test_random_masks_of_a_seed_are_nested_and_even() -> None:
    net = mlp(50, 80, 20)
    small, large = (at.prune(net, "random", density, seed=0) for density in (0.1, 0.3))
    assert all(bool((large[name] | ~small[name]).all()) for name in small)
    share = np.mean([int(at.prune(net, "random", 0.1, seed=s)["0.weight"].sum()) / 4000 for s in range(30)])
    assert abs(share - 0.1) < 0.005


def test_uniform_and_erk_keep_their_layer_budgets() -> None:
    net, _, _ = made("residual")
    shapes = [tuple(w.shape) for w in prunable(net).values()]
    for method, counts in (
        ("uniform", uniform_counts([math.prod(s) for s in shapes], 0.3)),
        ("erk", erk_counts(shapes, 0.3)),
    ):
        assert [int(m.sum()) for m in at.prune(net, method, 0.3).values()] == counts.tolist()


@pytest.mark.parametrize("method", ["random", "uniform", "erk"])
def test_drawn_masks_are_those_of_the_slow_version(method):
    net, _, _ = made("residual")
    shapes = {name: tuple(w.shape) for name, w in prunable(net).items()}
    numbers = reference.drawn(list(shapes), list(shapes.values()), seed=5)
    if method == "random":
        expected = reference.largest(numbers, budget(sum(n.numel() for n in numbers), 0.2))
    else:
        sizes = [n.numel() for n in numbers]
        counts = uniform_counts(sizes, 0.2) if method == "uniform" else erk_counts(list(shapes.values()), 0.2)
        expected = [reference.largest([n], c)[0] for n, c in zip(numbers, counts.tolist(), strict=True)]
    ours = at.prune(net, method, 0.2, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(ours.values(), expected, strict=True))


def state(net: nn.Module) -> bytes:
    gradients = {f"gradient of {n}": p.grad for n, p in net.named_parameters() if p.grad is not None}
    tensors = net.state_dict() | gradients | {"random": torch.get_rng_state()}
    arrays = [(name, tensor.numpy().tobytes()) for name, tensor in tensors.items()]
    asked = [(n, p.requires_grad) for n, p in net.named_parameters()]
    modes = [(n, m.training, sorted(vars(m)), len(m._forward_hooks)) for n, m in net.named_modules()]
    return pickle.dumps((arrays, asked, modes, np.random.get_state(), random.getstate()))  # noqa: NPY002  # that state is the matter


@pytest.mark.parametrize("convention", ["strict", "iclr23"])
@pytest.mark.parametrize("method", METHODS)
def test_the_module_is_left_as_it_was(method, convention):
    if convention == "iclr23" and method in ("uniform", "force", "phew"):
        pytest.skip(f"the iclr23 code has no {method}")
    net, x, y = made("convolutions")
    net[1].eval()
    net[3].weight.requires_grad_(False)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    before = state(net)
    at.prune(net, method, 0.1, x, y, rounds=few_rounds(method), convention=convention)
    assert state(net) == before
    with pytest.raises(InputError):
        at.prune(net, method, 0.1, x[:, :, :1] if METHODS[method].needs else None, y, seed=-1)
    assert state(net) == before


def test_it_works_inside_no_grad_and_inference_mode() -> None:
    net, x, y = made("residual")
    expected = at.prune(net, "snip", 0.1, x, y)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert equal(at.prune(net, "snip", 0.1, x, y), expected)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's, of even kernels
def test_modules_of_every_kind() -> None:
    """Whatever a proxy can score can be pruned, or is refused in one line."""
    refused = set()
    for name in CASES:
        net, x = make(name, 6)
        for method in METHODS:
            try:
                masks = at.prune(net, method, 0.2, x, torch.arange(6) % 2, rounds=2 if method in SEVERAL else None)
            except InputError as error:
                refused.add((name, method, str(error)))
                continue
            assert kept(masks) == max(1, round(0.2 * sum(m.numel() for m in masks.values()))), (name, method)
    always = {"no_parameters", "parameter_as_input", "separated_indices", "batch_size_built_in"}
    some_methods = {"vector_output", "squeezed", "squeezed_with_parameter", "embedding"}
    assert not any("\n" in message for _, _, message in refused)
    assert {name for name, _, _ in refused} <= always | some_methods


def perceptron(seed: int = 0, bias: bool = False) -> tuple[nn.Sequential, list[Tensor], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    net = mlp(5, 6, 4, 3, bias=bias).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator)
    x = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    return net, [layer.weight.detach() for layer in net[::2]], x, torch.arange(9) % 3


def forward(weights: list[Tensor], x: Tensor) -> Tensor:
    for w in weights[:-1]:
        x = torch.relu(x @ w.T)
    return x @ weights[-1].T


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_slow_versions(seed):
    net, weights, x, y = perceptron(seed)
    expected = {
        "magnitude": [w.abs() for w in weights],
        "snip": [s.abs() for s in reference.sensitivities(forward, weights, x, y)],
        "grasp": reference.grasp(forward, weights, x, y, 200),
        "synflow": [torch.from_numpy(f) for f in reference.path_flows([w.numpy() for w in weights])],
    }
    assert set(expected) | {"random"} == set(SCORED)
    for method, slow in expected.items():
        ours = list(scores(net, method, x, y).values())
        for a, b in zip(ours, slow, strict=True):
            assert torch.allclose(a, b, rtol=1e-10, atol=1e-13 * float(b.abs().max())), method
        if method != "synflow":
            masks = at.prune(net, method, 0.3, x, y)
            for mask, least in zip(masks.values(), reference.largest(slow, budget(66, 0.3)), strict=True):
                assert torch.equal(mask, least), method


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("method", "slow"), [("iterative_snip", reference.iterative_snip), ("force", reference.force)])
def test_rounds_are_those_of_the_slow_versions(method, slow, seed):
    net, weights, x, y = perceptron(seed)
    for density, rounds in ((0.5, 3), (0.3, 7)):
        expected = slow(forward, weights, x, y, density, rounds)
        assert all(bool(mask.any()) for mask in expected), "no layer collapsed: scores are not all zero"
        ours = at.prune(net, method, density, x, y, rounds=rounds)
        assert all(torch.equal(a, b) for a, b in zip(ours.values(), expected, strict=True))


def test_force_lets_weights_return_and_iterative_snip_does_not() -> None:
    net, _, x, y = perceptron(1)
    path = {
        method: [at.prune(net, method, 0.3 ** (i / 6), x, y, rounds=i) for i in range(1, 7)]
        for method in ("iterative_snip", "force")
    }
    returned = {
        method: sum(int((b[name] & ~a[name]).sum()) for a, b in pairwise(masks) for name in a)
        for method, masks in path.items()
    }
    assert returned["iterative_snip"] == 0
    assert returned["force"] > 0


@pytest.mark.parametrize("method", ["iterative_snip", "force"])
def test_one_round_is_snip(method):
    net, x, y = made("residual")
    assert equal(at.prune(net, method, 0.1, x, y, rounds=1), at.prune(net, "snip", 0.1, x, y))


def test_snip_and_grasp_see_the_batch_in_train_mode() -> None:
    """By hand: a linear layer, BatchNorm over the batch, a linear layer."""
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False)).double().eval()
    net[1].running_mean.fill_(7)
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.arange(6) % 2

    def by_hand(weights: list[Tensor], x: Tensor) -> Tensor:
        h = x @ weights[0].T
        h = (h - h.mean(0)) / (h.var(0, unbiased=False) + 1e-5).sqrt()
        return h @ weights[1].T

    weights = [net[0].weight.detach(), net[2].weight.detach()]
    slow = {
        "snip": [s.abs() for s in reference.sensitivities(by_hand, weights, x, y)],
        "grasp": reference.grasp(by_hand, weights, x, y, 200),
    }
    for method, expected in slow.items():
        for ours, one in zip(scores(net, method, x, y).values(), expected, strict=True):
            assert torch.allclose(ours, one, rtol=1e-9, atol=1e-14 + 1e-9 * float(one.abs().max())), method


@pytest.mark.parametrize("method", METHODS)
def test_the_memory_layout_does_not_matter(method):
    net, x, y = made("residual")
    expected = at.prune(net, method, 0.1, x, y, rounds=few_rounds(method))
    other = at.prune(net.to(memory_format=torch.channels_last), method, 0.1, x, y, rounds=few_rounds(method))
    assert equal(other, expected)


def test_batches_add_up() -> None:
    net, _, x, y = perceptron()
    whole = scores(net, "grasp", x[:8], y[:8])
    halves = scores(net, "grasp", [x[:4], x[4:8]], [y[:4], y[4:8]])
    for name, score in whole.items():
        assert torch.allclose(halves[name], 4 * score, rtol=1e-9, atol=1e-18), "twice the gradient, twice the Hessian"
    assert equal(at.prune(net, "snip", 0.2, x[:8], y[:8]), at.prune(net, "snip", 0.2, [x[:4], x[4:8]], [y[:4], y[4:8]]))


def test_snip_does_not_change_when_neighbouring_layers_share_their_scale_otherwise() -> None:
    """|w ∂L/∂w| is invariant if one ReLU layer is doubled and the next halved; magnitude is not."""
    net, _, x, y = perceptron()
    before = {method: scores(net, method, x, y) for method in ("snip", "grasp", "synflow", "magnitude")}
    with torch.no_grad():
        net[0].weight *= 2
        net[2].weight /= 2
    for method in ("snip", "synflow"):
        after = scores(net, method, x, y)
        assert all(torch.allclose(after[n], s, rtol=1e-10, atol=1e-15) for n, s in before[method].items())
    assert not torch.allclose(scores(net, "magnitude")["0.weight"], before["magnitude"]["0.weight"])


def test_chosen_parameters_alone_are_pruned() -> None:
    net, x, y = made("mlp")
    masks = at.prune(net, "snip", 0.1, x, y, parameters=["1.2.weight"])
    assert list(masks) == ["1.2.weight"]
    assert kept(masks) == round(0.1 * 35)
    biases = at.prune(net, "magnitude", 0.5, parameters=["1.0.bias", "1.0.weight"])
    assert list(biases) == ["1.0.weight", "1.0.bias"], "in the network's order"


def test_half_precision_and_wider_inputs() -> None:
    net, x, y = made("mlp")
    assert scores(net.float(), "snip", x.float(), y)["1.0.weight"].dtype == torch.float32
    assert scores(net.float(), "snip", x, y)["1.0.weight"].dtype == torch.float64
    assert scores(net.bfloat16(), "snip", x.bfloat16(), y)["1.0.weight"].dtype == torch.float32


X, Y = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "synflw"}, r"unknown method 'synflw'; expected one of random, .*\. Did you mean 'synflow'\?"),
        ({"method": 3}, "unknown method 3; expected one of random"),
        ({"density": 0}, r"expected density in \(0, 1\], the share of weights to keep, got 0; give 0.05, say"),
        ({"method": "snip", "x": None}, r"snip needs x and y, got no x; give x=a batch of inputs \(n, ...\)"),
        ({"method": "snip", "y": None}, r"snip needs x and y, got no y; give y=its class numbers \(n,\)"),
        ({"method": "synflow", "x": None}, "synflow needs x, got no x; give x=a batch"),
        ({"method": "snip", "y": Y[:3]}, r"expected y as int64 class numbers \(4,\), .*, got \(3,\); give a number"),
        (
            {"method": "snip", "y": Y.float()},
            "expected y as int64 class numbers .*, got torch.float32; use",
        ),
        ({"method": "snip", "y": [0, 1, 2, 0]}, "expected as many batches in y as in x, got 4 and 1"),
        ({"method": "snip", "y": Y - 1}, "expected labels of 0 and more, got -1; number the classes from 0"),
        ({"method": "snip", "y": Y + 1}, "expected labels below 3, the number of logits, got 3; give the network an"),
        ({"method": "snip", "x": X[0]}, r"x must have shape \(n, ...\), got \(6,\); did you forget the batch"),
        ({"method": "snip", "x": X * math.nan}, "x holds NaN or infinity in 4 of 4 samples; clean the input first"),
        ({"method": "snip", "x": []}, "x holds no batches; give a tensor, or a list of at least one"),
        ({"method": "snip", "x": X[:, :5]}, r"the module fails on an input of shape \(4, 5\): .*; check x against"),
        (
            {"method": "snip", "net": Net(lambda net, x: net.a(x).log(), a=nn.Linear(6, 3))},
            "18 of 18 scores of 'a.weight' are NaN or infinite; check the weights for NaN and the loss for overflow",
        ),
        ({"seed": -1}, "expected seed to be an integer of at least 0, got -1; give 0 or more"),
        ({"scope": "locally"}, "scope='locally' is not one of global, layer"),
        ({"method": "erk", "scope": "layer"}, "erk divides the budget among the layers by itself; leave scope='layer'"),
        ({"method": "snip", "rounds": 2}, "snip takes one round, got rounds=2; leave it out, or choose one of iter"),
        ({"method": "force", "rounds": 0}, "expected rounds to be an integer of at least 1, got 0; give 1 or more"),
        ({"convention": "neurips23"}, "convention='neurips23' is not one of strict, iclr23"),
        ({"convention": "iclr23", "method": "phew"}, "'phew' crashes in the code of convention='iclr23', which has"),
        (
            {"convention": "iclr23", "method": "force"},
            "'force' does not exist there in the code of convention=",
        ),
        ({"convention": "iclr23", "scope": "layer"}, "inverts density in its layer-wise scope; use scope='global'"),
        ({"parameters": ["0.wight"]}, r"the network has no parameter '0.wight'; .* Did you mean '0.weight'\?"),
        ({"parameters": []}, "nothing to prune: expected convolution or linear weights, got none"),
        (
            {"net": nn.ReLU()},
            r"nothing to prune: expected convolution .*, or in Python name others in parameters=\[...\]",
        ),
        ({"net": "resnet"}, "the network must be a torch.nn.Module, got str; build it first"),
        ({"net": nn.LazyLinear(3)}, "the network has lazy layers without weights yet; run one forward pass first"),
    ],
)
def test_bad_input_is_told_in_a_line(arguments, message):
    plain = {"net": mlp(6, 5, 3), "method": "magnitude", "density": 0.5, "x": X, "y": Y}
    with pytest.raises(InputError, match=message) as caught:
        at.prune(**(plain | arguments))
    assert "\n" not in str(caught.value)


def test_weights_that_are_nan_are_refused() -> None:
    net = mlp(6, 5, 3)
    net[0].weight.data[0, 0] = math.nan
    with pytest.raises(InputError, match=r"'0.weight' holds NaN or infinity; initialise the network"):
        at.prune(net, "random", 0.5)


def test_a_network_without_second_derivatives_is_refused_for_grasp() -> None:
    centres = torch.randn(3, 5)
    net = Net(lambda net, x: -torch.cdist(net.a(x), centres), a=nn.Linear(6, 5))
    assert kept(at.prune(net, "snip", 0.5, X, Y)) == 15
    with pytest.raises(InputError, match=r"the module cannot be differentiated: .*; choose another method"):
        at.prune(net, "grasp", 0.5, X, Y)


@pytest.mark.parametrize("method", ["iterative_snip", "force", "uniform", "erk", "phew", "sinp"])
def test_methods_without_scores_are_refused(method):
    with pytest.raises(InputError, match=r"has no scores; expected one of random, magnitude, snip, grasp, synflow"):
        scores(mlp(6, 5, 3), method, X, Y)


@pytest.mark.parametrize("method", ["snip", "grasp", "iterative_snip", "force", "synflow"])
def test_dead_weights_that_only_the_seed_tells_apart_are_told(method: str) -> None:
    """Four of ten hidden units lead nowhere: 24 of the 60 weights before them, and 12 of the 30 behind, score 0."""
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    with torch.no_grad():
        net[0].bias.fill_(1.0)
        net[0].weight.abs_()
        net[0].weight[:4] = 0
        net[0].bias[:4] = -1.0
        net[2].weight[:, :4] = 0
    x, y = X.abs(), Y
    rounds = {"rounds": 3} if method in ("iterative_snip", "force", "synflow") else {}
    told = rf"of the weights that {method} keeps have a score of 0, like \d+ that it prunes: the seed"
    with pytest.warns(UserWarning, match=told) as warned:
        kept = at.prune(net, method, 70 / 90, x, y, **rounds)
    assert {Path(one.filename).name for one in warned} == {Path(__file__).name}, "the line that asked is named"
    if method != "grasp":  # whose scores have both signs
        assert kept["0.weight"][4:].all()
        assert kept["2.weight"][:, 4:].all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at.prune(net, method, 10 / 90, x, y, **rounds)


def test_a_budget_that_reaches_into_zeros_is_told() -> None:
    net = nn.Linear(10, 10)
    with torch.no_grad():
        net.weight[:, 5:] = 0
    with pytest.warns(UserWarning, match="10 of the weights that magnitude keeps have a score of 0, like 40 that it"):
        kept = at.prune(net, "magnitude", 0.6)["weight"]
    assert kept[:, :5].all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at.prune(net, "magnitude", 0.5)
        at.prune(net, "magnitude", 1.0)
