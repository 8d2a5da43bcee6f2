"""One pass in training mode: gradients of the loss, of the logits by the inputs, and the loss's curvature along θ.

L is the mean cross-entropy of the logits f(x_i) against the labels y_i. BatchNorm normalises by the batch's statistics
and is differentiated through, as in training; everything else is in evaluation mode (no dropout), so that the pass is a
function of the network and the batch. θ are the weights of all convolution and linear modules, as far as they are
trainable; biases and the parameters of normalisations are constants. A weight that two modules share is one.

One forward pass serves everything; the loss takes one backward pass, the inputs another, through activations alone, and
the curvature a third through the first (see `double_backward`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from automl_theory.errors import InputError, is_memory, reason
from automl_theory.probing.activations import Collector
from automl_theory.probing.call import call
from automl_theory.probing.double_backward import Backward, Geometry, batch_normalise, convolve
from automl_theory.probing.instrument import Handler, Instrument
from automl_theory.probing.untouched import untouched

PARTS = frozenset({"loss", "fisher", "curvature", "input_gradients"})

_CONVOLUTIONS: dict[Any, int] = {torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3}
_LAYERS = (*_CONVOLUTIONS, torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d, F.linear)


@dataclass(frozen=True)
class LossGradients:
    """What a pass in training mode found; None where it was not asked for.

    Attributes:
        weights: θ by name, detached.
        gradients: g = ∂L/∂θ by name, zeros where L does not depend on a weight ("loss").
        fisher: Σ_channels ½ mean_i (Σ_positions a_i ∂L/∂a_i)² over the outputs a of all layers of θ ("fisher"); None
            too where an output has not one row a sample.
        curvature: θᵀHg, H = ∂²L/∂θ² ("curvature").
        input_gradients: ∂ Σ_ic f_c(x_i) / ∂x, (n, P) in the dtype of x ("input_gradients").
        logits: f(x), (n, C), the same as from a pass with frozen statistics, which differs in its gradients only.
        features: input of the last linear layer, if there is one.
    """

    weights: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor] | None
    fisher: float | None
    curvature: float | None
    input_gradients: Tensor | None
    logits: Tensor
    features: Tensor | None


def layer_weights(net: nn.Module) -> dict[str, Tensor]:
    """θ: trainable weights of convolution and linear modules, each once, under its first name."""
    return {name: weight for name, weight in all_layer_weights(net).items() if weight.requires_grad}


def all_layer_weights(net: nn.Module) -> dict[str, Tensor]:
    """Floating-point weights of convolution and linear modules, those that are not trained too.

    Raises InputError for such a module whose weight is no parameter but computed from some.
    """
    layers = [m for m in net.modules() if isinstance(m, _ConvNd | nn.Linear)]
    for layer in layers:
        if "weight" not in layer._parameters and ("weight" in vars(layer) or is_parametrized(layer, "weight")):
            raise InputError(
                f"the weight of a {type(layer).__name__} is computed, as by weight_norm, a parametrization or pruning: "
                "make it a parameter by torch.nn.utils' remove_weight_norm, parametrize.remove_parametrizations or "
                "prune.remove"
            )
    wanted = {id(m._parameters.get("weight")) for m in layers}
    named = ((n, p) for n, p in net.named_parameters() if id(p) in wanted)
    return {n: p for n, p in named if p.is_floating_point() and p.numel()}


class _Training(Instrument):
    """A forward pass in training mode, ready for all the backward passes, that hears of the layers' outputs."""

    def __init__(self, n: int, weights: Mapping[str, Tensor], plan: Backward, codes: Collector | None) -> None:
        self.plan = plan
        self.selected = {id(w) for w in weights.values()}
        self.fisher: list[Tensor] | None = None
        self.other_rows = False
        self.hooks: list[Any] = []
        super().__init__("batch", [n], codes=codes)

    def _table(self) -> dict[Any, Handler]:
        mine = _Training
        table = super()._table() | {F.batch_norm: mine._batch_norm}
        return table | {f: partial(mine._layer, function=f) for f in _LAYERS}

    def _layer(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, function: Handler, **named: Any
    ) -> Tensor:
        if function is F.linear:
            self.features = input
        rank = _CONVOLUTIONS.get(function)
        plain = not named and not any(isinstance(value, str) for value in rest)
        if rank is not None and plain and input.ndim == rank + 2 and input.dtype == weight.dtype:
            given = [*rest, *(1, 0, 1, 1)[len(rest) :]]
            stride, padding, dilation = ((v,) * rank if isinstance(v, int) else tuple(v) for v in given[:3])
            geometry = Geometry(stride, padding, dilation, given[3])
            out = convolve(input, weight, geometry, self.plan)
            if bias is not None:
                out = out + bias.view(-1, *(1,) * rank)
        else:
            out = function(input, weight, bias, *rest, **named)
        if id(weight) in self.selected and out.requires_grad:
            self._listen(out, partial(function, input.detach(), weight.detach(), bias, *rest, **named), function)
        return out

    def _listen(self, out: Tensor, again: Handler, function: Handler) -> None:
        """Take the output's gradient in the backward pass of the loss."""
        held, version = out.detach(), out._version

        def hook(grad: Tensor) -> None:
            if self.fisher is None:
                return
            if len(held) != self.sizes[0]:
                self.other_rows = True
                return
            with torch.no_grad():
                product = (held if held._version == version else again()) * grad.detach()
                if function is F.linear:
                    sums = product.flatten(1, -2).sum(1) if product.ndim > 2 else product
                else:
                    sums = product.flatten(2).sum(2) if product.ndim > 2 else product
                self.fisher.append(sums.double().square().sum() / (2 * len(sums)))

        self.hooks.append(out.register_hook(hook))

    def release(self) -> None:
        """Take the hooks off: they hold this object, which holds parts of the graph that holds them, out of the sight
        of Python's collector."""
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if any(value is not None and value.requires_grad for value in (weight, bias)):
            return F.batch_norm(input, None, None, weight, bias, True, 0.0, eps)
        return batch_normalise(input, weight, bias, eps)


