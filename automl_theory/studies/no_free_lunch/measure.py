"""The study's tables of architectures: finite networks at initialisation, closed forms, graphs.

`measured` takes networks of a finite width and their seeds, `exact` the limit of infinite width. Inputs are divided by
their norm for `measured`, as the paper measures, and scaled to |x|² = d for `exact`, as its theorems have it. All
kernels scale with |x|²: NNGP values of `exact` are d times those of wide networks in `measured`, and the NTK with the
stem d/C times (C classes, since the measured kernel is that of their sum). Ranks do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from automl_theory.counts import whole
from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.graphs.code import LINEAR, code_graph, parse_code
from automl_theory.infinite_width import dag_kernels, nngp_bound, ntk_bound, pair_bound, risk_term, stem_kernel
from automl_theory.linalg import spectrum
from automl_theory.networks.mlp_stack import Matrix, MlpStack, draw_stack
from automl_theory.probing.curves import equidistant, random_basis, unit_circle
from automl_theory.probing.stack_curves import in_plane, trace, turning
from automl_theory.probing.stack_kernels import stack_kernels
from automl_theory.scoring.executors import run_tasks
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.mlp_dag_stacks import Edge, groups

Array = NDArray[np.float64]
Progress = Callable[[int, int, int], object]

MEASURED = (
    "curvature", "curve_length", "turning_angle", "nngp_lambda_min", "nngp_lambda_90", "nngp_condition_number",
    "ntk_lambda_min", "ntk_lambda_90", "ntk_condition_number", "ntk_trace", "cell_ntk_lambda_min", "stem_share",
    "status",
)  # fmt: skip
TURNING_POINTS = 2048


@dataclass(frozen=True)
class _Task:
    """One network (what its units read, its linear edges in their order) under several seeds."""

    reads: Matrix
    edges: tuple[Edge, ...]
    seeds: tuple[int, ...]
    x: Array
    width: int
    classes: int
    points: int


def measured(
    codes: Sequence[str],
    x: Any,
    *,
    seeds: Sequence[int],
    width: int,
    points: int = 128,
    classes: int = 10,
    workers: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure networks of `width` at He initialisation, without biases: a row for each code and seed, in that order.

    Columns, on inputs x (n, …) divided by their norm:

    curvature, curve_length   mean κ and ∫|J| dt of the logits on the unit circle, `points` equidistant angles, in the
                              plane drawn by the network's seed; κ is an inverse output scale, see `caveats`
    turning_angle             of its polygon of 2048 points, radians; free of scale. The curve has about two kinks a
                              unit, so a polygon of more points turns more; ranks hardly change (τ = 0.96 between 2048
                              and 8192 points at width 128, τ with depth 0.82 and 0.81)
    nngp_*                    of X_H X_Hᵀ / m, the Gram of the last node's features a neuron
    ntk_*                     of the NTK of the summed logits, all weights
    cell_ntk_lambda_min       the same without the stem's weights
    stem_share                the stem's share of the NTK's trace
    *_lambda_90               the eigenvalue at 90 % of the cumulative trace, which the paper plots as λ_min
    status                    "ok", or why a λ_min is 0: "rank_deficient" (more inputs than neurons, repeated inputs)

    Weights are keyed by name and seed as everywhere, drawn in float32, computed with in float64. Dead edges do not
    count, and the 541 live codes are 221 different networks: each is measured once. Values do not depend on `workers`
    (1 or less: in this process). `progress(finished, total, failed)` is called after each network.

    Errors: InputError for a bad or disconnected code, bad inputs, or a setting below 1 (fewer than 3 points).
    """
    for name, value, least in (("width", width, 1), ("points", points, 3), ("classes", classes, 1)):
        whole(name, value, least)
    unit, chosen = _unit(x), tuple(int(seed) for seed in seeds)
    if unit.shape[1] < 2:
        raise InputError("a circle needs inputs of at least two numbers; give larger inputs")
    place: dict[str, int] = {}
    first: dict[tuple[Matrix, tuple[Edge, ...]], int] = {}
    for group in groups(codes):
        for code, edges in zip(group.codes, group.edges, strict=True):
            place[code] = first.setdefault((group.reads, edges), len(first))
    tasks = [_Task(reads, edges, chosen, unit, int(width), int(classes), int(points)) for reads, edges in first]
    rows: dict[int, list[dict[str, Any]]] = {}
    for outcome in run_tasks(_measure, enumerate(tasks), workers=workers if workers > 1 else 0):
        if outcome.error is not None:
            raise AutoMLTheoryError(f"measuring {outcome.task[1].edges} failed: {outcome.error}")
        number, found = outcome.result
        rows[number] = found
        if progress is not None:
            progress(len(rows), len(tasks), 0)
    lines = [
        {"arch": code, "seed": seed, **row}
        for code in codes
        for seed, row in zip(chosen, rows[place[code]], strict=True)
    ]
    return pd.DataFrame(lines, columns=["arch", "seed", *MEASURED])


