"""Convergence: how well conditioned gradient descent starts out, from the spectrum of the tangent kernel."""

from __future__ import annotations

from automl_theory.linalg import Spectrum
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def _lambda_min(spectrum: Spectrum) -> Value:
    return spectrum.lambda_min, "rank_deficient" if spectrum.status == "disconnected" else spectrum.status


def _condition_number(spectrum: Spectrum) -> Value:
    return spectrum.condition_number, "rank_deficient" if spectrum.status == "disconnected" else spectrum.status


def ntk_lambda_min(signals: Signals) -> Value:
    """λ_min(K), K the empirical NTK of the batch.

    Convergence; maximize; unit: output²/parameter². Larger means faster linear convergence: ‖y − f_t‖² ≤ (1 −
    ηλ_min/2)^t ‖y − f_0‖². Not the same as the eigenvalue at 90 % of the cumulative trace that Chen, Huang & Wang
    (2023) plot under this name. Edge values: 0 and "rank_deficient" when λ_min ≤ eps·n·λ_max (duplicated inputs, more
    samples than parameters). Source: Du et al. 2019; Chen, Huang, Gong, Hanin & Wang 2022.
    """
    return _lambda_min(signals.spectrum)


def ntk_lambda_min_normalised(signals: Signals) -> Value:
    """λ_min of the correlation matrix K_ij/√(K_ii K_jj) of the empirical NTK, between 0 and 1.

    Convergence; maximize; unit: 1. Invariant to the scale of the outputs and to a rescaling of single samples'
    gradients. Edge values: as `ntk_lambda_min`; 1 sample gives 1. Source: the correlation matrix of the K of Jacot,
    Gabriel & Hongler 2018; as a proxy this package's own.
    """
    return _lambda_min(signals.normalised_spectrum)


def ntk_condition_number(signals: Signals) -> Value:
    """κ = λ_max(K)/λ_min(K) ≥ 1 of the empirical NTK; smaller is held to train better.

    Convergence; minimize; unit: 1. Depends on the initialisation and on the BatchNorm mode more than on most else, and
    prefers narrow over wide cells, the reverse of λ_min. Edge values: +inf and "rank_deficient" for a singular kernel,
    so it can never rank first. Source: Xiao, Pennington & Schoenholz 2020; Chen, Gong & Wang 2021 (TE-NAS, with
    bn="batch").
    """
    return _condition_number(signals.spectrum)


def ntk_trace(signals: Signals) -> Value:
    """tr K = Σ_i ‖∂f(x_i)/∂θ‖², the squared gradient norms of the batch.

    Convergence; maximize; unit: output²/parameter². f is what the kernel's `output` makes of the logits: their sum, or
    with output="trace" all of them, as in NASI. Scales with the square of the output. Edge values: none, it is defined
    for every kernel. Source: Shu et al. 2022 (NASI).
    """
    return float(signals.kernel.trace()), "ok"


def nngp_lambda_min(signals: Signals) -> Value:
    """λ_min of the feature kernel ΦΦᵀ/d, Φ (n, d) the input of the last linear layer: the finite network's NNGP.

    Convergence; maximize; unit: feature². Edge values: 0 and "rank_deficient" when n > d (more samples than features)
    or features coincide or vanish; undefined for a module without a linear layer. Source: Theorems 4.3 and 4.4 of Chen,
    Huang & Wang 2023.
    """
    if signals.feature_spectrum is None:
        raise Undefined("the module ends in no linear layer with one row a sample")
    return _lambda_min(signals.feature_spectrum)


def ntk_lambda_min_batch(signals: Signals) -> Value:
    """λ_min of the NTK with gradients through BatchNorm's batch statistics (bn="batch").

    Convergence; maximize; unit: output²/parameter². n backward passes through the whole batch. Edge values: as
    `ntk_lambda_min`. Source: Chen, Gong & Wang 2021 (TE-NAS: their BN mode).
    """
    return _lambda_min(signals.batch_spectrum)


def ntk_condition_number_batch(signals: Signals) -> Value:
    """κ of the NTK with gradients through BatchNorm's batch statistics (bn="batch"): TE-NAS's measure.

    Convergence; minimize; unit: 1. n backward passes through the whole batch. Edge values: as `ntk_condition_number`.
    Source: Chen, Gong & Wang 2021 (TE-NAS).
    """
    return _condition_number(signals.batch_spectrum)


_KERNEL, _COUNTED = frozenset({"kernel"}), frozenset({"parameters"})
_UNIT = "output²/parameter²"

PROXIES = [
    Proxy("ntk_lambda_min", "convergence", "maximize", _UNIT, ntk_lambda_min, _KERNEL),
    Proxy("ntk_lambda_min_normalised", "convergence", "maximize", "1", ntk_lambda_min_normalised, _KERNEL),
    Proxy("ntk_condition_number", "convergence", "minimize", "1", ntk_condition_number, _KERNEL),
    Proxy("ntk_trace", "convergence", "maximize", _UNIT, ntk_trace, _KERNEL),
    Proxy("nngp_lambda_min", "convergence", "maximize", "feature²", nngp_lambda_min, frozenset({"features"})),
    Proxy("ntk_lambda_min_batch", "convergence", "maximize", _UNIT, ntk_lambda_min_batch, _COUNTED, core=False),
    Proxy(
        "ntk_condition_number_batch", "convergence", "minimize", "1", ntk_condition_number_batch, _COUNTED, core=False
    ),
]
