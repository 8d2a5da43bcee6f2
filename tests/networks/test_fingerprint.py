from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from automl_theory.networks.fingerprint import fingerprint
from automl_theory.networks.initialise import initialise


class Scaled(nn.Module):
    """A module of one's own."""

    power = 2

    def __init__(self, scale: float = 1.0, mask: Tensor | None = None, table: object = None) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.scale, self.table = scale, table
        self.register_buffer("mask", torch.ones(4) if mask is None else mask)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.fc(x * self.mask)


def variant(source: str) -> type[nn.Module]:
    """A class `Net` from its source, as if its file had been edited."""
    space: dict[str, object] = {"__name__": "edited"}
    exec("import torch\nfrom torch import nn\n" + source, space)
    return space["Net"]


FORWARD = '''
GAIN = {gain}
def helper(x):
    return {helper}
class Net(nn.Module):
    """{doc}"""
    def forward(self, x):
        {comment}
        y = helper(x) if x.dtype in {{torch.float32, torch.float64}} else x
        return [GAIN * y for _ in range(1)][0] {ending}
'''
PLAIN = {"gain": 2, "helper": "x.relu()", "doc": "A net.", "comment": "# first", "ending": ""}


def edited(**changes: object) -> nn.Module:
    return variant(FORWARD.format(**{**PLAIN, **changes}))()


def shared() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, layer)


def hooked(scale: float) -> nn.Module:
    net = nn.Linear(4, 3)
    net.register_forward_hook(lambda module, args, out: out * scale)
    return net


def frozen() -> nn.Module:
    net = nn.Linear(4, 3)
    net.bias.requires_grad_(False)
    return net


SAME: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "two calls": (Scaled, Scaled),
    "other weights": (lambda: initialise(Scaled(), seed=0), lambda: initialise(Scaled(), "he_fan_in", seed=1)),
    "other weights of a layer that lists them": (
        lambda: initialise(nn.LSTM(4, 3), seed=0),
        lambda: initialise(nn.LSTM(4, 3), seed=1),
    ),
    "evaluation mode": (Scaled, lambda: Scaled().eval()),
    "comments": (edited, lambda: edited(comment="# second")),
    "docstrings": (edited, lambda: edited(doc="Another text.")),
    "equal masks": (lambda: Scaled(mask=torch.eye(4)[0]), lambda: Scaled(mask=torch.eye(4)[0].clone())),
    "equal sets": (lambda: Scaled(table={"a", "b", "c"}), lambda: Scaled(table={"c", "b", "a"})),
    "objects": (lambda: Scaled(table=object()), lambda: Scaled(table=object())),
}
OTHER: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "width": (lambda: nn.Linear(4, 3), lambda: nn.Linear(4, 5)),
    "a bias": (lambda: nn.Linear(4, 3), lambda: nn.Linear(4, 3, bias=False)),
    "activation": (lambda: nn.Sequential(nn.ReLU()), lambda: nn.Sequential(nn.Tanh())),
    "order": (lambda: nn.Sequential(nn.ReLU(), nn.Flatten()), lambda: nn.Sequential(nn.Flatten(), nn.ReLU())),
    "stride": (lambda: nn.Conv2d(3, 4, 3), lambda: nn.Conv2d(3, 4, 3, stride=2)),
    "slope": (lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2)),
    "dtype": (lambda: nn.Linear(4, 3), lambda: nn.Linear(4, 3).double()),
    "sharing": (shared, lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))),
    "what is trained": (lambda: nn.Linear(4, 3), frozen),
    "a scale": (Scaled, lambda: Scaled(0.5)),
    "a mask": (Scaled, lambda: Scaled(mask=torch.zeros(4))),
    "a numpy array": (lambda: Scaled(table=np.zeros(3)), lambda: Scaled(table=np.ones(3))),
    "a tensor": (lambda: Scaled(table=torch.zeros(3)), lambda: Scaled(table=torch.ones(3))),
    "a nested value": (lambda: Scaled(table={"a": [1, (2,)]}), lambda: Scaled(table={"a": [1, (3,)]})),
    "a function held": (lambda: Scaled(table=torch.relu), lambda: Scaled(table=torch.tanh)),
    "arguments held": (
        lambda: Scaled(table=functools.partial(torch.clamp, min=0)),
        lambda: Scaled(table=functools.partial(torch.clamp, min=1)),
    ),
    "forward": (edited, lambda: edited(ending="+ 1")),
    "a function it calls": (edited, lambda: edited(helper="x.tanh()")),
    "a constant it reads": (edited, lambda: edited(gain=3)),
    "a hook": (lambda: hooked(1.0), lambda: nn.Linear(4, 3)),
    "what a hook holds": (lambda: hooked(1.0), lambda: hooked(2.0)),
    "integer parameters": (
        lambda: nn.ParameterList([nn.Parameter(torch.zeros(3, dtype=torch.int8), requires_grad=False)]),
        lambda: nn.ParameterList([nn.Parameter(torch.ones(3, dtype=torch.int8), requires_grad=False)]),
    ),
    "padding": (lambda: nn.Embedding(4, 3), lambda: nn.Embedding(4, 3, padding_idx=0)),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_network(case: str) -> None:
    first, second = SAME[case]
    assert fingerprint(first()) == fingerprint(second())


@pytest.mark.parametrize("case", OTHER)
def test_another_network(case: str) -> None:
    first, second = OTHER[case]
    assert fingerprint(first()) == fingerprint(first())
    assert fingerprint(first()) != fingerprint(second())


def test_it_says_what_a_reader_can_compare() -> None:
    assert fingerprint(nn.Linear(4, 3)).startswith("Linear, 15 parameters, ")
    assert fingerprint(nn.Identity()).startswith("Identity, 0 parameters, ")
    assert fingerprint(nn.Sequential(nn.LazyLinear(3))).startswith("Sequential, 0 parameters, ")
    assert fingerprint(nn.Linear(4, 3, device="meta")).startswith("Linear, 15 parameters, ")


def test_the_module_is_left_alone() -> None:
    net = Scaled()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fingerprint(net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_script_and_its_workers_agree(tmp_path: Path) -> None:
    """A script's class is of `__main__` there and of `__mp_main__` in its workers; sets are ordered by a hash seed."""
    source = FORWARD.format(**PLAIN) + "from automl_theory.networks.fingerprint import fingerprint\n"
    source += "net = Net(); net.names = {'a', 'b', 'c', 'd'}\n"
    (tmp_path / "script.py").write_text("import torch\nfrom torch import nn\n" + source + "print(fingerprint(net))\n")
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=True, cwd=tmp_path)
    first = run([sys.executable, "script.py"]).stdout
    assert first.startswith("Net, 0 parameters, ")
    assert run([sys.executable, "-c", "import script"]).stdout == first
