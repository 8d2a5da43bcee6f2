from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.mlp_dag import chain_pair, depths, exact_pair, linear_edges

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.code import code_graph, code_string, graph_code, parse_code
from automl_theory.graphs.dag import CellGraph
from automl_theory.infinite_width import dag_kernels, stem_kernel
from automl_theory.linalg import spectrum
from automl_theory.spaces.mlp_dag_classes import live_part, renumbered

SPACE = at.space("mlp_dag")
LIVE = SPACE.live()
X = np.random.default_rng(0).standard_normal((5, 12))
X[1] += X[0]


def codes(nodes: int) -> st.SearchStrategy[str]:
    return st.tuples(*(st.text("0122", min_size=t, max_size=t) for t in range(1, nodes + 1))).map("_".join)


ANY = st.integers(1, 6).flatmap(codes)
FEW = settings(max_examples=60, deadline=None)


def parts(code: str, x: np.ndarray = X, rule: str = "exact") -> np.ndarray:
    k = dag_kernels(code, x, rule)
    return np.stack([k.nngp, k.ntk, k.stem])


@pytest.mark.parametrize("code", [*LIVE[::23], "2_22_222", "1_11_111", "1_11_112", "2", "1_22", "2_12_112_0211"])
def test_they_are_the_sums_written_out_pair_by_pair(code: str) -> None:
    kernels = parts(code)
    for i, j in [(0, 0), (0, 1), (2, 4)]:
        assert kernels[:, i, j] == pytest.approx(exact_pair(code, X[i], X[j]), rel=1e-12)


def test_one_path_is_a_chain_under_both_rules() -> None:
    scaled = X * np.sqrt(12) / np.linalg.norm(X, axis=1, keepdims=True)
    k0 = stem_kernel(scaled)
    np.testing.assert_allclose(np.diag(k0), 1, rtol=1e-15)
    single = [code for code in LIVE if len(depths(code)) == 1]
    assert {depths(code)[0] for code in single} == {1, 2, 3}
    for code in single[::7]:
        np.testing.assert_allclose(parts(code, scaled), parts(code, scaled, "paths"), rtol=1e-13)
        nngp, ntk = chain_pair(depths(code)[0], k0[0, 1])
        assert parts(code, scaled)[:2, 0, 1] == pytest.approx([nngp, ntk], rel=1e-12)


@pytest.mark.parametrize("code", LIVE[::31])
def test_the_path_rule_is_the_sum_over_paths(code: str) -> None:
    scaled = X * np.sqrt(12) / np.linalg.norm(X, axis=1, keepdims=True)
    k0 = stem_kernel(scaled)
    expected = np.sum([chain_pair(d, k0[0, 3]) for d in depths(code)], axis=0)
    assert parts(code, scaled, "paths")[:2, 0, 3] == pytest.approx(expected, rel=1e-12)
    assert parts(code, scaled, "paths")[0, 2, 2] == pytest.approx(len(depths(code)), rel=1e-12)


def test_the_rules_differ_wherever_there_are_two_paths() -> None:
    exact, paths = dag_kernels(LIVE, X), dag_kernels(LIVE, X, "paths")
    for k, code in enumerate(LIVE):
        if len(depths(code)) > 1:
            assert (np.diag(exact.nngp[k]) > 1.2 * np.diag(paths.nngp[k])).all()
            assert (np.diag(exact.ntk[k]) > 1.05 * np.diag(paths.ntk[k])).all()
    four = dag_kernels("1_11_112", X * np.sqrt(12) / np.linalg.norm(X, axis=1, keepdims=True)).nngp
    assert np.diag(four) == pytest.approx(8 + 8 / np.pi, rel=1e-12)
    parallel = dag_kernels("2_01_210", X * np.sqrt(12) / np.linalg.norm(X, axis=1, keepdims=True)).nngp
    assert np.diag(parallel) == pytest.approx(2 + 2 / np.pi, rel=1e-12)


def test_several_cells_at_once_are_each_by_itself() -> None:
    for rule in ("exact", "paths"):
        stacked = dag_kernels(LIVE[::50], X, rule)
        for k, code in enumerate(LIVE[::50]):
            alone = dag_kernels(code, X, rule)
            for name in ("nngp", "ntk", "stem"):
                assert (getattr(stacked, name)[k] == getattr(alone, name)).all()
    mixed = dag_kernels(("2", "2_22_222", CellGraph(3, [(0, 1, 1), (1, 2, 0)])), X)
    assert (mixed.nngp[0] == mixed.nngp[2]).all()
    assert dag_kernels([], X).nngp.shape == (0, 5, 5)
    assert (stacked.at_width(64) == 64 * stacked.ntk + stacked.stem).all()


@FEW
@given(ANY, st.permutations(range(5)), st.floats(0.1, 30))
def test_permuting_the_batch_permutes_and_scaling_scales(code: str, order: list[int], scale: float) -> None:
    for rule in ("exact", "paths"):
        plain = parts(code, X, rule)
        np.testing.assert_allclose(parts(code, X[order], rule), plain[:, order][:, :, order], rtol=1e-12)
        np.testing.assert_allclose(parts(code, scale * X, rule), scale**2 * plain, rtol=1e-9)
        np.testing.assert_allclose(parts(code, X[:3], rule), plain[:, :3, :3], rtol=1e-12)


