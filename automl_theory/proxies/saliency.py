"""Saliency: what the loss, or the flow through the network, would feel of the weights' removal.

θ are the trainable weights of all convolution and linear modules (no biases, no normalisation parameters), a shared one
once; where one is computed (by weight_norm, a parametrization or a pruning of torch.nn.utils), all that reads θ fails
and says how to undo it. L is the mean cross-entropy of the batch, the pass in training mode: BatchNorm by the batch's
statistics, differentiated through, whatever the `bn` of the tangent kernel is; no dropout. g = ∂L/∂θ, H = ∂²L/∂θ².

Seven of the thirteen proxies of NAS-Bench-Suite-Zero (Krishnakumar et al. 2022), which took them from Abdelfattah et
al. 2021. Values are not comparable over batch sizes.
"""

from __future__ import annotations

import math

from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import NAN, Proxy, Undefined, Value


def _value(value: float) -> Value:
    return (value, "ok") if math.isfinite(value) else (NAN, "non_finite")


def _products(signals: Signals, absolute: bool) -> Value:
    """Σ θ·g or Σ |θ·g|, in float64."""
    if not signals.layer_weights:
        return NAN, "no_parameters"
    found = signals.training("loss")
    assert found.gradients is not None
    terms = (found.weights[name].double() * g.double() for name, g in found.gradients.items())
    return _value(float(sum(float((term.abs() if absolute else term).sum()) for term in terms)))


def grad_norm(signals: Signals) -> Value:
    """Σ_l ‖∂L/∂θ_l‖₂ over the weights θ_l of all convolution and linear layers.

    Saliency; maximize; unit: loss/parameter. The norms are summed, not their squares. Edge values: 0 where the loss
    depends on no weight; a dead layer adds 0; "no_parameters" without such layers; failed without labels. Source:
    Abdelfattah et al. 2021.
    """
    if not signals.layer_weights:
        return NAN, "no_parameters"
    found = signals.training("loss")
    assert found.gradients is not None
    return _value(float(sum(float(g.double().norm()) for g in found.gradients.values())))


def snip(signals: Signals) -> Value:
    """Σ |θ ∂L/∂θ|, how much the loss would change to first order if single weights went.

    Saliency; maximize; unit: loss. Edge values: 0 for zero gradients; "no_parameters" without convolution and linear
    layers; failed without labels. Source: Lee, Ajanthan & Torr 2019 (SNIP); summed by Abdelfattah et al. 2021.
    """
    return _products(signals, absolute=True)


def plain(signals: Signals) -> Value:
    """Σ θ ∂L/∂θ, the derivative of the loss when all weights grow by one factor.

    Saliency; maximize; unit: loss. SNIP without the absolute value. A weight in front of a BatchNorm adds next to
    nothing, since the loss does not depend on its scale: in float32 its share is rounding, some 1e-7 of `snip`. Edge
    values: 0 for zero gradients; "no_parameters" without convolution and linear layers; failed without labels. Source:
    Abdelfattah et al. 2021, whose baseline it is.
    """
    return _products(signals, absolute=False)


def grasp(signals: Signals) -> Value:
    """−Σ θ·(Hg), the sum of the saliencies of gradient-flow preservation.

    Saliency; maximize; unit: loss²/parameter². No temperature, as in NAS-Bench-Suite-Zero (the pruning paper's code
    divides the logits by 200). Computed as −gᵀ(Hθ), the same since H is symmetric; exact. Edge values: 0 for zero
    gradients; "no_parameters" without convolution and linear layers; failed without labels, or for a module that
    cannot be differentiated twice. Source: Wang, Zhang & Grosse 2020 (GraSP); summed by Abdelfattah et al. 2021.
    """
    if not signals.layer_weights:
        return NAN, "no_parameters"
    curvature = signals.training("curvature").curvature
    assert curvature is not None
    return _value(-curvature)


