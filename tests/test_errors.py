from __future__ import annotations

import inspect
import re
from collections.abc import Callable

import pytest

import automl_theory as at
from automl_theory.errors import (
    STATUSES,
    VALUED,
    AutoMLTheoryError,
    InputError,
    MissingExtra,
    is_memory,
    one_line,
    reason,
    require,
    suggest,
)


def test_statuses_with_a_value_come_first() -> None:
    assert VALUED == ("ok", "saturated", "rank_deficient")
    assert STATUSES[: len(VALUED)] == VALUED
    assert STATUSES[-1] == "failed"
    assert len(set(STATUSES)) == len(STATUSES)


def test_an_exception_in_one_line() -> None:
    error = ValueError("first  line\n  second line")
    assert reason(error) == "first line second line"
    assert reason(error, 7) == "first l"
    assert one_line(error) == "ValueError: first  line"
    assert one_line(error, 5) == "ValueError: first"
    for nothing in (KeyError(), ValueError(" \n ")):
        assert reason(nothing) == one_line(nothing) == type(nothing).__name__


def test_whatever_says_that_memory_ran_out() -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch's on a GPU, without importing torch."""

    allocator = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
    assert is_memory(MemoryError())
    assert is_memory(OutOfMemoryError())
    assert is_memory(RuntimeError(allocator))
    assert is_memory(InputError(f"the module fails on an input of shape (8, 3, 4, 4): {allocator}"))
    assert not is_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_missing_package_names_the_command() -> None:
    assert require("json", "report").dumps([]) == "[]"
    with pytest.raises(MissingExtra, match=r"no_such_package is not installed; .*install 'automl_theory\[report\]'"):
        require("no_such_package", "report")
    assert issubclass(MissingExtra, ImportError)
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, AutoMLTheoryError)


def test_suggestions() -> None:
    assert suggest("naswott", ["naswot", "macs"]) == " Did you mean 'naswot'?"
    assert suggest("xyz", ["naswot", "macs"]) == suggest("x", []) == ""


@pytest.mark.parametrize(
    "name",
    ["get_proxy", "graph_metrics", "initialise", "list_proxies", "load_batch", "score", "score_space"],
)
def test_a_public_function_tells_of_every_argument_and_what_it_refuses(name: str) -> None:
    function = getattr(at, name)
    told = inspect.getdoc(function) or ""
    assert "InputError" in told
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in parameters(function))
    missing = [parameter.name for parameter in parameters(function) if not re.search(rf"\b{parameter.name}\b", told)]
    assert missing == []


def parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
