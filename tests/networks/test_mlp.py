from __future__ import annotations

import numpy as np
import pytest
import torch
from reference.mlp_dag import operation, recipe_weight

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.networks.initialise import draw
from automl_theory.networks.mlp import MlpDagNetwork

SPACE = at.space("mlp_dag")
X = torch.randn(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def by_hand(code: str, net: MlpDagNetwork, x: torch.Tensor) -> list[torch.Tensor]:
    weights = {name: value.detach() for name, value in net.named_parameters()}
    nodes = [(x.flatten(1) @ weights["_stem.layer.0.weight"].T).clamp_min(0)]
    for t in range(1, len(code.split("_")) + 1):
        value = torch.zeros_like(nodes[0])
        for s in range(t):
            if operation(code, s, t) == "1":
                value = value + nodes[s]
            if operation(code, s, t) == "2":
                value = value + (nodes[s] @ weights[f"_to_from_dag_layers.{t - 1}.{s}.0.layer.0.weight"].T).clamp_min(0)
        nodes.append(value)
    return [*nodes, nodes[-1] @ weights["_readout.weight"].T]


@pytest.mark.parametrize("code", ["2_02_002", "2_22_222", "1_21_102", "0_00_201", "2_00_000", "0_02_102"])
def test_the_network_is_what_the_code_says(code: str) -> None:
    net = SPACE.build(code, 8, 4, 3, 2).double()
    values = by_hand(code, net, X)
    for ours, expected in zip([*net.nodes(X), net(X)], values, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    assert net.training


def test_equal_edges_have_equal_weights_in_every_cell_and_he_variance() -> None:
    a, b = (dict(SPACE.build(code, 256, seed=3).named_parameters()) for code in ("2_22_222", "0_02_102"))
    for name in a.keys() & b.keys():
        assert torch.equal(a[name], b[name])
    assert len(a.keys() & b.keys()) == 4
    for name, weight in a.items():
        assert float(weight.detach().var()) == pytest.approx(2 / weight.shape[1], rel=0.1)
        assert np.array_equal(weight.detach().numpy(), draw(name, tuple(weight.shape), "he_fan_in", 3))
    assert np.allclose(recipe_weight("a", (3, 8)), draw("a", (3, 8), "he_fan_in", 2023))


def test_scales_of_the_input() -> None:
    code = "1_12_212"
    plain = SPACE.build(code, 8, 4, 3, 2).double()
    unit = SPACE.build(code, 8, 4, 3, 2, scale="unit").double()
    dimension = SPACE.build(code, 8, 4, 3, 2, scale="dimension").double()
    norms = X.flatten(1).norm(dim=1)
    torch.testing.assert_close(unit(X), plain(X / norms[:, None, None, None]), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(dimension(X), np.sqrt(12) * unit(X), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(unit(7 * X), unit(X), rtol=1e-12, atol=1e-14)
    assert not unit(0 * X).any()


def test_biases_are_there_on_request_and_start_at_zero() -> None:
    code = "2_02_002"
    with_bias, without = SPACE.build(code, 8, bias=True), SPACE.build(code, 8)
    names = {name for name, _ in with_bias.named_parameters()} - {name for name, _ in without.named_parameters()}
    assert len(names) == 5
    assert all(name.endswith("bias") for name in names)
    x = torch.randn(3, 3, 32, 32)
    assert torch.equal(with_bias(x), without(x))
    assert SPACE.build(code, 8, bias=True, init="pytorch")._readout.bias.abs().min() > 0


def test_a_dead_linear_edge_without_input_adds_nothing_and_learns_nothing() -> None:
    """Its bias starts at 0, where the derivative of a ReLU is 0: the live part stays the same function in training."""
    dead, live = (SPACE.build(code, 8, 4, 3, 2, bias=True).double() for code in ("0_00_202", "0_00_200"))
    assert SPACE.canonical("0_00_202") == SPACE.canonical("0_00_200")
    for net in (dead, live):
        optimiser = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(3):
            optimiser.zero_grad()
            net(X).square().mean().backward()
            optimiser.step()
    torch.testing.assert_close(dead(X), live(X), rtol=1e-12, atol=1e-14)


def test_every_kernel_takes_the_fast_way() -> None:
    for scale in ("none", "unit", "dimension"):
        net = SPACE.build("2_21_212", 8, 4, 3, 2, scale=scale).double()
        fast = at.empirical_ntk(net, X, method="layers")
        torch.testing.assert_close(fast, at.empirical_ntk(net, X, method="functional"), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: MlpDagNetwork("2_02", 4), "expected the operations into each node, got '2_02'; parse"),
        (lambda: MlpDagNetwork((), 4), "expected the operations"),
        (lambda: MlpDagNetwork(((2,), (0,)), 4), r"node 2 needs 2 operations of 0, 1 and 2, got \(0,\)"),
        (lambda: MlpDagNetwork(((3,),), 4), r"node 1 needs 1 operations .*got \(3,\)"),
        (lambda: MlpDagNetwork(((2,),), 0), "in_features to be an integer of at least 1"),
        (lambda: SPACE.build("2_02_002", 8, scale="units"), "scale='units' is not one of none, .*Did you mean 'unit'"),
        (lambda: SPACE.build("2_02_002", 8)(torch.zeros(2, 3, 8, 8)), r"of 3072 numbers each, got \(2, 3, 8, 8\); res"),
        (lambda: SPACE.build("2_02_002", 8)(torch.zeros(3072)), r"got \(3072,\)"),
        (lambda: SPACE.build("2_02_002", 8, init="he"), "unknown initialisation 'he'"),
    ],
)
def test_bad_arguments_are_explained(make: object, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make()
