"""The networks that commands measure: presets, and settings by name."""

from __future__ import annotations

import inspect

import pytest

import automl_theory as at
from automl_theory.cli.networks import network
from automl_theory.errors import InputError
from automl_theory.spaces import _SPACES


@pytest.mark.parametrize("name", _SPACES)
def test_presets_are_settings_of_the_space(name: str) -> None:
    space = at.space(name)
    for preset, settings in getattr(space, "presets", {}).items():
        assert set(settings) <= set(inspect.signature(space.build).parameters)
        assert network(space, preset, {}, None) == settings


def test_a_preset_under_named_settings_under_texts() -> None:
    space = at.space("nas_bench_201")
    assert network(space, None, {"channels": None}, None) == {"channels": 16, "cells_per_stage": 5}
    assert network(space, None, {}, None, "reduced") == {"channels": 16, "cells_per_stage": 1}
    assert network(space, "canonical", {"channels": 4}, None, "reduced") == {"channels": 4, "cells_per_stage": 5}
    assert network(space, None, {"channels": 4}, ["channels=8"]) == {"channels": 8, "cells_per_stage": 5}
    assert network(at.space("mlp_dag"), None, {"width": None}, None) == {}


class Odd:
    """A space that takes anything."""

    name = "odd"

    def build(self, arch: str, seed: int = 0, init: str = "pytorch", **settings: object) -> None:
        """Build nothing."""


def test_texts_are_numbers_where_they_can_be() -> None:
    found = network(Odd(), None, {}, ["a=1", "b=1e-3", "c=relu", "d=x=y", "e=False", "f=true"])
    assert found == {"a": 1, "b": 0.001, "c": "relu", "d": "x=y", "e": False, "f": True}
    assert isinstance(found["a"], int)


@pytest.mark.parametrize("text", ["channels", "=3", "channels=", ""])
def test_a_text_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give a setting and its value, as in channels=16"):
        network(at.space("nas_bench_201"), None, {}, [text])


def test_what_a_space_does_not_have_is_refused() -> None:
    where = at.space("nas_bench_101")
    with pytest.raises(InputError, match=r"unknown preset 'reduce'; use canonical or reduced\. Did you mean 'reduced'"):
        network(where, "reduce", {}, None)
    with pytest.raises(InputError, match="space mlp_dag has no presets; leave out --preset"):
        network(at.space("mlp_dag"), "reduced", {}, None)
    has = (
        r"networks of nas_bench_101 have no setting 'cells_per_stage'; it has channels, stacks, modules_per_stack: "
        r"--network modules_per_stack=VALUE\. Did you mean 'modules_per_stack'"
    )
    with pytest.raises(InputError, match=has):
        network(where, None, {"cells_per_stage": 1}, None)
    with pytest.raises(InputError, match="have no setting 'seed'"):
        network(where, None, {}, ["seed=3"])
