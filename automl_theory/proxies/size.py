"""Size baselines: what any claim for a proxy must beat. Of a space's architecture string, or of the module as given."""

from __future__ import annotations

from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Value


def parameters(signals: Signals) -> Value:
    """Σ_θ numel(θ), the number of parameters.

    In NAS-Bench-201 the benchmark's own count, dead convolutions included; of a module all of them, whether trainable
    or not. Never undefined.
    """
    return signals.size["parameters"], "ok"


def macs(signals: Signals) -> Value:
    """Multiply-accumulate operations of one forward pass of one sample.

    In NAS-Bench-201 the benchmark's own count (convolutions, and the classifier with its bias as one operation a
    class).
    """
    return signals.size["macs"], "ok"


def depth(signals: Signals) -> Value:
    """Most convolution and linear layers on one path from input to output.

    0 if the output depends on no such layer.
    """
    return signals.size["depth"], "ok"


def relu_units(signals: Signals) -> Value:
    """Number of ReLU outputs per sample, counted over every call of a ReLU.

    ReLU6 and leaky ReLU count as ReLU, here and in every measure of activation codes. 0 for a network without one.
    Depends on the input resolution.
    """
    return signals.size["relu_units"], "ok"


def trainable_layers(signals: Signals) -> Value:
    """Number of convolution and linear layers, dead ones included.

    In a space of one width it is nearly the parameter count without the weight that 3×3 kernels have there.
    """
    return signals.size["trainable_layers"], "ok"


PROXIES = [
    Proxy("parameters", "size", "maximize", "parameters", parameters),
    Proxy("macs", "size", "maximize", "multiply-accumulates", macs),
    Proxy("depth", "size", "maximize", "layers", depth),
    Proxy("relu_units", "size", "maximize", "units", relu_units, frozenset({"codes"})),
    Proxy("trainable_layers", "size", "maximize", "layers", trainable_layers),
]
