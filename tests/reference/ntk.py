"""The tangent kernel the slow way: one backward pass through a copy of the module for every output of every sample."""

from __future__ import annotations

import copy
import re

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def in_mode(net: nn.Module, x: Tensor, bn: str) -> nn.Module:
    """A copy of `net` in evaluation mode whose BatchNorm layers follow `bn` on the batch x."""
    net = copy.deepcopy(net).eval()
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    if bn == "batch":
        for norm in norms:
            norm.train()
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = None
    if bn == "frozen":
        hooks = [norm.register_forward_pre_hook(_set_statistics) for norm in norms]
        with torch.no_grad():
            net(x.clone())
        for hook in hooks:
            hook.remove()
    return net


def _set_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    (x,) = inputs
    dims = [d for d in range(x.ndim) if d != 1]
    norm.running_mean = x.mean(dims)
    norm.running_var = x.var(dims, correction=0)


def jacobian(net: nn.Module, x: Tensor, *, bn: str = "frozen", biases: bool = False, parameters: str = "") -> Tensor:
    """∂f_c(x_i)/∂θ as float64 (n, C, P): row i of the output on the whole batch, in BatchNorm mode `bn`."""
    net = in_mode(net, x, bn)
    counted = [
        p
        for name, p in net.named_parameters()
        if p.requires_grad and (biases or not name.endswith("bias")) and re.search(parameters, name)
    ]
    out = net(x.clone())
    out = out.reshape(len(x), -1)
    if not counted or not out.requires_grad:
        return torch.zeros(*out.shape, 0, dtype=torch.float64)
    rows = []
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            gradients = torch.autograd.grad(out[i, c], counted, retain_graph=True, allow_unused=True)
            parts = [
                (torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in zip(counted, gradients, strict=True)
            ]
            rows.append(torch.cat(parts).double())
    return torch.stack(rows).reshape(*out.shape, -1)


def contract(a: Tensor, b: Tensor, output: str) -> Tensor:
    """The kernel of two Jacobians (n, C, P) and (m, C, P)."""
    if output == "sum":
        return a.sum(1) @ b.sum(1).T
    if output == "trace":
        return torch.einsum("icp,jcp->ij", a, b)
    return a.flatten(0, 1) @ b.flatten(0, 1).T


def tangent_kernel(net: nn.Module, x: Tensor, x2: Tensor | None = None, *, output: str = "sum", **choices) -> Tensor:
    a = jacobian(net, x, **choices)
    return contract(a, a if x2 is None else jacobian(net, x2, **choices), output)
