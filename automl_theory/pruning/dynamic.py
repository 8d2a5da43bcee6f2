"""Dynamic sparse training: a network that stays sparse while its masks move, by SET or RigL.

Every `every` steps each layer drops the weights of smallest |w|, and grows as many elsewhere: at random (SET) or where
the gradient is largest (RigL). How many follows a cosine: of the a_l weights that layer l has, step t drops

    n_l(t) = floor(f(t) a_l),     f(t) = fraction / 2 · (1 + cos(π t / until)),     t < until,

so each layer keeps exactly the budget it began with.

    masks = at.prune(net, "erk", 0.1, seed=0)
    sparse = DynamicSparse(net, masks, "rigl", until=3 * steps // 4)
    for inputs, labels in batches:
        optimiser.zero_grad()
        loss(net(inputs), labels).backward()
        sparse.step(optimiser)                    # in place of optimiser.step()

Sources: Mocanu et al. 2018, "Scalable training of artificial neural networks with adaptive sparse connectivity" (SET:
it drops as many of each sign, once an epoch, at a constant rate); Evci et al. 2020, "Rigging the Lottery" (RigL, and
this schedule for both).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from automl_theory.counts import whole
from automl_theory.errors import InputError
from automl_theory.networks.initialise import generator
from automl_theory.probing.call import check_choice
from automl_theory.pruning.masks import Masks, apply_masks, check_masks, clear
from automl_theory.pruning.selection import keep_largest

METHODS = ("set", "rigl")


def drop_fraction(step: int, until: int, fraction: float) -> float:
    """f(t) = fraction / 2 · (1 + cos(π t / until)): `fraction` at the start, half of it midway, 0 from `until` on."""
    return fraction / 2 * (1 + math.cos(math.pi * step / until)) if step < until else 0.0


class DynamicSparse:
    """Keeps `net` sparse through training and moves its masks; see this file's docstring.

    net       trained by the caller; its weights are put under `masks` at once
    masks     where it begins, from `at.prune` (the papers: "erk"); each layer keeps its number of weights
    method    "set" grows weights drawn at random, "rigl" those of largest |∂L/∂w| at the step's batch
    every     steps between two changes (RigL: 100), at least 1
    fraction  of a layer's weights that the first change may drop, in (0, 1] (RigL: 0.3; SET 0.3)
    until     the step from which on nothing changes any more (RigL: three quarters of the training), at least 1
    seed      of what is drawn: SET's weights, and which of equal ones are dropped or grown

    Attributes: `masks` now; `steps` taken; `snapshots`, a mapping of step -> masks with the beginning (0) and every
    change, to follow them over time.

    Weights just dropped may grow again at once: they are then as before, and count as neither. A weight that grows
    anew starts from 0, without momentum. A layer that is dense, or whose n_l is 0, does not change.

    Errors: InputError for masks of another network, an unknown method, or values outside these ranges.
    """

    def __init__(
        self,
        net: nn.Module,
        masks: Mapping[str, Tensor],
        method: str = "rigl",
        *,
        until: int,
        every: int = 100,
        fraction: float = 0.3,
        seed: int = 0,
    ) -> None:
        check_choice("method", method, METHODS)
        for name, value, least in (("until", until, 1), ("every", every, 1), ("seed", seed, 0)):
            whole(name, value, least)
        if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
            raise InputError(f"expected fraction in (0, 1], got {fraction!r}; give 0.3, say")
        self.method, self.until, self.every, self.fraction = method, until, every, float(fraction)
        self._weights = check_masks(net, masks)
        self.masks: Masks = {name: mask.to(self._weights[name].device, copy=True) for name, mask in masks.items()}
        self._rng = generator(f"prune {method}", seed)
        apply_masks(net, self.masks)
        self.steps = 0
        self.snapshots: dict[int, Masks] = {0: self._copy()}

    def step(self, optimiser: torch.optim.Optimizer) -> bool:
        """Take one training step, after `loss.backward()`; return whether the masks were changed.

        As in RigL, a step that changes the masks does so in place of the optimiser's: its gradients, of all weights,
        serve to choose. Otherwise gradients of weights that are out are set to 0, the optimiser steps, and those
        weights and what it remembers of them are set to 0. Call it with the gradients as backward left them.

        Errors: InputError if RigL is to grow and a weight has no gradient, or weights or gradients are NaN.
        """
        self.steps += 1
        if self.steps % self.every == 0 and self.steps < self.until:
            self._change(optimiser)
            return True
        for name, weight in self._weights.items():
            if weight.grad is not None:
                weight.grad.masked_fill_(~self.masks[name], 0)
        optimiser.step()
        for name, weight in self._weights.items():
            clear(optimiser, weight, ~self.masks[name])
        return False

    def _change(self, optimiser: torch.optim.Optimizer) -> None:
        share = drop_fraction(self.steps, self.until, self.fraction)
        changed = {name: self._moved(name, weight, share) for name, weight in self._weights.items()}
        for name, weight in self._weights.items():
            clear(optimiser, weight, ~(self.masks[name] & changed[name]))
        self.masks = changed
        self.snapshots[self.steps] = self._copy()

    def _moved(self, name: str, weight: Tensor, share: float) -> Tensor:
        """The layer's next mask: as many weights as now."""
        now = self.masks[name]
        alive = int(now.sum())
        count = math.floor(share * alive)
        if not count or alive == now.numel():
            return now
        sizes = self._finite(name, "weights", weight.detach()).abs()
        left = keep_largest(sizes.masked_fill(~now, -torch.inf), alive - count, self._rng)
        if self.method == "set":
            wanted = torch.from_numpy(self._rng.random(tuple(weight.shape))).to(weight.device)
        elif weight.grad is None:
            raise InputError(f"rigl needs the gradient of {name!r}, which has none; call step after loss.backward()")
        else:
            wanted = self._finite(name, "gradients", weight.grad).abs()
        return left | keep_largest(wanted.masked_fill(left, -torch.inf), count, self._rng)

    @staticmethod
    def _finite(name: str, what: str, values: Tensor) -> Tensor:
        if not bool(torch.isfinite(values).all()):
            raise InputError(f"{what} of {name!r} are NaN or infinite: training diverged; lower the learning rate")
        return values

    def _copy(self) -> Masks:
        return {name: mask.clone() for name, mask in self.masks.items()}
