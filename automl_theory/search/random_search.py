"""Random search: architectures of a space in a seeded order, each class of equal networks once."""

from __future__ import annotations

from collections.abc import Generator

from automl_theory.errors import InputError
from automl_theory.search.merit import Numbers
from automl_theory.search.variation import Variables
from automl_theory.spaces import Space

LISTED = 1_000_000


def random_search(space: Space, variables: Variables, seed: int) -> Generator[str, Numbers, None]:
    """Propose `space.sample(n, seed)` for a growing n, what the filter lets through.

    Ends with the space, or where that cannot draw twice as many.
    """
    most = len(space.representatives()) if space.size <= LISTED else LISTED
    told, n = 0, 64
    while told < most:
        try:
            names = space.sample(min(n, most), seed)
        except InputError:
            if not told:
                raise
            return
        for arch in names[told:]:
            if variables.allowed(arch):
                yield arch
        told, n = len(names), 2 * n
