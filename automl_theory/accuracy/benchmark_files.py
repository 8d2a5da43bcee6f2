"""Files and folders of NAS-Bench-201 and NATS-Bench, as training runs.

What is read                                             written by
one file .pth, zip (torch ≥ 1.6) or older form           NAS-Bench-201: `torch.save` of all records (4.7 GB)
one file .pickle.pbz2                                    NATS-Bench: all records, or those of one architecture
a folder of 000000.pickle.pbz2, …, and meta.pickle.pbz2  NATS-Bench "simple" and "full"
a folder of 000000-FULL.pth, …                           NAS-Bench-201 archive

Nothing in them is executed: `record_reader` runs over the bytes with the few instructions and names that such records
need, which is the same promise as torch's weights-only loading, for files of torch before and after 2.6 and of numpy
before and after 2 alike, and needs no torch. With `trust_pickle=True` the file is unpickled as its API would do it, and
*whatever code it holds runs with the rights of whoever asked*.
"""

from __future__ import annotations

import bz2
import importlib
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from automl_theory.accuracy.recipe import TOTAL, release_of
from automl_theory.accuracy.record_reader import RATIO, SMALL, RecordReader
from automl_theory.accuracy.records import Runs
from automl_theory.accuracy.stream import Window
from automl_theory.errors import InputError
from automl_theory.progress import duration
from automl_theory.safe_pickle import Refused, load, told_in_a_line

Found = Callable[[dict[Any, Any]], None]
Progress = Callable[[int, int, int], None]

MAX_FILE = 64 * 2**30
MAX_ONE_RECORD = 512 * 2**20
LARGE = 200 * 10**6
SECONDS_PER_GB = 40.0
UNPACKING_PER_GB = 40.0
MEMORY_PER_GB = 0.2
MEMORY_BASE = 0.1
OBJECTS_PER_GB = 5.7
UNPACKED = 4
"""Measured by `benchmarks/accuracy_memory.py` on a tenth of a release, per GB of pickle."""

MIB = 2**20
_MAGIC = 0x1950A86A20F9469CFC6C
_RECORD = re.compile(r"(\d+)(?:-[A-Za-z]\w*)?\.(pth|pickle\.pbz2)")
_META = ("meta.pickle.pbz2", "meta.pth")


def is_benchmark(path: Path) -> bool:
    """Whether a path is a folder, or a file that torch or nats_bench may have written, by name or first bytes."""
    if path.is_dir() or path.name.endswith((".pth", ".pt", ".pbz2", ".pickle", ".pkl")):
        return True
    with path.open("rb") as file:
        head = file.read(4)
    return path.suffix not in (".parquet", ".gz", ".csv", ".tfrecord") and head.startswith(
        (b"PK\x03\x04", b"BZh", b"\x80\x02")
    )


def expectation(path: Path, *, trust_pickle: bool = False) -> str | None:
    """What reading a large file will take, in a line; None for a small one or a folder."""
    if path.is_dir() or path.stat().st_size < LARGE:
        return None
    size = path.stat().st_size / 1e9
    packed = path.name.endswith("pbz2")
    whole = size * UNPACKED if packed else size
    seconds = (SECONDS_PER_GB + UNPACKING_PER_GB * packed) * whole
    memory, objects = MEMORY_BASE + MEMORY_PER_GB * whole, OBJECTS_PER_GB * whole
    if trust_pickle:
        return (
            f"{path.name}: {size:.1f} GB; unpickled it takes about {objects:.0f} GB of memory ({memory:.1f} GB without "
            "trust_pickle)"
        )
    return (
        f"{path.name}: {size:.1f} GB; reading it once takes about {duration(seconds)} and "
        f"{memory:.1f} GB of memory (as objects {objects:.0f} GB)"
    )


def read_runs(path: Path, *, trust_pickle: bool = False, progress: Progress) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the runs of a file or folder (see `records.Runs.frame`) and what is known of where they come from.

    Raises InputError naming the file for anything broken, foreign, mixed up, or that could run code.
    """
    runs = Runs()
    if path.is_dir():
        form = _read_folder(path, runs, trust_pickle, progress)
    else:
        total = max(1, path.stat().st_size // MIB)
        form, content = _read_file(
            path, runs.add, path.name, trust_pickle, lambda at: progress(min(at // MIB, total), total, 0)
        )
        _check_listed(runs, content, path.name)
    if not runs.arch:
        raise InputError(
            f"{path.name} holds no trained results{' but a list of architectures' if path.name in _META else ''}; give "
            "the folder of NATS-Bench records, or the .pth file of NAS-Bench-201"
        )
    frame = runs.frame()
    (family,) = runs.families
    return frame, {
        "release": release_of(path.resolve().name, form, family, _runs_per_arch(frame)),
        "space": "nas_bench_201" if family == "topology" else "nats_bench_size",
        "file": path.resolve().name,
        "architectures": f"{frame.index.nunique()} of {TOTAL[family]}",
    }


def _check_listed(runs: Runs, content: Any, name: str) -> None:
    """Refuse results of architectures that the file's own list, where it has one, does not name."""
    listed = content.get("meta_archs") if isinstance(content, dict) else None
    if isinstance(listed, list):
        known = {arch for arch in listed if isinstance(arch, str)}
        odd = next((arch for arch in runs.arch if arch not in known), None)
        if odd is not None:
            raise InputError(f"{name} has results of {odd}, which its own list of architectures lacks; fetch it again")


def _runs_per_arch(frame: pd.DataFrame) -> dict[int, int]:
    long = frame[(frame["dataset"] == "cifar10") & (frame["epochs"] == frame["epochs"].max())]
    return {int(k): int(n) for k, n in long.groupby(level=0).size().value_counts().items()}


