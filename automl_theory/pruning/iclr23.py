"""The released code of "Revisiting Pruning at Initialization through the Lens of Ramanujan Graph" (ICLR 2023), as is.

Where it departs from the papers of the methods, and from `convention="strict"`:

- Every method runs in eval mode, with log-softmax after the logits, and sums gradients over all batches given.
- The threshold is the k-th largest score, k = int(density^(i/rounds) · N), and only larger scores stay: k - 1 weights,
  fewer where scores tie. With k < 1 the masks stay as they are.
- SynFlow's R is the sum of log-probabilities, which breaks conservation; biases and running means enter as |·|.
- Iterative SNIP gives pruned weights a score, so they return (as in FORCE).
- GraSP divides log-probabilities by its temperature, which only rescales; scores are divided by |their sum| + 1e-10.
- ERK keeps each weight by a coin of its layer's density: no exact count.

Its SNIP and GraSP scores are normalised by their sum. What the code draws from torch's global generator is drawn here
from `seed`. Its PHEW crashes, its layer-wise scope keeps the share 1 - density, and it has no FORCE: all are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, nll_loss

from automl_theory.errors import InputError
from automl_theory.networks.initialise import generator
from automl_theory.pruning.budgets import erk_densities
from automl_theory.pruning.functional import (
    Setting,
    Tensors,
    absolute,
    constants,
    gradients,
    hessian_products,
    loss_gradients,
    outputs,
)
from automl_theory.pruning.masks import Masks
from automl_theory.pruning.selection import check_scores

METHODS = ("random", "erk", "magnitude", "snip", "iterative_snip", "grasp", "synflow")
EPS = 1e-10
TEMPERATURE = 200.0


def released_masks(setting: Setting, method: str, density: float, rounds: int) -> Masks:
    """The masks of the released code for one of `METHODS`."""
    if method == "erk":
        return _erk(setting, density)
    masks: Masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in setting.weights.items()}
    for i in range(1, rounds + 1):
        scores = released_scores(setting, method, masks)
        check_scores(scores)
        masks = _threshold(scores, 1 - density ** (i / rounds), masks)
    return masks


def released_scores(setting: Setting, method: str, masks: Masks | None = None) -> Tensors:
    """The scores that the released code gives every weight of a network under `masks` (None: dense)."""
    dense = setting.weights
    here = dense if masks is None else {name: w * masks[name] for name, w in dense.items()}
    if method == "magnitude":
        return {name: w.abs() for name, w in dense.items()}
    if method == "random":
        return {
            name: torch.from_numpy(generator(f"prune {name}", setting.seed).standard_normal(tuple(w.shape))).to(
                w.device
            )
            for name, w in dense.items()
        }
    if method == "synflow":
        return _synflow(setting, here)
    if method == "grasp":
        return _grasp(setting)
    found = {name: (g * dense[name]).abs() for name, g in loss_gradients(setting, here, _nll).items()}
    total = torch.stack([score.sum() for score in found.values()]).sum()
    return {name: score / total for name, score in found.items()}


def _nll(logits: Tensor, y: Tensor) -> Tensor:
    return nll_loss(log_softmax(logits, dim=1), y)


def _grasp(setting: Setting) -> Tensors:
    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return nll_loss(log_softmax(logits, dim=1) / TEMPERATURE, y)

    g = loss_gradients(setting, setting.weights, loss)
    curved = hessian_products(setting, setting.weights, g, loss)
    scores = {name: w * curved[name] for name, w in setting.weights.items()}
    total = torch.stack([score.sum() for score in scores.values()]).sum().abs() + EPS
    return {name: score / total for name, score in scores.items()}


def _synflow(setting: Setting, here: Mapping[str, Tensor]) -> Tensors:
    dtype = setting.dtype
    fixed = {name: absolute(tensor) for name, tensor in constants(setting.net, dtype).items()}
    leaves = {name: w.abs().requires_grad_() for name, w in here.items()}
    x = setting.batches[0][0]
    ones = torch.ones_like(x[:1], dtype=dtype if x.is_floating_point() else x.dtype)
    total = log_softmax(outputs(setting.net, fixed | leaves, ones), dim=1).sum()
    return {name: (gradient * leaves[name].detach()).abs() for name, gradient in gradients(total, leaves).items()}


def _threshold(scores: Mapping[str, Tensor], sparsity: float, masks: Masks) -> Masks:
    everything = torch.cat([score.reshape(-1) for score in scores.values()])
    k = int((1 - sparsity) * everything.numel())
    if k < 1:
        return masks
    edge = everything.kthvalue(everything.numel() - k + 1).values
    return {name: score > edge for name, score in scores.items()}


def _erk(setting: Setting, density: float) -> Masks:
    shapes = [tuple(w.shape) for w in setting.weights.values()]
    return {
        name: torch.from_numpy(generator(f"prune {name}", setting.seed).random(tuple(w.shape)) < share).to(w.device)
        for (name, w), share in zip(setting.weights.items(), erk_densities(shapes, density), strict=True)
    }


def check_method(method: str, scope: str) -> None:
    """Raise InputError for what the released code cannot do."""
    if method not in METHODS:
        why = "crashes" if method == "phew" else "does not exist there"
        raise InputError(
            f"{method!r} {why} in the code of convention='iclr23', which has {', '.join(METHODS)}; use "
            "convention='strict'"
        )
    if scope != "global":
        raise InputError(
            "the code of convention='iclr23' inverts density in its layer-wise scope; use scope='global', or "
            "convention='strict'"
        )
