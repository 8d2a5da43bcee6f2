"""NTK of an infinitely wide ReLU network whose weights are pruned at random, in closed form.

The network, in NTK parametrisation, with L hidden layers (the depth) of widths d_1, ..., d_L and no biases:

    a_0 = x,    a_l = √(2/d_l) relu(W̃_l a_(l-1)),    f(x) = W̃_(L+1) a_L,    W̃ = m ∘ W,

W ~ N(0, 1), m ~ Bernoulli(α) entrywise: α is the keep probability, 1 - α the share of pruned weights. The input layer
W_1 is not pruned. With rescaling W̃ = α^(-1/2) m ∘ W. The NTK is Θ̃(x, x') = Σ ∂f(x)/∂W ∂f(x')/∂W over the weights W
that are left (a pruned one has gradient 0).

**Theorem 1** (Yang & Wang 2023). As d_1, ..., d_L grow to infinity one after the other,

    Θ̃ → α^L Θ,    and with rescaling    Θ̃ → Θ,

where Θ is the NTK of the dense network: with Σ_0 = <x, x'>, Σ_l = √(Σ_l-1(x,x) Σ_l-1(x',x')) κ1(ρ_l-1) and
Σ̇_l = κ0(ρ_l-1), ρ the correlations of Σ,

    Θ = Σ_(h=0..L) Σ_h Π_(l=h+1..L) Σ̇_l,    Θ(x, x) = (L + 1) |x|².

Each of the L masked matrices gives one factor α: to the term of its own weights by masking their gradient, to the terms
before it on the way back and to those after it on the way forward. A ReLU is positively homogeneous, so rescaling
multiplies f by α^(-L/2) and Θ̃ by α^(-L) for every single network of any width: given the first half of the theorem,
the second is an identity. (It takes part in the gradient. Multiplying the numbers that are left by α^(-1/2) once, and
then counting gradients by these, leaves a factor α with every term but that of the input layer.)

**At finite width** the mean of Θ̃(x, x) is α^L (L + 1) |x|² exactly, whatever the widths: a row of weights and its
negative are equally likely, and one of them switches its ReLU on. Between different inputs it is off by O(1/d).

**The input layer masked too.** Then the factor is not simply α^(L+1): a neuron of the first layer reads a sum over the
d_0 numbers of x, and d_0 does not grow, so the masked inner products q = Σ_k m_k x_k x'_k do not average out. Given m
the pair is Gaussian, so

    Σ_1 = E_m[√(q(x,x) q(x',x')) κ1(ρ_q)]    and    E_m[κ0(ρ_q) q] in the place of Σ̇_1 Σ_0,

over the 2^d_0 masks of a neuron, and L factors α on top as before. On the diagonal E_m[q] = α |x|²: there it is exactly
α^(L+1) (L + 1) |x|². Between different inputs it differs from α^(L+1) Θ to either side, by a share that vanishes as
d_0 grows with |x| spread over all coordinates.

Source: H. Yang & Z. Wang, "On the Neural Tangent Kernel Analysis of Randomly Pruned Neural Networks", AISTATS 2023
(PMLR 206). Its full text was not at hand: set-up and theorem follow the abstract and the released code. The constant
α^L, its proof, the identity, the mean at finite width and what is said about masked inputs are reconstructed or derived
here, and tested against drawn networks.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_theory.counts import whole
from automl_theory.errors import InputError
from automl_theory.infinite_width.dag_kernels import flat_inputs, linear_layer

Array = NDArray[np.float64]

MOST_INPUTS = 16


def pruned_mlp_ntk(x: Any, depth: int, keep: float = 1.0, *, rescale: bool = False, mask_input: bool = False) -> Array:
    """Θ̃ of all pairs of inputs in the limit of infinite width, float64 (n, n); see the module for formulas.

    Args:
        x: inputs (n, …), a numpy array or a torch tensor, flattened to (n, d_0) and taken as they are. The paper has
            |x| = 1; the kernel grows as |x||x'|.
        depth: L, the number of hidden layers, at least 1; L + 1 layers have weights.
        keep: α in (0, 1], the probability that a weight stays.
        rescale: what is left is multiplied by α^(-1/2).
        mask_input: the input layer is masked as well. All 2^d_0 masks are summed: at most 16 numbers an input.

    An input of norm 0 has zeros in its row and column.

    Errors: InputError for inputs that are empty or not finite, for depth or keep out of range, and for a masked input
    layer that reads more than 16 numbers.
    """
    flat = flat_inputs(x)
    check_network(depth, keep)
    variance = 1.0 if rescale else keep
    if mask_input and flat.shape[1] > MOST_INPUTS:
        raise InputError(
            f"expected at most {MOST_INPUTS} numbers an input to mask the input layer, got {flat.shape[1]}; leave it "
            "unmasked: for many numbers of like size the mask multiplies the kernel by keep (by 1 with rescale)"
        )
    after, through = _masked_input(flat, keep, rescale) if mask_input else _input(flat @ flat.T)
    kernel = variance * (after + through)
    for _ in range(depth - 1):
        after, slope, _ = linear_layer(variance * after)
        kernel = variance * (after + slope * kernel)
    return kernel


def pruning_factor(depth: int, keep: float, *, rescale: bool = False) -> float:
    """α^L, by which pruning multiplies the infinite-width NTK of a network with L hidden layers; 1 with rescaling.

    The input layer is not masked. Errors: InputError for depth or keep out of range.
    """
    check_network(depth, keep)
    return 1.0 if rescale else float(keep) ** depth


def check_network(depth: int, keep: float) -> None:
    """Refuse a depth that is no integer of at least 1 and a keep probability outside (0, 1], by an InputError."""
    whole("depth, the number of hidden layers,", depth)
    if isinstance(keep, bool) or not isinstance(keep, int | float | np.number) or not 0 < keep <= 1:
        raise InputError(f"expected keep, the share of weights that stay, in (0, 1], got {keep!r}; 1 prunes nothing")


def _input(inner: Array) -> tuple[Array, Array]:
    """Σ_1 and Σ̇_1 Σ_0 of the inner products of what the first layer reads."""
    after, slope, _ = linear_layer(inner)
    return after, slope * inner


def _masked_input(x: Array, keep: float, rescale: bool) -> tuple[Array, Array]:
    """Their means over all masks of a neuron's weights."""
    size = x.shape[1]
    after, through = np.zeros((len(x), len(x))), np.zeros((len(x), len(x)))
    for mask in product((0.0, 1.0), repeat=size):
        kept = sum(mask)
        probability = keep**kept * (1 - keep) ** (size - kept)
        if probability:
            part = _input(x * np.array(mask) @ x.T / (keep if rescale else 1.0))
            after += probability * part[0]
            through += probability * part[1]
    return after, through