def _measure(numbered: tuple[int, _Task]) -> tuple[int, list[dict[str, Any]]]:
    number, task = numbered
    members = [(task.edges, seed) for seed in task.seeds]
    stack = draw_stack(task.reads, members, task.x.shape[1], task.width, task.classes, dtype=torch.float64)
    kernels = stack_kernels(stack, torch.from_numpy(task.x))
    curve = [_curve(stack, k, seed, task.points) for k, seed in enumerate(task.seeds)]
    return number, [
        {**curve[k], **_spectra(*(part[k].numpy() for part in (kernels.nngp, kernels.ntk, kernels.cell)))}
        | {"stem_share": float(kernels.stem[k].trace() / kernels.ntk[k].trace())}
        for k in range(len(task.seeds))
    ]


def _curve(stack: MlpStack, member: int, seed: int, points: int) -> dict[str, float]:
    """Curvature, length and turning angle of one member, on the circle of its seed."""
    one = stack.with_parameters([weight[member : member + 1] for weight in stack.parameters])
    plane = in_plane(one, random_basis(stack.weights[0].shape[-1], seed))
    curve = trace(plane, *circle(points))
    return {
        "curvature": float(curve.mean_curvature[0]),
        "curve_length": float(curve.length[0]),
        "turning_angle": float(turning(plane, circle(TURNING_POINTS)[0])[0]),
    }


