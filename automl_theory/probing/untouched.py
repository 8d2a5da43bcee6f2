"""Borrow a module and give it back exactly as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from automl_theory.probing.allocator import keep_freed_memory


@contextmanager
def untouched(net: nn.Module) -> Iterator[nn.Module]:
    """Yield `net` in evaluation mode with gradients enabled; on exit, also after an exception, restore everything.

    Restored: the training flag of every submodule, `requires_grad` and `grad` of every parameter, the values of
    every buffer, and torch's CPU and CUDA random state. No hook is ever registered on the module.
    """
    keep_freed_memory()
    modes = [(module, module.training) for module in net.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in net.parameters()]
    buffers = [(b, b.detach().clone()) for b in net.buffers()]
    rng = torch.get_rng_state()
    cuda_rng = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        net.eval()
        with torch.inference_mode(False), torch.enable_grad():
            yield net
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad, grad in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
        torch.set_rng_state(rng)
        if cuda_rng:
            torch.cuda.set_rng_state_all(cuda_rng)
