"""Lines, resamples and intervals, and the one rule that turns an interval into a verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES, LEVEL = 2000, 0.95


def verdict_of(low: float, high: float, least: float, most: float) -> str:
    """Rule on an interval: agree within [least, most], differ outside of it, else cannot tell; so too if it is NaN."""
    if least <= low and high <= most:
        return "agree"
    return "differ" if high < least or low > most else "cannot tell"


def resampled(part: pd.DataFrame, theta: float) -> dict[str, Floats]:
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
