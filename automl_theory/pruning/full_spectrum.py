"""Full-spectrum pruning: sample masks with a base method, and keep each layer where its coordinate is best.

    c_l = (Δr, λ, IMDB, λ_nested)         the coordinate of layer l's mask and weights (`graphs.full_spectrum`)
    take a candidate's layer l   iff   IMDB_l >= the best so far   and   ‖c_l‖ >= the best so far

The best so far begins as the base method's mask on all data. The base method then runs again, `population` times, on a
few mini-batches drawn anew, or with another seed, or, where neither data nor chance enter it (SynFlow, magnitude), on
weights with noise. The network comes in as the caller trained it, densely, for a few hundred iterations; λ is of its
weights.

    train(net, data, data, Recipe(epochs=…))          some 500 iterations; or none: pruning at initialisation
    found = full_spectrum(net, "snip", 0.05, x, y, population=2000)
    with hold(net, found.masks): train(net, …)

**The budget.** Layers of different samples, put together, do not add up to what was asked: the released code prints the
drift and leaves it, and since a denser layer is longer, it drifts upwards. Here each layer keeps the number of weights
that the base method's own mask gave it: a candidate's layer that has more drops its smallest |w|, one that has fewer
takes the largest |w| of the base mask's weights it lacks. So every mixture has exactly K = round(density · N) weights,
what is measured is what is returned, and no layer wins by being denser.

**Data.** x and y are training data. Their labels enter the base method's scores alone; no accuracy is looked at, so
nothing is selected on a test set (the released code picks its epoch there).

‖c‖ is from the origin: |Δr| lengthens it where Δr is far below 0 too; the condition on IMDB is what holds against that.

Source: Hoang, Kundu, Liu, Wang, "Don't just prune by magnitude! Your mask topology is a secret weapon" (NeurIPS 2023),
and its working code: populations of 2,000 to 3,000, batches of 100, four a sample.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory.counts import whole
from automl_theory.errors import InputError
from automl_theory.graphs.conventions import convention_named
from automl_theory.graphs.full_spectrum import Coordinate
from automl_theory.graphs.mask_metrics import mask_metrics
from automl_theory.networks.initialise import generator
from automl_theory.progress import Report
from automl_theory.pruning.at_init import METHODS, prune
from automl_theory.pruning.masks import Masks, graph_settings
from automl_theory.pruning.selection import keep_largest

ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class FullSpectrum:
    """What the search found.

    masks        the masks to use: exactly the budget
    base         those of the base method on all data, where the search began: as many weights in each layer
    coordinates  of each layer of `masks`; None where undefined
    taken        {layer: the candidate, 1…population, that it comes from; 0 is the base}. Many late numbers say that a
                 larger population would find more
    """

    masks: Masks
    base: Masks
    coordinates: dict[str, Coordinate | None]
    taken: dict[str, int]


def full_spectrum(
    net: nn.Module,
    base: str,
    density: float,
    x: Tensor | None = None,
    y: Tensor | None = None,
    *,
    population: int = 2000,
    seed: int = 0,
    batch_size: int = 100,
    batches: int = 4,
    noise: float = 0.1,
    convention: str = "neurips23",
    progress: Report | None = None,
) -> FullSpectrum:
    """Search over sampled masks of `base`, layer by layer; see this file's docstring. `net` is left as it was.

    net         with the weights it has after a few hundred dense iterations, which the caller gives it
    base        a method of `at.prune`; the paper: snip, grasp, synflow, erk, random
    density     in (0, 1]; exactly K = max(1, round(density · N)) weights stay
    x, y        training data (n, …) and (n,), for methods that need them; the base mask sums over all of it
    population  candidates, at least 0 (0 returns the base); each costs a pruning and the measures of every layer that
                differs from the best
    seed        an integer >= 0: of mini-batches, noise, drawn masks and ties
    batch_size, batches   of a candidate: so many mini-batches of so many samples, without one twice while the data last
    noise       for synflow and magnitude: candidates are pruned on w + noise · std(w of the layer) · N(0, 1). The
                released code's noise has the full variance of the initialisation, which is noise=1
    convention  of the measures: "neurips23" as the paper's code (undefined axes count 0), "strict" or "iclr23". A
                candidate without IMDB or coordinate is never taken; anything is better than a best without
    progress    called with (candidates done, population, 0)

    Errors: InputError for values outside these ranges, and those of `at.prune`.
    """
    for name, value, least in (("population", population, 0), ("batch_size", batch_size, 1), ("batches", batches, 1)):
        whole(name, value, least)
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 < noise < float("inf"):
        raise InputError(f"expected noise above 0, a share of the weights' std, got {noise!r}; give 0.1")
    convention_named(convention)
    for name, data in (("x", x), ("y", y)):
        if data is not None and not isinstance(data, Tensor):
            raise InputError(f"expected {name} as one tensor of all samples, got {type(data).__name__}; use torch.cat")
    needs = METHODS[base].needs if isinstance(base, str) and base in METHODS else ""
    if "y" in needs and x is not None and y is not None:
        start = prune(net, base, density, x.split(batch_size), y.split(batch_size), seed)
    else:
        start = prune(net, base, density, x, y, seed)
    weights = {name: w.detach() for name, w in net.named_parameters() if name in start}
    groups = graph_settings(net, start)

    def measured(name: str, mask: Tensor) -> tuple[float, float, Coordinate | None]:
        record = mask_metrics(
            mask,
            weights[name],
            convention,
            groups=groups["groups"].get(name, 1),
            transposed=name in groups["transposed"],
            baseline=False,
        )
        imdb, length = record["imdb"], record["coordinate_length"]
        defined = imdb is not None and length is not None
        return (imdb, length, record["coordinate"]) if defined else (-np.inf, -np.inf, None)

    masks, taken = dict(start), dict.fromkeys(start, 0)
    best = {name: measured(name, mask) for name, mask in start.items()}
    noisy = copy.deepcopy(net) if base in ("synflow", "magnitude") else net
    if progress is not None:
        progress(0, population, 0)
    for number in range(1, population + 1):
        rng = generator(f"full spectrum {number}", seed)
        own = int(rng.integers(2**31))
        if noisy is not net:
            _perturb(noisy, weights, noise, rng)
            drawn = prune(noisy, base, density, x, y, own)
        elif needs == "xy":
            assert x is not None
            assert y is not None
            parts = _mini_batches(len(x), batch_size, batches, rng)
            drawn = prune(net, base, density, [x[part] for part in parts], [y[part] for part in parts], own)
        else:
            drawn = prune(net, base, density, x, y, own)
        for name, mask in drawn.items():
            fitted = fit_to_budget(mask, start[name], weights[name], rng)
            if torch.equal(fitted, masks[name]):
                continue
            found = measured(name, fitted)
            if found[2] is not None and all(_reaches(*pair) for pair in zip(found[:2], best[name][:2], strict=True)):
                masks[name], best[name], taken[name] = fitted, found, number
        if progress is not None:
            progress(number, population, 0)
    return FullSpectrum(masks, start, {name: found[2] for name, found in best.items()}, taken)


def _reaches(value: float, best: float) -> bool:
    """value >= best up to rounding: small graphs tie, and the last bit of an eigenvalue should not decide."""
    return best == -np.inf or value >= best - ROUNDING * max(1.0, abs(best))


def fit_to_budget(mask: Tensor, base: Tensor, weight: Tensor, rng: np.random.Generator) -> Tensor:
    """Return `mask` with as many weights as `base`: without its smallest |w|, or with the largest |w| of base it lacks.

    Those can always be had: base has more weights than the mask then, so more than the missing ones lie outside it.
    """
    wanted, have = int(base.sum()), int(mask.sum())
    if have >= wanted:
        return keep_largest(weight.abs().masked_fill(~mask, -torch.inf), wanted, rng)
    return mask | keep_largest(weight.abs().masked_fill(mask | ~base, -torch.inf), wanted - have, rng)


def _mini_batches(samples: int, size: int, count: int, rng: np.random.Generator) -> list[Tensor]:
    """`count` index sets of at most `size`; the samples are permuted, and again when they run out."""
    size = min(size, samples)
    epochs = -(-count // (samples // size))
    parts = [
        part
        for _ in range(epochs)
        for part in torch.from_numpy(rng.permutation(samples)).split(size)
        if len(part) == size
    ]
    return parts[:count]


@torch.no_grad()
def _perturb(net: nn.Module, weights: Mapping[str, Tensor], noise: float, rng: np.random.Generator) -> None:
    """Set the weights of `net` to w + noise · std(w) · N(0, 1), layer by layer."""
    held = dict(net.named_parameters())
    for name, w in weights.items():
        drawn = torch.from_numpy(rng.standard_normal(tuple(w.shape))).to(w)
        held[name].copy_(w + noise * w.std(correction=0) * drawn)
