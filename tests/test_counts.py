"""Whole numbers that callers give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from automl_theory.counts import check_counts, whole
from automl_theory.errors import InputError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_an_integer_of_any_library_is_an_int(value: Any) -> None:
    assert whole("n", value) == 3
    assert type(whole("n", value)) is int


@pytest.mark.parametrize("value", [0, -1, True, 1.0, np.float64(2), "3", None, np.bool_(True), [3], float("nan")])
def test_what_is_no_whole_number_is_told(value: Any) -> None:
    with pytest.raises(InputError, match=r"^expected n to be an integer of at least 1, got .*; give 1 or more$"):
        whole("n", value)


def test_limits() -> None:
    assert whole("seed", 0, 0) == 0
    assert whole("n", 8, 2, 8) == 8
    with pytest.raises(InputError, match=r"^expected n to be at most 8, got 9; give fewer$"):
        whole("n", 9, 2, 8)


def test_the_first_bad_setting_is_named() -> None:
    check_counts({"b": 5}, a=10, b=5, c=1)
    with pytest.raises(InputError, match="expected b to be at most 5, got 6"):
        check_counts({"b": 5}, a=10, b=6, c=0)
    with pytest.raises(InputError, match="expected c to be an integer of at least 1, got 0"):
        check_counts(a=1, c=0)
