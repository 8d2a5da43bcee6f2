from __future__ import annotations

import math
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_theory.errors import InputError, StoreError
from automl_theory.scoring.merging import merge
from automl_theory.scoring.sqlite_file import SCHEMA
from automl_theory.scoring.store import ScoreStore

SETTINGS: dict[str, Any] = {"space": "nas_bench_201", "n": 64, "seeds": [0, 1], "scale": 0.1}
ENVIRONMENT = {"torch": "2.13.0", "threads": "1"}


def make(path: Path, **changes: Any) -> ScoreStore:
    return ScoreStore.open(path, {**SETTINGS, **changes}, ENVIRONMENT)


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    head = "import sys, os\nfrom automl_theory.scoring.store import ScoreStore\n"
    head += f"def make(path): return ScoreStore.open(path, {SETTINGS!r}, {ENVIRONMENT!r})\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


VALUES = [math.inf, -math.inf, -0.0, 0.0, 5e-324, 2.2e-308, 0.1, 3.0, 2.0**53 + 2, -1.7e308, 1 / 3]


def test_values_are_kept_bit_for_bit_and_nan_is_null(tmp_path: Path) -> None:
    with make(tmp_path / "s.db") as store:
        store.write("a", 0, {f"p{i:02}": (v, "ok") for i, v in enumerate(VALUES)}, 0.5)
        store.write("b", 0, {"nan": (math.nan, "non_finite"), "none": (None, "failed"), "np": (np.float64(2), "ok")}, 1)
    with ScoreStore.existing(tmp_path / "s.db") as store:
        frame = store.read()
    assert frame.value.dtype == np.float64
    assert frame.seed.dtype == np.int64
    assert [struct.pack("<d", v) for v in frame.value[: len(VALUES)]] == [struct.pack("<d", v) for v in VALUES]
    assert frame.value[len(VALUES) :].isna().tolist() == [True, True, False]
    raw = sqlite3.connect(tmp_path / "s.db")
    assert raw.execute("SELECT value FROM score WHERE proxy = 'nan'").fetchone() == (None,)
    raw.close()


def test_the_table_does_not_depend_on_the_order_of_writing(tmp_path: Path) -> None:
    rows = [(f"|op~{i}|", seed) for i in range(7) for seed in range(2)]
    frames = []
    for name, order in (("one", rows), ("two", rows[::-1])):
        with make(tmp_path / name) as store:
            for arch, seed in order:
                store.write(arch, seed, {"q": (seed / 3, "ok"), "p": (len(arch) * 1.0, "ok")}, 0.1, "note")
            frames.append(store.read())
            assert store.read_runs().detail.tolist() == ["note"] * 14
    assert frames[0].equals(frames[1])
    assert frames[0].attrs == frames[1].attrs
    assert frames[0].attrs["settings"] == SETTINGS


def test_an_empty_store_reads_as_an_empty_table(tmp_path: Path) -> None:
    with make(tmp_path / "s.db") as store:
        frame = store.read()
        assert list(frame.columns) == ["arch", "seed", "proxy", "value", "status"]
        assert len(frame) == len(store.read_runs()) == 0
        assert (store.settings, store.environment) == (SETTINGS, ENVIRONMENT)


def test_done_missing_and_failed(tmp_path: Path) -> None:
    with make(tmp_path / "s.db") as store:
        store.write("a", 0, {"p": (1.0, "ok"), "q": (None, "failed")}, 1)
        store.write("a", 1, {"p": (1.0, "ok")}, 1)
        assert store.done(["p"]) == {("a", 0), ("a", 1)}
        assert store.done(["p", "q", "q"]) == {("a", 0)}
        assert store.missing("a", 1, ["r", "p", "q"]) == ["r", "q"]
        store.write("a", 0, {"p": (None, "failed"), "q": (2.0, "ok")}, 1)
        assert store.read().value.tolist() == [1.0, 2.0, 1.0]
        store.write("a", 0, {"p": (9.0, "rank_deficient"), "r": (None, "failed")}, 1)
        assert store.retry_failed([("a", 0, "p"), ("a", 1, "p")]) == 0
        assert store.retry_failed([("a", 0, "p"), ("a", 0, "r")]) == 1
        assert store.missing("a", 0, ["p", "r"]) == ["r"]
        assert store.read().value.tolist() == [9.0, 2.0, 1.0]
        with pytest.raises(InputError, match="at least one proxy"):
            store.done([])


def test_other_settings_are_refused_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    make(path).close()
    make(path, seeds=(0, 1)).close()
    with pytest.raises(StoreError, match=r"n: 64 → 32, .*seeds: \[0, 1\] → absent.*another --store") as caught:
        ScoreStore.open(path, {"space": "nas_bench_201", "n": 32, "scale": 0.1}, ENVIRONMENT)
    assert "space" not in str(caught.value)
    assert "allow-mismatch" not in str(caught.value)
    with pytest.raises(StoreError, match="n: 64 → 32"):
        ScoreStore.open(path, {**SETTINGS, "n": 32}, ENVIRONMENT, allow_mismatch=True)
    with pytest.raises(InputError, match="JSON values"):
        make(tmp_path / "t.db", net=object())


