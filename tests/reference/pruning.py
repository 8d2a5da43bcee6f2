"""Pruning written from its definitions: loops, full sorts, full Hessians, every path by itself. Networks are given by
their forward function of (weights, x), so that nothing of a module is used."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Forward = Callable[[Sequence[Tensor], Tensor], Tensor]


def largest(scores: Sequence[Tensor], count: int, dead: Sequence[Tensor] | None = None) -> list[Tensor]:
    """Masks of the `count` largest scores, by sorting (layer, position) pairs one by one; no ties wanted."""
    entries = []
    for layer, score in enumerate(scores):
        for position, value in enumerate(score.flatten().tolist()):
            if dead is None or not dead[layer].flatten()[position]:
                entries.append((value, layer, position))
    masks = [torch.zeros(score.numel(), dtype=torch.bool) for score in scores]
    for _, layer, position in sorted(entries, reverse=True)[:count]:
        masks[layer][position] = True
    return [mask.reshape(score.shape) for mask, score in zip(masks, scores, strict=True)]


def drawn(names: Sequence[str], shapes: Sequence[tuple[int, ...]], seed: int) -> list[Tensor]:
    """A uniform number for every weight, from a generator of its name: PCG64(crc32("prune " + name) xor seed)."""
    generators = [np.random.Generator(np.random.PCG64(crc32(f"prune {name}".encode()) ^ seed)) for name in names]
    return [torch.from_numpy(rng.random(shape)) for rng, shape in zip(generators, shapes, strict=True)]


def sensitivities(forward: Forward, weights: Sequence[Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    """∂L/∂m of a factor m = 1 on every weight."""
    factors = [torch.ones_like(w, requires_grad=True) for w in weights]
    loss = F.cross_entropy(forward([w * m for w, m in zip(weights, factors, strict=True)], x), y)
    return list(torch.autograd.grad(loss, factors))


def iterative_snip(forward: Forward, weights: Sequence[Tensor], x, y, density: float, rounds: int) -> list[Tensor]:
    total = sum(w.numel() for w in weights)
    masks = [torch.ones_like(w, dtype=torch.bool) for w in weights]
    for i in range(rounds):
        scores = [s.abs() for s in sensitivities(forward, [w * m for w, m in zip(weights, masks, strict=True)], x, y)]
        count = max(1, round(total * density ** ((i + 1) / rounds)))
        masks = largest(scores, count, dead=[~m for m in masks])
    return masks


def force(forward: Forward, weights: Sequence[Tensor], x, y, density: float, rounds: int) -> list[Tensor]:
    total = sum(w.numel() for w in weights)
    masks = [torch.ones_like(w, dtype=torch.bool) for w in weights]
    for i in range(rounds):
        here = [(w * m).requires_grad_() for w, m in zip(weights, masks, strict=True)]
        gradients = torch.autograd.grad(F.cross_entropy(forward(here, x), y), here)
        scores = [(w * g).abs() for w, g in zip(weights, gradients, strict=True)]
        masks = largest(scores, max(1, round(total * density ** ((i + 1) / rounds))))
    return masks


def grasp(forward: Forward, weights: Sequence[Tensor], x: Tensor, y: Tensor, temperature: float) -> list[Tensor]:
    """w · (H g) with the full Hessian of all weights as one vector."""
    sizes, shapes = [w.numel() for w in weights], [w.shape for w in weights]

    def loss(flat: Tensor) -> Tensor:
        parts = [part.reshape(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        return F.cross_entropy(forward(parts, x) / temperature, y)

    flat = torch.cat([w.flatten() for w in weights])
    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    scores = flat * (hessian @ gradient)
    return [part.reshape(shape) for part, shape in zip(scores.split(sizes), shapes, strict=True)]


def path_flows(matrices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """SynFlow's scores of a perceptron: for each weight, the sum over all paths through it of Π |w|."""
    widths = [matrices[0].shape[1], *(m.shape[0] for m in matrices)]
    flows = [np.zeros(m.shape) for m in matrices]
    for path in itertools.product(*map(range, widths)):
        strength = math.prod(abs(m[path[k + 1], path[k]]) for k, m in enumerate(matrices))
        for k, flow in enumerate(flows):
            flow[path[k + 1], path[k]] += strength
    return flows


