"""Tables that write architectures in another way than this package: their keys become those of a space's classes."""

from __future__ import annotations

import json
from typing import Any, Protocol

import pandas as pd

from automl_theory.errors import InputError


class HasClasses(Protocol):
    """What is asked of a space: its name, and the representative of an architecture in any form that it reads."""

    @property
    def name(self) -> str:
        """A short name."""

    def canonical(self, arch: Any) -> str:
        """Return the representative; InputError for what is no architecture."""


def check_space(space: object) -> None:
    """InputError for what is no space."""
    if not hasattr(space, "canonical") or not hasattr(space, "name"):
        example = space if isinstance(space, str) else "darts"
        raise InputError(f"expected a space, got {space!r}; make one: space=automl_theory.space({example!r})")


def with_architectures(frame: pd.DataFrame, space: HasClasses, name: str) -> pd.DataFrame:
    """Return the table with a column "arch", made of columns that together are an architecture of `space`.

    Which columns those may be, the space says in `records`: each is a tuple of names, and a mapping of them to the
    values of a row is something that `canonical` takes. Lists are there as text: [[0, 1], [0, 0]], ['input', 'output'].
    Without such columns the table is returned as it is. Errors: InputError with the number, from 0, of a row that is no
    architecture.
    """
    there = set(frame.columns)
    columns = next((record for record in getattr(space, "records", ()) if there.issuperset(record)), None)
    if columns is None:
        return frame
    rows = zip(*(frame[column] for column in columns), strict=True)
    told = [dict(zip(columns, map(_plain, row), strict=True)) for row in rows]
    frame = frame.drop(columns=list(columns))
    frame["arch"] = _canonical(told, space, name)
    return frame


def by_class(table: pd.DataFrame, space: HasClasses, name: str) -> pd.DataFrame:
    """Return the columns of numbers, one row a class of equal architectures of `space`, index "canonical".

    A class has the mean of its members in the table. Errors: InputError with the first row that is no architecture.
    """
    keys = pd.Index(_canonical(list(table.index), space, name), name="canonical", dtype=str)
    merged = table.select_dtypes("number").groupby(keys, sort=False).mean()
    recipe = {**table.attrs.get("accuracy", {}), "space": space.name}
    merged.attrs = {**table.attrs, "accuracy": recipe}
    return merged


def _canonical(told: list[Any], space: HasClasses, name: str) -> list[str]:
    found = []
    for row, arch in enumerate(told):
        try:
            found.append(space.canonical(arch))
        except InputError as error:
            raise InputError(f"row {row} of {name} is no architecture of {space.name}: {error}") from None
    return found


def _plain(value: Any) -> Any:
    """The text of a list, as JSON or Python writes it, as the list; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value.replace("'", '"'))
        except (ValueError, RecursionError):
            return value
    return value
