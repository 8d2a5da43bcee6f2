"""Curves through networks, against finite differences and closed forms."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from reference import measures
from torch import nn

from automl_theory.probing import curves
from automl_theory.probing.signals import Signals
from automl_theory.proxies import get_proxy
from automl_theory.spaces import space


def smooth() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 4)).double()


def rectified() -> nn.Module:
    return (
        space("nas_bench_201")
        .build("|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|none~2|", 4, 1, 4, 3)
        .double()
    )


def signals(net: nn.Module, side: int) -> Signals:
    torch.manual_seed(4)
    return Signals(net, torch.randn(6, 3, side, side).double(), seed=11, needs=())


@pytest.mark.parametrize(("make", "side"), [(smooth, 2), (rectified, 8)])
def test_length_and_curvature_are_those_of_finite_differences(make, side):
    found = signals(make(), side)
    value, status = get_proxy("curve_length:points=12")(found)
    assert status == "ok"
    assert value == pytest.approx(measures.curve_length(make(), found.x, 11, 12), rel=1e-4)
    value, status = get_proxy("curvature:points=12")(found)
    assert status == "ok"
    if make is smooth:
        assert value == pytest.approx(measures.curvature(make(), found.x, 11, 12), rel=1e-4)


def test_curvature_of_a_rectified_network_ignores_kinks():
    """Between kinks a ReLU network is linear, f(x(t)) = A x(t) + b, so J = A x' and J' = −A x."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).double()
    found = Signals(net, torch.randn(4, 5).double(), seed=3, needs=())
    x, v, a = curves.circle(found.x[0], 16, 3)
    j, dj = found.frozen(lambda f: curves.velocity_and_acceleration(f, x, v, a))
    for i in range(16):
        slope = torch.autograd.functional.jacobian(net, x[i])
        torch.testing.assert_close(j[i], slope @ v[i])
        torch.testing.assert_close(dj[i], -slope @ x[i])
    kappa = [
        math.sqrt(max(p @ p * (q @ q) - (p @ q) ** 2, 0)) / np.linalg.norm(p) ** 3
        for p, q in zip(j.numpy(), dj.numpy(), strict=True)
    ]
    assert get_proxy("curvature:points=16")(found)[0] == pytest.approx(np.mean(kappa))


@pytest.mark.parametrize(("make", "side"), [(smooth, 2), (rectified, 8)])
def test_turning_angle_is_the_sum_of_angles(make, side):
    found = signals(make(), side)
    for points in (3, 50):
        value, status = get_proxy(f"turning_angle:points={points}")(found)
        assert (value, status) == (pytest.approx(measures.turning_angle(make(), found.x, 11, points), abs=1e-6), "ok")
        assert value >= 2 * np.pi - 1e-6


def test_circle():
    like = torch.zeros(2, 3, 4)
    x, v, a = (c.flatten(1).double() for c in curves.circle(like, 40, 5))
    assert curves.circle(like, 40, 5)[0].shape == (40, 2, 3, 4)
    torch.testing.assert_close(x.norm(dim=1), torch.full((40,), math.sqrt(24)).double())
    torch.testing.assert_close(v.norm(dim=1), x.norm(dim=1))
    torch.testing.assert_close(a, -x)
    torch.testing.assert_close((x * v).sum(1), torch.zeros(40).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(x[20], -x[0])
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    np.testing.assert_allclose(x.numpy(), measures.circle((24,), 5, t), atol=1e-6)
    assert not torch.equal(curves.circle(like, 40, 6)[0].flatten(1).double(), x)


def test_the_unit_circle():
    angles = curves.equidistant(7)
    basis = curves.random_basis(5, 3)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2).double())
    x, v = curves.unit_circle(basis, angles)
    assert x.shape == v.shape == (7, 5)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(7).double())
    torch.testing.assert_close((x * v).sum(1), torch.zeros(7).double())
    step = 1e-6
    ahead, behind = (curves.unit_circle(basis, angles + s)[0] for s in (step, -step))
    torch.testing.assert_close((ahead - behind) / (2 * step), v, atol=1e-8, rtol=0)
    torch.testing.assert_close(curves.circle(torch.zeros(5).double(), 7, 3)[0], math.sqrt(5) * x)


def test_forward_mode_is_quiet_on_first_use():
    """Torch loads its rules through a deprecated door of its own; in a new process with warnings as errors."""
    code = (
        "import warnings, torch\n"
        "from automl_theory.probing import curves\n"
        "warnings.simplefilter('error')\n"
        "x, v, a = curves.circle(torch.zeros(3), 4, 0)\n"
        "print(curves.velocity_and_acceleration(torch.relu, x, v, a)[0].shape)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == "torch.Size([4, 3])\n", done.stderr


def test_length_and_curvature_of_plane_circles():
    t = torch.linspace(0, 2 * torch.pi, 33)[:-1].double()
    for radius in (0.5, 3.0):
        j = radius * torch.stack([-t.sin(), t.cos()], 1)
        dj = radius * torch.stack([-t.cos(), -t.sin()], 1)
        assert curves.length(j) == pytest.approx(2 * np.pi * radius)
        assert curves.mean_curvature(j, dj) == pytest.approx(1 / radius)
        assert curves.mean_curvature(torch.cat([j, 0 * j]), torch.cat([dj, dj])) == pytest.approx(1 / radius)
        torch.testing.assert_close(curves.curvatures(j, dj), torch.full((32,), 1 / radius).double())
    assert torch.isnan(curves.curvatures(0 * j, dj)).all()
    assert math.isnan(curves.mean_curvature(0 * j, dj))


@pytest.mark.parametrize(
    ("corners", "turns"),
    [
        ([(0, 0), (1, 0), (1, 1), (0, 1)], 1),
        ([(0, 0), (0, 0), (1, 0), (1, 0), (1, 1), (0, 1)], 1),
        ([(0,), (1,), (2,), (1,)], 1),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], None),
        ([(3, 3)] * 5, 0),
        ([(0, 0), (1, 0)], 1),
        ([(math.cos(k * 4 * math.pi / 7), math.sin(k * 4 * math.pi / 7)) for k in range(7)], 2),
    ],
)
def test_turning_of_polygons(corners, turns):
    y = torch.tensor(corners).double()
    expected = 2 * np.pi * turns if turns is not None else 2 * (3 * np.pi / 4) * 2
    assert curves.total_turning(y) == pytest.approx(expected, abs=1e-9)
    if turns is not None:
        noise = 1e-12 * torch.randn(len(y), y.shape[1], generator=torch.Generator().manual_seed(0)).double()
        assert curves.total_turning(y + noise, eps=1e-11) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["curve_length", "curvature", "turning_angle"])
def test_where_curves_are_undefined(name):
    from automl_theory.scoring.single import evaluate

    tokens = nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(6, 2))
    narrow = nn.Linear(1, 2)
    for net, x, words in (
        (tokens, torch.arange(8).view(4, 2), "floating-point inputs of at least two entries are needed"),
        (narrow, torch.randn(4, 1), "floating-point inputs of at least two entries are needed"),
    ):
        values, reasons = evaluate(Signals(net, x, needs=()), [get_proxy(name)])
        assert values[name][1] == "failed"
        assert reasons[name] == words
    few = get_proxy(f"{name}:points=2")
    assert evaluate(Signals(nn.Linear(3, 2), torch.randn(4, 3), needs=()), [few])[1][few.name] == (
        "at least three points are needed"
    )
