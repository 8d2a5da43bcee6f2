"""How the numbers of a page came about: data, seeds, settings, versions, recipe of the accuracies, formulas."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.accuracy.recipe import line
from automl_theory.analysis.columns import classes, described

POLICIES = {"drop": "left out of that proxy's n", "worst": "ranked last"}


def conditions(df: pd.DataFrame, ranking: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Return what makes published numbers for one and the same proxy differ, as (name, value) pairs.

    First the five: BatchNorm mode, initialisation, batch, sample of architectures, which accuracy. Then the network,
    what happened to undefined values, and with which versions it was scored. "not stated" where the table does not say.
    """
    told = _mapping(df.attrs.get("settings"))

    def of(*names: str) -> str:
        return ", ".join(f"{name} {_text(told[name])}" for name in names if name in told) or "not stated"

    seeds = df.attrs.get("seeds")
    start = of("init") + (f"; weight seeds {', '.join(map(str, seeds))}" if seeds else "")
    distinct = len(np.unique(classes(df)))
    space = f" of {_text(told['space'])}" if "space" in told else ""
    accuracy, policy = "none given", "not ranked"
    if ranking is not None:
        facts = ranking.attrs["ranking"]
        accuracy = f"{facts['target']}: {line(_mapping(df.attrs.get('accuracy')))}"
        policy = POLICIES.get(facts["undefined"], str(facts["undefined"]))
    rows = [
        ("BatchNorm", _text(told["bn"]) if "bn" in told else "not stated"),
        ("initialisation", start),
        ("batch", of("n", "data", "source", "resolution", "data_seed", "digest")),
        ("architectures", f"{len(df):,}{space}, {distinct:,} distinct"),
        ("accuracy", accuracy),
        ("network", ", ".join(f"{k} {v}" for k, v in _flat(_mapping(told.get("network")))) or "not stated"),
        ("undefined values", policy),
    ]
    if versions_then := list(_flat(_mapping(df.attrs.get("environment")))):
        rows.append(("scored with", ", ".join(f"{name} {value}" for name, value in versions_then)))
    return rows


def settings(df: pd.DataFrame) -> list[tuple[str, str]]:
    """Return `attrs["settings"]` as (name, value) pairs, nested names joined by dots, in their order."""
    return list(_flat(_mapping(df.attrs.get("settings"))))


def recipe(df: pd.DataFrame) -> list[tuple[str, str]]:
    """Return how the accuracies came about, `attrs["accuracy"]`, as (name, value) pairs."""
    return list(_flat(_mapping(df.attrs.get("accuracy"))))


def proxy_table(df: pd.DataFrame) -> list[dict[str, str]]:
    """Return what each proxy is: name, family, direction, unit, formula."""
    fields = ("family", "direction", "unit", "formula")
    return [{"name": n, **{f: str(entry.get(f, "")) for f in fields}} for n, entry in described(df).items()]


def versions() -> list[tuple[str, str]]:
    """Return the versions of what made this page."""
    found = [("python", platform.python_version())]
    for package in ("automl_theory", "numpy", "pandas", "scipy"):
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append((package, "not installed"))
    return found


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _flat(value: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _text(inner)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
