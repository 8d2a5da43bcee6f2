"""From stored scores to the score table: one row an architecture, one column a proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.errors import STATUSES, VALUED
from automl_theory.proxies import Proxy
from automl_theory.proxies.size import CLOSED
from automl_theory.spaces import Space

SEVERITY = (*STATUSES, "missing")
DESCRIBED = ("family", "direction", "unit", "formula")


def score_table(
    space: Space | None,
    architectures: Sequence[str],
    proxies: Sequence[Proxy],
    scores: pd.DataFrame,
    seeds: Sequence[int],
    sizes: Callable[[str], Mapping[str, float]] | None,
    attrs: Mapping[Any, Any],
) -> pd.DataFrame:
    """The table of `architectures` from long `scores` (arch, seed, proxy, value, status) of their representatives.

    For each proxy: `<name>` the mean over seeds, `<name>_std` their standard deviation (NaN for one seed) and
    `<name>_status` the gravest status of any seed ("missing" where a run is not finished); a seed without a value
    leaves the mean NaN. `sizes` gives the size columns of a string where the space knows them; other proxies of that
    family (`l2_norm`) are measured like the rest. The index is "arch"; `canonical` names the class's representative
    that was measured (without a space every architecture is its own).
    """
    index = pd.Index(list(architectures), name="arch", dtype="str")
    canonical = [arch if space is None else space.canonical(arch) for arch in architectures]
    wide = scores.set_index(["arch", "seed", "proxy"])
    values = wide["value"].unstack("proxy")
    statuses = wide["status"].unstack("proxy")
    wanted = pd.MultiIndex.from_product([dict.fromkeys(canonical), seeds], names=["arch", "seed"])
    columns: dict[str, Any] = {"canonical": canonical}
    if sizes is not None:
        known = [sizes(arch) for arch in architectures]
        for proxy in (p for p in proxies if p.name in CLOSED):
            columns[proxy.name] = np.array([size[proxy.name] for size in known], dtype=np.float64)
            columns[f"{proxy.name}_status"] = "ok"
    rows = pd.Index(canonical)
    for proxy in proxies:
        if proxy.name in columns:
            continue
        value = _column(values, proxy.key, wanted).unstack("seed")[list(seeds)]
        status = _column(statuses, proxy.key, wanted).fillna("missing").unstack("seed")[list(seeds)]
        worst = status.map(SEVERITY.index).max(axis=1)
        numbers = value.to_numpy(dtype=np.float64)
        with np.errstate(invalid="ignore"):
            mean = np.where(worst.isin([SEVERITY.index(s) for s in VALUED]), numbers.mean(axis=1), np.nan)
            std = numbers.std(axis=1, ddof=1) if len(seeds) > 1 else np.full(len(numbers), np.nan)
        position = value.index.get_indexer(rows)
        columns[proxy.name] = mean[position]
        columns[f"{proxy.name}_std"] = std[position]
        columns[f"{proxy.name}_status"] = np.array([SEVERITY[i] for i in worst])[position]
    table = pd.DataFrame(columns, index=index)
    described = {p.name: {field: getattr(p, field) for field in DESCRIBED} for p in proxies}
    table.attrs = {**attrs, "seeds": list(seeds), "proxies": described}
    return table


def _column(frame: pd.DataFrame, key: str, wanted: pd.MultiIndex) -> pd.Series[Any]:
    series = frame[key] if key in frame.columns else pd.Series(index=frame.index, dtype=object)
    return series.reindex(wanted)