def circle(points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Equidistant points of the unit circle in the plane and their velocities, each (points, 2)."""
    return unit_circle(torch.eye(2, dtype=torch.float64), equidistant(points))


def _spectra(nngp: Array, ntk: Array, cell: Array) -> dict[str, Any]:
    features, tangent, inner = spectrum(nngp), spectrum(ntk), spectrum(cell)
    statuses = [s.status for s in (features, tangent, inner) if s.status != "ok"]
    return {
        "nngp_lambda_min": features.lambda_min,
        "nngp_lambda_90": features.cumulative_trace_eigenvalue(),
        "nngp_condition_number": features.condition_number,
        "ntk_lambda_min": tangent.lambda_min,
        "ntk_lambda_90": tangent.cumulative_trace_eigenvalue(),
        "ntk_condition_number": tangent.condition_number,
        "ntk_trace": float(np.trace(ntk)),
        "cell_ntk_lambda_min": inner.lambda_min,
        "status": statuses[0] if statuses else "ok",
    }


def exact(codes: Sequence[str], x: Any, *, width: int, y: Any = None) -> pd.DataFrame:
    """Closed forms of cells on inputs x (n, …) scaled to |x|² = d: a row for each code.

    nngp_lambda_min, nngp_condition_number    of the exact NNGP of one neuron
    ntk_lambda_min, ntk_condition_number      of the exact NTK of one logit divided by the width, without the stem
    full_ntk_lambda_min, stem_share           of the NTK of one logit at `width`, stem included
    nngp_bound, ntk_bound                     Theorems 4.4 and 4.6: heuristics, not bounds, see `infinite_width.bounds`
    pair_bound                                what does bound λ_min of the exact NNGP: its 2×2 minors
    risk_term                                 Theorem 4.5's, for one-hot labels y (n,) and the NTK without the stem; NaN
                                              without labels
    status                                    "ok", or "rank_deficient" where a λ_min is 0

    Codes of one class have one row of values. 541 codes on 128 inputs take about a second.
    Errors: InputError for a bad or disconnected code, bad inputs or labels, or a width below 1.
    """
    whole("width", width)
    unit = _unit(x)
    flat = unit * np.sqrt(unit.shape[1])
    targets = None if y is None else _one_hot(y, len(flat))
    k0 = stem_kernel(flat)
    rows: dict[str, dict[str, Any]] = {}
    for group in groups(codes):
        code = group.codes[0]
        kernels = dag_kernels(code, flat)
        nngp, ntk, full = (spectrum(k) for k in (kernels.nngp, kernels.ntk, kernels.at_width(int(width))))
        statuses = [s.status for s in (nngp, ntk, full) if s.status != "ok"]
        row = {
            "nngp_lambda_min": nngp.lambda_min,
            "nngp_condition_number": nngp.condition_number,
            "ntk_lambda_min": ntk.lambda_min,
            "ntk_condition_number": ntk.condition_number,
            "full_ntk_lambda_min": full.lambda_min,
            "stem_share": float(np.trace(kernels.stem) / np.trace(kernels.at_width(int(width)))),
            "nngp_bound": nngp_bound(code, k0),
            "ntk_bound": ntk_bound(code, k0),
            "pair_bound": pair_bound(kernels.nngp),
            "risk_term": float("nan") if targets is None else risk_term(code, kernels.ntk, targets),
            "status": statuses[0] if statuses else "ok",
        }
        rows.update(dict.fromkeys(group.codes, row))
    return pd.DataFrame([{"arch": code, **rows[code]} for code in codes])


def graph(codes: Iterable[str]) -> pd.DataFrame:
    """Count paths and edges of cells of one number of nodes: a row for each code.

    canonical            the code that represents the class: codes of one class are one function
    depth, paths         Σ_p d_p / P and P, the paper's two coordinates
    total_depth          Σ_p d_p
    linear_edges         of the code, dead ones too: the paper's budget
    live_linear_edges    those on some path
    group                label of (depth, paths): the paper's τ are over the means of these 23 groups

    Errors: InputError for a bad or disconnected code.
    """
    lines = []
    for code in codes:
        operations = parse_code(code)
        histogram = code_graph(operations).depth_histogram()
        if not histogram:
            raise InputError(f"{code!r} is disconnected: no path leads from input to output; leave it out")
        paths, total = sum(histogram.values()), sum(d * count for d, count in histogram.items())
        lines.append(
            {
                "arch": code,
                "canonical": MlpDag(len(operations)).canonical(code),
                "depth": total / paths,
                "paths": paths,
                "total_depth": total,
                "linear_edges": sum(row.count(LINEAR) for row in operations),
                "live_linear_edges": sum(weight for _, _, weight in code_graph(operations).live()),
                "group": f"({total / paths:.3g}, {paths})",
            }
        )
    return pd.DataFrame(lines)


def _unit(x: Any) -> Array:
    """Inputs (n, d), each divided by its norm."""
    values = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=np.float64)
    if values.ndim < 2 or len(values) < 2:
        raise InputError(f"expected inputs of shape (n, ...) with n of at least 2, got {values.shape}; stack them")
    flat = values.reshape(len(values), -1)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    if not np.isfinite(norm).all() or not norm.all():
        raise InputError("inputs hold NaN, infinity or an input of norm 0, which has no direction; leave those out")
    return np.asarray(flat / norm)


def _one_hot(y: Any, n: int) -> Array:
    labels = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if labels.shape != (n,):
        raise InputError(f"expected labels y of shape ({n},), got {labels.shape}; give each input its class")
    return np.asarray(labels[:, None] == np.unique(labels)[None, :], dtype=np.float64)
