"""AZ-NAS: four views of a network through what its primary blocks hand to each other (`probing/blocks.py`).

f_0, f_1, …, f_L are the features (n, C, …) at the boundaries of the blocks: in NAS-Bench-201 the stem's output and that
of every cell and reduction; in a plain module the outputs of its direct children with convolutions or linear layers.
"""

from __future__ import annotations

import math

import numpy as np

from automl_theory.linalg import Array
from automl_theory.probing.blocks import OTHER_ROWS, block_gains
from automl_theory.probing.layer_gradients import Unsupported
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def _entropy(covariance: Array) -> float:
    """H(λ/Σλ) in nats of the spectrum of a covariance; 0 where nothing varies."""
    if not np.isfinite(covariance).all():
        return float("nan")
    values = np.clip(np.linalg.eigvalsh(covariance), 0.0, None)
    if not values[-1] > 0:
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(-(shares * np.log(shares)).sum())


def _entropies(signals: Signals, least: int) -> list[float]:
    if signals.feature_maps.other_blocks:
        raise Undefined(OTHER_ROWS)
    entropies = [_entropy(covariance) for covariance in signals.feature_maps.covariances]
    if len(entropies) < least:
        raise Undefined(
            f"at least {least} block boundary is needed" if least == 1 else "two block boundaries are needed"
        )
    return entropies


def az_expressivity(signals: Signals) -> Value:
    """Σ_l H(λ_l/Σλ_l), λ_l the eigenvalues of the channel covariance of f_l, H the entropy.

    Expressivity; maximize; unit: nats. The covariance is over samples and positions: features that fill all their
    directions alike have the most entropy, log C. Edge values: a block whose features are constant adds 0; undefined
    without a block, or where one gives something else than one row a sample. Source: Lee & Ham 2024 (AZ-NAS).
    """
    return sum(_entropies(signals, 1)), "ok"


def az_progressivity(signals: Signals) -> Value:
    """min_l H_l − H_{l−1}, H_l the entropy of the features f_l as in `az_expressivity`.

    Expressivity; maximize; unit: nats. How much each block adds at the least to what the one before it expressed. Edge
    values: 0 at the most where a block is an identity; undefined for fewer than two boundaries. Source: Lee & Ham 2024
    (AZ-NAS).
    """
    return float(np.min(np.diff(_entropies(signals, 2)))), "ok"


def az_trainability(signals: Signals) -> Value:
    """mean_l 2 − σ_l − 1/σ_l, σ_l the spectral norm of block l's mean Jacobian, as random ±1 gradients see it.

    Convergence; maximize; unit: 1. Largest, 0, where every block hands gradients on at their size. σ_l is the spectral
    norm of g_inᵀg_out/(n·positions), g_out random signs from (seed, l) at the output of block l, g_in their gradient at
    its input, moved from positions to channels where the block shrinks the image. BatchNorm's batch statistics are
    differentiated through, as in training. Edge values: −inf and "rank_deficient" where a block is an identity, which
    would be best without learning anything, as in the released code, or hands no gradient back; undefined for fewer
    than two boundaries. Source: Lee & Ham 2024 (AZ-NAS).
    """
    try:
        gains = block_gains(signals.net, signals.x, signals.seed)
    except Unsupported as reason:
        raise Undefined(str(reason)) from None
    if not gains:
        raise Undefined("two block boundaries are needed")
    known = [gain for gain in gains if gain]
    if len(known) < len(gains):
        return -math.inf, "rank_deficient"
    return float(np.mean([2 - gain - 1 / gain for gain in known])), "ok"


def az_complexity(signals: Signals) -> Value:
    """Σ_layers 2·multiply-accumulates, the floating-point operations of one forward pass of one sample.

    Size; maximize; unit: FLOPs. Twice `macs`. Edge values: 0 without convolutions and linear layers; never undefined.
    Source: Lee & Ham 2024 (AZ-NAS).
    """
    return 2 * signals.size["macs"], "ok"


PROXIES = [
    Proxy("az_expressivity", "expressivity", "maximize", "nats", az_expressivity, core=False),
    Proxy("az_progressivity", "expressivity", "maximize", "nats", az_progressivity, core=False),
    Proxy("az_trainability", "convergence", "maximize", "1", az_trainability, core=False),
    Proxy("az_complexity", "size", "maximize", "FLOPs", az_complexity, core=False),
]
