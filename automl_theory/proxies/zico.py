"""ZiCo: gradients that are large and agree from batch to batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory.errors import InputError, is_memory
from automl_theory.linalg import Array
from automl_theory.probing.loss_gradients import loss_gradients
from automl_theory.probing.signals import Signals
from automl_theory.proxies.base import Proxy, Undefined, Value


def _gradients(signals: Signals, batches: int, double: bool) -> dict[str, Array]:
    """{layer: gradients (batches, P)} of the consecutive sub-batches; of a copy in float64 if `double`."""
    net, x, y = signals.net, signals.x, signals.y
    assert y is not None
    if double:
        net, x = _doubled(net), x.double() if x.is_floating_point() else x
    found = []
    for part in np.array_split(np.arange(signals.n), batches):
        rows = slice(int(part[0]), int(part[-1]) + 1)
        found.append(loss_gradients(net, x[rows], y[rows], {"loss"}).gradients or {})
    return {name: np.stack([g[name].double().flatten().cpu().numpy() for g in found]) for name in found[0]}


def _doubled(net: nn.Module) -> nn.Module:
    """A copy in float64; outputs that the module keeps from a pass before, which none can copy, go without graph."""
    with torch.inference_mode(False):
        kept = {id(tensor): tensor.detach() for module in net.modules() for tensor in _with_graph(vars(module))}
        return copy.deepcopy(net, kept).double()


def _with_graph(value: object) -> Iterator[Tensor]:
    """Tensors with a graph in a value, or in dictionaries, lists and tuples of values."""
    if isinstance(value, Tensor) and not value.is_leaf:
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _with_graph(part)


def zico(signals: Signals, batches: int = 2) -> Value:
    """Σ_layers log Σ_θ mean_b|g_b|/std_b(g_b), g_b the gradient of the cross-entropy on sub-batch b.

    Convergence; maximize; unit: nats. The batch is cut into `batches` consecutive parts whose sizes differ by at most
    one; BatchNorm normalises each by its own statistics, differentiated through, as in training; a layer is the weight
    of a convolution or linear module; std divides by the number of batches and is that of g_b, as in the released code.
    A term (|a| + |b|)/|a − b| of two batches is largest where they differ least, down to the rounding of float32, which
    would move the sum in its fourth digit: the gradients are those of a copy in float64, at some five times the cost
    (of the module as it is, where it runs in no other precision). Edge values: a weight whose gradient is the same in
    all parts is left out, as in the released code, and a layer without another one adds nothing; undefined where that
    leaves nothing, without labels, or for fewer than two samples a part or two parts. Source: Li et al. 2023 (ZiCo).
    """
    if batches < 2 or signals.n < 2 * batches:
        raise Undefined("at least two sub-batches of two samples are needed")
    try:
        found = _gradients(signals, batches, signals.x.dtype != torch.float64)
    except (InputError, RuntimeError, TypeError) as error:
        if is_memory(error):
            raise
        found = _gradients(signals, batches, False)
    total, layers = 0.0, 0
    for g in found.values():
        spread = g.std(0)
        if not np.isfinite(spread).all():
            return float("nan"), "non_finite"
        size = np.abs(g).mean(0)
        differs = spread > 0
        if differs.any():
            total += float(np.log((size[differs] / spread[differs]).sum()))
            layers += 1
    if layers == 0:
        raise Undefined("no gradient differs between the sub-batches")
    return total, "ok"


PROXIES = [
    Proxy("zico", "convergence", "maximize", "nats", zico, frozenset({"labels", "parameters"}), core=False),
]
