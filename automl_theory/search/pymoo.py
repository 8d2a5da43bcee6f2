"""An objective for pymoo: a problem of categorical variables, one objective a proxy.

    problem = objective.pymoo()
    found = minimize(problem, NSGA2(pop_size=20, **problem.operators()), ("n_gen", 10), seed=0)
    [objective.architecture(chosen) for chosen in found.X]

pymoo minimises, so maximised proxies are negated. An architecture of which a value is undefined violates a constraint:
it is infeasible, and no feasible one is dominated by it. An infinite value, such as the condition number of a singular
kernel, is 1e30 with its sign, since pymoo's crowding distances know no infinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from automl_theory.errors import require

try:
    from pymoo.core.duplicate import ElementwiseDuplicateElimination
    from pymoo.core.mixed import MixedVariableMating, MixedVariableSampling
    from pymoo.core.problem import ElementwiseProblem
    from pymoo.core.variable import Choice
except ImportError:
    require("pymoo", "search")
    raise

if TYPE_CHECKING:
    from automl_theory.search.evaluation import Measures

FAR = 1e30
"""Stands for an infinite value, and for an undefined one in an infeasible row."""


class Same(ElementwiseDuplicateElimination):  # type: ignore[misc]  # pymoo has no types
    """Equal options everywhere."""

    def is_equal(self, a: Any, b: Any) -> bool:
        """Whether two individuals are one architecture string."""
        return bool(a.X == b.X)


class Problem(ElementwiseProblem):  # type: ignore[misc]  # pymoo has no types
    """Variables {name: option} -> values, each the smaller the better, and one constraint: all are defined.

    Can be pickled, and sent to the processes of pymoo's own parallelization.
    """

    def __init__(self, objective: Measures, **settings: Any) -> None:
        self.objective = objective
        variables = {name: Choice(options=list(options)) for name, options in objective.choices.items()}
        super().__init__(vars=variables, n_obj=len(objective.names), n_ieq_constr=1, **settings)

    def _evaluate(self, x: dict[str, str], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        objective = self.objective
        found = objective.evaluate(objective.architecture({name: str(option) for name, option in x.items()}))
        signed = [
            -value if direction == "maximize" else value
            for value, direction in zip(objective.numbers(found), objective.directions, strict=True)
        ]
        out["F"] = np.nan_to_num(signed, posinf=FAR, neginf=-FAR)
        out["G"] = float(len(found.undefined))

    @staticmethod
    def operators() -> dict[str, Any]:
        """Sampling, mating and duplicate elimination for categorical variables, to be given to an algorithm."""
        same = Same()
        return {
            "sampling": MixedVariableSampling(),
            "mating": MixedVariableMating(eliminate_duplicates=same),
            "eliminate_duplicates": same,
        }
