from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from automl_theory.accuracy import tables
from automl_theory.accuracy.tables import PER_SEED, load_accuracy
from automl_theory.analysis.join import join
from automl_theory.errors import InputError, MissingExtra
from automl_theory.spaces import space

FOLDER = Path(str(resources.files("automl_theory.accuracy")))
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "train_digits.py"
CELL = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_digits", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "digits.csv")


def test_the_bundled_table_is_complete_small_and_of_this_space(runs: pd.DataFrame, script: ModuleType) -> None:
    recipe = json.loads((FOLDER / "digits.json").read_text(encoding="utf-8"))
    assert tuple(runs.columns) == script.COLUMNS
    assert recipe["rows"] == len(runs)
    classes = runs["canonical"].drop_duplicates().tolist()
    assert len(classes) >= 300
    assert len(runs) == 2 * len(classes)
    assert runs["seed"].tolist() == [0, 1] * len(classes)
    assert classes == script.classes(recipe)[: len(classes)]
    assert set(classes) <= set(space("nas_bench_201").representatives())
    assert sum((FOLDER / name).stat().st_size for name in ("digits.csv", "digits.json")) < 1_000_000
    assert all(recipe[name] == value for name, value in script.recipe(10).items() if name != "versions")


def test_the_bundled_table_tells_architectures_apart(runs: pd.DataFrame) -> None:
    table = load_accuracy()
    assert set(runs["status"]) <= {"ok", "diverged"}
    assert (runs["status"] == "ok").mean() > 0.99
    low, high = table["test_accuracy"].quantile([0.05, 0.95])
    assert low > 50
    assert high - low > 8
    assert table["test_loss"].nunique() > 0.99 * len(table)
    seeds = table[list(table.attrs["noise"])]
    assert seeds.corr(method="kendall").iloc[0, 1] > 0.55


def test_bundled_columns_are_means_and_seeds(runs: pd.DataFrame) -> None:
    table = load_accuracy("digits")
    assert table.index.name == "canonical"
    assert table.index.is_unique
    expected = [*PER_SEED, *(f"{column}_seed{seed}" for column in PER_SEED for seed in (0, 1))]
    assert table.columns.tolist() == expected
    for column in PER_SEED:
        wide = runs.pivot(index="canonical", columns="seed", values=column).loc[table.index]
        np.testing.assert_allclose(table[column], (wide[0] + wide[1]) / 2, rtol=1e-12)
        np.testing.assert_array_equal(table[f"{column}_seed1"], wide[1])
    assert table.attrs["noise"] == ("test_loss_seed0", "test_loss_seed1")
    assert table.attrs["accuracy"]["training"]["epochs"] == 10


def test_bundled_accuracies_join_through_the_class() -> None:
    table = load_accuracy()
    arch = table.index[0]
    member = next(a for a in space("nas_bench_201") if space("nas_bench_201").canonical(a) == arch)
    scores = pd.DataFrame({"canonical": [arch], "score": [1.0]}, index=pd.Index([member], name="arch"))
    joined = join(scores, table)
    assert joined.loc[member, "test_loss"] == table.loc[arch, "test_loss"]
    assert joined.attrs["noise"] == table.attrs["noise"]
    assert joined.attrs["accuracy"]["name"] == "digits"


