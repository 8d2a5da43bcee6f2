"""What the page and the terminal say of the pruned-NTK study, before it is laid out."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from automl_theory.progress import duration
from automl_theory.studies import svg
from automl_theory.studies.page import Page, Part, text_table
from automl_theory.studies.pruned_ntk import figures
from automl_theory.studies.pruned_ntk.estimates import LEAST_READ
from automl_theory.studies.pruned_ntk.reproduce import Study

TITLE = "The NTK of randomly pruned networks, measured anew"
HEADS = ("statement", "predicted", "measured (95 %)", "verdict")
VERDICTS = ("agree", "differ", "cannot tell")
WORDS = {
    "factor": "Theorem 1: pruning multiplies the NTK by α^L",
    "rescaling": "Theorem 1: rescaling by α^(−1/2) removes the factor",
    "diagonal": "The diagonal is exact at every width",
    "variance": "The variance is affine in 1/α",
    "width": "The variance falls as 1/d",
    "flat": "Theorem 2: width in proportion to 1/α keeps the deviation flat",
}
"""Statement → its words as a heading."""

RULES = (
    "Agree: the interval lies wholly within the tolerance around the prediction.",
    "Differ: wholly outside of it.",
    "Cannot tell: it reaches to both sides, and more draws would tell; or too few pairs have enough weights.",
    "Intervals resample the drawn networks within each pair of keep probability and width. The means at all keep "
    "probabilities are asked at once, so that theirs are Bonferroni's.",
    "A statement agrees if all its estimates do, and differs if one does.",
)


def claims(study: Study) -> pd.DataFrame:
    """The estimates that have a prediction as the table of claims of `page.Page`."""
    rows = []
    for row in study.estimates[study.estimates["verdict"] != ""].to_dict("records"):
        where = f" at α = {row['keep']:g}" if math.isfinite(row["keep"]) else ""
        rows.append(
            {
                "section": WORDS[str(row["statement"])],
                "name": f"{row['quantity']}{where}",
                "paper": _predicted(row),
                "ours": row["value"],
                "low": row["low"],
                "high": row["high"],
                "n": 0,
                "verdict": row["verdict"],
                "why": _why(row),
            }
        )
    return pd.DataFrame(rows)


def _predicted(row: dict[Any, Any]) -> object:
    if row["statement"] == "variance":
        return f"≥ {row['predicted']:g}" if row["predicted"] else "above 0"
    return row["predicted"]


def _why(row: dict[Any, Any]) -> str:
    if math.isnan(row["value"]):
        return "There are too few pairs with enough weights to tell."
    if row["statement"] == "variance":
        held = {"agree": "the whole interval is", "differ": "none of the interval is"}
        return f"{held.get(str(row['verdict']), 'only a part of the interval is')} there".capitalize() + "."
    told = {"agree": "lies within", "differ": "lies outside of", "cannot tell": "reaches out of"}
    return f"The interval {told[str(row['verdict'])]} {svg.number(row['predicted'])} ± {row['tolerance']:g}."


def summary(study: Study) -> tuple[str, ...]:
    """What came out, in a few sentences."""
    counts = study.statements["verdict"].value_counts()
    said = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    told = [f"Of {len(study.statements)} statements on the NTK of {len(study.draws):,} pruned networks: {said}."]
    for verdict, words in (("differ", "Differs"), ("cannot tell", "Cannot be told")):
        named = [WORDS[name] for name in study.statements.loc[study.statements["verdict"] == verdict, "statement"]]
        told += [f"{words}: {'; '.join(named)}."] if named else []
    return tuple(told)


def page(study: Study, title: str = TITLE) -> Page:
    """The whole page."""
    statements = pd.DataFrame(
        {
            "statement": study.statements["statement"].map(WORDS),
            "verdict": study.statements["verdict"],
            "estimates": study.statements["estimates"],
        }
    )
    deepest = max(study.setup.widths)
    parts = (
        Part(
            "factor",
            "The factor, and its removal",
            (
                "A network keeps each weight with probability α. Each of the L masked layers multiplies the kernel by "
                f"α, so that a deep network's vanishes with α^{study.setup.depth}; rescaled weights bring it back.",
            ),
            (
                figures.draw_factor(study.cells, study.theta, study.setup.depth, deepest),
                figures.draw_means(study.cells),
            ),
            (text_table("The six statements", statements),),
        ),
        Part(
            "deviation",
            "How far a network is from the limit",
            (
                "The variance of the rescaled kernel grows with 1/α and falls with 1/d: what a masked neuron reads are "
                f"α d numbers. Both laws are of leading order, and are fitted where α d is at least {LEAST_READ}.",
            ),
            (
                figures.draw_affine(study.cells, study.estimates),
                figures.draw_widths(study.cells),
                figures.draw_flat(study.cells, study.setup),
            ),
        ),
        Part(
            "tables",
            "Tables",
            tables=(
                text_table("Every estimate", study.estimates, folded=True),
                text_table("Every pair of α and d, with standard errors", study.cells, folded=True, sortable=True),
            ),
        ),
    )
    return Page(
        title,
        summary(study),
        (
            "H. Yang, Z. Wang, “On the Neural Tangent Kernel Analysis of Randomly Pruned Neural Networks”, AISTATS "
            "2023. Two inputs of the authors, fully connected ReLU networks, Bernoulli masks on all layers but "
            "the first.",
        ),
        "The statements, and this run",
        HEADS,
        RULES,
        VERDICTS,
        claims(study),
        parts,
        facts(study),
    )


def facts(study: Study) -> tuple[tuple[str, str], ...]:
    """How the numbers came about, as (name, value): everything to run it again."""
    setup = study.setup
    return (
        ("networks", f"{len(study.draws):,}: {setup.draws} draws of each of {len(study.cells)} pairs (α, d)"),
        ("depth L", str(setup.depth)),
        ("keep probabilities α", ", ".join(f"{keep:g}" for keep in setup.keeps)),
        ("widths d", ", ".join(map(str, setup.widths))),
        ("seed", str(setup.seed)),
        ("Θ(x, y), infinitely wide and dense", repr(study.theta)),
        ("versions", ", ".join(f"{name} {version}" for name, version in study.about["versions"].items())),
        ("time", duration(study.seconds) if math.isfinite(study.seconds) else svg.number(math.nan)),
    )