def fisher(signals: Signals) -> Value:
    """Σ_channels (1/2n) Σ_i (Σ_positions a_i ∂L/∂a_i)², a the outputs of convolution and linear layers, with bias.

    Saliency; maximize; unit: loss². What the loss would feel of a channel's removal, to second order. Outputs are taken
    before BatchNorm; a layer called twice counts twice. Every channel counts once, as in the paper; the published table
    of NAS-Bench-Suite-Zero counts it once for each weight that it reads. Edge values: 0 for zero gradients;
    "no_parameters" without convolution and linear layers; undefined where the first dimension of an output is not that
    of the samples; failed without labels. Source: Theis et al. 2018; Turner et al. 2020 (BlockSwap).
    """
    if not signals.layer_weights:
        return NAN, "no_parameters"
    value = signals.training("fisher").fisher
    if value is None:
        raise Undefined("a layer's output has not one row a sample; let samples be its first dimension")
    return _value(value)


def synflow(signals: Signals) -> Value:
    """Σ |θ ∂R/∂θ|, R the summed outputs of the network of absolute weights for one input of ones.

    Saliency; maximize; unit: flow. Without data and labels, in float64. Every normalisation layer is left out (the
    identity, its scale and shift too), biases are 0, and ReLU6 and hard tanh have no ceiling. NAS-Bench-Suite-Zero
    leaves BatchNorm out as well, and publishes the logarithm. Edge values: 0 where nothing flows; "no_parameters"
    without convolution and linear layers; NaN and "non_finite" beyond 1e308, where `log_synflow` still has a value.
    Source: Tanaka et al. 2020 (SynFlow); summed by Abdelfattah et al. 2021.
    """
    if not signals.layer_weights:
        return NAN, "no_parameters"
    return _value(math.exp(signals.log_flow) if signals.log_flow < math.log(1.7e308) else math.inf)


def log_synflow(signals: Signals) -> Value:
    """log Σ |θ ∂R/∂θ|, the natural logarithm of `synflow`.

    Saliency; maximize; unit: nats. The flow of a deep network has dozens of digits; this has the same ranking, and a
    value from e^−1400 to e^1400. It is the column "synflow" of NAS-Bench-Suite-Zero; not the sum of the single weights'
    logarithms, which others call by this name. Edge values: −inf and "rank_deficient" where nothing flows;
    "no_parameters" without convolution and linear layers. Source: Tanaka et al. 2020 (SynFlow); Krishnakumar et al.
    2022.
    """
    if not signals.layer_weights:
        return NAN, "no_parameters"
    if signals.log_flow == -math.inf:
        return -math.inf, "rank_deficient"
    return _value(signals.log_flow)


def l2_norm(signals: Signals) -> Value:
    """Σ_l ‖θ_l‖₂ over the weights of all convolution and linear layers, dead ones included.

    Size; maximize; unit: parameter. At initialisation a count of layers, each by √(its outputs) or so. Edge values: 0
    without such layers; failed only for computed weights; NaN and "non_finite" for weights that are not finite.
    Source: Abdelfattah et al. 2021.
    """
    return _value(float(sum(float(w.double().norm()) for w in signals.layer_weights.values())))


def _loss(part: str) -> frozenset[str]:
    return frozenset({"labels", part})


PROXIES = [
    Proxy("grad_norm", "saliency", "maximize", "loss/parameter", grad_norm, _loss("loss"), core=False),
    Proxy("snip", "saliency", "maximize", "loss", snip, _loss("loss"), core=False),
    Proxy("grasp", "saliency", "maximize", "loss²/parameter²", grasp, _loss("curvature"), core=False),
    Proxy("fisher", "saliency", "maximize", "loss²", fisher, _loss("fisher"), core=False),
    Proxy("plain", "saliency", "maximize", "loss", plain, _loss("loss"), core=False),
    Proxy("synflow", "saliency", "maximize", "flow", synflow, core=False),
    Proxy("log_synflow", "saliency", "maximize", "nats", log_synflow, core=False),
    Proxy("l2_norm", "size", "maximize", "parameter", l2_norm, core=False),
]
