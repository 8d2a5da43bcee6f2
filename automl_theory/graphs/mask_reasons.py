"""Why a measure of a layer is None, and how grave that is: the status of a record."""

from __future__ import annotations

from typing import Any

from automl_theory.graphs.conventions import Convention
from automl_theory.graphs.full_spectrum import Coordinate
from automl_theory.graphs.mask_measures import MEASURES, MIXINGS, NESTED, OF_WEIGHTS


def status(record: dict[str, Any], rules: Convention, *, passes: bool) -> tuple[str, str | None]:
    """Return the layer's status, see `mask_measures.STATUSES`, and the reason in words, None for "ok"."""
    if not record["edges"]:
        return "collapsed", "no edge left"
    if not passes:
        left, right = record["edges"] / record["n_left"], record["edges"] / record["n_right"]
        return (
            "low_degree",
            f"mean degrees d_L = {left:.4g}, d_R = {right:.4g}; {rules.name} asks for {rules.whole_words}",
        )
    if not record["n_subgraphs"]:
        return "no_subgraphs", _no_subgraphs(rules)
    return "ok", None


def reasons(
    record: dict[str, Any], rules: Convention, *, weighted: str | None, initial: bool, baseline: bool
) -> dict[str, str]:
    """Return measure -> reason for all that are None.

    `weighted` says why there are no weighted measures at all (None where there are); `initial` and `baseline`, whether
    initial weights were given and the random-mask value wanted.
    """
    found = {name: _reason(name, record, rules, weighted, initial) for name in MEASURES if record[name] is None}
    if not baseline:
        found |= dict.fromkeys(("ramanujan_gap_random", "ramanujan_gap_excess"), "baseline=False left it out")
    if record["degrees"] is None:
        found["degrees"] = str(record["reason"])
    if record["coordinate"] is None:
        absent = next((axis for axis in Coordinate._fields if axis in found), None)
        found["coordinate"] = weighted or f"{absent} is undefined: {found.get(str(absent))}"
    for name in ("coordinate_length", "coordinate_distance"):
        if name in found and record["coordinate"] is None:
            found[name] = found["coordinate"]
    return found


def _reason(name: str, record: dict[str, Any], rules: Convention, weighted: str | None, initial: bool) -> str:
    if name in MIXINGS and not rules.mixing:
        return "a coefficient of neurips23 alone"
    if name in OF_WEIGHTS and weighted:
        return weighted
    if name == "coordinate_distance" and not initial:
        return "no initial weights were given"
    if not record["edges"]:
        return "no edge left"
    if name == "channel_overlap":
        return "no channel has an edge at every position"
    if name in NESTED and not record["n_subgraphs"]:
        return _no_subgraphs(rules)
    if name not in NESTED and record["status"] == "low_degree":
        return str(record["reason"])
    if name.endswith("_normalised") or name == "imdb_or_gap":
        return "the bound is zero, as of a perfect matching"
    if name in ("ramanujan_gap_per_group", "ramanujan_gap_excess"):
        return f"no group of its own meets {rules.whole_words}"
    return f"weights of exactly zero are no edges in {rules.name}, and those that are left have too low degrees"


def _no_subgraphs(rules: Convention) -> str:
    return f"no nested subgraph has {rules.nested_words}, as {rules.name} asks"
