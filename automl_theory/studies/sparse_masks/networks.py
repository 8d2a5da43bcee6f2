"""The two networks of the study: a small convolutional one with batch normalisation, and a perceptron.

    conv   3 × (3×3 convolution without bias, batch normalisation, ReLU), channels 32, 64, 64; after each 2×2 pooling,
           the maximum, at last the mean; linear readout
    mlp    flatten, 2 × (linear, ReLU) of 256 neurons, linear readout

Images of 8×8 grey pixels give 56,224 and 84,480 prunable weights. Weights are keyed by parameter name
(`networks.initialise`, He fan-in), so one seed is one initialisation, whatever is pruned.
"""

from __future__ import annotations

from math import prod

from torch import nn

from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import initialise

NETWORKS = ("conv", "mlp")
CHANNELS = (32, 64, 64)
HIDDEN = (256, 256)
DIGIT = 64
"""Numbers of an image of the digits, on which the learning rate was chosen."""


def build(name: str, shape: tuple[int, int, int], classes: int, seed: int) -> nn.Sequential:
    """Return network `name` for images of `shape` (channels, height, width), initialised with `seed`.

    Errors: InputError for an unknown name, or images of "conv" with a side below 8.
    """
    channels, height, width = shape
    if name == "conv":
        if min(height, width) < 8:
            raise InputError(
                f"expected images of at least 8×8 for conv, got {height}×{width}; resize them, or take mlp"
            )
        layers: list[nn.Module] = []
        for number, out in enumerate(CHANNELS):
            layers += [
                nn.Conv2d(channels, out, 3, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.MaxPool2d(2) if number < len(CHANNELS) - 1 else nn.AvgPool2d(2),
            ]
            channels = out
        features = channels * (height // 8) * (width // 8)
    elif name == "mlp":
        layers, features = [], channels * height * width
        for out in HIDDEN:
            layers += [nn.Linear(features, out), nn.ReLU()]
            features = out
    else:
        raise InputError(f"unknown network {name!r}; expected one of {', '.join(NETWORKS)}.{suggest(name, NETWORKS)}")
    inner = [*layers, nn.Flatten()] if name == "conv" else [nn.Flatten(), *layers]
    return initialise(nn.Sequential(*inner, nn.Linear(features, classes)), "he_fan_in", seed)


def rate_factor(name: str, shape: tuple[int, int, int]) -> float:
    """What network `name` multiplies the learning rate by for images of n = prod(shape) numbers, at most 1.

    mlp: (64 + 512)/(n + 512), one over how its tangent kernel, and with it the steepest curvature, grows with n: n of
    the first layer's weights, |x|² = n, and 256 of each other layer's. So 1 on the digits and 0.16 on CIFAR-10, where
    it does not leave chance with a rate of 0.1, pruned or not. conv normalises, and has 1.
    """
    return min(1.0, (DIGIT + sum(HIDDEN)) / (prod(shape) + sum(HIDDEN))) if name == "mlp" else 1.0
