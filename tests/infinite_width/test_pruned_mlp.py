"""The closed form of randomly pruned networks: known values, the factors, networks drawn at finite width."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from automl_theory.errors import InputError
from automl_theory.infinite_width import kappa0, kappa1, pruned_mlp_ntk, pruning_factor
from automl_theory.probing.masked_mlp import draw_masked_mlps, masked_mlp_ntk
from automl_theory.studies.pruned_ntk import authors_pair

TOY = 2.4287229440232556
FALSE_ALARM = 1e-5


def slow_theta(x: np.ndarray, y: np.ndarray, depth: int) -> float:
    """Σ_h Σ_h Π Σ̇_l of one pair, as it is written."""
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    c = [float(x @ y) / norms]
    for _ in range(depth):
        c.append(float(kappa1(c[-1])))
    terms = (c[h] * math.prod(float(kappa0(c[j - 1])) for j in range(h + 1, depth + 1)) for h in range(depth + 1))
    return norms * sum(terms)


def slow_masked_input(x: np.ndarray, y: np.ndarray, depth: int, keep: float, draws: int) -> tuple[float, float]:
    """The kernel with a masked input layer and no rescaling, by sampled masks of a neuron: mean and standard error."""
    masks = np.random.default_rng(3).random((draws, len(x))) < keep
    xx, yy, xy = ((masks * (a * b)).sum(1) for a, b in ((x, x), (y, y), (x, y)))
    norms = np.sqrt(xx * yy)
    c = np.divide(xy, norms, out=np.zeros(draws), where=norms > 0)
    after, through = norms * kappa1(np.clip(c, -1, 1)), kappa0(np.clip(c, -1, 1)) * xy

    def kernel(covariance: float, gradient: float) -> float:
        variances = math.sqrt(float(x @ x) * float(y @ y)) * keep
        total = keep * (covariance + gradient)
        for layer in range(1, depth):
            variances_here = variances * keep**layer
            ratio = keep * covariance / variances_here
            covariance, slope = variances_here * float(kappa1(ratio)), float(kappa0(ratio))
            total = keep * (covariance + slope * total)
        return total

    value = kernel(after.mean(), through.mean())
    halves = [kernel(after[part].mean(), through[part].mean()) for part in np.split(np.arange(draws), 50)]
    return value, float(np.std(halves, ddof=1) / math.sqrt(50))


def test_the_authors_pair() -> None:
    pair = authors_pair()
    assert pair[0] @ pair[1] == pytest.approx(0.7687972123753376, abs=1e-15)
    found = pruned_mlp_ntk(pair, 3)
    assert found.shape == (2, 2)
    assert abs(found[0, 1] - TOY) < 1e-12
    np.testing.assert_allclose(np.diag(found), 4, rtol=1e-14)
    np.testing.assert_array_equal(pruned_mlp_ntk(torch.from_numpy(pair), 3), found)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("keep", [1.0, 0.5, 0.3])
def test_batches_of_any_length_against_the_sum_as_written(depth: int, keep: float) -> None:
    x = np.random.default_rng(0).standard_normal((6, 5))
    found = pruned_mlp_ntk(x, depth, keep)
    slow = np.array([[slow_theta(a, b, depth) for b in x] for a in x])
    np.testing.assert_allclose(found, keep**depth * slow, rtol=1e-7)  # arccos near 1 costs the slow one 8 digits
    np.testing.assert_allclose(pruned_mlp_ntk(x, depth, keep, rescale=True), slow, rtol=1e-7)
    np.testing.assert_allclose(np.diag(found), keep**depth * (depth + 1) * (x**2).sum(1), rtol=1e-12)
    factor = pruning_factor(depth, keep)
    np.testing.assert_allclose(found, factor * pruned_mlp_ntk(x, depth), rtol=1e-12)
    assert pruning_factor(depth, keep, rescale=True) == 1
    assert np.linalg.eigvalsh(found).min() > 0


def test_invariances() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 7))
    found = pruned_mlp_ntk(x, 3, 0.5)
    order = rng.permutation(5)
    np.testing.assert_allclose(pruned_mlp_ntk(x[order], 3, 0.5), found[np.ix_(order, order)], rtol=1e-13)
    np.testing.assert_allclose(pruned_mlp_ntk(x[1:3], 3, 0.5), found[1:3, 1:3], rtol=1e-13)
    turned = x @ np.linalg.qr(rng.standard_normal((7, 7))).Q
    np.testing.assert_allclose(pruned_mlp_ntk(turned, 3, 0.5), found, rtol=1e-12)
    np.testing.assert_allclose(pruned_mlp_ntk(3 * x, 3, 0.5), 9 * found, rtol=1e-13)
    np.testing.assert_array_equal(pruned_mlp_ntk(x.reshape(5, 7, 1), 3, 0.5), found)


def test_edges() -> None:
    e = np.eye(3)[:2]
    with_zero = pruned_mlp_ntk(np.vstack([e, np.zeros(3)]), 2, 0.5)
    assert (with_zero[2] == 0).all()
    assert (with_zero[:, 2] == 0).all()
    twice = pruned_mlp_ntk(np.vstack([e[0], e[0], -e[0]]), 1)
    np.testing.assert_allclose(twice, [[2, 2, 0], [2, 2, 0], [0, 0, 2]], atol=1e-15)
    # One hidden layer, orthogonal inputs: Σ_1 = κ1(0) = 1/π, and Σ_0 = 0.
    assert pruned_mlp_ntk(e, 1, 0.25)[0, 1] == pytest.approx(0.25 / math.pi, rel=1e-14)


@pytest.mark.parametrize("keep", [0.5, 0.2])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_masked_input_layer_is_a_mean_over_masks(depth: int, keep: float) -> None:
    x, y = np.random.default_rng(4).standard_normal((2, 6))
    both = np.stack([x, y])
    found = pruned_mlp_ntk(both, depth, keep, mask_input=True)
    value, error = slow_masked_input(x, y, depth, keep, 50_000)
    assert abs(found[0, 1] - value) < float(student.ppf(1 - FALSE_ALARM, 49)) * error
    np.testing.assert_allclose(np.diag(found), keep ** (depth + 1) * (depth + 1) * (both**2).sum(1), rtol=1e-12)
    scaled = pruned_mlp_ntk(both, depth, keep, rescale=True, mask_input=True)
    np.testing.assert_allclose(scaled, found / keep ** (depth + 1), rtol=1e-12)
    np.testing.assert_allclose(pruned_mlp_ntk(both, depth, 1.0, mask_input=True), pruned_mlp_ntk(both, depth))


def test_what_masking_the_input_layer_changes() -> None:
    """Not just one α more: it depends on the coordinates, to either side, and less and less as there are more."""
    axes, between = np.eye(2), np.array([[1, 1], [1, -1]]) / math.sqrt(2)
    dense = pruned_mlp_ntk(axes, 1)[0, 1]
    assert pruned_mlp_ntk(between, 1)[0, 1] == pytest.approx(dense)
    options = {"rescale": True, "mask_input": True}
    assert pruned_mlp_ntk(axes, 1, 0.5, **options)[0, 1] == pytest.approx(0.5 * dense)
    assert pruned_mlp_ntk(between, 1, 0.5, **options)[0, 1] > 1.2 * dense
    toy = pruned_mlp_ntk(authors_pair(), 3, 0.5, **options)[0, 1]
    assert toy == pytest.approx(2.42670643, abs=1e-8)
    spread = [np.stack([np.ones(d), np.repeat([1.0, -1.0], [3 * d // 4, d // 4])]) / math.sqrt(d) for d in (4, 8, 12)]
    off = [abs(pruned_mlp_ntk(x, 2, 0.5, **options)[0, 1] / pruned_mlp_ntk(x, 2)[0, 1] - 1) for x in spread]
    assert off[0] > 1.5 * off[1] > 1.8 * off[2]


@pytest.mark.parametrize("options", [{}, {"mask_input": True}])
def test_networks_of_finite_width_have_it_in_the_mean(options: dict[str, bool]) -> None:
    """Diagonal: exactly, at any width, here 24. Other pairs: to O(1/d), below the resolution here at width 192."""
    x = np.array([[0.6, 0.8, 0.0], [1.0, -1.0, 0.5]])
    for width, draws in ((24, 2000), (192, 400)):
        nets = draw_masked_mlps(range(draws), width, in_features=3, depth=2, keep=0.5, seed=11, **options)
        drawn = masked_mlp_ntk(nets, torch.from_numpy(x)).numpy()
        error = drawn.std(axis=0, ddof=1) / math.sqrt(draws)
        off = np.abs(drawn.mean(axis=0) - pruned_mlp_ntk(x, 2, 0.5, **options)) / error
        bound = student.ppf(1 - FALSE_ALARM / 6, draws - 1)
        assert (np.diag(off) < bound).all()
        if width > 100:
            assert off[0, 1] < bound
            assert (error < 0.04 * pruned_mlp_ntk(x, 2, 0.5, **options)).all(), "a factor α is twenty errors away"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "expected depth, the number of hidden layers, to be an integer of at least 1, got 0"),
        ({"depth": True}, "expected depth, .* got True"),
        ({"depth": 2.0}, r"expected depth, .* got 2\.0"),
        ({"keep": 0.0}, r"expected keep, the share of weights that stay, in \(0, 1\], got 0\.0; 1 prunes nothing"),
        ({"keep": 1.5}, r"expected keep, .* got 1\.5"),
        ({"keep": math.nan}, "expected keep, .* got nan"),
        ({"keep": "half"}, "expected keep, .* got 'half'"),
        ({"x": np.zeros(3)}, r"expected inputs of shape \(n, ...\) with n of at least 1, got \(3,\)"),
        ({"x": np.full((2, 2), np.nan)}, "inputs hold NaN or infinity"),
        ({"x": np.ones((2, 17)), "mask_input": True}, "expected at most 16 numbers an input to mask .*, got 17; leave"),
    ],
)
def test_bad_input_is_told_in_one_line(change: dict[str, object], message: str) -> None:
    given = {"x": np.eye(2), "depth": 2, "keep": 0.5} | change
    with pytest.raises(InputError, match=message) as caught:
        pruned_mlp_ntk(**given)
    assert "\n" not in str(caught.value)


def test_words_are_no_inputs() -> None:
    with pytest.raises(InputError, match=r"expected inputs as an array of numbers \(n, \.\.\.\), got str"):
        pruned_mlp_ntk("a", depth=2)
