"""Claims about named networks and about the best: winners, the order of three DAGs, fronts, conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from automl_theory.studies.no_free_lunch import published
from automl_theory.studies.no_free_lunch.agreement import agreement
from automl_theory.studies.no_free_lunch.claim import NAMES, Claim, Tables, won
from automl_theory.studies.no_free_lunch.fronts import PAPER, SOUND, class_front, front_table
from automl_theory.studies.no_free_lunch.intervals import Estimate, by_seed
from automl_theory.studies.no_free_lunch.published import ASPECTS
from automl_theory.studies.no_free_lunch.runs import outcome
from automl_theory.studies.no_free_lunch.verdicts import named_winner, no_one_wins, order, pull_apart
from automl_theory.studies.no_free_lunch.winners import class_values, steps, winner


def winners(given: Tables) -> list[Claim]:
    """Return the claims about the architecture that the paper names as best in an aspect."""
    section, found = "Named winners", []
    cases = [
        ("expressivity", given.measured, "curvature", True),
        ("expressivity", given.measured, "turning_angle", True),
        ("convergence", given.measured, "nngp_lambda_min", True),
        ("expressivity", given.trained, "train_loss", False),
        ("convergence", given.trained, "epochs_to_50", False),
    ]
    for aspect, table, column, maximize in cases:
        depth, paths = published.WINNERS[aspect]
        title = f"best in {aspect}, by {NAMES[column]}"
        here = given.graph.loc[(given.graph["depth"] == depth) & (given.graph["paths"] == paths), "canonical"]
        named = str(here.iloc[0]) if len(here) else ""
        paper = f"depth {depth:g}, P = {paths:g}"
        missing = given.why_missing(table, column) or ("" if named else "this network was left out")
        if missing or table is None:
            found.append(given.missing(section, title, f"{named} ({paper})" if named else paper, missing))
            continue
        values = by_seed(table, column) if maximize else outcome(table, column)
        best = winner(values, given.graph, maximize=maximize, effort=given.effort)
        shown = _only(best.classes if best else 0)
        ruling = given.judged(named_winner(named, best), column)
        found.append(given.claim(section, title, f"{named} ({paper})", won(best), shown, ruling))
    return found


def dags(given: Tables) -> list[Claim]:
    """Return the claims about the order of DAG#1, #2 and #3, by closed forms and by finite and trained networks."""
    section, found = "Three DAGs of the 2022 paper, three linear edges each", []
    given = replace(given, paper_data="MNIST and CIFAR-10")
    paper = "DAG#1 (chain) slowest, then DAG#2 (parallel), DAG#3 (mixed) fastest"
    for title, column, rising in (
        ("λ_min by the bound of Theorem 4.4", "nngp_bound", True),
        ("λ_min of the exact NNGP", "nngp_lambda_min", True),
        ("condition number of the exact NNGP, smaller being faster", "nngp_condition_number", False),
    ):
        values = [np.nan] if given.exact is None else _exactly(given.exact, column)
        if np.isnan(values).any():
            found.append(given.missing(section, title, paper, "this was not computed"))
            continue
        apart_by = [Estimate(b - a, b - a, b - a, 1) for a, b in pairwise(values)]
        found.append(given.claim(section, title, paper, _row(values), _only(3), order(rising, apart_by)))
    for title, table, column, rising in (
        ("λ_min of the NNGP of finite networks", given.measured, "nngp_lambda_min", True),
        ("epochs to 50 %, fewer being faster", given.trained, "epochs_to_50", False),
    ):
        if (missing := given.why_missing(table, column)) or table is None:
            found.append(given.missing(section, title, paper, missing))
            continue
        networks = outcome(table, column) if column in ASPECTS else by_seed(table, column)
        apart_by = steps(networks, given.graph, published.DAGS_2022, given.effort)
        if not all(step.n for step in apart_by):
            found.append(given.missing(section, title, paper, "one of the three has no value"))
            continue
        canonical = given.graph.set_index("arch")["canonical"].loc[list(published.DAGS_2022)]
        means = class_values(networks, given.graph).mean(axis=1).loc[canonical.to_numpy()]
        ruling = given.judged(order(rising, apart_by), column)
        found.append(given.claim(section, title, paper, _row(means.tolist()), _only(apart_by[0].n), ruling))
    return found


