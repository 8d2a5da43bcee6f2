"""Stacks of masked networks against one module at a time, differentiated by torch and by the toolkit's own kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.probing.masked_mlp import MaskedMlps, draw_masked_mlps, masked_mlp_ntk, rescaled

X = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 6)))


class One(nn.Module):
    """Network k of a stack: a parameter a layer, times its mask, as the formula has it."""

    def __init__(self, nets: MaskedMlps, k: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(weight[k].clone()) for weight in nets.weights])
        self.scales = nets.scales
        for layer, mask in enumerate(nets.masks):
            weight = nets.weights[layer]
            self.register_buffer(f"mask{layer}", torch.ones_like(weight[k]) if mask is None else mask[k].to(weight))

    def forward(self, x: Tensor) -> Tensor:
        for layer, weight in enumerate(self.weights):
            x = nn.functional.linear(x, self.scales[layer] * getattr(self, f"mask{layer}") * weight)
            if layer + 1 < len(self.weights):
                x = math.sqrt(2 / x.shape[1]) * torch.relu(x)
        return x


def stack(keep: float = 0.4, dtype: torch.dtype = torch.float64, **options: bool) -> MaskedMlps:
    return draw_masked_mlps(range(3), 12, in_features=6, depth=3, keep=keep, seed=5, dtype=dtype, **options)


@pytest.mark.parametrize(
    "options", [{}, {"rescale": True}, {"mask_input": True}, {"rescale": True, "mask_input": True}]
)
def test_outputs_and_kernels_are_those_of_each_module(options: dict[str, bool]) -> None:
    nets = stack(**options)
    outputs, kernels = nets.outputs(X), masked_mlp_ntk(nets, X)
    assert kernels.shape == (3, 4, 4)
    for k in range(3):
        net = One(nets, k)
        torch.testing.assert_close(outputs[k], net(X)[:, 0].detach(), rtol=1e-12, atol=1e-12)
        parameters = {name: p.detach() for name, p in net.named_parameters()}
        jacobians = torch.func.jacrev(lambda p, net=net: torch.func.functional_call(net, p, (X,))[:, 0])(parameters)
        rows = torch.cat([part.flatten(1) for part in jacobians.values()], 1)
        torch.testing.assert_close(kernels[k], rows @ rows.T, rtol=1e-11, atol=1e-12)
        own = at.empirical_ntk(net, X, method="functional")
        torch.testing.assert_close(kernels[k], own, rtol=1e-11, atol=1e-12)


def test_pruned_weights_do_not_count_however_a_module_is_pruned() -> None:
    """torch's own pruning of linear layers in standard parametrisation, whose gradients are those times √(2/d)."""
    nets = stack()
    layers: list[nn.Module] = []
    for layer, weight in enumerate(nets.weights):
        linear = nn.Linear(weight.shape[2], weight.shape[1], bias=False, dtype=torch.float64)
        scale = math.sqrt(2 / weight.shape[2]) if layer else 1.0
        linear.weight.data = weight[0] * scale
        mask = nets.masks[layer]
        if mask is not None:
            prune.custom_from_mask(linear, "weight", mask[0])
        layers += [linear, nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    torch.testing.assert_close(nets.outputs(X)[0], net(X)[:, 0].detach(), rtol=1e-12, atol=1e-12)
    total = torch.zeros(4, 4, dtype=torch.float64)
    for name, parameter in net.named_parameters():
        (position,) = (int(part) for part in name.split(".") if part.isdigit())
        factor = 1.0 if position == 0 else 2 / parameter.shape[1]
        total += factor * at.empirical_ntk(net, X, parameters=lambda n, name=name: n == name, method="functional")
    torch.testing.assert_close(masked_mlp_ntk(nets, X)[0], total, rtol=1e-11, atol=1e-12)


def test_rescaling_is_one_factor_for_every_network() -> None:
    keep, plain = 0.4, stack()
    scaled = stack(rescale=True)
    torch.testing.assert_close(masked_mlp_ntk(scaled, X), masked_mlp_ntk(plain, X) / keep**3, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled.outputs(X), plain.outputs(X) / keep**1.5, rtol=1e-12, atol=1e-14)
    assert rescaled(plain, keep).scales == scaled.scales
    assert scaled.scales[0] == 1


def test_a_draw_is_the_same_whatever_it_is_drawn_with() -> None:
    many, one = (
        draw_masked_mlps(range(5), 8, in_features=3, keep=0.5),
        draw_masked_mlps([3], 8, in_features=3, keep=0.5),
    )
    for a, b in zip((*many.weights, *many.masks[1:]), (*one.weights, *one.masks[1:]), strict=True):
        assert a is not None
        assert b is not None
        assert torch.equal(a[3], b[0])
    other = draw_masked_mlps([3], 8, in_features=3, keep=0.5, seed=1)
    assert not torch.equal(other.weights[1], one.weights[1])
    assert many.masks[0] is None
    assert [tuple(w.shape) for w in many.weights] == [(5, 8, 3), (5, 8, 8), (5, 8, 8), (5, 1, 8)]
    dense = draw_masked_mlps([3], 8, in_features=3)
    assert dense.masks == (None,) * 4
    assert torch.equal(dense.weights[2], one.weights[2])
    assert torch.equal(masked_mlp_ntk(many, X[:, :3])[3:4], masked_mlp_ntk(one, X[:, :3]))


def test_weights_are_standard_normal_and_masks_keep_their_share() -> None:
    nets = draw_masked_mlps(range(4), 256, in_features=3, keep=0.3, seed=2)
    for weight, mask in zip(nets.weights[1:3], nets.masks[1:3], strict=True):
        assert mask is not None
        n = weight.numel()
        assert abs(float(weight.mean())) < 5 / math.sqrt(n)
        assert abs(float(weight.var()) - 1) < 5 * math.sqrt(2 / n)
        assert abs(float(mask.double().mean()) - 0.3) < 5 * math.sqrt(0.21 / n)
        together = float((weight * (mask.double() - 0.3)).mean())
        assert abs(together) < 5 * math.sqrt(0.21 / n), "masks do not look at weights"


def test_single_precision() -> None:
    double, single = masked_mlp_ntk(stack(), X), masked_mlp_ntk(stack(dtype=torch.float32), X)
    assert single.dtype == torch.float64
    torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": []}, "expected at least one draw, got none"),
        ({"draws": [-1]}, "expected a draw to be an integer of at least 0, got -1; give 0 or more"),
        ({"width": 0}, "expected width to be an integer of at least 1, got 0"),
        ({"width": 8.0}, r"expected width .* got 8\.0"),
        ({"in_features": 0}, "expected in_features .* got 0"),
        ({"depth": 0}, "expected depth .* got 0"),
        ({"seed": -3}, "expected seed .* got -3"),
        ({"keep": 0}, r"expected keep, the share of weights that stay, in \(0, 1\], got 0; 1 prunes nothing"),
        ({"dtype": torch.float16}, r"expected dtype torch.float32 or torch.float64, got torch.float16"),
    ],
)
def test_bad_input_is_told_in_one_line(change: dict[str, object], message: str) -> None:
    given = {"draws": range(2), "width": 8, "in_features": 3} | change
    with pytest.raises(InputError, match=message):
        draw_masked_mlps(**given)


def test_inputs_of_another_size() -> None:
    with pytest.raises(InputError, match=r"expected inputs of shape \(n, 6\), got \(2, 5\); flatten or resize them"):
        masked_mlp_ntk(stack(), X[:2, :5])
