"""A search by the recommended composite beside `RankComposite.default()`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import automl_theory as at
from automl_theory.analysis.composite import DEFAULT
from automl_theory.search.composite import GRAPH, graph_numbers, graph_values
from automl_theory.search.run import search
from automl_theory.spaces import space

SMALL: dict[str, Any] = {"n": 10, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}
OPTIONS = {"evolution": {"population": 3, "tournament": 2, "warm_up": 4}, "nsga2": {"population": 3}, "random": {}}


@pytest.mark.parametrize("algorithm", OPTIONS)
def test_the_order_is_that_of_the_composite(algorithm: str, tmp_path: Path) -> None:
    how = {"evaluations": 12, "seed": 1, "options": OPTIONS[algorithm], **SMALL}
    found = search("nas_bench_201", algorithm, "composite", folder=tmp_path, **how)
    where = space("nas_bench_201")
    assert all(math.isfinite(number) for step in found.trace for number in step["numbers"])
    table = at.score_space(where, "composite", architectures=found.best, **SMALL)
    table = at.join(table, at.graph_metrics(where, found.best))
    scores = list(at.RankComposite.default().fit(table).score_samples(table))
    assert len(scores) > 8
    assert scores == pytest.approx(sorted(scores, reverse=True))
    assert set(found.trace[0]["values"]) == set(DEFAULT)
    again = search("nas_bench_201", algorithm, "composite", folder=tmp_path, **how)
    assert again == found


def test_a_space_without_graphs_is_told() -> None:
    where = space({f"w{width}": partial(plain, width) for width in (2, 4, 8)})
    with pytest.warns(UserWarning, match="has no graphs: of the composite, effective_kernel, .* same for all") as seen:
        found = search(where, "random", "composite", evaluations=3, n=6, resolution=8)
    assert seen[0].filename == __file__
    assert len(found.best) == 3


def plain(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 10))


def test_a_store_serves_a_search_and_decides_nothing(tmp_path: Path) -> None:
    how = {"evaluations": 6, "seed": 2, **SMALL}
    first = search("nas_bench_201", "random", "composite", store=tmp_path / "s.db", folder=tmp_path / "run", **how)
    again = search("nas_bench_201", "random", "composite", store=tmp_path / "s.db", **how)
    assert [step["numbers"] for step in again.trace] == [step["numbers"] for step in first.trace]
    assert again.seconds == 0 < first.seconds
    assert search("nas_bench_201", "random", "composite", folder=tmp_path / "run", **how) == first


def test_parts_of_the_graph() -> None:
    where = space("nas_bench_201")
    arch = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
    values = graph_values(where, arch)
    table = at.graph_metrics(where, [arch])
    assert values == {name: table[name].iloc[0] for name in GRAPH}
    assert GRAPH == ("effective_kernel", "deepest_kernel", "unpooled_paths", "identity_paths")
    assert graph_numbers(values) == tuple(values.values())


def test_undefined_parts_are_lowest() -> None:
    nothing = graph_values(space("nas_bench_201"), "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert graph_numbers(nothing) == (-math.inf, -math.inf, 0.0, 0.0)
    assert all(map(math.isnan, graph_values(space({"a": lambda: None}), "a").values()))
