"""The exceptions a user meets, each one line that says what was expected, what came, and the remedy."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class AutoMLTheoryError(Exception):
    """Base of all errors raised on purpose; the command line prints them as one line and exits with 2."""


class InputError(AutoMLTheoryError, ValueError):
    """An argument, a file or an input batch is not what was expected."""


class StoreError(AutoMLTheoryError):
    """A score store cannot be opened, belongs to something else or was made with other settings."""


class Interrupted(AutoMLTheoryError):
    """A run was stopped by the user; everything finished is kept, and the message says how to go on."""


class MissingExtra(AutoMLTheoryError, ImportError):
    """An optional package is needed and not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingExtra` naming the command that installs the extra holding it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} is not installed; install it with: pip install 'automl_theory[{extra}]'"
        ) from error


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest of `choices`, or "" if none is near."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
