from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from small_objectives import small
from torch import nn

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.search.objective import Objective

optuna = pytest.importorskip("optuna", reason="needs the extra 'search'")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def dead(objective: Objective) -> dict[str, str]:
    return dict.fromkeys(objective.choices, "none")


def test_several_objectives(two: Objective) -> None:
    study = optuna.create_study(
        directions=two.directions, sampler=optuna.samplers.NSGAIISampler(seed=0, population_size=6)
    )
    study.enqueue_trial(dead(two))
    study.optimize(two.optuna(), n_trials=14)
    assert study.trials[0].state.name == "PRUNED"
    assert study.trials[0].user_attrs["status:ntk_condition_number"] == "disconnected"
    assert {trial.state.name for trial in study.trials} <= {"PRUNED", "COMPLETE"}
    for trial in study.best_trials:
        assert tuple(trial.values) == two(trial.user_attrs["architecture"])
    again = optuna.create_study(
        directions=two.directions, sampler=optuna.samplers.NSGAIISampler(seed=0, population_size=6)
    )
    again.enqueue_trial(dead(two))
    again.optimize(small(*two.names).optuna(), n_trials=14)
    assert [t.values for t in again.trials] == [t.values for t in study.trials]


def test_a_study_of_other_directions_is_refused_before_it_measures() -> None:
    objective = small("naswot")
    message = (
        "the study is to minimize, but naswot to maximize; make it by create_study.directions=objective.directions"
    )
    with pytest.raises(InputError, match=message):
        optuna.create_study().optimize(objective.optuna("worst"), n_trials=2)
    fixed = optuna.trial.FixedTrial({name: options[-1] for name, options in objective.choices.items()})
    assert objective.optuna("worst")(fixed) == objective(fixed.user_attrs["architecture"])


@pytest.mark.parametrize("proxies", [("naswot",), ("naswot", "ntk_condition_number")])
def test_undefined_can_be_the_worst_and_never_wins(proxies: tuple[str, ...]) -> None:
    objective = small(*proxies)
    study = optuna.create_study(directions=objective.directions, sampler=optuna.samplers.TPESampler(seed=1))
    study.enqueue_trial(dead(objective))
    study.optimize(objective.optuna("worst"), n_trials=6)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    assert all(abs(value) == float("inf") for value in study.trials[0].values)
    assert study.trials[0] not in study.best_trials


def test_one_objective_with_pruning() -> None:
    objective = small("naswot")
    study = optuna.create_study(directions=objective.directions, sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(dead(objective))
    study.optimize(objective.optuna, n_trials=5)
    assert study.trials[0].state.name == "PRUNED"
    assert study.best_value == objective(study.best_trial.user_attrs["architecture"])


def test_a_network_that_cannot_be_built_is_pruned_with_the_reason() -> None:
    def bad() -> nn.Module:
        raise RuntimeError("no such layer")

    def good() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))

    objective = at.Objective({"bad": bad, "good": good}, ["l2_norm"], n=4)
    study = optuna.create_study(directions=objective.directions)
    for name in ("bad", "good", "bad"):
        study.enqueue_trial({"architecture": name})
    study.optimize(objective.optuna(), n_trials=3)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "COMPLETE", "PRUNED"]
    assert study.trials[0].user_attrs["status:l2_norm"] == "failed"
    assert study.trials[0].user_attrs["reason"] == "RuntimeError: no such layer"


def test_trials_in_threads_are_those_alone(two: Objective) -> None:
    fresh = small(*two.names)
    study = optuna.create_study(directions=two.directions, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(fresh.optuna("worst"), n_trials=12, n_jobs=2)
    for trial in study.trials:
        assert tuple(trial.values) == two(trial.user_attrs["architecture"])
    assert fresh.evaluations == two.evaluations


def test_an_unknown_choice_is_told(two: Objective) -> None:
    with pytest.raises(InputError, match=r"prune.*worst"):
        two.optuna("fail")


def test_two_processes_share_a_study_and_a_store(tmp_path: Path) -> None:
    script = f"""
import optuna, automl_theory as at
optuna.logging.set_verbosity(optuna.logging.ERROR)
o = at.Objective("nas_bench_201", ["naswot"], n=8, network={{"channels": 4, "cells_per_stage": 1}},
                 store={str(tmp_path / "scores.db")!r})
storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend({str(tmp_path / "j.log")!r}))
study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True, directions=o.directions,
                            sampler=optuna.samplers.RandomSampler())
study.optimize(o.optuna("worst"), n_trials=5)
"""
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "j.log")))
    study = optuna.load_study(study_name="s", storage=storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 10
    objective = small("naswot", store=tmp_path / "scores.db")
    for trial in study.trials:
        assert trial.value == objective(trial.user_attrs["architecture"])
    assert objective.evaluations == 0