def test_a_class_without_all_its_seeds_is_left_out(
    tmp_path: Path, runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = runs.head(5).copy()
    part.loc[0, "epochs_to_50"] = np.nan
    part.to_csv(tmp_path / "digits.csv", index=False)
    (tmp_path / "digits.json").write_text('{"seeds": [0, 1]}')
    monkeypatch.setattr(tables.resources, "files", lambda name: tmp_path)
    table = load_accuracy()
    assert table.index.tolist() == runs["canonical"].iloc[[0, 2]].tolist()
    assert np.isnan(table["epochs_to_50"].iloc[0])
    assert table["test_loss"].notna().all()


@pytest.mark.parametrize("place", range(3))
def test_a_random_row_can_be_trained_again(place: int, runs: pd.DataFrame, script: ModuleType) -> None:
    """Rounding of another machine acts like another seed, hence the wide margin; on equal machines rows are equal."""
    learned = runs.dropna()
    row = learned.iloc[np.random.default_rng(place).integers(len(learned))]
    again, seconds = script.run((row["canonical"], int(row["seed"]), script.recipe(10)))
    found = dict(zip(script.COLUMNS, again, strict=True))
    assert found["status"] == row["status"]
    assert abs(np.log(float(found["test_loss"]) / row["test_loss"])) < 1
    assert float(found["test_accuracy"]) == pytest.approx(row["test_accuracy"], abs=15)
    assert float(found["epochs_to_50"]) == pytest.approx(row["epochs_to_50"], abs=2)
    assert seconds > 0


def test_reading_it_needs_no_torch() -> None:
    code = (
        "import sys; from automl_theory.accuracy.tables import load_accuracy; "
        "load_accuracy(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_csv_with_renamed_columns(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"cell,acc,extra\n{CELL},91.25,1\n")
    table = load_accuracy(path, columns={"cell": "arch", "acc": "test_accuracy"})
    assert table.index.name == "arch"
    assert table.loc[CELL].to_dict() == {"test_accuracy": 91.25, "extra": 1}
    packed = tmp_path / "mine.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert load_accuracy(str(packed), columns={"cell": "canonical"}).index.name == "canonical"


def test_arch_goes_before_canonical(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text("canonical,arch,acc\na,b,1\n")
    table = load_accuracy(path)
    assert table.index.tolist() == ["b"]
    assert table.columns.tolist() == ["acc"]


@pytest.mark.parametrize("index", [True, False])
def test_parquet(tmp_path: Path, index: bool) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    frame = pd.DataFrame({"arch": [CELL], "acc": [91.25]})
    path = tmp_path / "mine.parquet"
    (frame.set_index("arch") if index else frame).to_parquet(path)
    assert load_accuracy(path, columns={"acc": "test_accuracy"}).loc[CELL, "test_accuracy"] == 91.25


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"automl_theory\[parquet\]"):
        load_accuracy(tmp_path / "mine.parquet")


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("arch,acc\na,1\n", {"ac": "test_accuracy"}, "no column 'ac'; it has arch, acc. Did you mean 'acc'?"),
        (
            "id,cell,acc\nx,a,1\n",
            None,
            "no column 'arch' or 'canonical'; name the one with the architectures, it seems 'cell': columns={'cell': ",
        ),
        (f"id,name,net,acc\na,{CELL},b,1\n", None, "it seems 'name': columns="),
        ("sort,word,acc\na,x,1\n", None, "it seems 'sort': columns="),
        (
            "index,acc,b,c,d,e,f,g\n1,1,1,1,1,1,1,1\n",
            None,
            r"no column of architecture strings \(it has index, acc, b"
            r", c, d, e and 2 more\); add one named 'arch'",
        ),
        ("arch,naswot,naswot_status\na,1,ok\n", None, "mine.csv is a score table, without a column of accuracy or"),
        ("arch,acc,loss\na,1,2\n", {"acc": "x", "loss": "x"}, "two columns 'x'; map one"),
        ("arch,acc\n1,2\n", None, "must hold architecture strings, got 1; convert"),
        ("arch,acc\na,1\n,2\n", None, "must hold architecture strings, got nan; convert"),
        ("", None, "readable table, but: No columns.*save it again"),
        ('arch,acc\n"a,1\n', None, "readable table, but: .*save it again"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, columns: dict[str, str] | None, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_accuracy(path, columns=columns)


def test_bad_sources_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown accuracy table 'digit'; known: digits.* Did you mean 'digits'\?"):
        load_accuracy("digit")
    with pytest.raises(InputError, match=r"there is no file .*absent\.csv; check the path"):
        load_accuracy(tmp_path / "absent.csv")
    (tmp_path / "table.xlsx").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected a \.csv, \.csv\.gz or \.parquet file, got table\.xlsx"):
        load_accuracy(tmp_path / "table.xlsx")
    with pytest.raises(InputError, match="takes no columns"):
        load_accuracy("digits", columns={"test_loss": "loss"})
    with pytest.raises(InputError, match="got int"):
        load_accuracy(3)
