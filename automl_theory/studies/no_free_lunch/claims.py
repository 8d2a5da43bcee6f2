"""The paper's claims one by one: its figure, ours with an interval, and agree, differ or cannot tell.

The rules are those of `verdicts`, one a kind of claim. Inputs that are missing (nothing trained, no ensembles, too few
networks for an interval, runs that have not converged; see `runs`) make a claim "cannot tell", with the reason. Where
some runs have not converged, a correlation with a loss stands only if the converged runs alone give the same verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import pandas as pd

from automl_theory.studies.no_free_lunch.claim import Claim, Tables
from automl_theory.studies.no_free_lunch.claims_correlations import figure_6, theory, training
from automl_theory.studies.no_free_lunch.claims_ensembles import figure_7, ranked
from automl_theory.studies.no_free_lunch.claims_networks import conflicts, dags, fronts, winners
from automl_theory.studies.no_free_lunch.intervals import EFFORT, Effort
from automl_theory.studies.no_free_lunch.published import TINY, data_set
from automl_theory.studies.no_free_lunch.runs import count_networks, count_runs

VERDICTS = ("agree", "differ", "cannot tell")

__all__ = ["Claim", "claims", "claims_table", "summary"]


def claims(
    trained: pd.DataFrame | None,
    measured: pd.DataFrame | None,
    exact: pd.DataFrame | None,
    graph: pd.DataFrame,
    extras: pd.DataFrame | None = None,
    *,
    data: str = "digits",
    tuned: bool = False,
    effort: Effort = EFFORT,
) -> list[Claim]:
    """Return every claim, by section.

    trained, measured, exact, graph, extras   the study's tables; None or empty: not there
    data     the name of the data that was trained and measured on; decides, with `tuned`, which of the paper's data
             sets stands beside the outcomes of training
    tuned    whether each architecture was trained at its own learning rate; the extras are not, and `data` says so

    Errors: InputError for two rows of one run, or an architecture that is not in `graph`.
    """
    given = Tables(_there(trained), _there(measured), _there(exact), _there(extras), graph, data, TINY, effort)
    at_one_rate = replace(given, data=f"{data}, the ensembles at one rate") if tuned else given
    trained_on = replace(given, paper_data=data_set(data, tuned))
    return [
        *theory(given),
        *training(trained_on),
        *figure_6(given),
        *winners(given),
        *dags(given),
        *fronts(given),
        *conflicts(given),
        *ranked(at_one_rate),
        *figure_7(at_one_rate),
    ]


def claims_table(found: Sequence[Claim]) -> pd.DataFrame:
    """Return the claims as a table, one row each, columns as the fields of `Claim`."""
    return pd.DataFrame([asdict(claim) for claim in found], columns=list(Claim.__dataclass_fields__))


def summary(found: Sequence[Claim], trained: pd.DataFrame | None = None) -> list[str]:
    """Return what came out, as sentences: the counts, those by section, what differs, and what the runs were.

    trained   the trained table, for the last of these; None leaves it out
    """
    lines = [f"Of {len(found)} figures and claims of the paper, {_counted(found)}."]
    sections = dict.fromkeys(claim.section for claim in found)
    parts = (f"{name.lower()} {_short([claim for claim in found if claim.section == name])}" for name in sections)
    lines.append(f"Agree, differ, cannot tell: {'; '.join(parts)}.")
    against = [f"{claim.name} ({claim.section.lower()})" for claim in found if claim.verdict == "differ"]
    if against:
        lines.append(f"What differs: {'; '.join(against)}.")
    counts = count_runs(trained)
    if trained is not None and counts.runs:
        networks = count_networks(sorted(set(trained["arch"])))
        lines.append(
            f"{counts.runs:,} runs of {counts.architectures:,} architectures, which are {networks} different "
            f"networks: {counts.diverged} diverged (left out of the means), {counts.not_converged} had not converged "
            f"when their epochs were over, {counts.never_halfway} never reached 50 % training accuracy; {counts.lost} "
            "architectures were lost."
        )
    lines.append("Each verdict has its own 95 % interval: among many, one in twenty is expected to be chance.")
    return lines


def _short(found: Sequence[Claim]) -> str:
    return ", ".join(str(sum(claim.verdict == verdict for claim in found)) for verdict in VERDICTS)


def _counted(found: Sequence[Claim]) -> str:
    counts = {verdict: sum(claim.verdict == verdict for claim in found) for verdict in VERDICTS}
    return f"{counts['agree']} agree, {counts['differ']} differ, {counts['cannot tell']} cannot be told"


def _there(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return table if table is not None and len(table) else None
