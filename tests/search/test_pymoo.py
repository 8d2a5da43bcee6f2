from __future__ import annotations

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
    out: dict[str, object] = {}
    two.pymoo()._evaluate(dict.fromkeys(two.choices, "none"), out)
    assert out["G"] == 2.0
    assert np.isfinite(out["F"]).all()
