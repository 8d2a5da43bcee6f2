"""Borrow a module and give it back exactly as it was found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from automl_theory.errors import InputError, reason
from automl_theory.probing.allocator import keep_freed_memory
from automl_theory.probing.precision import full_precision

_NO_HOOKS = "it checkpoints its activations (saved-tensor hooks), which a pass cannot follow; switch that off"
_REGISTRIES = ("_parameters", "_buffers", "_modules")


@contextmanager
def untouched(net: nn.Module) -> Iterator[nn.Module]:
    """Yield `net` in evaluation mode with gradients enabled; on exit, also after an exception, restore everything.

    Restored: every attribute of every submodule (its training flag, a value that a forward pass keeps, a buffer that it
    replaces), `requires_grad` and `grad` of every parameter, the values of every buffer, and the random states of torch
    (CPU and CUDA), numpy and Python. No hook is ever registered on the module. Out of reach: a module that writes into
    its own parameters, or into lists and dicts that it holds.

    What a module draws in a pass (noise, stochastic depth that evaluation mode does not switch off) is that of seed 0.

    Autocast, inference mode and TF32 are off inside (see `precision`). A module that checkpoints its activations fails
    with a message: it would compute them anew outside of the pass.
    """
    keep_freed_memory()
    modules = [(m, dict(m.__dict__), [dict(m.__dict__[name]) for name in _REGISTRIES]) for m in net.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in _held(modules, 0)]
    buffers = [(b, b.detach().clone()) for b in _held(modules, 1)]
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002  # that state is the matter
    cuda = torch.cuda.is_initialized()
    cuda_rng = torch.cuda.get_rng_state_all() if cuda else []
    try:
        _evaluate(net)
        torch.default_generator.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  # a module may draw from it
        random.seed(0)
        if cuda:
            torch.cuda.manual_seed_all(0)
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            full_precision(),
            torch.autograd.graph.disable_saved_tensors_hooks(_NO_HOOKS),
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False) if cuda else nullcontext(),
        ):
            yield net
    finally:
        for module, attributes, registries in modules:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            for name, content in zip(_REGISTRIES, registries, strict=True):
                registry = attributes[name]
                registry.clear()
                registry.update(content)
        for parameter, requires_grad, grad in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002  # that state is the matter
        random.setstate(states[2])
        if cuda_rng:
            torch.cuda.set_rng_state_all(cuda_rng)


def _evaluate(net: nn.Module) -> None:
    try:
        net.eval()
    except NotImplementedError as error:
        raise InputError(
            f"the network cannot be put into evaluation mode ({reason(error)}), as one from torch.export; "
            "pass the module it was made from"
        ) from error


def _held(modules: list[tuple[nn.Module, dict[str, Any], list[dict[str, Any]]]], registry: int) -> list[torch.Tensor]:
    """Parameters (0) or buffers (1) of the modules, each once; one walk over the modules serves both."""
    tensors = (t for _, _, registries in modules for t in registries[registry].values() if t is not None)
    return list({id(tensor): tensor for tensor in tensors}.values())
