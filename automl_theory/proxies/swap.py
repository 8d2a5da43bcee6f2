"""SWAP: how many different ways the units of a network split the samples."""

from __future__ import annotations

import math

from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def swap(signals: Signals) -> Value:
    """|{(1[z_u(x_1) > 0], …, 1[z_u(x_n) > 0]) : u}|, the distinct activation patterns of the ReLU units over n samples.

    Expressivity; maximize; unit: patterns. The columns of the code matrix of which `linear_regions` counts the rows:
    there are far more units than samples, so the ceiling min(2ⁿ, units) is high. Edge values: "saturated" at that
    ceiling, as with the 16 samples of the released code, which counts the ReLUs of images only; undefined without a
    ReLU. Source: Peng et al. 2024 (SWAP-NAS).
    """
    patterns = signals.feature_maps.patterns
    if patterns.missed:
        raise Undefined("a ReLU of the module reads something else than one row a sample")
    if patterns.units == 0:
        raise Undefined("the module calls no ReLU")
    count = patterns.distinct()
    ceiling = min(2**signals.n, patterns.units)
    return float(count), "saturated" if count == ceiling else "ok"


def swap_regularised(signals: Signals, mu: float = 1.0, sigma: float = 1.0) -> Value:
    """|patterns|·exp(−(P − μ)²/σ), P the number of parameters in millions, and the patterns of `swap`.

    Expressivity; maximize; unit: patterns. Draws a search towards networks of μ million parameters; no μ and σ suit
    every space, so name them: "swap_regularised:mu=0.5+sigma=0.2". The authors' code counts P in thousands: their μ is
    1,000 times, their σ a million times the one here. Edge values: as `swap`; 0 where the factor underflows. Source:
    Peng et al. 2024 (regularised SWAP-Score).
    """
    count, status = swap(signals)
    return count * math.exp(-((signals.size["parameters"] / 1e6 - mu) ** 2) / sigma), status


PROXIES = [
    Proxy("swap", "expressivity", "maximize", "patterns", swap, core=False),
    Proxy("swap_regularised", "expressivity", "maximize", "patterns", swap_regularised, core=False),
]
