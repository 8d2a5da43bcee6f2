"""PHEW: paths with higher edge weights, drawn by random walks that prefer large weights.

A walk starts at an input of the network and goes to its outputs, or backwards from an output to the inputs, in turn;
walks start at every input, and at every output, equally often (round robin). From unit i into a layer it takes the
weight w to unit j with probability |w_ij| / Σ_j |w_ij|, backwards |w_ij| / Σ_i |w_ij|; a convolution's kernel positions
count as parallel edges. Between layers it goes to a layer that reads the unit, each equally likely, and there to a unit
that reads it, each equally likely. The weights that walks have taken stay, until the budget is reached: exactly, the
last walk being cut short.

Neither data nor labels enter, only the shape of the inputs. Where walks hardly find anything new (in fewer than one of
a hundred steps: dense budgets, very small weights), the rest of the budget goes to the weights with the largest sum of
the two probabilities, of layers that are called.

Source: Patil & Dovrolis 2021, "PHEW: Constructing sparse networks that learn fast and generalize well without training
data". The paper walks through chains and residual blocks; which unit feeds which is read off the network here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from automl_theory.pruning.budgets import budget
from automl_theory.pruning.functional import Setting
from automl_theory.pruning.masks import Masks
from automl_theory.pruning.selection import keep_largest
from automl_theory.pruning.wiring import INPUT, Wiring, wiring

BATCH = 1024
NEW_STEPS = 0.01

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def phew(setting: Setting, density: float, rng: np.random.Generator) -> Masks:
    """Masks of the weights on random walks; see this file's docstring.

    Walks come in batches of 1024: `rng.random((1024, steps, 3))` gives each walk three numbers a step (which layer,
    which of its units, which weight), `steps` being the number of layer calls. Even walks go forwards, odd ones back.
    """
    sizes = {name: w.numel() for name, w in setting.weights.items()}
    values = torch.cat([w.reshape(-1) for w in setting.weights.values()]).abs().double().cpu().numpy()
    offsets = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    plan = wiring(setting)
    ways = _forwards(plan, offsets, values), _backwards(plan, offsets, values)
    count, steps, number = budget(len(values), density), len(plan.nodes), 0
    kept = np.zeros(len(values), dtype=bool)
    while kept.sum() < count:
        numbers = rng.random((BATCH, steps, 3))
        taken = np.full((BATCH, steps), -1, dtype=np.int64)
        for first, way in enumerate(ways):
            taken[first::2] = way.walk(np.arange(BATCH // 2) + number, numbers[first::2])
        number += BATCH // 2
        found, order = np.unique(taken[taken >= 0], return_index=True)
        fresh = found[np.argsort(order)]
        fresh = fresh[~kept[fresh]][: count - kept.sum()]
        kept[fresh] = True
        if len(fresh) < NEW_STEPS * max(int((taken >= 0).sum()), 1):
            break
    if kept.sum() < count:
        likely = sum(way.edges.likelihood(len(values)) for way in ways)
        rest = torch.from_numpy(np.where(kept, -np.inf, likely))
        kept |= keep_largest(rest, count - int(kept.sum()), rng).numpy()
    parts = torch.from_numpy(kept).split(list(sizes.values()))
    return {
        name: part.reshape(w.shape).to(w.device) for (name, w), part in zip(setting.weights.items(), parts, strict=True)
    }


@dataclass(frozen=True)
class _Edges:
    """The weights at each place, a unit before a layer in the direction of the walk, one place after another.

    cumulative   place number + the sum of probabilities up to this edge
    weight       its flat index among all weights
    beyond       the unit where it leads
    probability  of the edge, at its place
    """

    cumulative: Floats
    weight: Ints
    beyond: Ints
    probability: Floats

    def draw(self, places: Ints, numbers: Floats) -> Ints:
        """Positions of the edges that walks at `places` take by their numbers in [0, 1)."""
        found = np.searchsorted(self.cumulative, places + numbers, side="right")
        return np.minimum(found, len(self.cumulative) - 1)

    def likelihood(self, total: int) -> Floats:
        """Sum of each weight's probabilities, over the calls of its layer."""
        sums = np.zeros(total)
        np.add.at(sums, self.weight, self.probability)
        return sums


@dataclass(frozen=True)
class _Options:
    """Equally likely picks of each of several numbers, those of number i from starts[i] to starts[i + 1]."""

    starts: Ints
    picks: Ints

    def draw(self, numbers: Ints, chances: Floats) -> Ints:
        """One pick each, -1 where there are none."""
        counts = self.starts[numbers + 1] - self.starts[numbers]
        found = self.starts[numbers] + (chances * counts).astype(np.int64)
        return np.where(counts > 0, self.picks[np.minimum(found, len(self.picks) - 1)], -1)


