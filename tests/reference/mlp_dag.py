"""MLP cells the slow way: paths one by one, kernels pair by pair, random finite networks, the oracle's recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


def operation(code: str, source: int, target: int) -> str:
    return code.split("_")[target - 1][source]


def paths(code: str, end: int | None = None, start: int = 0) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every path of edges that are not zero from `start` to `end` (the last node)."""
    end = len(code.split("_")) if end is None else end
    if start == end:
        yield ()
    for target in range(start + 1, end + 1):
        if operation(code, start, target) != "0":
            yield from (((start, target), *rest) for rest in paths(code, end, target))


def depths(code: str) -> list[int]:
    return [sum(operation(code, *edge) == "2" for edge in path) for path in paths(code)]


def skips(code: str, start: int, end: int) -> int:
    """Number of paths of skips alone."""
    return sum(all(operation(code, *edge) == "1" for edge in path) for path in paths(code, end, start))


def linear_edges(code: str) -> list[tuple[int, int]]:
    """Linear edges on some input-output path."""
    return sorted({edge for path in paths(code) for edge in path if operation(code, *edge) == "2"})


def moments(a: float, b: float, c: float) -> tuple[float, float]:
    """(E[relu(u) relu(v)], P(u > 0, v > 0)) of centred Gaussians with variances a, b and covariance c."""
    if a == 0 or b == 0:
        return 0.0, 0.0
    theta = math.acos(max(-1.0, min(1.0, c / math.sqrt(a * b))))
    both = (math.pi - theta) / (2 * math.pi)
    return math.sqrt(a * b) * (math.sin(theta) / (2 * math.pi) + both * math.cos(theta)), both


def exact_pair(code: str, x: Array, y: Array) -> tuple[float, float, float]:
    """NNGP, NTK a width and stem NTK of two inputs, every sum over edges and pairs of edges written out."""
    points, last = (x, y), len(code.split("_"))
    units = [(-1, 0), *linear_edges(code)]

    def kernel(t: int, i: int, j: int) -> float:
        """E[X_t X_t'] of inputs i and j; node -1 is the input itself."""
        if t < 0:
            return float(points[i] @ points[j]) / len(x)
        total = 0.0
        for source, head in units:
            for other, other_head in units:
                count = skips(code, head, t) * skips(code, other_head, t)
                if not count:
                    continue
                if (source, head) == (other, other_head):
                    total += count * edge(source, i, j)[0]
                else:
                    total += count * math.sqrt(kernel(source, i, i) / math.pi * kernel(other, j, j) / math.pi)
        return total

    def edge(source: int, i: int, j: int) -> tuple[float, float]:
        return moments(2 * kernel(source, i, i), 2 * kernel(source, j, j), 2 * kernel(source, i, j))

    def gradient(t: int) -> float:
        back = 2.0 * skips(code, t, last) ** 2
        for source, head in units[1:]:
            if count := skips(code, t, source):
                back += 2 * count**2 * edge(source, 0, 1)[1] * gradient(head)
        return back

    ntk = kernel(last, 0, 1)
    for source, head in units[1:]:
        ntk += edge(source, 0, 1)[1] * gradient(head) * kernel(source, 0, 1)
    return kernel(last, 0, 1), ntk, edge(-1, 0, 1)[1] * gradient(0) * float(x @ y)


def chain_pair(depth: int, c: float) -> tuple[float, float]:
    """NNGP and NTK of a chain of `depth` linear edges whose input kernel is ((1, c), (c, 1)): G = K + K̇ G."""
    nngp = ntk = c
    for _ in range(depth):
        after, both = moments(2.0, 2.0, 2 * nngp)
        nngp, ntk = after, after + 2 * both * ntk
    return nngp, ntk


def draw_kernels(codes: Sequence[str], x: Array, width: int, outputs: int, rng: np.random.Generator) -> Array:
    """Kernels of one random network of each code, equal edges with equal weights: (codes, 3, n, n).

    The three are the features' Gram divided by the width; NTK of the readout and the cell, mean over the outputs,
    divided by the width; and that of the stem, not divided.
    """
    n, dimension = x.shape
    last = len(codes[0].split("_"))

    def normal(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(math.sqrt(2 / columns))

    stem, readout = normal(width, dimension), normal(outputs, width)
    weights = {(s, t): normal(width, width) for t in range(1, last + 1) for s in range(t)}
    inputs = x.astype(np.float32)
    first = inputs @ stem.T
    found = np.zeros((len(codes), 3, n, n))
    for k, code in enumerate(codes):
        nodes, gates = [np.maximum(first, 0)], {}
        for t in range(1, last + 1):
            value = np.zeros((n, width), np.float32)
            for s in range(t):
                if operation(code, s, t) == "1":
                    value += nodes[s]
                elif operation(code, s, t) == "2":
                    before = nodes[s] @ weights[s, t].T
                    gates[s, t] = before > 0
                    value += np.maximum(before, 0)
            nodes.append(value)
        back = [np.zeros((n, outputs, width), np.float32) for _ in range(last)] + [
            np.broadcast_to(readout, (n, outputs, width))
        ]
        nngp = nodes[-1] @ nodes[-1].T
        ntk = nngp.copy()
        for t in range(last, 0, -1):
            for s in range(t):
                if operation(code, s, t) == "1":
                    back[s] = back[s] + back[t]
                elif operation(code, s, t) == "2":
                    delta = back[t] * gates[s, t][:, None]
                    ntk += gram(delta) / outputs * (nodes[s] @ nodes[s].T)
                    back[s] = back[s] + delta @ weights[s, t]
        found[k] = nngp / width, ntk / width, gram(back[0] * (first > 0)[:, None]) / outputs * (inputs @ inputs.T)
    return found


def gram(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = rows.reshape(len(rows), -1)
    return flat @ flat.T


def recipe_weight(name: str, shape: tuple[int, ...]) -> Array:
    """The oracle's weights: PCG64(crc32(name) ^ 2023), standard normal times √(2/fan_in), float64."""
    normal = np.random.Generator(np.random.PCG64(crc32(name.encode()) ^ 2023)).standard_normal(shape)
    return normal * math.sqrt(2 / shape[1])


def recipe_inputs(batch: int, dimension: int) -> Array:
    x = np.random.Generator(np.random.PCG64(7)).standard_normal((batch, dimension))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def recipe_basis(dimension: int) -> Array:
    return np.linalg.qr(np.random.Generator(np.random.PCG64(99)).standard_normal((dimension, 2))).Q


def recipe_curve(dimension: int, points: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The unit circle, both ends included, its velocity and its acceleration: each (points, dimension)."""
    basis = recipe_basis(dimension)
    t = np.linspace(0, 2 * np.pi, points)[:, None]
    x = basis[:, 0] * np.cos(t) + basis[:, 1] * np.sin(t)
    v = basis[:, 1] * np.cos(t) - basis[:, 0] * np.sin(t)
    return torch.from_numpy(x), torch.from_numpy(v), torch.from_numpy(-x)
