"""Exact kernels against finite random networks, with a bound that accounts for the number of comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from reference.mlp_dag import depths, draw_kernels
from scipy.stats import t as student
from torch import Tensor

import automl_theory as at
from automl_theory.infinite_width import dag_kernels
from automl_theory.networks.mlp_stack import MlpStack
from automl_theory.probing.stack_kernels import stack_kernels
from automl_theory.spaces.mlp_dag_stacks import groups

LIVE = at.space("mlp_dag").live()
FALSE_ALARM = 1e-3
OUTPUTS, COPIES = 3, 4
UPPER = np.triu_indices(3)


def sample(many: int) -> list[str]:
    """The first codes of a seeded shuffle that are `many` different networks (dead edges make copies)."""
    chosen: dict[object, str] = {}
    for k in np.random.default_rng(2023).permutation(len(LIVE)):
        (group,) = groups([LIVE[k]])
        if len(chosen) < many:
            chosen.setdefault((group.reads, group.edges), LIVE[k])
    return list(chosen.values())


CODES = sample(30)


def inputs() -> np.ndarray:
    """Three inputs of 24 numbers with something in common, one of them longer: |x|² is d, d and 1.7 d."""
    drawn = np.random.default_rng(1).standard_normal((4, 24))
    x = drawn[:3] + 1.5 * drawn[3]
    return x * np.sqrt(24) / np.linalg.norm(x, axis=1, keepdims=True) * np.array([[1.0], [1.0], [1.3]])


def turned_inputs() -> np.ndarray:
    """The inputs turned in COPIES random ways: exact kernels are equal, those of one network differ and average."""
    rng = np.random.default_rng(5)
    return np.concatenate([inputs() @ np.linalg.qr(rng.standard_normal((24, 24))).Q for _ in range(COPIES)])


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
        """|mean - prediction| stays below this many standard errors everywhere, except once in 1000 test runs.

        Bonferroni: the error rate is shared out among all comparisons, both sides.
        """
        return float(student.ppf(1 - FALSE_ALARM / (2 * self.predicted.size), len(self.draws) - 1))

    def off(self, predicted: np.ndarray) -> np.ndarray:
        """Largest deviation in standard errors, for each code."""
        return (np.abs(self.draws.mean(axis=0) - predicted) / self.error).max(axis=(1, 2))

    @property
    def spread(self) -> np.ndarray:
        """Root mean square relative difference of single networks, for each kernel."""
        relative = (self.draws - self.predicted) / self.predicted
        return np.sqrt((relative**2).mean(axis=(0, 1, 3)))


def predictions(rule: str) -> np.ndarray:
    k = dag_kernels(CODES, inputs(), rule)
    return np.stack([k.nngp, k.ntk, k.stem], axis=1)[:, :, UPPER[0], UPPER[1]]


def drawn_blocks(width: int, draws: int) -> Iterator[np.ndarray]:
    """Kernels of random networks of every code, (draws, codes, 3, 6) in blocks; equal edges have equal weights.

    The three are the features' Gram a neuron; NTK of the cell and the readout, mean over outputs, a neuron; and that of
    the stem, mean over outputs. All are means over the turned copies of the inputs.
    """
    rng, x = torch.Generator().manual_seed(width), torch.from_numpy(turned_inputs())
    block = 4096 // width
    for start in range(0, draws, block):
        many = min(block, draws - start)

        def normal(rows: int, columns: int, many: int = many) -> Tensor:
            return torch.randn((many, rows, columns), generator=rng) * math.sqrt(2 / columns)

        stem, readout = normal(width, x.shape[1]), normal(OUTPUTS, width)
        weights = {(s, t): normal(width, width) for t in (1, 2, 3) for s in range(t)}
        yield np.stack([kernels_of(code, stem, weights, readout, x) for code in CODES], axis=1)


def kernels_of(
    code: str, stem: Tensor, weights: dict[tuple[int, int], Tensor], readout: Tensor, x: Tensor
) -> np.ndarray:
    (group,) = groups([code])
    stack = MlpStack(group.reads, (stem, *(weights[edge] for edge in group.edges[0])), readout)
    found, (outputs, width) = stack_kernels(stack, x, output="trace"), readout.shape[1:]
    parts = torch.stack([found.nngp, found.cell / (outputs * width), found.stem / outputs], dim=1)
    copies = parts.view(*parts.shape[:2], COPIES, 3, COPIES, 3).diagonal(dim1=2, dim2=4).mean(-1)
    return copies[:, :, UPPER[0], UPPER[1]].numpy()


def compare(width: int, draws: int) -> Comparison:
    return Comparison(np.concatenate(list(drawn_blocks(width, draws))), predictions("exact"))


def check(narrow: Comparison, wide: Comparison) -> None:
    """The exact rule passes, the path sum fails where there are several paths, and passes where there is one."""
    assert len(CODES) >= 30
    several = np.array([len(depths(code)) > 1 for code in CODES])
    assert several.sum() >= 20
    assert (~several).sum() >= 2
    by_paths = predictions("paths")
    for comparison in (narrow, wide):
        assert (comparison.error < 0.01 * np.abs(comparison.predicted)).all(), "too few draws"
        assert (comparison.off(comparison.predicted) < comparison.bound).all()
        assert (comparison.off(by_paths)[several] > comparison.bound).all()
        assert (comparison.off(by_paths)[~several] < comparison.bound).all()
    assert (wide.spread < 0.8 * narrow.spread).all(), "by 1/√2 if the width doubles"
    four = np.array([len(depths(code)) == 4 for code in CODES])
    off = np.abs(by_paths / wide.draws.mean(axis=0) - 1)[four][:, 0].max(axis=1)
    assert (off > 0.3).all(), "statement 3: at least 30 % with four paths"


def difference(comparison: Comparison) -> np.ndarray:
    """Largest relative difference of the mean over draws from the exact value, for each kernel."""
    return np.abs(comparison.draws.mean(axis=0) / comparison.predicted - 1).max(axis=(0, 2))


def test_the_exact_rule_is_right_within_one_percent_and_the_path_sum_is_not() -> None:
    """At widths 256 and 512. With 24 neurons even the mean NTK is off, by O(1/width): 4 to 21 percent."""
    narrow, wide = compare(256, 300), compare(512, 165)
    check(narrow, wide)
    tiny = difference(compare(24, 1200))[1:]
    assert (tiny > 1.5 * difference(narrow)[1:]).all()
    assert (tiny > 1.5 * difference(wide)[1:]).all()


@pytest.mark.slow
def test_the_same_at_larger_widths() -> None:
    check(compare(512, 300), compare(1024, 120))


def test_stacks_draw_what_the_slow_networks_are() -> None:
    """Against weights drawn in numpy, one network at a time: the same means within their errors."""
    rng, codes = np.random.default_rng(0), CODES[:2]
    slow = np.stack([draw_kernels(codes, inputs(), 32, OUTPUTS, rng) for _ in range(400)])[..., UPPER[0], UPPER[1]]
    fast = np.concatenate(list(drawn_blocks(32, 400)))[:, :2]
    error = np.sqrt((slow.var(axis=0) + fast.var(axis=0)) / 400)
    assert (np.abs(slow.mean(axis=0) - fast.mean(axis=0)) < student.ppf(1 - 1e-3 / 72, 399) * error).all()


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
