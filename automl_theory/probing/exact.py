"""The tangent kernel of any module, exactly and more slowly: by torch.func sample by sample, or by coupled backward passes.

- `independent_kernel`: samples are independent (frozen or running BatchNorm). Per-sample gradients by
  ``vmap(grad)`` of the module called functionally on one sample, in blocks of parameters and chunks of samples that keep
  the memory bounded; a module that ``vmap`` refuses is differentiated one sample at a time.
- `coupled_kernel`: BatchNorm statistics of the batch are differentiated through, so sample i's output depends on all
  samples. One backward pass through the whole batch for each kernel row, as TE-NAS does: O(n²) sample passes, O(nP) memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from automl_theory.probing.batch_norm import BnMode, Statistics
from automl_theory.probing.gram import gram
from automl_theory.probing.instrument import Instrument

MEMORY = 1 << 30


def batch_statistics(net: nn.Module, x: Tensor, bn: BnMode) -> Statistics:
    """BatchNorm means and inverse standard deviations of one forward pass over x, in order of call."""
    instrument = Instrument(bn, [len(x)])
    with torch.no_grad(), instrument:
        net(x)
    return instrument.recorded


def frozen_function(net: nn.Module, statistics: Statistics) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """f(parameters, x) with BatchNorm statistics fixed: a pure function in which samples are independent."""

    def function(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        with Instrument("frozen", [len(x)], statistics=statistics):
            out: Tensor = functional_call(net, dict(parameters), (x,))
        return out

    return function


def independent_kernel(
    net: nn.Module, batches: list[Tensor], selected: dict[str, Tensor], bn: BnMode, seeds: Tensor
) -> Tensor:
    """Kernel (n·s, m·s) float64 for s output seeds, rows ordered sample-major; batches = [x] or [x, x2].

    Args:
        seeds: (s, classes); output k of sample i is seeds[k]·f(x_i).
    """
    functions = [frozen_function(net, batch_statistics(net, x, bn)) for x in batches]
    shape = tuple(len(x) * len(seeds) for x in (batches[0], batches[-1]))
    kernel = torch.zeros(shape, dtype=torch.float64, device=batches[0].device)
    rows = max(shape) * len(batches)
    for block in _blocks(selected, rows):
        jacobians = [_jacobian(f, block, x, seeds) for f, x in zip(functions, batches, strict=True)]
        kernel += gram(jacobians[0], jacobians[-1])
    return kernel


def _blocks(selected: dict[str, Tensor], rows: int) -> Iterator[dict[str, Tensor]]:
    """Cut the parameters into blocks whose rows×P Jacobian stays within MEMORY (one parameter at the least)."""
    block: dict[str, Tensor] = {}
    size = 0
    for name, parameter in selected.items():
        cost = rows * parameter.numel() * parameter.element_size()
        if block and size + cost > MEMORY:
            yield block
            block, size = {}, 0
        block[name] = parameter.detach()
        size += cost
    if block:
        yield block


def _jacobian(
    function: Callable[[Mapping[str, Tensor], Tensor], Tensor], block: dict[str, Tensor], x: Tensor, seeds: Tensor
) -> Tensor:
    """Gradients (n·s, P_block) of seeds[k]·f(x_i) with respect to a block of parameters."""

    def scalar(parameters: dict[str, Tensor], sample: Tensor, seed: Tensor) -> Tensor:
        return (function(parameters, sample.unsqueeze(0))[0] * seed).sum()

    derivative = grad(scalar)
    over_seeds = vmap(derivative, in_dims=(None, None, 0))
    weights = sum(p.numel() * p.element_size() for p in block.values()) * len(seeds)
    chunk = max(1, MEMORY // (8 * max(weights, x[0].numel() * x.element_size())))
    try:
        parts = vmap(over_seeds, in_dims=(None, 0, None), chunk_size=chunk)(block, x, seeds)
    except (RuntimeError, NotImplementedError, ValueError):
        rows = [[derivative(block, sample, seed) for seed in seeds] for sample in x]
        parts = {name: torch.stack([torch.stack([d[name] for d in row]) for row in rows]) for name in block}
    return torch.cat([parts[name].reshape(len(x) * len(seeds), -1) for name in block], dim=1)


def coupled_kernel(
    net: nn.Module, batches: list[Tensor], selected: dict[str, Tensor], bn: BnMode, seeds: Tensor
) -> Tensor:
    """Kernel (n·s, m·s) float64 with gradients through BatchNorm's batch statistics; batches = [x] or [x, x2]."""
    parameters = list(selected.values())
    for parameter in parameters:
        parameter.requires_grad_(True)
    jacobians = []
    for x in batches:
        with Instrument(bn, [len(x)]):
            out = net(x)
        rows = torch.zeros(len(x) * len(seeds), sum(p.numel() for p in parameters), dtype=x.dtype, device=x.device)
        for i in range(len(x) if out.requires_grad else 0):
            for k, seed in enumerate(seeds):
                gradients = torch.autograd.grad((out[i] * seed).sum(), parameters, retain_graph=True, allow_unused=True)
                start = 0
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        rows[i * len(seeds) + k, start : start + parameter.numel()] = gradient.reshape(-1)
                    start += parameter.numel()
        jacobians.append(rows)
    kernel = torch.zeros(len(jacobians[0]), len(jacobians[-1]), dtype=torch.float64, device=batches[0].device)
    step = 1 << 16
    for a, b in zip(jacobians[0].split(step, dim=1), jacobians[-1].split(step, dim=1), strict=True):
        kernel += a.double() @ b.double().T
    return kernel
