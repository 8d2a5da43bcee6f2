"""Score tables as files: Parquet (keeps everything) or CSV with attributes and types beside it as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from automl_theory.errors import InputError, require
from automl_theory.scoring.checked_attrs import checked_attrs
from automl_theory.scoring.foreign_tables import one_line, read_parquet

SUFFIXES = (".parquet", ".csv")


def check_writable(path: str | PathLike[str], suffixes: tuple[str, ...]) -> Path:
    """The path if a file with one of `suffixes` can be made there, before any work is done; else InputError.

    A missing folder is one that can be made; the writing makes it. MissingExtra for Parquet without pyarrow.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        raise InputError(f"cannot write {target}: name a file ending in {' or '.join(suffixes)}")
    if target.suffix == ".parquet":
        require("pyarrow", "parquet")
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder; name a file in it")
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        probe = _beside(folder / target.name)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose another folder") from None
    return target


def check_free(target: Path, force: bool = False) -> None:
    """Raise InputError, unless `force`, if a table (with a CSV's description) or page would take another's place."""
    for file in (target, target.with_name(target.name + ".json")):
        if file.exists() and not force and (file is target or target.suffix == ".csv"):
            raise InputError(f"{file} exists and is not overwritten; say --force (force=True), or name another file")


def check_apart(target: Path, others: Mapping[str, object]) -> None:
    """Raise InputError if a table, or a CSV's description, would replace one of `others` (by what each is)."""
    mine = {os.path.realpath(file) for file in (target, target.with_name(target.name + ".json"))}
    for what, other in others.items():
        if isinstance(other, str | PathLike) and os.path.realpath(other) in mine:
            raise InputError(f"cannot write {target}: {other} is {what}; name another file for the table")


def write_table(df: pd.DataFrame, path: str | PathLike[str]) -> Path:
    """Write a score table to .parquet, or to .csv with attributes and types in a file named …csv.json; return the path.

    The file appears in one step: an interrupted write leaves the old one. Equal tables give equal bytes. Raises
    InputError for another suffix or a place that cannot be written, MissingExtra for Parquet without pyarrow.
    """
    target = check_writable(path, SUFFIXES)
    if target.suffix == ".parquet":
        write_files({target: df.to_parquet})
        return target
    types = {str(column): str(dtype) for column, dtype in df.dtypes.items()}
    described = json.dumps({"attrs": df.attrs, "types": types}, indent=1, sort_keys=True)
    beside = target.with_name(target.name + ".json")
    write_files(
        {
            target: lambda file: df.to_csv(file, float_format="%.17g"),
            beside: lambda file: file.write_text(described, encoding="utf-8"),
        }
    )
    return target


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a score table that `write_table` wrote, with `attrs`; never imports torch.

    Floating-point values come back bit for bit. Raises InputError for a missing file, another kind of file, one that is
    broken or too large, metadata of another shape, or a table without the index "arch"; MissingExtra for Parquet
    without pyarrow.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"no score table at {source}; make one with: automl-theory score ... --export {source}")
    if source.suffix not in SUFFIXES:
        raise InputError(f"{source} is no score table; give a file ending in {' or '.join(SUFFIXES)}")
    if source.suffix == ".parquet":
        require("pyarrow", "parquet")
    with one_line(f"cannot read {source} as a score table", "export it again"):
        table = read_parquet(source) if source.suffix == ".parquet" else _read_csv(source)
        table.attrs = checked_attrs(table.attrs, source.name)
    if table.index.name != "arch":
        raise InputError(f"{source} has no column 'arch'; give a table that automl-theory exported")
    return table


def _read_csv(source: Path) -> pd.DataFrame:
    beside = source.with_name(source.name + ".json")
    described = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    if not isinstance(described, dict):
        raise ValueError(f"{beside.name} holds no JSON object")
    types = {"arch": "str", "canonical": "str"} | described.get("types", {})
    exact = {column: _number for column, kind in types.items() if kind == "float64"}
    types = {column: kind for column, kind in types.items() if column not in exact}
    # Only an empty field is a missing value: an architecture may be called "NA".
    table = pd.read_csv(source, dtype=types, converters=exact, keep_default_na=False, na_values=[""])
    if "arch" in table.columns:
        table = table.set_index("arch")
    table.attrs = checked_attrs(described.get("attrs", {}), source.name)
    return table


def _number(field: str) -> float:
    """Exact in every version of pandas, which its own parser is not."""
    return float(field or "nan")


def write_files(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files that belong together: each by its writer to a draft beside its place, moved there once all are whole.

    An interrupted write leaves the old files. Errors: InputError where the disk or the folder refuses.
    """
    try:
        for target, write in writers.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            write(_beside(target))
        for target in writers:
            os.replace(_beside(target), target)
    except OSError as error:
        told = error.strerror or error
        raise InputError(f"cannot write {target}: {told}; free some space or choose another place") from None
    finally:
        for target in writers:
            _beside(target).unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}")
