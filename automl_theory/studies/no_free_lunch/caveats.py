"""Three warnings about the paper's theory panel, with numbers: what its quantities are made of.

curvature   κ of a ReLU network is an inverse output scale: a readout 3 times as large divides it by 3, and leaving all
            ReLUs out changes it by little more than the scale they take away. The total turning angle has no scale.
stem        With inputs of many numbers the stem has most of the NTK: the trace of its part is to that of the others as
            d is to the width. What is left is the squared Jacobian of the cell, the inverse of κ: the two conflict
            partly by construction.
condition   λ_min and the condition number of one and the same kernel prefer opposite widths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from automl_theory.analysis.rank_correlation import correlations
from automl_theory.infinite_width import dag_kernels
from automl_theory.networks.mlp_stack import Matrix, MlpStack
from automl_theory.probing.curves import random_basis
from automl_theory.probing.stack_curves import in_plane, trace, turning
from automl_theory.probing.stack_kernels import stack_kernels
from automl_theory.spaces.mlp_dag_stacks import groups, stack
from automl_theory.studies.no_free_lunch.measure import TURNING_POINTS, circle, graph

NAMED = ("2_02_002", "1_11_121", "2_22_222")
READOUT_FACTOR = 3.0
IMAGE, PAPER_WIDTH = 64 * 64 * 3, 256

Row = tuple[str, str, float, float]
NAN = float("nan")


def warnings_measured(
    codes: Sequence[str],
    measured: pd.DataFrame,
    exact: pd.DataFrame,
    *,
    dimension: int,
    width: int,
    seeds: Sequence[int],
    points: int = 128,
) -> pd.DataFrame:
    """Put numbers on the three warnings: columns `warning`, `quantity` in words, `value`, `expected`.

    Args:
        codes: the cells of the tables `measured` and `exact` (see `studies.no_free_lunch.measure`).
        dimension, width, seeds, points: those of `measured`. For the first warning the chain, the wide cell and the
            full one are drawn again under `seeds`; for the second, those and five more of `codes` on images of 64×64
            colours at the paper's width.

    `expected` is what the mathematics says (exactly for the scale, in the mean over wide networks elsewhere), or NaN
    where nothing follows from it. τ is Kendall's τ-b over architectures, of means over seeds; "group means" are over
    cells of equal depth and paths.
    """
    rows = [
        *_curvature(dimension, width, seeds, points),
        *_stem(codes, measured, dimension, width),
        *_condition(measured, exact, graph(codes)),
    ]
    return pd.DataFrame(rows, columns=["warning", "quantity", "value", "expected"])


def _curvature(dimension: int, width: int, seeds: Sequence[int], points: int) -> Iterator[Row]:
    shrunk, turned = [], []
    for code in NAMED:
        nets = _nets(code, seeds, dimension, width)
        larger = replace(nets, readout=nets.readout * READOUT_FACTOR)
        with_relu, without, tripled, before, after = [], [], [], [], []
        for k, seed in enumerate(seeds):
            basis = random_basis(dimension, seed)
            net, scaled = (in_plane(_one(many, k), basis) for many in (nets, larger))
            with_relu.append(trace(net, *circle(points)).mean_curvature[0])
            without.append(trace(net, *circle(points), relu=False).mean_curvature[0])
            tripled.append(trace(scaled, *circle(points)).mean_curvature[0])
            before.append(turning(net, circle(TURNING_POINTS)[0])[0])
            after.append(turning(scaled, circle(TURNING_POINTS)[0])[0])
        shrunk.append(np.array(with_relu) / np.array(tripled))
        turned.append(np.abs(np.array(after) / np.array(before) - 1))
        factor = float(np.sqrt(_slope(nets.reads, 2.0) / _slope(nets.reads, 1.0)))
        yield "curvature", f"mean κ of {code}", float(np.mean(with_relu)), NAN
        yield "curvature", f"mean κ of {code} without any ReLU", float(np.mean(without)), NAN
        yield "curvature", f"their ratio in {code}", float(np.mean(with_relu) / np.mean(without)), factor
    yield "curvature", "κ divided by κ with the readout times 3", float(np.mean(shrunk)), READOUT_FACTOR
    yield "curvature", "largest relative change of the turning angle with it", float(np.max(turned)), 0.0


def _stem(codes: Sequence[str], measured: pd.DataFrame, dimension: int, width: int) -> Iterator[Row]:
    closed = _closed_stem_share(codes, IMAGE, PAPER_WIDTH)
    text = f"stem's share of the NTK's trace at d = {IMAGE}, width {PAPER_WIDTH}"
    yield "stem", f"{text}: closed form, mean", float(closed.mean()), NAN
    yield "stem", f"{text}: closed form, least", float(closed.min()), NAN
    yield "stem", f"{text}: closed form, most", float(closed.max()), NAN
    few = [*NAMED, *list(codes)[:: max(1, len(codes) // 5)][:5]]
    drawn = float(np.mean([_stem_share(code) for code in few]))
    limit = float(_closed_stem_share(few, IMAGE, PAPER_WIDTH).mean())
    yield "stem", f"{text}: measured, mean of {len(few)} cells", drawn, limit
    share, limit = float(measured["stem_share"].mean()), float(_closed_stem_share(codes, dimension, width).mean())
    yield "stem", f"its share in this study (d = {dimension}, width {width}): measured, mean", share, limit
    mean = measured.groupby("arch")[["curvature", "curve_length", "ntk_lambda_90"]].mean()
    yield "stem", "τ of κ and curve length", _tau(mean["curvature"], mean["curve_length"]), NAN
    yield "stem", "τ of κ and the NTK's 90 % eigenvalue", _tau(mean["curvature"], mean["ntk_lambda_90"]), NAN


def _condition(measured: pd.DataFrame, exact: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Row]:
    cells = cells.set_index("arch")
    for source, table in (("measured", measured), ("exact", exact)):
        names = [f"{kernel}_{value}" for kernel in ("nngp", "ntk") for value in ("lambda_min", "condition_number")]
        mean = table.groupby("arch")[names].mean()
        joined = mean.join(cells[["depth", "paths"]])
        grouped = joined.groupby(["depth", "paths"]).mean().reset_index()
        for name in names:
            kernel = "NNGP" if name.startswith("nngp") else "NTK" if source == "measured" else "NTK without stem"
            words = f"{kernel} {'λ_min' if name.endswith('min') else 'condition number'}, {source}"
            yield "condition", f"τ of paths and {words}", _tau(joined["paths"], joined[name]), NAN
            yield "condition", f"τ of paths and {words}, group means", _tau(grouped["paths"], grouped[name]), NAN


def _nets(code: str, seeds: Sequence[int], dimension: int, width: int) -> MlpStack:
    (group,) = groups([code])
    return stack(group, [(code, seed) for seed in seeds], dimension, width, dtype=torch.float64)


def _one(nets: MlpStack, k: int) -> MlpStack:
    return nets.with_parameters([weight[k : k + 1] for weight in nets.parameters])


def _slope(reads: Matrix | Sequence[Sequence[int]], gain: float) -> float:
    """E|J|² at the last node in units of the input's: each layer multiplies by gain, 1 with ReLU and 2 without."""
    values: list[float] = [gain]
    for row in reads[1:-1]:
        values.append(gain * sum(count**2 * value for count, value in zip(row, values, strict=False)))
    return sum(count**2 * value for count, value in zip(reads[-1], values, strict=False))


def _closed_stem_share(codes: Sequence[str], dimension: int, width: int) -> Any:
    """The same for every input: the diagonal of all parts scales with |x|²."""
    kernels = dag_kernels(list(codes), np.ones((1, dimension)))
    return (kernels.stem / kernels.at_width(width))[:, 0, 0]


def _stem_share(code: str) -> float:
    x = np.random.Generator(np.random.PCG64(0)).standard_normal((4, IMAGE))
    kernels = stack_kernels(
        _nets(code, (0,), IMAGE, PAPER_WIDTH), torch.from_numpy(x / np.linalg.norm(x, axis=1, keepdims=True))
    )
    return float(kernels.stem[0].trace() / kernels.ntk[0].trace())


def _tau(a: pd.Series, b: pd.Series) -> float:
    known = a.notna() & b.notna()
    return float(correlations(a[known].to_numpy(dtype=float), b[known].to_numpy(dtype=float))[0][0])
