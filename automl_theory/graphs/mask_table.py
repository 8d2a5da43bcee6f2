"""The masks of a network as a table, a row a layer or a row a pair of consecutive layers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.errors import InputError, suggest
from automl_theory.graphs.bipartite import BipartiteGraph, bipartite
from automl_theory.graphs.channels import LayerPair, layer_pair
from automl_theory.graphs.conventions import convention_named
from automl_theory.graphs.mask_measures import FACTS, MEASURES
from automl_theory.graphs.mask_metrics import mask_metrics

_COUNTS = [name for name in FACTS if name not in ("degrees", "subgraph_degrees")]


def mask_table(
    masks: Mapping[str, Any],
    weights: Mapping[str, Any] | None = None,
    convention: str = "strict",
    *,
    initial: Mapping[str, Any] | None = None,
    groups: Mapping[str, int] | None = None,
    transposed: Collection[str] = (),
    baseline: bool = True,
) -> pd.DataFrame:
    """Return `mask_metrics` of every layer: one row a mask (index `layer`, as in the mapping), one column a measure.

    Args:
        masks: parameter name -> mask of that weight's shape.
        weights, initial: parameter name -> weight, now and at initialisation; more names than masks do no harm, so that
            `dict(net.named_parameters())` will do.
        convention, baseline: as `mask_metrics`.
        groups: parameter name -> groups of that convolution, 1 where not named; transposed: names of transposed ones.

    Columns: the counts and measures of `mask_metrics` (mean degrees as degree_left and degree_right; undefined is nan),
    then `status` and `reason` (empty for "ok"). A collapsed layer has its row. `attrs["reasons"]` is layer -> {measure:
    why it is nan}, `attrs["proxies"]` describes the measures like proxies (family "mask"), `attrs["convention"]` names
    the convention. The share of Ramanujan layers,
    undefined ones counted as not, is (table["ramanujan_gap"] > 0).mean().

    Errors: InputError for masks that are no mapping or empty, a mask without a weight where weights are given, names in
    `groups` or `transposed` that no mask has; those of `mask_metrics`, with the layer's name.
    """
    _check_masks(masks)
    for what, given in (("weights", weights), ("initial weights", initial)):
        absent = [] if given is None else [name for name in masks if name not in given]
        if absent:
            raise InputError(
                f"no {what} for the mask {absent[0]!r}; give {what} under the masks' names, as in "
                "dict(net.named_parameters())"
            )
    _check_names(masks, [*(groups or {}), *transposed])
    rows = []
    for name, mask in masks.items():
        try:
            record = mask_metrics(
                mask,
                None if weights is None else weights[name],
                convention,
                initial=None if initial is None else initial[name],
                groups=(groups or {}).get(name, 1),
                transposed=name in transposed,
                baseline=baseline,
            )
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        left, right = record["degrees"] or (None, None)
        rows.append(record | {"degree_left": left, "degree_right": right})
    numbers = ["degree_left", "degree_right", *MEASURES]
    table = pd.DataFrame(
        {name: [row[name] for row in rows] for name in _COUNTS}
        | {name: np.array([row[name] for row in rows], dtype=np.float64) for name in numbers}
        | {name: [row[name] or "" for row in rows] for name in ("status", "reason")},
        index=pd.Index(list(masks), name="layer", dtype=str),
    )
    table.attrs["convention"] = convention
    table.attrs["reasons"] = {name: row["reasons"] for name, row in zip(masks, rows, strict=True)}
    table.attrs["proxies"] = {
        name: {"family": "mask", "direction": direction, "unit": unit, "formula": formula}
        for name, (direction, unit, formula) in MEASURES.items()
    }
    return table


def mask_pairs(
    masks: Mapping[str, Any],
    pairs: Iterable[tuple[str, str]] | None = None,
    convention: str = "strict",
    *,
    groups: Mapping[str, int] | None = None,
    transposed: Collection[str] = (),
) -> pd.DataFrame:
    """Return throughput, compatibility and overlap of consecutive layers, see `graphs.channels`: one row a pair.

    `pairs` names them as (first, second); by default each mask and the next, which skips nothing: in a residual network
    name the pairs that the data takes. Columns first, second, throughput, compatibility, overlap (nan where undefined)
    and reason; a pair whose channels do not fit has a row that says so. "iclr23" gives the released code's values.

    Errors: InputError for masks that are no mapping or empty, a pair of names that no mask has, and the masks' own.
    """
    released = convention_named(convention).name == "iclr23"
    _check_masks(masks)
    chosen = list(zip(masks, list(masks)[1:], strict=False)) if pairs is None else [tuple(pair) for pair in pairs]
    if any(len(pair) != 2 for pair in chosen):
        raise InputError("expected pairs of layers (first, second); give two names each")
    _check_names(masks, [*(name for pair in chosen for name in pair), *(groups or {}), *transposed])
    graphs: dict[str, BipartiteGraph] = {}
    rows = []
    for first, second in chosen:
        for name in (first, second):
            if name not in graphs:
                graphs[name] = _graph(name, masks[name], (groups or {}).get(name, 1), name in transposed)
        try:
            found = layer_pair(graphs[first], graphs[second], released=released)
        except InputError as error:
            found = LayerPair(None, None, None, str(error))
        rows.append((first, second, *found))
    table = pd.DataFrame(rows, columns=["first", "second", *LayerPair._fields])
    return table.astype({"throughput": float, "compatibility": float, "overlap": float, "reason": object})


def _graph(name: str, mask: Any, groups: int, transposed: bool) -> BipartiteGraph:
    try:
        return bipartite(mask, groups=groups, transposed=transposed)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _check_masks(masks: Any) -> None:
    if not isinstance(masks, Mapping):
        raise InputError(f"expected masks as a mapping name -> array, got {type(masks).__name__}; give {{name: mask}}")
    if not masks:
        raise InputError("no masks were given; give at least one layer's")


def _check_names(masks: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if name not in masks:
            raise InputError(f"no mask is named {name!r}; give names of masks.{suggest(name, masks)}")
