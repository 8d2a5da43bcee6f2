"""When a figure of the paper and ours agree, differ, or cannot tell: the rules, each read off an interval (95 %).

    anew     the same quantity measured anew (the theory panel: a network at initialisation needs no data set).
             agree      the paper's value lies in our interval, and that is no wider than 2/3 (a wider one holds
                        nearly everything)
             otherwise  as below
    sign     a correlation or a difference on another data set: only its side of 0 can be compared.
             agree      our interval lies wholly on the paper's side of 0
             differ     wholly on the other side
    no clear relation: a correlation that the paper gives as |τ| < 0.2 claims nothing but that, in either kind.
             agree      our interval lies within (-1/3, 1/3)
             differ     it lies wholly outside of it
    winner   the paper names the best network.
             agree      its class is the best of ours, and every other can be told from it
             differ     it can be told from the best of ours
    order    the paper orders networks by a quantity.
             agree      each step from one to the next has an interval wholly on the paper's side
             differ     one step has it wholly on the other
    no one wins   no network is the best in everything.
             agree      in at most 5 % of the resamples one class is
             differ     in at least 95 %
    rank     a network's rank, or sum of ranks, among the live networks, on another data set.
             as `sign`, with the middle rank (of a network drawn at random) in place of 0
    pull apart    two quantities, larger being better in both, or smaller in both, order networks against each other.
             agree      the interval of their τ lies wholly below 0
             differ     wholly above

In all of them whatever is left, and an interval that could not be given, is "cannot tell". An exact number (a closed
form) is its own interval. Each claim has its own 95 %; nothing is taken off for their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from automl_theory.studies.no_free_lunch.intervals import Estimate
from automl_theory.studies.no_free_lunch.winners import Winner

Verdict = Literal["agree", "differ", "cannot tell"]
Ruling = tuple[Verdict, str]

NEAR_ZERO = 0.2
UNRELATED = 1 / 3
WIDE = 2 / 3
AGREE: Verdict = "agree"
DIFFER: Verdict = "differ"
CANNOT: Verdict = "cannot tell"

NO_INTERVAL: Ruling = (CANNOT, "There is too little data for an interval.")


def sign(paper: float, ours: Estimate) -> Ruling:
    """Rule on a difference or a clear correlation by its side of 0."""
    if not _told(ours):
        return NO_INTERVAL
    side = "above" if paper > 0 else "below"
    if (ours.low if paper > 0 else -ours.high) > 0:
        return AGREE, f"Our interval lies wholly {side} 0, as the paper's value does."
    if (ours.high if paper > 0 else -ours.low) < 0:
        return DIFFER, f"The paper's value lies {side} 0, our whole interval on the other side."
    return CANNOT, "Our interval reaches to both sides of 0."


def correlation(paper: float, ours: Estimate) -> Ruling:
    """Rule on a rank correlation: by its sign, or by "no clear relation" where the paper's is near 0."""
    if abs(paper) >= NEAR_ZERO or not _told(ours):
        return sign(paper, ours)
    if ours.low > -UNRELATED and ours.high < UNRELATED:
        return AGREE, "The paper's value is near 0, and our interval stays within a third of it: no clear relation."
    if ours.low >= UNRELATED or ours.high <= -UNRELATED:
        return DIFFER, "The paper's value is near 0, our whole interval more than a third away from it."
    return CANNOT, "The paper's value is near 0, and our interval reaches from there to beyond a third."


def anew(paper: float, ours: Estimate) -> Ruling:
    """Rule on the same correlation measured anew: the paper's value in our interval, or as `correlation`."""
    if _told(ours) and ours.low <= paper <= ours.high and ours.high - ours.low <= WIDE:
        return AGREE, "The paper's value lies in our interval."
    verdict, why = correlation(paper, ours)
    if verdict == AGREE:
        return verdict, f"{why} The values themselves differ: the paper's lies outside."
    return verdict, why


def named_winner(named: str, ours: Winner | None) -> Ruling:
    """Rule on the class `named` (canonical) as the best."""
    if ours is None or ours.classes < 2:
        return CANNOT, "There is nothing to compare it with."
    if ours.seeds < 2:
        return CANNOT, "A single seed does not tell whether the best is better than the next."
    others = len(ours.near)
    if named == ours.canonical:
        if not others:
            return AGREE, "It is the best here too, and every other class of networks can be told from it."
        return CANNOT, f"It is the best here too, but {_classes(others)} cannot be told from it."
    if named in ours.near:
        return (
            CANNOT,
            f"{ours.canonical} is the best here; {_classes(others)}, the paper's among them, cannot be told from it.",
        )
    return DIFFER, f"{ours.canonical} is better here, by more than the seeds vary."


def order(rising: bool, ours: Sequence[Estimate]) -> Ruling:
    """Rule on a row of networks by the steps between neighbours; `rising`: the paper has each larger than the last."""
    if not ours or not all(_told(step) for step in ours):
        return NO_INTERVAL
    sides = [sign(1.0 if rising else -1.0, step)[0] for step in ours]
    if all(side == AGREE for side in sides):
        return AGREE, "Every step has the paper's direction."
    if DIFFER in sides:
        return DIFFER, f"{sides.count(DIFFER)} of {len(sides)} steps go the other way."
    return CANNOT, f"{sides.count(CANNOT)} of {len(sides)} steps have an interval that reaches 0."


def no_one_wins(one_wins: float, classes: int, level: float) -> Ruling:
    """Rule on "nobody is best in everything", from the share of resamples in which one class is."""
    if classes < 2:
        return CANNOT, "There are fewer than two different networks to compare."
    if np.isnan(one_wins):
        return CANNOT, "A single seed does not tell how far the front is chance."
    if one_wins <= 1 - level:
        return AGREE, "No network is the best in all three."
    if one_wins >= level:
        return DIFFER, "One network is the best in all three."
    return CANNOT, "Whether one network is the best in all three depends on the seeds drawn."


def pull_apart(ours: Estimate) -> Ruling:
    """Rule on two aspects that order networks against each other, from τ of the two."""
    verdict, why = sign(-1.0, ours)
    if verdict == AGREE:
        return verdict, "What is better in the one is worse in the other: the interval lies wholly below 0."
    if verdict == DIFFER:
        return verdict, "What is better in the one is better in the other, too: the interval lies wholly above 0."
    return verdict, why


def placed(paper: float, ours: Estimate, middle: float) -> Ruling:
    """Rule on a rank (1 the best) by its side of the middle one, that of a live network drawn at random."""
    shifted = Estimate(ours.value - middle, ours.low - middle, ours.high - middle, ours.n)
    verdict, why = sign(paper, shifted)
    side = "worse" if paper > 0 else "better"
    if verdict == AGREE:
        return verdict, f"Our interval is wholly on the {side} half of the live networks, as the paper's rank."
    if verdict == DIFFER:
        return verdict, f"The paper's rank is on the {side} half, our whole interval on the other."
    return verdict, why.replace("of 0", "of the middle")


def _told(ours: Estimate) -> bool:
    return bool(np.isfinite([ours.value, ours.low, ours.high]).all())


def _classes(number: int) -> str:
    return f"{number} other class{'' if number == 1 else 'es'} of networks"
