from __future__ import annotations

import pytest

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


@pytest.mark.filterwarnings("ignore")
def test_ray_tune_runs_it(two: Objective, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra 'ray'")
    from ray import tune

    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        tuner = tune.Tuner(
            two.ray_tune,
            param_space=param_space(two),
            tune_config=tune.TuneConfig(
                num_samples=3, metric="ntk_condition_number", mode="min", max_concurrent_trials=1
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        )
        results = tuner.fit()
        assert not results.errors
        best = results.get_best_result().metrics
        assert best["ntk_condition_number"] == two(best["architecture"])[1]
    finally:
        ray.shutdown()
