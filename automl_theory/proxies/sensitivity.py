"""Expressivity by the input: how differently samples move the outputs, and how far features move with the input.

J_i = ∂ Σ_jc f_c(x_j) / ∂x_i is the gradient of all summed logits by input i, (P,) numbers, BatchNorm by the batch's
statistics and differentiated through (so that it speaks of the other samples too). Σ_J is the correlation matrix of the
J_i over their P entries, each less its mean. These are three of NAS-Bench-Suite-Zero (Krishnakumar et al. 2022).
"""

from __future__ import annotations

import math

import numpy as np

from automl_theory import linalg
from automl_theory.probing.signals import Array, Signals
from automl_theory.proxies.base import NAN, Proxy, Undefined, Value

_K = 1e-5
_MANY = 100
_ROUNDING = 1000


def _correlation(signals: Signals) -> Array | None:
    """Σ_J in float64; None where it is not finite."""
    gradients = signals.training("input_gradients").input_gradients
    assert gradients is not None
    rows = gradients.double().cpu().numpy()
    if not np.isfinite(rows).all():
        return None
    if _is_rounding(rows, signals):
        raise Undefined(
            "the gradient of the summed logits by the input is 0 but for rounding, as behind a last BatchNorm that "
            "nothing nonlinear follows"
        )
    centred = rows - rows.mean(1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    if (norms <= signals.eps * np.linalg.norm(rows, axis=1, keepdims=True)).any():
        raise Undefined(
            "the gradient of a sample is the same for all entries of the input, and correlates with nothing"
        )
    unit = centred / norms
    clipped: Array = np.clip(unit @ unit.T, -1.0, 1.0)
    return clipped


def _is_rounding(rows: Array, signals: Signals) -> bool:
    """Whether gradients are far too small to explain how the outputs differ: |J| |x − x̄| < 1000 ε |f − f̄|.

    BatchNorm by the batch's statistics takes away any change that all samples share. Where only linear layers and
    averages follow, the sum of all outputs is constant and its gradient is what rounding leaves, some ε; of networks
    that do have a gradient the left side is at least some 10⁷ ε.
    """
    x, f = (v.detach().double().cpu().flatten(1).numpy() for v in (signals.x, signals.logits))
    moved, explained = (float(np.linalg.norm(v - v.mean(0))) for v in (f, x))
    return float(np.linalg.norm(rows)) * explained < _ROUNDING * signals.eps * moved


def jacov(signals: Signals) -> Value:
    """−Σ_i (log(λ_i + k) + 1/(λ_i + k)), λ the eigenvalues of the correlation matrix Σ_J, k = 1e-5.

    Expressivity; maximize; unit: 1. Largest, −n, where the samples' input gradients are uncorrelated: the likelihood of
    Σ_J under a normal law of independent samples. Edge values: about −1e5 for each zero eigenvalue, and
    "rank_deficient" (equal samples, fewer inputs than samples); undefined for one sample, integer inputs, or a gradient
    that is constant over the input or no more than rounding. Source: Mellor et al. 2020 ("Neural architecture search
    without training", first version); Abdelfattah et al. 2021 (jacob_cov).
    """
    if signals.n < 2:
        raise Undefined("at least two samples are needed")
    correlation = _correlation(signals)
    if correlation is None:
        return NAN, "non_finite"
    spectrum = linalg.spectrum(correlation, signals.eps)
    shifted = np.maximum(spectrum.eigenvalues, 0.0) + _K
    return float(-(np.log(shifted) + 1 / shifted).sum()), spectrum.status


def epe_nas(signals: Signals) -> Value:
    """Σ_c |Σ_ij log(|Σ_J^c|_ij + k)|, Σ_J^c the correlation matrix of the samples of class c, k = 1e-5.

    Expressivity; maximize; unit: nats. Larger where input gradients of one class are less correlated. For more than 100
    logits each class is divided by its number of samples, e_c, and the value is Σ_cd |e_c − e_d| / number of classes of
    at least two samples, over which the sums run. Else a class of one sample adds log(1 + k). Both as the authors' code
    has it. Edge values: failed without labels; undefined where no class has two samples, for integer inputs, or a
    gradient that is constant over the input or no more than rounding; one class is a value. Source: Lopes, Alirezazadeh
    & Alexandre 2021.
    """
    assert signals.y is not None
    if np.unique(signals.y, return_counts=True)[1].max() < 2:
        raise Undefined("no class has two samples to correlate; give a larger batch")
    correlation = _correlation(signals)
    if correlation is None:
        return NAN, "non_finite"
    many = signals.logits.shape[1] > _MANY
    sums = []
    for label in np.unique(signals.y):
        rows = np.flatnonzero(signals.y == label)
        if many and len(rows) < 2:
            continue
        total = float(np.log(np.abs(correlation[np.ix_(rows, rows)]) + _K).sum())
        sums.append(total / len(rows) if many else total)
    found = np.array(sums)
    if many:
        return float(np.abs(found[:, None] - found).sum() / len(found)), "ok"
    return float(np.abs(found).sum()), "ok"


def zen(signals: Signals, samples: int = 16) -> Value:
    """log Δ + Σ_l ½ log mean_c σ²_lc, Δ = mean_i ‖F(x_i) − F(x_i + 0.01 δ_i)‖, for Gaussian weights and inputs.

    Expressivity; maximize; unit: nats. F is what global pooling reads (else the last linear layer; else the output), of
    the network with weights of convolution and linear layers N(0, 1) by `seed`, biases 0 and scales of normalisations
    1, and `samples` Gaussian x, δ of the data's shape. Of the network's own, other parameters enter (a PReLU's slope),
    and whether its outputs depend on the input. σ²_lc is the variance of channel c in BatchNorm l over the very batch
    x, not the average that the released code reads after two updates (of which 0.81 is the initial 1). A BatchNorm
    whose input is constant is left out: it scales nothing. Edge values: −inf and "rank_deficient" where no feature
    moves; undefined for integer inputs. Source: Lin et al. 2021 (Zen-NAS, algorithm 1; Frobenius norm, one draw).
    """
    moved, variances = signals.gaussian_response(0.01, samples)
    if not math.isfinite(moved) or not all(map(math.isfinite, variances)):
        return NAN, "non_finite"
    if moved == 0:
        return -math.inf, "rank_deficient"
    return math.log(moved) + sum(math.log(var) / 2 for var in variances if var > 0), "ok"


PROXIES = [
    Proxy("jacov", "expressivity", "maximize", "1", jacov, frozenset({"input_gradients"}), core=False),
    Proxy("epe_nas", "expressivity", "maximize", "nats", epe_nas, frozenset({"input_gradients", "labels"}), core=False),
    Proxy("zen", "expressivity", "maximize", "nats", zen, core=False),
]
