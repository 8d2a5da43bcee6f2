"""One number a network out of one a layer, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_theory.errors import InputError
from automl_theory.graphs.mask_measures import MEASURES

Array = NDArray[np.float64]

HOW = ("defined", "edges", "worst")


def aggregate_masks(
    table: pd.DataFrame,
    how: str = "defined",
    *,
    measures: Iterable[str] | None = None,
    worst: float | Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return one row a measure of a network (index `measure`): its value over the layers, and what that rests on.

    Args:
        table: as `mask_table` returns it.
        how: "defined", the mean over the layers where the measure has a value, a layer of 27 inputs counting as much as
            one of 4,608 (the ICLR 2023 code); "edges", the same weighted by edges; "worst", the mean over all layers,
            an undefined one taken as bad as the worst defined one.
        measures: all by default.
        worst: for how="worst", the value of undefined layers, or measure -> value. Networks can be compared only if it
            is the same for all of them; 0.0 is what the NeurIPS 2023 code takes, and beats every negative gap.

    Columns: value (nan where no layer counts), std over the defined layers (nan below two), share_defined (of the
    layers), mean_layer_density and layers. Read the value beside the share and the density: which layers are defined
    depends on the pruning method, and the mean density of layers ranks published networks as well as IMDB does.

    Errors: InputError for an unknown `how` or measure, a table without measures or layers, `worst` without how="worst".
    """
    if how not in HOW:
        raise InputError(f"how={how!r} is not one of {', '.join(HOW)}; give one of them")
    if worst is not None and how != "worst":
        raise InputError(f'worst={worst!r} is read with how="worst" only; leave it out')
    if not isinstance(table, pd.DataFrame) or "density" not in table or not len(table):
        raise InputError("expected a table with a row a layer; make one with automl_theory.mask_table(masks)")
    names = [name for name in MEASURES if name in table] if measures is None else list(measures)
    unknown = [name for name in names if name not in MEASURES or name not in table]
    if unknown:
        raise InputError(f"the table has no measure {unknown[0]!r}; its measures are the keys of attrs['proxies']")
    edges = table["edges"].to_numpy(dtype=np.float64)
    rows = []
    for name in names:
        values = table[name].to_numpy(dtype=np.float64)
        defined = np.isfinite(values)
        known = values[defined]
        value = np.nan
        if how == "worst":
            bad = worst.get(name) if isinstance(worst, Mapping) else worst
            if bad is None:
                bad = (np.min if MEASURES[name][0] == "maximize" else np.max)(known) if len(known) else np.nan
            value = np.where(defined, values, bad).mean()
        elif how == "edges" and edges[defined].any():
            value = np.average(known, weights=edges[defined])
        elif how == "defined" and len(known):
            value = known.mean()
        std = known.std(ddof=1) if len(known) > 1 else np.nan
        rows.append((value, std, defined.mean(), table["density"].mean(), len(table)))
    columns = ["value", "std", "share_defined", "mean_layer_density", "layers"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(names, name="measure", dtype=str))
