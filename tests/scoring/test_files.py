from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from automl_theory.errors import InputError
from automl_theory.scoring import foreign_tables
from automl_theory.scoring.files import check_free, check_writable, read_table, write_table

VALUES = [math.inf, -math.inf, math.nan, -0.0, 0.0, 5e-324, 0.1, 1 / 3, 2.0**53 + 2, -1.7e308, 8.0]


def bits(values: pd.Series) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def example() -> pd.DataFrame:
    names = [f"|op~0|+|{k}|" for k in range(len(VALUES) - 3)] + ["1", "NA", 'comma, "quote"\nline']
    df = pd.DataFrame(
        {
            "canonical": names[::-1],
            "value": VALUES,
            "whole": [float(k) for k in range(len(VALUES))],
            "empty": [math.nan] * len(VALUES),
            "value_status": ["ok", "failed"] + ["ok"] * (len(VALUES) - 2),
            "connected": [k % 2 == 0 for k in range(len(VALUES))],
            "count": range(len(VALUES)),
        },
        index=pd.Index(names, name="arch", dtype="str"),
    )
    proxy = {"family": "convergence", "direction": "maximize", "unit": "λ", "formula": "λ"}
    df.attrs = {"settings": {"n": 8, "network": {"channels": 4}}, "seeds": [0, 1], "proxies": {"value": proxy}}
    return df


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_table_comes_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    df = example()
    path = write_table(df, tmp_path / "deep" / f"t{suffix}")
    back = read_table(path)
    pd.testing.assert_frame_equal(back, df, check_exact=True)
    assert bits(back["value"]) == bits(df["value"])
    assert back.attrs == df.attrs
    before = path.read_bytes()
    assert write_table(back, path).read_bytes() == before
    written = {"t.csv", "t.csv.json"} if suffix == ".csv" else {"t.parquet"}
    assert {file.name for file in path.parent.iterdir()} == written


def test_a_csv_without_its_description_is_still_read(tmp_path: Path) -> None:
    path = write_table(example(), tmp_path / "t.csv")
    path.with_name("t.csv.json").unlink()
    back = read_table(path)
    assert back.attrs == {}
    assert back.index.tolist() == example().index.tolist()
    assert bits(back["value"]) == bits(example()["value"])


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("absent.csv", None, "--export"),
        ("t.txt", b"arch\n", r"ending in \.parquet or \.csv"),
        ("t.csv", b"", "export it again"),
        ("t.csv", b"\xff\xfe\x00", "export it again"),
        ("t.csv", b"name,value\nx,1\n", "no column 'arch'"),
        ("t.parquet", b"", "export it again"),
        ("t.parquet", b"PAR1 and then nothing PAR1", "export it again"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, name: str, content: bytes | None, text: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=text) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_a_foreign_parquet_and_a_broken_description(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1.0]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no column 'arch'"):
        read_table(tmp_path / "x.parquet")
    path = write_table(example(), tmp_path / "t.csv")
    for broken in ("[1]", "{"):
        path.with_name("t.csv.json").write_text(broken, encoding="utf-8")
        with pytest.raises(InputError, match="export it again"):
            read_table(path)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    for path, text in (
        (tmp_path / "t.xlsx", "ending in"),
        (tmp_path / "t", "ending in"),
        (tmp_path / "folder.csv", "name a file in it"),
        (tmp_path / "file" / "t.csv", "choose another folder"),
    ):
        with pytest.raises(InputError, match=text):
            check_writable(path, (".csv", ".parquet"))
        with pytest.raises(InputError, match=text):
            write_table(example(), path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_full_disk_leaves_the_old_file_and_no_scraps(tmp_path: Path, suffix: str) -> None:
    path = write_table(example(), tmp_path / f"t{suffix}")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np
from test_files import pd, write_table
from automl_theory.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
index = pd.Index([f"arch{{k}}" for k in range(20_000)], name="arch")
big = pd.DataFrame({{"value": np.random.default_rng(0).normal(size=20_000)}}, index=index)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_table(big, {str(path)!r})
except InputError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=100)
    assert "free some space" in done.stdout, done.stderr
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert after == before


PROXY = {"family": "convergence", "direction": "maximize"}
BROKEN = [
    ({"proxies": ["value"]}, "proxies"),
    ({"proxies": "value"}, "proxies"),
    ({"proxies": {"value": "up"}}, "proxies"),
    ({"proxies": {"value": {"family": "convergence"}}}, "proxies"),
    ({"proxies": {"value": {**PROXY, "family": 3}}}, "proxies"),
    ({"proxies": {"value": {**PROXY, "direction": ["maximize"]}}}, "proxies"),
    ({"proxies": {"value": {**PROXY, "formula": 3}}}, "proxies"),
    ({"accuracy": "hello"}, "accuracy"),
    ({"accuracy": None}, "accuracy"),
    ({"accuracy": {"seeds": 3}}, r"accuracy\.seeds"),
    ({"accuracy": {"splits": 3}}, r"accuracy\.splits"),
    ({"accuracy": {"dataset": ["cifar10"]}}, r"accuracy\.dataset"),
    ({"accuracy": {"epochs": "many"}}, r"accuracy\.epochs"),
    ({"accuracy": {"runs_per_architecture": [3]}}, r"accuracy\.runs_per_architecture"),
    ({"settings": [1]}, "settings"),
    ({"settings": {"space": 3}}, r"settings\.space"),
    ({"join": [1]}, "join"),
    ({"join": [{"unused": 0}]}, "join"),
    ({"join": {"unused": 0}}, "join"),
    ({"seeds": 3}, "seeds"),
    ({"seeds": ["first"]}, "seeds"),
    ({"noise": 3}, "noise"),
    ({"left_out": 3}, "left_out"),
    ({"failures": [["a", "0", "no memory"]]}, "failures"),
    ({"key": ["canonical"]}, "key"),
]


