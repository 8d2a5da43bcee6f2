"""SynFlow: the flow through each weight of the network of absolute weights, measured anew in each round.

    R = 1ᵀ (Π_l |W_l ⊙ m_l|) 1,     score = |w| ∂R/∂|w|  >= 0

R is the sum of the logits for an input of ones. It is linear in each layer, so in a chain of layers the scores of each
layer add up to R (and into a hidden unit flows what flows out of it): a layer of few weights has large ones, and does
not collapse. No data, labels or training mode enter.

Source: Tanaka, Kunin, Yamins & Ganguli 2020, "Pruning neural networks without any data by iteratively conserving
synaptic flow". Their code takes |bias| into R as well; here biases are 0 as in the paper's R, since they would break
conservation, and normalisation layers only multiply (see `linearised`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automl_theory.pruning.budgets import budget
from automl_theory.pruning.functional import Setting, Tensors, absolute, constants, gradients, outputs
from automl_theory.pruning.linearised import Linearised
from automl_theory.pruning.masks import Masks
from automl_theory.pruning.selection import keep_density, tell_drawn

SAFE = 1e250


def synflow(setting: Setting) -> Tensors:
    """Scores |w| ∂R/∂|w| in float64, >= 0; in a chain of layers each layer's add up to R. See this file's docstring.

    R is computed in float64. Where it leaves float64's range (hundreds of wide layers), each layer's output is divided
    by its largest entry: in a chain, all scores are then multiplied by one number, and the ranking is the same; with
    skip connections it is the ranking of the network thus rescaled.
    """
    return _flow(setting, None)


def synflow_masks(setting: Setting, density: float, scope: str, rounds: int, rng: np.random.Generator) -> Masks:
    """Masks after `rounds` rounds, round i keeping the share density^(i/rounds); the paper takes 100.

    Pruned weights do not return. In scope "global" no layer loses all its flow while the budget can hold it:

    - A round that would cut a layer which carries all of R, as each layer of a chain, is taken in smaller steps, by
      bisection. Weight by weight it cannot happen: the last weight would carry R and not be the least (the theorem).
    - A layer that flow can pass by, as in a residual branch, would go at moderate densities already. Its largest weight
      then stays for good; if that is not on a path, the weight whose removal cuts, found by bisection, stays too.

    In scope "layer" the budgets are the layers' own, and nothing is guarded.
    """
    scores = before = _flow(setting, None)
    masks: Masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in setting.weights.items()}
    alive = masks
    vital: Masks = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    total = count = sum(mask.numel() for mask in masks.values())
    for i in range(1, rounds + 1):
        share = density ** (i / rounds) if i < rounds else density
        goal, failed = budget(total, share), None
        while count > goal:
            step = goal if failed is None else (count + failed) // 2
            kept = keep_density(_preferring(vital, scores), share if step == goal else step / total, scope, rng, masks)
            flows = _flow(setting, kept)
            cut = [name for name in scores if bool(scores[name].any()) and not bool(flows[name].any())]
            if not cut or scope == "layer" or sum(int(mask.sum()) for mask in vital.values()) >= goal:
                alive, before = masks, scores
                masks, scores, count = kept, flows, step
                failed = failed if failed is not None and step > failed else None
                continue
            passed = [name for name in cut if _is_passed_by(name, scores) and not bool(vital[name].any())]
            if not passed and count - step > 1:
                failed = step
                continue
            failed = None
            for name in passed or cut:
                vital[name] = vital[name] | _largest(scores[name])
            if not passed:
                vital = {name: vital[name] | (masks[name] & ~kept[name]) for name in masks}
        setting.finished(i, rounds)
    tell_drawn("synflow", before, masks, alive, stacklevel=4)
    return masks


def _is_passed_by(name: str, scores: Tensors) -> bool:
    """Whether some flow does not go through the layer."""
    return float(scores[name].sum()) < (1 - 1e-6) * max(float(score.sum()) for score in scores.values())


def _largest(score: Tensor) -> Tensor:
    """True at the (first) largest entry alone."""
    mask = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    mask[score.reshape(-1).argmax()] = True
    return mask.reshape(score.shape)


def _preferring(vital: Masks, scores: Tensors) -> Tensors:
    """The scores, with `vital` weights above all others."""
    top = torch.finfo(torch.float64).max
    return {name: score.masked_fill(vital[name], top) for name, score in scores.items()}


def _flow(setting: Setting, masks: Masks | None) -> Tensors:
    flows, exact = _flow_once(setting, masks, rescale=False)
    return flows if exact else _flow_once(setting, masks, rescale=True)[0]


def _flow_once(setting: Setting, masks: Masks | None, rescale: bool) -> tuple[Tensors, bool]:
    """Scores, and whether R stayed well inside float64's range."""
    fixed = {
        name: torch.zeros_like(tensor) if "bias" in name.rpartition(".")[2] else absolute(tensor)
        for name, tensor in constants(setting.net, torch.float64).items()
    }
    weights = {name: w.double().abs() for name, w in setting.weights.items()}
    if masks is not None:
        weights = {name: w.masked_fill(~masks[name], 0) for name, w in weights.items()}
    leaves = {name: w.requires_grad_() for name, w in weights.items()}
    x = setting.batches[0][0]
    ones = torch.ones_like(x[:1], dtype=torch.float64 if x.is_floating_point() else x.dtype)

    def divided(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        y = function(*args, **kwargs)
        largest = y.detach().abs().max()
        return y / largest if largest > 0 else y

    names = {id(w): name for name, w in leaves.items()} if rescale else {}
    with Linearised(names, divided if rescale else None):
        logits = outputs(setting.net, fixed | leaves, ones)
    total = logits.sum()
    found = gradients(total, leaves)
    scores = {name: (gradient * leaves[name].detach()).abs() for name, gradient in found.items()}
    finite = all(bool(torch.isfinite(score).all()) for score in scores.values())
    return scores, finite and 1 / SAFE < abs(float(total.detach())) < SAFE
