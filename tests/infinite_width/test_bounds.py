from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from reference.mlp_dag import chain_pair, depths

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.infinite_width import (
    dag_kernels,
    jacobian_norm,
    kappa0,
    kappa1,
    nngp_bound,
    nngp_gap,
    ntk_bound,
    ntk_gap,
    pair_bound,
    risk_term,
    stem_kernel,
)
from automl_theory.linalg import spectrum

SPACE = at.space("mlp_dag")
LIVE = SPACE.live()
CHAIN, PARALLEL, MIXED = "2_02_002", "1_01_222", "2_21_112"
C = np.linspace(0, 1, 501)[:-1]


def gaussian(n: int = 32, d: int = 192) -> np.ndarray:
    """Inputs of the oracle's recipe, scaled to |x|² = d."""
    x = np.random.Generator(np.random.PCG64(7)).standard_normal((n, d))
    return x * np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True)


X = gaussian()
K0 = stem_kernel(X)
EXACT, PATHS = dag_kernels(LIVE, X), dag_kernels(LIVE, X, "paths")


def least(kernels: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(kernels)[:, 0]


def printed(code: str, c: float) -> tuple[float, float]:
    """Theorems 4.4 and 4.6, sums and products as they stand there."""

    def f(times: int) -> float:
        value = c
        for _ in range(times):
            value = float(kappa1(value))
        return value

    def slope(k: int) -> float:
        return float(kappa0(f(k - 1)))

    found = depths(code)
    nngp = len(found) - sum(f(d) for d in found)
    inner = sum(f(e) * math.prod(slope(k) for k in range(1, e + 1)) for d in found for e in range(1, d + 1))
    return nngp, nngp + sum(found) - inner


@pytest.mark.parametrize("code", [*LIVE[::29], "2_22_222_2222"])
def test_the_gaps_are_the_theorems(code: str) -> None:
    for c in (-0.3, 0.0, 0.4, 0.9, 1.0):
        nngp, ntk = printed(code, c)
        assert nngp_gap(code, c) == pytest.approx(nngp, rel=1e-12, abs=1e-14)
        assert ntk_gap(code, c) == pytest.approx(ntk, rel=1e-12, abs=1e-14)
    assert (np.diff(nngp_gap(code, C)) < 0).all()
    assert (np.diff(ntk_gap(code, C)) < 0).all()


def test_closed_forms_of_the_three_cells_of_2022_and_their_order() -> None:
    f = [C, *(kappa1(C) for _ in range(1))]
    f.append(kappa1(f[1]))
    f.append(kappa1(f[2]))
    np.testing.assert_allclose(nngp_gap(CHAIN, C), 1 - f[3], atol=1e-14)
    np.testing.assert_allclose(nngp_gap(PARALLEL, C), 3 * (1 - f[1]), atol=1e-14)
    np.testing.assert_allclose(nngp_gap(MIXED, C), 4 - (C + f[1] + 2 * f[2]), atol=1e-14)
    assert (nngp_gap(CHAIN, C) < nngp_gap(PARALLEL, C)).all()
    assert (nngp_gap(PARALLEL, C) < nngp_gap(MIXED, C)).all()


def test_exact_spectra_of_the_three_cells() -> None:
    """λ_min rises from chain to parallel to mixed, .23 < .97 < 1.27 or so; the condition number goes the other way."""
    spectra = [spectrum(dag_kernels(code, X).nngp) for code in (CHAIN, PARALLEL, MIXED)]
    minima, conditions = [s.lambda_min for s in spectra], [s.condition_number for s in spectra]
    assert minima == sorted(minima)
    assert conditions == sorted(conditions)
    assert minima == pytest.approx([0.233, 0.973, 1.268], rel=0.05)
    assert conditions == pytest.approx([95, 113, 136], rel=0.05)


def test_no_kernel_exceeds_its_own_pairs() -> None:
    """Statement 4, first half: 0 of 541."""
    for kernels in (EXACT.nngp, EXACT.ntk, PATHS.nngp, PATHS.ntk):
        assert (least(kernels) <= [pair_bound(kernel) for kernel in kernels]).all()
    kernel = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.9], [0.0, 0.9, 1.0]])
    minors = [np.linalg.eigvalsh(kernel[np.ix_(pair, pair)])[0] for pair in ([0, 1], [0, 2], [1, 2])]
    assert pair_bound(kernel) == pytest.approx(min(minors), rel=1e-12)


