"""What can go wrong, in words: the exceptions a user meets, and the statuses of a value.

Each exception is one line that says what was expected, what came, and the remedy. Each value of a proxy has a status:

    ok               the value means what its name says
    saturated        a count that reached its ceiling, and tells networks apart no more
    rank_deficient   a singular kernel; the value is the limit that its docstring names
    disconnected     the output does not depend on the input
    no_parameters    none that counts reaches the output
    non_finite       an output or a kernel holds NaN or infinity
    failed           the reason is recorded beside it
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

# By rising gravity: of several seeds a table shows the gravest.
STATUSES = ("ok", "saturated", "rank_deficient", "disconnected", "no_parameters", "non_finite", "failed")
VALUED = STATUSES[:3]


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


class FailedScores(UserWarning):
    """Some architectures could not be built or measured; their values are NaN, their statuses "failed"."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingExtra` naming the command that installs the extra holding it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"{module} is not installed; install it with: pip install 'automl_theory[{extra}]'"
        ) from error


def reason(error: BaseException, most: int = 200) -> str:
    """Return what an exception says as one line of at most `most` characters; its type if it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def one_line(error: BaseException, most: int = 300) -> str:
    """Return type and first line of an exception, the line cut after `most` characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:most]}" if lines else type(error).__name__


def is_memory(error: BaseException) -> bool:
    """Whether memory ran out, here or on a GPU; torch says so on a CPU by a RuntimeError's text alone."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return "DefaultCPUAllocator: can't allocate memory" in str(error)


def suggest(word: object, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest of `choices` in any case, or "" if none is near."""
    known = {str(choice).lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(word).lower(), known, n=1, cutoff=0.5)
    return f" Did you mean {known[near[0]]!r}?" if near else ""
