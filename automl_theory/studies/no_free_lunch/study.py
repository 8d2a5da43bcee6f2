"""What a run of the study found: tables, claims with verdicts, and how it all came about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.studies.no_free_lunch.claim import Claim
from automl_theory.studies.no_free_lunch.setup import Setup


@dataclass(frozen=True, eq=False)
class Study:
    """What a run found. Tables are as the folder holds them; `arch` is a column.

    graph     one row an architecture: canonical, depth, paths, linear edges, ...
    exact     one row an architecture: closed forms of infinite width, the stem's part as at `measure_width`
    measured  one row an architecture and seed: networks at initialisation
    trained   one row an architecture and seed: outcomes of training
    extras    one row a network and seed: ensembles and pruned ensembles (Table 1, Figure 7)
    curves    "arch", "seed" (N,), running training "loss" and "accuracy" (N, epochs)
    warnings  the three warnings: warning, quantity, value, expected
    claims    the paper's figures beside ours, each with a verdict; `table` holds them as a DataFrame
    summary   what came out, in a few sentences
    about     settings, data and versions that decided the numbers
    seconds   stage → how long it took in the session that finished it
    """

    setup: Setup
    folder: Path
    graph: pd.DataFrame
    exact: pd.DataFrame
    measured: pd.DataFrame
    trained: pd.DataFrame
    extras: pd.DataFrame
    curves: dict[str, Any]
    warnings: pd.DataFrame
    claims: tuple[Claim, ...]
    table: pd.DataFrame
    summary: tuple[str, ...]
    about: dict[str, Any]
    seconds: dict[str, float]
