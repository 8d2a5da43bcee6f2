"""Which proxies order architectures as training does, and how far that can be trusted.

For each proxy: Kendall's τ-b and Spearman's ρ with a target, oriented so that + means "what the proxy calls good is
what the target calls good", with intervals over classes of equal architectures. Because a τ alone misleads, there
stand beside it: the size baselines (parameters, MACs: a proxy below them tells nothing new; where bigger is worse
they count turned round, by |τ|), the partial correlation given them, the same among the best architectures only, what
a search of k picks would find, the noise ceiling (how well one training seed orders the architectures as another seed
does) and a note in words.

The resamples are the same for all proxies, so two of them can be compared resample by resample; that is how the notes
"below" and "no clear gain over" the size baseline are decided, and `comparison.compare`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from automl_theory.analysis.columns import count_undefined, direction_of, orient, values
from automl_theory.analysis.notes import baseline_note, own_note, partial_note
from automl_theory.analysis.partial import Given
from automl_theory.analysis.prepare import Prepared, check_options, given_columns, prepare
from automl_theory.analysis.rank_correlation import Floats, count_classes
from automl_theory.analysis.sampling import Bools, Method, Pair, Sample, best_part, whole
from automl_theory.analysis.seeds import named_seeds, seed_columns, seed_error
from automl_theory.analysis.top import overlap, regret, weighted_kendall
from automl_theory.errors import InputError
from automl_theory.progress import Report, reporting


def rank(
    df: pd.DataFrame,
    target: str,
    *,
    target_direction: str | None = None,
    proxies: Sequence[str] | None = None,
    noise: tuple[str, str] | None = None,
    undefined: Literal["drop", "worst"] = "drop",
    given: Sequence[str] | None = None,
    top: float = 0.1,
    k: int = 10,
    interval: Method = "bootstrap",
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    progress: bool | Report | None = None,
) -> pd.DataFrame:
    """Rank the proxies of score table `df` by Kendall τ-b with column `target`: one row a proxy, best first.

    Arguments:
        df: a score table, one row an architecture, with the target joined to it.
        target: a numeric column, an accuracy or a loss. Rows where it is NaN are left out (a diverged loss should be
            +inf, which ranks last).
        target_direction: "maximize" or "minimize". By default a name with "accuracy" is maximised, one with "loss",
            "error" or "epochs" minimised; any other name needs it.
        proxies: columns to rank, by default all of `df.attrs["proxies"]` but the family "graph": the dozen measures
            of `graph_metrics` nearly repeat each other, and are ranked where they are named here. A numeric column
            not described there is taken as larger = better. The size family is always added, as baselines.
        noise: two columns with the target under two training seeds, by default the first two of `<target>_seed0`,
            `<target>_seed1`, … (any numbers) where the table has them; their agreement is the noise ceiling. It is
            that of one seed with one seed: against the mean over k seeds a perfect proxy can go higher.
        undefined: what happens to rows where a proxy has no value (disconnected, no parameters, …): "drop" leaves
            them out of that proxy's n; "worst" ranks them below every value (tied with its worst infinity). A search
            has to do the latter, and it flatters a proxy where such architectures train badly.
        given: columns of the partial correlation, by default parameters (or params), macs (or flops) and
            trainable_layers, as far as the table has them; [] for none. A row where one is NaN does not count there.
        top: the best share of the rows with a target, by the target (ties at its border included), for columns …_top.
        k: the number of picks for overlap and regret.
        interval: "bootstrap" (expanded percentile, over classes) or "analytic" (cluster-robust, from influences; a
            hundred times faster, and for any number of rows); see `analysis.sampling`. Where the target is the mean
            of columns `<target>_seed0`, …, those of kendall and spearman over all rows are widened by what training
            seeds add;
            those of …_top, the partials and the ceiling, and the comparisons in `note`, are not: they say how far a
            value depends on the architectures, for the training seeds as they were. See `analysis.seeds`.
        resamples: of the bootstrap; each draws as many classes (column `canonical`) as there are, with all rows of
            each. 0 gives no intervals. They take rows · resamples bytes, twice.
        seed: of the bootstrap.
        level: of the intervals.
        progress: True or False, or a function of (finished, total, failed); None shows a line to somebody at a
            terminal if it takes over two seconds.

    Returns a DataFrame, which `at.print_ranking` shows in the width of a terminal or notebook, with columns, in this
    order:
        family, direction
        kendall, spearman: τ-b and ρ, each with _low and _high
        weighted_kendall: weighted τ, which counts pairs at the top most (`scipy.stats.weightedtau`)
        overlap, regret: the share of the k best by the proxy that are among the k best by the target, and what the
            best of the k best by the proxy lacks to the best of the table, in units of the target; in expectation
            over random tie-breaks (`analysis.top`). NaN for n ≤ k
        …_top: kendall (with _low and _high), spearman, weighted_kendall, overlap, regret and n among the best `top`
        partial: partial ρ given the columns `given`, and partial_kendall, the same from τ-b, which does not reach 0
            for a proxy that is size plus noise; each with _low and _high; formula in `analysis.partial`. NaN for a
            proxy that is given, or that follows from what is given
        n, excluded (rows with a target that the proxy leaves out), undefined (statuses without a value, counted:
            "disconnected 7"), classes (distinct architectures among the n)
        ceiling (τ of the noise ceiling, or NaN), baseline (True for the size family), note

    `attrs["ranking"]` holds target, target_direction, rows, without_target, classes, undefined, interval, resamples,
    seed, level, given, top, rows_top, k, seeds (the columns of training seeds, which widen kendall and spearman only),
    baseline (the one of the size family with the largest |τ|, or None), baseline_kendall (its τ, or NaN) and
    noise_ceiling (the two columns, n and the six readings, or None); `attrs["settings"]` and `attrs["accuracy"]` (the
    recipe of the target) are those of `df`.

    Edge values: n < 3 or a constant column gives NaN and a note; fewer than 10 classes give no interval. ±inf is a
    value at its end of the order. Raises `InputError` on an unknown or non-numeric column, on a target whose
    direction is neither given nor told by its name, and on options out of range.
    """
    check_options(undefined, interval, resamples, seed, level)
    _check_top(top, k)
    if noise is None and len(two_seeds := named_seeds(df, target)[:2]) == 2:
        noise = (two_seeds[0], two_seeds[1])
    ready = prepare(df, target, target_direction, proxies, undefined)
    given = given_columns(df, given)
    sample = whole(ready.classes, interval, resamples, seed, level)
    best_rows = best_part(sample, ready.y, top)
    sizes = Given(sample, ready.y, {name: values(ready.table, name) for name in given})
    seeds = seed_columns(ready.table, target)
    by_seed = [orient(values(ready.table, name), ready.direction) for name in seeds]
    ceiling = None if noise is None else _noise_ceiling(ready.table, noise, sample)

    found: dict[str, Pair] = {}
    rows: dict[str, dict[str, Any]] = {}
    with reporting(progress, "ranking") as report:
        for done, name in enumerate(ready.names):
            report(done, len(ready.names), 0)
            x, used = ready.good[name], ready.used[name]
            found[name] = sample.pair(x, ready.y, used)
            extra = seed_error(sample, x, by_seed, used)
            others = sizes if name not in given else Given(sample, ready.y, {})
            rows[name] = {
                "family": ready.entries.get(name, {}).get("family", "other"),
                "direction": direction_of(df, name),
                **_readings(sample, found[name], extra),
                **_picks(sample, x, ready.y, used, k),
                **_among_best(best_rows, x, ready.y, used, k),
                **others.measure(x, used, found[name]),
                "n": found[name].n,
                "excluded": len(ready.y) - found[name].n,
                "undefined": ", ".join(f"{why} {n}" for why, n in count_undefined(ready.status[name]).items()),
                "classes": found[name].classes,
                "ceiling": np.nan if ceiling is None else ceiling["kendall"],
                "baseline": name in ready.sizes,
            }
        report(len(ready.names), len(ready.names), 0)
    best = _best_size(ready, found)
    _add_notes(rows, ready, found, sample, best, given, undefined)
    ranking = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="proxy")
    best_first = np.argsort(-ranking["kendall"].fillna(-2.0).to_numpy(), kind="stable")
    ranking = ranking.iloc[best_first]
    ranking.attrs = {
        "ranking": {
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
            "given": list(given),
            "top": top,
            "rows_top": int(best_rows.inside.sum()),
            "k": k,
            "seeds": seeds,
            "baseline": best,
            "baseline_kendall": np.nan if best is None else found[best].tau,
            "noise_ceiling": ceiling,
        },
        "settings": copy.deepcopy(df.attrs.get("settings", {})),
        "accuracy": copy.deepcopy(df.attrs.get("accuracy", {})),
    }
    return ranking


def _readings(sample: Sample, pair: Pair, extra: tuple[float, float] = (0.0, 0.0)) -> dict[str, float]:
    tau_low, tau_high = sample.interval(pair.tau, pair.tau_spread, pair.effective, extra[0])
    rho_low, rho_high = sample.interval(pair.rho, pair.rho_spread, pair.effective, extra[1])
    return {
        "kendall": pair.tau,
        "kendall_low": tau_low,
        "kendall_high": tau_high,
        "spearman": pair.rho,
        "spearman_low": rho_low,
        "spearman_high": rho_high,
    }


def _picks(sample: Sample, x: Floats, y: Floats, used: Bools, k: int) -> dict[str, float]:
    """Return weighted τ, and what k picks find among the rows inside the sample."""
    rows = used & sample.inside
    best = float(np.max(y[sample.inside], initial=-np.inf))
    return {
        "weighted_kendall": weighted_kendall(x[rows], y[rows]),
        "overlap": overlap(x[rows], y[rows], k),
        "regret": regret(x[rows], y[rows], k, best),
    }


def _among_best(sample: Sample, x: Floats, y: Floats, used: Bools, k: int) -> dict[str, float]:
    pair = sample.pair(x, y, used)
    readings = {**_readings(sample, pair), **_picks(sample, x, y, used, k)}
    names = ("kendall", "kendall_low", "kendall_high", "spearman", "weighted_kendall", "overlap", "regret")
    # kendall_top_low rather than kendall_low_top: the end of the interval comes last everywhere.
    renamed = {name: name.replace("kendall_", "kendall_top_", 1) for name in ("kendall_low", "kendall_high")}
    return {**{renamed.get(name, f"{name}_top"): readings[name] for name in names}, "n_top": pair.n}


def _best_size(ready: Prepared, found: dict[str, Pair]) -> str | None:
    ranked = [name for name in ready.sizes if not np.isnan(found[name].tau)]
    return max(ranked, key=lambda name: abs(found[name].tau), default=None)


def _add_notes(
    rows: dict[str, dict[str, Any]],
    ready: Prepared,
    found: dict[str, Pair],
    sample: Sample,
    best: str | None,
    given: Sequence[str],
    undefined: str,
) -> None:
    rivals: dict[bytes, Pair] = {}
    for name, row in rows.items():
        ends = (row["kendall_low"], row["kendall_high"])
        declared = name in ready.entries
        notes = [own_note(found[name], ends, ready.good[name], ready.status[name], undefined, declared)]
        if name not in ready.sizes:
            notes.insert(0, partial_note(row, bool(given) and name not in given, found[name]))
        if best is not None and name not in ready.sizes:
            both = ready.used[name] & ready.used[best]
            key = both.tobytes()
            if key not in rivals:
                rivals[key] = sample.pair(ready.good[best], ready.y, both)
            mine = (
                found[name] if bool((both == ready.used[name]).all()) else sample.pair(ready.good[name], ready.y, both)
            )
            notes.insert(0, baseline_note(sample, mine, rivals[key]))
        row["note"] = "; ".join(filter(None, notes))


def _check_top(top: float, k: int) -> None:
    if not 0 < top < 1:
        raise InputError(f"top must be a share between 0 and 1, such as 0.1 for the best 10 %; got {top!r}.")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k must be a number of architectures, 1 or more; got {k!r}.")


def _noise_ceiling(table: pd.DataFrame, noise: tuple[str, str], sample: Sample) -> dict[str, Any]:
    if isinstance(noise, str) or len(noise) != 2:
        raise InputError(f"noise must name two columns, the target under two training seeds; got {noise!r}.")
    first, second = (values(table, name, "noise column") for name in noise)
    found = sample.pair(first, second, ~(np.isnan(first) | np.isnan(second)))
    return {"columns": list(noise), "n": found.n, **_readings(sample, found)}
