"""Whole numbers that callers give, such as a number of channels, of samples or of processes."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from automl_theory.errors import InputError


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return `value` as an int; Python's and NumPy's integers are whole numbers, booleans and floats are not.

    Errors: InputError for anything else, and for less than `least` or more than `most`.
    """
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or found < least:
        raise InputError(f"expected {name} to be an integer of at least {least}, got {value!r}; give {least} or more")
    if most is not None and found > most:
        raise InputError(f"expected {name} to be at most {most}, got {found}; give fewer")
    return found


def check_counts(most: Mapping[str, int] = MappingProxyType({}), /, **settings: Any) -> None:
    """InputError naming the first of `settings` that is no `whole` number of at least 1, and at most its `most`."""
    for name, value in settings.items():
        whole(name, value, most=most.get(name))
