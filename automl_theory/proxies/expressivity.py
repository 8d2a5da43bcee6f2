"""Expressivity: how finely a network cuts its input space, how it bends curves, how many directions its kernel has."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from automl_theory import linalg
from automl_theory.probing import curves
from automl_theory.probing.activations import count_distinct
from automl_theory.probing.regions import thin_regions
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def _need_units(signals: Signals) -> None:
    if signals.codes.missed:
        raise Undefined("a ReLU of the module reads something else than one row a sample")
    if signals.codes.units == 0:
        raise Undefined("the module calls no ReLU")


def linear_regions(signals: Signals) -> Value:
    """Number of distinct ReLU patterns among the n samples of the batch, between 1 and n.

    Expressivity; maximize; unit: regions. Edge values: "saturated" when every sample has its own pattern, which real
    networks nearly always reach: see `linear_regions_thin`; undefined without a ReLU. Source: Chen, Gong & Wang 2021
    (TE-NAS), on the plain network.
    """
    _need_units(signals)
    count = count_distinct(signals.hamming)
    return float(count), "saturated" if count == signals.n and signals.n > 1 else "ok"


def linear_regions_thin(signals: Signals, samples: int = 1000, repeats: int = 3) -> Value:
    """Distinct ReLU patterns of the one-channel cell without stem over repeats × samples Gaussian 1×3×3 inputs.

    Expressivity; maximize; unit: regions. TE-NAS's protocol against saturation: BatchNorm by each batch's statistics,
    patterns of all batches pooled. Edge values: "saturated" at samples·repeats; undefined without a space that builds
    such a network. Source: Chen, Gong & Wang 2021 (TE-NAS).
    """
    assert signals.thin is not None
    count = thin_regions(signals.thin(signals.seed), samples, repeats, signals.seed)
    return float(count), "saturated" if count == samples * repeats else "ok"


def segment_regions(signals: Signals, points: int = 129) -> Value:
    """1 + number of ReLU sign changes along the segment between two samples: the linear pieces it crosses.

    Expressivity; maximize; unit: regions. Seen at `points` equidistant points, BatchNorm statistics frozen from the
    batch: a lower bound that counts a unit once per interval. Averaged over up to 3 pairs of successive samples. Edge
    values: 1 where no sign changes; undefined for one sample, integer inputs, or without a ReLU. Source: Hanin &
    Rolnick 2019 (regions along a line).
    """
    _need_units(signals)
    if signals.n < 2 or points < 2:
        raise Undefined("at least two samples and two points are needed")
    if not signals.x.is_floating_point():
        raise Undefined("floating-point inputs are needed")
    counts = []
    for i in range(min(3, signals.n - 1)):
        t = torch.linspace(0, 1, points, dtype=signals.x.dtype, device=signals.x.device)
        t = t.view(-1, *([1] * (signals.x.ndim - 1)))
        hamming = signals.frozen_codes(signals.x[i] * (1 - t) + signals.x[i + 1] * t).hamming()
        counts.append(1 + np.diag(hamming, k=1).sum())
    return float(np.mean(counts)), "ok"


def naswot(signals: Signals) -> Value:
    """log|det K_H|, (K_H)_ij = U − d_H(c_i, c_j): U ReLU units less the Hamming distance of the samples' codes.

    Expressivity; maximize; unit: nats. Counts every ReLU output once. Edge values: −inf and "rank_deficient" for a
    singular K_H (two samples share a code, or there are more samples than units); undefined without a ReLU. Source:
    Mellor et al. 2021 (NASWOT).
    """
    _need_units(signals)
    spectrum = linalg.spectrum(signals.codes.units - signals.hamming)
    if spectrum.rank < signals.n:
        return float("-inf"), "rank_deficient"
    return float(np.log(spectrum.eigenvalues).sum()), "ok"


def ntk_rank(signals: Signals) -> Value:
    """Number of eigenvalues of the NTK above eps·n·λ_max, of n.

    Expressivity; maximize; unit: of n. The directions in which a small gradient step can move the outputs. Edge values:
    "saturated" when it equals n, as for nearly every live network at small n: it then tells nothing; "rank_deficient"
    below. Source: the K of Jacot, Gabriel & Hongler 2018.
    """
    spectrum = signals.spectrum
    status = "saturated" if spectrum.status == "ok" else spectrum.status
    return float(spectrum.rank), status


def ntk_numerical_rank(signals: Signals, tol: float = 0.01) -> Value:
    """Number of eigenvalues of the NTK above tol·λ_max, of n.

    Expressivity; maximize; unit: of n. The tolerance is part of the column's name when it is not the default. Edge
    values: "saturated" when it equals n. Source: Golub & Van Loan, Matrix Computations, §5.4 (numerical rank).
    """
    rank = signals.spectrum.numerical_rank(tol)
    return float(rank), "saturated" if rank == signals.n else "ok"


def ntk_effective_rank(signals: Signals) -> Value:
    """exp(H(p)), p = λ/Σλ the normalised spectrum of the NTK, H its entropy: between 1 and n.

    Expressivity; maximize; unit: of n. Edge values: none, it is defined for a singular kernel too; 1 for a kernel of
    rank one. Source: Roy & Vetterli 2007.
    """
    return signals.spectrum.effective_rank, "ok"


def _circle(signals: Signals, points: int) -> tuple[Tensor, Tensor, Tensor]:
    if points < 3:
        raise Undefined("at least three points are needed")
    if signals.x[0].numel() < 2 or not signals.x.is_floating_point():
        raise Undefined("floating-point inputs of at least two entries are needed")
    return curves.circle(signals.x[0], points, signals.seed)


def curve_length(signals: Signals, points: int = 128) -> Value:
    """∫₀^2π |J(t)| dt, J = d f(x(t))/dt on the circle x(t) = √N₀(u₀ cos t + u₁ sin t), in units of the output.

    Expressivity; maximize; unit: output. u₀, u₁ orthonormal and random by the seed, N₀ the input dimension; f the
    logits, BatchNorm statistics frozen from the batch. Scales with the output. Edge values: 0 for a constant curve;
    undefined for integer inputs or a single entry. Source: Poole et al. 2016; Chen, Huang & Wang 2023.
    """
    x, v, _ = _circle(signals, points)
    return curves.length(signals.frozen(lambda f: curves.velocity(f, x, v))), "ok"


def curvature(signals: Signals, points: int = 128) -> Value:
    """Mean over the circle of κ = |J|⁻³ √(|J|²|J'|² − (J·J')²), the extrinsic curvature of the output curve.

    Expressivity; maximize; unit: 1/output. J' is taken almost everywhere (the kinks of ReLU are ignored): for a ReLU
    network κ is then an inverse output scale, dividing by s when the output is multiplied by s; `turning_angle` is not.
    Edge values: NaN and "non_finite" where J vanishes everywhere; undefined as `curve_length`. Source: Poole et al.
    2016; Theorem 4.1 of Chen, Huang & Wang 2023.
    """
    x, v, a = _circle(signals, points)
    return curves.mean_curvature(*signals.frozen(lambda f: curves.velocity_and_acceleration(f, x, v, a))), "ok"


def turning_angle(signals: Signals, points: int = 256) -> Value:
    """Σ_i ∠(y_{i+1} − y_i, y_{i+2} − y_{i+1}) in radians over the closed polygon y_i = f(x(t_i)) of the circle.

    Expressivity; maximize; unit: radians. Scale-free, kinks included; 2π for a linear network (an ellipse), more for
    one that folds the circle. A lower bound of the curve's that grows with `points`. Steps within rounding of the
    outputs are dropped. Edge values: 0 for a constant curve; undefined as `curve_length`. Source: total curvature of a
    curve (Milnor 1950).
    """
    x, _, _ = _circle(signals, points)
    return curves.total_turning(signals.frozen(lambda f: curves.outputs(f, x)), signals.eps), "ok"


_KERNEL, _CODES = frozenset({"kernel"}), frozenset({"codes"})

PROXIES = [
    Proxy("linear_regions", "expressivity", "maximize", "regions", linear_regions, _CODES),
    Proxy("naswot", "expressivity", "maximize", "nats", naswot, _CODES),
    Proxy("ntk_rank", "expressivity", "maximize", "of n", ntk_rank, _KERNEL),
    Proxy("ntk_effective_rank", "expressivity", "maximize", "of n", ntk_effective_rank, _KERNEL),
    Proxy("ntk_numerical_rank", "expressivity", "maximize", "of n", ntk_numerical_rank, _KERNEL, core=False),
    Proxy(
        "linear_regions_thin",
        "expressivity",
        "maximize",
        "regions",
        linear_regions_thin,
        frozenset({"thin"}),
        core=False,
    ),
    Proxy("segment_regions", "expressivity", "maximize", "regions", segment_regions, _CODES, core=False),
    Proxy("curve_length", "expressivity", "maximize", "output", curve_length, core=False),
    Proxy("curvature", "expressivity", "maximize", "1/output", curvature, core=False),
    Proxy("turning_angle", "expressivity", "maximize", "radians", turning_angle, core=False),
]
