"""Keep the weights with the largest scores: exactly so many, and the seed decides between equal ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.pruning.budgets import budget, uniform_counts
from automl_theory.pruning.masks import Masks

Scores = Mapping[str, Tensor]
SCOPES = ("global", "layer")


def keep_largest(scores: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Return a boolean tensor, True at the `count` largest of `scores`; `rng` draws among those equal at the edge.

    All scores above the count-th largest stay, none below. -inf marks what must not stay (at least `count` others).
    O(n): a selection, no sort.
    """
    flat = scores.reshape(-1)
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    edge = flat.kthvalue(flat.numel() - count + 1).values
    kept = flat > edge
    ties = (flat == edge).nonzero().reshape(-1)
    wanted = count - int(kept.sum())
    chosen = torch.from_numpy(rng.permutation(len(ties))[:wanted]).to(ties.device)
    kept[ties[chosen]] = True
    return kept.reshape(scores.shape)


def keep_density(
    scores: Scores, density: float, scope: str, rng: np.random.Generator, alive: Masks | None = None
) -> Masks:
    """Masks that keep the share `density` of all weights, those with the largest scores.

    scope "global" compares all weights with each other; "layer" those of a layer, each layer keeping its own share.
    alive: only weights that are True there can stay (pruned ones do not return); None: all.

    Errors: InputError if a score is NaN or infinite.
    """
    check_scores(scores)
    usable = {
        name: score if alive is None else score.masked_fill(~alive[name], -torch.inf) for name, score in scores.items()
    }
    sizes = [score.numel() for score in usable.values()]
    if scope == "global":
        everything = torch.cat([score.reshape(-1) for score in usable.values()])
        parts = keep_largest(everything, budget(sum(sizes), density), rng).split(sizes)
        return {name: part.reshape(score.shape) for (name, score), part in zip(usable.items(), parts, strict=True)}
    room = sizes if alive is None else [int(alive[name].sum()) for name in usable]
    counts = uniform_counts(sizes, density, room)
    return {
        name: keep_largest(score, int(count), rng) for (name, score), count in zip(usable.items(), counts, strict=True)
    }


def tell_drawn(method: str, scores: Scores, masks: Masks, alive: Masks | None = None, *, stacklevel: int) -> None:
    """Warn where the budget reaches into weights whose score is 0, among which nothing but the seed decides.

    alive: weights that could stay, as in `keep_density`; stacklevel: that of the line to be named, counted from here.
    """
    kept = out = 0
    for name, score in scores.items():
        drawn = (score == 0) if alive is None else (score == 0) & alive[name]
        kept += int((drawn & masks[name]).sum())
        out += int((drawn & ~masks[name]).sum())
    if kept and out:
        warnings.warn(
            f"{kept:,} of the weights that {method} keeps have a score of 0, like {out:,} that it prunes: the seed "
            "drew among them; see that the network is connected, and that no earlier mask holds weights at 0",
            stacklevel=stacklevel,
        )


def check_scores(scores: Scores) -> None:
    """Raise InputError if a score is NaN or infinite."""
    for name, score in scores.items():
        bad = int((~torch.isfinite(score)).sum())
        if bad:
            raise InputError(
                f"{bad} of {score.numel()} scores of {name!r} are NaN or infinite; check the weights for NaN and the "
                "loss for overflow, or give x in float64"
            )
