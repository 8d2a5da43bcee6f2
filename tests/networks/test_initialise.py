from __future__ import annotations

import math
from zlib import crc32

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from automl_theory.errors import InputError
from automl_theory.networks.initialise import METHODS, draw, initialise


def state(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1, bias=False), nn.Flatten(), nn.Linear(64, 5)
    )


@pytest.mark.parametrize("method", METHODS)
def test_same_name_and_seed_same_values(method):
    first = state(initialise(small(), method, seed=7))
    torch.manual_seed(1)
    assert equal(first, state(initialise(small(), method, seed=7)))
    assert not equal(first, state(initialise(small(), method, seed=8)))
    assert torch.equal(first["0.weight"], torch.from_numpy(draw("0.weight", (8, 3, 3, 3), method, 7)))


def test_he_fan_in_is_the_recipe_of_the_oracle():
    net = initialise(small(), "he_fan_in", seed=2023)
    for name, parameter in net.named_parameters():
        if parameter.dim() < 2:
            continue
        shape = tuple(parameter.shape)
        g = np.random.Generator(np.random.PCG64(crc32(name.encode("utf8")) ^ 2023))
        expected = (g.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))).astype(np.float32)
        assert np.array_equal(parameter.detach().numpy(), expected)
    assert not net[0].bias.any()
    assert not net[5].bias.any()


@pytest.mark.parametrize(
    ("method", "scale"), [("pytorch", 1 / 3 / 72), ("he_fan_in", 2 / 72), ("he_fan_out", 2 / (64 * 9))]
)
def test_variance_is_that_of_the_method(method, scale):
    weights = draw("w", (64, 8, 3, 3), method)
    assert weights.dtype == np.float32
    assert weights.var() == pytest.approx(scale, rel=0.06)
    assert weights.mean() == pytest.approx(0, abs=4 * math.sqrt(scale / weights.size))


@pytest.mark.parametrize("layer", [nn.Linear(50, 400), nn.Conv2d(6, 60, 3, groups=2), nn.ConvTranspose2d(20, 10, 3)])
def test_pytorch_method_has_the_distribution_of_torch(layer):
    torch.manual_seed(0)
    layer.reset_parameters()
    theirs = state(layer)
    ours = state(initialise(layer))
    for name in ("weight", "bias"):
        assert ours[name].abs().max() <= theirs[name].abs().max() * 1.2
        if theirs[name].numel() >= 60:
            assert stats.ks_2samp(ours[name].flatten().numpy(), theirs[name].flatten().numpy()).pvalue > 1e-3
    bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
    assert ours["weight"].abs().max() <= bound
    assert ours["weight"].abs().max() > 0.98 * bound


def test_values_do_not_depend_on_neighbours_dtype_or_random_state():
    big, double, alone = small(), small().double(), nn.ModuleDict({"0": nn.Conv2d(3, 8, 3)})
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # that state is the matter
    initialise(big, seed=3)
    initialise(alone, seed=3)
    assert torch.equal(big[0].weight, alone["0"].weight)
    initialise(double, seed=3)
    for name, value in big.named_parameters():
        assert torch.equal(value.double(), double.get_parameter(name))
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002  # that state is the matter


@pytest.mark.parametrize("method", METHODS)
def test_norms_and_their_buffers(method):
    norms = [nn.BatchNorm2d(4), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.GroupNorm(2, 4)]
    norms += [nn.LayerNorm([4, 4]), nn.RMSNorm(4), nn.BatchNorm1d(4, affine=False), nn.LayerNorm(4, bias=False)]
    for norm in norms:
        for value in norm.state_dict().values():
            value.fill_(9)
        initialise(norm, method)
        for name, value in norm.state_dict().items():
            expected = float(name in ("weight", "running_var"))
            assert torch.equal(value, torch.full_like(value, expected)), (norm, name)


def test_other_modules():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((5,), 9.0))
            self.mean_bias = nn.Parameter(torch.full((5,), 9.0))
            self.temperature = nn.Parameter(torch.tensor(9.0))
            self.token = nn.Parameter(torch.full((1, 1, 5), 9.0))
            self.table = nn.Embedding(6, 3, padding_idx=2)
            self.prelu = nn.PReLU()
            self.cell = nn.LSTM(3, 2)
            self.whole = nn.Parameter(torch.arange(3), requires_grad=False)
            self.register_buffer("kept", torch.full((2,), 9.0))

    odd = initialise(Odd(), "he_fan_in", seed=1)
    assert torch.equal(odd.scale, torch.ones(5))
    assert odd.temperature == 1
    assert not odd.mean_bias.any()
    assert torch.equal(odd.token, torch.from_numpy(draw("token", (1, 1, 5), "he_fan_in", 1)))
    assert not odd.table.weight[2].any()
    assert odd.table.weight[0].all()
    assert odd.prelu.weight.item() == 0.25
    assert not odd.cell.bias_ih_l0.any()
    assert torch.equal(odd.cell.weight_ih_l0, torch.from_numpy(draw("cell.weight_ih_l0", (8, 3), "he_fan_in", 1)))
    assert odd.whole.tolist() == [0, 1, 2]
    assert odd.kept.tolist() == [9, 9]


def test_shared_parameters_take_their_first_name():
    net = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    net["b"].weight = net["a"].weight
    initialise(net)
    assert torch.equal(net["b"].weight, torch.from_numpy(draw("a.weight", (3, 3))))


def test_rename_keys_the_draw():
    net = initialise(nn.Sequential(nn.Linear(3, 3)), rename=lambda name: name.replace("0.", "stem."))
    assert torch.equal(net[0].weight, torch.from_numpy(draw("stem.weight", (3, 3))))


def test_leaves_mode_and_requires_grad_alone():
    net = small().eval()
    net[0].weight.requires_grad_(False)
    net[5].weight.grad = torch.ones(5, 64)
    assert initialise(net) is net
    assert not net.training
    assert not net[0].weight.requires_grad
    assert net[5].weight.requires_grad
    assert net[5].weight.grad.all()


def test_mistakes_are_named():
    with pytest.raises(InputError, match="Did you mean 'he_fan_in'"):
        initialise(small(), "he_fanin")
    with pytest.raises(InputError, match="expected one of pytorch, he_fan_in, he_fan_out"):
        draw("w", (2, 2), "zeros")
    for seed in (-1, 0.5, True, None):
        with pytest.raises(InputError, match=f"seed to be an integer of at least 0, got {seed}; give 0 or more"):
            initialise(small(), seed=seed)
    with pytest.raises(InputError, match="'weight' is lazy and has no shape"):
        initialise(nn.LazyLinear(3))
    with pytest.raises(InputError, match=r"expected an nn\.Module to initialise, got str; build the network first"):
        initialise("net")
    with pytest.raises(InputError, match="meta"):
        initialise(nn.Linear(2, 2, device="meta"))


def test_empty_and_numpy_seed():
    initialise(nn.ReLU())
    assert draw("w", (0, 3)).shape == (0, 3)
    net = nn.Linear(2, 2)
    assert equal(state(initialise(net, seed=np.int64(4))), state(initialise(net, seed=4)))
