"""The empirical neural tangent kernel K_ij = ⟨∂f(x_i)/∂θ, ∂f(x_j)/∂θ⟩ of any module."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn

from automl_theory.errors import InputError
from automl_theory.probing.batch_norm import BN_MODES, BnMode
from automl_theory.probing.call import call, channels_last, check_choice, check_flag, check_input, check_module
from automl_theory.probing.exact import Mixing, coupled_kernel, independent_kernel, observe
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.layer_gradients import LayerGradients, Unsupported
from automl_theory.probing.selection import ParameterFilter, select_parameters
from automl_theory.probing.untouched import untouched

Output = Literal["sum", "trace", "full"]
Method = Literal["auto", "layers", "functional", "coupled"]
OUTPUTS: tuple[Output, ...] = ("sum", "trace", "full")
METHODS: tuple[Method, ...] = ("auto", "layers", "functional", "coupled")


class SlowerKernel(UserWarning):
    """The one-pass kernel does not apply to a module, and an exact slower way was taken."""


def empirical_ntk(
    net: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    bn: BnMode = "frozen",
    output: Output = "sum",
    biases: bool = False,
    parameters: ParameterFilter = None,
    method: Method = "auto",
) -> Tensor:
    """Empirical neural tangent kernel of a module as it stands, in evaluation mode.

    With f(x_i) ∈ ℝ^C the outputs and θ the counted parameters,

    - ``output="sum"``:   K_ij = ⟨∇_θ Σ_c f_c(x_i), ∇_θ Σ_c f_c(x_j)⟩, (n, m): the scalar kernel of TE-NAS;
    - ``output="trace"``: K_ij = Σ_c ⟨∇_θ f_c(x_i), ∇_θ f_c(x_j)⟩, (n, m): the true NTK traced over classes (not divided
      by C);
    - ``output="full"``:  K_(ic)(jd) = ⟨∇_θ f_c(x_i), ∇_θ f_d(x_j)⟩, (n·C, m·C), row i·C + c.

    f(x_i) is row i of the module's output on the whole batch. For nearly every module it depends on x_i alone, once
    BatchNorm's statistics are constants; where it does not (a module that subtracts the batch mean, say), the gradients
    are those of the row as it is, through all samples.

    Args:
        net: any module mapping (n, …) to (n, C); outputs of more dimensions are flattened to (n, C). It is left as
            found.
        x: (n, …) inputs, in the dtype and on the device of the module's parameters (or token numbers).
        x2: (m, …) second batch for a cross kernel (rows: x, columns: x2); each batch has its own BatchNorm statistics.
        bn: "frozen" (batch statistics taken as constants), "batch" (differentiated through, as TE-NAS; one backward
            pass a sample) or "running" (running statistics; meaningless before training).
        output: contraction over the outputs, see above.
        biases: count parameters named "…bias" too.
        parameters: predicate on the parameter name, or a regular expression searched in it; None counts all. Parameters
            with requires_grad=False are constants and never count.
        method: "auto" takes one backward pass with per-layer Grams where that is exact ("layers": convolution, linear,
            normalisation and parameter-free layers), otherwise torch.func sample by sample ("functional"), or one
            backward pass a sample if samples are coupled ("coupled"; bn="batch" always). A `SlowerKernel` warning says
            when and why. Naming one insists on it.

    Returns:
        float64 tensor on the device of x; symmetric positive semi-definite up to rounding if x2 is None. No counted
        parameter, or an output that depends on none, gives zeros. Units: output² / parameter².

    Raises:
        InputError: for an unknown choice, an empty or non-finite batch, a module that does not map (n, …) to (n, C) or
            cannot be watched (torch.jit), or a method that does not apply.

    Source: Jacot, Gabriel & Hongler 2018 (NTK); Chen, Gong & Wang 2021 (TE-NAS; sum of logits, no biases).
    """
    kernel, how = measured_kernel(net, x, x2, bn=bn, output=output, biases=biases, parameters=parameters, method=method)
    if method == "auto" and " (" in how:
        message = f"tangent kernel of {type(net).__name__} by a slower exact way: {how}"
        warnings.warn(message, SlowerKernel, stacklevel=2)
    return kernel


def measured_kernel(
    net: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    bn: BnMode = "frozen",
    output: Output = "sum",
    biases: bool = False,
    parameters: ParameterFilter = None,
    method: Method = "auto",
    refused: str = "",
) -> tuple[Tensor, str]:
    """`empirical_ntk`, and how it came about: a method, with the reason in brackets where it is a makeshift.

    `refused`: why a pass over this module is known not to do for the layer-wise kernel, if it is.
    """
    check_choice("bn", bn, BN_MODES)
    check_choice("output", output, OUTPUTS)
    check_flag("biases", biases)
    check_choice("method", method, METHODS)
    if bn == "batch" and method in ("layers", "functional"):
        raise InputError(f"method={method!r} does not apply to bn='batch', which couples samples; use method='auto'")
    check_module(net)
    check_input(x)
    if x2 is not None:
        check_input(x2, "x2")
        check_alike(x, x2)
    batches = [channels_last(batch.detach()) for batch in ([x] if x2 is None else [x, x2])]
    with untouched(net):
        selected = select_parameters(net, biases, parameters)
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        how: str = "coupled" if bn == "batch" else f"functional ({refused})" if refused else method
        if how in ("auto", "layers"):
            try:
                return layer_kernel(net, batches, selected, bn, output), "layers"
            except Unsupported as reason:
                if how == "layers":
                    raise InputError(f"method='layers' does not apply: {reason}; use method='auto'") from None
                how = f"functional ({reason})"
        observed = [observe(net, batch, bn) for batch in batches]
        seeds = _seeds(observed[0].outputs, output)
        kernel = None
        if how.startswith("functional"):
            try:
                kernel = independent_kernel(net, observed, selected, seeds)
            except (Mixing, Unsupported) as reason:
                if method == "functional":
                    message = f"method='functional' does not apply, samples are not independent: {reason}"
                    raise InputError(f"{message}; use method='auto'") from None
                how = f"coupled ({reason})"
        if kernel is None:
            kernel = coupled_kernel(net, batches, selected, bn, seeds)
    return _contract(kernel.detach(), output, len(batches[0]), len(batches[-1])), how


def check_alike(x: Tensor, x2: Tensor) -> None:
    """Raise InputError unless the two batches differ in the number of samples alone."""
    for what, a, b in (
        ("shape", tuple(x.shape[1:]), tuple(x2.shape[1:])),
        ("dtype", x.dtype, x2.dtype),
        ("device", x.device, x2.device),
    ):
        if a != b:
            raise InputError(f"x2 must have the samples' {what} of x, {a}, got {b}")


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
    try:
        with Instrument(bn, sizes, gradients=gradients):
            out = call(net, channels_last(x))
    except InputError as error:
        raise Unsupported(f"a batch of {len(x)} samples is refused") from error
    gradients.backward(out, torch.eye(classes, dtype=out.dtype, device=out.device).repeat(len(x) // classes, 1))
    return gradients.kernel


def _seeds(outputs: Tensor, output: Output) -> Tensor:
    """Directions (s, C) in output space along which gradients are taken."""
    rows = outputs.new_ones(1, outputs.shape[1])
    return rows if output == "sum" else torch.diag(rows[0])


def _contract(kernel: Tensor, output: Output, n: int, m: int) -> Tensor:
    if output != "trace":
        return kernel
    return kernel.view(n, kernel.shape[0] // n, m, kernel.shape[1] // m).diagonal(dim1=1, dim2=3).sum(-1)
