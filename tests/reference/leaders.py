"""The newer training-free measures from their papers' formulas, on copies of the module, one loop for each sum."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from reference.ntk import in_mode
from torch import Tensor, nn

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
MAPPED = (
    *(nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.Tanh, nn.GELU, nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d),
)


def layer_weights(net: nn.Module) -> list[nn.Parameter]:
    weights = [m.weight for m in net.modules() if isinstance(m, LAYERS) and m.weight.requires_grad]
    return list({id(w): w for w in weights}.values())


def _gradients(net: nn.Module, loss: Tensor, weights: list[nn.Parameter]) -> list[np.ndarray]:
    found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    return [
        (torch.zeros_like(w) if g is None else g).double().numpy().ravel() for w, g in zip(weights, found, strict=True)
    ]


def operations(net: nn.Module, x: Tensor) -> float:
    """Multiplications and additions of one sample in convolutions and linear modules, from the shapes of a pass."""
    counts = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(2 * output[0].numel() * module.weight[0].numel())

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return float(sum(counts))


def zico(net: nn.Module, x: Tensor, y: Tensor, batches: int) -> float:
    """Σ_layers log Σ_θ mean|g|/std(g) over sub-batches, each a batch of its own in training mode."""
    parts = []
    for rows in np.array_split(np.arange(len(x)), batches):
        copy = in_mode(net, x[rows], "batch")
        parts.append(_gradients(copy, F.cross_entropy(copy(x[rows]).flatten(1), y[rows]), layer_weights(copy)))
    total = 0.0
    for layer in zip(*parts, strict=True):
        mean = sum(np.abs(g) for g in layer) / batches
        middle = sum(layer) / batches
        spread = np.sqrt(sum((g - middle) ** 2 for g in layer) / batches)
        ratios = sum(m / s for m, s in zip(mean, spread, strict=True) if s > 0)
        total += math.log(ratios) if ratios > 0 else 0.0
    return total


def gradsign(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Σ_θ |Σ_i sign ∂ℓ_i/∂θ|, one backward pass a sample."""
    net = in_mode(net, x, "frozen")
    weights = layer_weights(net)
    losses = F.cross_entropy(net(x.clone()).flatten(1), y, reduction="none")
    signs = [np.sign(np.concatenate(_gradients(net, loss, weights))) for loss in losses]
    return float(np.abs(np.sum(signs, axis=0)).sum())


def feature_maps(net: nn.Module, x: Tensor) -> list[np.ndarray]:
    """(C, positions) of the first sample at every layer module, BatchNorm by the batch's statistics."""
    net, maps = in_mode(net, x, "frozen"), []

    def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if output.ndim > 2 and output[0, 0].numel() > 1:
            maps.append(output[0].detach().flatten(1).double().numpy())

    for module in net.modules():
        if isinstance(module, MAPPED):
            module.inplace = False
            module.register_forward_hook(hook)
    with torch.no_grad():
        net(x.clone())
    return maps


def pearson(maps: np.ndarray) -> np.ndarray:
    c = len(maps)
    matrix = np.zeros((c, c))
    centred = [row - row.mean() for row in maps]
    norms = [
        math.sqrt(r @ r) if np.abs(r).max() > 1.2e-7 * np.abs(m).max() else 0.0
        for r, m in zip(centred, maps, strict=True)
    ]
    for i in range(c):
        for j in range(c):
            if norms[i] > 0 and norms[j] > 0:
                matrix[i, j] = centred[i] @ centred[j] / norms[i] / norms[j]
    return matrix


def meco(net: nn.Module, x: Tensor) -> float:
    return sum(max(np.linalg.eigvalsh(pearson(maps))[0], 0.0) for maps in feature_maps(net, x))


def meco_opt(net: nn.Module, x: Tensor, channels: int, seed: int) -> float:
    total = 0.0
    for layer, maps in enumerate(feature_maps(net, x)):
        few = min(channels, len(maps))
        drawn = np.random.default_rng([seed, layer]).choice(len(maps), few, replace=False)
        total += len(maps) / few * max(np.linalg.eigvalsh(pearson(maps[drawn]))[0], 0.0)
    return total


def cell_features(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Features of NAS-Bench-201's stem and cells, each as the last one's function."""
    features = [net.stem(x)]
    for cell in net.cells:
        features.append(cell(features[-1]))
    return features


def entropy(features: Tensor) -> float:
    """Entropy of the normalised PCA spectrum of (n, C, …) features."""
    rows = features.detach().double().movedim(1, -1).reshape(-1, features.shape[1]).numpy()
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov(rows.T, bias=True)))
    if values[-1] <= 0:
        return 0.0
    return -sum(p * math.log(p) for p in values / values[values > 0].sum() if p > 0)


def trainability(features: list[Tensor], seed: int) -> float:
    """Mean of 2 − σ − 1/σ over blocks, g_inᵀg_out summed position by position."""
    scores = []
    for block, (before, after) in enumerate(pairwise(features)):
        signs = np.random.default_rng([seed, block]).integers(0, 2, tuple(after.shape)) * 2.0 - 1.0
        out = torch.from_numpy(signs).to(after)
        (back,) = torch.autograd.grad(after, before, out, retain_graph=True)
        if back.shape == out.shape and torch.equal(back, out):
            return -math.inf
        stride = back.shape[-1] // out.shape[-1] if out.ndim == 4 else 1
        total = 0.0
        if out.ndim == 4:
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    patch = back[:, :, stride * i : stride * (i + 1), stride * j : stride * (j + 1)].flatten(1)
                    total = total + patch.double().T @ out[:, :, i, j].double()
        else:
            total = back.double().T @ out.double()
        count = len(out) * math.prod(out.shape[2:])
        sigma = np.linalg.svd((total / count).numpy())[1][0]
        scores.append(2 - sigma - 1 / sigma)
    return float(np.mean(scores))


def fisher(net: nn.Module, x: Tensor) -> np.ndarray:
    """Fisher information of the first entry of every trainable tensor, one backward pass a logit."""
    net = in_mode(net, x, "frozen")
    chosen = [p for p in net.parameters() if p.requires_grad]
    out = net(x.clone()).flatten(1)
    matrix = np.zeros((len(chosen), len(chosen)))
    for row in out:
        p = torch.softmax(row.detach().double(), 0).numpy()
        jacobian = []
        for logit in row:
            found = torch.autograd.grad(logit, chosen, retain_graph=True, allow_unused=True)
            jacobian.append([0.0 if g is None else float(g.flatten()[0]) for g in found])
        j = np.array(jacobian)
        matrix += j.T @ (np.diag(p) - np.outer(p, p)) @ j / len(out)
    return matrix


def vkdnw(matrix: np.ndarray) -> float:
    values = np.sort(np.clip(np.linalg.eigvalsh(matrix), 0, None))
    deciles = [float(np.quantile(values, k / 10)) for k in range(1, 10)]
    return -sum(v / sum(deciles) * math.log(v / sum(deciles)) for v in deciles if v > 0)


def swap(patterns: np.ndarray) -> int:
    """Distinct columns of the code matrix (n, units)."""
    return len({tuple(column) for column in patterns.T})


def label_alignment(kernel: np.ndarray, y: np.ndarray) -> float:
    classes = len(set(y.tolist()))
    target = np.array([[1.0 if a == b else -1 / (classes - 1) for b in y] for a in y])
    return float(np.trace(kernel.T @ target) / math.sqrt((kernel**2).sum() * (target**2).sum()))
