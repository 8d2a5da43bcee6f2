"""A claim of the paper beside our figure, and what every section of claims works with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_theory.studies.no_free_lunch.intervals import NOTHING, Effort, Estimate
from automl_theory.studies.no_free_lunch.published import ASPECTS
from automl_theory.studies.no_free_lunch.runs import why_not
from automl_theory.studies.no_free_lunch.verdicts import CANNOT, Ruling, Verdict
from automl_theory.studies.no_free_lunch.winners import Winner

NAMES = {
    "curvature": "curvature",
    "turning_angle": "total turning angle",
    "nngp_lambda_min": "λ_min of the NNGP",
    "ntk_lambda_90": "“λ_min” of the NTK as plotted",
    "ntk_lambda_min": "λ_min of the NTK itself",
    "train_loss": "training loss",
    "epochs_to_50": "epochs to 50 %",
    "gap": "test minus training loss",
    "depth": "depth",
    "paths": "width",
}
OF = {"groups": "group means", "networks": "per network"}


@dataclass(frozen=True)
class Claim:
    """One claim of the paper beside ours.

    section, name   what it is about
    paper, ours     a number, or words where there is no single one; NaN: we have none
    low, high       the 95 % interval of ours; NaN: none
    n               how many things it is over: groups, networks, classes or seeds, as the name says
    data            our data, and the paper's in brackets
    verdict, why    "agree", "differ" or "cannot tell", and the reason in a sentence
    """

    section: str
    name: str
    paper: float | str
    ours: float | str
    low: float
    high: float
    n: int
    data: str
    verdict: Verdict
    why: str


def won(best: Winner | None) -> float | str:
    """Say who is best, how surely, and how many others may be."""
    if best is None:
        return np.nan
    share, near = best.shares.get(best.canonical, 0.0), len(best.near)
    others = f"{near} other{'' if near == 1 else 's'}"
    return f"{best.canonical}, best in {100 * share:.0f} % of resamples, {others} cannot be told from it"


@dataclass(frozen=True)
class Tables:
    """Everything a section needs; missing tables are None."""

    trained: pd.DataFrame | None
    measured: pd.DataFrame | None
    exact: pd.DataFrame | None
    extras: pd.DataFrame | None
    graph: pd.DataFrame
    data: str
    paper_data: str
    effort: Effort

    def claim(
        self, section: str, name: str, paper: float | str, ours: float | str, found: Estimate, ruling: Ruling
    ) -> Claim:
        """A claim with the interval and n of `found`."""
        data = f"{self.data} (paper: {self.paper_data})"
        return Claim(section, name, paper, ours, found.low, found.high, found.n, data, *ruling)

    def number(self, section: str, name: str, paper: float, found: Estimate, ruling: Ruling) -> Claim:
        """A claim whose figure is the value of `found`."""
        return self.claim(section, name, paper, found.value, found, ruling)

    def missing(self, section: str, name: str, paper: float | str, why: str) -> Claim:
        """A claim that nothing can be said about."""
        return self.claim(section, name, paper, np.nan, NOTHING, (CANNOT, f"{why[:1].upper()}{why[1:]}."))

    def why_missing(self, table: pd.DataFrame | None, column: str) -> str:
        """Return why there is no number in `column` at all, or ""."""
        if table is not None and column in table:
            return ""
        return "nothing was trained" if column in ASPECTS else "this was not measured"

    def judged(self, ruling: Ruling, *columns: str) -> Ruling:
        """Return the ruling, or "cannot tell" where one of the outcomes among `columns` says nothing (`runs`)."""
        for column in columns:
            if column in ASPECTS and (why := why_not(self.trained, column)):
                return CANNOT, f"{why[:1].upper()}{why[1:]}."
        return ruling
