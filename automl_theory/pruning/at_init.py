"""Prune a network at initialisation: which weights stay, by ten methods, each with an exact budget.

    method           needs  rounds  keeps
    random                  1       K weights drawn from all
    uniform                 1       the same share of each layer, drawn at random
    erk                     1       the Erdős-Rényi-Kernel share of each layer, drawn at random
    magnitude               1       the largest |w|
    snip             x, y   1       the largest |w ∂L/∂w|
    iterative_snip   x, y   100     the same, measured anew each round; gone is gone
    force            x, y   100     likewise, but pruned weights can return
    grasp            x, y   1       the largest w · (H g)
    synflow          x      100     the largest flow |w| ∂R/∂|w|, measured anew each round
    phew             x      1       weights on random walks that prefer large weights

Of x, synflow and phew use the shape alone. Formulas, sources and departures stand in `saliency`, `synflow`, `phew`,
`random_masks` and `budgets`; the released code of the ICLR 2023 paper in `iclr23`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import generator
from automl_theory.probing.call import check_choice, check_module
from automl_theory.probing.untouched import untouched
from automl_theory.progress import Report
from automl_theory.pruning import iclr23, random_masks, saliency
from automl_theory.pruning.budgets import check_density
from automl_theory.pruning.functional import Setting, Tensors, checked_batches
from automl_theory.pruning.masks import Masks, prunable
from automl_theory.pruning.phew import phew
from automl_theory.pruning.selection import SCOPES, check_scores, keep_density, tell_drawn
from automl_theory.pruning.synflow import synflow, synflow_masks

CONVENTIONS = ("strict", "iclr23")
Batches = Tensor | Sequence[Tensor]
Score = Callable[[Setting], Tensors]
Select = Callable[[Setting, float, str, int, np.random.Generator], Masks]


@dataclass(frozen=True)
class Method:
    """A way to prune.

    needs      "", "x" or "xy"
    score      scores of the dense network, of which the largest stay; None if it has none
    select     masks of (setting, density, scope, rounds, rng); None: one round of `score`
    rounds     how many it takes by default; 1 for one that knows no rounds
    train      whether the network is in train mode
    scopes     "global", "layer", or neither where the method sets each layer's budget itself
    """

    needs: str = ""
    score: Score | None = None
    select: Select | None = None
    rounds: int = 1
    train: bool = False
    scopes: tuple[str, ...] = SCOPES


def _drawn(draw: Callable[..., Masks]) -> Select:
    return lambda setting, density, scope, rounds, rng: draw(setting.weights, density, setting.seed, rng)


METHODS = {
    "random": Method(score=lambda setting: random_masks.random_scores(setting.weights, setting.seed)),
    "uniform": Method(select=_drawn(random_masks.uniform), scopes=()),
    "erk": Method(select=_drawn(random_masks.erk), scopes=()),
    "magnitude": Method(score=saliency.magnitude),
    "snip": Method("xy", saliency.snip, train=True),
    "iterative_snip": Method("xy", select=saliency.iterative_snip, rounds=100, train=True),
    "force": Method("xy", select=saliency.force, rounds=100, train=True),
    "grasp": Method("xy", saliency.grasp, train=True),
    "synflow": Method("x", synflow, synflow_masks, rounds=100),
    "phew": Method("x", select=lambda setting, density, scope, rounds, rng: phew(setting, density, rng), scopes=()),
}


def prune(
    net: nn.Module,
    method: str,
    density: float,
    x: Batches | None = None,
    y: Batches | None = None,
    seed: int = 0,
    *,
    scope: str | None = None,
    rounds: int | None = None,
    parameters: Sequence[str] | None = None,
    convention: str = "strict",
    progress: Report | None = None,
) -> Masks:
    """Return masks that keep the share `density` of the prunable weights of `net`, chosen by `method`.

    method      one of `METHODS`; see this file's docstring
    density     in (0, 1]. Exactly K = max(1, round(density · N)) of N weights stay (strict)
    x, y        a batch, inputs (n, …) and int64 class numbers (n,), or equally long lists of batches, whose gradients
                are summed. Scores have the widest dtype of weights and x: give x.double() for scores in float64
    seed        an integer >= 0. Decides everything drawn: random masks and walks, dropout of a pass in train mode, and
                which of equal scores stay
    scope       "global" (default) compares all weights; "layer" leaves each layer the share `density`, budgets by
                largest remainders. uniform, erk and phew divide the budget by themselves and take none
    rounds      of iterative_snip, force and synflow, default 100 (the FORCE paper has up to 300); 1 is one shot
    parameters  names of the weights to prune; default all of convolutions and linear layers, see `masks.prunable`
    convention  "strict": each method per its paper, SNIP's and GraSP's batch in train mode, SynFlow on the logits.
                "iclr23": the released code of that paper, with what is wrong in it; see `iclr23`
    progress    called with (rounds done, rounds, 0), from 0 on, by iterative_snip, force and synflow in "strict"; by
                uniform, erk and phew once, with 0 of 1

    Warns where the scores of the (last) round are 0 for some weights that are kept and for others that are pruned: dead
    inputs, or weights that an earlier mask left at 0. Only the seed tells these apart.

    Returns {parameter name: boolean tensor of the weight's shape, on its device}; True stays. density=1 keeps all.
    `net` is left as it was: weights, mode, gradients, `requires_grad`, buffers, hooks, and torch's, numpy's and
    Python's random states. Put the masks on with `masks.apply_masks` or `masks.hold`.

    Errors: InputError for an unknown method, scope or convention, a density outside (0, 1], missing or unfit x or y,
    a network without prunable weights, weights or scores that are NaN or infinite, a module that fails on x.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise InputError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}.{suggest(method, METHODS)}")
    share = check_density(density)
    check_choice("convention", convention, CONVENTIONS)
    chosen = METHODS[method]
    if scope is not None:
        check_choice("scope", scope, SCOPES)
        if scope not in chosen.scopes:
            raise InputError(f"{method} divides the budget among the layers by itself; leave scope={scope!r} out")
    if rounds is not None and whole("rounds", rounds) > 1 and chosen.rounds == 1:
        several = ", ".join(name for name, other in METHODS.items() if other.rounds > 1)
        raise InputError(f"{method} takes one round, got rounds={rounds}; leave it out, or choose one of {several}")
    if convention == "iclr23":
        iclr23.check_method(method, scope or "global")
    batches = _checked(net, method, x, y, seed)
    times = rounds or chosen.rounds
    with _mode(net, chosen.train and convention == "strict"):
        setting = replace(_setting(net, batches, seed, parameters), progress=progress)
        if convention == "iclr23":
            return iclr23.released_masks(setting, method, share, times)
        rng = generator("prune ties", seed)
        if chosen.select is not None:
            setting.finished(0, times)
            return chosen.select(setting, share, scope or "global", times, rng)
        assert chosen.score is not None
        found = chosen.score(setting)
        masks = keep_density(found, share, scope or "global", rng)
    tell_drawn(method, found, masks, stacklevel=3)
    return masks


