"""Size of any module: what the trivial baselines need."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from automl_theory.probing.call import call, call_one
from automl_theory.probing.instrument import Instrument

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_PRODUCTS = ("ConvolutionBackward", "AddmmBackward", "MmBackward", "LinearBackward", "MkldnnConvolutionBackward")


def module_sizes(net: nn.Module, x: Tensor) -> dict[str, float]:
    """Sizes of `net` on one sample x (1, …).

    Returns:
        parameters: number of entries of all parameters, trainable or not; macs: multiply-accumulates of convolutions
            and matrix products;
        depth: most convolution and linear layers on one path from input to output, those that a module calls as
        functions too (attention has two); trainable_layers: number of convolution and linear modules.
    """
    with torch.no_grad(), Instrument("frozen", [1]):
        x = x.expand(len(call_one(net, x)), *x.shape[1:])
    with torch.no_grad(), FlopCounterMode(display=False) as counter, Instrument("frozen", [len(x)]):
        call(net, x)
    for parameter in net.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    with torch.enable_grad(), Instrument("frozen", [len(x)]):
        out = call(net, x)
    return {
        "parameters": float(sum(p.numel() for p in net.parameters())),
        "macs": counter.get_total_flops() / 2 / len(x),
        "depth": float(_depth(out.grad_fn)),
        "trainable_layers": float(sum(isinstance(m, _LAYERS) for m in net.modules())),
    }


def _depth(root: Any) -> int:
    """Most product nodes on a path of the autograd graph that ends in `root`."""
    depth: dict[Any, int] = {None: 0}
    stack = [root]
    while stack:
        node = stack[-1]
        parents = [parent for parent, _ in node.next_functions] if node is not None else []
        waiting = [parent for parent in parents if parent not in depth]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if node is not None:
            own = node.name().startswith(_PRODUCTS)
            depth[node] = own + max((depth[parent] for parent in parents), default=0)
    return depth[root]
