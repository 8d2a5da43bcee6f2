"""Saliencies of the loss: what the loss, or its gradient's norm, would feel of a weight's removal.

Scores are such that the largest stay. L is the mean cross-entropy of a batch, summed over batches if several are given;
g = ∂L/∂w and H its Hessian at the weights as they are, the network in train mode (batch statistics in BatchNorm).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from automl_theory.pruning.functional import Setting, Tensors, hessian_products, loss_gradients
from automl_theory.pruning.masks import Masks
from automl_theory.pruning.selection import keep_density, tell_drawn

TEMPERATURE = 200.0


def magnitude(setting: Setting) -> Tensors:
    """|w|. On trained weights, the reference that pruning at initialisation is compared with (Han et al. 2015)."""
    return {name: w.abs() for name, w in setting.weights.items()}


def snip(setting: Setting) -> Tensors:
    """|w ∂L/∂w|: the change of the loss, to first order, when w goes. A dead unit's weights score exactly 0.

    It is |∂L/∂m| of a factor m = 1 at each weight. Source: Lee, Ajanthan & Torr 2019, "SNIP".
    """
    return _sensitivity(setting, setting.weights, setting.weights)


def grasp(setting: Setting) -> Tensors:
    """w · (H g): what the removal of w takes from gᵀg, to first order and up to a factor 2; may be negative.

    L is the cross-entropy of logits divided by the temperature 200. The paper's saliency is -w · H g, of which it
    removes the largest. Source: Wang, Zhang & Grosse 2020, "Picking Winning Tickets Before Training by Preserving
    Gradient Flow" (the temperature is that of its code).
    """

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(logits / TEMPERATURE, y)

    g = loss_gradients(setting, setting.weights, loss)
    curved = hessian_products(setting, setting.weights, g, loss)
    return {name: w * curved[name] for name, w in setting.weights.items()}


def iterative_snip(setting: Setting, density: float, scope: str, rounds: int, rng: np.random.Generator) -> Masks:
    """SNIP in rounds: the scores |w ∂L/∂w| of the network pruned so far; what has gone does not return.

    Round i keeps the share density^(i/rounds) of all weights. rounds=1 is SNIP. Source: de Jorge et al. 2021,
    "Progressive Skeletonization" (there Iterative SNIP); Verdenius, Stol & Forré 2020.
    """
    masks: Masks | None = None
    for i in range(1, rounds + 1):
        here, alive = _masked(setting.weights, masks), masks
        scores = _sensitivity(setting, here, here)
        masks = keep_density(scores, density ** (i / rounds), scope, rng, alive)
        setting.finished(i, rounds)
    assert masks is not None
    tell_drawn("iterative_snip", scores, masks, alive, stacklevel=4)
    return masks


def force(setting: Setting, density: float, scope: str, rounds: int, rng: np.random.Generator) -> Masks:
    """FORCE: the gradient of the network pruned so far, times the dense weights: |w ∂L/∂(m w)|.

    So a pruned weight has a score too, and can return while others go. Schedule as in `iterative_snip`; rounds=1 is
    SNIP. Source: de Jorge et al. 2021, "Progressive Skeletonization".
    """
    masks: Masks | None = None
    for i in range(1, rounds + 1):
        here = _masked(setting.weights, masks)
        scores = _sensitivity(setting, here, setting.weights)
        masks = keep_density(scores, density ** (i / rounds), scope, rng)
        setting.finished(i, rounds)
    assert masks is not None
    tell_drawn("force", scores, masks, stacklevel=4)
    return masks


def _sensitivity(setting: Setting, at: Mapping[str, Tensor], factors: Mapping[str, Tensor]) -> Tensors:
    """|factor · ∂L/∂w|, the gradient taken at the weights `at`."""
    return {name: (gradient * factors[name]).abs() for name, gradient in loss_gradients(setting, at).items()}


def _masked(weights: Mapping[str, Tensor], masks: Masks | None) -> Tensors:
    return {name: w if masks is None else w.masked_fill(~masks[name], 0) for name, w in weights.items()}
