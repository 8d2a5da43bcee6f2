"""Do the samples' gradients point the same way? Signs of per-sample gradients of the loss, layer by layer.

BatchNorm's statistics of the batch are constants, so a sample's loss depends on that sample alone and one backward pass
of the summed cross-entropy gives every per-sample gradient. A layer's gradients (n, P) are reduced to Σ_k |Σ_i
sign(g_ik)| as soon as they are there.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_theory.errors import InputError
from automl_theory.probing.call import call
from automl_theory.probing.exact import differentiate
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.layer_gradients import LayerGradients, Unsupported
from automl_theory.probing.loss_gradients import layer_weights
from automl_theory.probing.untouched import untouched


class _Signs(LayerGradients):
    """Adds up Σ_k |Σ_i sign(g_ik)| where its parent adds up Gram matrices."""

    agreement = 0.0

    def add_outer(self, parameter: Tensor, inputs: Tensor, grads: Tensor) -> None:
        """Take a weight (out, in) used once per sample."""
        self.add(parameter, grads[:, :, None] * inputs[:, None, :])

    def _reduce(self, jacobian: Tensor) -> None:
        self.agreement += agreement(jacobian)


def agreement(gradients: Tensor) -> float:
    """Σ_k |Σ_i sign(g_ik)| of per-sample gradients (n, P)."""
    return float(gradients.sign().sum(0).abs().sum(dtype=torch.float64))


def sign_agreement(net: nn.Module, x: Tensor, y: NDArray[np.int64]) -> float:
    """Σ_k |Σ_i sign(∂ℓ_i/∂θ_k)|, ℓ_i the cross-entropy of sample i, θ the weights of convolutions and linear layers.

    Args:
        net: the module, left as found.
        x: (n, …) inputs; y: (n,) class numbers.

    Where the layer-wise pass does not apply, one backward pass a sample gives the same, slower. Raises InputError for a
    label without a logit.
    """
    n = len(x)
    with untouched(net):
        weights = layer_weights(net)
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        signs = _Signs({id(w) for w in weights.values()}, n, n, x.device)
        try:
            with Instrument("frozen", [n], gradients=signs):
                out = call(net, x)
            targets = _targets(out, y)
            signs.backward(out, (out.detach().softmax(1) - F.one_hot(targets, out.shape[1])).to(out.dtype))
            return signs.agreement
        except Unsupported:
            signs.release()
        for weight in weights.values():
            weight.requires_grad_(True)
        with Instrument("frozen", [n]):
            out = call(net, x)
        losses = F.cross_entropy(out, _targets(out, y), reduction="none")
        sums = [torch.zeros_like(w) for w in weights.values()]
        for i in range(n):
            seed = torch.zeros_like(losses)
            seed[i] = 1
            for total, gradient in zip(sums, differentiate(losses, seed, list(weights.values())), strict=True):
                total += gradient.sign()
        return sum(float(total.abs().sum(dtype=torch.float64)) for total in sums)


def _targets(out: Tensor, y: NDArray[np.int64]) -> Tensor:
    if int(y.max()) >= out.shape[1]:
        raise InputError(
            f"expected labels below {out.shape[1]}, the number of logits, got {int(y.max())}; give the network an "
            "output for each class"
        )
    return torch.from_numpy(y).to(out.device)
