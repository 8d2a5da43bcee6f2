"""The networks that a command measures: a preset of the space, and the settings named beside it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from automl_theory.errors import InputError, suggest

if TYPE_CHECKING:
    from automl_theory.spaces import Space

Settings = dict[str, int | float | str]


def network(
    where: Space,
    preset: str | None,
    named: Mapping[str, int | None],
    others: Iterable[str] | None,
    start: str = "canonical",
) -> Settings:
    """Settings of `where.build`: those of its preset, over them those of options of their own and of NAME=VALUE texts.

    Without a `preset` it is `start`, and nothing in a space without presets. Errors: InputError for a preset or a
    setting that the space does not have, and a text that is no NAME=VALUE.
    """
    presets: dict[str, dict[str, int]] = getattr(where, "presets", {})
    if preset is not None and not presets:
        raise InputError(f"space {where.name} has no presets; leave out --preset")
    if preset is not None and preset not in presets:
        raise InputError(f"unknown preset {preset!r}; use {' or '.join(presets)}.{suggest(preset, presets)}")
    own = {name: value for name, value in named.items() if value is not None}
    settings: Settings = {**presets.get(preset or start, {}), **own, **dict(map(_setting, others or ()))}
    takes = inspect.signature(where.build).parameters
    known = [name for name in takes if name not in ("arch", "seed", "init", "in_channels", "num_classes")]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        for name in settings:
            if name not in known:
                near = suggest(name, known)
                meant = next((one for one in known if repr(one) in near), known[-1] if known else "")
                has = f"it has {', '.join(known)}: --network {meant}=VALUE" if known else "it has none"
                raise InputError(f"networks of {where.name} have no setting {name!r}; {has}.{near}")
    return settings


def _setting(text: str) -> tuple[str, int | float | str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise InputError(f"--network {text!r}: give a setting and its value, as in channels=16")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value
