from __future__ import annotations

import pytest
import torch
from torch import nn

from automl_theory.errors import InputError
from automl_theory.spaces import ModuleSpace, Space, list_spaces, space
from automl_theory.spaces.nas_bench_201 import NasBench201


def small(width: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.Linear(256, 5)
    )


def bare() -> nn.Module:
    return nn.Identity()


@pytest.fixture
def mine() -> ModuleSpace:
    return ModuleSpace({"small": small, "bare": bare})


def test_registry():
    assert "nas_bench_201" in list_spaces()
    assert list_spaces() == sorted(list_spaces())
    made = space("nas_bench_201")
    assert isinstance(made, NasBench201)
    assert space(made) is made
    assert made.name == "nas_bench_201"
    with pytest.raises(InputError, match="Did you mean 'nas_bench_201'"):
        space("nasbench201")
    with pytest.raises(InputError, match=r"'nas_bench_201'.*'width'"):
        space("nas_bench_201", width=3)
    with pytest.raises(InputError, match="takes no settings, got width"):
        space(made, width=3)
    with pytest.raises(InputError, match="expected a mapping or a list"):
        space(3)


def test_lists_and_mappings_are_spaces(mine):
    assert list(space([small, bare])) == ["0", "1"]
    assert list(space(f for f in (small, bare))) == ["0", "1"]
    named = space({"a": small}, name="ours")
    assert (named.name, list(named)) == ("ours", ["a"])
    for made in (mine, space([small])):
        assert isinstance(made, Space)
    assert len(mine) == mine.size == 2
    assert "small" in mine
    assert "large" not in mine
    assert 0 not in mine
    assert mine.representatives() == list(mine)
    assert mine.canonical("small") == mine.parse("small") == "small"
    assert mine.graph("small") is None
    for method in (mine.parse, mine.canonical, mine.graph, mine.build):
        with pytest.raises(InputError, match=r"is called 'smal'; there are small, bare\. Did you mean 'small'"):
            method("smal")


def test_sample(mine):
    assert sorted(mine.sample(2, seed=0)) == ["bare", "small"]
    assert mine.sample(1, seed=0, canonical=False) == mine.sample(2, seed=0)[:1]
    with pytest.raises(InputError, match=r"0 to 2 distinct architectures, got n=3; give n in that range"):
        mine.sample(3, seed=0)


def test_build(mine):
    kept = small()
    assert ModuleSpace([lambda: kept]).build("0") is kept
    assert ModuleSpace([small]).build("0", width=4)[0].out_channels == 4
    first, second, third = (mine.build("small", seed=s, init="he_fan_in") for s in (0, 0, 1))
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, third[0].weight)
    with pytest.raises(InputError, match=r"must return an nn\.Module, it returned int; let it end in `return net`"):
        ModuleSpace([lambda: 3]).build("0")


@pytest.mark.parametrize(
    ("factories", "reason"),
    [
        ([], "got none; give at least one"),
        ({}, "got none; give at least one"),
        ("small", "expected a mapping.*, got 'small'; give {'a': make_a}"),
        (None, "expected a mapping"),
        ([3], "'0' must be a function that returns an nn.Module, got int"),
        ({"a": nn.Identity()}, r"'a' must be a function.*pass `lambda: copy.deepcopy\(module\)`"),
        ({1: small}, "names of networks must be strings, got 1; write '1'"),
    ],
)
def test_bad_factories(factories, reason):
    with pytest.raises(InputError, match=reason):
        ModuleSpace(factories)
