"""The study's questions, each answered by a number with an interval: yes, no or cannot tell.

One rule for all: a question is whether a number is above a bar. Yes, if the whole interval is; no, if none of it is;
cannot tell, if the bar lies inside. The bars: a rank correlation says something from 0.2 on, a difference from 0 on, a
line explains accuracy from R² = 0.5 on, a coefficient tells two kinds of masks apart from 0.75 of the pairs on.

What papers say stands beside: of the ICLR 2023 paper the mean rank correlations inside the cells of its released tables
(ResNet-34 and VGG-16 on CIFAR, 342 runs), of the NeurIPS 2023 paper its abstract's words.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from automl_theory.graphs.mask_measures import MEASURES
from automl_theory.studies.sparse_masks.statistics import (
    Estimate,
    bend,
    beyond,
    inside_cells,
    linear,
    mean_with_interval,
    partial,
    share_with_interval,
    slope,
    spearman,
)
from automl_theory.studies.sparse_masks.study import Study

HEADS = ("question", "paper", "measured (95 %)", "answer")
VERDICTS = ("yes", "no", "cannot tell")
SAYS, BEATS, LINEAR, APART = 0.2, 0.0, 0.5, 0.75

DENSITY = "mean_layer_density"
RANKING = {
    DENSITY: ("mean layer density", 0.79),
    "ramanujan_gap_normalised": ("Ramanujan gap Δr/bound", -0.07),
    "ramanujan_gap_excess": ("gap beyond a random's", None),
    "share_ramanujan": ("Ramanujan layers", 0.19),
    "imdb_normalised": ("IMDB", 0.62),
    "imdb_normalised__worst": ("IMDB, undefined as worst", 0.75),
    "narc": ("NaRC (less is better)", -0.01),
    "weighted_gap": ("weighted gap λ", None),
    "nested_weighted_gap": ("nested weighted gap", None),
    "coordinate_length": ("coordinate's length ‖c‖", "yes"),
    "coordinate_distance": ("coordinate's way in training", "yes"),
}
"""Measure → its words, and what the papers say of its rank correlation inside cells."""

RIVALS = {
    "random": "yes", "snip": "yes", "grasp": "yes", "synflow": "yes", "pretrained_base": None,
    "pretrained_magnitude": None, "rewound": "comparable",
}  # fmt: skip
"""What full-spectrum pruning is compared with → whether the paper says it beats it."""


def answers(study: Study) -> pd.DataFrame:
    """Every question as a row: section, name, paper, ours, low, high, n, verdict, why (see `studies.page`)."""
    rows = [*_ranks(study), *_beyond_density(study), *_coordinate(study), *_narc(study), *_full_spectrum(study)]
    return pd.DataFrame([*rows, *_followed(study)])


def cell_table(study: Study) -> pd.DataFrame:
    """Every cell of one network and density, and every measure of `RANKING`: what `answers` has the means of.

    network, density, measure, n; rho, rho_low, rho_high: the rank correlation with accuracy, in the measure's good
    direction; partial, …: the same given the mean density of layers, nan for that itself.
    """
    rows = []
    for (network, density), part in study.masks.groupby(["network", "density"], sort=True):
        for name in (name for name in RANKING if name in part):
            row = {"network": network, "density": density, "measure": name, "n": 0}
            for words, statistic in (("rho", spearman), ("partial", partial)):
                found = inside_cells(part, statistic, name, DENSITY, sign=sign_of(name))
                row |= {"n": found.n, words: found.value, f"{words}_low": found.low, f"{words}_high": found.high}
            rows.append(row)
    return pd.DataFrame(rows)


def verdict(found: Estimate, bar: float) -> str:
    """Whether the number is above the bar, by its interval."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return "cannot tell"
    if found.low > bar:
        return "yes"
    return "no" if found.high < bar else "cannot tell"


def sign_of(measure: str) -> float:
    """−1 for a measure that is better when small."""
    direction = MEASURES.get(measure.partition("__")[0], ("maximize",))[0]
    return -1.0 if direction == "minimize" else 1.0


def _row(section: str, name: str, paper: Any, found: Estimate, bar: float, why: str = "") -> dict[str, Any]:
    told = verdict(found, bar)
    where = {"yes": "The whole interval is above", "no": "None of the interval is above"}
    reason = f"{where.get(told, 'The interval reaches to both sides of')} {bar:g}." if math.isfinite(found.low) else (
        "No interval could be given."
    )  # fmt: skip
    return {
        "section": section, "name": name, "paper": paper, "ours": found.value, "low": found.low, "high": found.high,
        "n": found.n, "verdict": told, "why": f"{reason} {why}".strip(),
    }  # fmt: skip


def _ranks(study: Study) -> list[dict[str, Any]]:
    section = "Does it rank masks of one network and density? Rank correlation with accuracy"
    return [
        _row(section, words, paper, inside_cells(study.masks, spearman, name, sign=sign_of(name)), SAYS)
        for name, (words, paper) in RANKING.items()
        if name in study.masks
    ]


