"""Every built-in space passes the public conformance suite, and one of a user's own modules does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from automl_theory.spaces import ModuleSpace, list_spaces, space
from automl_theory.testing import check_space

NETWORKS = {
    "darts": {"channels": 2, "layers": 4},
    "mlp_dag": {"width": 16, "resolution": 16},
    "nas_bench_101": {"channels": 8, "stacks": 2, "modules_per_stack": 1},
    "nas_bench_201": {"channels": 4, "cells_per_stage": 1},
    "nats_size": {},
}


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5), nn.ReLU(), nn.Linear(5, 2))


def wide() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 9), nn.ReLU(), nn.Linear(9, 2))


def test_every_space_is_here():
    assert set(list_spaces()) == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_space(name):
    kept = check_space(space(name), 4 if name != "nats_size" else 2, network=NETWORKS[name])
    assert "the graph says what the network does" in kept
    assert "size_metrics are the network's" in kept
    assert ("a class computes one function" in kept) == (name not in ("nats_size", "nas_bench_101"))


def test_a_user_s_modules():
    modules = ModuleSpace({"small": small, "wide": wide})
    kept = check_space(modules, x=torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert "fingerprints tell networks apart" in kept
    assert "the graph says what the network does" not in kept, "nothing is known of it"
