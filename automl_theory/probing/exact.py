"""The tangent kernel of any module, exactly and more slowly: sample by sample, or by coupled backward passes.

- `independent_kernel`: samples are independent (frozen or running BatchNorm, nothing else that mixes them). Per-sample
  gradients by ``vmap(grad)`` of the module called functionally on one sample, in blocks of parameters and chunks of
  samples that keep the memory bounded; a module that ``vmap`` refuses is differentiated one sample at a time. That the
  samples are independent is checked: outputs of single samples must be those of the batch.
- `coupled_kernel`: sample i's output may depend on all samples, through BatchNorm's batch statistics or otherwise. One
  backward pass through the whole batch for each kernel row, as TE-NAS does: O(n²) sample passes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from automl_theory.errors import InputError, is_memory, reason
from automl_theory.probing.batch_norm import BnMode, Statistics
from automl_theory.probing.call import call, rows_of
from automl_theory.probing.gram import gram
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.layer_gradients import Unsupported

MEMORY = 1 << 30
"""Bytes of per-sample gradients that are held at once (one sample's gradient of one parameter at the least)."""

Function = Callable[[Mapping[str, Tensor], Tensor], Tensor]


class Mixing(Exception):
    """The module's output for a sample is another one in a batch than alone."""


@dataclass(frozen=True)
class Batch:
    """Samples x (n, …), and what one pass over them showed: outputs (n, C), BatchNorm's constants in order of call."""

    x: Tensor
    outputs: Tensor
    statistics: Statistics


def observe(net: nn.Module, x: Tensor, bn: BnMode) -> Batch:
    """One forward pass over x in BatchNorm mode `bn`."""
    instrument = Instrument(bn, [len(x)])
    with torch.no_grad(), instrument:
        outputs = call(net, x)
    return Batch(x, outputs, instrument.recorded)


def frozen_function(net: nn.Module, statistics: Statistics) -> Function:
    """f(parameters, x) → (m, k) with BatchNorm statistics fixed: a pure function in which samples are independent."""

    def function(parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        with Instrument("frozen", [len(x)], statistics=statistics):
            out: Tensor = functional_call(net, dict(parameters), (x.clone(),))
        return rows_of(out)

    return function


def independent_kernel(net: nn.Module, batches: list[Batch], selected: dict[str, Tensor], seeds: Tensor) -> Tensor:
    """Kernel (n·s, m·s) float64 for s output seeds, rows ordered sample-major; batches = [x] or [x, x2].

    Args:
        seeds: (s, classes); output k of sample i is seeds[k]·f(x_i).

    Raises:
        Mixing: if a sample's output alone is not its output in the batch.
    """
    passes = [_Pass(frozen_function(net, batch.statistics), batch, seeds) for batch in batches]
    first, last, s = passes[0], passes[-1], len(seeds)
    kernel = torch.zeros(first.n * s, last.n * s, dtype=torch.float64, device=seeds.device)
    for block in _blocks(selected, s * sum(p.n for p in passes)):
        step = max(1, MEMORY // (2 * s * _bytes(block)))
        for i in range(0, first.n, step):
            rows = first.jacobian(block, i, i + step)
            for j in range(i if last is first else 0, last.n, step):
                columns = rows if last is first and i == j else last.jacobian(block, j, j + step)
                part = gram(rows, columns)
                kernel[i * s : i * s + len(rows), j * s : j * s + len(columns)] += part
                if last is first and i != j:
                    kernel[j * s : j * s + len(columns), i * s : i * s + len(rows)] += part.T
    return kernel


def _bytes(block: Mapping[str, Tensor]) -> int:
    return sum(p.numel() * p.element_size() for p in block.values())


def _blocks(selected: dict[str, Tensor], rows: int) -> Iterator[dict[str, Tensor]]:
    """Cut the parameters into blocks whose rows×P Jacobian stays within MEMORY (one parameter at the least)."""
    block: dict[str, Tensor] = {}
    for name, parameter in selected.items():
        if block and rows * (_bytes(block) + _bytes({name: parameter})) > MEMORY:
            yield block
            block = {}
        block[name] = parameter.detach()
    if block:
        yield block


class _Pass:
    """Per-sample gradients of a pure function over one batch."""

    def __init__(self, function: Function, batch: Batch, seeds: Tensor) -> None:
        self.function, self.batch, self.seeds = function, batch, seeds
        self.n = len(batch.x)

    def jacobian(self, block: dict[str, Tensor], start: int, stop: int) -> Tensor:
        """Gradients (m·s, P_block) of seeds[k]·f(x_i), i from `start` to `stop`, of the block's parameters."""
        x = self.batch.x[start:stop]
        parts, outputs = self._together(block, x) or self._one_by_one(block, x)
        self._check(outputs, start, stop)
        return torch.cat([parts[name].reshape(len(x) * len(self.seeds), -1) for name in block], dim=1)

    def _together(self, block: dict[str, Tensor], x: Tensor) -> tuple[dict[str, Tensor], Tensor] | None:
        """Gradients {name: (m, s, …)} and outputs (m, C) by vmap; None where it refuses or is wrong.

        Not every batching rule of torch is right (PReLU's under two levels of vmap is not, in torch 2.13): one level is
        used, and the first sample's gradients must be those of a plain backward pass.
        """

        def scalar(parameters: dict[str, Tensor], sample: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
            row = self._row(parameters, sample)
            return (row * seed).sum(), row

        costs = max(_bytes(block) * len(self.seeds), x[0].numel() * x.element_size())
        gradients = vmap(grad(scalar, has_aux=True), (None, 0, None), chunk_size=max(1, MEMORY // (8 * costs)))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")  # torch has no batching rule there
                by_seed = [gradients(block, x, seed) for seed in self.seeds]
        except (Unsupported, Mixing):
            raise
        except Exception as error:
            if is_memory(error):
                raise
            return None
        parts = {name: torch.stack([found[name] for found, _ in by_seed], dim=1) for name in block}
        plain, _ = self._one_by_one(block, x[:1])
        for name, expected in plain.items():
            tolerance = torch.finfo(expected.dtype).eps ** 0.5 * expected.abs().max()
            if bool(((parts[name][:1] - expected).abs() > tolerance).any()):
                return None
        return parts, by_seed[0][1]

    def _one_by_one(self, block: dict[str, Tensor], x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients {name: (m, s, …)} and outputs (m, C), by plain backward passes."""
        leaves = {name: p.detach().requires_grad_() for name, p in block.items()}
        gradients: list[tuple[Tensor, ...]] = []
        outputs = []
        for sample in x:
            try:
                row = self._row(leaves, sample)
            except (Unsupported, Mixing):
                raise
            except Exception as error:
                if is_memory(error):
                    raise
                raise Mixing(f"the module fails on a single sample ({reason(error)})") from error
            outputs.append(row.detach())
            gradients += [differentiate(row, seed, list(leaves.values())) for seed in self.seeds]
        shape = (len(x), len(self.seeds))
        stacked = [torch.stack(values) for values in zip(*gradients, strict=True)]
        return {n: g.view(*shape, *g.shape[1:]) for n, g in zip(block, stacked, strict=True)}, torch.stack(outputs)

    def _row(self, parameters: Mapping[str, Tensor], sample: Tensor) -> Tensor:
        rows = self.function(parameters, sample.unsqueeze(0))
        if rows.shape != (1, self.seeds.shape[1]):
            raise Mixing(f"a single sample gives an output of shape {tuple(rows.shape)}")
        return rows[0]

    def _check(self, outputs: Tensor, start: int, stop: int) -> None:
        expected = self.batch.outputs[start:stop]
        tolerance = torch.finfo(expected.dtype).eps ** 0.5 * expected.abs().max()
        if bool(((outputs - expected).abs() > tolerance).any()):
            raise Mixing("single samples give other outputs than the batch")


def differentiate(out: Tensor, seed: Tensor, parameters: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of Σ out·seed by one backward pass, zero where the output does not depend on a parameter."""
    if not out.requires_grad:
        return tuple(torch.zeros_like(p) for p in parameters)
    try:
        found = torch.autograd.grad(out, parameters, seed, retain_graph=True, allow_unused=True)
    except Unsupported:
        raise
    except Exception as error:
        if is_memory(error):
            raise
        raise InputError(f"the backward pass of the module fails: {reason(error)}") from error
    return tuple(torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True))


def coupled_kernel(
    net: nn.Module, batches: list[Tensor], selected: dict[str, Tensor], bn: BnMode, seeds: Tensor
) -> Tensor:
    """Kernel (n·s, m·s) float64 of f_i(X), X the whole batch in BatchNorm mode `bn`; batches = [x] or [x, x2].

    Gradients go through whatever couples the samples; in bn="frozen" and "running" BatchNorm's statistics are
    constants.
    """
    parameters = list(selected.values())
    for parameter in parameters:
        parameter.requires_grad_(True)
    outputs = []
    for x in batches:
        with Instrument(bn, [len(x)]):
            outputs.append(call(net, x))
    s = len(seeds)
    shape = (len(batches[0]) * s, len(batches[-1]) * s)
    kernel = torch.zeros(shape, dtype=torch.float64, device=seeds.device)
    for block in _blocks(selected, s * sum(len(x) for x in batches)):
        jacobians = [_coupled_rows(out, [selected[name] for name in block], seeds) for out in outputs]
        kernel += gram(jacobians[0], jacobians[-1])
    return kernel


def _coupled_rows(out: Tensor, parameters: list[Tensor], seeds: Tensor) -> Tensor:
    """Gradients (n·s, P) of seeds[k]·out_i, a backward pass each."""
    rows = out.new_zeros(len(out) * len(seeds), sum(p.numel() for p in parameters))
    seed = torch.zeros_like(out)
    for i in range(len(out)):
        for k, direction in enumerate(seeds):
            seed[i] = direction
            start = 0
            for gradient in differentiate(out, seed, parameters):
                rows[i * len(seeds) + k, start : start + gradient.numel()] = gradient.reshape(-1)
                start += gradient.numel()
        seed[i] = 0
    return rows
