"""The parts of the page below the claims: figures, tables and what they show."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from automl_theory.report.contents import number_text, signed
from automl_theory.studies.charts import draw_lines
from automl_theory.studies.no_free_lunch import figures
from automl_theory.studies.no_free_lunch.architectures import OUTCOMES
from automl_theory.studies.no_free_lunch.fronts import PAPER, SOUND, front, front_table, overlap_table
from automl_theory.studies.no_free_lunch.groups import depth_width, depth_width_table
from automl_theory.studies.no_free_lunch.intervals import Effort, Estimate
from automl_theory.studies.no_free_lunch.published import outcomes_table
from automl_theory.studies.no_free_lunch.runs import outcome
from automl_theory.studies.no_free_lunch.study import Study
from automl_theory.studies.no_free_lunch.table1 import sweep, table_1
from automl_theory.studies.page import Part, Table, text_table

DEPTH = ("mean path depth", "0", "3")
"""What the colour of a dot stands for."""

THEORY = ("curvature", "turning_angle", "nngp_lambda_min", "ntk_lambda_90", "ntk_lambda_min", "ntk_condition_number")
FIGURE_6 = (
    ("curvature", "train_loss"),
    ("nngp_lambda_min", "epochs_to_50"),
    ("ntk_lambda_90", "gap"),
    ("turning_angle", "train_loss"),
    ("cell_ntk_lambda_min", "gap"),
)
NAMED = {
    "2_02_002": "chain",
    "1_01_222": "parallel",
    "2_21_112": "mixed",
    "2_22_221": "best single of Table 1",
    "1_22_221": "wide of Table 1",
    "1_11_121": "four paths, one linear edge",
}
"""Architectures that the papers name, and the words for their training curves."""


def parts(study: Study, architectures: pd.DataFrame) -> tuple[Part, ...]:
    """The page's parts below the claims, in their order; some are empty where nothing of the kind was trained."""
    return (
        Part(
            "planes",
            "Depth, width and what training gave",
            ("Each circle is a group of architectures with the same mean path depth and number of paths. Stronger "
             "colour is a larger mean, a larger circle more spread in it. In all three outcomes small is good.",),
            tuple(figures.draw_plane(figures.plane_data(architectures, name)) for name in OUTCOMES),
            (_four_data_sets(study),),
        ),
        Part(
            "theory",
            "Depth, width and the measures at initialisation",
            ("The same plane for what the paper's theory speaks of, and for two measures that it does not plot: the "
             "turning angle, which does not depend on the scale of the output, and the true smallest eigenvalue.",),
            tuple(figures.draw_plane(figures.plane_data(architectures, name)) for name in THEORY),
            (_at_each_size(study),),
        ),
        Part(
            "per-network",
            "Does a measure foretell its outcome?",
            ("A dot is an architecture. Group means hide how little a measure may say of a single network.",),
            tuple(figures.draw_scatter(figures.scatter_data(architectures, x, y)) for x, y in FIGURE_6),
            colours=DEPTH,
        ),
        _fronts(study, architectures),
        _table_1(study),
        _sweep(study),
        _curves(study),
        _warnings(study),
    )  # fmt: skip


def _four_data_sets(study: Study) -> Table:
    table = outcomes_table()
    ours = []
    for row in table[["outcome", "with"]].itertuples(index=False):
        values = outcome(study.trained, str(row[0]))
        ours.append(_estimate(depth_width(values, study.graph, "groups")[str(row[1])]))
    table["outcome"] = table["outcome"].map(figures.in_words)
    table["with"] = table["with"].map({"depth": "depth", "paths": "P"})
    papers = table.columns[2:]
    table[papers] = table[papers].map(signed)
    table.insert(2, "ours", ours)
    return text_table("τ of the group means: ours, and the paper's on its four data sets", table)


def _at_each_size(study: Study) -> Table:
    found = depth_width_table(study.measured, PAPER, study.graph, effort=Effort(1, 1))
    found = found[(found["level"] == "networks") & (found["edges"] != "2 or more")]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in found.to_dict("records"):
        words = figures.in_words(str(row["quantity"])), "P" if row["with"] == "paths" else "depth"
        cells = rows.setdefault(words, {"measure": words[0], "τ with": words[1]})
        cells["all" if row["edges"] == "all" else f"{row['edges']} linear"] = signed(float(row["tau"]))
    return text_table("Network by network, at every number of linear edges", pd.DataFrame(list(rows.values())))


def _estimate(found: Estimate) -> str:
    return signed(found.value) + ("" if np.isnan(found.low) else f" ({signed(found.low)} to {signed(found.high)})")