def scores(
    net: nn.Module,
    method: str,
    x: Batches | None = None,
    y: Batches | None = None,
    seed: int = 0,
    *,
    parameters: Sequence[str] | None = None,
    convention: str = "strict",
) -> Tensors:
    """Return {parameter name: score of each weight} of the dense network; the largest stay.

    For random, magnitude, snip, grasp and synflow (iterative methods: the first round's are those of snip and synflow).
    Arguments, dtype and errors as in `prune`, which see.
    """
    scored = [name for name, one in METHODS.items() if one.score is not None]
    if not isinstance(method, str) or method not in scored:
        raise InputError(f"{method!r} has no scores; expected one of {', '.join(scored)}.{suggest(method, scored)}")
    check_choice("convention", convention, CONVENTIONS)
    batches = _checked(net, method, x, y, seed)
    chosen = METHODS[method]
    with _mode(net, chosen.train and convention == "strict"):
        setting = _setting(net, batches, seed, parameters)
        assert chosen.score is not None
        found = iclr23.released_scores(setting, method) if convention == "iclr23" else chosen.score(setting)
    check_scores(found)
    return {name: score.detach() for name, score in found.items()}


def _checked(
    net: nn.Module, method: str, x: Batches | None, y: Batches | None, seed: int
) -> list[tuple[Tensor, Tensor | None]]:
    check_module(net)
    whole("seed", seed, 0)
    needs = METHODS[method].needs
    for letter, given in (("x", x), ("y", y)):
        if letter in needs and given is None:
            what = "a batch of inputs (n, ...)" if letter == "x" else "its class numbers (n,)"
            raise InputError(f"{method} needs {' and '.join(needs)}, got no {letter}; give {letter}={what}")
    return checked_batches(x, y, "y" in needs) if needs else []


def _setting(
    net: nn.Module, batches: list[tuple[Tensor, Tensor | None]], seed: int, parameters: Sequence[str] | None
) -> Setting:
    weights = prunable(net, parameters)
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise InputError(f"{name!r} holds NaN or infinity; initialise the network, or train it at a lower rate")
    dtype = torch.float32
    for tensor in (*weights.values(), *(batch for batch, _ in batches if batch.is_floating_point())):
        dtype = torch.promote_types(dtype, tensor.dtype)
    return Setting(net, {name: w.detach().to(dtype, copy=True) for name, w in weights.items()}, batches, int(seed))


@contextmanager
def _mode(net: nn.Module, train: bool) -> Iterator[None]:
    """The network in train or eval mode; on exit it is as it was."""
    with untouched(net):
        net.train(train)
        yield
