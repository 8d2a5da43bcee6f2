"""Which proxies order architectures as training does, and how far that can be trusted.

For each proxy: Kendall's τ-b and Spearman's ρ with a target, oriented so that + means "what the proxy calls good is
what the target calls good", with percentile bootstrap intervals over classes of equal architectures. Three things
stand beside every proxy, because a τ alone misleads: the size baselines (parameters, FLOPs: a proxy below them tells
nothing new), the noise ceiling (how well one training seed orders the architectures as another seed does) and a note
in words.

The resamples are the same for all proxies, so two of them can be compared resample by resample; that is how the notes
"below" and "no clear gain over" the size baseline are decided.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.analysis.columns import (
    VALUED,
    classes,
    count_undefined,
    described,
    direction_of,
    orient,
    statuses,
    told_direction,
    values,
)
from automl_theory.analysis.notes import FEWEST_CLASSES, baseline_note, own_note
from automl_theory.analysis.rank_correlation import Floats, class_resamples, correlations
from automl_theory.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """How one oriented column agrees with the target; `taus` holds τ on each resample (empty without an interval)."""

    n: int
    classes: int
    constant: bool
    kendall: float = np.nan
    kendall_low: float = np.nan
    kendall_high: float = np.nan
    spearman: float = np.nan
    spearman_low: float = np.nan
    spearman_high: float = np.nan
    taus: Floats = field(default_factory=lambda: np.empty(0))

    def readings(self) -> dict[str, float]:
        """Return the six numbers of a ranking row by name."""
        return {f"{m}{end}": getattr(self, m + end) for m in ("kendall", "spearman") for end in ("", "_low", "_high")}


@dataclass(frozen=True)
class Resampling:
    """The classes of the rows, how often each row counts in each resample, and the level of the intervals."""

    classes: NDArray[np.intp]
    weights: NDArray[np.uint16]
    level: float

    def measure(self, x: Floats, y: Floats, used: NDArray[np.bool_]) -> Agreement:
        """Return the agreement of `x` with `y` on the rows `used`."""
        x, y = x[used], y[used]
        count = len(np.unique(self.classes[used]))
        constant = len(x) > 1 and bool((x == x[0]).all() or (y == y[0]).all())
        if len(x) < 3 or constant:
            return Agreement(len(x), count, constant)
        tau, rho = (float(value[0]) for value in correlations(x, y))
        taus, rhos = np.empty(0), np.empty(0)
        if count >= FEWEST_CLASSES:
            taus, rhos = correlations(x, y, self.weights[used])
        tau_ends, rho_ends = self._interval(taus), self._interval(rhos)
        return Agreement(len(x), count, constant, tau, *tau_ends, rho, *rho_ends, taus)

    def _interval(self, resampled: Floats) -> tuple[float, float]:
        if not len(resampled) or np.isnan(resampled).mean() > 0.05:
            return np.nan, np.nan
        low, high = np.nanquantile(resampled, [(1 - self.level) / 2, (1 + self.level) / 2])
        return float(low), float(high)


def rank(
    df: pd.DataFrame,
    target: str,
    *,
    target_direction: str | None = None,
    proxies: Sequence[str] | None = None,
    noise: tuple[str, str] | None = None,
    undefined: Literal["drop", "worst"] = "drop",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Rank the proxies of score table `df` by Kendall τ-b with column `target`: one row a proxy, best first.

    Arguments:
        df: a score table, one row an architecture, with the target joined to it.
        target: a numeric column, an accuracy or a loss. Rows where it is NaN are left out (a diverged loss should be
            +inf, which ranks last).
        target_direction: "maximize" or "minimize". By default a name with "accuracy" is maximised, one with "loss",
            "error" or "epochs" minimised; any other name needs it.
        proxies: columns to rank, by default all of `df.attrs["proxies"]`. A numeric column not described there
            (a graph metric) is taken as larger = better. Columns of the size family are always added, as baselines.
        noise: two columns with the target under two training seeds, by default `<target>_seed0` and `<target>_seed1`
            where the table has them; their agreement is the noise ceiling. It is that of one seed with one seed:
            against the mean over k seeds a perfect proxy can go higher.
        undefined: what happens to rows where a proxy has no value (disconnected, no parameters, …): "drop" leaves
            them out of that proxy's n; "worst" ranks them below every value (tied with its worst infinity). A search
            has to do the latter, and it flatters a proxy where such architectures train badly.
        resamples: of the bootstrap; each draws as many classes (column `canonical`) as there are, with all rows of
            each. 0 gives no intervals.
        seed: of the bootstrap.
        level: of the intervals.

    Returns columns family, direction, kendall, kendall_low, kendall_high, spearman, spearman_low, spearman_high, n,
    excluded (rows with a target that the proxy leaves out), undefined (statuses without a value, counted:
    "disconnected 7"), classes (distinct architectures among the n), ceiling (τ of the noise ceiling, or NaN),
    baseline (True for the size family), note. `attrs["ranking"]` holds target, target_direction, rows,
    without_target, classes, undefined, resamples, seed, level, baseline (the best of the size family, or None) and
    noise_ceiling (the two columns, n and the six readings, or None); `attrs["settings"]` those of `df`.

    Edge values: n < 3 or a constant column gives NaN and a note; fewer than 10 classes give no interval. ±inf is a
    value at its end of the order. Raises `InputError` on an unknown or non-numeric column, on a target whose
    direction is neither given nor told by its name, and on options out of range.
    """
    _check_options(undefined, resamples, level)
    two_seeds = (f"{target}_seed0", f"{target}_seed1")
    if noise is None and set(two_seeds) <= set(df.columns):
        noise = two_seeds
    has_target = ~np.isnan(values(df, target, "target"))
    direction = told_direction(target, target_direction)
    table = df.loc[has_target]
    y = orient(values(table, target), direction)
    equal = classes(table)
    bench = Resampling(equal, class_resamples(equal, resamples, seed), level)
    ceiling = None if noise is None else _noise_ceiling(table, noise, bench)

    entries = described(df)
    names = _names(df, target, proxies)
    good, status, used, found = {}, {}, {}, {}
    rivals: dict[bytes, Agreement] = {}
    for name in names:
        status[name] = statuses(table, name)
        valued = np.isin(status[name], VALUED)
        good[name] = np.where(valued, orient(values(table, name), direction_of(df, name)), -np.inf)
        used[name] = valued if undefined == "drop" else np.ones(len(table), dtype=bool)
        found[name] = bench.measure(good[name], y, used[name])

    sizes = [name for name in names if entries.get(name, {}).get("family") == "size"]
    ranked_sizes = [name for name in sizes if not np.isnan(found[name].kendall)]
    best = max(ranked_sizes, key=lambda name: abs(found[name].kendall), default=None)
    rows = []
    for name in names:
        notes = [own_note(found[name], good[name], status[name], undefined, declared=name in entries)]
        if best is not None and name not in sizes:
            both = used[name] & used[best]
            key = both.tobytes()
            if key not in rivals:
                rivals[key] = bench.measure(good[best], y, both)
            notes.insert(0, baseline_note(found[name], rivals[key], level))
        entry = entries.get(name, {})
        rows.append(
            {
                "proxy": name,
                "family": entry.get("family", "other"),
                "direction": direction_of(df, name),
                **found[name].readings(),
                "n": found[name].n,
                "excluded": len(table) - found[name].n,
                "undefined": ", ".join(f"{why} {count}" for why, count in count_undefined(status[name]).items()),
                "classes": found[name].classes,
                "ceiling": np.nan if ceiling is None else ceiling["kendall"],
                "baseline": name in sizes,
                "note": "; ".join(filter(None, notes)),
            }
        )
    ranking = pd.DataFrame(rows).set_index("proxy")
    best_first = np.argsort(-ranking["kendall"].fillna(-2.0).to_numpy(), kind="stable")
    ranking = ranking.iloc[best_first]
    ranking.attrs = {
        "ranking": {
            "target": target,
            "target_direction": direction,
            "rows": len(df),
            "without_target": len(df) - len(table),
            "classes": len(np.unique(equal)),
            "undefined": undefined,
            "resamples": resamples,
            "seed": seed,
            "level": level,
            "baseline": best,
            "noise_ceiling": ceiling,
        },
        "settings": copy.deepcopy(df.attrs.get("settings", {})),
    }
    return ranking


