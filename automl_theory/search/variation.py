"""Random, changed and crossed architectures, as options of the variables that a space has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from automl_theory.errors import InputError

Genes = tuple[int, ...]
TRIES = 10_000


@dataclass(frozen=True)
class Variables:
    """The variables of a space, and which architectures may be proposed.

    choices       variable -> options
    architecture  an option for each variable -> the architecture
    allowed       whether an architecture may be proposed; a filter that costs no evaluation
    """

    choices: Mapping[str, tuple[str, ...]]
    architecture: Callable[[Mapping[str, str]], str]
    allowed: Callable[[str], bool]

    def arch(self, genes: Genes) -> str:
        """The architecture of the numbers of its options."""
        return self.architecture(
            {name: options[gene] for (name, options), gene in zip(self.choices.items(), genes, strict=True)}
        )

    def random(self, rng: np.random.Generator) -> Genes:
        """Every option uniform."""
        return self._allowed(lambda: tuple(int(rng.integers(len(options))) for options in self.choices.values()))

    def mutate(self, genes: Genes, rng: np.random.Generator) -> Genes:
        """One variable, uniform among those with a second option, gets another option, uniform among the others."""
        free = [k for k, options in enumerate(self.choices.values()) if len(options) > 1]
        sizes = [len(options) for options in self.choices.values()]

        def changed() -> Genes:
            k = free[rng.integers(len(free))]
            other = int(rng.integers(sizes[k] - 1))
            return (*genes[:k], other + (other >= genes[k]), *genes[k + 1 :])

        return self._allowed(changed) if free else genes

    def cross(self, a: Genes, b: Genes, rng: np.random.Generator) -> Genes:
        """Each variable from one of two parents, and then each changed with probability 1/(number of variables)."""
        sizes = [len(options) for options in self.choices.values()]

        def child() -> Genes:
            mixed = [y if rng.random() < 0.5 else x for x, y in zip(a, b, strict=True)]
            for k, size in enumerate(sizes):
                if size > 1 and rng.random() < 1 / len(sizes):
                    other = int(rng.integers(size - 1))
                    mixed[k] = other + (other >= mixed[k])
            return tuple(mixed)

        return self._allowed(child)

    def _allowed(self, propose: Callable[[], Genes]) -> Genes:
        for _ in range(TRIES):
            genes = propose()
            if self.allowed(self.arch(genes)):
                return genes
        raise InputError(f"{TRIES:,} proposals and none passed the filter; widen or leave out the filter")
