from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from automl_theory.analysis.comparison import compare
from automl_theory.analysis.composite import rank_table
from automl_theory.analysis.join import join
from automl_theory.analysis.pareto import pareto
from automl_theory.analysis.ranking import rank
from automl_theory.analysis.supervised import cross_validate_accuracy
from automl_theory.errors import InputError
from automl_theory.graphs.dag import METRICS, metrics
from automl_theory.graphs.table import graph_metrics
from automl_theory.spaces import space


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    started = time.perf_counter()
    table = graph_metrics(space("nas_bench_201"))
    assert time.perf_counter() - started < 5
    return table


def test_known_counts_of_nas_bench_201(table):
    assert len(table) == 15_625
    assert list(table.columns) == [*METRICS, "connected"]
    assert (~table["connected"]).sum() == 341
    assert (table["connected"] & (table["parameterised_edges"] == 0)).sum() == 1_642
    valid = table[table["connected"] & (table["parameterised_edges"] > 0)]
    assert len(valid) == 13_642
    assert len(valid[["effective_depth", "effective_width"]].drop_duplicates()) == 31
    assert (valid["effective_depth"].min(), valid["effective_depth"].max()) == (0.25, 3)
    assert (valid["effective_width"].min(), valid["effective_width"].max()) == (1 / 3, 4)


def test_filter_of_chen_et_al_keeps_6256_cells(table):
    valid = table[table["connected"] & (table["parameterised_edges"] > 0)]
    near = {}
    for name in ("effective_depth", "effective_width"):
        low, high = valid[name].min(), valid[name].max()
        near[name] = (valid[name] - (low + high) / 2).abs() <= (high - low) / 4 + 1e-12
    assert (near["effective_depth"] & near["effective_width"]).sum() == 6_256


def test_rows_follow_the_order_given():
    nb = space("nas_bench_201")
    names = nb.sample(5, seed=3) * 2
    table = graph_metrics(nb, names)
    assert list(table.index) == names
    assert table.index.name == "arch"
    assert table.iloc[7][list(METRICS)].to_dict() == pytest.approx(metrics(nb.graph(names[7])), nan_ok=True)
    assert table["connected"].dtype == bool


def test_no_architectures_no_graphs_and_mistakes():
    nb = space("nas_bench_201")
    assert graph_metrics(nb, []).shape == (0, len(METRICS) + 1)
    bare = graph_metrics(space([dict]))
    assert bare[list(METRICS)].isna().all(axis=None)
    assert bare["connected"].all()
    with pytest.raises(InputError, match="one string"):
        graph_metrics(nb, next(iter(nb)))
    with pytest.raises(InputError, match=r"expected a space, got 'nas_bench_201'; make one with automl_theory\.space"):
        graph_metrics("nas_bench_201")
    with pytest.raises(InputError, match="expected several architectures, got 3; pass a list"):
        graph_metrics(nb, 3)
    with pytest.raises(InputError, match="bad architecture"):
        graph_metrics(nb, ["|"])


def test_graphs_need_no_torch():
    code = (
        "import sys; from automl_theory.spaces import space; from automl_theory.graphs.table import graph_metrics; "
        "nb = space('nas_bench_201'); arch = nb.sample(1, seed=0)[0]; nb.size_metrics(arch); "
        "graph_metrics(nb, [arch]); raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_measures_are_described_and_ranked_where_they_are_named():
    nb = space("nas_bench_201")
    graphs = graph_metrics(nb, nb.sample(60, seed=0))
    entries = graphs.attrs["proxies"]
    assert list(entries) == list(METRICS)
    assert graph_metrics(nb, []).attrs["proxies"] == entries
    for name, entry in entries.items():
        assert set(entry) == {"family", "direction", "unit", "formula"}
        assert entry["family"] == "graph"
        assert entry["direction"] == ("minimize" if name in ("min_depth", "shortest_path") else "maximize")
        assert name in graph_metrics.__doc__
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"naswot": rng.normal(size=60), "parameters": rng.normal(size=60)}, index=graphs.index)
    scores.attrs["proxies"] = {
        "naswot": {"family": "expressivity", "direction": "maximize"},
        "parameters": {"family": "size", "direction": "maximize"},
    }
    df = join(scores, graphs, pd.Series(rng.normal(size=60), graphs.index, name="test_accuracy"))
    assert set(rank(df, "test_accuracy", resamples=0).index) == {"naswot", "parameters"}
    assert set(compare(df, "test_accuracy", resamples=100)[["first", "second"]].iloc[0]) == {"naswot", "parameters"}
    assert set(cross_validate_accuracy(df, "test_accuracy").columns) == {"naswot", "parameters"}
    ranking = rank(df, "test_accuracy", proxies=["effective_depth", "min_depth"], resamples=0)
    assert set(ranking.index) == {"effective_depth", "min_depth", "parameters"}
    assert ranking.loc["min_depth", ["family", "direction"]].tolist() == ["graph", "minimize"]
    assert not ranking["note"].str.contains("direction not declared").any()
    assert ranking.index[ranking["baseline"]].tolist() == ["parameters"]
    assert len(rank_table(df, ["naswot", "effective_depth"])) == 60
    shallow = rank_table(df, "min_depth")
    assert shallow.idxmax() in df.index[df["min_depth"] == df["min_depth"].min()]
    assert pareto(df, ["effective_depth", "parameters"]).directions == {
        "effective_depth": "maximize",
        "parameters": "minimize",
    }
    df.attrs["proxies"] = {name: entries[name] for name in entries}
    with pytest.raises(InputError, match="graph measures are ranked where they are named"):
        rank(df, "test_accuracy")
