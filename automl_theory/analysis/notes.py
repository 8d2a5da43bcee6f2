"""What should be said, in words, beside a row of a ranking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from automl_theory.analysis.columns import VALUED
from automl_theory.analysis.sampling import FEWEST_CLASSES, Pair, Sample


def share(part: int, whole: int) -> str:
    """Return "83 %", "<1 %" or ">99 %": a percentage that never rounds something to nothing or to all."""
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "<1 %"
    if 99 < percent < 100:
        return ">99 %"
    return f"{percent:.0f} %"


def own_note(
    found: Pair,
    ends: tuple[float, float],
    good: NDArray[np.float64],
    status: NDArray[np.str_],
    undefined: str,
    declared: bool,
) -> str:
    """Return what there is to distrust about a proxy by itself, "" if nothing; `ends` are those of τ's interval."""
    says = []
    rows = len(status)
    valued = np.isin(status, VALUED)
    if found.n > 1 and (good[valued] == good[valued][:1]).all():
        says.append("constant" if found.constant or not valued.any() else "constant where defined")
    elif found.constant:
        says.append("target constant")
    elif found.n < 3:
        says.append("n too small")
    elif found.classes < FEWEST_CLASSES:
        says.append("n too small for an interval")
    elif len(found.tau_spread) and np.isnan(ends[0]):
        says.append("nearly constant, no interval")
    if ends[1] < 0:
        says.append("points the wrong way")
    for name in ("saturated", "rank_deficient"):
        if count := int((status == name).sum()):
            says.append(f"{name.replace('_', ' ')} on {share(count, rows)}")
    if count := int((~valued).sum()):
        says.append(f"undefined on {share(count, rows)}" + (", ranked last" if undefined == "worst" else ""))
    if not declared:
        says.append("direction not declared, larger taken as better")
    return "; ".join(says)


def baseline_note(sample: Sample, found: Pair, baseline: Pair) -> str:
    """Compare a proxy with the best size baseline on the same rows and training seeds; "" if it is clearly above.

    A size baseline counts by |τ|: where bigger is worse, "the smallest first" is as cheap a rule as "the biggest
    first", and the note says that it was turned round. "below" means a lower τ than that; "no clear gain over" that
    the paired interval of the difference reaches 0; that is not widened by what training seeds add. Without intervals
    only "below" can be said.
    """
    if np.isnan(found.tau) or np.isnan(baseline.tau):
        return ""
    name = "the size baseline" + (" turned round" if baseline.tau < 0 else "")
    if found.tau < abs(baseline.tau):
        return f"below {name}"
    low = sample.lower_end_of_gain(found, baseline, np.copysign(1.0, baseline.tau))
    return f"no clear gain over {name}" if low <= 0 else ""


def partial_note(partial: dict[str, float], given: bool, found: Pair) -> str:
    """Say what a proxy tells beyond the given size columns, unless it clearly helps; "" if that cannot be told.

    By the interval of the partial ρ, which is not widened by what training seeds add: "nothing clear" if it holds 0,
    "wrong way" if it lies below.
    """
    if not given or np.isnan(found.tau):
        return ""
    if np.isnan(partial["partial"]):
        return "follows from the given sizes" if found.n >= FEWEST_CLASSES else ""
    if partial["partial_high"] < 0:
        return "wrong way beyond the given sizes"
    return "nothing clear beyond the given sizes" if partial["partial_low"] <= 0 else ""
