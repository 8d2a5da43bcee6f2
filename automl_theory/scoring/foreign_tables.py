"""Table files of somebody else, read without trust in their size or form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from automl_theory.errors import AutoMLTheoryError, InputError, reason

MAX_CELLS = 50_000_000
MAX_UNPACKED = 2**30
CELLS_A_BATCH = 2**20
MAX_FIXED = 64


@contextmanager
def one_line(before: str, remedy: str) -> Iterator[None]:
    """Turn whatever a broken file raises inside (pandas and pyarrow raise nearly anything) into one InputError."""
    try:
        yield
    except AutoMLTheoryError:
        raise
    except Exception as error:
        raise InputError(f"{before}: {reason(error, 160)}; {remedy}") from error


def read_parquet(path: Path) -> pd.DataFrame:
    """Return a Parquet table, which is measured before it is held in memory.

    A few kilobytes of Parquet can stand for any amount of memory: one text or number with a count of its repeats. So
    the file is decoded in small batches first, texts as numbers in a dictionary, and refused when the whole would take
    more than `MAX_UNPACKED` bytes, or has more than `MAX_CELLS` cells. Lists and structures in cells are refused too.

    Raises InputError for those, and what pandas and pyarrow raise for a file that is broken (see `one_line`).
    """
    _measure(path)
    return pd.read_parquet(path)


def _measure(path: Path) -> None:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        size = file.metadata
        if size.num_rows * max(1, size.num_columns) > MAX_CELLS:
            raise InputError(f"{path.name} declares {size.num_rows} rows, more than any benchmark has; save it again")
        declared = sum(size.row_group(k).total_byte_size for k in range(size.num_row_groups))
        leaves = [file.schema.column(k) for k in range(len(file.schema))]
        for leaf in leaves:
            if leaf.max_repetition_level > 0 or leaf.max_definition_level > 1 or (leaf.length or 0) > MAX_FIXED:
                raise InputError(f"column {leaf.path!r} of {path.name} holds no numbers or texts; save it without")
        texts = [leaf.name for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    if declared > MAX_UNPACKED:
        raise _too_large(path)
    rows, taken = max(1, CELLS_A_BATCH // max(1, len(leaves))), 0
    with ParquetFile(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=rows):
            taken += sum(_bytes(column) for column in batch.columns)
            if taken > MAX_UNPACKED:
                raise _too_large(path)


def _too_large(path: Path) -> InputError:
    return InputError(f"{path.name} unpacks to more than {MAX_UNPACKED} bytes, which no table does; save it again")


def _bytes(column: Any) -> int:
    """What a column takes when each of its rows has a text of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    if pa.types.is_primitive(column.type.value_type):
        return len(column) * 8
    lengths = pc.binary_length(column.dictionary)
    return 4 * len(column) + (pc.sum(pc.take(pc.cast(lengths, pa.int64()), column.indices)).as_py() or 0)
