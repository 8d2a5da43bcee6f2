"""Which of two proxies tracks training better: paired differences in Kendall's τ, corrected for how many are looked at.

All pairs are measured on the same resamples of classes, so that what two proxies share cancels out. With d the
differences, se their standard errors over resamples, and d* the values on a resample, the largest deviation of any pair

    m* = max over pairs |d* − d| / se

has a distribution that knows how the pairs hang together. Its quantile c at the level gives intervals d ± c·se that
hold for all pairs at once, and p = P(m* ≥ |d|/se), the chance of a difference as clear as this one anywhere if there
were none. (Westfall & Young 1993; Romano & Wolf 2005, in one step. Holm's correction of bootstrap p-values could not
reach significance: 190 pairs would need p < 0.0003, and 1,000 resamples cannot say less than 0.001.)

With analytic intervals the resamples are replaced by the multiplier bootstrap: each class's influence on d is weighed
by a standard normal number.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from automl_theory.analysis.prepare import Prepared, check_options, prepare
from automl_theory.analysis.rank_correlation import Floats, count_classes
from automl_theory.analysis.sampling import Bools, Method, Pair, Sample, whole
from automl_theory.errors import InputError, suggest
from automl_theory.progress import Report, reporting


def compare(
    df: pd.DataFrame,
    target: str,
    proxies: Sequence[str] | None = None,
    *,
    against: str | None = None,
    target_direction: str | None = None,
    undefined: Literal["drop", "worst"] = "drop",
    interval: Method = "bootstrap",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    progress: bool | Report | None = None,
) -> pd.DataFrame:
    """Compare proxies of score table `df` in pairs: whose τ with column `target` is higher? One row a pair.

    Arguments are those of `rank`, and
        proxies: the columns to compare, two or more; by default all of `df.attrs["proxies"]` but graph measures.
        against: a column; only pairs with it are compared, which asks less and so finds more. None: every pair.
        resamples: 100 or more; of the multiplier bootstrap where `interval` is "analytic".

    A pair is measured on the rows where both have a value (all rows for undefined="worst"). A size (family "size")
    counts by |τ|, as in the notes of `rank`: one that points the wrong way there is turned round. low, high and p say
    how far a difference depends on which architectures were drawn. What the choice of training seeds adds is not in
    them, while `rank` widens τ and ρ by it: another seed may prefer another proxy on the same architectures.

    Returns columns first, second (the one with the higher τ first), kendall_first, kendall_second, difference, low,
    high (for all pairs at once), p (corrected), n, classes, verdict, turned (the sizes of the pair that were turned
    round, so that their τ has the other sign here than in `rank`; "" for none); the clearest difference on top.
    `attrs["comparison"]` holds target, target_direction, rows, without_target, classes, undefined, interval,
    resamples, seed, level, pairs and against.

    The verdict is "<first> is better" ("<first> turned round is better"), "no clear difference", "the same order"
    (equal on every resample), or "cannot be told" (fewer than 10 classes, or a constant column; NaN). Raises
    `InputError` like `rank`, and for fewer than two proxies.
    """
    check_options(undefined, interval, resamples, seed, level)
    if resamples < 100:
        raise InputError(f"comparing proxies needs at least 100 resamples; got {resamples}.")
    if proxies is not None:
        proxies = [proxies] if isinstance(proxies, str) else list(proxies)
        proxies += [] if against is None else [against]
    ready = prepare(df, target, target_direction, proxies, undefined)
    names = [name for name in ready.names if proxies is None or name in proxies]
    if len(names) < 2:
        raise InputError(f"comparing needs at least two proxies; got {', '.join(names)}. Name another.")
    if against is not None and against not in names:
        raise InputError(f"against must be one of the proxies; got {against!r}.{suggest(against, names)}")
    sample = whole(ready.classes, interval, resamples, seed, level)
    wanted = [pair for pair in combinations(names, 2) if against is None or against in pair]
    duels = _duels(ready, sample, wanted, progress)
    reach, corrected = _simultaneous(duels, sample, resamples, seed)

    rows = []
    for duel, p in zip(duels, corrected, strict=True):
        low, high = duel.difference - reach * duel.error, duel.difference + reach * duel.error
        rows.append(
            {
                "first": duel.first,
                "second": duel.second,
                "kendall_first": duel.taus[0],
                "kendall_second": duel.taus[1],
                "difference": duel.difference,
                "low": max(low, -2.0),
                "high": min(high, 2.0),
                "p": p,
                "n": duel.n,
                "classes": duel.classes,
                "verdict": _verdict(duel, low),
                "turned": ", ".join(duel.turned),
            }
        )
    table = pd.DataFrame(rows)
    table = table.iloc[np.lexsort([-table["difference"].fillna(-1.0), table["p"].fillna(2.0)])].reset_index(drop=True)
    table.attrs = {
        "comparison": {
            "target": target,
            "target_direction": ready.direction,
            "rows": len(ready.y),
            "without_target": ready.without_target,
            "classes": count_classes(ready.classes),
            "undefined": undefined,
            "interval": interval,
            "resamples": resamples,
            "seed": seed,
            "level": level,
            "pairs": len(duels),
            "against": against,
        },
        "settings": copy.deepcopy(df.attrs.get("settings", {})),
        "accuracy": copy.deepcopy(df.attrs.get("accuracy", {})),
    }
    return table


@dataclass(frozen=True)
class _Duel:
    """Two proxies on the rows both have, the better one first; `spread` of the difference as in `Pair`.

    `turned`: which of them is a size that points the wrong way, and counts turned round.
    """

    first: str
    second: str
    taus: tuple[float, float]
    n: int
    classes: int
    turned: tuple[str, ...] = ()
    error: float = np.nan
    spread: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def difference(self) -> float:
        return self.taus[0] - self.taus[1]


def _duels(
    ready: Prepared, sample: Sample, wanted: list[tuple[str, str]], progress: bool | Report | None
) -> list[_Duel]:
    known: dict[tuple[str, bytes], Pair] = {}
    wrong: set[tuple[str, bytes]] = set()

    def pair(name: str, rows: Bools) -> Pair:
        key = (name, rows.tobytes())
        if key not in known:
            found = sample.pair(ready.good[name], ready.y, rows)
            if name in ready.sizes and found.tau < 0:
                wrong.add(key)
                found = replace(found, tau=-found.tau, tau_spread=-found.tau_spread)
            known[key] = found
        return known[key]

    duels = []
    with reporting(progress, "comparing") as report:
        for done, names in enumerate(wanted):
            report(done, len(wanted), 0)
            rows = ready.used[names[0]] & ready.used[names[1]]
            found = {name: pair(name, rows) for name in names}
            first, second = names if not found[names[1]].tau > found[names[0]].tau else names[::-1]
            turned = tuple(name for name in (first, second) if (name, rows.tobytes()) in wrong)
            duels.append(_duel(sample, first, second, found[first], found[second], turned))
        report(len(wanted), len(wanted), 0)
    return duels


def _duel(sample: Sample, first: str, second: str, one: Pair, other: Pair, turned: tuple[str, ...]) -> _Duel:
    known = (first, second, (one.tau, other.tau), one.n, min(one.classes, other.classes), turned)
    if not len(one.tau_spread) or not len(other.tau_spread):
        return _Duel(*known)
    spread = one.tau_spread - other.tau_spread
    if sample.linear:
        return _Duel(*known, sample.error(spread, min(one.effective, other.effective)), spread)
    if np.isnan(spread).mean() > 0.05:
        return _Duel(*known)
    return _Duel(*known, float(np.nanstd(spread, ddof=1)), spread)


SAME = 1e-12
"""A smaller difference, or error of one, is rounding."""


def _simultaneous(duels: list[_Duel], sample: Sample, resamples: int, seed: int) -> tuple[float, Floats]:
    """Return the quantile of the largest deviation, and the corrected p of every duel (NaN where it is unknown)."""
    largest = np.zeros(resamples)
    rng = np.random.default_rng(seed)
    count = next((len(duel.spread) for duel in duels if len(duel.spread)), 0)
    multipliers = rng.standard_normal((resamples, count)) if sample.linear else np.empty(0)
    for duel in duels:
        if duel.error > SAME:
            moved = multipliers @ duel.spread if sample.linear else duel.spread - duel.difference
            largest = np.fmax(largest, np.abs(moved) / duel.error)
    clear = np.array([_clear(duel) for duel in duels])
    p = (1 + (largest >= clear[:, None]).sum(axis=1)) / (1 + resamples)
    return float(np.quantile(largest, sample.level)), np.where([np.isnan(d.error) for d in duels], np.nan, p)


def _clear(duel: _Duel) -> float:
    """Return the difference in standard errors, infinite if it is the same on every resample and not 0."""
    if duel.error > SAME:
        return abs(duel.difference) / duel.error
    return 0.0 if abs(duel.difference) <= SAME else np.inf


def _verdict(duel: _Duel, low: float) -> str:
    if np.isnan(duel.error):
        return "cannot be told"
    if duel.error <= SAME and abs(duel.difference) <= SAME:
        return "the same order"
    turned = " turned round" if duel.first in duel.turned else ""
    return f"{duel.first}{turned} is better" if low > 0 else "no clear difference"
