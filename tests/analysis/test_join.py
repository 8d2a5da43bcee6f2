from __future__ import annotations

import re

import pandas as pd
import pytest

from automl_theory.analysis.join import join
from automl_theory.errors import InputError


def scores() -> pd.DataFrame:
    df = pd.DataFrame({"p": [1.0, 2.0, 3.0], "canonical": ["a", "a", "c"]}, index=["a", "b", "c"])
    df.index.name = "arch"
    df.attrs = {"proxies": {"p": {"family": "size"}}, "settings": {"bn": "frozen"}}
    return df


def test_joins_on_the_architecture_string() -> None:
    df = scores()
    graphs = pd.DataFrame({"paths": [4, 5, 6]}, index=["c", "b", "a"])
    accuracy = pd.DataFrame({"test_loss": [0.1, 0.2]}, index=["a", "z"])
    joined = join(df, graphs, accuracy)
    assert joined["paths"].tolist() == [6, 5, 4]
    assert joined["paths"].dtype == graphs["paths"].dtype
    assert joined["test_loss"].isna().tolist() == [False, True, True]
    assert joined.index.equals(df.index)
    assert joined.index.name == "arch"
    assert {k: joined.attrs[k] for k in df.attrs} == df.attrs
    assert joined.attrs["join"][1] == {
        "key": "index", "columns": ["test_loss"], "rows": 2, "without_partner": 2, "unused": 1,
    }  # fmt: skip
    assert "join" not in df.attrs
    assert len(join(joined, pd.Series([1, 2], index=["a", "b"], name="more")).attrs["join"]) == 3


@pytest.mark.parametrize("how", ["index name", "attrs"])
def test_joins_representatives_through_canonical(how: str) -> None:
    trained = pd.DataFrame({"test_loss": [0.5, 0.7]}, index=["a", "c"])
    if how == "attrs":
        trained.attrs["key"] = "canonical"
    else:
        trained.index.name = "canonical"
    joined = join(scores(), trained)
    assert joined["test_loss"].tolist() == [0.5, 0.5, 0.7]
    assert joined.attrs["join"][0]["key"] == "canonical"
    assert joined.attrs["join"][0]["without_partner"] == 0
    assert "key" not in joined.attrs


def test_repeated_architectures_on_the_left_keep_their_rows() -> None:
    df = scores().iloc[[0, 0, 2]]
    assert join(df, pd.DataFrame({"x": [1, 2]}, index=["a", "c"]))["x"].tolist() == [1, 1, 2]


def test_metadata_of_two_score_tables_is_merged() -> None:
    other = pd.DataFrame({"q": [1.0]}, index=["a"])
    other.attrs = {"proxies": {"q": {"family": "saliency"}}, "settings": {"bn": "batch"}, "source": "x"}
    joined = join(scores(), other)
    assert set(joined.attrs["proxies"]) == {"p", "q"}
    assert joined.attrs["settings"] == {"bn": "frozen"}
    assert joined.attrs["join"][0]["settings"] == {"bn": "batch"}
    assert joined.attrs["source"] == "x"
    first, second = (pd.DataFrame({name: [1.0]}, index=["a"]) for name in ("c10", "c100"))
    first.attrs["accuracy"], second.attrs["accuracy"] = {"dataset": "cifar10"}, {"dataset": "cifar100"}
    joined = join(scores(), first, second)
    assert joined.attrs["accuracy"] == {"dataset": "cifar10"}
    assert joined.attrs["join"][1]["accuracy"] == {"dataset": "cifar100"}
    assert "accuracy" not in joined.attrs["join"][0]


def test_refusals() -> None:
    df = scores()
    with pytest.raises(InputError, match=r"table 1 \(p\) brings columns that are there already: p; drop or rename"):
        join(df, pd.DataFrame({"p": [1]}, index=["a"]))
    with pytest.raises(InputError, match=r"table 2 \(y\) must have one row a key; 'a' is there more than once"):
        join(df, pd.DataFrame({"x": [1]}, index=["a"]), pd.DataFrame({"y": [1, 2]}, index=["a", "a"]))
    with pytest.raises(InputError, match="has no row for any of the 3 architectures"):
        join(df, pd.DataFrame({"x": [1, 2]}))
    with pytest.raises(InputError, match="its rows are none, an empty table"):
        join(df, pd.DataFrame({"x": []}))
    with pytest.raises(InputError, match="needs a column 'canonical'"):
        join(df.drop(columns="canonical"), pd.DataFrame({"x": [1]}, index=pd.Index(["a"], name="canonical")))
    with pytest.raises(InputError, match="must be a DataFrame or a named Series; got dict"):
        join(df, {"x": 1})
    with pytest.raises(InputError, match="must be a DataFrame or a named Series"):
        join(df, pd.Series([1], index=["a"]))


def test_tables_of_two_spaces_are_told_apart() -> None:
    df = scores()
    df.attrs["settings"]["space"] = "mlp_dag"
    trained = pd.DataFrame({"test_loss": [1.0]}, index=pd.Index(["|cell|"], name="canonical"))
    trained.attrs["accuracy"] = {"name": "digits", "space": "nas_bench_201"}
    message = (
        "the table of trained results digits has no row for any of the 3 architectures: those of mlp_dag are like 'a', "
        "its rows of nas_bench_201 like '|cell|'; take a table of the same space"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        join(df, trained)
    others = pd.DataFrame({"q": [1.0]}, index=["x" * 200])
    others.attrs["settings"] = {"space": "mine"}
    with pytest.raises(InputError, match="table 1, scores of mine, has no row for any") as caught:
        join(df, others)
    assert len(str(caught.value)) < 400
