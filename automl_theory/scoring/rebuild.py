"""The score table of a store, from what the store itself recorded."""

from __future__ import annotations

from os import PathLike

import pandas as pd

from automl_theory.errors import InputError, StoreError
from automl_theory.proxies import REGISTRY, Proxy, get_proxy
from automl_theory.proxies.size import CLOSED
from automl_theory.scoring.failures import failures
from automl_theory.scoring.store import ScoreStore
from automl_theory.scoring.table import score_table
from automl_theory.spaces import Space, list_spaces, space


def table_of_store(path: str | PathLike[str]) -> tuple[pd.DataFrame, Space | None]:
    """Table of every architecture in the store, finished or not, and the space it is from (None: a user's own).

    Rows are the measured representatives in alphabetical order; proxies in the registry's order; seeds as stored.
    Scores of proxies, or of revisions of them, that this version lacks are left out and named in `attrs["left_out"]`.
    Raises StoreError for a file that is no store, InputError for one without scores.
    """
    with ScoreStore.existing(path) as store:
        rows, failed = store.read(), failures(store)
    if rows.empty:
        raise InputError(f"the store {path} holds no scores yet; run: automl-theory score ... --store {path}")
    settings = rows.attrs["settings"]
    needed: dict[str, type] = {"space": str, "network": dict, "resolution": int}
    for key, kind in needed.items():
        if not isinstance(settings.get(key), kind):
            raise StoreError(
                f"expected the setting {key!r} of {path} of type {kind.__name__}, but it is {settings.get(key)!r}; "
                "restore a copy, or score it again"
            )
    where = space(settings["space"]) if settings["space"] in list_spaces() else None
    keys = sorted(rows["proxy"].unique())
    known = {key: proxy for key in keys if (proxy := _proxy(key)) is not None}
    if not known:
        raise InputError(
            f"the store {path} holds scores of proxies that this version lacks ({', '.join(keys)}); "
            "score it again, or read it with the version that wrote it"
        )
    rank = {name: number for number, name in enumerate(REGISTRY)}
    stored = sorted(known.values(), key=lambda proxy: (rank.get(proxy.name.partition(":")[0], len(rank)), proxy.name))
    closed = getattr(where, "size_metrics", None)
    sizes = [proxy for proxy in REGISTRY.values() if closed and proxy.name in CLOSED]
    fixed = {**settings["network"], "resolution": settings["resolution"]}
    left_out = [key for key in keys if key not in known]
    return score_table(
        where,
        sorted(rows["arch"].unique()),
        [*sizes, *(proxy for proxy in stored if proxy not in sizes)],
        rows,
        sorted(rows["seed"].unique().tolist()),
        closed and (lambda arch: closed(arch, **fixed)),
        rows.attrs | {"failures": failed} | ({"left_out": left_out} if left_out else {}),
    ), where


def _proxy(key: str) -> Proxy | None:
    """The proxy of a key in a store, None if it is not known or means another number by now."""
    try:
        proxy = get_proxy(key.partition("@")[0])
    except InputError:
        return None
    return proxy if proxy.key == key else None
