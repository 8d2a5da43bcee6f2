"""Naming proxies: groups, parameters, mistakes."""

from __future__ import annotations

import pytest

from automl_theory.errors import InputError
from automl_theory.proxies import REGISTRY, get_proxies, get_proxy, list_proxies

CORE = [
    "parameters",
    "macs",
    "depth",
    "relu_units",
    "trainable_layers",
    "linear_regions",
    "naswot",
    "ntk_rank",
    "ntk_effective_rank",
    "ntk_lambda_min",
    "ntk_lambda_min_normalised",
    "ntk_condition_number",
    "ntk_trace",
    "nngp_lambda_min",
    "ntk_alignment",
    "ntk_label_complexity",
    "ntk_regression_error",
]


def test_groups():
    assert [proxy.name for proxy in get_proxies("core")] == CORE
    assert [proxy.name for proxy in get_proxies("full")] == list(REGISTRY)
    assert get_proxies() == get_proxies("core")
    assert [proxy.name for proxy in get_proxies("size, naswot".replace("size", "depth"))] == ["depth", "naswot"]
    assert [proxy.name for proxy in get_proxies(["naswot", "core"])] == ["naswot", *[n for n in CORE if n != "naswot"]]
    assert len(get_proxies("naswot,naswot,")) == 1


def test_families():
    assert sorted(list_proxies()) == sorted(REGISTRY)
    for family in ("size", "expressivity", "convergence", "generalization"):
        assert list_proxies(family) == [name for name in REGISTRY if REGISTRY[name].family == family]
        assert list_proxies(family)
    with pytest.raises(InputError, match=r"unknown family 'convergance'; known: .*Did you mean 'convergence'"):
        list_proxies("convergance")
    with pytest.raises(InputError, match="unknown family 3; known: convergence"):
        list_proxies(3)
    with pytest.raises(InputError, match="proxies are named by texts, got 3; see: automl-theory list proxies"):
        get_proxy(3)


def test_parameters_are_part_of_the_name():
    proxy = get_proxy("ntk_numerical_rank:tol=1e-3")
    assert (proxy.name, dict(proxy.parameters)) == ("ntk_numerical_rank:tol=0.001", {"tol": 0.001})
    assert proxy.key == "ntk_numerical_rank:tol=0.001"
    proxy = get_proxy("linear_regions_thin:samples=20, repeats=2")
    assert proxy == get_proxy("linear_regions_thin:repeats=2+samples=20")
    assert proxy.name == "linear_regions_thin:repeats=2+samples=20"
    two = get_proxies("linear_regions_thin:samples=20+repeats=2,ntk_numerical_rank:tol=0.1,ntk_numerical_rank")
    assert [p.name for p in two] == [proxy.name, "ntk_numerical_rank:tol=0.1", "ntk_numerical_rank"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("ntk_lambda_mim", "unknown proxy 'ntk_lambda_mim'; see: .*Did you mean 'ntk_lambda_min'"),
        ("zzz", "unknown proxy 'zzz'"),
        ("core,naswott", "unknown proxy 'naswott'.*Did you mean 'naswot'"),
        ("", "no proxy was named; use 'core', 'full' or names from"),
        ([], "no proxy was named"),
        (None, "expected names of proxies, got None; use 'core', 'full' or a list of names"),
        ([None], "proxies are named by texts, got None"),
        ("ntk_numerical_rank:tl=1", "has no parameter 'tl'; it has: tol=0.01. Did you mean 'tol'"),
        ("naswot:tol=1", "proxy 'naswot' has no parameter 'tol'; it has: none"),
        ("ntk_numerical_rank:", "has no parameter ''"),
        ("ntk_numerical_rank:tol=small", "ntk_numerical_rank:tol must be of type float, got 'small'"),
        (
            "linear_regions_thin:repeats=2:samples=9",
            r"got '2:samples=9'; the default is 3, and \+ joins several parameters",
        ),
        ("linear_regions_thin:repeats=2,samples=9", r"unknown proxy 'samples=9'.* joined by \+: linear_regions_thin:"),
        ("curvature:points=3.5", "curvature:points must be of type int, got '3.5'"),
        ("ntk_numerical_rank:tol=nan", "tol must be positive and finite, got 'nan'"),
        ("ntk_numerical_rank:tol=-1", "tol must be positive and finite, got '-1'"),
        ("ntk_numerical_rank:tol=inf", "tol must be positive and finite"),
        ("curvature:points=0", "points must be positive and finite, got '0'"),
        ("curvature:points=8+points=9", "curvature:points is given twice"),
    ],
)
def test_mistakes(names, words):
    with pytest.raises(InputError, match=words):
        get_proxies(names)
