"""PHEW: walks as the slow version takes them, their distribution, and wiring read off networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference import pruning as reference
from reference.zoo import Net
from small_networks import made, mlp
from torch import Tensor, nn

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.networks.initialise import generator
from automl_theory.pruning.budgets import budget
from automl_theory.pruning.functional import Setting
from automl_theory.pruning.masks import prunable
from automl_theory.pruning.phew import BATCH
from automl_theory.pruning.wiring import INPUT, Wiring, wiring


def setting(net: nn.Module, x: Tensor) -> Setting:
    return Setting(net, {n: p.detach() for n, p in prunable(net).items()}, [(x, None)], 0)


def wires(net: nn.Module, x: Tensor) -> Wiring:
    return wiring(setting(net.eval(), x))


@pytest.mark.parametrize("seed", range(4))
def test_masks_are_those_of_walks_taken_one_by_one(seed):
    torch.manual_seed(seed)
    net = mlp(5, 7, 6, 3).double()
    with torch.no_grad():
        net[0].weight[:, 1] = 0
    matrices = [layer.weight.detach().numpy() for layer in net[::2]]
    for density in (0.02, 0.1, 0.4):
        count = budget(sum(m.size for m in matrices), density)
        expected = reference.phew(matrices, count, generator("prune ties", seed), BATCH)
        ours = at.prune(net, "phew", density, torch.zeros(1, 5), seed=seed)
        assert all(torch.equal(a, b) for a, b in zip(ours.values(), expected, strict=True))


def test_steps_follow_the_weights() -> None:
    """One step from the one input: weight j with probability |w_j| / Σ |w|; backwards there is no choice."""
    net = nn.Linear(1, 4, bias=False).double()
    net.weight.data = torch.tensor([[4.0], [-3], [2], [1]], dtype=torch.float64)
    first = [int(at.prune(net, "phew", 0.25, torch.zeros(1, 1), seed=s)["weight"].nonzero()[0, 0]) for s in range(600)]
    share = np.bincount(first, minlength=4) / 600
    assert np.abs(share - [0.4, 0.3, 0.2, 0.1]).max() < 0.08, "the first walk is a forward one; standard error 0.02"


def test_every_kept_weight_is_on_a_path_but_for_the_last_walk() -> None:
    torch.manual_seed(0)
    net = mlp(12, 20, 20, 6).double()
    depth = 3
    for seed in range(5):
        masks = list(at.prune(net, "phew", 0.1, torch.zeros(1, 12), seed=seed).values())
        reached = [torch.ones(12, dtype=torch.bool)]
        for mask in masks:
            reached.append((mask & reached[-1]).any(1))
        leads = [torch.ones(6, dtype=torch.bool)]
        for mask in reversed(masks):
            leads.append((mask & leads[-1][:, None]).any(0))
        leads = leads[::-1]
        lost = sum(int((m & ~(r & to[:, None])).sum()) for m, r, to in zip(masks, reached, leads[1:], strict=False))
        assert lost < depth


def test_inputs_and_outputs_are_started_from_in_turn() -> None:
    torch.manual_seed(0)
    net = mlp(10, 30, 10).double()
    masks = list(at.prune(net, "phew", 40 / 600, torch.zeros(1, 10)).values())
    assert bool(masks[0].any(0).all()), "each of ten walks from an input has at most two new weights"
    assert bool(masks[1].any(1).all())


@pytest.mark.parametrize("density", [0.6, 0.99, 1.0])
def test_dense_budgets_are_filled_up(density):
    torch.manual_seed(0)
    net = mlp(20, 30, 20).double()
    with torch.no_grad():
        net[0].weight[3:, 0] *= 1e-12
    mask = at.prune(net, "phew", density, torch.zeros(1, 20))
    assert sum(int(m.sum()) for m in mask.values()) == budget(1200, density)
    if density == 0.6:
        assert int(mask["0.weight"][3:, 0].sum()) < 5, "tiny weights are the last"


def test_what_no_layer_calls_is_the_last_to_stay() -> None:
    net = Net(lambda net, x: net.a(x), idle=nn.Linear(5, 5, bias=False), a=nn.Linear(4, 5, bias=False))
    masks = at.prune(net, "phew", 20 / 45, torch.zeros(1, 4))
    assert int(masks["idle.weight"].sum()) == 0
    assert bool(masks["a.weight"].all())


def test_wiring_of_a_chain_with_pooling_and_flattening() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 5),
    )
    plan = wires(net, torch.zeros(1, 2, 4, 4))
    assert [node.name for node in plan.nodes] == ["0.weight", "5.weight"]
    assert [node.index.shape for node in plan.nodes] == [(1, 3, 2, 9), (1, 5, 12, 1)]
    assert torch.equal(plan.nodes[0].feeds[INPUT], torch.eye(2, dtype=torch.bool))
    assert torch.equal(plan.nodes[1].feeds[0], torch.eye(3, dtype=torch.bool).repeat_interleave(4, 1))
    assert set(plan.nodes[1].feeds) == {0}
    assert torch.equal(plan.outputs[1], torch.eye(5, dtype=torch.bool))


def test_wiring_of_skips_concatenation_and_groups() -> None:
    net = Net(
        lambda net, x: net.d(torch.cat([net.a(x).relu() + x, net.b(x)], 1)).mean((2, 3)),
        a=nn.Conv2d(2, 2, 1, groups=2),
        b=nn.ConvTranspose2d(2, 4, 1, groups=2),
        d=nn.Conv2d(6, 4, 1, groups=2),
    )
    plan = wires(net, torch.zeros(1, 2, 3, 3))
    eye = torch.eye
    assert torch.equal(plan.nodes[2].feeds[0], torch.cat([eye(2), torch.zeros(2, 4)], 1).bool())
    assert torch.equal(plan.nodes[2].feeds[1], torch.cat([torch.zeros(4, 2), eye(4)], 1).bool())
    assert torch.equal(plan.nodes[2].feeds[INPUT], torch.cat([eye(2), torch.zeros(2, 4)], 1).bool())
    # Group g of a transposed convolution: its weight is (in, out a group, …).
    assert plan.nodes[1].index[:, :, 0, 0].tolist() == [[0, 1], [2, 3]]
    assert plan.nodes[2].index.reshape(2, 2, 3).tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


def test_walks_stay_in_their_group() -> None:
    """Depthwise layers: an input's walk keeps its channel, so with one class there is one path an input."""
    net = nn.Sequential(
        nn.Conv2d(3, 3, 1, groups=3, bias=False),
        nn.Conv2d(3, 3, 1, groups=3, bias=False),
        nn.Flatten(),
        nn.Linear(3, 1, bias=False),
    )
    masks = at.prune(net, "phew", 3 / 9, torch.zeros(1, 3, 1, 1))
    chosen = [mask.flatten().nonzero().flatten().tolist() for mask in masks.values()]
    assert chosen == [[0], [0], [0]], "the first walk starts at the first input"


