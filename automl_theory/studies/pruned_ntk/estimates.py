"""What is estimated from the draws, with intervals, and the verdict on each statement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.infinite_width.pruned_mlp import pruning_factor
from automl_theory.studies.pruned_ntk.setup import Setup
from automl_theory.studies.pruned_ntk.statistics import (
    LEVEL,
    RESAMPLES,
    Floats,
    interval,
    line,
    r_squared,
    resampled,
    verdict_of,
)

TOLERANCE = {"mean": 0.1, "power": 0.1, "identity": 1e-3, "diagonal": 0.03, "width": 0.25, "flat": 0.25}
"""A quarter of a power: nearer to the predicted one than to half a power off."""
LEAST_R2 = 0.95
LEAST_READ = 64
"""The least α d for the laws of the variance."""


def cell_table(draws: pd.DataFrame, setup: Setup, theta: float) -> pd.DataFrame:
    """Means, variances and deviations of every pair (α, d) with their standard errors: `cells` of `Study`."""
    rows = []
    for keep, width, part in _pairs(draws):
        n = len(part)
        off = part["rescaled"].to_numpy() - theta
        centred = part["rescaled"].to_numpy() - part["rescaled"].mean()
        variance = float(centred @ centred / (n - 1))
        ratios = {
            "ratio": part["raw"] / (pruning_factor(setup.depth, keep) * theta),
            "rescaled_ratio": part["rescaled"] / theta,
            "diagonal_ratio": part["diagonal"] / (setup.depth + 1),
            "deviation": pd.Series(np.abs(off)),
        }
        row: dict[str, float] = {"keep": keep, "width": width, "seed": part["seed"].iloc[0], "n": n}
        for name, values in ratios.items():
            row |= {name: float(values.mean()), f"{name}_se": float(values.std(ddof=1)) / math.sqrt(n)}
        # The variance of a sample variance: (μ4 - σ⁴ (n - 3)/(n - 1))/n.
        spread = max(0.0, float((centred**4).mean()) - variance**2 * (n - 3) / (n - 1))
        rows.append(row | {"variance": variance, "variance_se": math.sqrt(spread / n)})
    return pd.DataFrame(rows)


def estimates(draws: pd.DataFrame, setup: Setup, theta: float) -> pd.DataFrame:
    """Everything that is estimated, with intervals and verdicts: `estimates` of `Study`."""
    return pd.DataFrame(
        list(_estimates(draws, setup, theta)),
        columns=["statement", "quantity", "keep", "width", "predicted", "value", "low", "high", "tolerance", "verdict"],
    )


def statement_table(table: pd.DataFrame) -> pd.DataFrame:
    """One verdict a statement: it agrees if all its estimates do, and differs if one does."""
    rows = []
    for statement, part in table[table["verdict"] != ""].groupby("statement", sort=False):
        found = set(part["verdict"])
        verdict = "differ" if "differ" in found else "cannot tell" if "cannot tell" in found else "agree"
        rows.append((statement, verdict, len(part)))
    return pd.DataFrame(rows, columns=["statement", "verdict", "estimates"])


def _estimates(draws: pd.DataFrame, setup: Setup, theta: float) -> Iterator[tuple[Any, ...]]:
    keeps, widths = np.array(sorted(setup.keeps, reverse=True), dtype=np.float64), np.array(sorted(setup.widths))
    samples = {(keep, width): resampled(part, theta) for keep, width, part in _pairs(draws)}
    # Each (1 + resamples, α, d), the sample itself first.
    names = ("raw", "rescaled", "diagonal", "variance", "deviation")
    grid = {
        name: np.stack([np.stack([samples[a, int(d)][name] for d in widths], -1) for a in keeps], -2) for name in names
    }
    powers = np.array([pruning_factor(setup.depth, float(a)) for a in keeps])

    for statement, name, scale in (("factor", "raw", powers), ("rescaling", "rescaled", np.ones_like(powers))):
        text = "mean Θ̃/(α^L Θ)" if statement == "factor" else "mean Θ̃/Θ"
        ratios = grid[name][..., -1] / (theta * scale)
        for number, keep in enumerate(keeps):
            yield _row(
                statement, text, ratios[:, number], 1.0, TOLERANCE["mean"],
                keep=keep, width=widths[-1], level=1 - (1 - LEVEL) / len(keeps),
            )  # fmt: skip
    # Resamples of a sum that reaches below 0 have no logarithm: NaN, and cannot tell.
    with np.errstate(invalid="ignore", divide="ignore"):
        exponent = line(np.log(keeps), np.log(grid["raw"][..., -1]))[0]
    yield _row("factor", "exponent of α", exponent, float(setup.depth), TOLERANCE["power"], width=widths[-1])
    scale = np.array([pruning_factor(setup.depth, float(a)) for a in draws["keep"]])
    largest = np.abs(draws["raw"].to_numpy() / scale - draws["rescaled"].to_numpy()).max() / theta
    text = "largest difference of Θ̃ and α^(-L) times that without, divided by Θ"
    yield _row("rescaling", text, np.array([largest]), 0.0, TOLERANCE["identity"])

    precision = 1 / grid["diagonal"][1:].var(0)
    diagonal = (grid["diagonal"] * precision).sum((1, 2)) / precision.sum() / (setup.depth + 1)
    yield _row("diagonal", "mean Θ̃(x, x)/(L + 1), all pairs", diagonal, 1.0, TOLERANCE["diagonal"])

    enough = keeps[:, None] * widths >= LEAST_READ
    some_widths = enough.any(1)
    over = 1 / keeps[some_widths]
    # A mean over the widths that count, for each α that has one.
    counted = (grid["variance"] * widths * enough).sum(-1)[:, some_widths]
    law = counted / enough.sum(1)[some_widths]
    missing = np.full(1 + RESAMPLES, np.nan)
    slope, intercept = line(over, law) if len(over) > 1 else (missing, missing)
    square = r_squared(over, law) if len(over) > 2 else missing
    yield _row("variance", "B, slope of d var in 1/α", slope, 0.0, 0.0, most=math.inf)
    yield _row("variance", "A, its intercept", intercept)
    yield _row("variance", "its R²", square, LEAST_R2, 0.0, most=1.0)

    falls = [
        (keep, np.log(widths[some]), np.log(grid["variance"][:, k, some]))
        for k, (keep, some) in enumerate(zip(keeps, enough, strict=True))
        if some.sum() > 1
    ]
    for keep, x, y in falls:
        yield _row("width", "slope of log var in log d", line(x, y)[0], keep=keep)
    share = np.array([((x - x.mean()) ** 2).sum() for _, x, _ in falls])
    slopes = sum((part * line(x, y)[0] for part, (_, x, y) in zip(share, falls, strict=True)), np.zeros(1 + RESAMPLES))
    common = slopes / share.sum() if falls else missing
    yield _row("width", "slope of log var in log d, common to all α", common, -1.0, TOLERANCE["width"])

    cells = setup.proportional()
    deviations = np.log(np.stack([samples[float(keep), width]["deviation"] for keep, width in cells], -1))
    text = "slope of log mean |Θ̃ - Θ| in log 1/α"
    proportional = line(-np.log([keep for keep, _ in cells]), deviations)[0]
    yield _row("flat", f"{text}, d ∝ 1/α", proportional, 0.0, TOLERANCE["flat"])
    fixed = line(-np.log(keeps), np.log(grid["deviation"][..., -1]))[0]
    yield _row("flat", f"{text}, d fixed", fixed, width=widths[-1])


def _row(
    statement: str, quantity: str, values: Floats, predicted: float = math.nan, tolerance: float = math.nan, *,
    keep: float = math.nan, width: float = math.nan, level: float = LEVEL, most: float | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """A row of `estimates`; with `most` the estimate has to lie in [predicted, most]."""
    low, high = interval(values, level)
    verdict = ""
    if not math.isnan(predicted):
        verdict = verdict_of(low, high, predicted - tolerance, predicted + tolerance if most is None else most)
    return statement, quantity, keep, width, predicted, float(values[0]), low, high, tolerance, verdict


def _pairs(draws: pd.DataFrame) -> Iterator[tuple[float, int, pd.DataFrame]]:
    """Each pair (α, d) of the table `draws` with its rows."""
    for (keep, width), part in draws.groupby(["keep", "width"]):
        yield float(str(keep)), int(str(width)), part
