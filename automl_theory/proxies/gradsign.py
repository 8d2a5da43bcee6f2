"""GradSign: do the samples pull the weights the same way?"""

from __future__ import annotations

from automl_theory.probing.sign_agreement import sign_agreement
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def gradsign(signals: Signals) -> Value:
    """Σ_θ |Σ_i sign(∂ℓ_i/∂θ)|, ℓ_i the cross-entropy of sample i.

    Convergence; maximize; unit: signs. θ runs over the weights of convolutions and linear layers; at most n times their
    number. Samples whose optima lie close to each other agree on the way there. BatchNorm's statistics of the batch are
    constants, where the released code runs each sample as a batch of its own. Edge values: 0 where no sample has a
    gradient (one logit); for one sample the number of weights with a gradient; undefined without labels or without such
    a weight. Source: Zhang & Jia 2022 (GradSign), Algorithm 1.
    """
    assert signals.y is not None
    if not signals.layer_weights:
        raise Undefined("the module has no trainable convolution or linear layer")
    return sign_agreement(signals.net, signals.x, signals.y), "ok"


PROXIES = [
    Proxy("gradsign", "convergence", "maximize", "signs", gradsign, frozenset({"labels", "parameters"}), core=False),
]
