"""Score tables as files: Parquet (keeps everything) or CSV with its metadata beside it as JSON."""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path

import pandas as pd

from automl_theory.errors import InputError, require

SUFFIXES = (".parquet", ".csv")


def check_writable(path: str | PathLike[str], suffixes: tuple[str, ...]) -> Path:
    """The path if a file with one of `suffixes` can be made there, before any work is done; else InputError."""
    target = Path(path)
    if target.suffix not in suffixes:
        raise InputError(f"cannot write {target}: name a file ending in {' or '.join(suffixes)}")
    if target.suffix == ".parquet":
        require("pyarrow", "parquet")
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{target.name}.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose another folder") from None
    if target.is_dir():
        raise InputError(f"cannot write {target}: it is a folder; name a file")
    return target


def write_table(df: pd.DataFrame, path: str | PathLike[str]) -> Path:
    """Write a score table to .parquet, or to .csv with `df.attrs` in a file named …csv.json; returns the path.

    The file appears in one step: an interrupted write leaves the old one. Equal tables give equal bytes.
    """
    target = check_writable(path, SUFFIXES)
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    if target.suffix == ".parquet":
        df.to_parquet(scratch)
    else:
        df.to_csv(scratch, float_format="%.17g")
        beside = target.with_name(target.name + ".json")
        beside.write_text(json.dumps(df.attrs, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(scratch, target)
    return target


def read_table(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a score table that `write_table` wrote, with `attrs`; never imports torch.

    Raises InputError for a missing file, another kind of file, or a table without the column "arch".
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"no score table at {source}; make one with: automl-theory score ... --export {source}")
    if source.suffix not in SUFFIXES:
        raise InputError(f"{source} is no score table; give a file ending in {' or '.join(SUFFIXES)}")
    try:
        if source.suffix == ".parquet":
            require("pyarrow", "parquet")
            return pd.read_parquet(source)
        table = pd.read_csv(source, float_precision="round_trip")
        beside = source.with_name(source.name + ".json")
        attrs = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"cannot read {source} as a score table: {reason}; export it again") from None
    if "arch" not in table.columns:
        raise InputError(f"{source} has no column 'arch'; give a table that automl-theory exported")
    table = table.set_index("arch")
    table.attrs = attrs
    return table