def loss_gradients(
    net: nn.Module,
    x: Tensor,
    y: NDArray[np.int64] | None,
    parts: Collection[str],
    codes: Collector | None = None,
) -> LossGradients:
    """The `parts` (of `PARTS`) of one pass over x (n, …) with class numbers y (n,); the module is left as found.

    `codes` takes the ReLU outputs of the pass, if it is given.

    Raises InputError for missing labels, a class without a logit, inputs that are no floating-point numbers where their
    gradients are asked for, or a module that cannot be differentiated (twice, where the curvature is asked for).
    """
    wants_loss = bool({"loss", "fisher", "curvature"} & set(parts))
    wants_inputs = "input_gradients" in parts
    if wants_inputs and not x.is_floating_point():
        raise InputError(f"gradients of the inputs need floating-point inputs, got {x.dtype}; choose other proxies")
    if wants_loss and y is None:
        raise InputError("labels are needed; pass y")
    with untouched(net), sdpa_kernel(SDPBackend.MATH), ExitStack() as stack:
        weights = layer_weights(net) if wants_loss else {}
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        for weight in weights.values():
            weight.requires_grad_(wants_loss)
        leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_(wants_inputs)
        plan = Backward()
        training = _Training(len(x), weights, plan, codes)
        stack.callback(training.release)
        with training:
            logits = call(net, leaf)
        input_gradients = gradients = curvature = fisher = None
        if wants_inputs:
            plan.inputs_only = True
            seed = torch.ones_like(logits)
            (found,) = _differentiate([logits], [leaf], [seed], retain_graph=wants_loss)
            input_gradients = found.flatten(1)
            plan.inputs_only = False
        if wants_loss:
            assert y is not None
            loss = _loss(logits, y)
            training.fisher = [] if "fisher" in parts else None
            twice = "curvature" in parts
            theta = list(weights.values())
            first = _differentiate([loss], theta, None, create_graph=twice)
            if training.fisher is not None and not training.other_rows:
                fisher = float(sum(training.fisher))
            training.fisher = None
            gradients = {name: g.detach() for name, g in zip(weights, first, strict=True)}
            if twice:
                curvature = _along(first, theta)
        features = None if training.features is None else training.features.detach()
    held = {name: weight.detach() for name, weight in weights.items()}
    return LossGradients(held, gradients, fisher, curvature, input_gradients, logits.detach(), features)


def _loss(logits: Tensor, y: NDArray[np.int64]) -> Tensor:
    if int(y.max()) >= logits.shape[1]:
        raise InputError(
            f"expected labels below {logits.shape[1]}, the number of logits, got {int(y.max())}; give the network an "
            "output for each class"
        )
    return F.cross_entropy(logits, torch.from_numpy(y).to(logits.device))


def _along(first: list[Tensor], theta: list[Tensor]) -> float:
    """θᵀHg: the derivative of Σ⟨θ, ∂L/∂θ⟩ with θ held, which is Hθ, times g; H is symmetric."""
    pairs = [(g, w) for g, w in zip(first, theta, strict=True) if g.requires_grad]
    if not pairs:
        return 0.0
    second = _differentiate([g for g, _ in pairs], theta, [w.detach() for _, w in pairs])
    return float(sum((g.detach().double() * h.double()).sum() for g, h in zip(first, second, strict=True)))


def _differentiate(
    outputs: list[Tensor], inputs: list[Tensor], seeds: list[Tensor] | None, **choices: bool
) -> list[Tensor]:
    """Gradients of Σ⟨outputs, seeds⟩, zeros where nothing depends on an input."""
    if not inputs or not any(out.requires_grad for out in outputs):
        return [torch.zeros_like(value) for value in inputs]
    try:
        found = torch.autograd.grad(outputs, inputs, seeds, allow_unused=True, **choices)
    except InputError:
        raise
    except Exception as error:
        if is_memory(error):
            raise
        raise InputError(f"the module cannot be differentiated: {reason(error)}; choose other proxies") from error
    return [torch.zeros_like(value) if g is None else g for value, g in zip(inputs, found, strict=True)]
