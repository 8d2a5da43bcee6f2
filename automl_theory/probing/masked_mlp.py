"""Randomly pruned ReLU networks of finite width, many at once, and their NTK in one pass over all of them.

    a_0 = x,    a_l = √(2/d_l) relu(W̃_l a_(l-1)),    f(x) = W̃_(L+1) a_L,    W̃ = s m ∘ W,

with W ~ N(0, 1), m ~ Bernoulli(α) and s = 1, or α^(-1/2) with rescaling; the first layer is not masked unless asked
for. (`infinite_width.pruned_mlp` has the limit and the theorem.) With g_l = ∂f/∂(W̃_l a_(l-1)), g_(L+1) = 1, the
gradient by the weights W of layer l is s m ∘ (g_l a_(l-1)ᵀ): pruned weights have none, and

    Θ̃(x, x') = Σ_l s² Σ_pq m_pq (g_p g'_p) (a_q a'_q)

takes one product of the mask with n (n + 1)/2 vectors a layer. No gradient is ever formed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from automl_theory.counts import whole
from automl_theory.errors import InputError

DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class MaskedMlps:
    """K networks of one shape.

    weights  of each layer, (K, d_l, d_(l-1)), all of them, also those that are out; the last, (K, 1, d_L), is the
             readout
    masks    of each layer, boolean in the shape of its weights, True where the weight stays; None: all stay
    scales   of each layer, the factor s
    """

    weights: tuple[Tensor, ...]
    masks: tuple[Tensor | None, ...]
    scales: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.weights[0])

    def effective(self, layer: int) -> Tensor:
        """W̃ = s m ∘ W of a layer."""
        mask, scale = self.masks[layer], self.scales[layer]
        kept = self.weights[layer] if mask is None else self.weights[layer] * mask
        return kept if scale == 1 else kept * scale

    def outputs(self, x: Tensor) -> Tensor:
        """f of every network on inputs (n, d_0): (K, n)."""
        return (self.activations(x)[-1] @ self.effective(-1).mT).squeeze(-1)

    def activations(self, x: Tensor) -> list[Tensor]:
        """a_0, ..., a_L: each (K, n, d_l). Errors: InputError for inputs of another size than the first layer's."""
        if x.ndim != 2 or not len(x) or x.shape[1] != self.weights[0].shape[2]:
            wanted = self.weights[0].shape[2]
            raise InputError(f"expected inputs of shape (n, {wanted}), got {tuple(x.shape)}; flatten or resize them")
        found = [x.to(self.weights[0]).expand(len(self), *x.shape)]
        for layer in range(len(self.weights) - 1):
            weight = self.effective(layer)
            found.append(torch.relu(found[-1] @ weight.mT) * math.sqrt(2 / weight.shape[1]))
        return found


def draw_masked_mlps(
    draws: Iterable[int],
    width: int,
    *,
    in_features: int,
    depth: int = 3,
    keep: float = 1.0,
    rescale: bool = False,
    mask_input: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> MaskedMlps:
    """The networks with these numbers under `seed`: the same ones, whichever are drawn together.

    Args:
        draws: their numbers, such as range(64). Weights and mask of layer l of network k come from a generator of
            their own (PCG64 of (seed, k, l)), in float32; `dtype` is what they are computed with.
        width: d_1 = ... = d_L.
        in_features: d_0.
        depth: L, the number of hidden layers; L + 1 have weights, and the last L of them are masked.
        keep: α in (0, 1], the probability that a weight stays.
        rescale: s = α^(-1/2) in the masked layers. Weights and masks are those without.
        mask_input: the first layer is masked too.

    Memory: 5 bytes a weight (1 for its mask) in float32.

    Errors: InputError for a number out of range, no draws, or another dtype.
    """
    numbers = [whole("a draw", k, 0) for k in draws]
    if not numbers:
        raise InputError("expected at least one draw, got none; give their numbers, such as range(64)")
    d, d_0, hidden = whole("width", width, 1), whole("in_features", in_features, 1), whole("depth", depth, 1)
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise InputError(f"expected keep, the share of weights that stay, in (0, 1], got {keep!r}; 1 prunes nothing")
    if dtype not in DTYPES:
        raise InputError(f"expected dtype torch.float32 or torch.float64, got {dtype!r}; take one of them")
    seed = whole("seed", seed, 0)
    shapes = [(d, d_0), *[(d, d)] * (hidden - 1), (1, d)]
    weights, masks, scales = [], [], []
    for layer, shape in enumerate(shapes):
        masked = keep < 1 and (layer > 0 or mask_input)
        drawn = np.empty((len(numbers), *shape), dtype=np.float32)
        stays = np.empty(drawn.shape, dtype=bool) if masked else None
        for place, number in enumerate(numbers):
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number, layer])))
            rng.standard_normal(dtype=np.float32, out=drawn[place])
            if stays is not None:
                np.less(rng.random(shape, dtype=np.float32), keep, out=stays[place])
        weights.append(torch.from_numpy(drawn).to(dtype))
        masks.append(None if stays is None else torch.from_numpy(stays))
        scales.append(keep**-0.5 if masked and rescale else 1.0)
    return MaskedMlps(tuple(weights), tuple(masks), tuple(scales))


def rescaled(nets: MaskedMlps, keep: float) -> MaskedMlps:
    """The same networks with s = keep^(-1/2) in the masked layers: what `draw_masked_mlps(rescale=True)` gives."""
    return replace(nets, scales=tuple(1.0 if mask is None else float(keep) ** -0.5 for mask in nets.masks))


@torch.no_grad()
def masked_mlp_ntk(nets: MaskedMlps, x: Tensor) -> Tensor:
    """Θ̃ of each network on inputs (n, d_0), over the weights that are left: float64 (K, n, n).

    The passes run in the dtype of the weights, the last sums in float64. Errors: InputError for inputs of another size.
    """
    activations = nets.activations(x)
    n = len(x)
    kernel = torch.zeros(len(nets), n, n, dtype=torch.float64)
    above = torch.ones(len(nets), n, 1, dtype=activations[0].dtype)
    for layer in range(len(nets.weights) - 1, -1, -1):
        below = activations[layer]
        kernel += nets.scales[layer] ** 2 * _products(above, below, nets.masks[layer])
        if layer:
            back = above @ nets.effective(layer)
            above = torch.where(below > 0, back * math.sqrt(2 / below.shape[-1]), 0.0)
    return kernel


def _products(above: Tensor, below: Tensor, mask: Tensor | None) -> Tensor:
    """Σ_pq m_pq g_p g'_p a_q a'_q of all pairs of inputs: (K, n, p), (K, n, q), (K, p, q) -> float64 (K, n, n)."""
    if mask is None:
        first, second = above.double(), below.double()
        return (first @ first.mT) * (second @ second.mT)
    n = above.shape[1]
    found = torch.empty(len(above), n, n, dtype=torch.float64)
    numbers = mask.to(above.dtype)
    for i in range(n):
        row = ((above[:, i:] * above[:, i : i + 1]) @ numbers) * (below[:, i:] * below[:, i : i + 1])
        found[:, i, i:] = found[:, i:, i] = row.double().sum(-1)
    return found
