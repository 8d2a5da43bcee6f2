"""The zero-cost proxies the slow way: each from its formula, on a copy of the module, by plain autograd and loops."""

from __future__ import annotations

import copy
import math
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from reference.ntk import in_mode
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd


def layers(net: nn.Module) -> list[nn.Module]:
    """Convolution and linear modules with a trainable weight, one for each weight."""
    found: dict[int, nn.Module] = {}
    for module in net.modules():
        weight = module._parameters.get("weight") if isinstance(module, _ConvNd | nn.Linear) else None
        if weight is not None and weight.requires_grad:
            found.setdefault(id(weight), module)
    return list(found.values())


def _weights(net: nn.Module) -> list[Tensor]:
    return [layer.weight for layer in layers(net)]


def _grad(value: Tensor, inputs: list[Tensor], **choices: bool) -> list[Tensor]:
    found = torch.autograd.grad(value, inputs, allow_unused=True, **choices)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(inputs, found, strict=True)]


def _loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x.clone()).flatten(1), y)


def grad_norm(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = in_mode(net, x, "batch")
    return sum(float(g.norm()) for g in _grad(_loss(net, x, y), _weights(net)))


def snip(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = in_mode(net, x, "batch")
    gradients = _grad(_loss(net, x, y), _weights(net))
    return sum(float((w * g).abs().sum().detach()) for w, g in zip(_weights(net), gradients, strict=True))


def plain(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = in_mode(net, x, "batch")
    gradients = _grad(_loss(net, x, y), _weights(net))
    return sum(float((w * g).sum().detach()) for w, g in zip(_weights(net), gradients, strict=True))


def grasp(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """−Σ θ·(Hg): differentiate ⟨g, stop(g)⟩."""
    net = in_mode(net, x, "batch")
    weights = _weights(net)
    first = _grad(_loss(net, x, y), weights, create_graph=True)
    second = _grad(sum((g * g.detach()).sum() for g in first), weights)
    return -sum(float((w * h).sum().detach()) for w, h in zip(weights, second, strict=True))


def fisher(net: nn.Module, x: Tensor, y: Tensor) -> float:
    net = in_mode(net, x, "batch")
    outputs: list[tuple[nn.Module, Tensor]] = []
    wanted = {id(w) for w in _weights(net)}
    for module in net.modules():
        if isinstance(module, _ConvNd | nn.Linear) and id(module._parameters.get("weight")) in wanted:
            # What follows reads a copy, so that nothing can change the output in place.
            module.register_forward_hook(
                lambda module, inputs, output: outputs.append((module, output)) or output.clone()
            )
    loss = _loss(net, x, y)
    gradients = _grad(loss, [output for _, output in outputs])
    total = 0.0
    for (module, output), gradient in zip(outputs, gradients, strict=True):
        channels_last = isinstance(module, nn.Linear)
        for i in range(len(output)):
            product = (output[i] * gradient[i]).detach()
            columns = product.reshape(-1, product.shape[-1]).T if channels_last else product.reshape(len(product), -1)
            total += sum(float(channel.sum()) ** 2 for channel in columns) / 2 / len(output)
    return total


def l2_norm(net: nn.Module) -> float:
    return sum(float(w.detach().norm()) for w in _weights(net))


def synflow(net: nn.Module, x: Tensor) -> float:
    """Absolute weights, no biases, normalisation modules replaced by the identity; float64."""
    net = copy.deepcopy(net).double().eval()
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.zeros_like(parameter) if name.endswith("bias") else parameter.abs())
    gradients = _grad(net(torch.ones_like(x[:1]).double()).sum(), _weights(net))
    return sum(float((w * g).abs().sum().detach()) for w, g in zip(_weights(net), gradients, strict=True))


def input_gradients(net: nn.Module, x: Tensor) -> np.ndarray:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(in_mode(net, x, "batch")(leaf).sum(), leaf)[0].flatten(1).double().numpy()


def jacov(net: nn.Module, x: Tensor) -> float:
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(input_gradients(net, x)))
    return -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in eigenvalues)


def epe_nas(net: nn.Module, x: Tensor, y: Tensor) -> float:
    rows = input_gradients(net, x)
    outputs = in_mode(net, x, "batch")(x.clone()).flatten(1).shape[1]
    sums = []
    for label in sorted(set(y.tolist())):
        members = rows[(y == label).numpy()]
        if outputs > 100 and len(members) == 1:
            continue
        correlation = np.atleast_2d(np.corrcoef(members))
        total = sum(math.log(abs(value) + 1e-5) for value in correlation.flat)
        sums.append(total if outputs <= 100 else total / len(members))
    if outputs <= 100:
        return sum(abs(total) for total in sums)
    return sum(abs(a - b) for a in sums for b in sums) / len(sums)


def epe_nas_slope(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """How much `epe_nas` can change, at most, for each unit by which all correlations change."""
    rows = input_gradients(net, x)
    classes = [np.atleast_2d(np.corrcoef(rows[(y == label).numpy()])) for label in sorted(set(y.tolist()))]
    return sum(1 / (abs(value) + 1e-5) for correlation in classes for value in correlation.flat)


def zen(net: nn.Module, x: Tensor, seed: int = 0, samples: int = 16) -> float:
    """Two passes in training mode; hooks see the variances, and what the last pooling or linear layer reads."""
    net = copy.deepcopy(net).eval()
    with torch.no_grad():
        weighted = {id(w) for w in _weights(net)}
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif id(parameter) in weighted:
                drawn = np.random.Generator(np.random.PCG64(crc32(name.encode()) ^ seed))
                parameter.copy_(torch.from_numpy(drawn.standard_normal(tuple(parameter.shape), np.float32)))
            else:
                parameter.fill_(1)
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.train()
    variances: list[float] = []
    features: dict[str, Tensor] = {}
    hooks = [
        norm.register_forward_hook(
            lambda module, inputs, output: variances.append(
                float(inputs[0].double().transpose(0, 1).flatten(1).var(1, correction=0).mean())
            )
        )
        for norm in norms
    ]
    for module in net.modules():
        if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d | nn.Linear):
            kind = "linear" if isinstance(module, nn.Linear) else "pooled"
            module.register_forward_hook(
                lambda module, inputs, output, kind=kind: features.__setitem__(kind, inputs[0])
            )
    drawn = np.random.Generator(np.random.PCG64(seed))
    shape = (samples, *x.shape[1:])
    clean, step = (torch.from_numpy(drawn.standard_normal(shape, np.float32)).to(x) for _ in range(2))
    seen = []
    with torch.no_grad():
        for batch in (clean, clean + 0.01 * step):
            features.clear()
            out = net(batch)
            seen.append(features.get("pooled", features.get("linear", out)).double())
            for hook in hooks:
                hook.remove()
    distances = [float((a - b).norm()) for a, b in zip(*seen, strict=True)]
    return math.log(sum(distances) / samples) + sum(math.log(v) / 2 for v in variances if v > 0)
