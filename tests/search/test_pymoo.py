from __future__ import annotations

import pickle
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from automl_theory.search.objective import Objective

pytest.importorskip("pymoo", reason="needs the extra 'search'")


def test_nsga2_finds_a_front_of_feasible_cells(two: Objective) -> None:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.optimize import minimize

    problem = two.pymoo()
    found = minimize(problem, NSGA2(pop_size=8, **problem.operators()), ("n_gen", 3), seed=0)
    cells = [two.architecture({name: str(option) for name, option in chosen.items()}) for chosen in found.X]
    np.testing.assert_array_equal(found.F, [(-a, b) for a, b in map(two, cells)])
    for a in found.F:
        assert not any((b <= a).all() and (b < a).any() for b in found.F)
    again = minimize(two.pymoo(), NSGA2(pop_size=8, **problem.operators()), ("n_gen", 3), seed=0)
    np.testing.assert_array_equal(again.F, found.F)


def test_an_undefined_cell_is_infeasible(two: Objective) -> None:
    out: dict[str, Any] = {}
    two.pymoo()._evaluate(dict.fromkeys(two.choices, "none"), out)
    assert out["G"] == 2.0
    assert np.isfinite(out["F"]).all()


def test_the_problem_goes_to_other_processes(two: Objective) -> None:
    from pymoo.parallelization import StarmapParallelization

    cells = [dict.fromkeys(two.choices, option) for option in ("none", "nor_conv_1x1", "nor_conv_3x3")]
    alone = two.pymoo().evaluate(np.array(cells), return_as_dictionary=True)
    with get_context("spawn").Pool(1) as pool:
        problem = two.pymoo(elementwise_runner=StarmapParallelization(pool.starmap))
        there = problem.evaluate(np.array(cells), return_as_dictionary=True)
    np.testing.assert_array_equal(there["F"], alone["F"])
    np.testing.assert_array_equal(there["G"], alone["G"])
    assert pickle.loads(pickle.dumps(two.pymoo())).objective.evaluations == two.evaluations
