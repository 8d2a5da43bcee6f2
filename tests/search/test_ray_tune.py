from __future__ import annotations

from pathlib import Path

import pytest
from small_objectives import small

from automl_theory.search.objective import Objective
from automl_theory.search.ray_tune import param_space


def test_the_function_gives_finite_metrics(two: Objective) -> None:
    config = {**dict.fromkeys(two.choices, "nor_conv_1x1"), "other": 3}
    found = two.ray_tune(config)
    arch = found["architecture"]
    assert (found["ntk_lambda_min_normalised"], found["ntk_condition_number"]) == two(arch)
    assert found["undefined"] == 0
    dead = two.ray_tune(dict.fromkeys(two.choices, "none"))
    assert (dead["ntk_lambda_min_normalised"], dead["ntk_condition_number"]) == (-1e30, 1e30)
    assert dead["undefined"] == 2
    assert dead["status:ntk_condition_number"] == "disconnected"


@pytest.mark.filterwarnings("ignore")  # Ray leaves sockets and old calls of its own behind
def test_ray_tune_runs_it_and_trials_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial is a process in a folder of its own; one is of a cell without a value."""
    ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
    from ray import tune
    from ray.tune.search import BasicVariantGenerator

    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    monkeypatch.chdir(tmp_path)
    objective = small("ntk_condition_number", store="s.db")
    cells = [dict.fromkeys(objective.choices, option) for option in ("none", "nor_conv_1x1")]
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        tuner = tune.Tuner(
            objective.ray_tune,
            param_space=param_space(objective),
            tune_config=tune.TuneConfig(
                search_alg=BasicVariantGenerator(points_to_evaluate=cells),
                num_samples=2,
                metric="ntk_condition_number",
                mode="min",
                max_concurrent_trials=1,
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        )
        results = tuner.fit()
    finally:
        ray.shutdown()
    assert not results.errors
    assert sorted(result.metrics["undefined"] for result in results) == [0, 1]
    fresh = small("ntk_condition_number", store="s.db")
    best = results.get_best_result().metrics
    assert best["ntk_condition_number"] == fresh(best["architecture"]) < 1e30
    for result in results:
        fresh(result.metrics["architecture"])
    assert fresh.evaluations == 0