def _read_folder(path: Path, runs: Runs, trust_pickle: bool, progress: Progress) -> str:
    files = sorted(file for file in path.iterdir() if _RECORD.fullmatch(file.name))
    kinds = {file.name.partition(".")[2] for file in files}
    if len(kinds) > 1:
        raise InputError(
            f"{path.name} holds .pth and .pickle.pbz2 records: releases are mixed; keep each in its folder"
        )
    if not files:
        inside = ", ".join([file.name for file in sorted(path.iterdir())][:3]) or "nothing"
        raise InputError(
            f"folder {path.name} holds no records (000000.pickle.pbz2 or 000000-FULL.pth) but {inside}; give the "
            "folder that holds them"
        )
    known = _known_architectures(path)
    for number, file in enumerate(files):
        progress(number, len(files), 0)
        match = _RECORD.fullmatch(file.name)
        assert match is not None
        before, index = len(runs.arch), int(match[1])
        where = f"{path.name}/{file.name}"
        _read_file(file, runs.add, where, trust_pickle, lambda at: None, MAX_ONE_RECORD)
        if len(runs.arch) == before:
            raise InputError(f"{where} holds no training runs; fetch it again from its official source")
        held = set(runs.arch[before:])
        if len(held) > 1 or (known is not None and (index >= len(known) or held != {known[index]})):
            expected = known[index] if known is not None and index < len(known) else "one architecture"
            raise InputError(
                f"{where} should hold {expected} but holds {min(held)}: releases are mixed; fetch the folder again"
            )
    progress(len(files), len(files), 0)
    return "NAS-Bench-201" if kinds == {"pth"} else "NATS-Bench"


def _known_architectures(path: Path) -> list[Any] | None:
    """The list in meta.pickle.pbz2, where there is one: the architecture of each file number."""
    meta = path / _META[0]
    if not meta.is_file():
        return None
    content = load(meta, max_bytes=64 * MIB)
    names = content.get("meta_archs") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path.name}/{meta.name} holds no list meta_archs; fetch it again from its official source")
    return names


def _read_file(
    path: Path, add: Callable[[dict[Any, Any], str], None], where: str, trust_pickle: bool,
    told: Callable[[int], None], cap: int = MAX_FILE,
) -> tuple[str, Any]:  # fmt: skip
    """Hand every record of a file to `add`; return the format in a word, and what is left of the content."""

    def found(record: dict[Any, Any]) -> None:
        add(record, where)

    if trust_pickle:
        content = _unpickled(path, where)
        with told_in_a_line(where):
            _walk(content, found)
        return ("NATS-Bench" if path.name.endswith("pbz2") else "NAS-Bench-201"), content
    with told_in_a_line(where), path.open("rb") as file:
        head = file.read(4)
        if not head:
            raise InputError(f"{where} is empty; fetch it again from its official source")
        file.seek(0)
        if head.startswith(b"BZh"):
            limit = min(cap, max(SMALL, RATIO * path.stat().st_size))
            with bz2.open(file) as unpacked:
                return "NATS-Bench", _read_whole(Window(unpacked, limit, lambda taken: told(file.tell())), found)
        if head.startswith(b"PK"):
            with _pickle_of_zip(file, where) as stream:
                return "NAS-Bench-201", _read_whole(Window(stream, cap, told), found)
        if not head.startswith(b"\x80"):
            raise InputError(
                f"{where} is no file of NAS-Bench-201 (.pth) or NATS-Bench (.pickle.pbz2): it begins with {head!r}; "
                "give such a file or folder, or a .csv or .parquet table"
            )
        window = Window(file, cap, told)
        content = RecordReader(window, found).load()
        if content == _MAGIC:
            _, _, content, _ = [
                RecordReader(window, found).load() for _ in ("version", "system", "content", "storages")
            ]
        return "NAS-Bench-201", content
    raise AssertionError


def _read_whole(window: Window, found: Found) -> Any:
    """Read the one pickle of a stream to the stream's end, where its checksum is."""
    content = RecordReader(window, found).load()
    window.drain()
    return content


@contextmanager
def _pickle_of_zip(file: IO[bytes], where: str) -> Iterator[IO[bytes]]:
    """The one pickle in a zip file of torch, which stores and never compresses it."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise InputError(
            f"{where} is cut short or damaged ({error}); fetch it again from its official source"
        ) from None
    with closing(archive):
        members = [entry for entry in archive.infolist() if entry.filename.split("/", 1)[-1] == "data.pkl"]
        if len(members) != 1:
            raise InputError(f"{where} is a zip file, but not one of torch.save; give the .pth file of NAS-Bench-201")
        if members[0].compress_type != zipfile.ZIP_STORED or members[0].flag_bits & 1:
            raise Refused("a compressed or encrypted pickle, which torch.save never writes")
        try:
            with archive.open(members[0]) as stream:
                yield stream
        except zipfile.BadZipFile as error:
            raise InputError(f"{where} is damaged ({error}); fetch it again from its official source") from None


def _unpickled(path: Path, where: str) -> Any:
    """The objects of a file, made by running it."""
    try:
        if path.name.endswith("pbz2"):
            with bz2.open(path) as file:
                return pickle.load(file)
        return importlib.import_module("torch").load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        line = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{where} could not be unpickled, though trusted: {line}") from error


def _walk(content: Any, found: Found) -> None:
    """Find records in objects: state dictionaries, or instances of the APIs' own classes."""
    if hasattr(content, "state_dict") and not isinstance(content, Mapping):
        content = content.state_dict()
    if isinstance(content, Mapping):
        if "all_results" in content and "arch_str" in content:
            results = content["all_results"]
            found({**content, "all_results": {k: getattr(v, "__dict__", v) for k, v in results.items()}})
            return
        for value in content.values():
            _walk(value, found)
