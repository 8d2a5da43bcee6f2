"""SynFlow: flow is conserved, layers do not collapse, and hundreds of layers do not overflow."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import pruning as reference
from reference.zoo import Net
from small_networks import block, made, mlp
from torch import Tensor, nn

import automl_theory as at
from automl_theory.pruning.at_init import scores
from automl_theory.pruning.budgets import budget

some = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def chains(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    """A chain of convolutions, or none, then linear layers; biases, BatchNorm, pooling and widths as they come."""
    channels = draw(st.integers(1, 3))
    size = draw(st.sampled_from([4, 6]))
    layers: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(draw(st.integers(0, 999)))
        width = channels
        for _ in range(draw(st.integers(0, 3))):
            out = draw(st.integers(1, 8)) * (groups := draw(st.sampled_from([1, width])))
            layers.append(nn.Conv2d(width, out, 3, padding=1, groups=groups, bias=draw(st.booleans())))
            if draw(st.booleans()):
                norm = nn.BatchNorm2d(out)
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
                nn.init.normal_(norm.weight)
                nn.init.normal_(norm.bias)
                layers.append(norm)
            layers.append(draw(st.sampled_from([nn.ReLU(), nn.ReLU6(), nn.AvgPool2d(2, 1, 1), nn.LeakyReLU()])))
            width = out
        layers += [
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            mlp(4 * width, *draw(st.lists(st.integers(2, 30), min_size=1, max_size=5)), 4),
        ]
    return nn.Sequential(*layers), torch.zeros(1, channels, size, size)


@some
@given(chains(), st.integers(0, 3))
def test_the_scores_of_every_layer_of_a_chain_add_up_to_the_same(chain, masked):
    net, x = chain
    if masked:
        weights = [p for n, p in net.named_parameters() if n.endswith("weight") and p.dim() > 1]
        with torch.no_grad():
            for p in weights:
                p.mul_(torch.rand(p.shape, generator=torch.Generator().manual_seed(masked)) < 0.7)
    found = scores(net, "synflow", x)
    sums = np.array([float(score.sum()) for score in found.values()])
    assert np.allclose(sums, sums[0], rtol=1e-10, atol=0)
    assert all(bool((score >= 0).all()) for score in found.values())


@settings(some, max_examples=12)
@given(chains())
def test_no_layer_of_a_chain_collapses_at_999_permille(chain):
    net, x = chain
    sizes = [p.numel() for n, p in net.named_parameters() if n.endswith("weight") and p.dim() > 1]
    # A sparsity of 99.9 %, and where that leaves less than a weight a layer, one weight a layer.
    density = max(0.001, len(sizes) / sum(sizes))
    masks = at.prune(net, "synflow", density, x)
    assert sum(int(m.sum()) for m in masks.values()) == budget(sum(sizes), density)
    assert all(bool(mask.any()) for mask in masks.values())
    assert all(float(s.sum()) > 0 for s in flows_under(net, masks, x)), "and a path goes through"


def flows_under(net: nn.Module, masks: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    with torch.no_grad():
        for name, mask in masks.items():
            net.get_parameter(name).mul_(mask)
        found = list(scores(net, "synflow", x).values())
        for name, value in before.items():
            net.get_parameter(name).copy_(value)
    return found


@pytest.mark.parametrize("name", ["residual", "convolutions"])
@pytest.mark.parametrize("density", [0.02, 0.05])
def test_no_layer_of_other_networks_collapses_either(name, density):
    net, x, _ = made(name)
    masks = at.prune(net, "synflow", density, x)
    assert all(bool(mask.any()) for mask in masks.values())
    assert all(float(s.sum()) > 0 for s in flows_under(net, masks, x))


def test_a_larger_residual_network_at_999_permille() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, bias=False), *[block(16) for _ in range(5)], nn.Flatten(), nn.Linear(576, 10)
    )
    masks = at.prune(net, "synflow", 0.001, torch.zeros(1, 3, 8, 8), rounds=20)
    assert all(bool(mask.any()) for mask in masks.values())


@pytest.mark.parametrize("seed", range(3))
def test_equal_weights_do_not_collapse_either(seed):
    """All scores of a layer tie: the seed draws, and a path is left."""
    nets = mlp(20, 40, 30, 10), nn.Sequential(*[block(6) for _ in range(3)], nn.Flatten(), nn.Linear(96, 4))
    for net, x in zip(nets, (torch.zeros(1, 20), torch.zeros(1, 6, 4, 4)), strict=True):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.fill_(0.1)
        masks = at.prune(net, "synflow", 0.01, x, seed=seed, rounds=20)
        assert all(bool(mask.any()) for mask in masks.values())
        assert all(float(s.sum()) > 0 for s in flows_under(net, masks, x))


def test_magnitude_does_collapse_there() -> None:
    """What the guard and conservation are against."""
    torch.manual_seed(0)
    net = mlp(10, 100, 1000, 10)
    density = 0.001
    assert not all(bool(mask.any()) for mask in at.prune(net, "magnitude", density).values())
    assert all(bool(mask.any()) for mask in at.prune(net, "synflow", density, torch.zeros(1, 10)).values())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("density", "rounds"), [(0.5, 1), (0.3, 4), (0.12, 100)])
def test_masks_are_those_of_the_papers_loop_over_all_paths(seed, density, rounds):
    torch.manual_seed(seed)
    net = mlp(5, 6, 4, 3).double()
    expected = reference.synflow([layer.weight.detach().numpy() for layer in net[::2]], density, rounds)
    ours = at.prune(net, "synflow", density, torch.zeros(1, 5), rounds=rounds)
    assert all(torch.equal(a, b) for a, b in zip(ours.values(), expected, strict=True))


def test_one_budget_for_each_layer_leaves_a_single_path() -> None:
    torch.manual_seed(0)
    net = mlp(7, 9, 8, 6, 5)
    masks = list(at.prune(net, "synflow", 4 / (63 + 72 + 48 + 30), torch.zeros(1, 7)).values())
    assert [int(mask.sum()) for mask in masks] == [1, 1, 1, 1]
    ends = [mask.nonzero()[0].tolist() for mask in masks]
    assert all(before[0] == after[1] for before, after in pairwise(ends))


def test_biases_means_labels_and_data_do_not_enter() -> None:
    net, x, _ = made("residual")
    before = scores(net, "synflow", x)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
        net[1].running_mean.normal_()
    after = scores(net, "synflow", torch.rand_like(x[:3]) * 7)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_signs_do_not_enter_and_scale_only_scales() -> None:
    net, x, _ = made("residual")
    before = scores(net, "synflow", x)
    with torch.no_grad():
        net[0].weight.neg_().mul_(3)
    assert all(torch.allclose(s, 3 * before[n], rtol=1e-12) for n, s in scores(net, "synflow", x).items())


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_five_hundred_layers_do_not_overflow(scale):
    """R is far beyond float64 for scale 1e3, far below it for 1e-3; conservation and ranking stand."""
    torch.manual_seed(0)
    net = mlp(*[8] * 501, bias=False).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-scale, scale)
    found = scores(net, "synflow", torch.zeros(1, 8))
    sums = np.array([float(score.sum()) for score in found.values()])
    assert np.isfinite(sums).all()
    assert np.allclose(sums, sums[0], rtol=1e-9)
    masks = at.prune(net, "synflow", 0.1, torch.zeros(1, 8), rounds=3)
    assert all(bool(mask.any()) for mask in masks.values())


def test_rescaling_keeps_the_ranking_of_a_chain() -> None:
    torch.manual_seed(0)
    net = mlp(6, 8, 8, 5, bias=False).double()
    before = torch.cat([s.flatten() for s in scores(net, "synflow", torch.zeros(1, 6)).values()])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1e110)
    after = torch.cat([s.flatten() for s in scores(net, "synflow", torch.zeros(1, 6)).values()])
    assert torch.allclose(after / after.sum(), before / before.sum(), rtol=1e-10)


@pytest.mark.filterwarnings("ignore:.*that synflow keeps have a score of 0")  # so all do here
def test_a_network_without_a_path_scores_zero_and_still_keeps_its_budget() -> None:
    net = mlp(4, 5, 3)
    net[0].weight.data.zero_()
    assert all(not bool(score.any()) for score in scores(net, "synflow", torch.zeros(1, 4)).values())
    masks = at.prune(net, "synflow", 0.5, torch.zeros(1, 4), rounds=3)
    assert sum(int(m.sum()) for m in masks.values()) == budget(35, 0.5)


def test_normalisation_without_statistics_only_multiplies() -> None:
    """LayerNorm, GroupNorm and InstanceNorm would turn an input of ones into zeros."""
    torch.manual_seed(0)
    norms = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 4), nn.RMSNorm(4), nn.Linear(4, 2))
    images = nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4, affine=True)
    )
    for net, x in (
        (norms, torch.zeros(1, 6)),
        (nn.Sequential(images, nn.Flatten(), nn.Linear(16, 2)), torch.zeros(1, 2, 2, 2)),
    ):
        sums = [float(score.sum()) for score in scores(net, "synflow", x).values()]
        assert sums[0] > 0
        assert np.allclose(sums, sums[0], rtol=1e-10)


@pytest.mark.filterwarnings("ignore:.*that synflow keeps have a score of 0")  # what the causal mask hides
@pytest.mark.parametrize("causal", [torch.ones(4, 4).tril().bool(), torch.full((4, 4), -math.inf).triu(1)])
@pytest.mark.parametrize("convention", ["strict", "iclr23"])
def test_masks_among_the_buffers_stay_what_they_are(causal, convention):
    net = Net(
        lambda net, x: net.b(nn.functional.scaled_dot_product_attention(net.a(x), x, x, net.causal)).mean(1),
        a=nn.Linear(5, 5),
        b=nn.Linear(5, 2),
    )
    net.register_buffer("causal", causal)
    for method in ("synflow", "phew", "grasp") if convention == "strict" else ("synflow",):
        masks = at.prune(net, method, 0.4, torch.randn(3, 4, 5), torch.arange(3) % 2, convention=convention)
        left = sum(int(m.sum()) for m in masks.values())
        assert left == 14 if convention == "strict" else 0 < left < 14


def test_tokens_and_shared_layers() -> None:
    net = Net(
        lambda net, x: net.b(net.a(net.a(net.e(x).mean(1)))), e=nn.Embedding(9, 5), a=nn.Linear(5, 5), b=nn.Linear(5, 2)
    )
    found = scores(net, "synflow", torch.randint(0, 9, (3, 4)))
    assert math.isclose(float(found["a.weight"].sum()), 2 * float(found["b.weight"].sum()), rel_tol=1e-9), "used twice"
