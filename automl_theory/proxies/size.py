"""Size baselines: what any claim for a proxy must beat. Of a space's architecture string, or of the module as given."""

from __future__ import annotations

from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Value


def parameters(signals: Signals) -> Value:
    """Σ_θ numel(θ), the number of parameters.

    Size; maximize; unit: parameters. In NAS-Bench-201 the benchmark's own count, dead convolutions included; of a
    module all of them, whether trainable or not, shared ones once. Edge values: 0 without parameters; never undefined.
    Source: Dong & Yang 2020 (`params`).
    """
    return signals.size["parameters"], "ok"


def macs(signals: Signals) -> Value:
    """Multiply-accumulate operations of one forward pass of one sample.

    Size; maximize; unit: multiply-accumulates. In NAS-Bench-201 the benchmark's own count (convolutions, and the
    classifier with its bias as one operation a class). Depends on the input resolution. Edge values: 0 without such
    layers; never undefined. Source: Dong & Yang 2020 (`flop`).
    """
    return signals.size["macs"], "ok"


def depth(signals: Signals) -> Value:
    """Most convolution and linear layers on one path from input to output.

    Size; maximize; unit: layers. Edge values: 0 if the output depends on no such layer; never undefined. Source: He et
    al. 2016 count a network's layers so.
    """
    return signals.size["depth"], "ok"


def relu_units(signals: Signals) -> Value:
    """Number of ReLU outputs per sample, counted over every call of a ReLU.

    Size; maximize; unit: units. ReLU6 and leaky ReLU count as ReLU, here and in every measure of activation codes.
    Depends on the input resolution. Edge values: 0 for a network without one. Source: the length N_A of the codes of
    Mellor et al. 2021 (NASWOT).
    """
    return signals.size["relu_units"], "ok"


def trainable_layers(signals: Signals) -> Value:
    """Number of convolution and linear layers, dead ones included.

    Size; maximize; unit: layers. In a space of one width it is nearly the parameter count without the weight that 3×3
    kernels have there. Edge values: 0 without such layers; never undefined. Source: a baseline of this package.
    """
    return signals.size["trainable_layers"], "ok"


PROXIES = [
    Proxy("parameters", "size", "maximize", "parameters", parameters),
    Proxy("macs", "size", "maximize", "multiply-accumulates", macs),
    Proxy("depth", "size", "maximize", "layers", depth),
    Proxy("relu_units", "size", "maximize", "units", relu_units, frozenset({"codes"})),
    Proxy("trainable_layers", "size", "maximize", "layers", trainable_layers),
]

CLOSED = frozenset(proxy.name for proxy in PROXIES)
"""What a space's `size_metrics` gives, where it has them."""
