"""Yang & Wang, "On the Neural Tangent Kernel Analysis of Randomly Pruned Neural Networks" (AISTATS 2023), tested.

    study = pruned_ntk.run(pruned_ntk.QUICK)
    study.statements                         one verdict a statement: agree, differ or cannot tell
    study.estimates                          the numbers behind them, with 95 % intervals

Networks are drawn at every keep probability α and width d, and their NTK Θ̃ is measured on the authors' own pair of
inputs (`authors_pair`), with rescaling by α^(-1/2) and without. The statements, for a network of depth L:

    factor      Theorem 1: without rescaling the mean of Θ̃ is near α^L Θ at the largest width; as a power law in α its
                exponent is L
    rescaling   with rescaling it is near Θ; and for every network Θ̃ is α^(-L) times that without
    diagonal    E Θ̃(x, x) = α^L (L + 1) |x|² at every width, not only in the limit (derived here, no claim of the paper)
    variance    the variance with rescaling is affine in 1/α: d var = A + B/α with B > 0 (found by measuring)
    width       it falls as 1/d: log var against log d, one line for each α, all of one slope, has slope -1
    flat        Theorem 2: with d proportional to 1/α the deviation |Θ̃ - Θ| stays what it was. Its mean against 1/α,
                both in logarithms, has slope 0 rather than 1/2, as at fixed width for small α, or -1/2, as with d in
                1/α². (By the law of the variance it falls as √(A α + B), by about a third from α = 1 on, then not.)

Both laws are of leading order in 1/d. What a masked neuron reads are α d numbers, and with few of them the variance is
larger: by some 15 % at α d = 64 and 7 % at 128. So `variance` and `width` look at pairs with α d of at least 64 only.

An estimate has a percentile interval: draws are resampled within each pair (α, d), 2000 times with a fixed seed. The
means for all α of `factor` and `rescaling` are asked at once, so that their intervals are Bonferroni's. An estimate
whose value theory predicts has a tolerance, since finite networks have corrections of O(1/d):

    agree        the interval lies wholly within the tolerance around the prediction
    differ       wholly outside of it
    cannot tell  it reaches to both sides, and more draws would tell; or there are too few pairs with such α d

Tolerances and the least α d were set after looking at trial runs: of such a grid with seed 5, and of `QUICK` with
seed 0, whose draws `FULL` with seed 0 has too. `FULL` with a seed not looked at before (21) then agreed throughout;
`QUICK` with four such seeds (21 to 24) left `variance` or `flat` open each time.

A statement agrees if all its estimates do, and differs if one does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from automl_theory.errors import AutoMLTheoryError, InputError
from automl_theory.infinite_width.pruned_mlp import pruned_mlp_ntk, pruning_factor
from automl_theory.probing.masked_mlp import draw_masked_mlps, masked_mlp_ntk, rescaled
from automl_theory.progress import Report, reporting
from automl_theory.scoring.executors import run_tasks

Floats = NDArray[np.float64]
Task = tuple[int, float, int, int, int, int]

RESAMPLES, LEVEL = 2000, 0.95
DRAWS_A_TASK = 64
NUMBERS_AT_ONCE = 2**22
TOLERANCE = {"mean": 0.1, "power": 0.1, "identity": 1e-3, "diagonal": 0.03, "width": 0.25, "flat": 0.25}
"""A quarter of a power: nearer to the predicted one than to half a power off."""
LEAST_R2 = 0.95
LEAST_READ = 64
"""The least α d for the laws of the variance."""


@dataclass(frozen=True)
class Setup:
    """What is drawn.

    depth    L, the number of hidden layers; the authors have 3
    keeps    keep probabilities α, at least three
    widths   widths d of all hidden layers, at least two; every pair with `keeps` is measured, and for the statement
             `flat` the smallest one divided by each α as well
    draws    networks a pair (α, d)
    seed     of everything that is drawn
    workers  processes, 0 for none; changes no number

    Errors: InputError for a value out of range.
    """

    depth: int = 3
    keeps: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125, 0.0625)
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    draws: int = 512
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for name, value, least in [
            ("depth", self.depth, 1), ("draws", self.draws, 16), ("seed", self.seed, 0), ("workers", self.workers, 0),
            *(("a width", width, 8) for width in self.widths),
        ]:  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(
                    f"expected {name} to be an integer of at least {least}, got {value!r}; give {least} or more"
                )
        for keep in self.keeps:
            if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
                raise InputError(f"expected keep probabilities in (0, 1], got {keep!r}; give such as (1, 0.5, 0.25)")
        for name, values, least in (("keeps", self.keeps, 3), ("widths", self.widths, 2)):
            if len(set(values)) < max(least, len(values)):
                raise InputError(f"expected {name} to be at least {least} different numbers, got {values!r}; give more")

    def cells(self) -> tuple[tuple[float, int], ...]:
        """All pairs (α, d) that are measured, in order."""
        return tuple(sorted({*((a, d) for a in self.keeps for d in self.widths), *self.proportional()}))

    def proportional(self) -> tuple[tuple[float, int], ...]:
        """The pairs whose width is the smallest one, for the largest α, times that α over α."""
        first, base = max(self.keeps), min(self.widths)
        return tuple((keep, round(base * first / keep)) for keep in sorted(self.keeps, reverse=True))


FULL = Setup()
"""12,800 networks: a few minutes of two cores."""

QUICK = Setup(keeps=(1.0, 0.5, 0.25, 0.125), widths=(64, 128, 256, 512), draws=256)
"""4096 networks: half a minute; `variance` and `flat` often stay undecided."""


@dataclass(frozen=True, eq=False)
class Study:
    """What was measured and what it says.

    draws       one row a network: keep, width, draw, seed (of its pair (α, d), see `cell_seed`), `raw` Θ̃(x, y)
                without rescaling, `rescaled` with it, `diagonal` the mean of Θ̃(x, x) and Θ̃(y, y) with it
    cells       one row a pair (α, d): n, `ratio` mean of raw/(α^L Θ), `rescaled_ratio` of rescaled/Θ,
                `diagonal_ratio` of diagonal/(L + 1); `variance` and `deviation` (mean absolute, from Θ) of rescaled;
                each with its `_se`
    estimates   statement, quantity, keep and width (NaN where it is over all), predicted (NaN: theory gives no number),
                value, low, high, tolerance, verdict ("" without a prediction)
    statements  statement, verdict, `estimates` how many are behind it
    theta       Θ(x, y), infinitely wide and dense
    """

    setup: Setup
    draws: pd.DataFrame
    cells: pd.DataFrame
    estimates: pd.DataFrame
    statements: pd.DataFrame
    theta: float


def authors_pair() -> Floats:
    """The two inputs of the authors' experiment, (2, 10), each of norm 1: their inner product is 0.7687972123753376."""
    rng = np.random.RandomState(1)
    drawn = np.stack([rng.random_sample(10), rng.random_sample(10)])
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def run(setup: Setup = FULL, *, progress: bool | Report | None = None) -> Study:
    """Draw, measure, estimate and rule. Equal setups give equal tables, whatever the number of workers.

    `progress` as in `score_space`. Errors: AutoMLTheoryError with the reason where a worker could not do its part.
    """
    theta = float(pruned_mlp_ntk(authors_pair(), setup.depth)[0, 1])
    draws = measure(setup, progress=progress)
    table = estimates(draws, setup, theta)
    return Study(setup, draws, cell_table(draws, setup, theta), table, statement_table(table), theta)


