"""What the papers report, as data. Every figure was read in the text or the figures of one of two papers:

    2023   W. Chen, W. Huang, Z. Wang, "No Free Lunch in Neural Architectures? A Joint Analysis of Expressivity,
           Convergence, and Generalization", AutoML 2023 (PMLR 224): everything but `DAGS_2022`
    2022   W. Chen, W. Huang, X. Gong, B. Hanin, Z. Wang, "Deep Architecture Connectivity Matters for Its Convergence",
           NeurIPS 2022: `DAGS_2022`

R(depth) and R(P) are Kendall's τ with the mean depth of a path and with the number of paths P, of *means over the
networks of equal (depth, P)*: at most 23 pairs of numbers, and fewer where a figure leaves out the networks with less
than two linear edges. So a value of 0.5 in 23 groups is no small matter and no certain one either.

The columns are named as in our tables: `ntk_lambda_90` is what the paper plots as λ_min of the NTK (the last eigenvalue
in falling order before the cumulative trace reaches 90 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

TINY, CIFAR_10, CIFAR_100, TUNED = "Tiny-ImageNet", "CIFAR-10", "CIFAR-100", "Tiny-ImageNet, tuned learning rates"

ASPECTS = {"train_loss": "expressivity", "epochs_to_50": "convergence", "gap": "generalization"}
"""Outcome of training → the aspect it stands for in the paper. Less is better in all three."""

OUTCOMES: dict[str, dict[str, tuple[float, float]]] = {
    "train_loss": {TINY: (-0.87, 0.11), CIFAR_10: (-0.79, 0.04), CIFAR_100: (-0.80, 0.05), TUNED: (-0.57, 0.17)},
    "epochs_to_50": {TINY: (0.64, -0.69), CIFAR_10: (0.34, -0.85), CIFAR_100: (0.33, -0.85), TUNED: (0.69, -0.50)},
    "gap": {TINY: (0.39, -0.41), CIFAR_10: (0.69, -0.21), CIFAR_100: (0.35, -0.26), TUNED: (0.51, -0.37)},
}
"""Outcome → data set → (R(depth), R(P)) of group means; width 256, SGD at one rate for all but TUNED (Appendix C.3)."""


def outcomes_table() -> pd.DataFrame:
    """Return the figures of `OUTCOMES`: one row an outcome and "depth" or "paths", one column a data set."""
    rows = []
    for outcome, by_data in OUTCOMES.items():
        for place, name in enumerate(("depth", "paths")):
            rows.append({"outcome": outcome, "with": name, **{data: taus[place] for data, taus in by_data.items()}})
    return pd.DataFrame(rows)


THEORY: dict[str, tuple[float, float]] = {
    "curvature": (0.47, -0.79),
    "nngp_lambda_min": (-0.52, 0.79),
    "ntk_lambda_90": (-0.12, 0.86),
}
"""Measure at initialisation → (R(depth), R(P)) of group means on Tiny-ImageNet, width 256."""

PER_NETWORK: tuple[tuple[str, str, float], ...] = (
    ("curvature", "train_loss", -0.05),
    ("nngp_lambda_min", "epochs_to_50", -0.77),
    ("ntk_lambda_90", "gap", -0.16),
)
"""Figure 6: Kendall's τ of a measure and the outcome that it stands for, network by network, Tiny-ImageNet."""

WINNERS: dict[str, tuple[float, int]] = {"expressivity": (3.0, 1), "convergence": (0.25, 4)}
"""Aspect → (mean depth, P) of the architecture that the paper names as best in it (H = 3)."""


@dataclass(frozen=True)
class Ranked:
    """A row of Table 1 (Tiny-ImageNet): ranks among the live networks by outcome, 1 the best; their sum is `total`.

    `code`: of a single network. `pruning`: shares of weights pruned at random in the wide and in the deep part of an
    ensemble of the two that shares nodes. `parameters` in millions.
    """

    name: str
    label: str
    train_loss: int
    epochs_to_50: int
    gap: int
    parameters: float
    code: str | None = None
    pruning: tuple[float, float] | None = None

    @property
    def total(self) -> int:
        """The sum of the three ranks."""
        return self.train_loss + self.epochs_to_50 + self.gap


TABLE_1: tuple[Ranked, ...] = (
    Ranked("single", "I: best single network", 71, 76, 5, 3.53, code="2_22_221"),
    Ranked("wide", "II: wide and shallow", 217, 39, 1, 3.46, code="1_22_221"),
    Ranked("deep", "III: deep and narrow", 1, 538, 541, 3.40, code="2_02_002"),
    Ranked("ensemble", "IV: II and III sharing nodes", 5, 46, 180, 3.66, pruning=(0.0, 0.0)),
    Ranked("pruned_ensemble", "V: IV, 20 % and 50 % pruned", 39, 32, 38, 3.51, pruning=(0.2, 0.5)),
)

FIGURE_7: dict[str, float] = {"wide_pruning": 0.45, "deep_pruning": -0.06}
"""Kendall's τ of the share pruned in one part of the ensemble with its sum of ranks, over a grid of both shares."""

DAGS_2022: tuple[str, str, str] = ("2_02_002", "1_01_222", "2_21_112")
"""DAG#1 (chain), DAG#2 (parallel), DAG#3 (mixed), three linear edges each: λ_min rises in this order by the bound, and
so does the speed of convergence in training (MNIST and CIFAR-10, width 1024)."""


def data_set(data: str, tuned: bool) -> str:
    """Return the paper's data set whose outcomes stand beside runs on `data`.

    The tuned ones for tuned rates, CIFAR-10 or CIFAR-100 where the name of the data says so, else Tiny-ImageNet, the
    paper's main one.
    """
    if tuned:
        return TUNED
    name = data.lower().replace("-", "").replace("_", "")
    if "cifar100" in name:
        return CIFAR_100
    return CIFAR_10 if "cifar" in name else TINY
