"""Exact kernels against finite random networks, with a bound that accounts for the number of comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from reference.mlp_dag import depths, draw_kernels
from scipy.stats import t as student

import automl_theory as at
from automl_theory.infinite_width import dag_kernels

LIVE = at.space("mlp_dag").live()
CODES = [LIVE[k] for k in np.random.default_rng(2023).permutation(len(LIVE))[:36]]
FALSE_ALARM = 1e-3
OUTPUTS = 5
UPPER = np.triu_indices(3)


def inputs() -> np.ndarray:
    """Three inputs of 24 numbers, two of them near each other, one longer: |x|² is d, d and 1.7 d."""
    x = np.random.default_rng(1).standard_normal((3, 24))
    x[1] += x[0]
    return x * np.sqrt(24) / np.linalg.norm(x, axis=1, keepdims=True) * np.array([[1.0], [1.0], [1.3]])


@dataclass
class Comparison:
    """Mean and standard error over draws, and a prediction: (codes, 3 kernels, 6 pairs of inputs)."""

    draws: np.ndarray
    predicted: np.ndarray

    @property
    def error(self) -> np.ndarray:
        return self.draws.std(axis=0, ddof=1) / np.sqrt(len(self.draws))

    @property
    def bound(self) -> float:
        """|mean - prediction| stays below this many standard errors everywhere, except once in 1000 test runs."""
        return float(student.ppf(1 - FALSE_ALARM / (2 * self.predicted.size), len(self.draws) - 1))

    def off(self, predicted: np.ndarray) -> np.ndarray:
        """Largest deviation in standard errors, for each code."""
        return (np.abs(self.draws.mean(axis=0) - predicted) / self.error).max(axis=(1, 2))

    @property
    def spread(self) -> np.ndarray:
        """Root mean square relative distance of single networks, for each kernel."""
        relative = (self.draws - self.predicted) / self.predicted
        return np.sqrt((relative**2).mean(axis=(0, 1, 3)))


def predictions(rule: str) -> np.ndarray:
    k = dag_kernels(CODES, inputs(), rule)  # type: ignore[arg-type]
    return np.stack([k.nngp, k.ntk, k.stem], axis=1)[:, :, UPPER[0], UPPER[1]]


def compare(width: int, draws: int) -> Comparison:
    rng = np.random.default_rng(width)
    drawn = np.stack([draw_kernels(CODES, inputs(), width, OUTPUTS, rng) for _ in range(draws)])
    return Comparison(drawn[:, :, :, UPPER[0], UPPER[1]], predictions("exact"))


def check(comparisons: list[Comparison]) -> None:
    """The exact rule passes, the path sum fails where there are several paths, and passes where there is one."""
    several = np.array([len(depths(code)) > 1 for code in CODES])
    assert several.sum() >= 20
    assert (~several).sum() >= 2
    for comparison in comparisons:
        assert (comparison.off(comparison.predicted) < comparison.bound).all()
        by_paths = comparison.off(predictions("paths"))
        assert (by_paths[several] > comparison.bound).all()
        assert (by_paths[~several] < comparison.bound).all()
    narrow, wide = comparisons
    assert (wide.spread < 0.75 * narrow.spread).all()


def test_the_exact_rule_is_right_and_the_path_sum_is_not() -> None:
    check([compare(64, 250), compare(192, 150)])


@pytest.mark.parametrize("code", ["2_02_002", "2_21_112"])
def test_in_the_units_of_the_toolkits_own_kernel(code: str) -> None:
    """The trace over C logits of a network of width m is C (m ntk + stem) on average; its features' Gram m nngp."""
    space, x = at.space("mlp_dag"), torch.from_numpy(inputs()[:, :18]).float()
    kernels, grams = [], []
    for seed in range(120):
        net = space.build(code, 96, 4, 2, 3, seed=seed)
        kernels.append(at.empirical_ntk(net, x, output="trace").numpy())
        grams.append((net.nodes(x)[-1] @ net.nodes(x)[-1].T).detach().numpy())
    exact = dag_kernels(code, x)
    for drawn, predicted in ((np.array(kernels), 4 * exact.at_width(96)), (np.array(grams), 96 * exact.nngp)):
        off = np.abs(drawn.mean(axis=0) - predicted) / (drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn)))
        assert off.max() < student.ppf(1 - FALSE_ALARM / (2 * 18), len(drawn) - 1)
        assert (np.abs(drawn.mean(axis=0) / predicted - 1) < 0.1).all()


@pytest.mark.slow
def test_the_same_within_one_percent() -> None:
    comparisons = [compare(256, 1000), compare(1024, 240)]
    check(comparisons)
    for comparison in comparisons:
        assert (comparison.error < 0.01 * np.abs(comparison.predicted)).all()
    means = [np.abs(c.draws.mean(axis=0) / c.predicted - 1).mean() for c in comparisons]
    assert max(means) < 0.01
    four = np.array([len(depths(code)) == 4 for code in CODES])
    off = np.abs(predictions("paths") / comparisons[1].draws.mean(axis=0) - 1)[four][:, 0].max(axis=1)
    assert (off > 0.3).all(), "statement 3: at least 30 % with four paths"