def cell_seed(setup: Setup, keep: float, width: int) -> int:
    """The seed of a pair (α, d): of its own, so that estimates of different pairs are independent."""
    return crc32(f"{setup.seed} {setup.depth} {float(keep)!r} {width}".encode())


def measure(setup: Setup, *, progress: bool | Report | None = None) -> pd.DataFrame:
    """Draw the networks and measure their kernels: the table `draws` of `Study`."""
    starts = range(0, setup.draws, DRAWS_A_TASK)
    tasks: list[Task] = [
        (setup.depth, keep, width, cell_seed(setup, keep, width), start, min(start + DRAWS_A_TASK, setup.draws))
        for keep, width in sorted(setup.cells(), key=lambda cell: -cell[1])
        for start in starts
    ]
    rows: list[tuple[Any, ...]] = []
    with reporting(progress, "pruned networks") as report:
        for done, outcome in enumerate(run_tasks(_measured, tasks, workers=setup.workers), 1):
            if outcome.error:
                raise AutoMLTheoryError(f"networks of width {outcome.task[2]} could not be measured: {outcome.error}")
            _, keep, width, seed, start, stop = outcome.task
            for draw, values in zip(range(start, stop), outcome.result, strict=True):
                rows.append((keep, width, draw, seed, *values))
            report(done, len(tasks), 0)
    names = ["keep", "width", "draw", "seed", "raw", "rescaled", "diagonal"]
    return pd.DataFrame(rows, columns=names).sort_values(["keep", "width", "draw"], ignore_index=True)


