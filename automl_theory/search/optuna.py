"""An objective for Optuna: each variable of the space is a categorical parameter.

    study = optuna.create_study(directions=objective.directions)
    study.optimize(objective.optuna(), n_trials=200)

What an undefined value means is the user's choice, since Optuna fails a trial that returns nan and says no more:

    "prune"   the trial is pruned, which every sampler knows how to treat, with one objective or several
    "worst"   the trial completes with the worst end of that objective, -inf or +inf; the other objectives keep their
              values, by which it can still be on the front

Either way the trial's user attributes tell it: `architecture`, `canonical`, `status:<proxy>`, and `reason` where one
failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_theory.errors import InputError, require
from automl_theory.probing.call import check_choice

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from automl_theory.search.evaluation import Measures

UNDEFINED = ("prune", "worst")


class OptunaObjective:
    """Trial -> value or values, in the order of `objective.directions`; can be pickled, and sent to workers.

    Errors: InputError for another `undefined`, and when called by a study of other directions, which would look for the
    worst architecture; MissingExtra without optuna.
    """

    def __init__(self, objective: Measures, undefined: str = "prune") -> None:
        check_choice("undefined", undefined, UNDEFINED)
        require("optuna", "search")
        self.objective, self.undefined = objective, undefined

    def __call__(self, trial: BaseTrial) -> float | tuple[float, ...]:
        """Suggest an architecture, measure it and return its values."""
        import optuna

        objective = self.objective
        if study := getattr(trial, "study", None):
            ways = tuple(way.name.lower() for way in study.directions)
            if ways != objective.directions:
                raise InputError(
                    f"the study is to {' and '.join(ways)}, but {', '.join(objective.names)} to "
                    f"{' and '.join(objective.directions)}; make it by create_study(directions=objective.directions)"
                )
        chosen = {name: trial.suggest_categorical(name, options) for name, options in objective.choices.items()}
        found = objective.evaluate(objective.architecture(chosen))
        trial.set_user_attr("architecture", found.arch)
        trial.set_user_attr("canonical", found.canonical)
        for name, status in found.statuses.items():
            trial.set_user_attr(f"status:{name}", status)
        if found.reason:
            trial.set_user_attr("reason", found.reason)
        if found.undefined and self.undefined == "prune":
            statuses = ", ".join(f"{name}: {found.statuses[name]}" for name in found.undefined)
            raise optuna.TrialPruned("; ".join(filter(None, [f"{found.arch} has no value ({statuses})", found.reason])))
        numbers = objective.numbers(found)
        return numbers[0] if len(numbers) == 1 else numbers
