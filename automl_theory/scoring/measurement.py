"""What a score depends on besides the architecture and the seed of its weights."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest
from automl_theory.networks.initialise import METHODS
from automl_theory.probing.batch_norm import BN_MODES
from automl_theory.scoring.single import KERNEL_OUTPUTS
from automl_theory.spaces import Space

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Measurement:
    """Everything besides architecture and seed that a score depends on; recorded in every store and table.

    n images of the data per score; `data_seed` draws the batch; network: settings of `space.build` (channels,
    cells_per_stage, …); resolution: side of the images; bn, output, biases: see `empirical_ntk`; init: of the weights.
    """

    n: int = 64
    data_seed: int = 0
    resolution: int = 32
    in_channels: int = 3
    network: dict[str, Any] = field(default_factory=dict)
    bn: str = "frozen"
    output: str = "sum"
    biases: bool = False
    init: str = "pytorch"
    dtype: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        choices: dict[str, Sequence[str]] = {"bn": BN_MODES, "output": KERNEL_OUTPUTS, "init": METHODS, "dtype": DTYPES}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"{name}={value!r} is not one of {', '.join(allowed)}.{suggest(str(value), allowed)}")
        for name, called, least in (
            ("n", "n, the samples that proxies compare,", 2), ("data_seed", "data_seed", 0),
            ("resolution", "resolution", 1), ("in_channels", "in_channels", 1),
        ):  # fmt: skip
            object.__setattr__(self, name, whole(called, getattr(self, name), least))
        object.__setattr__(self, "device", str(self.device))
        if not isinstance(self.biases, bool):
            raise InputError(f"biases={self.biases!r}: give True or False")
        if not isinstance(self.network, Mapping):
            raise InputError(f"network={self.network!r}: give the network's settings by name, as in {{'channels': 16}}")
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in self.network.items()}
        object.__setattr__(self, "network", plain)

    def settings(self, space: Space, data: dict[str, Any]) -> dict[str, Any]:
        """What a store records of the measurement: equal settings give comparable scores."""
        mine = {key: value for key, value in asdict(self).items() if key != "device"}
        return {"space": space.name, **mine, **data}


def check_names(settings: Mapping[str, Any], space: Space, *askers: Callable[..., Any]) -> None:
    """InputError for a setting that is no field of `Measurement`.

    What was meant may be a setting of the space's networks, or an argument of the askers.
    """
    known = [field.name for field in fields(Measurement)]
    others = [name for asker in askers for name in inspect.signature(asker).parameters if name != "self"]
    networks = inspect.signature(space.build).parameters
    for name, value in settings.items():
        if name not in known:
            if name in networks:
                raise InputError(f"{name!r} is a setting of the network; give network={{{name!r}: {value!r}}}")
            near = suggest(name, [*known, *others])
            raise InputError(f"there is no setting {name!r}; there are {', '.join(known)}.{near}")


def default_store(space: Space, measurement: Measurement, data: str, together: int = 1) -> Path:
    """runs/<space>-<digest>.db, the digest of everything that is measured: the same command finds the same file."""
    told = {"data": data} | ({"together": together} if together > 1 else {})
    text = json.dumps(measurement.settings(space, told), sort_keys=True)
    return Path("runs") / f"{space.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.db"


def own_init(space: Space) -> str:
    """The initialisation that the space's networks have by default; "pytorch" where they name none."""
    named = inspect.signature(space.build).parameters.get("init")
    return named.default if named is not None and named.default in METHODS else "pytorch"
