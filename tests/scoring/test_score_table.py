from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from automl_theory.proxies import get_proxies, get_proxy
from automl_theory.scoring.table import SEVERITY, score_table
from automl_theory.spaces import ModuleSpace, space

NAN = math.nan
SPACE = ModuleSpace({name: dict for name in ("a", "b", "c")})
LAMBDA, NASWOT = "ntk_lambda_min", "naswot"


def scores(*rows: tuple[str, int, str, float, str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["arch", "seed", "proxy", "value", "status"])


def table(rows: pd.DataFrame, seeds: list[int], names: str = LAMBDA, archs: str = "abc", **more: Any) -> pd.DataFrame:
    arguments: dict[str, Any] = {"space": SPACE, "sizes": None, "attrs": {}} | more
    return score_table(
        arguments["space"], list(archs), get_proxies(names), rows, seeds, arguments["sizes"], arguments["attrs"]
    )


def test_mean_and_standard_deviation_over_seeds_by_hand() -> None:
    values = {"a": (1.0, 2.0, 6.0), "b": (5.0, 5.0, 5.0), "c": (-1.0, 0.0, 1.0)}
    rows = [(arch, seed, LAMBDA, value, "ok") for arch, row in values.items() for seed, value in enumerate(row)]
    found = table(scores(*rows), [0, 1, 2])
    assert found[LAMBDA].to_dict() == {"a": 3.0, "b": 5.0, "c": 0.0}
    # The sample deviation: ((−2)² + (−1)² + 3²) / 2 = 7.
    assert found[f"{LAMBDA}_std"].to_dict() == {"a": math.sqrt(7), "b": 0.0, "c": 1.0}
    assert set(found[f"{LAMBDA}_status"]) == {"ok"}
    assert found.index.name == "arch"
    assert list(found.columns) == ["canonical", LAMBDA, f"{LAMBDA}_std", f"{LAMBDA}_status"]


def test_only_the_seeds_asked_for_count() -> None:
    rows = scores(*((arch, seed, LAMBDA, 10.0 * seed, "ok") for arch in "abc" for seed in range(4)))
    assert table(rows, [3, 1])[LAMBDA].tolist() == [20.0] * 3
    one = table(rows, [2])
    assert one[LAMBDA].tolist() == [20.0] * 3
    assert one[f"{LAMBDA}_std"].isna().all()
    assert one.attrs["seeds"] == [2]


@pytest.mark.parametrize(
    ("statuses", "worst", "mean"),
    [
        (("ok", "ok"), "ok", 3.0),
        (("ok", "saturated"), "saturated", 3.0),
        (("rank_deficient", "saturated"), "rank_deficient", 3.0),
        (("ok", "disconnected"), "disconnected", NAN),
        (("failed", "ok"), "failed", NAN),
        (("non_finite", "failed"), "failed", NAN),
    ],
)
def test_the_gravest_status_wins_and_undefined_ones_have_no_value(
    statuses: tuple[str, str], worst: str, mean: float
) -> None:
    rows = scores(("a", 0, LAMBDA, 2.0, statuses[0]), ("a", 1, LAMBDA, 4.0, statuses[1]))
    found = table(rows, [0, 1], archs="a").loc["a"]
    assert found[f"{LAMBDA}_status"] == worst
    assert found[LAMBDA] == mean or (math.isnan(found[LAMBDA]) and math.isnan(mean))


def test_every_status_of_a_proxy_has_a_severity() -> None:
    from automl_theory.proxies import STATUSES

    assert set(STATUSES) | {"missing"} == set(SEVERITY)


def test_what_is_not_there_is_missing() -> None:
    rows = scores(("a", 0, LAMBDA, 2.0, "ok"), ("a", 1, LAMBDA, 4.0, "ok"), ("b", 0, LAMBDA, 1.0, "ok"))
    found = table(rows, [0, 1], f"{LAMBDA},{NASWOT}")
    assert found[f"{LAMBDA}_status"].tolist() == ["ok", "missing", "missing"]
    assert found[LAMBDA].tolist()[:1] == [3.0]
    assert found[LAMBDA].isna().tolist() == [False, True, True]
    assert set(found[f"{NASWOT}_status"]) == {"missing"}
    assert found[NASWOT].isna().all()
    assert found[NASWOT].dtype == "float64"


def test_infinite_values_stay_infinite() -> None:
    name = "ntk_condition_number"
    rows = scores(("a", 0, name, math.inf, "rank_deficient"), ("a", 1, name, 3.0, "ok"))
    found = table(rows, [0, 1], name, "a").loc["a"]
    assert found[name] == math.inf
    assert found[f"{name}_status"] == "rank_deficient"


def test_strings_of_a_class_share_proxies_but_not_sizes() -> None:
    cells = space("nas_bench_201")
    plain = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    dead = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|none~2|"
    other = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
    representative = cells.canonical(plain)
    assert cells.canonical(dead) == representative != cells.canonical(other)

    def sizes(arch: str) -> Mapping[str, float]:
        return {"parameters": float(len(arch)), "macs": float(arch.count("conv"))}

    rows = scores((representative, 0, LAMBDA, 7.0, "ok"), (cells.canonical(other), 0, LAMBDA, 8.0, "saturated"))
    found = score_table(cells, [other, dead, plain], get_proxies(["macs", LAMBDA]), rows, [0], sizes, {})
    assert found.index.tolist() == [other, dead, plain]
    assert found["canonical"].tolist() == [cells.canonical(other), representative, representative]
    assert found[LAMBDA].tolist() == [8.0, 7.0, 7.0]
    assert found[f"{LAMBDA}_status"].tolist() == ["saturated", "ok", "ok"]
    assert found["macs"].tolist() == [1.0, 2.0, 1.0]
    assert set(found["macs_status"]) == {"ok"}
    assert "parameters" not in found.columns


def test_attributes_describe_the_proxies_and_keep_what_came_with_the_scores() -> None:
    found = table(scores(("a", 0, LAMBDA, 1.0, "ok")), [0], f"{LAMBDA},{NASWOT}", "a", attrs={"settings": {"n": 8}})
    assert found.attrs["settings"] == {"n": 8}
    described = found.attrs["proxies"][LAMBDA]
    assert described["family"] == "convergence"
    assert described["direction"] == "maximize"
    assert described["formula"] == get_proxy(LAMBDA).formula
    assert list(found.attrs["proxies"]) == [LAMBDA, NASWOT]


def test_parameters_of_a_proxy_are_another_column() -> None:
    loose, strict = "ntk_numerical_rank:tol=0.1", "ntk_numerical_rank:tol=0.001"
    rows = scores(("a", 0, loose, 3.0, "ok"), ("a", 0, strict, 5.0, "ok"))
    found = table(rows, [0], f"{loose},{strict}", "a").loc["a"]
    assert (found[loose], found[strict]) == (3.0, 5.0)


def test_no_scores_and_a_space_that_is_not_known() -> None:
    empty = scores().astype({"value": "float64"})
    assert set(table(empty, [0, 1])[f"{LAMBDA}_status"]) == {"missing"}
    found = table(scores(("x", 0, LAMBDA, 1.0, "ok")), [0], archs="x", space=None)
    assert found["canonical"].tolist() == ["x"]
