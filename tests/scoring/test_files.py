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
from automl_theory.scoring.files import check_writable, read_table, write_table

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
    df.attrs = {"settings": {"n": 8, "network": {"channels": 4}}, "seeds": [0, 1], "proxies": {"value": {"unit": "λ"}}}
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
