"""Claims about Table 1 and Figure 7: what ensembles and pruning make of two opposite networks."""

from __future__ import annotations

import numpy as np

from automl_theory.studies.no_free_lunch import published
from automl_theory.studies.no_free_lunch.claim import NAMES, Claim, Tables, won
from automl_theory.studies.no_free_lunch.intervals import Estimate
from automl_theory.studies.no_free_lunch.published import ASPECTS, TABLE_1
from automl_theory.studies.no_free_lunch.table1 import difference, ranks, sweep, sweep_tau, table_1, totals
from automl_theory.studies.no_free_lunch.verdicts import correlation, named_winner, placed, sign
from automl_theory.studies.no_free_lunch.winners import winner

PAPER_MIDDLE = (541 + 1) / 2
"""The middle rank among the paper's live networks."""

SINGLE = "2_22_221"
"""The paper's best single network."""

DIFFERENCES = (
    ("pruned_ensemble", "single"),
    ("pruned_ensemble", "ensemble"),
    ("ensemble", "wide"),
    ("ensemble", "deep"),
    ("single", "wide"),
    ("wide", "deep"),
)
"""Pairs of Table 1, the one with the smaller sum of ranks in the paper first."""


def ranked(given: Tables) -> list[Claim]:
    """Return the claims about ranks of the networks of Table 1, about who is best, and about differences of sums."""
    section, found = "Table 1: ranks among the live networks", []
    absent = _absent(given)
    if absent or given.extras is None or given.trained is None:
        for entry in TABLE_1:
            for name in (*ASPECTS, "total"):
                found.append(given.missing(section, _title(entry.label, name), float(getattr(entry, name)), absent))
    else:
        for row in table_1(given.extras, given.trained, effort=given.effort).to_dict("records"):
            name, paper = row["outcome"], float(row["paper"])
            ours = Estimate(row["rank"], row["low"], row["high"], row["seeds"])
            many, asked = (3, tuple(ASPECTS)) if name == "total" else (1, (name,))
            ruling = placed(paper - many * PAPER_MIDDLE, ours, many * (row["n"] + 1) / 2)
            title = _title(row["label"], name)
            found.append(given.number(section, title, paper, ours, given.judged(ruling, *asked)))
    return [*found, _best_single(given, section), *_differences(given, section)]


def figure_7(given: Tables) -> list[Claim]:
    """Return the claims about pruning one part of the ensemble."""
    section, found, absent = "Figure 7: pruning the ensemble", [], _absent(given)
    for share, paper in published.FIGURE_7.items():
        title = f"τ of the share pruned in the {share.partition('_')[0]} part with the sum of ranks"
        if absent or given.extras is None or given.trained is None:
            found.append(given.missing(section, title, paper, absent))
            continue
        ours = sweep_tau(sweep(given.extras, given.trained), share, effort=given.effort)
        found.append(given.number(section, title, paper, ours, given.judged(correlation(paper, ours), *ASPECTS)))
    return found


def _best_single(given: Tables, section: str) -> Claim:
    title, code = "best single network by the sum of ranks", SINGLE
    known = given.graph.set_index("arch")["canonical"]
    if given.trained is None or code not in known.index:
        why = "nothing was trained" if given.trained is None else "this network was left out"
        return given.missing(section, title, code, why)
    best = winner(totals(given.trained), given.graph, maximize=False, effort=given.effort)
    shown = Estimate(np.nan, np.nan, np.nan, best.classes if best else 0)
    ruling = given.judged(named_winner(str(known[code]), best), *ASPECTS)
    return given.claim(section, title, code, won(best), shown, ruling)


def _differences(given: Tables, section: str) -> list[Claim]:
    entries, found, absent = {entry.name: entry for entry in TABLE_1}, [], _absent(given)
    by_network = None if given.extras is None or given.trained is None else ranks(given.extras, given.trained)
    for a, b in DIFFERENCES:
        title = f"sum of ranks: {a.replace('_', ' ')} minus {b.replace('_', ' ')}"
        paper = float(entries[a].total - entries[b].total)
        if absent or by_network is None:
            found.append(given.missing(section, title, paper, absent))
            continue
        ours = difference(by_network, a, b, effort=given.effort)
        found.append(given.number(section, title, paper, ours, given.judged(sign(paper, ours), *ASPECTS)))
    return found


def _absent(given: Tables) -> str:
    if given.trained is None:
        return "nothing was trained"
    return "these networks were not trained" if given.extras is None else ""


def _title(label: str, outcome: str) -> str:
    return f"{label}: {'sum of ranks' if outcome == 'total' else f'rank by {NAMES[outcome]}'}"
