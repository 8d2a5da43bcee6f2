"""Curves of stacks against forward-mode differentiation, finite differences and the proxies of single networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import automl_theory as at
from automl_theory.networks.mlp_stack import MlpStack
from automl_theory.probing.curves import (
    equidistant,
    random_basis,
    total_turning,
    unit_circle,
    velocity_and_acceleration,
)
from automl_theory.probing.signals import Signals
from automl_theory.probing.stack_curves import in_plane, trace, turning
from automl_theory.proxies import get_proxy
from automl_theory.spaces.mlp_dag_stacks import groups, stack
from automl_theory.studies.no_free_lunch.network import stack_of

LIVE = at.space("mlp_dag").live()
CODES = [*LIVE[::60], "2_02_002", "2_22_222", "1_11_111", "2_12_112_0211"]


def build(code: str, seed: int) -> nn.Module:
    space = at.space("mlp_dag", nodes=code.count("_") + 1)
    return space.build(code, 16, 4, 12, 1, seed=seed).double()


def stacked(code: str, *seeds: int) -> MlpStack:
    (group,) = groups([code])
    return stack(group, [(code, seed) for seed in seeds], 12, 16, 4, dtype=torch.float64)


@pytest.mark.parametrize("code", CODES)
def test_velocity_and_acceleration_are_those_of_forward_mode(code: str) -> None:
    x, v = unit_circle(random_basis(12, 1), equidistant(24))
    curve = trace(stacked(code, 0, 7), x, v)
    for k, seed in enumerate((0, 7)):
        net = build(code, seed)
        j, dj = velocity_and_acceleration(net, x, v, -x)
        torch.testing.assert_close(curve.position[k], net(x).detach(), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(curve.velocity[k], j, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(-curve.position[k], dj, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("code", CODES[:4])
def test_the_proxies_of_single_networks_agree(code: str) -> None:
    """Theirs is the circle of radius √N₀: κ is √N₀ times smaller, the length as much larger, the angle the same."""
    found = Signals(build(code, 3), torch.eye(12)[:2].view(2, 12, 1, 1).double(), seed=5, needs=())
    member, basis = stacked(code, 3), random_basis(12, 5)
    curve = trace(member, *unit_circle(basis, equidistant(40)))
    assert get_proxy("curvature:points=40")(found)[0] * math.sqrt(12) == pytest.approx(curve.mean_curvature[0])
    assert get_proxy("curve_length:points=40")(found)[0] / math.sqrt(12) == pytest.approx(curve.length[0])
    angle = turning(member, unit_circle(basis, equidistant(300))[0])[0]
    assert get_proxy("turning_angle:points=300")(found)[0] == pytest.approx(angle, rel=1e-9)


def test_differences_approach_velocity_and_length() -> None:
    member, basis, step = stacked("2_21_212", 0), random_basis(12, 0), 1e-6
    t = equidistant(50)
    curve = trace(member, *unit_circle(basis, t))
    ahead, behind = (trace(member, *unit_circle(basis, t + sign * step)).position for sign in (1, -1))
    slow = (ahead - behind) / (2 * step)
    assert ((slow - curve.velocity).norm(dim=-1) < 1e-6).float().mean() > 0.9, "all but points on a kink"
    y = trace(member, *unit_circle(basis, equidistant(20_000))).position[0]
    polygon = float((torch.roll(y, -1, 0) - y).norm(dim=1).sum())
    fine = trace(member, *unit_circle(basis, equidistant(2000)))
    assert fine.length[0] == pytest.approx(polygon, rel=1e-3)


@pytest.mark.parametrize("factor", [3.0, 0.125])
def test_curvature_is_an_inverse_scale_length_a_scale_and_the_angle_free_of_it(factor: float) -> None:
    """Statement 7."""
    for code in CODES:
        member = stacked(code, 0, 1)
        larger = member.with_parameters([*member.weights, member.readout * factor])
        x, v = unit_circle(random_basis(12, 2), equidistant(64))
        plain, scaled = trace(member, x, v), trace(larger, x, v)
        np.testing.assert_allclose(scaled.mean_curvature, plain.mean_curvature / factor, rtol=1e-12)
        np.testing.assert_allclose(scaled.length, plain.length * factor, rtol=1e-12)
        fine = unit_circle(random_basis(12, 2), equidistant(2048))[0]
        np.testing.assert_allclose(turning(larger, fine), turning(member, fine), rtol=1e-4)


def test_in_its_plane_a_circle_has_two_coordinates() -> None:
    basis, t = random_basis(12, 2), equidistant(64)
    member = stacked("2_21_212", 0, 1)
    full, plane = trace(member, *unit_circle(basis, t)), trace(in_plane(member, basis), *unit_circle(torch.eye(2), t))
    torch.testing.assert_close(plane.position, full.position, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(plane.velocity, full.velocity, rtol=1e-11, atol=1e-12)


def test_without_relu_the_curve_is_an_ellipse() -> None:
    member = stacked("2_02_002", 0)
    x, v = unit_circle(random_basis(12, 2), equidistant(64))
    stem, one, two, three = (weight[0] for weight in member.weights)
    product = member.readout[0] @ three @ two @ one @ stem
    curve = trace(member, x, v, relu=False)
    torch.testing.assert_close(curve.position[0], x @ product.T)
    torch.testing.assert_close(curve.velocity[0], v @ product.T)
    ellipse = trace(member, *unit_circle(random_basis(12, 2), equidistant(2048)), relu=False).position[0]
    assert total_turning(ellipse) == pytest.approx(2 * math.pi, rel=1e-6)


def test_a_constant_curve_has_no_curvature_no_length_and_no_angle() -> None:
    dead = stack_of(build("2_00_000", 0))
    x, v = unit_circle(random_basis(12, 2), equidistant(16))
    curve = trace(dead, x, v)
    assert np.isnan(curve.mean_curvature).all()
    assert bool(torch.isnan(curve.curvature).all())
    assert curve.length.tolist() == [0.0]
    assert turning(dead, x).tolist() == [0.0]
