"""What an architecture scored, and what an adapter to somebody's search loop needs to know of an objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Evaluation:
    """What an architecture scored.

    values     proxy -> mean over seeds, nan where it is undefined
    statuses   proxy -> "ok", or the gravest status of any seed (see `errors.STATUSES`)
    seconds    it took; 0 where it or its class was known
    reason     why a proxy failed, or was measured another way than usual; else ""
    """

    arch: str
    canonical: str
    values: dict[str, float]
    statuses: dict[str, str]
    seconds: float
    reason: str = ""

    @property
    def undefined(self) -> tuple[str, ...]:
        """The proxies without a value."""
        return tuple(name for name, value in self.values.items() if math.isnan(value))


class Measures(Protocol):
    """The part of `Objective` that adapters use."""

    @property
    def names(self) -> tuple[str, ...]:
        """The proxies."""

    @property
    def directions(self) -> tuple[str, ...]:
        """ "maximize" or "minimize" for each."""

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """Variable -> options."""

    def architecture(self, chosen: Mapping[str, str]) -> str:
        """The architecture of an option for each variable."""

    def evaluate(self, arch: str) -> Evaluation:
        """Measure it."""

    def numbers(self, evaluation: Evaluation) -> tuple[float, ...]:
        """Its values, undefined ones at their worst end."""
