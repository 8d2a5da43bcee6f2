"""What should be said, in words, beside a row of a ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from automl_theory.analysis.columns import VALUED

if TYPE_CHECKING:
    from automl_theory.analysis.ranking import Agreement

FEWEST_CLASSES = 10
"""Fewer classes than this make a bootstrap interval meaningless: none is given."""


def share(part: int, whole: int) -> str:
    """Return "83 %", "<1 %" or ">99 %": a percentage that never rounds something to nothing or to all."""
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:.0f} %"


def own_note(
    found: Agreement, good: NDArray[np.float64], status: NDArray[np.str_], undefined: str, declared: bool
) -> str:
    """Return what there is to distrust about a proxy by itself, "" if nothing."""
    says = []
    rows = len(status)
    valued = np.isin(status, VALUED)
    if found.n > 1 and len(np.unique(good[valued])) < 2:
        says.append("constant" if found.constant or not valued.any() else "constant where defined")
    elif found.constant:
        says.append("target constant")
    elif found.n < 3:
        says.append("n too small")
    elif found.classes < FEWEST_CLASSES:
        says.append("n too small for an interval")
    elif len(found.taus) and np.isnan(found.kendall_low):
        says.append("nearly constant, no interval")
    if found.kendall_high < 0:
        says.append("points the wrong way")
    for name in ("saturated", "rank_deficient"):
        if count := int((status == name).sum()):
            says.append(f"{name.replace('_', ' ')} on {share(count, rows)}")
    if count := int((~valued).sum()):
        says.append(f"undefined on {share(count, rows)}" + (", ranked last" if undefined == "worst" else ""))
    if not declared:
        says.append("direction not declared, larger taken as better")
    return "; ".join(says)


def baseline_note(found: Agreement, baseline: Agreement, level: float) -> str:
    """Compare a proxy with the best size baseline on the same rows and resamples; "" if it is clearly above.

    "below" means a lower τ than the baseline's |τ|; "no clear gain over" that the paired bootstrap interval of the
    difference reaches 0. Without resamples only "below" can be said.
    """
    if np.isnan(found.kendall) or np.isnan(baseline.kendall):
        return ""
    if found.kendall < abs(baseline.kendall):
        return "below the size baseline"
    if not len(found.taus) or not len(baseline.taus):
        return ""
    gain = found.taus - np.copysign(1.0, baseline.kendall) * baseline.taus
    if np.isnan(gain).all() or np.nanquantile(gain, (1 - level) / 2) > 0:
        return ""
    return "no clear gain over the size baseline"
