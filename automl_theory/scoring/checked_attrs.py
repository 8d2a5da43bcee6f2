"""What a table file may say of itself: the shapes of `attrs`, checked once where a file is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from automl_theory.errors import InputError

TEXTS = ("release", "space", "file", "dataset", "layout", "unit", "name")
"""What the recipe of accuracies says in a word each."""


def checked_attrs(attrs: object, name: str) -> dict[Any, Any]:
    """Return the `attrs` of a table file as they are, if every part that is read has the shape it is written with.

    proxies    {proxy: {"family": text, "direction": "maximize" or "minimize", "unit": text, "formula": text}}
    accuracy   {"release", "space", "file", "dataset", "layout", "unit", "name": text, "epochs": whole number,
               "seeds": [whole number], "splits": {split: text}, "runs_per_architecture": {text: whole number}, …}
    settings   {name: anything}, with the space's name as text
    join       [{"without_partner", "unused": whole number, …}]
    seeds      [whole number, or null for a network with weights of its own]
    failures   [(architecture, seed, reason)]
    noise, left_out    [text]; key: text

    None of them has to be there, nor has to be known. Raises InputError naming the first that has another shape.
    """
    if not isinstance(attrs, Mapping):
        raise _broken("", name)
    for part, fits in _wrong(attrs):
        if not fits:
            raise _broken(f" ({part})", name)
    return dict(attrs)


def _broken(what: str, name: str) -> InputError:
    return InputError(f"the metadata of {name} is broken{what}; export it again")


def _wrong(attrs: Mapping[Any, Any]) -> Iterator[tuple[str, bool]]:
    """Each part of `attrs` and whether it fits; the caller stops at the first that does not."""
    for part, fits in _PARTS.items():
        if part in attrs:
            yield part, fits(attrs[part])
    accuracy = attrs.get("accuracy", {})
    for part, fits in _OF_ACCURACY.items():
        if part in accuracy:
            yield f"accuracy.{part}", fits(accuracy[part])
    if "space" in attrs.get("settings", {}):
        yield "settings.space", _is_text(attrs["settings"]["space"])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(fits, value))


def _mapping_to(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(map(fits, value.values()))


def _is_proxy(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("family"), str)
        and entry.get("direction") in ("maximize", "minimize")
        and all(isinstance(entry.get(field, ""), str) for field in ("unit", "formula"))
    )


def _is_failure(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 3
        and _is_text(entry[0])
        and _is_whole(entry[1])
        and _is_text(entry[2])
    )


def _is_record(entry: Any) -> bool:
    return isinstance(entry, Mapping) and all(_is_whole(entry.get(field)) for field in ("without_partner", "unused"))


_PARTS: dict[str, Callable[[Any], bool]] = {
    "proxies": _mapping_to(_is_proxy),
    "accuracy": _is_mapping,
    "settings": _is_mapping,
    "join": _list_of(_is_record),
    "seeds": _list_of(lambda seed: seed is None or _is_whole(seed)),
    "failures": _list_of(_is_failure),
    "noise": _list_of(_is_text),
    "left_out": _list_of(_is_text),
    "key": _is_text,
}
_OF_ACCURACY: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(TEXTS, _is_text),
    "epochs": _is_whole,
    "seeds": _list_of(_is_whole),
    "splits": _mapping_to(_is_text),
    "runs_per_architecture": _mapping_to(_is_whole),
}