def test_residual_networks_and_layers_called_twice() -> None:
    for name in ("residual", "tied", "convolutions"):
        net, x, _ = made(name)
        masks = at.prune(net, "phew", 0.2, x)
        assert all(bool(mask.any()) for mask in masks.values()), name
    plan = wires(made("tied")[0], made("tied")[1])
    assert [node.name for node in plan.nodes] == ["1.weight", "3.weight", "3.weight"]


def test_attention_is_walked_through() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v, self.out = (nn.Linear(6, 6) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x))
            return self.out(y).mean(1)

    masks = at.prune(Attends(), "phew", 0.3, torch.randn(2, 5, 6))
    assert sum(int(m.sum()) for m in masks.values()) == budget(144, 0.3)
    assert bool(masks["v.weight"].any())


def test_what_phew_cannot_walk_is_refused() -> None:
    tokens = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(InputError, match="phew walks from the network's inputs and needs floating-point ones"):
        at.prune(tokens, "phew", 0.5, torch.zeros(2, 3, dtype=torch.int64))
    product = Net(lambda net, x: x @ net.a.weight.T, a=nn.Linear(4, 3))
    with pytest.raises(InputError, match="phew walks through convolution and linear layers, and none is called"):
        at.prune(product, "phew", 0.5, torch.zeros(2, 4))
