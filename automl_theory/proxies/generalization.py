"""Generalization: how well the tangent kernel fits the labels, seen and held out.

Y (n, C) is the one-hot label matrix minus its column means over the samples that count as seen.
"""

from __future__ import annotations

import numpy as np

from automl_theory import linalg
from automl_theory.data import split_halves
from automl_theory.graphs.dag import metrics
from automl_theory.linalg import Array
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def _targets(signals: Signals) -> Array:
    assert signals.targets is not None
    if (signals.targets.sum(0) > 0).sum() < 2:
        raise Undefined("labels of at least two classes are needed")
    return signals.targets


def ntk_alignment(signals: Signals) -> Value:
    """A = ⟨HKH, YYᵀ⟩_F/(‖HKH‖_F ‖YYᵀ‖_F), H = I − 11ᵀ/n: centred alignment of the NTK with the labels, in [−1, 1].

    Generalization; maximize; unit: 1. Edge values: undefined for a kernel that is constant but for rounding, and
    without labels of two classes. Source: Cristianini et al. 2001; Cortes, Mohri & Rostamizadeh 2012.
    """
    y = _targets(signals)
    y = y - y.mean(0)
    k = signals.kernel - signals.kernel.mean(0) - signals.kernel.mean(1)[:, None] + signals.kernel.mean()
    labels = y @ y.T
    norm = np.linalg.norm(k)
    if norm <= signals.eps * signals.n * np.linalg.norm(signals.kernel):
        raise Undefined("the kernel is the same for every pair of samples")
    return float((k * labels).sum() / (norm * np.linalg.norm(labels))), "ok"


def ntk_label_alignment(signals: Signals) -> Value:
    """A = ⟨K, T⟩_F/(‖K‖_F ‖T‖_F), T_ij = 1 for equal labels, −1/(C − 1) for others: yᵀKy/(‖K‖_F n) for two classes.

    Generalization; maximize; unit: 1. Kernel-target alignment as it was first defined, in [−1, 1]; C is the number of
    classes in the batch, and T = yyᵀ with y = ±1 for two. A kernel that is large for every pair scores low, whatever
    the labels: `ntk_alignment` is the centred form. Edge values: undefined without labels of two classes. Source:
    Cristianini et al. 2001.
    """
    y = _targets(signals)
    classes = int((y.sum(0) > 0).sum())
    target = (y @ y.T * classes - 1) / (classes - 1)
    return float((signals.kernel * target).sum() / (np.linalg.norm(signals.kernel) * np.linalg.norm(target))), "ok"


def ntk_label_complexity(signals: Signals) -> Value:
    """√(tr(Yᵀ K⁻¹ Y)/n), the multi-class form of √(yᵀK⁻¹y/n): the kernel norm of a function that fits the labels.

    Generalization; minimize; unit: parameter. Smaller bounds the risk better. Edge values: +inf and "rank_deficient"
    for a singular kernel. Source: Arora et al. 2019; Cao & Gu 2019; Theorem 4.5 of Chen, Huang & Wang 2023.
    """
    y = _targets(signals)
    y = y - y.mean(0)
    if signals.spectrum.status == "rank_deficient":
        return float("inf"), "rank_deficient"
    solution, status = linalg.solve(signals.kernel, y, signals.eps)
    return float(np.sqrt(max((y * solution).sum(), 0.0) / signals.n)), status


def ntk_regression_error(signals: Signals) -> Value:
    """Mean over the batch's two class-balanced halves a, b of ‖K_ba K_aa⁻¹ Y_a − Y_b‖²/|b|, Y centred by the seen half.

    Generalization; minimize; unit: squared error. Kernel regression with the NTK on held-out images: smaller is better;
    the constant predictor scores about 1 − 1/C. Edge values: a singular half uses the minimum-norm solution and says
    "rank_deficient"; undefined for fewer than two samples a half, or without labels of two classes. Source: the measure
    G of TEG-NAS (Chen et al. 2021), which centres each batch by its own mean and takes two batches: see
    `linalg.kernel_regression_error`.
    """
    y = _targets(signals)
    halves = split_halves(np.asarray(signals.y))
    if min(len(half) for half in halves) < 2:
        raise Undefined("at least two samples a half are needed")
    errors, statuses = [], []
    for seen, held in (halves, halves[::-1]):
        k_seen, k_cross = signals.kernel[np.ix_(seen, seen)], signals.kernel[np.ix_(held, seen)]
        error, status = linalg.kernel_regression_error(k_seen, k_cross, y[seen], y[held], eps=signals.eps)
        errors.append(error)
        statuses.append(status)
    return float(np.mean(errors)), "ok" if statuses == ["ok", "ok"] else "rank_deficient"


def generalization_bound(signals: Signals) -> Value:
    """(Σ_p d_p)·√(tr(Yᵀ K⁻¹ Y)/n), Σ_p d_p the trainable layers summed over all input–output paths of the cell.

    Generalization; minimize; unit: parameter. The leading term of the published risk bound. Edge values: as
    `ntk_label_complexity`; "no_parameters" for a cell without a trainable layer on any path, of which the bound says
    nothing; needs a space with cell graphs. Source: Theorem 4.5 of Chen, Huang & Wang 2023.
    """
    assert signals.graph is not None
    total = metrics(signals.graph)["total_depth"]
    if total == 0:
        return float("nan"), "no_parameters"
    value, status = ntk_label_complexity(signals)
    return total * value, status


_KERNEL = frozenset({"kernel", "labels"})

PROXIES = [
    Proxy("ntk_alignment", "generalization", "maximize", "1", ntk_alignment, _KERNEL),
    Proxy("ntk_label_alignment", "generalization", "maximize", "1", ntk_label_alignment, _KERNEL, core=False),
    Proxy("ntk_label_complexity", "generalization", "minimize", "parameter", ntk_label_complexity, _KERNEL),
    Proxy("ntk_regression_error", "generalization", "minimize", "squared error", ntk_regression_error, _KERNEL),
    Proxy(
        "generalization_bound",
        "generalization",
        "minimize",
        "parameter",
        generalization_bound,
        _KERNEL | {"graph"},
        core=False,
    ),
]