def test_the_papers_bounds_hold_for_the_path_sum_and_not_for_the_exact_kernel() -> None:
    """Statement 4: 0 violations of 541 for the path sum, 54 for the exact kernel, up to 1.85-fold."""
    nngp, ntk = nngp_bound(LIVE, K0), ntk_bound(LIVE, K0)
    assert (least(PATHS.nngp) <= nngp).all()
    assert (least(PATHS.ntk) <= ntk).all()
    ratio = least(EXACT.nngp) / nngp
    assert (ratio > 1).sum() == 54
    assert ratio.max() == pytest.approx(1.85, abs=0.02)
    assert ratio[LIVE.index("1_01_112")] > 1
    for code, exceeds in zip(LIVE, ratio > 1, strict=True):
        if exceeds:
            assert depths(code).count(0) > 1 or depths(code) != sorted(set(depths(code))), code
    assert K0[np.triu_indices(32, 1)].max() == pytest.approx(0.45, abs=0.02)
    for code in (CHAIN, "1_11_112"):
        pairs = K0[np.triu_indices(32, 1)]
        assert nngp_bound(code, K0) == pytest.approx(nngp_gap(code, pairs).min(), rel=1e-15)
        assert ntk_bound(code, K0) == pytest.approx(ntk_gap(code, pairs).min(), rel=1e-15)
    # The minor of the path-sum kernel is Theorem 4.4's gap.
    assert nngp[7] == pytest.approx(pair_bound(PATHS.nngp[7]), rel=1e-9)


def test_theorem_4_6_as_printed_is_no_minor_of_the_path_sum() -> None:
    """Two inputs: λ_min is the minor's, and the print is below it in nearly all cells; Theorem 4.4 is that minor."""
    x = gaussian(2, 20)
    k0, paths = stem_kernel(x), dag_kernels(LIVE, x, "paths")
    np.testing.assert_allclose(least(paths.nngp), nngp_bound(LIVE, k0), rtol=1e-9)
    ratio = least(paths.ntk) / ntk_bound(LIVE, k0)
    assert (ratio > 1).sum() == 539
    assert 1.05 < ratio.max() < 1.1
    c = float(k0[0, 1])
    recursion = 2 - float(kappa1(c)) - float(kappa0(c)) * c
    assert least(paths.ntk)[LIVE.index("0_00_200")] == pytest.approx(recursion, rel=1e-9)
    assert ntk_gap("0_00_200", c) == pytest.approx(2 - float(kappa1(c)) * (1 + float(kappa0(c))), rel=1e-12)


def test_who_wins_what() -> None:
    """Statement 5, its closed part: the named winner of convergence, and that another cell has the best NTK."""
    assert LIVE[int(np.argmax(least(EXACT.nngp)))] == "1_11_121"
    assert LIVE[int(np.argmax(least(EXACT.ntk)))] == "2_22_222"
    assert LIVE[int(np.argmax(nngp_bound(LIVE, K0)))] in {code for code in LIVE if len(depths(code)) == 4}
    speed = {code: jacobian_norm(code, 64) for code in LIVE}
    assert min(speed, key=speed.__getitem__) in {code for code in LIVE if depths(code) == [3]}


def jacobians(width: int, depth: int, draws: int, parallel: bool = False) -> np.ndarray:
    """|dX_H/dt| of random networks for a curve with |dx/dt| = √d, the first layer linear; ReLU gates are coin flips."""
    rng = np.random.default_rng(width + depth)
    found = []
    for _ in range(draws):
        tangent = rng.standard_normal(width) / np.sqrt(width)
        after = np.zeros(width)
        for _ in range(depth):
            edge = (rng.standard_normal((width, width)) @ tangent) * (rng.random(width) < 0.5) * np.sqrt(2 / width)
            tangent, after = (tangent, after + edge) if parallel else (edge, edge)
        found.append(np.linalg.norm(after if depth else tangent))
    return np.array(found)


def test_the_mean_jacobian_of_a_chain_is_theorem_4_1() -> None:
    for code, depth in (("0_00_100", 0), ("2_01_001", 1), (CHAIN, 3)):
        width = 24
        drawn = jacobians(width, depth, 4000)
        error = drawn.std() / np.sqrt(len(drawn))
        assert drawn.mean() == pytest.approx(jacobian_norm(code, width), abs=4 * error + 2 * depth / width**2)
    assert jacobian_norm(CHAIN, 24) < 0.95 * jacobian_norm("0_00_100", 24)


