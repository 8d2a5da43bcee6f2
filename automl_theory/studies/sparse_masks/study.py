"""What a run of the study found: tables, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.studies.sparse_masks.setup import Setup


@dataclass(frozen=True, eq=False)
class Study:
    """What a run found; each table is `<name>.csv` in the folder. Accuracies in %, losses in nats, undefined nan.

    `density` is the share of all prunable weights that a mask keeps, a layer's own is `layer_density`. Columns network,
    method, density and seed say what a row is of, where there are such.

    masks         one row a mask: weights and kept; epochs_before (of trainings before
                  the sparse one, those of all rounds for rewound) and epochs (sparse); train_loss,
                  test_loss, train_accuracy, test_accuracy, late_gain, converged and status (`train`); throughput,
                  compatibility and overlap (means over consecutive layers); and all measures (`measure.of_networks`)
    layers        one row a mask, convention and layer (`measure.layer_records`)
    dense         one row a network and seed: outcomes of the unpruned network
    doubled       first seed's masks: test_accuracy and train_loss, and doubled_… after twice the epochs
    grid          at initialisation, over finer densities: means over the layers where defined, `largest_narc` of the
                  largest layer, …__defined shares of the layers
    crossings     where on that grid NaRC crosses zero (`series.crossings`)
    degenerating  one row a layer, draw and share of edges rewired (`series.rewired`)
    followed      one row a training (network, start, mover, seed) and time (step, epoch): test_accuracy, changed (share
                  of kept weights that are not in the first mask), means of measures over layers where defined;
                  weighted_gap_normalised is λ/σ1(|W|) (`dynamic`)
    about         settings, data and versions that decided the numbers
    seconds       stage → how long it took in the session that finished it
    """

    setup: Setup
    folder: Path
    masks: pd.DataFrame
    layers: pd.DataFrame
    dense: pd.DataFrame
    doubled: pd.DataFrame
    grid: pd.DataFrame
    crossings: pd.DataFrame
    degenerating: pd.DataFrame
    followed: pd.DataFrame
    about: dict[str, Any]
    seconds: dict[str, float]