@pytest.mark.parametrize(("attrs", "part"), BROKEN)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_broken_metadata_is_one_line(tmp_path: Path, suffix: str, attrs: dict[str, object], part: str) -> None:
    df = example()
    df.attrs = attrs
    path = write_table(df, tmp_path / f"t{suffix}")
    with pytest.raises(InputError, match=rf"the metadata of t{suffix} is broken \({part}\); export it again"):
        read_table(path)


def test_metadata_that_is_no_mapping(tmp_path: Path) -> None:
    path = write_table(example(), tmp_path / "t.csv")
    for attrs in ("[1]", "null", '"words"', "3"):
        path.with_name("t.csv.json").write_text(f'{{"types": {{}}, "attrs": {attrs}}}', encoding="utf-8")
        with pytest.raises(InputError, match=r"the metadata of t\.csv is broken; export it again"):
            read_table(path)
    for types in ("[1]", "null", "3", '{"value": "no type"}'):
        path.with_name("t.csv.json").write_text(f'{{"types": {types}, "attrs": {{}}}}', encoding="utf-8")
        with pytest.raises(InputError, match=r"cannot read .*t\.csv as a score table: .*; export it again"):
            read_table(path)


def test_nothing_takes_the_place_of_a_file_without_force(tmp_path: Path) -> None:
    for name, there in (("t.csv", "t.csv"), ("u.csv", "u.csv.json"), ("r.html", "r.html")):
        check_free(tmp_path / name)
        (tmp_path / there).touch()
        with pytest.raises(InputError, match=rf"{there} exists and is not overwritten; say --force \(force=True\)"):
            check_free(tmp_path / name)
        check_free(tmp_path / name, force=True)
    (tmp_path / "t.parquet.json").touch()
    check_free(tmp_path / "t.parquet")


def bomb(path: Path, kind: str) -> Path:
    """A small Parquet file of 2,000 rows that stands for 20 MB of one text, or for 16 MB of one number in 2 M rows."""
    pa = pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    from pyarrow.parquet import write_table as write

    if kind == "texts":
        names = [f"a{k}" for k in range(2000)]
        columns = {"arch": names, "value": [1.0] * 2000, "why": ["x" * 10_000] * 2000}
    else:
        names = ["a"] * 2_000_000
        columns = {"arch": names, "value": [1.0] * 2_000_000}
    write(pa.table(columns), path, compression="zstd")
    assert path.stat().st_size < 50_000
    return path


@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_a_parquet_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bomb(tmp_path / "bomb.parquet", kind)
    monkeypatch.setattr(foreign_tables, "MAX_UNPACKED", 2**20)
    monkeypatch.setattr(pd, "read_parquet", lambda _: pytest.fail("it was read whole"))
    with pytest.raises(
        InputError, match=r"bomb\.parquet unpacks to more than 1048576 bytes, which no table does; save"
    ):
        read_table(path)
    monkeypatch.setattr(foreign_tables, "MAX_UNPACKED", 2**30)
    monkeypatch.setattr(foreign_tables, "MAX_CELLS", 1000)
    with pytest.raises(InputError, match=r"bomb\.parquet declares 20+ rows, more than any benchmark has"):
        read_table(path)


def test_the_size_of_a_parquet_table_is_that_of_its_values_unpacked(tmp_path: Path) -> None:
    """2,000 texts of 10,000 letters and their offsets, 2,000 names, 2,000 numbers: within 5 % of 20 MB."""
    path = bomb(tmp_path / "t.parquet", "texts")
    for limit, fits in ((19_000_000, False), (21_000_000, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(foreign_tables, "MAX_UNPACKED", limit)
            if fits:
                assert len(foreign_tables.read_parquet(path)) == 2000
            else:
                with pytest.raises(InputError, match="unpacks to more than 19000000 bytes"):
                    foreign_tables.read_parquet(path)


def test_a_genuine_table_of_a_category_and_of_gaps_is_measured(tmp_path: Path) -> None:
    df = example()
    df["kind"] = pd.Categorical(["a", "b"] + [None] * (len(df) - 2))
    df["word"] = ["x"] + [None] * (len(df) - 1)
    path = write_table(df, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(path), df, check_exact=True)


@pytest.mark.parametrize("cells", [[[1.0] * 3, [2.0]], [{"a": 1}, {"a": 2}], [b"x" * 65, b"y" * 65]])
def test_lists_and_structures_in_cells(tmp_path: Path, cells: list[object]) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    from pyarrow.parquet import write_table as write

    kind = pa.binary(65) if isinstance(cells[0], bytes) else None
    write(pa.table({"arch": ["a", "b"], "odd": pa.array(cells, kind)}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"column 'odd.*' of t\.parquet holds no numbers or texts; save it without"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize("place", range(40))
def test_a_parquet_file_with_a_byte_changed_is_read_or_refused_in_a_line(tmp_path: Path, place: int) -> None:
    path = write_table(example(), tmp_path / "t.parquet")
    whole = bytearray(path.read_bytes())
    for at in range(place, len(whole), 401):
        changed = bytearray(whole)
        changed[at] ^= 0x55
        path.write_bytes(changed)
        said = ""
        try:
            read_table(path)
        except InputError as error:
            said = str(error)
        assert "\n" not in said
