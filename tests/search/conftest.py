from __future__ import annotations

import pytest
from small_objectives import small

from automl_theory.search.objective import Objective


@pytest.fixture
def two() -> Objective:
    return small("ntk_lambda_min_normalised", "ntk_condition_number")
