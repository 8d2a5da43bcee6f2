"""The empirical neural tangent kernel K_ij = ⟨∂f(x_i)/∂θ, ∂f(x_j)/∂θ⟩ of any module."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn

from automl_theory.errors import InputError, suggest
from automl_theory.probing.batch_norm import BN_MODES, BnMode
from automl_theory.probing.exact import coupled_kernel, independent_kernel
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.layer_gradients import LayerGradients, Unsupported
from automl_theory.probing.selection import ParameterFilter, select_parameters
from automl_theory.probing.untouched import untouched

Output = Literal["sum", "trace", "full"]
OUTPUTS: tuple[Output, ...] = ("sum", "trace", "full")


class SlowerKernel(UserWarning):
    """The one-pass kernel does not apply to a module, and an exact slower way was taken."""


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{name}={value!r} is not one of {', '.join(choices)}.{suggest(str(value), choices)}")


def check_input(x: Tensor, name: str = "x") -> None:
    """Raise InputError unless x is a non-empty floating-point batch (n, …) without NaN or infinity."""
    if not isinstance(x, Tensor):
        raise InputError(
            f"{name} must be a torch tensor of shape (n, ...), got {type(x).__name__}; use torch.as_tensor"
        )
    if x.ndim < 2:
        raise InputError(f"{name} must have shape (n, ...), got {tuple(x.shape)}; did you forget the batch dimension?")
    if len(x) == 0:
        raise InputError(f"{name} has no samples; give at least one")
    if x.is_floating_point() and not torch.isfinite(x).all():
        bad = int((~torch.isfinite(x.flatten(1)).all(1)).sum())
        raise InputError(f"{name} holds NaN or infinity in {bad} of {len(x)} samples; clean the input first")


def call(net: nn.Module, x: Tensor) -> Tensor:
    """net(x) checked to be one output row (n, k) a sample; a vector (n,) becomes (n, 1)."""
    try:
        out = net(x)
    except Unsupported:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the module fails on an input of shape {tuple(x.shape)}: {reason}; check x against what the module expects"
        ) from error
    if not isinstance(out, Tensor) or out.ndim == 0 or len(out) != len(x):
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise InputError(
            f"the module must return a tensor with one row a sample, got {got}; wrap it to return its logits"
        )
    return out.flatten(1) if out.ndim > 1 else out[:, None]


def channels_last(x: Tensor) -> Tensor:
    """x (n, C, H, W) in the memory layout in which CPU convolutions run about twice as fast; others unchanged."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def empirical_ntk(
    net: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    bn: BnMode = "frozen",
    output: Output = "sum",
    biases: bool = False,
    parameters: ParameterFilter = None,
    method: Literal["auto", "layers", "functional", "coupled"] = "auto",
) -> Tensor:
    """Empirical neural tangent kernel of a module as it stands.

    With f(x_i) ∈ ℝ^C the outputs and θ the counted parameters,

    - ``output="sum"``:   K_ij = ⟨∇_θ Σ_c f_c(x_i), ∇_θ Σ_c f_c(x_j)⟩, (n, m): the scalar kernel of TE-NAS;
    - ``output="trace"``: K_ij = Σ_c ⟨∇_θ f_c(x_i), ∇_θ f_c(x_j)⟩, (n, m): the true NTK traced over classes (not divided by C);
    - ``output="full"``:  K_(ic)(jd) = ⟨∇_θ f_c(x_i), ∇_θ f_d(x_j)⟩, (n·C, m·C), row i·C + c.

    Args:
        net: any module mapping (n, …) to (n, C). It is left exactly as found.
        x: (n, …) inputs, in the dtype and on the device of the module's parameters.
        x2: (m, …) second batch for a cross kernel (rows: x, columns: x2); each batch has its own BatchNorm statistics.
        bn: "frozen" (batch statistics taken as constants), "batch" (differentiated through, as TE-NAS; one backward pass
            a sample) or "running" (running statistics; meaningless before training).
        output: contraction over the outputs, see above.
        biases: count parameters named "…bias" too.
        parameters: predicate on the parameter name, or a regular expression searched in it; None counts all.
        method: "auto" takes one backward pass with per-layer Grams where that is exact ("layers": convolution, linear,
            normalisation and parameter-free layers) and otherwise torch.func sample by sample ("functional"), which it
            reports by a `SlowerKernel` warning; bn="batch" is always "coupled". Naming one insists on it.

    Returns:
        float64 tensor on the device of x; symmetric positive semi-definite up to rounding if x2 is None. No counted
        parameter, or an output that depends on none, gives zeros. Units: output² / parameter².

    Raises:
        InputError: for an unknown choice, an empty or non-finite batch, or a module that does not map (n, …) to (n, C).

    Source: Jacot, Gabriel & Hongler 2018 (NTK); Chen, Gong & Wang 2021 (TE-NAS; sum of logits, no biases).
    """
    check_choice("bn", bn, BN_MODES)
    check_choice("output", output, OUTPUTS)
    check_choice("method", method, ("auto", "layers", "functional", "coupled"))
    batches = [channels_last(batch) for batch in ([x] if x2 is None else [x, x2])]
    for batch, name in zip(batches, ("x", "x2"), strict=False):
        check_input(batch, name)
    with untouched(net):
        selected = select_parameters(net, biases, parameters)
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        if bn == "batch" or method == "coupled":
            kernel = coupled_kernel(net, batches, selected, bn, _seeds(net, batches[0], bn, output))
        elif method == "functional":
            kernel = independent_kernel(net, batches, selected, bn, _seeds(net, batches[0], bn, output))
        else:
            try:
                return layer_kernel(net, batches, selected, bn, output)
            except Unsupported as reason:
                if method == "layers":
                    raise InputError(f"method='layers' does not apply: {reason}; use method='auto'") from None
                message = f"{reason}: tangent kernel of {type(net).__name__} by torch.func instead, exact but slower"
                warnings.warn(message, SlowerKernel, stacklevel=2)
            kernel = independent_kernel(net, batches, selected, bn, _seeds(net, batches[0], bn, output))
    return _contract(kernel, output, len(batches[0]), len(batches[-1]))