def _exactly(exact: pd.DataFrame, column: str) -> list[float]:
    known = exact.set_index("arch")[column] if column in exact else pd.Series(dtype=np.float64)
    return [float(known.get(code, np.nan)) for code in published.DAGS_2022]


def _only(n: int) -> Estimate:
    """No interval: the claim is in words."""
    return Estimate(np.nan, np.nan, np.nan, n)


def _row(values: Sequence[float]) -> str:
    text = f"{values[0]:.3g}"
    for a, b in pairwise(values):
        text += f" {'<' if a < b else '>' if a > b else '='} {b:.3g}"
    return text


def fronts(given: Tables) -> list[Claim]:
    """Return the claims that nobody is best in all three aspects, at initialisation and after training."""
    section, found = "No architecture wins all three", []
    words = "no one wins"
    if given.measured is None:
        found.append(given.missing(section, "front at initialisation", words, "this was not measured"))
    else:
        triples = [columns for columns in (PAPER, SOUND) if set(columns) <= set(given.measured)]
        for row in front_table(given.measured, given.graph, triples, effort=given.effort).to_dict("records"):
            edges = {"all": "all networks", "1": "1 linear edge"}.get(
                row["linear_edges"], f"{row['linear_edges']} linear edges"
            )
            title = f"front of {NAMES[row['expressivity']]}, NNGP and {NAMES[row['generalization']]}: {edges}"
            ours = f"{row['size']} of {row['networks']} networks, {row['class_size']} of {row['classes']} classes"
            shown = Estimate(row["class_size"], row["low"], row["high"], row["classes"])
            ruling = no_one_wins(row["one_wins"], row["classes"], given.effort.level)
            found.append(given.claim(section, title, words, ours, shown, ruling))
    title = "front of the three outcomes of training"
    if given.trained is None:
        return [*found, given.missing(section, title, words, "nothing was trained")]
    tables = [outcome(given.trained, name) for name in ASPECTS]
    whole = np.logical_and.reduce([table.notna().all(axis=1).to_numpy() for table in tables])
    size, one = class_front([table.loc[whole] for table in tables], given.graph, maximize=False, effort=given.effort)
    ours = f"{size.value:.0f} of {size.n} classes"
    ruling = given.judged(no_one_wins(one, size.n, given.effort.level), *ASPECTS)
    return [*found, given.claim(section, title, words, ours, size, ruling)]


def conflicts(given: Tables) -> list[Claim]:
    """Return the claims that expressivity pulls against convergence and generalization."""
    section, found, words = "Aspects pull apart, per network", [], "against each other"
    for table, first, second in (
        (given.measured, "curvature", "nngp_lambda_min"),
        (given.measured, "curvature", "ntk_lambda_90"),
        (given.measured, "turning_angle", "nngp_lambda_min"),
        (given.trained, "train_loss", "epochs_to_50"),
        (given.trained, "train_loss", "gap"),
    ):
        title = f"τ of {NAMES[first]} and {NAMES[second]}"
        missing = given.why_missing(table, first) or given.why_missing(table, second)
        if missing or table is None:
            found.append(given.missing(section, title, words, missing))
            continue
        one, other = (outcome(table, name) if name in ASPECTS else by_seed(table, name) for name in (first, second))
        ours = agreement(one, other, given.graph, paired=True, effort=given.effort)
        ruling = given.judged(pull_apart(ours), first, second)
        found.append(given.claim(section, title, words, ours.value, ours, ruling))
    return found