@dataclass(frozen=True)
class _Way:
    """One direction. A walk: terminal -> branch (a layer) -> place (its unit) -> edge -> the unit beyond -> branch …"""

    terminals: Ints
    branches: _Options
    places: _Options
    edges: _Edges

    def walk(self, turns: Ints, numbers: Floats) -> Ints:
        """Flat indices of the weights that the walks take, (walks, steps), -1 from where they have ended."""
        taken = np.full(numbers.shape[:2], -1, dtype=np.int64)
        if not len(self.terminals):
            return taken
        units, on = self.terminals[turns % len(self.terminals)], np.arange(len(turns))
        for step in range(numbers.shape[1]):
            branch = self.branches.draw(units, numbers[on, step, 0])
            on, branch = on[branch >= 0], branch[branch >= 0]
            if not len(on):
                break
            edge = self.edges.draw(self.places.draw(branch, numbers[on, step, 1]), numbers[on, step, 2])
            taken[on, step], units = self.edges.weight[edge], self.edges.beyond[edge]
        return taken


def _forwards(plan: Wiring, offsets: dict[str, int], values: Floats) -> _Way:
    """Units: the network's inputs, then what each node puts out; places: what each node takes in."""
    inputs = max((len(t) for feeds in _all_feeds(plan) for n, t in feeds.items() if n == INPUT), default=0)
    first_out = np.cumsum([inputs, *(node.units_out for node in plan.nodes)])
    first_in = np.cumsum([0, *(node.units_in for node in plan.nodes)])
    found: list[list[Ints | None]] = [[] for _ in range(first_out[-1])]
    for number, feeds in enumerate(_all_feeds(plan)):
        for source, table in feeds.items():
            start = 0 if source == INPUT else first_out[source]
            for unit in np.flatnonzero(table.any(1)):
                end = number == len(plan.nodes)
                found[start + unit].append(None if end else first_in[number] + np.flatnonzero(table[unit]))
    edges = _edges(plan, offsets, values, first_out[:-1], axes=(0, 2, 1, 3))
    return _way(found, range(inputs), edges)


def _backwards(plan: Wiring, offsets: dict[str, int], values: Floats) -> _Way:
    """Units: what each node takes in, then the network's outputs; places: what each node puts out."""
    feeds = list(_all_feeds(plan))
    results = max((table.shape[1] for table in feeds[-1].values()), default=0)
    first_in = np.cumsum([0, *(node.units_in for node in plan.nodes), results])
    first_out = np.cumsum([0, *(node.units_out for node in plan.nodes)])
    found: list[list[Ints | None]] = [[] for _ in range(first_in[-1])]
    for number, sources in enumerate(feeds):
        for source in sorted(sources, key=lambda n: (n == INPUT, n)):
            table = sources[source]
            for unit in np.flatnonzero(table.any(0)):
                end = source == INPUT
                found[first_in[number] + unit].append(
                    None if end else first_out[source] + np.flatnonzero(table[:, unit])
                )
    edges = _edges(plan, offsets, values, first_in[:-2], axes=(0, 1, 2, 3))
    return _way(found, range(first_in[-2], first_in[-1]), edges)


def _all_feeds(plan: Wiring) -> Iterator[dict[int, NDArray[np.bool_]]]:
    """What feeds each node, and last the network's outputs, as arrays."""
    for feeds in (*(node.feeds for node in plan.nodes), plan.outputs):
        yield {source: table.numpy() for source, table in feeds.items()}


def _way(found: list[list[Ints | None]], terminals: range, edges: _Edges) -> _Way:
    """Number the branches: `found` has each unit's, as places of one layer, or None for the walk's end."""
    places = [branch for branches in found for branch in branches if branch is not None]
    numbered = iter(range(len(places)))
    picks = [-1 if branch is None else next(numbered) for branches in found for branch in branches]
    starting = [unit for unit in terminals if any(branch is not None for branch in found[unit])]
    return _Way(
        np.array(starting, dtype=np.int64),
        _Options(np.cumsum([0, *map(len, found)]), np.array(picks, dtype=np.int64)),
        _Options(np.cumsum([0, *map(len, places)]), np.concatenate(places) if places else np.zeros(0, dtype=np.int64)),
        edges,
    )


def _edges(
    plan: Wiring, offsets: dict[str, int], values: Floats, first_beyond: Ints, axes: tuple[int, int, int, int]
) -> _Edges:
    """Edges of all places. `axes` brings a node's index into the order (groups, units here, units beyond, kernel)."""
    cumulative, weights, beyonds, probabilities, place = [], [], [], [], 0
    for node, first in zip(plan.nodes, first_beyond, strict=True):
        index = np.transpose(node.index.numpy(), axes) + offsets[node.name]
        groups, here, there, kernel = index.shape
        rows = index.reshape(groups * here, there * kernel)
        size = values[rows]
        size = np.where(size.any(1, keepdims=True), size, 1.0)
        sums = np.cumsum(size, axis=1)
        cumulative.append((sums / sums[:, -1:] + place + np.arange(len(rows))[:, None]).ravel())
        probabilities.append((size / sums[:, -1:]).ravel())
        units = np.arange(groups)[:, None, None, None] * there + np.arange(there)[:, None] + first
        beyonds.append(np.broadcast_to(units, (groups, here, there, kernel)).ravel())
        weights.append(rows.ravel())
        place += len(rows)
    return _Edges(*(np.concatenate(parts) for parts in (cumulative, weights, beyonds, probabilities)))
