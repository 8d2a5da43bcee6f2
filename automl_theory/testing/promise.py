"""What a broken promise looks like, and questions that several checks ask."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory.errors import InputError, one_line


class BrokenPromise(AssertionError):
    """One line: who breaks which promise, what was seen, and how to mend it."""


def require(kept: object, who: str, promise: str, remedy: str) -> None:
    """Raise `BrokenPromise` unless `kept`."""
    if not kept:
        raise BrokenPromise(f"{who}: {promise}; {remedy}")


@contextmanager
def expecting(who: str, promise: str) -> Iterator[None]:
    """Turn any other exception inside into a `BrokenPromise` that says what was being checked."""
    try:
        yield
    except BrokenPromise:
        raise
    except Exception as error:
        raise BrokenPromise(
            f"{who}: while it was checked that {promise}, this was raised: {one_line(error)}; the exception "
            "before this one says where"
        ) from error


def refuses(who: str, what: str, call: Callable[[], Any]) -> None:
    """Raise `BrokenPromise` unless `call()` raises an InputError that says something, in one line."""
    try:
        answer = call()
    except InputError as error:
        words = str(error)
        require(
            len(words.split()) >= 3 and "\n" not in words,
            who,
            f"the InputError of {what} says only {words!r}",
            "write in one line what was expected, what came and the remedy",
        )
    except Exception as error:
        raise BrokenPromise(
            f"{who}: {what} must raise InputError, it raised {one_line(error)}; check the argument first and raise "
            "automl_theory.errors.InputError"
        ) from error
    else:
        raise BrokenPromise(
            f"{who}: {what} must raise InputError, it returned {str(answer)[:60]!r}; check the argument first and "
            "raise automl_theory.errors.InputError"
        )


def random_states() -> tuple[bytes, str, str]:
    """Return what torch, numpy and Python would draw next, in a form that can be compared."""
    own = torch.get_rng_state().numpy().tobytes()
    return own, repr(np.random.get_state()), repr(random.getstate())  # noqa: NPY002  # that state is the matter


def state_of(net: nn.Module) -> dict[str, Tensor]:
    """Return copies of all parameters and buffers by name."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def same_state(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two states have the same names, shapes and bits."""
    return a.keys() == b.keys() and all(
        a[k].shape == b[k].shape and a[k].numpy().tobytes() == b[k].numpy().tobytes() for k in a
    )


def gaussian(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return standard normal numbers, a function of shape and seed alone."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
