"""One row an architecture: its graph, the closed forms, the means over seeds of what was measured and trained."""

from __future__ import annotations

import pandas as pd

from automl_theory.studies.no_free_lunch.runs import usable

OUTCOMES = ("train_loss", "epochs_to_50", "gap")
"""The paper's stand-ins for expressivity, convergence and generalization; all three are good when small."""

MEASURES = (
    "curvature",
    "turning_angle",
    "curve_length",
    "nngp_lambda_min",
    "nngp_lambda_90",
    "nngp_condition_number",
    "ntk_lambda_min",
    "ntk_lambda_90",
    "ntk_condition_number",
    "cell_ntk_lambda_min",
    "stem_share",
)
TRAINED = (*OUTCOMES, "test_loss", "train_accuracy", "test_accuracy")


def by_architecture(
    graph: pd.DataFrame, exact: pd.DataFrame, measured: pd.DataFrame, trained: pd.DataFrame
) -> pd.DataFrame:
    """Return one row for each row of `graph` (index `arch`), in its order.

    Columns: those of `graph`; those of `exact` with the prefix exact_; means over seeds of `MEASURES` (of the seeds
    that have a value) and of `TRAINED` (of the runs that did not diverge, see
    `runs.usable`); `runs`, how many those are, and `converged`,
    how many of them did.
    """
    table = graph.set_index("arch")
    table = table.join(exact.set_index("arch").add_prefix("exact_"))
    table = table.join(measured.groupby("arch")[[name for name in MEASURES if name in measured.columns]].mean())
    fine = usable(trained)
    table = table.join(fine.groupby("arch")[list(TRAINED)].mean())
    counts = fine.groupby("arch")["converged"].agg(runs="size", converged="sum")
    table[["runs", "converged"]] = counts.reindex(table.index, fill_value=0).astype(int)
    return table
