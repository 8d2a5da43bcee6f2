"""Tables whose architectures are written in the benchmarks' own ways."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import automl_theory as at
from automl_theory.accuracy.convert import convert
from automl_theory.accuracy.table_files import NoArchitectures
from automl_theory.accuracy.tables import load_accuracy
from automl_theory.cli import main
from automl_theory.errors import InputError
from automl_theory.scoring.files import read_table
from automl_theory.spaces.darts import Darts
from automl_theory.spaces.nas_bench_101 import NasBench101

MODULES, DARTS = NasBench101(), Darts()
SOME = MODULES.sample(40, 0)
WORTH = pd.Series(np.linspace(90, 94, len(SOME)), index=SOME)


def numbered(arch: str) -> tuple[list[list[int]], list[str]]:
    """The module as people write it, with a vertex that leads nowhere."""
    matrix, ops = MODULES.parse(arch)
    wider = [[*row[:1], int(x == 0), *row[1:]] for x, row in enumerate(matrix)]
    wider.insert(1, [0] * len(wider[0]))
    return wider, [ops[0], "maxpool3x3", *ops[1:]]


def saved(table: pd.DataFrame, file: Path) -> Path:
    table.to_parquet(file) if file.suffix == ".parquet" else table.to_csv(file, index=False)
    return file


def forms() -> dict[str, pd.DataFrame]:
    pairs = [numbered(arch) for arch in SOME]
    return {
        "hashes": pd.DataFrame({"arch": [MODULES.hash(arch) for arch in SOME]}),
        "JSON": pd.DataFrame({"arch": [json.dumps({"module_adjacency": m, "module_operations": o}) for m, o in pairs]}),
        "lists": pd.DataFrame(
            {"module_adjacency": [json.dumps(m) for m, _ in pairs], "module_operations": [str(o) for _, o in pairs]}
        ),
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("form", ["hashes", "JSON", "lists"])
def test_modules_in_every_form_are_their_classes(tmp_path: Path, form: str, suffix: str) -> None:
    table = forms()[form].assign(test_accuracy=WORTH.to_numpy(), note="as trained")
    found = load_accuracy(saved(table, tmp_path / f"t{suffix}"), space=MODULES)
    assert found.index.name == "canonical"
    assert found.columns.tolist() == ["test_accuracy"]
    assert found["test_accuracy"].tolist() == pytest.approx(WORTH.tolist())
    assert found.index.tolist() == SOME
    assert found.attrs["accuracy"]["space"] == "nas_bench_101"


def test_rows_of_the_real_table(shared: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(shared / "data" / "nb101.parquet").iloc[:3000]
    file = saved(rows, tmp_path / "t.parquet")
    found = load_accuracy(file, columns={"test_acc_e108": "test_accuracy"}, space=MODULES)
    assert found.index.tolist() == [arch for arch, _ in zip(MODULES, range(3000), strict=False)]
    np.testing.assert_allclose(found["test_accuracy"], rows["test_acc_e108"])
    assert [MODULES.size_metrics(arch)["parameters"] for arch in found.index[:50]] == found["params"].tolist()[:50]
    with pytest.raises(
        NoArchitectures, match=r"\(it has n, adj, ops, params, test_acc_e108\); add one named 'arch', or name"
    ):
        load_accuracy(file)


def test_genotypes_of_the_real_tables(shared: Path, tmp_path: Path) -> None:
    swap = shared / "data" / "darts_swap1000.parquet"
    found = load_accuracy(swap, columns={"genotype": "arch", "c10_acc_e200": "test_accuracy"}, space=DARTS)
    known = pd.read_parquet(swap)
    assert len(found) == known["genotype"].map(DARTS.canonical).nunique()
    scores = pd.DataFrame({"canonical": known["genotype"].map(DARTS.canonical).tolist()}, index=known["genotype"])
    joined = at.join(scores, found)
    means = known.groupby(scores["canonical"].to_numpy())["c10_acc_e200"].mean()
    np.testing.assert_allclose(joined["test_accuracy"], means[scores["canonical"]])

    surrogate = pd.read_parquet(shared / "data" / "nb301_naslib.parquet").dropna(subset="val_accuracy").iloc[:200]
    file = saved(surrogate, tmp_path / "nb301.parquet")
    found = load_accuracy(file, columns={"val_accuracy": "valid_accuracy"}, split="valid", space=DARTS)
    arch, worth = surrogate[["arch", "val_accuracy"]].iloc[7]
    assert found.loc[DARTS.canonical(arch), "valid_accuracy"] == pytest.approx(worth)


def test_a_class_has_the_mean_of_its_members(tmp_path: Path) -> None:
    one = DARTS.sample(1, 0)[0]
    pairs = list(DARTS.parse(one).normal)
    pairs[0], pairs[1] = pairs[1], pairs[0]
    other = one.replace(str(list(DARTS.parse(one).normal)), str(pairs), 1)
    assert other != one
    assert DARTS.canonical(other) == one
    table = pd.DataFrame({"arch": [one, other, DARTS.compact(DARTS.sample(2, 0)[1])], "test_accuracy": [90, 92, 70]})
    found = load_accuracy(saved(table, tmp_path / "t.csv"), space=DARTS)
    assert found["test_accuracy"].to_dict() == {one: 91, DARTS.sample(2, 0)[1]: 70}


def test_converted_once_it_is_joined_and_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(forms()["lists"].assign(accuracy=WORTH.to_numpy() / 100), Path("theirs.csv"))
    given = [part for arch in SOME[:12] for part in ("--arch", arch)]
    calls = [
        ["score", "nas_bench_101", *given, "--proxies", "parameters", "--export", "t.csv", "--workers", "0"],
        ["accuracy", "convert", "theirs.csv", "ours.csv", "--space", "nas_bench_101", "--unit", "fraction"],
        ["rank", "t.csv", "--accuracy", "ours.csv", "--interval", "analytic"],
    ]
    calls[1] += ["--columns", "accuracy=test_accuracy"]
    for call in calls:
        with pytest.raises(SystemExit) as stop:
            main(call)
        assert stop.value.code == 0, capsys.readouterr()
    assert "parameters" in capsys.readouterr().out
    joined = at.join(read_table("t.csv"), load_accuracy("ours.csv"))
    np.testing.assert_allclose(joined["test_accuracy"], WORTH[:12])
    with pytest.raises(SystemExit) as stop:
        main(["rank", "t.csv", "--accuracy", "theirs.csv"])
    assert stop.value.code != 0
    assert "accuracy convert theirs.csv accuracies.csv --space SPACE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"arch": [SOME[0], "x"]}, r"row 1 of t.csv is no architecture of nas_bench_101: bad architecture 'x'"),
        ({"n": [7, 8], "adj": [1205349, 1], "ops": [55, 0]}, "row 1 of t.csv .* 'n' .* an integer from 2 to 7, got 8"),
        ({"n": [3, 3], "adj": [5, 8], "ops": [0, 0]}, "row 1 of t.csv .* 'adj' .* from 0 to 7, got 8"),
        ({"n": [3, 3], "adj": [5, 5], "ops": [0, 3]}, "row 1 of t.csv .* 'ops' .* from 0 to 2, got 3"),
        ({"n": [3.5, 3], "adj": [5, 5], "ops": [0, 0]}, "row 0 of t.csv .* 'n' .* got 3.5"),
        ({"n": [2, 2], "adj": [1, 0], "ops": [0, 0]}, "row 1 of t.csv .* input of the module is not connected"),
        (
            {
                "module_adjacency": ["[[0, 1], [0, 0]]", "[[0 1] [0 0]]"],
                "module_operations": ["['input', 'output']"] * 2,
            },
            "row 1 of t.csv .* the matrix of a module must be square",
        ),
    ],
)
def test_rows_that_are_no_module(tmp_path: Path, table: dict[str, list[object]], message: str) -> None:
    file = saved(pd.DataFrame(table).assign(test_accuracy=[90.0, 91.0]), tmp_path / "t.csv")
    with pytest.raises(InputError, match=message) as told:
        load_accuracy(file, space=MODULES)
    assert "\n" not in str(told.value)


def test_what_is_no_space(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected a space, got 'darts'; make one: space=automl_theory.space\('darts'\)"
    ):
        load_accuracy("digits", space="darts")
    with pytest.raises(InputError, match="row 0 of digits is no architecture of darts"):
        convert("digits", tmp_path / "t.csv", space=DARTS)
