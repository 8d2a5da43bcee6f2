"""MeCo: channels that say different things."""

from __future__ import annotations

import numpy as np

from automl_theory import linalg
from automl_theory.linalg import Array
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def _smallest(maps: Array) -> float:
    """λ_min of the Pearson correlation of the rows of `maps` (C, positions); a constant row counts as zero."""
    centred = maps - maps.mean(1, keepdims=True)
    centred[np.abs(centred).max(1) <= linalg.EPS32 * np.abs(maps).max(1)] = 0.0
    return linalg.spectrum(linalg.correlation(centred @ centred.T)).lambda_min


def _maps(signals: Signals) -> list[Array]:
    layers = signals.feature_maps.layers
    if signals.feature_maps.other_layers:
        raise Undefined("a layer gives something else than one row a sample; let samples be the first dimension")
    if not layers:
        raise Undefined("no layer has channels over two positions or more")
    return layers


def meco(signals: Signals) -> Value:
    """Σ_layers λ_min(P), P the Pearson correlation matrix of a layer's C feature maps on one sample.

    Convergence; maximize; unit: 1. The sample is the batch's first; BatchNorm normalises by the whole batch; a layer is
    every call of a convolution, normalisation, activation or pooling whose output has channels over two positions or
    more (the released code counts containers as well, some maps several times). Edge values: a constant map correlates
    with nothing, not even itself, as in the released code, and makes its layer's λ_min 0, as do more channels than
    positions; "rank_deficient" where that holds for every layer; undefined without such a layer, or where the first
    dimension of an output is not that of the samples. Source: Jiang, Wang & Bie 2023 (MeCo).
    """
    total = sum(_smallest(maps) for maps in _maps(signals))
    return total, "ok" if total > 0 else "rank_deficient"


def meco_opt(signals: Signals, channels: int = 8) -> Value:
    """Σ_layers (C/c)·λ_min(P_c), P_c the correlation matrix of c of a layer's C feature maps, drawn at random.

    Convergence; maximize; unit: 1. c = min(C, `channels`) without replacement from PCG64 of (seed, number of the
    layer). Wide layers, whose λ_min falls with C, count again, at an eighth of the cost. Edge values: as `meco`; one
    channel gives 1, or 0 if it is constant. Source: Jiang, Wang & Bie 2023 (MeCo_opt, c = 8).
    """
    total = 0.0
    for number, maps in enumerate(_maps(signals)):
        few = min(len(maps), channels)
        drawn = np.random.default_rng([signals.seed, number]).choice(len(maps), few, replace=False)
        total += len(maps) / few * _smallest(maps[drawn])
    return total, "ok" if total > 0 else "rank_deficient"


PROXIES = [
    Proxy("meco", "convergence", "maximize", "1", meco, core=False),
    Proxy("meco_opt", "convergence", "maximize", "1", meco_opt, core=False),
]
