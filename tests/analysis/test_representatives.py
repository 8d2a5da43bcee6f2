from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from automl_theory.analysis.representatives import ASPECTS, REPRESENTATIVES, choose_representatives, saturation
from automl_theory.errors import InputError
from automl_theory.proxies import get_proxy


def table(**columns: list[float]) -> pd.DataFrame:
    families = {"linear_regions": "expressivity", "naswot": "expressivity", "mine": "expressivity"}
    families |= {"ntk_lambda_min": "convergence", "ntk_regression_error": "generalization"}
    df = pd.DataFrame({"ntk_lambda_min": range(4), "ntk_regression_error": range(4), **columns}, dtype=float)
    df.attrs["proxies"] = {
        name: {"family": family, "direction": "minimize" if "error" in name else "maximize"}
        for name, family in families.items()
        if name in df
    }
    return df


def test_defaults_are_proxies_of_their_aspect() -> None:
    assert ASPECTS == ("expressivity", "convergence", "generalization")
    for aspect, names in REPRESENTATIVES.items():
        assert all(get_proxy(name).family == aspect for name in names)


def test_the_first_default_that_is_not_saturated() -> None:
    fresh, tied = [1.0, 2.0, 3.0, 4.0], [1.0, 9.0, 9.0, 9.0]
    chosen = choose_representatives(table(linear_regions=fresh, naswot=fresh))
    assert chosen == {
        "expressivity": "linear_regions",
        "convergence": "ntk_lambda_min",
        "generalization": "ntk_regression_error",
    }
    assert choose_representatives(table(linear_regions=tied, naswot=fresh))["expressivity"] == "naswot"
    assert choose_representatives(table(linear_regions=tied))["expressivity"] == "linear_regions", "nothing else"
    assert choose_representatives(table(linear_regions=[9.0] * 4, naswot=tied))["expressivity"] == "naswot", "least"
    assert choose_representatives(table(mine=fresh))["expressivity"] == "mine", "another of the family"
    assert choose_representatives(table(linear_regions=[np.nan] * 4, mine=fresh))["expressivity"] == "mine"
    given = choose_representatives(table(linear_regions=tied, naswot=fresh), {"expressivity": "linear_regions"})
    assert given["expressivity"] == "linear_regions"


def test_saturation_is_told_by_ties_at_the_good_end_and_by_status() -> None:
    df = table(naswot=[1.0, 1.0, 1.0, 2.0])
    assert saturation(df, "naswot") == 0.0
    df["naswot_status"] = ["ok", "saturated", "saturated", "saturated"]
    assert saturation(df, "naswot") == 0.75
    df["ntk_regression_error"] = [0.0, 0.0, 1.0, 2.0]
    assert saturation(df, "ntk_regression_error") == 0.5, "its good end is low"
    assert saturation(df.iloc[:1], "ntk_regression_error") == 0.0


def test_bad_choices_are_told() -> None:
    df = table(naswot=[1.0, 2.0, 3.0, 4.0])
    with pytest.raises(
        InputError, match=r"aspects are expressivity, .*; got 'convergance'. Did you mean 'convergence'"
    ):
        choose_representatives(df, {"convergance": "naswot"})
    with pytest.raises(InputError, match="expressivity representative 'naswod' is not a column"):
        choose_representatives(df, {"expressivity": "naswod"})
    with pytest.raises(InputError, match=r"no expressivity proxy in this table; score turning_angle or .*pass repres"):
        choose_representatives(df.drop(columns="naswot"))
