"""A module is left exactly as found: by every entry point, also when something goes wrong in the middle."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from automl_theory.errors import InputError
from automl_theory.probing.signals import Signals
from automl_theory.probing.tangent_kernel import empirical_ntk
from automl_theory.probing.untouched import untouched
from automl_theory.proxies import get_proxies
from automl_theory.scoring.single import evaluate, needs_of, score

HOOKS = [name for name in vars(nn.Module()) if "hook" in name]


class Keeper(nn.Module):
    """Keeps things of its forward pass, replaces a buffer, writes into another, draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("history", torch.zeros(3))
        self.register_buffer("unset", None)
        self.last: object = "nothing"
        self.count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.history = self.history + x.mean().detach()
        self.unset = torch.ones(2)
        self.last, self.count, self.new = x, self.count + 1, 1
        self.register_buffer("late", torch.ones(1))
        self.extra = nn.ReLU()
        np.random.random()  # noqa: NPY002  # that state is the matter
        random.random()
        return self.layer(x) + 1e-6 * torch.rand(8, dtype=x.dtype)


class Trap(nn.Module):
    """Raises `error` in its forward pass, or in the backward pass through it."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.backward = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.error is not None and not self.backward:
            raise self.error
        if self.error is not None and x.requires_grad:
            x = x * 1
            x.register_hook(self.spring)
        return x

    def spring(self, grad: torch.Tensor) -> None:
        raise self.error


def network() -> nn.Sequential:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(16, 8),
        Keeper(),
        Trap(),
    )
    net.train()
    net[1].eval()
    net[0].bias.requires_grad_(False)
    net[5].weight.grad = torch.ones(8, 16)
    net[2].register_forward_hook(lambda module, inputs, output: None)
    net[5].register_full_backward_hook(lambda module, inputs, output: None)
    return net


def snapshot(net: nn.Module) -> dict[str, object]:
    """Everything there is to see, with values as bytes and identities where a user may hold a reference."""
    return {
        "state": {
            name: (id(t), t.numpy().tobytes()) for name, t in net.state_dict(keep_vars=False).items() if t is not None
        },
        "parameters": {n: (id(p), id(p.grad), p.requires_grad, p.is_leaf) for n, p in net.named_parameters()},
        "gradients": {n: p.grad.numpy().tobytes() for n, p in net.named_parameters() if p.grad is not None},
        "buffers": {n: (id(b), b.requires_grad) for n, b in net.named_buffers()},
        "attributes": {
            (name, key): (id(value) if not isinstance(value, (bool, int, str)) else value)
            for name, module in net.named_modules()
            for key, value in module.__dict__.items()
        },
        "hooks": {
            (name, hook): list(getattr(m, hook).items())
            for name, m in net.named_modules()
            for hook in HOOKS
            if isinstance(getattr(m, hook), dict)
        },
        "training": [m.training for m in net.modules()],
        "random": (torch.get_rng_state().numpy().tobytes(), random.getstate()),
        "older random": np.random.get_state()[1].tobytes(),  # noqa: NPY002  # that state is the matter
    }


def same(before: dict[str, object], after: dict[str, object]) -> None:
    before["state"] = {name: content for name, (_, content) in before["state"].items()}
    after["state"] = {name: content for name, (_, content) in after["state"].items()}
    for key, value in before.items():
        assert value == after[key], key


def all_proxies(net: nn.Module, x: torch.Tensor) -> None:
    proxies = get_proxies("full")
    for bn in ("frozen", "running"):
        evaluate(Signals(net, x, torch.arange(len(x)) % 3, bn=bn, needs=needs_of(proxies)), proxies)


X = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
ENTRIES = {
    "ntk": lambda net, x: empirical_ntk(net, x),
    "ntk_batch": lambda net, x: empirical_ntk(net, x, bn="batch", output="trace"),
    "ntk_full": lambda net, x: empirical_ntk(net, x, x[:4], output="full", biases=True),
    "ntk_functional": lambda net, x: empirical_ntk(net, x, method="coupled"),
    "score": lambda net, x: score(net, x, torch.arange(len(x)) % 3, "full"),
    "score_seeded": lambda net, x: score(net, x, torch.arange(len(x)) % 3, "core", seed=1),
    "signals": all_proxies,
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("entry", ENTRIES)
def test_nothing_changes(entry):
    net = network()
    before, data = snapshot(net), X.clone()
    ENTRIES[entry](net, data)
    same(before, snapshot(net))
    assert torch.equal(data, X)
    assert data.grad is None
    assert not data.requires_grad


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the slower way, and torch's of padding="same"
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("middle"), KeyboardInterrupt(), SystemExit(3)])
def test_nothing_changes_when_a_pass_breaks_off(entry, backward, error):
    net = network()
    net[-1].error, net[-1].backward = error, backward
    before = snapshot(net)
    expected = type(error) if not isinstance(error, Exception) else InputError
    with pytest.raises(expected):
        ENTRIES[entry](net, X)
    same(before, snapshot(net))
    net[-1].error = None
    assert empirical_ntk(net, X).any()


def test_restored_when_interrupted_between_passes():
    net = network()
    before = snapshot(net)

    class Interruption(BaseException):
        pass

    def disturb() -> None:
        with untouched(net):
            assert not any(module.training for module in net.modules())
            net[5].weight.requires_grad_(False)
            net[5].weight.grad = None
            net[1].running_mean.add_(1)
            net[1].num_batches_tracked += 1
            torch.rand(3)
            raise Interruption

    with pytest.raises(Interruption):
        disturb()
    same(before, snapshot(net))


def test_inside_gradients_are_on_and_autocast_off():
    net = nn.Linear(2, 2)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16), untouched(net):
        assert torch.is_grad_enabled()
        assert net(torch.ones(1, 2)).dtype == torch.float32
    with torch.inference_mode(), untouched(net):
        assert not torch.is_inference_mode_enabled()


def test_nan_buffers_survive():
    net = nn.BatchNorm1d(2)
    net.running_mean.fill_(torch.nan)
    with untouched(net):
        pass
    assert net.running_mean.isnan().all()


def test_old_weight_norm_leaves_no_trace():
    with pytest.warns(FutureWarning):
        net = nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(4, 3)), nn.Linear(3, 2))
    before = net[0].__dict__["weight"]
    with pytest.warns(UserWarning, match="slower exact way"):
        empirical_ntk(net, torch.randn(3, 4))
    assert net[0].__dict__["weight"] is before