def _beyond_density(study: Study) -> list[dict[str, Any]]:
    section = "Does it say more than the mean density of layers?"
    rows = []
    for name in ("imdb_normalised", "ramanujan_gap_normalised", "coordinate_length"):
        found = inside_cells(study.masks, beyond, name, DENSITY, sign=sign_of(name))
        paper = -0.17 if name == "imdb_normalised" else None
        rows.append(_row(section, f"{RANKING[name][0]} beats it", paper, found, BEATS, "The difference of both ρ."))
    for name in ("imdb_normalised", "ramanujan_gap_normalised", "ramanujan_gap_excess", "narc", "coordinate_length"):
        found = inside_cells(study.masks, partial, name, DENSITY, sign=sign_of(name))
        rows.append(_row(section, f"{RANKING[name][0]}, given it", None, found, SAYS, "Partial ρ."))
    whole = study.masks.assign(asked=study.masks["density"], density=1.0)
    whole["seed"] = whole["seed"].astype(str) + " " + whole["asked"].astype(str)
    for name in ("imdb_normalised", "ramanujan_gap_normalised"):
        found = inside_cells(whole, partial, name, "asked", sign=sign_of(name))
        why = "Partial ρ over all densities of a network, given the density asked for."
        rows.append(_row(section, f"{RANKING[name][0]}, given density", None, found, SAYS, why))
    return rows


def _coordinate(study: Study) -> list[dict[str, Any]]:
    section = "Is accuracy nearly linear in the coordinate's distance?"
    rows = []
    for name, words in (("coordinate_length", "from the origin"), ("coordinate_distance", "from initialisation")):
        r2, extra, steep = (inside_cells(study.masks, f, name) for f in (linear, bend, slope))
        rows.append(_row(section, f"R² of a line, {words}", "nearly 1", r2, LINEAR))
        rows.append(_row(section, f"a parabola adds, {words}", None, extra, 0.1, "More than 0.1 is a bend."))
        rows.append(_row(section, f"slope, {words}", "above 0", steep, BEATS, "Points per standard deviation."))
    return rows


def _narc(study: Study) -> list[dict[str, Any]]:
    """The largest layer of each series: as pruned, and wholly rewired."""
    section = "Does NaRC tell a structured mask from a random one? The largest layer"
    ends = narc_ends(study.degenerating)
    structured, random = ends["structured"].to_numpy(), ends["random"].to_numpy()
    apart = np.where(structured > random, 1.0, np.where(structured == random, 0.5, 0.0))
    return [
        _row(section, "above 0 as pruned", "yes", share_with_interval((structured > 0).astype(float)), APART),
        _row(section, "at most 0 when random", "yes", share_with_interval((random <= 0).astype(float)), APART),
        _row(section, "higher as pruned than random", "yes", share_with_interval(apart), APART,
             "Share of series whose mask has the higher NaRC before it is rewired."),
    ]  # fmt: skip


def narc_ends(degenerating: pd.DataFrame) -> pd.DataFrame:
    """NaRC of each series' largest layer, as pruned and when all its edges are rewired: one a network, method, density
    and draw.
    """
    keys = ["network", "method", "density", "seed", "draw"]
    wide = largest_layer(degenerating).pivot(index=keys, columns="share", values="narc")
    return pd.DataFrame({"structured": wide[wide.columns.min()], "random": wide[wide.columns.max()]}).dropna()


def largest_layer(degenerating: pd.DataFrame) -> pd.DataFrame:
    """The rows of each network's largest layer."""
    size = (degenerating["edges"] / degenerating["layer_density"]).round()
    return degenerating[size == size.groupby(degenerating["network"]).transform("max")]


def differences(masks: pd.DataFrame, rival: str) -> pd.Series:
    """Test accuracy of full-spectrum pruning minus the rival's, for each network, density and seed; in points."""
    keys = ["network", "density", "seed"]
    wide = masks.pivot(index=keys, columns="method", values="test_accuracy")
    return (wide["full_spectrum"] - wide[rival]).dropna()


def _full_spectrum(study: Study) -> list[dict[str, Any]]:
    section = "Does full-spectrum pruning beat it at equal budget? Points of test accuracy"
    methods = set(study.masks["method"])
    rivals = [name for name in RIVALS if name in methods] if "full_spectrum" in methods else []
    rows = []
    for name in rivals:
        found = mean_with_interval(differences(study.masks, name).to_numpy(), level=1 - 0.05 / len(rivals))
        why = f"Pairs of equal network, density and seed; Bonferroni for {len(rivals)} comparisons."
        rows.append(_row(section, name, RIVALS[name], found, BEATS, why))
    return rows


def drift(followed: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Change of a measure from the start to the end of each followed training: network, start, mover, seed, change."""
    keys = ["network", "start", "mover", "seed"]
    ordered = followed.sort_values("step").groupby(keys, sort=True)[measure]
    return (ordered.last() - ordered.first()).rename("change").reset_index()


def _followed(study: Study) -> list[dict[str, Any]]:
    section = "Does dynamic sparse training move towards Ramanujan graphs? Change over training"
    rows = []
    for mover in ("set", "rigl"):
        for measure, words in (("ramanujan_gap", "gap"), ("imdb", "IMDB")):
            moved = drift(study.followed, measure)
            some = moved[(moved["mover"] == mover) & (moved["start"] == "random")]
            name = f"{mover}, {words} rises from random"
            rows.append(_row(section, name, "yes", mean_with_interval(some["change"].to_numpy()), BEATS))
    wide = drift(study.followed, "weighted_gap").pivot(
        index=["network", "start", "seed"], columns="mover", values="change"
    )
    static = mean_with_interval(wide["static"].to_numpy())
    rows.append(_row(section, "weighted gap rises, mask fixed", "yes", static, BEATS, "The weights' doing alone."))
    for mover in ("set", "rigl"):
        more = mean_with_interval((wide[mover] - wide["static"]).to_numpy())
        rows.append(_row(section, f"and more with {mover}", None, more, BEATS, "Beyond its twin with a fixed mask."))
    return rows
