"""VKDNW: how evenly the weights can be known, from the spectrum of a small Fisher information matrix."""

from __future__ import annotations

import numpy as np

from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value

DECILES = np.arange(1, 10) / 10


def _entropy(signals: Signals) -> float:
    logits = signals.logits.double().cpu().numpy()
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    jacobian = signals.entry_jacobian
    around = jacobian - np.einsum("ic,ick->ik", p, jacobian)[:, None, :]
    rows = (np.sqrt(p / signals.n)[:, :, None] * around).reshape(-1, jacobian.shape[2])
    if not np.isfinite(rows).all():
        return float("nan")
    values = np.clip(np.linalg.eigvalsh(rows.T @ rows), 0.0, None)
    deciles = np.quantile(values, DECILES)
    if not deciles[-1] > signals.eps**2 * max(values[-1], 0.0):
        raise Undefined("the Fisher information of the chosen weights vanishes")
    shares = deciles[deciles > 0] / deciles.sum()
    return float(-(shares * np.log(shares)).sum())


def vkdnw(signals: Signals) -> Value:
    """−Σ_k q_k log q_k, q_k = λ_k/Σλ_k, λ_1 … λ_9 the deciles of the spectrum of the Fisher information F.

    Convergence; maximize; unit: nats. F = mean_i J_iᵀ(diag p_i − p_i p_iᵀ)J_i with p_i = softmax f(x_i) and J_i the
    Jacobian of the logits by the first entry of every trainable parameter tensor; BatchNorm's statistics of the batch
    are constants. Between 0 and log 9: the more alike, the more evenly the weights are known. Needs no labels. Edge
    values: undefined where the deciles vanish (one logit, or nearly no chosen weight that matters). Source: Týbl &
    Neumann 2025 (VKDNW); the released code takes running statistics and smooths p.
    """
    return _entropy(signals), "ok"


def vkdnw_single(signals: Signals) -> Value:
    """ℵ + Σ_k −q_k log q_k, ℵ the number of trainable parameter tensors, and the entropy of `vkdnw`.

    Convergence; maximize; unit: 1. Ranks by the number of layers first, as far as networks differ there by more than
    log 9, and among equals by `vkdnw`. Edge values: as `vkdnw`. Source: Týbl & Neumann 2025 (VKDNW_single).
    """
    return signals.entry_jacobian.shape[2] + _entropy(signals), "ok"


_COUNTED = frozenset({"parameters"})

PROXIES = [
    Proxy("vkdnw", "convergence", "maximize", "nats", vkdnw, _COUNTED, core=False),
    Proxy("vkdnw_single", "convergence", "maximize", "1", vkdnw_single, _COUNTED, core=False),
]