def test_another_environment_needs_permission_and_is_recorded(tmp_path: Path) -> None:
    path, other = tmp_path / "s.db", {"torch": "2.14.0", "threads": "1", "device": "cpu"}
    make(path).close()
    with pytest.raises(StoreError, match=r'device: absent → "cpu", torch: "2.13.0" → "2.14.0".*--allow-mismatch'):
        ScoreStore.open(path, SETTINGS, other)
    with ScoreStore.open(path, SETTINGS, other, allow_mismatch=True) as store:
        assert store.environment == ENVIRONMENT
        changes = store.read().attrs["environment_changes"]
    assert [change[1:] for change in changes] == [["device", None, '"cpu"'], ["torch", '"2.13.0"', '"2.14.0"']]


def damaged(path: Path, kind: str) -> None:
    with make(path) as store:
        for i in range(300):
            store.write(f"arch{i}", 0, {f"proxy{j}": (i * 1.0, "ok") for j in range(10)}, 1)
    content = path.read_bytes()
    if kind == "header":
        content = b"\0" * 16 + content[16:]
    elif kind == "cut in the header":
        content = content[:60]
    elif kind == "cut off":
        content = content[: len(content) // 2]
    elif kind == "pages":
        content = content[:4096] + b"\xff" * 16384 + content[20480:]
    elif kind == "newer":
        content = content[:60] + struct.pack(">I", SCHEMA + 1) + content[64:]
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("header", "no SQLite file"),
        ("cut in the header", "cut off"),
        ("cut off", "damaged"),
        ("pages", "damaged"),
        ("newer", "upgrade automl_theory"),
    ],
)
def test_damaged_files_are_refused_and_left_alone(tmp_path: Path, kind: str, text: str) -> None:
    path = tmp_path / "s.db"
    damaged(path, kind)
    before = path.read_bytes()
    for opening in (lambda: make(path), lambda: ScoreStore.existing(path)):
        with pytest.raises(StoreError, match=text) as caught:
            opening()
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_foreign_files_and_places(tmp_path: Path) -> None:
    def refused(path: Path, text: str) -> None:
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(StoreError, match=text):
            make(path)
        assert before is None or path.read_bytes() == before

    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE mine(x)")
    foreign.commit()
    foreign.close()
    (tmp_path / "text.csv").write_text("arch,score\n" * 50)
    refused(tmp_path / "foreign.db", "another program's database")
    refused(tmp_path / "text.csv", "no SQLite file")
    refused(tmp_path, "is a folder")
    refused(tmp_path / "absent" / "s.db", "create it first")
    refused(tmp_path / "text.csv" / "s.db", "create it first")
    with pytest.raises(StoreError, match="does not exist"):
        ScoreStore.existing(tmp_path / "absent.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="is empty"):
        ScoreStore.existing(tmp_path / "empty.db")
    make(tmp_path / "empty.db").close()
    assert not list(tmp_path.glob("*-journal"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write, root included")
def test_an_unwritable_folder() -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        make(Path("/proc/self/s.db"))


def test_a_full_disk_keeps_what_was_committed(tmp_path: Path) -> None:
    with make(tmp_path / "s.db") as store:
        store._db.execute("PRAGMA max_page_count=20")
        written = []

        def fill() -> None:
            for i in range(10_000):
                store.write(f"arch{i:05}", 0, {f"proxy{j}": (1.0, "ok") for j in range(20)}, 1)
                written.append(i)

        with pytest.raises(StoreError, match="disk is full"):
            fill()
        assert len(written) > 5
        assert len(store.done([f"proxy{j}" for j in range(20)])) == len(written) == len(store.read()) / 20


def test_a_file_size_limit_keeps_what_was_committed(tmp_path: Path) -> None:
    code = """
        import resource
        store = make(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        for i in range(100_000):
            try:
                store.write(f"arch{i}", 0, {f"proxy{j}": (1.0, "ok") for j in range(20)}, 1)
            except Exception as error:
                print(i, type(error).__name__, error, flush=True)
                os._exit(0)
    """
    out, err = python(code, tmp_path / "s.db").communicate(timeout=60)
    assert "StoreError" in out, err
    assert "free some space" in out
    with ScoreStore.existing(tmp_path / "s.db") as store:
        assert len(store.done([f"proxy{j}" for j in range(20)])) == int(out.split()[0]) == len(store.read()) / 20


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2])
def test_killing_a_writer_leaves_whole_architectures(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "s.db"
    code = """
        store = make(sys.argv[1])
        for i in range(10**9):
            store.write(f"arch{i}", 0, {f"proxy{j}": (i * 1.0, "ok") for j in range(30)}, 1)
            if i == 20:
                print("going", flush=True)
    """
    writer = python(code, path)
    assert writer.stdout
    assert writer.stdout.readline() == "going\n"
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=20)
    with make(path) as store:
        frame = store.read()
        assert len(frame) % 30 == 0
        assert (frame.groupby("arch").proxy.count() == 30).all()
        assert len(frame) // 30 == len(store.read_runs()) >= 21
        assert store._rows("PRAGMA integrity_check") == [("ok",)]
        store.write("new", 0, {"p": (1.0, "ok")}, 1)


def test_two_processes_make_and_write_one_store(tmp_path: Path) -> None:
    code = """
        store = make(sys.argv[1])
        for i in range(150):
            store.write(f"shared{i}", 0, {"p": (i * 1.0, "ok")}, 1)
            store.write(f"own{sys.argv[2]}-{i}", 0, {"p": (i * 1.0, "ok"), "q": (0.5, "ok")}, 1)
        store.close()
    """
    writers = [python(code, tmp_path / "s.db", name) for name in "ab"]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    with make(tmp_path / "s.db") as store:
        assert len(store.done(["p"])) == 450
        assert len(store.done(["p", "q"])) == 300


def test_a_locked_store_is_named(tmp_path: Path) -> None:
    with make(tmp_path / "s.db") as store:
        other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store._db.execute("PRAGMA busy_timeout=50")
        with pytest.raises(StoreError, match="another process has held it"):
            store.write("a", 0, {}, 1)
        other.execute("ROLLBACK")
        other.close()
        store.write("a", 0, {"p": (1.0, "ok")}, 1)


def test_merge(tmp_path: Path) -> None:
    for name, arch, value in (("one", "a", 1.0), ("two", "b", 2.0)):
        with make(tmp_path / name) as store:
            store.write(arch, 0, {"p": (value, "ok"), "nan": (math.nan, "ok")}, 1)
            store.write("both", 0, {"p": (-0.0, "ok"), "q": (None, "failed") if name == "one" else (4.0, "ok")}, 1)
    assert merge(tmp_path / "all", [tmp_path / "one", tmp_path / "two"]) == 6
    assert merge(tmp_path / "all", [tmp_path / "two", tmp_path / "one"]) == 6
    merge(tmp_path / "turned", [tmp_path / "two", tmp_path / "one"])
    with ScoreStore.existing(tmp_path / "all") as one, ScoreStore.existing(tmp_path / "turned") as two:
        assert one.read().equals(two.read())
        assert one.read().query("proxy == 'q'").value.tolist() == [4.0]
        assert len(one.read_runs()) == 3


def test_merge_refuses_conflicts_and_other_settings(tmp_path: Path) -> None:
    for name, value in (("one", 0.0), ("two", -0.0)):
        with make(tmp_path / name) as store:
            store.write("x", 3, {"p": (value, "ok")}, 1)
    with pytest.raises(StoreError, match=r"p of x \(seed 3\) is -0.0 \(ok\) and 0.0 \(ok\)"):
        merge(tmp_path / "all", [tmp_path / "one", tmp_path / "two"])
    make(tmp_path / "other", n=3).close()
    with pytest.raises(StoreError, match="n: 64 → 3"):
        merge(tmp_path / "all", [tmp_path / "other"])
    with pytest.raises(InputError, match="at least one store"):
        merge(tmp_path / "all", [])
    with ScoreStore.open(tmp_path / "gpu", SETTINGS, {"torch": "2.14"}) as store:
        store.write("x", 3, {"p": (0.0, "ok")}, 1)
    with pytest.raises(StoreError, match="environment"):
        merge(tmp_path / "all", [tmp_path / "gpu"])
    assert merge(tmp_path / "all", [tmp_path / "gpu"], allow_mismatch=True) == 1


def test_the_store_imports_neither_torch_nor_pandas() -> None:
    code = "import automl_theory.scoring.store; assert not {'torch', 'pandas'} & set(sys.modules)"
    process = python(code)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("ALTER TABLE score ADD COLUMN extra", "columns arch seed proxy value status in table score .* extra"),
        ("DROP TABLE run", "in table run of the score store .* has none: .*restore a copy or use another --store"),
        ("UPDATE score SET status = 'fine'", "but it holds 'fine'; upgrade automl_theory"),
        ("UPDATE meta SET value = '{' WHERE kind = 'settings'", "settings of .* as JSON, but: .*restore a copy"),
        ("UPDATE meta SET value = '' WHERE kind = 'environment'", "environment of .* as JSON, but: .*restore a copy"),
    ],
)
def test_contents_that_no_run_wrote(tmp_path: Path, statement: str, text: str) -> None:
    with make(tmp_path / "s.db") as store:
        store.write("x", 0, {"p": (1.0, "ok")}, 1)
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute(statement)
    db.close()
    with pytest.raises(StoreError, match=text), ScoreStore.existing(tmp_path / "s.db") as store:
        store.read()


def test_scores_of_unknown_settings_are_not_gone_on_with(tmp_path: Path) -> None:
    with make(tmp_path / "s.db") as store:
        store.write("x", 0, {"p": (1.0, "ok")}, 1)
    with sqlite3.connect(tmp_path / "s.db") as db:
        db.execute("DELETE FROM meta")
    db.close()
    with pytest.raises(StoreError, match=r"to say what its scores measure, .*; restore a copy or use another --store"):
        make(tmp_path / "s.db")


def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.db")
    for place in (tmp_path / "pipe.db", Path("/dev/null")):
        with pytest.raises(StoreError, match="is a device or a pipe; name another file"):
            make(place)
