"""Claims that are rank correlations: the theory panel, the outcomes of training, and Figure 6 between the two."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from automl_theory.studies.no_free_lunch import published
from automl_theory.studies.no_free_lunch.agreement import agreement
from automl_theory.studies.no_free_lunch.claim import NAMES, OF, Claim, Tables
from automl_theory.studies.no_free_lunch.groups import GRAPH, Level, depth_width
from automl_theory.studies.no_free_lunch.intervals import NOTHING, Estimate, by_seed
from automl_theory.studies.no_free_lunch.runs import count_runs, outcome
from automl_theory.studies.no_free_lunch.verdicts import CANNOT, anew, correlation


def theory(given: Tables) -> list[Claim]:
    """Return the claims of the theory panel, by group means as the paper and per network."""
    found = []
    for level in ("groups", "networks"):
        section = f"Theory at initialisation, {OF[level]}"
        for measure, figures in (*published.THEORY.items(), ("ntk_lambda_min", published.THEORY["ntk_lambda_90"])):
            taus = _taus(given, given.measured, measure, level)
            for (name, ours), paper in zip(taus.items(), figures, strict=True):
                title = f"τ of {NAMES[measure]} with {NAMES[name]}"
                if not ours.n:
                    found.append(given.missing(section, title, paper, "this was not measured"))
                else:
                    found.append(given.number(section, title, paper, ours, anew(paper, ours)))
    return found


def training(given: Tables) -> list[Claim]:
    """Return the claims about outcomes of training with depth and width, by group means and per network."""
    found = []
    for level in ("groups", "networks"):
        section = f"Training, {OF[level]}"
        for name, by_data in published.OUTCOMES.items():
            for which, paper in zip(GRAPH, by_data[given.paper_data], strict=True):
                title = f"τ of {NAMES[name]} with {NAMES[which]}"

                def measure(values: pd.DataFrame, level: Level = level, which: str = which) -> Estimate:
                    return depth_width(values, given.graph, level, effort=given.effort)[which]

                found.append(_of_outcome(given, section, title, paper, name, measure))
    return found


def figure_6(given: Tables) -> list[Claim]:
    """Return the claims about how well a measure foretells its outcome."""
    section, found = "Figure 6: theory against training, per network", []
    for measure, name, paper in published.PER_NETWORK:
        title = f"τ of {NAMES[measure]} and {NAMES[name]}"
        if (missing := given.why_missing(given.measured, measure)) or given.measured is None:
            found.append(given.missing(section, title, paper, missing))
            continue
        values = by_seed(given.measured, measure)

        def agree(outcomes: pd.DataFrame, values: pd.DataFrame = values) -> Estimate:
            return agreement(values, outcomes, given.graph, effort=given.effort)

        found.append(_of_outcome(given, section, title, paper, name, agree))
    return found


def _of_outcome(
    given: Tables,
    section: str,
    title: str,
    paper: float,
    name: str,
    estimate: Callable[[pd.DataFrame], Estimate],
) -> Claim:
    """A correlation of an outcome of training; with runs that have not converged, asked twice."""
    if given.trained is None:
        return given.missing(section, title, paper, "nothing was trained")
    ours = estimate(outcome(given.trained, name))
    verdict, why = given.judged(correlation(paper, ours), name)
    open_runs = count_runs(given.trained).not_converged
    if open_runs and name != "epochs_to_50" and verdict != CANNOT:
        other = correlation(paper, estimate(outcome(given.trained, name, converged_only=True)))[0]
        if other != verdict:
            verdict, why = CANNOT, f"Without the {open_runs} runs that have not converged the verdict is “{other}”."
    return given.number(section, title, paper, ours, (verdict, why))


def _taus(given: Tables, table: pd.DataFrame | None, column: str, level: Level) -> dict[str, Estimate]:
    if table is None or column not in table:
        return dict.fromkeys(GRAPH, NOTHING)
    return depth_width(by_seed(table, column), given.graph, level, effort=given.effort)