def test_with_two_paths_theorem_4_1_adds_norms_where_vectors_add() -> None:
    drawn = jacobians(64, 2, 500, parallel=True)
    assert drawn.mean() == pytest.approx(math.sqrt(2), rel=0.03)
    assert jacobian_norm("2_01_210", 64) == pytest.approx(2, rel=0.03)


def test_the_jacobian_formula() -> None:
    for m in (1, 7, 256):
        constant = math.gamma((m + 1) / 2) / (math.gamma(m / 2) * math.sqrt(m / 2)) if m < 200 else 1 - 1 / (4 * m)
        expected = constant * sum(math.exp(-5 * d / (8 * m)) for d in depths("2_21_212"))
        assert jacobian_norm("2_21_212", m) == pytest.approx(expected, rel=1e-5)
    assert jacobian_norm("1_11_112", 10**9) == pytest.approx(4, rel=1e-8)
    assert jacobian_norm(CHAIN, 256) / jacobian_norm("0_00_100", 256) == pytest.approx(1 - 0.0073, abs=1e-4)
    assert jacobian_norm("0_00_000", 16) == 0
    for width in (0, 2.5, True):
        with pytest.raises(InputError, match="width to be an integer of at least 1"):
            jacobian_norm(CHAIN, width)


def test_the_risk_term() -> None:
    rng = np.random.default_rng(0)
    y, kernel = rng.standard_normal((32, 3)), EXACT.ntk[LIVE.index("2_21_212")]
    forms = [column @ np.linalg.inv(kernel) @ column for column in y.T]
    total = sum(depths("2_21_212"))
    assert risk_term("2_21_212", kernel, y[:, 0]) == pytest.approx(total * math.sqrt(forms[0] / 32), rel=1e-9)
    assert risk_term("2_21_212", kernel, y) == pytest.approx(total * math.sqrt(sum(forms) / 32), rel=1e-9)
    assert risk_term("1_11_111", kernel, y) == 0
    assert risk_term(CHAIN, np.ones((32, 32)), y) == math.inf
    for arguments, reason in [
        ((CHAIN, kernel, y[:5]), r"y of shape \(32,\) or \(32, C\), got \(5, 3\); give each input its target"),
        ((CHAIN, kernel, np.full(32, np.nan)), "y holds NaN"),
        ((CHAIN, kernel[:3], y), r"kernel of shape \(n, n\).*got \(3, 32\); see"),
        ((CHAIN, kernel * np.inf, y), "the kernel holds NaN or infinity"),
        (("2_22_22", kernel, y), "position 7"),
    ]:
        with pytest.raises(InputError, match=reason):
            risk_term(*arguments)


def test_cells_with_the_same_paths_are_the_same_to_every_theorem() -> None:
    for a, b in product(LIVE[::37], LIVE[::41]):
        if sorted(depths(a)) == sorted(depths(b)):
            assert nngp_bound(a, K0) == nngp_bound(b, K0)
            assert jacobian_norm(a, 64) == pytest.approx(jacobian_norm(b, 64), rel=1e-14)
    graph = CellGraph(3, [(0, 1, 1), (1, 2, 1)])
    assert nngp_bound(graph, K0) == nngp_bound("2_02", K0)


def test_the_exact_kernel_is_no_chain() -> None:
    """What the path sum leaves out: the exact off-diagonal of two parallel edges has the product of means too."""
    c = float(K0[0, 1])
    one = chain_pair(1, c)[0]
    parallel = dag_kernels("2_01_210", X)
    assert parallel.nngp[0, 1] == pytest.approx(2 * one + 2 / math.pi, rel=1e-12)


def test_bad_kernels_are_explained() -> None:
    for bound in (nngp_bound, ntk_bound):
        with pytest.raises(InputError, match=r"K_0 with diagonal 1: stem_kernel\(x\) of inputs scaled to"):
            bound(CHAIN, stem_kernel(2 * X))
        with pytest.raises(InputError, match=r"\(n, n\) with n of at least 2, got \(1, 1\)"):
            bound(CHAIN, [[1.0]])
    with pytest.raises(InputError, match="at least 2"):
        pair_bound(np.ones(3))
    with pytest.raises(InputError, match="between -1 and 1"):
        nngp_gap(CHAIN, 1.5)
    assert nngp_gap("0_00_000", 0.3) == ntk_gap("0_00_000", 0.3) == 0
