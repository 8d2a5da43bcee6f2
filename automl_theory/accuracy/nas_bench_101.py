"""NAS-Bench-101's own files, nasbench_only108.tfrecord and nasbench_full.tfrecord: one record a training run.

A file is a row of records: length (8 bytes, little endian), its checksum (4), the record, its checksum (4). A record is
JSON of five texts and numbers: hash, epochs, the adjacency matrix as digits row by row, the operations with commas
between, and in base64 a protocol buffer:

    ModelMetrics     1 evaluation_data (EvaluationData, repeated)   2 trainable_parameters (int)
    EvaluationData   3 train_accuracy   4 validation_accuracy   5 test_accuracy (doubles, fractions)

Evaluations are before, in the middle of and after training; the last one counts. Checksums are not verified. Source:
`nasbench.api` and `model_metrics.proto` of Ying et al. 2019.
"""

from __future__ import annotations

import base64
import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from math import isqrt
from pathlib import Path
from typing import IO, Any

import pandas as pd

from automl_theory.errors import InputError

LONGEST_RECORD = 2**20
METRICS = {3: "train_accuracy", 4: "valid_accuracy", 5: "test_accuracy"}


def read_tfrecord(path: Path) -> pd.DataFrame:
    """Return one row a training run: arch, epochs, seed (0, 1, 2 in the order of the file), accuracies and params.

    Accuracies are per cent on 10,000 images each (valid and test images are held out), params millions. `arch` is the
    string of `spaces.nas_bench_101`, its vertices as in the file. Errors: InputError that numbers the record (from 0)
    where the file ends in the middle of one or holds something else.
    """
    rows = []
    met: Counter[tuple[str, int]] = Counter()
    with path.open("rb") as file:
        for number, record in enumerate(_records(file, path.name)):
            try:
                arch, epochs, *measured = _run(record)
            except (ValueError, TypeError, IndexError, KeyError, struct.error, RecursionError):
                raise InputError(
                    f"record {number} of {path.name} is no run of NAS-Bench-101; the file is damaged or of another "
                    "benchmark: fetch it again"
                ) from None
            arch = sys.intern(arch)
            rows.append((arch, epochs, met[arch, epochs], *measured))
            met[arch, epochs] += 1
    table = pd.DataFrame(rows, columns=["arch", "epochs", "seed", *METRICS.values(), "params"])
    table.attrs = {"accuracy": {"release": "NAS-Bench-101", "file": path.name}}
    return table


def _records(file: IO[bytes], name: str) -> Iterator[bytes]:
    number = 0
    while head := file.read(12):
        length = int.from_bytes(head[:8], "little")
        if length > LONGEST_RECORD:
            raise InputError(f"record {number} of {name} claims {length} bytes; the file is damaged: fetch it again")
        record, check = file.read(length), file.read(4)
        if len(check) < 4:
            raise InputError(f"{name} ends in the middle of record {number}; the file is damaged: fetch it again")
        yield record
        number += 1


def _run(record: bytes) -> tuple[Any, ...]:
    """The architecture, the epochs, the accuracies of `METRICS` and the parameters of a record."""
    _, epochs, adjacency, operations, packed = json.loads(record)
    vertices = isqrt(len(adjacency))
    names = operations.split(",")
    if vertices**2 != len(adjacency) or len(names) != vertices or vertices < 2 or type(epochs) is not int:
        raise ValueError(adjacency)
    rows = [adjacency[x * vertices + x + 1 : (x + 1) * vertices] for x in range(vertices - 1)]
    metrics = list(_fields(base64.b64decode(packed, validate=True)))
    last = dict(_fields([value for field, value in metrics if field == 1][-1]))
    accuracies = (100 * struct.unpack("<d", last[field])[0] for field in METRICS)
    return f"{'_'.join(rows)}+{'+'.join(names)}", epochs, *accuracies, int(dict(metrics)[2]) / 1e6


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protocol buffer: integers, and the bytes of everything else."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        else:
            length = {1: 8, 5: 4}[kind]
        if at + length > len(message):
            raise ValueError(length)
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The integer that begins at `at`, seven bits a byte, the lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