def _fronts(study: Study, architectures: pd.DataFrame) -> Part:
    charts = []
    for columns in (PAPER, SOUND):
        codes = front(study.measured, study.graph, columns)
        data = figures.front_data(architectures, columns, codes)
        charts += [figures.draw_front(data)] if len(data.table) else []
    sizes = front_table(study.measured, study.graph)
    overlap = overlap_table(study.measured, study.graph)
    triple = sizes[["expressivity", "generalization"]].apply(lambda row: " · ".join(map(figures.in_words, row)), axis=1)
    said = pd.DataFrame(
        {
            "besides λmin of the NNGP": triple,
            "linear edges": sizes["linear_edges"],
            "codes": sizes["networks"],
            "on the front": sizes["size"],
            "classes": sizes["classes"],
            "classes on the front": sizes["class_size"],
            "interval": _intervals(sizes),
        }
    )
    shared = pd.DataFrame(
        {
            "measures": overlap["first"].map(figures.in_words) + " · " + overlap["second"].map(figures.in_words),
            "in both best tenths": overlap["shared"].astype(str) + " of " + overlap["of"].astype(str),
            "τ of the two": overlap["kendall"].map(signed),
        }
    )
    return Part(
        "fronts",
        "No free lunch: the Pareto fronts",
        ("An architecture is on the front if no other is at least as good in all three measures and better in one. One "
         "architecture that won everything would be alone on it.",),
        tuple(charts),
        (text_table("Size of the front, at every number of linear edges", said),
         text_table("What the best tenths share", shared)),
        ("Codes of one class are one function with other weights, so that the front of the classes is the fairer "
         "count; its interval is over seeds.",),
        colours=DEPTH,
    )  # fmt: skip


def _table_1(study: Study) -> Part:
    ranks = table_1(study.extras, study.trained)
    rows: dict[str, dict[str, str]] = {}
    for row in ranks.to_dict("records"):
        cell = rows.setdefault(str(row["label"]), {"network": str(row["label"])})
        words = "sum of ranks" if row["outcome"] == "total" else figures.in_words(str(row["outcome"]))
        cell[words], cell[f"{words} (paper)"] = _spread(row["rank"], row["low"], row["high"]), str(row["paper"])
    n = int(ranks["n"].max()) if len(ranks) else 0
    return Part(
        "table-1",
        "Table 1: can an ensemble win all three?",
        (f"Ranks among the live networks ({n} here; 1 is the best), averaged over seeds, with Student's interval. The "
         "smaller the sum, the better the compromise." + _untuned(study),),
        tables=(text_table("Ranks", pd.DataFrame(list(rows.values()))),) if rows else (),
    )  # fmt: skip


def _untuned(study: Study) -> str:
    rate = f" These were trained at the rate {study.setup.learning_rate:g}, those they are ranked among at their own."
    return rate if study.setup.tune else ""


def _sweep(study: Study) -> Part:
    grid = sweep(study.extras, study.trained)
    charts = []
    for along, by, words in (("wide_pruning", "deep_pruning", ("wide", "deep")),
                             ("deep_pruning", "wide_pruning", ("deep", "wide"))):  # fmt: skip
        lines = figures.sweep_data(grid, along, by)
        if lines and len(lines[0].x) > 1:
            title = f"Pruning the {words[0]} part"
            beneath = f"a line for each share pruned of the {words[1]} part; band: all seeds"
            labels = (f"% of the {words[0]} part's weights pruned", "sum of ranks")
            charts.append(draw_lines(lines, f"sweep-{along}", title, beneath, labels))
    return Part(
        "sweep",
        "Figure 7: how much to prune",
        ("The ensemble of the wide and the deep network, sharing nodes, with a share of the weights of either part "
         "removed at random before training. Smaller is better." + _untuned(study),),
        tuple(charts),
    )  # fmt: skip


def _curves(study: Study) -> Part:
    here = set(map(str, study.curves["arch"]))
    named = {code: words for code, words in NAMED.items() if code in here}
    charts = []
    for column, words, log in (
        ("loss", "running training loss", True),
        ("accuracy", "running training accuracy", False),
    ):
        lines = figures.curve_data(study.curves, named, column)
        if lines:
            beneath = "mean over seeds; band: all seeds"
            labels = ("epoch", "loss (nats)" if log else "accuracy (%)")
            charts.append(
                draw_lines(lines, f"curves-{column}", words.capitalize(), beneath, labels, log=(True, log), dots=False)
            )
    listed = ", ".join(f"{words} {code}" for code, words in named.items())
    return Part("curves", "Training curves of named architectures", (f"Shown: {listed}.",), tuple(charts))


def _warnings(study: Study) -> Part:
    told = {
        "curvature": "1. Curvature is inverse output scale",
        "stem": "2. The stem dominates the tangent kernel at unit-norm inputs",
        "condition": "3. The condition number reverses the preference for width",
    }
    tables = []
    for key, rows in study.warnings.groupby("warning", sort=False):
        table = pd.DataFrame({"quantity": rows["quantity"], "measured": rows["value"].map(number_text)})
        if rows["expected"].notna().any():
            table["expected"] = rows["expected"].map(number_text)
        tables.append(text_table(told.get(str(key), str(key)), table))
    return Part(
        "warnings",
        "Three warnings about the measures",
        (
            "Multiply the output by three, and the curvature falls to a third. Take all ReLUs away, and the network "
            "is linear; the curvature falls by about the scale that goes with them. The turning angle does not see the "
            "scale.",
            "At inputs of norm 1 with many pixels the first layer's weights supply most of the trace of the NTK, so "
            "that its eigenvalues say mostly how steep the output is, which curvature says the other way round.",
            "A large λmin and a small condition number are both called good for training. The first likes many paths; "
            "a positive τ of the second means that it likes few.",
        ),
        tables=tuple(tables),
    )


def _intervals(table: pd.DataFrame) -> list[str]:
    ends = zip(table["low"], table["high"], strict=True)
    return ["" if np.isnan(low) else f"{number_text(low)} to {number_text(high)}" for low, high in ends]


def _spread(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f}" if math.isnan(low) else f"{value:.0f} ({low:.0f} to {high:.0f})"