def _measured(task: Task) -> list[tuple[float, float, float]]:
    depth, keep, width, seed, start, stop = task
    x = torch.from_numpy(authors_pair())
    at_once = max(1, NUMBERS_AT_ONCE // width**2)
    found = []
    for first in range(start, stop, at_once):
        numbers = range(first, min(first + at_once, stop))
        nets = draw_masked_mlps(numbers, width, in_features=x.shape[1], depth=depth, keep=keep, seed=seed)
        raw, scaled = masked_mlp_ntk(nets, x), masked_mlp_ntk(rescaled(nets, keep), x)
        diagonal = scaled.diagonal(dim1=1, dim2=2).mean(1)
        found += list(zip(raw[:, 0, 1].tolist(), scaled[:, 0, 1].tolist(), diagonal.tolist(), strict=True))
    return found


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


def verdict_of(low: float, high: float, least: float, most: float) -> str:
    """Rule on an interval: agree within [least, most], differ outside of it, else cannot tell; so too if it is NaN."""
    if least <= low and high <= most:
        return "agree"
    return "differ" if high < least or low > most else "cannot tell"


def _estimates(draws: pd.DataFrame, setup: Setup, theta: float) -> Iterator[tuple[Any, ...]]:
    keeps, widths = np.array(sorted(setup.keeps, reverse=True), dtype=np.float64), np.array(sorted(setup.widths))
    samples = {(keep, width): _resampled(part, theta) for keep, width, part in _pairs(draws)}
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


def _resampled(part: pd.DataFrame, theta: float) -> dict[str, Floats]:
    """Statistics of one pair (α, d), each (1 + RESAMPLES,), the sample itself first; the draws in order."""
    n = len(part)
    rng = np.random.default_rng(int(part["seed"].iloc[0]))
    chosen = np.concatenate([np.arange(n)[None], rng.integers(0, n, (RESAMPLES, n))])
    raw, scaled, diagonal = (part[name].to_numpy() for name in ("raw", "rescaled", "diagonal"))
    return {
        "raw": raw[chosen].mean(1),
        "rescaled": scaled[chosen].mean(1),
        "diagonal": diagonal[chosen].mean(1),
        "variance": scaled[chosen].var(1, ddof=1),
        "deviation": np.abs(scaled - theta)[chosen].mean(1),
    }


def interval(values: Floats, level: float) -> tuple[float, float]:
    """The percentile interval of resamples values[1:], widened to the estimate values[0]; of none, that number."""
    if len(values) == 1:
        return float(values[0]), float(values[0])
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), float(values[0])), max(float(high), float(values[0]))


def line(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept of y (..., k) over x (k,) by least squares."""
    away = x - x.mean()
    slope = (y * away).sum(-1) / (away**2).sum()
    return slope, y.mean(-1) - slope * x.mean()


def r_squared(x: Floats, y: Floats) -> Floats:
    """R² of that line: 1 minus the residual over the total sum of squares, all points counting alike."""
    slope, intercept = line(x, y)
    rest = y - slope[..., None] * x - intercept[..., None]
    return np.asarray(1 - (rest**2).sum(-1) / ((y - y.mean(-1, keepdims=True)) ** 2).sum(-1))
