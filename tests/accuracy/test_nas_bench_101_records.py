"""Files as NAS-Bench-101 writes them, made here byte by byte from its definition of a record."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from automl_theory.accuracy.convert import convert
from automl_theory.accuracy.tables import load_accuracy
from automl_theory.errors import InputError
from automl_theory.spaces.nas_bench_101 import NasBench101

SPACE = NasBench101()
SOME = SPACE.sample(6, 0)


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, value: float | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 1) + struct.pack("<d", value)


def metrics(train: float, valid: float, test: float, parameters: int) -> bytes:
    evaluations = [(0.0, 0.1, 0.1, 0.1), (54.0, 0.5, 0.4, 0.3), (108.0, train, valid, test)]
    parts = [
        field(1, field(1, e) + field(2, 60 * e) + field(3, a) + field(4, b) + field(5, c) + field(6, b"/model"))
        for e, a, b, c in evaluations
    ]
    return b"".join(parts) + field(2, parameters) + field(3, 99.0)


def record(arch: str, epochs: int, *numbers: float) -> bytes:
    matrix, ops = SPACE.parse(arch)
    digits = "".join(str(entry) for row in matrix for entry in row)
    packed = base64.b64encode(metrics(*numbers, int(SPACE.size_metrics(arch)["parameters"]))).decode()
    return json.dumps([SPACE.hash(arch), epochs, digits, ",".join(ops), packed]).encode()


def written(file: Path, records: list[bytes]) -> Path:
    file.write_bytes(b"".join(struct.pack("<Q", len(r)) + b"csum" + r + b"csum" for r in records))
    return file


def test_runs_are_averaged_and_schedules_kept_apart(tmp_path: Path) -> None:
    worth = {(arch, epochs, k): (0.99, 0.9 + 0.01 * i, 0.8 + 0.01 * i + 0.001 * k + epochs / 1e4)
             for i, arch in enumerate(SOME) for epochs in (4, 108) for k in range(3)}  # fmt: skip
    file = written(tmp_path / "nasbench_full.tfrecord", [record(a, e, *w) for (a, e, _), w in worth.items()])
    for epochs in (4, 108, None):
        table = load_accuracy(file, epochs=epochs, space=SPACE)
        assert table.index.tolist() == SOME
        for i, arch in enumerate(SOME):
            row = table.loc[arch]
            assert row["test_accuracy"] == pytest.approx(100 * (0.8 + 0.01 * i + 0.001 + (epochs or 108) / 1e4))
            assert row["test_accuracy_seed2"] == pytest.approx(100 * worth[arch, epochs or 108, 2][2])
            assert row["valid_accuracy"] == pytest.approx(90 + i)
            assert row["params"] * 1e6 == pytest.approx(SPACE.size_metrics(arch)["parameters"])
    recipe = table.attrs["accuracy"]
    assert {"release": "NAS-Bench-101", "epochs": 108, "seeds": [0, 1, 2]}.items() <= recipe.items()
    assert load_accuracy(file, split="test").index.tolist() == [SPACE.string(arch) for arch in SOME]
    convert(file, tmp_path / "t.parquet", space=SPACE)
    np.testing.assert_array_equal(load_accuracy(tmp_path / "t.parquet")["test_accuracy"], table["test_accuracy"])


def test_a_record_of_any_length_is_read(tmp_path: Path) -> None:
    """Also one of 640 bytes, whose length begins as a pickle does."""
    one = record(SOME[0], 108, 0.9, 0.8, 0.7)
    assert len(one) < 900
    padded = one + b" " * (640 + 256 - len(one) if len(one) > 640 else 640 - len(one))
    assert struct.pack("<Q", len(padded))[0] == 0x80
    table = load_accuracy(written(tmp_path / "t.tfrecord", [padded]), space=SPACE)
    assert table["test_accuracy"].tolist() == pytest.approx([70])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (struct.pack("<Q", 10) + b"csum" + b"12345", "t.tfrecord ends in the middle of record 0"),
        (struct.pack("<Q", 2**40) + b"csum", "record 0 of t.tfrecord claims 1099511627776 bytes"),
        (struct.pack("<Q", 2) + b"csum{}csum", "record 0 of t.tfrecord is no run of NAS-Bench-101"),
        (struct.pack("<Q", 2) + b"csum\xff\xffcsum", "record 0 of t.tfrecord is no run"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.tfrecord").write_bytes(content)
    with pytest.raises(InputError, match=message) as told:
        load_accuracy(tmp_path / "t.tfrecord", space=SPACE)
    assert "\n" not in str(told.value)


def test_bytes_changed_at_random_are_a_run_or_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "t.tfrecord", [record(arch, 108, 0.9, 0.8, 0.7) for arch in SOME]).read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for at in random.integers(len(whole), size=random.integers(1, 5)):
            changed[at] = random.integers(256)
        (tmp_path / "t.tfrecord").write_bytes(changed[: random.integers(1, len(whole) * 2)])
        with suppress(InputError):
            load_accuracy(tmp_path / "t.tfrecord", space=SPACE)
            refused -= 1
        refused += 1
    assert refused > 100