@FEW
@given(ANY)
def test_dead_edges_and_the_numbers_of_nodes_make_no_difference(code: str) -> None:
    plain = parts(code)
    live = live_part(parse_code(code))
    np.testing.assert_array_equal(parts(code_string(live)), plain)
    np.testing.assert_allclose(parts(code_string(renumbered(live))), plain, rtol=1e-12)
    dead = [edge for edge in code_graph(parse_code(code)).edges if edge not in code_graph(live).edges]
    assert set(linear_edges(code)).isdisjoint((s, t) for s, t, _ in dead)


@FEW
@given(ANY)
def test_kernels_are_positive_semi_definite_and_symmetric(code: str) -> None:
    for kernel in parts(code):
        np.testing.assert_allclose(kernel, kernel.T, rtol=1e-13)
        assert np.linalg.eigvalsh(kernel)[0] >= -1e-12 * max(1, np.trace(kernel))
        assert (np.diag(kernel) >= 0).all()


def test_members_of_a_class_have_equal_kernels() -> None:
    representatives = {code: SPACE.canonical(code) for code in LIVE}
    every, own = dag_kernels(LIVE, X), dag_kernels(list(representatives.values()), X)
    for name in ("nngp", "ntk", "stem"):
        np.testing.assert_allclose(getattr(every, name), getattr(own, name), rtol=1e-12)


def test_the_stem_is_most_of_the_kernel_of_an_image() -> None:
    """Warning (ii): 92 to 97 % of the trace for 64×64 colour images at m = 256, whatever their norm."""
    images = np.random.default_rng(0).standard_normal((4, 3, 64, 64))
    kernels = dag_kernels(LIVE, images / np.linalg.norm(images))
    share = np.trace(kernels.stem, axis1=1, axis2=2) / np.trace(kernels.at_width(256), axis1=1, axis2=2)
    assert 0.92 < share.min() < share.max() < 0.98
    assert share.mean() == pytest.approx(0.95, abs=0.01)
    again = dag_kernels("2_02_002", images)
    assert np.trace(again.stem) / np.trace(again.at_width(256)) == pytest.approx(share[LIVE.index("2_02_002")])


def test_disconnected_skip_only_zero_and_repeated_inputs() -> None:
    assert not parts("2_00_000").any()
    skips = dag_kernels("1_11_111", X)
    np.testing.assert_allclose(skips.nngp, 16 * stem_kernel(X), rtol=1e-12)
    np.testing.assert_allclose(skips.ntk, skips.nngp, rtol=1e-15)
    zero = parts("2_21_212", np.vstack([X, np.zeros(12)]))
    assert np.isfinite(zero).all()
    assert not zero[:, -1].any()
    np.testing.assert_allclose(zero[:, :-1, :-1], parts("2_21_212"), rtol=1e-12)
    for code in ("2_02_002", "2_22_222", "1_11_112"):
        for kernel in parts(code, np.vstack([X, X[:1]])):
            assert spectrum(kernel).status == "rank_deficient"
            assert spectrum(kernel).rank == 5
    opposite = parts("2_22_222", np.vstack([X[0], -X[0]]))
    assert opposite[2, 0, 1] == 0
    assert np.isfinite(opposite).all()


def test_inputs_come_in_any_shape_and_from_torch() -> None:
    plain = parts("2_21_212")
    np.testing.assert_array_equal(parts("2_21_212", X.reshape(5, 3, 2, 2)), plain)
    np.testing.assert_array_equal(parts("2_21_212", torch.tensor(X, requires_grad=True)), plain)
    np.testing.assert_array_equal(parts("2_21_212", X.tolist()), plain)


def test_eight_nodes_with_many_paths() -> None:
    full = "_".join("1" * t for t in range(1, 41))
    kernels = dag_kernels(full, X)
    np.testing.assert_allclose(kernels.nngp, 4.0**39 * stem_kernel(X), rtol=1e-12)
    eight = dag_kernels("_".join("2" * t for t in range(1, 9)), X)
    assert np.isfinite(eight.ntk).all()
    assert (np.diag(eight.nngp) > np.diag(dag_kernels("_".join("2" * t for t in range(1, 9)), X, "paths").nngp)).all()


def test_a_code_round_trips_through_its_graph() -> None:
    for code in LIVE[::97]:
        np.testing.assert_array_equal(parts(code), parts(CellGraph(4, code_graph(parse_code(code)).edges)))
        assert code_string(graph_code(code_graph(parse_code(code)))) == code


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("2_02_003", X), "position 7, unknown operation '3'"),
        ((["2", "3"], X), "position 0, unknown operation '3'"),
        ((CellGraph(2, [(0, 1, 3)]), X), "edge 0>1 has 3 layers; write it as 3 edges"),
        (("2", X, "path"), "rule='path' is not one of exact, paths. Did you mean 'paths'?"),
        (("2", X[0]), r"shape \(n, ...\) .*got \(12,\); stack them"),
        (("2", X[:0]), "n of at least 1"),
        (("2", np.full((2, 2), np.nan)), "NaN or infinity; leave those samples out"),
    ],
)
def test_bad_arguments_are_explained(arguments: tuple[object, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        dag_kernels(*arguments)


def test_closed_forms_do_not_wait_for_torch() -> None:
    code = (
        "import sys, automl_theory as at; "
        "k = at.infinite_width.dag_kernels('2_02_002', [[1.0, 2.0], [0.0, 1.0]], rule='exact'); "
        "print('torch' in sys.modules, k.nngp.shape)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == "False (2, 2)\n", done.stderr
