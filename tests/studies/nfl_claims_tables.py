"""Made-up tables of the study in which the answers are known: outcomes that follow depth and width, with noise."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.studies.no_free_lunch.intervals import Effort
from automl_theory.studies.no_free_lunch.measure import graph as measured_graph
from automl_theory.studies.no_free_lunch.published import DAGS_2022, TABLE_1

LITTLE = Effort(seed_draws=5, each=20)
SHARES = (0.0, 0.2, 0.5, 0.8)


@cache
def _graph() -> pd.DataFrame:
    return measured_graph(MlpDag(3).live())


def graph() -> pd.DataFrame:
    return _graph().copy()


def measured(noise: float = 0.05, seeds: int = 3, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """Curvature falls with P and rises with depth, NNGP the other way round, NTK rises with P."""
    shape, rng, parts = graph() if rows is None else rows, np.random.default_rng(0), []
    depth, paths = shape["depth"].to_numpy(), shape["paths"].to_numpy()
    for seed in range(seeds):
        drawn = noise * rng.normal(size=(5, len(shape)))
        parts.append(
            pd.DataFrame(
                {
                    "arch": shape["arch"],
                    "seed": seed,
                    "curvature": depth - paths + drawn[0],
                    "turning_angle": depth + drawn[1],
                    "nngp_lambda_min": paths - depth + drawn[2],
                    "ntk_lambda_90": paths + drawn[3],
                    "ntk_lambda_min": paths + drawn[4],
                    "status": "ok",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def trained(noise: float = 0.05, seeds: int = 3, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """Deeper fits better, is slower and has a larger gap; wider is faster and has a smaller gap: as in the paper."""
    shape, rng, parts = graph() if rows is None else rows, np.random.default_rng(1), []
    depth, paths = shape["depth"].to_numpy(), shape["paths"].to_numpy()
    for seed in range(seeds):
        drawn = noise * rng.normal(size=(3, len(shape)))
        parts.append(outcomes(shape["arch"], seed, 3 - depth, 4 + depth - paths / 2, 5 + depth - paths / 2, drawn))
    return pd.concat(parts, ignore_index=True)


def outcomes(names: object, seed: int, loss: object, epochs: object, gap: object, drawn: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({"arch": names, "seed": seed, "train_loss": loss, "epochs_to_50": epochs, "gap": gap})
    table[["train_loss", "epochs_to_50", "gap"]] += drawn.T
    return table.assign(converged=True, status="ok")


def exact() -> pd.DataFrame:
    """What the research notes measured: λ_min rises from DAG#1 to #3, and so does the condition number."""
    return pd.DataFrame(
        {
            "arch": DAGS_2022,
            "nngp_bound": [0.2, 0.9, 1.3],
            "nngp_lambda_min": [0.233, 0.973, 1.268],
            "nngp_condition_number": [95.0, 113.0, 136.0],
        }
    )


def extras(runs: pd.DataFrame) -> pd.DataFrame:
    """The single networks as trained; ensembles that are good in everything, worse the more of the wide part goes."""
    parts, rng = [], np.random.default_rng(2)
    for entry in TABLE_1:
        if entry.code is not None:
            mine = runs.loc[runs["arch"] == entry.code].assign(network=entry.name)
            parts.append(mine.assign(wide_pruning=np.nan, deep_pruning=np.nan))
    for wide in SHARES:
        for deep in SHARES:
            for seed in sorted(set(runs["seed"])):
                row = outcomes(["?"], seed, 1 + wide, 3 + wide, 4 + wide, 0.01 * rng.normal(size=(3, 1)))
                parts.append(row.assign(network="ensemble", wide_pruning=wide, deep_pruning=deep))
    return pd.concat(parts, ignore_index=True).drop(columns="arch")
