"""Everything that the study measures of one network at initialisation, or with any weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.graphs.code import LINEAR, code_graph
from automl_theory.linalg import Spectrum, spectrum
from automl_theory.networks.mlp import MlpDagNetwork
from automl_theory.networks.mlp_stack import READOUT, STEM, MlpStack, edge_name
from automl_theory.probing.curves import equidistant, random_basis, unit_circle
from automl_theory.probing.stack_curves import StackCurves, trace, turning
from automl_theory.probing.stack_kernels import StackKernels, stack_kernels
from automl_theory.spaces.mlp_dag_classes import live_part, units
from automl_theory.studies.no_free_lunch.measure import TURNING_POINTS


@dataclass(frozen=True, eq=False)
class NetworkMeasures:
    """Kernels, spectra and curve of one MLP cell on given inputs.

    paths, depth          P, the number of input-output paths, and Σ_p d_p / P, their mean number of linear edges
    linear_edges          those of the code, and live_linear_edges, those on some path
    logits                (n, classes)
    features              X_H, (n, m): what the readout reads
    nngp                  spectrum of X_H X_Hᵀ, not divided by the width
    ntk, cell_ntk         spectra of the NTK of the summed logits, with and without the stem's weights; both also with
                          eigenvalues (ascending), λ_min, condition number, `cumulative_trace_eigenvalue()`, the 90 %
                          eigenvalue that the paper plots as λ_min
    stem_share            share of the stem in the NTK's trace; NaN for a disconnected cell
    curve_speed           |J| at each angle, (angles,); its mean is the authors' length
    curve_curvature       κ at each angle, (angles,), NaN where J = 0; its sum is what the authors plot
    turning_angle         of the closed curve at 2048 points, radians
    """

    paths: int
    depth: float
    linear_edges: int
    live_linear_edges: int
    logits: NDArray[np.float64]
    features: NDArray[np.float64]
    nngp: Spectrum
    ntk: Spectrum
    cell_ntk: Spectrum
    stem_share: float
    curve_speed: NDArray[np.float64]
    curve_curvature: NDArray[np.float64]
    turning_angle: float


def network_measures(
    net: MlpDagNetwork, x: Any, *, basis: ArrayLike | None = None, angles: ArrayLike | None = None
) -> NetworkMeasures:
    """Measure an MLP cell of any number of nodes with the weights it has, in float64.

    Args:
        net: without biases; `at.space("mlp_dag").build(code)`, or of another number of nodes, or with other weights.
        x: inputs (n, …) as they are (the paper divides each by its norm), then scaled as the network's `scale` says.
        basis: (d, 2) orthonormal directions of the unit circle; by default drawn from PCG64(0).
        angles: of its points; by default 128 equidistant ones in [0, 2π).

    The circle has radius 1, as the authors' code; κ and 1/|J| of radius r are 1/r times as large.

    With other weights, such as float64 ones keyed by name, and 64 points of which the last is the first again, as the
    authors have them::

        net = at.space("mlp_dag").build("2_02_002", width=64, in_channels=192, resolution=1).double()
        with torch.no_grad():
            for name, weight in net.named_parameters():
                normal = automl_theory.networks.initialise.generator(name, 2023).standard_normal(tuple(weight.shape))
                weight.copy_(torch.from_numpy(normal * (2 / weight.shape[1]) ** 0.5))
        found = at.network_measures(net, x, basis=basis, angles=np.linspace(0, 2 * np.pi, 64))
        found.nngp.eigenvalues, found.ntk.eigenvalues, found.ntk.cumulative_trace_eigenvalue()
        found.curve_speed.mean(), found.curve_curvature.sum()

    Errors: InputError for a network with biases, inputs or a basis of another size.
    """
    stack = stack_of(net)
    flat = _inputs(net, x)
    u = random_basis(net.in_features, 0) if basis is None else torch.as_tensor(np.asarray(basis, dtype=np.float64))
    if u.shape != (net.in_features, 2):
        raise InputError(f"expected a basis of shape ({net.in_features}, 2), got {tuple(u.shape)}; give two directions")
    t = equidistant(128) if angles is None else torch.as_tensor(np.asarray(angles, dtype=np.float64))
    kernels: StackKernels = stack_kernels(stack, flat)
    curve: StackCurves = trace(stack, *_scaled(net, *unit_circle(u, t)))
    with torch.no_grad():
        last = stack.read(-1, stack.units(flat))
        logits = last @ stack.readout.mT
    total = float(kernels.ntk[0].trace())
    depths = code_graph(net.operations).depth_histogram()
    paths = sum(depths.values())
    return NetworkMeasures(
        paths=paths,
        depth=sum(d * count for d, count in depths.items()) / paths if paths else float("nan"),
        linear_edges=sum(row.count(LINEAR) for row in net.operations),
        live_linear_edges=len(stack.weights) - 1,
        logits=logits[0].numpy(),
        features=last[0].numpy(),
        nngp=spectrum((last[0] @ last[0].T).numpy()),
        ntk=spectrum(kernels.ntk[0].numpy()),
        cell_ntk=spectrum(kernels.cell[0].numpy()),
        stem_share=float(kernels.stem[0].trace()) / total if total else float("nan"),
        curve_speed=curve.velocity[0].norm(dim=-1).numpy(),
        curve_curvature=curve.curvature[0].numpy(),
        turning_angle=float(turning(stack, unit_circle(u, equidistant(TURNING_POINTS))[0])[0]),
    )


def stack_of(net: MlpDagNetwork) -> MlpStack:
    """The network as a stack of one, in float64: its live part, with its own weights.

    Errors: InputError for something else than an MLP cell, or one with biases.
    """
    if not isinstance(net, MlpDagNetwork):
        raise InputError(f"expected an MLP cell, got {type(net).__name__}; build one with at.space('mlp_dag').build")
    weights = {name: parameter.detach().double() for name, parameter in net.named_parameters()}
    if any(name.endswith("bias") for name in weights):
        raise InputError("the network has biases, its kernels and curves here have none; build it with bias=False")
    edges, reads = units(live_part(net.operations))
    names = [STEM, *map(edge_name, edges)]
    return MlpStack(reads, tuple(weights[name][None] for name in names), weights[READOUT][None])


def _inputs(net: MlpDagNetwork, x: Any) -> Tensor:
    values = torch.as_tensor(np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=np.float64))
    if values.ndim < 2 or not len(values) or values[0].numel() != net.in_features:
        raise InputError(
            f"expected inputs (n, ...) of {net.in_features} numbers each, got {tuple(values.shape)}; resize them"
        )
    return _scaled(net, values.flatten(1))[0]


def _scaled(net: MlpDagNetwork, x: Tensor, *along: Tensor) -> tuple[Tensor, ...]:
    """Inputs as the network scales them; what moves along a circle about 0 is scaled alike."""
    if net.scale == "none":
        return (x, *along)
    norm = x.norm(dim=1, keepdim=True).clamp_min(1e-12)
    to = net.in_features**0.5 if net.scale == "dimension" else 1.0
    return tuple(part / norm * to for part in (x, *along))
