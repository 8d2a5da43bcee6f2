"""CSV and Parquet tables of accuracies, their checks, and conversion."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pandas as pd
import pytest

from automl_theory.accuracy.checks import check
from automl_theory.accuracy.convert import convert
from automl_theory.accuracy.recipe import line
from automl_theory.accuracy.tables import load_accuracy
from automl_theory.errors import InputError
from automl_theory.scoring import foreign_tables
from automl_theory.scoring.files import write_table

pytest.importorskip("nats_bench", reason="needs the extra 'dev'")
CELLS = builders.CELLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builders.nats_folder(tmp_path_factory.mktemp("nats") / "NATS-tss-v1_0-3ffb9-simple")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# Conversion.


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_everything_converted_once_answers_every_question(folder: Path, tmp_path: Path, name: str) -> None:
    runs = convert(folder, tmp_path / name)
    assert len(runs) == 4 * 4 * (3 + 3)
    for dataset in ("cifar10", "cifar10-valid", "cifar100", "ImageNet16-120"):
        for epochs in (3, 5, None):
            for split in (None, "test"):
                asked: dict[str, Any] = {"dataset": dataset, "epochs": epochs, "split": split}
                direct, again = load_accuracy(folder, **asked), load_accuracy(tmp_path / name, **asked)
                pd.testing.assert_frame_equal(again, direct, check_exact=True)
                assert again.attrs == direct.attrs
    with pytest.raises(InputError, match="name the one wanted as dataset"):
        load_accuracy(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_one_question_converted_keeps_its_recipe(folder: Path, tmp_path: Path, name: str) -> None:
    table = convert(folder, tmp_path / name, dataset="cifar100", epochs=3)
    again = load_accuracy(tmp_path / name)
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert again.attrs == table.attrs
    assert line(again.attrs["accuracy"]).startswith("NATS-Bench v1.0, cifar100, 3 epochs, train: train; valid: x-valid")
    assert load_accuracy(tmp_path / name, dataset="cifar100", epochs=3, split="valid").columns[0] == "valid_accuracy"
    for options, message in (
        ({"dataset": "cifar10"}, r"unknown dataset 'cifar10'; there is: cifar100\. Did you mean 'cifar100'\?"),
        ({"epochs": 5}, "is of 3 epochs, not 5; leave out epochs"),
        ({"split": "tests"}, r"unknown split 'tests'; there is: .* Did you mean 'test'\?"),
    ):
        with pytest.raises(InputError, match=message):
            load_accuracy(tmp_path / name, **options)


def test_the_bundled_table_and_a_table_convert_too(tmp_path: Path) -> None:
    convert("digits", tmp_path / "d.csv")
    digits = load_accuracy("digits")
    again = load_accuracy(tmp_path / "d.csv")
    pd.testing.assert_frame_equal(again, digits, check_exact=True)
    assert again.attrs["accuracy"] == digits.attrs["accuracy"]
    mine = write(tmp_path / "mine.csv", "cell,acc\na,0.5\nb,0.75\n")
    convert(mine, tmp_path / "m.parquet", columns={"cell": "arch", "acc": "test_accuracy"}, unit="fraction")
    table = load_accuracy(tmp_path / "m.parquet")
    assert table["test_accuracy"].to_dict() == {"a": 50, "b": 75}
    assert table.attrs["accuracy"] == {"release": "unstated release", "file": "mine.csv"}


def test_nothing_is_overwritten_without_force(folder: Path, tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet", "u.csv"):
        out = tmp_path / name
        taken = write(out if name != "u.csv" else tmp_path / "u.csv.json", "old")
        with pytest.raises(InputError, match=rf"{taken.name} exists and is not overwritten; say --force"):
            convert(folder, out, dataset="cifar10")
        assert taken.read_text() == "old"
        convert(folder, out, dataset="cifar10", force=True)
        assert len(load_accuracy(out)) == 4
    with pytest.raises(InputError, match="is the source itself"):
        convert(out, out, force=True)
    with pytest.raises(InputError, match=r"name a file ending in \.parquet or \.csv"):
        convert(folder, tmp_path / "x.pth")


def test_a_source_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(b"PK\x03\x04bad")
    old = write(tmp_path / "t.csv", "arch,acc\na,1\n")
    with pytest.raises(InputError, match="cut short or damaged"):
        convert(tmp_path / "bad.pth", old, force=True)
    assert old.read_text() == "arch,acc\na,1\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.pth", "t.csv"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopping_a_conversion_leaves_what_was_there(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    """A named pipe for a record keeps the conversion waiting in its middle."""
    for file in folder.iterdir():
        (tmp_path / "in").mkdir(exist_ok=True)
        os.link(file, tmp_path / "in" / file.name)
    (tmp_path / "in" / "000003.pickle.pbz2").unlink()
    os.mkfifo(tmp_path / "in" / "000003.pickle.pbz2")
    out = write(tmp_path / "t.parquet", "old")
    command = [sys.executable, "-m", "automl_theory", "accuracy", "convert", str(tmp_path / "in"), str(out), "--force"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    pipe = None
    while pipe is None and process.poll() is None:
        time.sleep(0.05)
        with suppress(OSError):  # as long as nobody reads from it
            pipe = os.open(tmp_path / "in" / "000003.pickle.pbz2", os.O_WRONLY | os.O_NONBLOCK)
    assert pipe is not None
    time.sleep(0.2)
    process.send_signal(how)
    _, told = process.communicate(timeout=30)
    os.close(pipe)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    if how == signal.SIGINT:
        assert told.splitlines()[-1].endswith("t.parquet was not written")
    assert out.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in", "t.parquet"]


# Tables of others.


def test_one_row_a_run_in_a_table_of_somebody_else(tmp_path: Path) -> None:
    rows = [
        (arch, dataset, epochs, seed, 50 + 10 * k + seed + epochs / 100)
        for k, arch in enumerate("ab")
        for dataset in ("cifar10", "mnist")
        for epochs in (12, 200)
        for seed in (0, 1)
    ]
    frame = pd.DataFrame(rows, columns=["arch", "dataset", "epochs", "seed", "test_accuracy"])
    frame["odd"] = frame["seed"] * 2.0
    path = tmp_path / "runs.parquet"
    frame.to_parquet(path)
    table = load_accuracy(path, dataset="mnist", epochs=12)
    assert table["test_accuracy"].to_dict() == pytest.approx({"a": 50.62, "b": 60.62})
    assert table["test_accuracy_seed1"].to_dict() == pytest.approx({"a": 51.12, "b": 61.12})
    assert table["odd"].tolist() == [1, 1]
    assert table.attrs["accuracy"]["dataset"] == "mnist"
    assert load_accuracy(path, dataset="mnist").attrs["accuracy"]["epochs"] == 200
    with pytest.raises(InputError, match=r"unknown dataset 'mnst'.*Did you mean 'mnist'\?"):
        load_accuracy(path, dataset="mnst")
    pd.concat([frame, frame.head(1)]).to_parquet(path)
    with pytest.raises(InputError, match=r"two rows for a, cifar10, 12, 0: duplicates or mixed releases"):
        load_accuracy(path, dataset="mnist")


def test_one_row_a_split(tmp_path: Path) -> None:
    text = "arch,split,accuracy,loss,params\na,test,90,0.5,7\na,valid,80,0.25,7\nb,test,70,1,9\nb,valid,60,2,9\n"
    table = load_accuracy(write(tmp_path / "s.csv", text))
    assert table.loc["a"].to_dict() == {
        "valid_accuracy": 80, "valid_loss": 0.25, "test_accuracy": 90, "test_loss": 0.5, "params": 7,
    }  # fmt: skip
    assert load_accuracy(tmp_path / "s.csv", split="valid").columns.tolist() == [
        "valid_accuracy",
        "valid_loss",
        "params",
    ]


def test_the_real_table_by_a_mapping(shared: Path) -> None:
    path = shared / "data" / "nb201_accuracy.parquet"
    names = {"arch_str": "arch", "c10_test_e200": "test_accuracy", "c10_test_e200_run1": "test_accuracy_seed1"}
    table = load_accuracy(path, columns=names)
    assert table["test_accuracy"].max() == pytest.approx(94.3733, abs=1e-4)
    assert table["test_accuracy_seed1"].isna().sum() == 2225
    path = shared / "data" / "nb201_accuracy.parquet"
    with pytest.raises(InputError, match=r"column 'test_accuracy' of .* is NaN in 2225 of 15625 rows"):
        load_accuracy(path, columns={"arch_str": "arch", "c10_test_e200_run1": "test_accuracy"})


# Checks.


def table(**columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    frame.index = pd.Index([f"net{i}" for i in range(len(frame))], name="arch")
    return frame


@pytest.mark.parametrize(
    ("columns", "unit", "message"),
    [
        (
            {"test_accuracy": [0.9, 0.8]},
            "percent",
            r"looks like fractions \(at most 0\.9\), but per cent is expected; say",
        ),
        ({"test_accuracy": [0.0, 0.5]}, "percent", "looks like fractions"),
        ({"test_accuracy": [90.0, 0.8, 70]}, "percent", r"mixes fractions \(0\.8\) and per cent \(90\)"),
        ({"test_accuracy": [90.0, 80]}, "fraction", r"has 90, outside 0 to 1 \(unit fraction\); a table in per cent"),
        ({"test_accuracy": [90.0, 101]}, "percent", r"has 101, outside 0 to 100"),
        ({"test_accuracy": [90.0, -1]}, "percent", r"has -1, outside 0 to 100"),
        ({"test_accuracy": [90.0, np.inf]}, "percent", r"has inf, outside 0 to 100"),
        ({"test_accuracy": [90.0, np.nan]}, "percent", r"is NaN in 1 of 2 rows, first net1; drop or fill"),
        ({"acc": [1.0, 2], "valid_accuracy": [np.nan] * 2}, "percent", r"'valid_accuracy' of t is NaN in 2 of 2 rows"),
        ({"test_accuracy": ["90", "high"]}, "percent", r"must hold numbers, got '90'"),
        ({"test_accuracy": [True, False]}, "percent", r"must hold numbers, got 'True'"),
        ({"word": ["a", "b"]}, "percent", r"has no column of numbers beside the architecture \(columns: word\)"),
        ({}, "percent", "has no rows"),
        ({"test_accuracy": [90.0, 80]}, "per cent", r"unknown unit 'per cent'; use percent or fraction\. Did you mean"),
    ],
)
def test_tables_that_are_refused(columns: dict[str, Any], unit: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check(table(**columns), "t", unit)
    assert "\n" not in str(caught.value)


def test_what_is_no_fraction() -> None:
    chance = [1.0, 100 / 120, 40.0]
    assert check(table(test_accuracy=chance), "t")["test_accuracy"].tolist() == chance
    rare = [0.27] + [50.0] * 20
    assert check(table(test_accuracy=rare), "t")["test_accuracy"].tolist() == rare
    assert check(table(test_accuracy=[1.0, 1.0]), "t")["test_accuracy"].tolist() == [1.0, 1.0]
    assert check(table(test_accuracy=[0.0, 0.5, 1.0]), "t", "fraction")["test_accuracy"].tolist() == [0, 50, 100]
    assert check(table(acc=[0.5, 0.6]), "t")["acc"].tolist() == [0.5, 0.6], "not named an accuracy"
    seeds = table(test_accuracy=[90.0, 80], test_accuracy_seed1=[90.0, np.nan])
    assert len(check(seeds, "t")) == 2


def test_duplicates_and_strings_that_are_no_cell() -> None:
    twice = table(test_accuracy=[90.0, 80]).set_axis(["a", "a"])
    with pytest.raises(InputError, match=r"'a' is there more than once .*choose a dataset"):
        check(twice, "t")
    cells = table(test_accuracy=[90.0, 80, 70]).set_axis([*CELLS[:2], CELLS[2].replace("skip_connect", "skip", 1)])
    with pytest.raises(InputError, match=r"holds cells of NAS-Bench-201 and '\|skip~0.*which is none"):
        check(cells, "t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,test_accuracy\n", "has no rows"),
        ("arch,test_accuracy\na,90\na,80\n", "must have one row an architecture"),
        ("arch,test_accuracy\na,0.9\nb,0.8\n", "looks like fractions"),
        ("arch,test_accuracy\na,\nb,80\n", "is NaN in 1 of 2 rows, first a"),
        ("arch,release,seed,test_accuracy\na,v1.0,1,90\nb,v1.1,1,80\n", r"mixes releases \(v1\.0, v1\.1\)"),
        ("arch,dataset,test_accuracy\na,,90\n", "column 'dataset' of .* has empty fields"),
        ("arch,seed,test_accuracy\na,x,90\n", "column 'seed' of .* must hold whole numbers"),
        ("arch,split,test_accuracy\na,test,90\n", "has a column split and none of accuracy and loss"),
        ("a\x00b\n\xff", "no column 'arch'|readable table"),
    ],
)
def test_broken_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_accuracy(write(tmp_path / "t.csv", text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"dataset": "cifar10"}, {"epochs": 200}])
def test_a_table_that_does_not_say_what_it_is(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "t.csv", "arch,test_accuracy\na,90\n")
    with pytest.raises(InputError, match=f"does not say its {next(iter(options))}; leave out"):
        load_accuracy(path, **options)


def test_broken_parquet_gzip_and_recipe(tmp_path: Path) -> None:
    whole = tmp_path / "t.parquet"
    table(test_accuracy=[90.0, 80]).to_parquet(whole)
    for part in (0, 4, 100, -10):
        cut = tmp_path / "cut.parquet"
        cut.write_bytes(whole.read_bytes()[:part] if part else b"")
        with pytest.raises(InputError, match=r"expected cut\.parquet to be a readable table"):
            load_accuracy(cut)
    packed = gzip.compress(b"arch,test_accuracy\n" + b"a,90\n" * 1000)
    (tmp_path / "cut.csv.gz").write_bytes(packed[:-12])
    with pytest.raises(InputError, match=r"expected cut\.csv\.gz to be a readable table"):
        load_accuracy(tmp_path / "cut.csv.gz")
    path = write(tmp_path / "t.csv", "arch,test_accuracy\na,90\n")
    for told, message in (
        ("{", r"t\.csv\.json beside the table is broken"),
        ("[]", r"t\.csv\.json beside the table is broken"),
        (json.dumps({"attrs": {}, "types": {"other": "float64"}}), r"t\.csv\.json describes another table than t\.csv"),
    ):
        write(tmp_path / "t.csv.json", told)
        with pytest.raises(InputError, match=message):
            load_accuracy(path)


def test_a_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_theory.accuracy import table_files

    monkeypatch.setattr(table_files, "MAX_UNPACKED", 2**20)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"arch,test_accuracy\n" + b"a" * 2**24))
    with pytest.raises(InputError, match=r"bomb\.csv\.gz unpacks to more than"):
        load_accuracy(tmp_path / "bomb.csv.gz")


@pytest.mark.parametrize(
    ("attrs", "part"),
    [
        ({"accuracy": "hello"}, r"accuracy"),
        ({"accuracy": {"seeds": 3}}, r"accuracy\.seeds"),
        ({"accuracy": {"splits": 3}}, r"accuracy\.splits"),
        ({"proxies": ["test_accuracy"]}, "proxies"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_recipe_of_another_shape(tmp_path: Path, name: str, attrs: dict[str, Any], part: str) -> None:
    frame = table(test_accuracy=[90.0, 80]).rename_axis(index="arch")
    frame.attrs = attrs
    path = write_table(frame, tmp_path / name)
    for read in (load_accuracy, lambda source: convert(source, tmp_path / "out.csv")):
        with pytest.raises(InputError, match=rf"the metadata of {name} is broken \({part}\); export it again"):
            read(path)
    assert not (tmp_path / "out.csv").exists()


def test_metadata_of_pandas_that_is_broken(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    from pyarrow.parquet import write_table as write

    plain = pa.table({"arch": ["a", "b"], "test_accuracy": [90.0, 80.0]})
    for told in (
        {"pandas": "[]"},
        {"pandas": "3"},
        {"pandas": '{"index_columns": ["missing"], "columns": [], "column_indexes": []}'},
        {"pandas": '{"index_columns": [{"kind": "range"}], "columns": [{}], "column_indexes": [3]}'},
        {"pandas": b"\xff\xfe"},
        {"PANDAS_ATTRS": "3"},
        {"PANDAS_ATTRS": "["},
    ):
        write(plain.replace_schema_metadata(told), tmp_path / "t.parquet")
        with pytest.raises(
            InputError, match=r"t\.parquet (to be a readable table, but: .*; save|is broken; export) it"
        ):
            load_accuracy(tmp_path / "t.parquet")


def test_a_parquet_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(test_accuracy=[90.0] * 2000).assign(why="x" * 1000).to_parquet(tmp_path / "bomb.parquet")
    monkeypatch.setattr(foreign_tables, "MAX_UNPACKED", 2**20)
    with pytest.raises(InputError, match=r"bomb\.parquet unpacks to more than 1048576 bytes"):
        load_accuracy(tmp_path / "bomb.parquet")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            "0.9 0.8",
            r"'test_accuracy' of mine\.csv looks like fractions \(at most 0\.9\), but per cent is expected; say",
        ),
        ("90 ", r"'test_accuracy' of mine\.csv is NaN in 1 of [24] rows, first b; drop or fill"),
        ("90 0.8", r"'test_accuracy(_seed0)?' of mine\.csv mixes fractions \(0\.8\) and per cent \(90\)"),
        ("90 high", r"'test_accuracy' of mine\.csv must hold numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["one row an architecture", "one row a run"])
def test_a_renamed_column_is_checked_as_what_it_is_called_now(
    tmp_path: Path, values: str, message: str, kind: str
) -> None:
    first, second = values.split(" ")
    text = f"cell,acc\na,{first}\nb,{second}\n"
    if kind == "one row a run":  # The other seed of each is in order.
        text = f"cell,seed,acc\na,0,{first}\nb,0,{second}\na,1,{first}\nb,1,{first}\n"
    path = write(tmp_path / "mine.csv", text)
    with pytest.raises(InputError, match=message):
        load_accuracy(path, columns={"cell": "arch", "acc": "test_accuracy"})


def test_options_that_would_mean_nothing(folder: Path, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.csv", "arch,test_accuracy\na,90\n")
    table(test_accuracy=[90.0, 80]).rename_axis(index="arch").to_parquet(tmp_path / "mine.parquet")
    for source in (folder, "digits"):
        with pytest.raises(InputError, match=r"unit is for \.csv and \.parquet tables; .* are per cent: leave it out"):
            load_accuracy(source, unit="fraction", dataset="cifar10")
        with pytest.raises(InputError, match=r"unit is for \.csv and \.parquet tables"):
            convert(source, tmp_path / "out.csv", unit="fraction")
        with pytest.raises(
            InputError, match=r"unknown unit 'percnt'; use percent or fraction\. Did you mean 'percent'"
        ):
            load_accuracy(source, unit="percnt")
    for source in (mine, tmp_path / "mine.parquet", "digits"):
        with pytest.raises(
            InputError, match=r"holds no pickle, so trust_pickle \(--trust-pickle\) has nothing to trust"
        ):
            load_accuracy(source, trust_pickle=True)
        with pytest.raises(InputError, match="has nothing to trust; leave it out"):
            convert(source, tmp_path / "out.csv", trust_pickle=True)
    assert not (tmp_path / "out.csv").exists()
