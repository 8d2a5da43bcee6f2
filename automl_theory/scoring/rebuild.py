"""The score table of a store, from what the store itself recorded."""

from __future__ import annotations

from os import PathLike

import pandas as pd

from automl_theory.errors import InputError
from automl_theory.proxies import REGISTRY, get_proxies
from automl_theory.scoring.store import ScoreStore
from automl_theory.scoring.table import score_table
from automl_theory.spaces import Space, space


def table_of_store(path: str | PathLike[str]) -> tuple[pd.DataFrame, Space]:
    """Table of every architecture in the store, finished or not, and the space it is from.

    Rows are the measured representatives in alphabetical order; proxies in the registry's order; seeds as stored.
    Raises StoreError for a file that is no store, InputError for an empty one or for a space not known by name.
    """
    with ScoreStore.existing(path) as store:
        rows = store.read()
    if rows.empty:
        raise InputError(f"the store {path} holds no scores yet; run: automl-theory score ... --store {path}")
    settings = rows.attrs["settings"]
    where = space(settings["space"])
    names = sorted(rows["proxy"].unique(), key=lambda key: (list(REGISTRY).index(key.split(":")[0].split("@")[0]), key))
    sizes = [proxy.name for proxy in REGISTRY.values() if proxy.family == "size"]
    closed = getattr(where, "size_metrics", None)
    known = {**settings["network"], "resolution": settings["resolution"]}
    return score_table(
        where,
        sorted(rows["arch"].unique()),
        get_proxies([*(sizes if closed else ()), *(name.split("@")[0] for name in names)]),
        rows,
        sorted(rows["seed"].unique().tolist()),
        closed and (lambda arch: closed(arch, **known)),
        rows.attrs,
    ), where
