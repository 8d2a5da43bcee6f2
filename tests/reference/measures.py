"""Measures written from their definitions, one loop for each sum."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from reference.ntk import in_mode
from torch import Tensor, nn


def relu_patterns(net: nn.Module, x: Tensor, bn: str = "frozen") -> np.ndarray:
    """(n, U): 1 where a ReLU module's output is positive, once for every call; BatchNorm by the batch's statistics."""
    net, outputs = in_mode(net, x, bn), []
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            module.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach().flatten(1)))
    with torch.no_grad():
        net(x.clone())
    return (torch.cat(outputs, 1) > 0).numpy() if outputs else np.zeros((len(x), 0), dtype=bool)


def regions(patterns: np.ndarray) -> int:
    return len({tuple(row) for row in patterns})


def naswot(patterns: np.ndarray) -> float:
    """log|det K_H|, K_H the number of units on which two samples agree."""
    n, units = patterns.shape
    kernel = np.array([[units - np.sum(patterns[i] != patterns[j]) for j in range(n)] for i in range(n)], dtype=float)
    eigenvalues = np.linalg.eigvalsh(kernel)
    return float(np.sum(np.log(eigenvalues))) if eigenvalues[0] > 1e-9 * eigenvalues[-1] else -math.inf


def segment_regions(net: nn.Module, x: Tensor, points: int) -> float:
    """1 + sign changes of ReLU outputs between neighbours on the segments of the first pairs of samples."""
    net = in_mode(net, x, "frozen")
    counts = []
    for start, end in list(pairwise(x))[:3]:
        line = [
            relu_patterns(net, (start * (1 - t) + end * t)[None], "running")[0] for t in torch.linspace(0, 1, points)
        ]
        counts.append(1 + sum(int((a != b).sum()) for a, b in pairwise(line)))
    return float(np.mean(counts))


def effective_rank(kernel: np.ndarray) -> float:
    eigenvalues = np.linalg.eigvalsh(kernel)
    shares = [v / sum(eigenvalues) for v in eigenvalues if v > 0]
    return math.exp(-sum(p * math.log(p) for p in shares))


def normalised(kernel: np.ndarray) -> np.ndarray:
    n = len(kernel)
    return np.array([[kernel[i, j] / math.sqrt(kernel[i, i] * kernel[j, j]) for j in range(n)] for i in range(n)])


def one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    return np.array([[float(label == c) for c in range(classes)] for label in y])


def alignment(kernel: np.ndarray, y: np.ndarray) -> float:
    n = len(y)
    centre = np.eye(n) - np.ones((n, n)) / n
    labels = centre @ one_hot(y, y.max() + 1)
    k, target = centre @ kernel @ centre, labels @ labels.T
    return float(np.trace(k @ target) / math.sqrt(np.trace(k @ k) * np.trace(target @ target)))


def label_complexity(kernel: np.ndarray, y: np.ndarray) -> float:
    labels = one_hot(y, y.max() + 1)
    labels = labels - labels.mean(0)
    return math.sqrt(sum(column @ np.linalg.solve(kernel, column) for column in labels.T) / len(y))


def regression_error(kernel: np.ndarray, y: np.ndarray, seen: np.ndarray, held: np.ndarray) -> float:
    """Mean squared error of kernel regression, labels less their mean over the seen samples."""
    labels = one_hot(y, y.max() + 1)
    mean = labels[seen].mean(0)
    weights = np.linalg.inv(kernel[seen][:, seen]) @ (labels[seen] - mean)
    errors = [kernel[i, seen] @ weights - (labels[i] - mean) for i in held]
    return float(np.mean([e @ e for e in errors]))


def features(net: nn.Module, x: Tensor) -> np.ndarray:
    """Input of the last linear module, BatchNorm by the batch's statistics."""
    net, seen = in_mode(net, x, "frozen"), []
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    with torch.no_grad():
        net(x.clone())
    return seen[-1].double().numpy()


def circle(shape: tuple[int, ...], seed: int, t: np.ndarray) -> np.ndarray:
    """Points √N₀(u₀ cos t + u₁ sin t), u₀ and u₁ orthonormal by Householder's method on PCG64(seed) normals."""
    size = math.prod(shape)
    basis = np.linalg.qr(np.random.Generator(np.random.PCG64(seed)).standard_normal((size, 2)))[0].T
    points = [math.sqrt(size) * (basis[0] * math.cos(s) + basis[1] * math.sin(s)) for s in t]
    return np.stack(points).reshape(len(t), *shape)


def curve(net: nn.Module, x: Tensor, seed: int, t: np.ndarray) -> np.ndarray:
    """Outputs along the circle, (len(t), C), BatchNorm frozen from x."""
    net = in_mode(net, x, "frozen")
    with torch.no_grad():
        return net(torch.from_numpy(circle(tuple(x.shape[1:]), seed, t)).to(x)).flatten(1).double().numpy()


def derivatives(net: nn.Module, x: Tensor, seed: int, t: np.ndarray, h: float = 1e-4) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivative of the output curve by central differences; float64 networks only."""
    before, here, after = (curve(net, x, seed, t + step) for step in (-h, 0.0, h))
    return (after - before) / (2 * h), (after - 2 * here + before) / h**2


def curve_length(net: nn.Module, x: Tensor, seed: int, points: int) -> float:
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return float(np.mean(np.linalg.norm(derivatives(net, x, seed, t, 1e-7)[0], axis=1)) * 2 * np.pi)


def curvature(net: nn.Module, x: Tensor, seed: int, points: int) -> float:
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    values = []
    for j, dj in zip(*derivatives(net, x, seed, t), strict=True):
        values.append(math.sqrt(max((j @ j) * (dj @ dj) - (j @ dj) ** 2, 0)) / np.linalg.norm(j) ** 3)
    return float(np.mean(values))


def turning_angle(net: nn.Module, x: Tensor, seed: int, points: int) -> float:
    y = curve(net, x, seed, np.linspace(0, 2 * np.pi, points, endpoint=False))
    total = 0.0
    for i in range(points):
        a, b = y[(i + 1) % points] - y[i], y[(i + 2) % points] - y[(i + 1) % points]
        total += math.acos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
    return total
