"""What the page and the terminal say of the study, before it is laid out."""

from __future__ import annotations

import pandas as pd

from automl_theory.progress import duration
from automl_theory.report.contents import number_text
from automl_theory.studies.no_free_lunch import figures
from automl_theory.studies.no_free_lunch.architectures import OUTCOMES, by_architecture
from automl_theory.studies.no_free_lunch.parts import parts
from automl_theory.studies.no_free_lunch.runs import count_networks, count_runs
from automl_theory.studies.no_free_lunch.study import Study
from automl_theory.studies.page import Page, Part, Table, text_table

TITLE = "No free lunch in neural architectures, measured anew"
HEADS = ("claim", "the paper", "ours (95 %)", "verdict")
VERDICTS = ("agree", "differ", "cannot tell")
RULES = (
    "The same quantity measured anew, at initialisation: agree if the paper's value lies in an interval of ours no "
    "wider than 2/3; otherwise as the next.",
    "A correlation or a difference on other data: agree if the interval lies wholly on the paper's side of 0, differ "
    "if wholly on the other.",
    "A correlation that the paper gives below 0.2 in size claims no clear relation: agree if the interval lies within "
    "−1/3 and 1/3, differ if wholly outside.",
    "A rank: as a correlation, with the middle rank in place of 0.",
    "A named winner: agree if it is the best class and every other can be told from it, differ if it can be told from "
    "the best.",
    "An order: agree if every step goes the paper's way, differ if one goes the other way for sure.",
    "Nobody wins everything: agree if in at most 5 % of the resamples one class does, differ if in at least 95 %.",
    "Quantities that pull apart: agree if the interval of their τ lies below 0, differ if above.",
    "Whatever is left, runs that have not converged and intervals that cannot be given: cannot tell.",
)
SHOWN = (
    "canonical", "depth", "paths", "live_linear_edges", *OUTCOMES, "test_accuracy", "curvature", "turning_angle",
    "nngp_lambda_min", "ntk_lambda_90", "cell_ntk_lambda_min", "exact_nngp_lambda_min", "exact_ntk_lambda_min",
    "runs", "converged",
)  # fmt: skip


def page(study: Study, title: str = TITLE) -> Page:
    """The whole page."""
    architectures = by_architecture(study.graph, study.exact, study.measured, study.trained)
    return Page(
        title,
        study.summary,
        (
            "W. Chen, W. Huang, Z. Wang, “No Free Lunch in Neural Architectures?”, AutoML 2023. Here: "
            f"{study.about['data']['source']}.",
            "τ is Kendall's rank correlation. Where a claim is one, the line is our interval with our value, the "
            "diamond the paper's value, from −1 to 1. An interval is what resampling the classes of equal networks and "
            "the seeds leaves open.",
        ),
        "The paper, and this run",
        HEADS,
        RULES,
        VERDICTS,
        study.table,
        (*parts(study, architectures), Part("all", "All architectures", tables=(everything(architectures),))),
        facts(study),
    )


def everything(architectures: pd.DataFrame) -> Table:
    """All architectures as a sortable table of text."""
    table = architectures[[name for name in SHOWN if name in architectures.columns]].reset_index()
    shown = {name: table[name].map(number_text) if table[name].dtype.kind == "f" else table[name] for name in table}
    words = {name: "code" if name == "arch" else figures.in_words(str(name)) for name in table.columns}
    name = f"{len(table)} codes with their graph, measures and outcomes (means over seeds)"
    named = pd.DataFrame(shown).rename(columns=words)
    return text_table(name, named, sortable=True, folded=True, code=("code", "canonical"))


def facts(study: Study) -> tuple[tuple[str, str], ...]:
    """How the numbers came about, as (name, value): everything to run it again."""
    setup, about, counts = study.setup, study.about, count_runs(study.trained)
    classes = study.graph["canonical"].nunique()
    networks = count_networks(study.graph["arch"])
    rate = "one out of four an architecture" if setup.tune else f"{setup.learning_rate:g}"
    return (
        ("architectures", f"{len(study.graph)} codes of mlp_dag: {networks} networks that differ in a live edge, "
                          f"{classes} functions of their weights; equal networks are measured and trained once"),
        ("data", f"{about['data']['source']}; {setup.train_samples:,} of {about['data']['samples']:,} samples train"),
        ("training", f"width {setup.width}, {setup.epochs} epochs of SGD, batches of {setup.batch_size}, learning rate "
                     f"{rate}, seeds {', '.join(map(str, setup.seeds))}"),
        ("runs", f"{counts.runs:,}, of which {counts.not_converged:,} have not converged, {counts.diverged:,} "
                 f"diverged, {counts.never_halfway:,} never reached 50 % training accuracy"),
        ("at initialisation", f"width {setup.measure_width}, {setup.measure_inputs} inputs of norm 1, curve of "
                              f"{setup.points} points, {setup.measure_seeds} seeds"),
        ("settings", ", ".join(f"{name} {value}" for name, value in about["settings"].items())),
        ("data, sha256", about["data"]["sha256"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
        ("time", ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in study.seconds.items()) or "not kept"),
    )  # fmt: skip