def _check_options(undefined: str, resamples: int, level: float) -> None:
    if undefined not in ("drop", "worst"):
        raise InputError(f'undefined must be "drop" or "worst"; got {undefined!r}.')
    if resamples < 0:
        raise InputError(f"resamples must be 0 (no intervals) or more; got {resamples}.")
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, such as 0.95; got {level}.")


def _names(df: pd.DataFrame, target: str, proxies: Sequence[str] | None) -> list[str]:
    entries = described(df)
    if proxies is None:
        names = list(entries)
    else:
        names = [proxies] if isinstance(proxies, str) else list(proxies)
        names += [name for name, entry in entries.items() if entry.get("family") == "size"]
    names = [name for name in dict.fromkeys(names) if name != target]
    if not names:
        raise InputError(
            'no proxy to rank: attrs["proxies"] describes no column of this table (a CSV export loses it); '
            'pass proxies=["column", …].'
        )
    return names


def _noise_ceiling(table: pd.DataFrame, noise: tuple[str, str], bench: Resampling) -> dict[str, Any]:
    if isinstance(noise, str) or len(noise) != 2:
        raise InputError(f"noise must name two columns, the target under two training seeds; got {noise!r}.")
    first, second = (values(table, name, "noise column") for name in noise)
    found = bench.measure(first, second, ~(np.isnan(first) | np.isnan(second)))
    return {"columns": list(noise), "n": found.n, **found.readings()}
