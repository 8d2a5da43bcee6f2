"""An objective for Ray Tune: a function of a configuration, and the space of configurations.

    tuner = tune.Tuner(objective.ray_tune, param_space=param_space(objective), tune_config=...)

The function returns {proxy: value, "architecture", "canonical", "undefined", "status:<proxy>", "reason"}. Ray's
schedulers and searchers compare numbers: an infinite value is 1e30 with its sign, an undefined one 1e30 on the bad
side, and `undefined` counts those. Each trial has a copy of the objective; through a `store` they share their
scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from automl_theory.errors import require

if TYPE_CHECKING:
    from automl_theory.search.evaluation import Measures

FAR = 1e30


def param_space(objective: Measures) -> dict[str, Any]:
    """Return {variable: tune.choice(options)}. Errors: MissingExtra without Ray Tune."""
    require("ray", "ray")
    from ray import tune

    return {name: tune.choice(list(options)) for name, options in objective.choices.items()}


def metrics(objective: Measures, config: Mapping[str, str]) -> dict[str, Any]:
    """Measure the architecture of a configuration; other entries of the configuration are left alone."""
    chosen = {name: str(config[name]) for name in objective.choices if name in config}
    found = objective.evaluate(objective.architecture(chosen))
    numbers = dict(zip(objective.names, objective.numbers(found), strict=True))
    return {
        **{name: math.copysign(FAR, value) if math.isinf(value) else value for name, value in numbers.items()},
        **{f"status:{name}": status for name, status in found.statuses.items()},
        "undefined": len(found.undefined),
        "reason": found.reason,
        "architecture": found.arch,
        "canonical": found.canonical,
    }
