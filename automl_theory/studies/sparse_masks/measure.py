"""What is measured of a mask: a record a layer in three conventions, and numbers a network made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from automl_theory.graphs.mask_measures import MEASURES
from automl_theory.graphs.mask_table import mask_pairs, mask_table
from automl_theory.pruning.masks import Masks, graph_settings

CONVENTIONS = ("strict", "iclr23", "neurips23")
TRAINED = ("weighted_gap", "nested_weighted_gap", "coordinate_length")
"""Measured of the weights after training too, as `<name>_trained`."""

DIFFERING = (
    "sigma2", "ramanujan_gap", "ramanujan_gap_normalised", "narc", "imdb", "imdb_normalised", "imdb_or_gap",
    "weighted_gap", "nested_weighted_gap", "coordinate_length",
)  # fmt: skip
"""Measures whose values in the released codes' conventions stand beside the strict ones."""

STRICT = tuple(name for name in MEASURES if "mixing" not in name)
ALL = (*STRICT, *(f"{name}_trained" for name in TRAINED), "coordinate_distance_start")
KEYS = ["network", "method", "density", "seed"]

Weights = Mapping[str, Tensor]


def layer_records(net: nn.Module, masks: Masks, initial: Weights, start: Weights, trained: Weights) -> pd.DataFrame:
    """Return one row a convention and layer: `mask_table` of the weights training starts from, and what training did.

        coordinate_distance_start   ‖c(start) - c(initial)‖: 0 for methods at initialisation
        coordinate_distance         ‖c(trained) - c(initial)‖, both of the same mask
        <name>_trained              of `TRAINED`, with the trained weights; strict alone, as the row above

    `density` of the table is `layer_density` here, and the reason of a layer that has all its values is "none".
    """
    settings = graph_settings(net, masks)
    tables = []
    for convention in CONVENTIONS:
        strict = convention == "strict"
        table = mask_table(masks, start, convention, initial=initial, baseline=strict, **settings)
        table = table.rename(columns={"density": "layer_density", "coordinate_distance": "coordinate_distance_start"})
        if strict:
            after = mask_table(masks, trained, convention, initial=initial, baseline=False, **settings)
            table["coordinate_distance"] = after["coordinate_distance"]
            for name in TRAINED:
                table[f"{name}_trained"] = after[name]
        table["reason"] = table["reason"].where(table["reason"] != "", "none")
        tables.append(table.reset_index().assign(convention=convention))
    return pd.concat(tables, ignore_index=True)


def pair_means(net: nn.Module, masks: Masks) -> dict[str, float]:
    """Throughput, compatibility and overlap of consecutive layers, each the mean over the pairs where it is defined."""
    table = mask_pairs(masks, **graph_settings(net, masks))
    names = ("throughput", "compatibility", "overlap")
    return {name: float(np.mean(known)) if len(known := table[name].dropna()) else np.nan for name in names}


def of_networks(layers: pd.DataFrame) -> pd.DataFrame:
    """Return one row a mask (`KEYS`), in the order they come: its layers' records as numbers of the network.

    <measure>             mean over the layers where it is defined
    <measure>__edges      the same, weighted by edges
    <measure>__worst      mean over all layers, an undefined one as bad as the worst of any layer of that network
                          in the table: the same for all masks, so that they can be compared
    <measure>__defined    share of the layers where it is defined
    <measure>__iclr23, __neurips23   of `DIFFERING`: the mean over the layers where that convention defines it
    layers, layers_collapsed, mean_layer_density, min_layer_density, share_ramanujan (Δr > 0; undefined: not)
    """
    strict = layers[layers["convention"] == "strict"].reset_index(drop=True)
    keys = [strict[name] for name in KEYS]
    values, edges = strict[list(ALL)], strict["edges"].astype(float)

    def mean(table: pd.DataFrame) -> pd.DataFrame:
        return table.groupby(keys, sort=False).mean()

    weight = values.notna().mul(edges, axis=0).groupby(keys, sort=False).sum()
    by_edges = values.mul(edges, axis=0).groupby(keys, sort=False).sum() / weight.where(weight > 0)
    grouped = values.groupby(strict["network"])
    worst = pd.DataFrame(
        {name: grouped[name].transform("min" if _direction(name) == "maximize" else "max") for name in ALL}
    )
    found = [
        pd.DataFrame(
            {
                "layers": edges.groupby(keys, sort=False).size(),
                "layers_collapsed": (edges == 0).groupby(keys, sort=False).sum(),
                "mean_layer_density": strict["layer_density"].groupby(keys, sort=False).mean(),
                "min_layer_density": strict["layer_density"].groupby(keys, sort=False).min(),
                "share_ramanujan": (values["ramanujan_gap"] > 0).groupby(keys, sort=False).mean(),
            }
        ),
        mean(values),
        by_edges.add_suffix("__edges"),
        mean(values.fillna(worst)).add_suffix("__worst"),
        mean(values.notna().astype(float)).add_suffix("__defined"),
    ]
    for convention in CONVENTIONS[1:]:
        part = layers[layers["convention"] == convention]
        found.append(part.groupby(KEYS, sort=False)[list(DIFFERING)].mean().add_suffix(f"__{convention}"))
    return pd.concat(found, axis=1).reset_index()


def _direction(name: str) -> str:
    return MEASURES[name.removesuffix("_trained").removesuffix("_start")][0]


def defined_means(table: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    """Mean of each measure over the layers of one mask where it is defined; nan where it is nowhere."""
    return {name: float(table[name].mean()) for name in names}


def packed(table: pd.DataFrame) -> dict[str, Any]:
    """The columns of a table as arrays, words as such of fixed length, to be stored without pickle."""
    return {
        str(name): table[name].to_numpy() if table[name].dtype.kind in "ifb" else np.array([*map(str, table[name])])
        for name in table
    }