def synflow(matrices: Sequence[np.ndarray], density: float, rounds: int) -> list[Tensor]:
    """The paper's loop, without a guard."""
    total = sum(m.size for m in matrices)
    masks = [torch.ones(m.shape, dtype=torch.bool) for m in matrices]
    for i in range(rounds):
        flows = path_flows([m * mask.numpy() for m, mask in zip(matrices, masks, strict=True)])
        count = max(1, round(total * density ** ((i + 1) / rounds)))
        masks = largest([torch.from_numpy(f) for f in flows], count, dead=[~m for m in masks])
    return masks


def erk(shapes: Sequence[Sequence[int]], density: float) -> list[float]:
    """ρ_l = min(1, ε r_l) with Σ ρ_l n_l = density N: ε by bisection."""
    sizes = [math.prod(s) for s in shapes]
    ratios = [sum(s) / n for s, n in zip(shapes, sizes, strict=True)]
    low, high = 0.0, 1 / min(ratios)
    for _ in range(200):
        epsilon = (low + high) / 2
        filled = sum(min(1, epsilon * r) * n for r, n in zip(ratios, sizes, strict=True))
        low, high = (epsilon, high) if filled < density * sum(sizes) else (low, epsilon)
    return [min(1.0, high * r) for r in ratios]


def roulette(sizes: Sequence[float], number: float) -> int:
    """Index drawn with probability proportional to size (equal ones if all are 0), by number in [0, 1)."""
    sizes = list(sizes) if any(sizes) else [1.0] * len(sizes)
    passed = 0.0
    for index, size in enumerate(sizes):
        passed += size
        if number < passed / sum(sizes):
            return index
    return len(sizes) - 1


def phew(matrices: Sequence[np.ndarray], count: int, rng: np.random.Generator, batch: int) -> list[Tensor]:
    """Walks through a perceptron one at a time, in turn from an input and from an output, until `count` weights."""
    depth = len(matrices)
    kept: set[tuple[int, int, int]] = set()
    inputs, results = matrices[0].shape[1], matrices[-1].shape[0]
    for first in itertools.count(step=batch):
        numbers = rng.random((batch, depth, 3))
        for walk in range(batch):
            turn = (first + walk) // 2
            unit = turn % inputs if walk % 2 == 0 else turn % results
            for step in range(depth):
                number = numbers[walk, step, 2]
                if walk % 2 == 0:
                    beyond = roulette(abs(matrices[step][:, unit]), number)
                    edge = (step, beyond, unit)
                else:
                    layer = depth - 1 - step
                    beyond = roulette(abs(matrices[layer][unit]), number)
                    edge = (layer, unit, beyond)
                kept.add(edge)
                unit = beyond
                if len(kept) == count:
                    masks = [torch.zeros(m.shape, dtype=torch.bool) for m in matrices]
                    for layer, row, column in kept:
                        masks[layer][row, column] = True
                    return masks
    raise AssertionError


def change(weight: Tensor, mask: Tensor, wanted: Tensor, count: int) -> Tensor:
    """Drop the `count` alive weights of smallest |w|, grow the `count` others of largest `wanted`; one by one."""
    flat, now, want = weight.flatten().tolist(), mask.flatten().tolist(), wanted.flatten().tolist()
    for _ in range(count):
        now[min((i for i, alive in enumerate(now) if alive), key=lambda i: abs(flat[i]))] = False
    for _ in range(count):
        now[max((i for i, alive in enumerate(now) if not alive), key=lambda i: want[i])] = True
    return torch.tensor(now).reshape(mask.shape)