def layer_kernel(
    net: nn.Module, batches: list[Tensor], selected: dict[str, Tensor], bn: BnMode, output: Output
) -> Tensor:
    """The kernel by one forward pass and per-layer Grams; raises Unsupported where that would not be exact."""
    sizes = [len(batch) for batch in batches]
    x = torch.cat(batches) if len(batches) > 1 else batches[0]
    if output == "full":
        return _full_layer_kernel(net, batches, selected, bn)
    gradients = LayerGradients({id(p) for p in selected.values()}, len(x), sizes[0], x.device)
    with Instrument(bn, sizes, gradients=gradients):
        out = call(net, x)
    if output == "sum":
        gradients.backward(out, torch.ones_like(out))
    else:
        for c in range(out.shape[1]):
            seed = torch.zeros_like(out)
            seed[:, c] = 1
            gradients.backward(out, seed, retain_graph=c < out.shape[1] - 1)
    return gradients.kernel


def _full_layer_kernel(net: nn.Module, batches: list[Tensor], selected: dict[str, Tensor], bn: BnMode) -> Tensor:
    """Every sample once per class: repeating a batch leaves its BatchNorm statistics as they are."""
    with torch.no_grad(), Instrument(bn, [len(batches[0])]):
        classes = call(net, batches[0]).shape[1]
    x = torch.cat([batch.repeat_interleave(classes, dim=0) for batch in batches])
    sizes = [len(batch) * classes for batch in batches]
    gradients = LayerGradients({id(p) for p in selected.values()}, len(x), sizes[0], x.device)
    with Instrument(bn, sizes, gradients=gradients):
        out = call(net, channels_last(x))
    gradients.backward(out, torch.eye(classes, dtype=out.dtype, device=out.device).repeat(len(x) // classes, 1))
    return gradients.kernel


def _seeds(net: nn.Module, x: Tensor, bn: BnMode, output: Output) -> Tensor:
    with torch.no_grad(), Instrument(bn, [len(x)]):
        out = call(net, x)
    like = {"dtype": out.dtype, "device": out.device}
    return torch.ones(1, out.shape[1], **like) if output == "sum" else torch.eye(out.shape[1], **like)


def _contract(kernel: Tensor, output: Output, n: int, m: int) -> Tensor:
    if output != "trace":
        return kernel
    return kernel.view(n, kernel.shape[0] // n, m, kernel.shape[1] // m).diagonal(dim1=1, dim2=3).sum(-1)
