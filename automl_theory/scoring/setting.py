"""Everything a scoring run decides before it scores: space, proxies, batch, how it is measured, seeds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from automl_theory.data import Batch, load_batch
from automl_theory.errors import AutoMLTheoryError, InputError, suggest
from automl_theory.proxies import Proxy, get_proxies
from automl_theory.proxies.size import CLOSED
from automl_theory.scoring.machine import check_device
from automl_theory.scoring.measurement import Measurement, check_names, own_init
from automl_theory.scoring.plan import choose_seeds
from automl_theory.scoring.single import check_batch
from automl_theory.sources import Spec
from automl_theory.spaces import Space, space


@dataclass(frozen=True)
class Sizes:
    """Size measures of an architecture string in closed form, as `where.size_metrics` has them for these networks."""

    where: Any
    measurement: Measurement

    def __call__(self, arch: str) -> dict[str, float]:
        """Return name -> value."""
        m = self.measurement
        found: dict[str, float] = self.where.size_metrics(arch, **{**m.network, "resolution": m.resolution})
        return found


@dataclass(frozen=True, eq=False)
class Setting:
    """What `prepare` decided; can be pickled where the space can.

    proxies   all that were asked for; `asked` those that a network is built for: not sizes that the space knows
    sizes     None where the space knows none in closed form
    """

    space: Space
    proxies: list[Proxy]
    batch: Batch
    measurement: Measurement
    seeds: list[int]
    sizes: Sizes | None

    @property
    def asked(self) -> list[Proxy]:
        """The proxies that are measured on networks."""
        return [proxy for proxy in self.proxies if self.sizes is None or proxy.name not in CLOSED]

    @property
    def recorded(self) -> dict[str, Any]:
        """What a store remembers of it."""
        data = {"data": self.batch.name, "source": self.batch.source, "digest": self.batch.digest}
        return self.measurement.settings(self.space, data)

    @property
    def initargs(self) -> tuple[Any, ...]:
        """Arguments of `task.prepare`."""
        return self.space, self.measurement, self.batch.x.numpy(), self.batch.y.numpy(), self.batch.classes

    def try_settings(self, arch: str) -> None:
        """Let the space refuse the settings of its networks now, rather than in every architecture.

        What else goes wrong in a user's function is left to the run, where it costs one architecture.
        """
        if self.sizes is not None:
            self.sizes(arch)
        elif network := self.measurement.network:
            given = {"seed": 0, "init": self.measurement.init, **network}
            try:
                inspect.signature(self.space.build).bind(arch, **given)
            except TypeError as error:
                who = f"build of space {self.space.name!r}"
                raise InputError(f"{who} cannot be called with {given!r} ({error}); change its arguments") from None
            try:
                self.space.build(arch, **given)
            except AutoMLTheoryError:
                raise
            except (Exception, SystemExit):
                return


def prepare(
    space_or_name: str | Space,
    proxies: str | Iterable[str],
    data: Spec,
    seeds: int | Iterable[int],
    measurement: Measurement | None,
    settings: dict[str, Any],
    asker: Callable[..., Any],
) -> Setting:
    """Check and load what `engine.score_space` is asked for; its docstring tells arguments and errors.

    `asker` is who was called with the settings: what was misspelt may be one of its own arguments.
    """
    if measurement is not None and settings:
        raise InputError(f"a measurement and {', '.join(settings)} were given; put everything in the measurement")
    if measurement is not None and not isinstance(measurement, Measurement):
        raise InputError(
            f"measurement must be a Measurement, got {type(measurement).__name__}; give its fields by name"
        )
    where = space_or_name if isinstance(space_or_name, Space) else space(space_or_name)
    check_names(settings, where, asker)
    measured = measurement or Measurement(**{"init": own_init(where), **settings})
    chosen = get_proxies(proxies)
    weights = choose_seeds(seeds)
    check_device(measured.device)
    batch = load_batch(data, measured.n, measured.data_seed, size=measured.resolution, channels=measured.in_channels)
    check_batch(batch.x, batch.y)
    measured = replace(measured, network=_network(where, measured, batch.classes))
    sizes = Sizes(where, measured) if getattr(where, "size_metrics", None) else None
    return Setting(where, chosen, batch, measured, weights, sizes)


def _network(where: Space, measured: Measurement, classes: int) -> dict[str, Any]:
    """Settings of `build`: what was asked for, and what the data decide of those that the space asks for."""
    from_data = {"in_channels": measured.in_channels, "num_classes": classes, "resolution": measured.resolution}
    takes = inspect.signature(where.build).parameters
    settings = {**{name: value for name, value in from_data.items() if name in takes}, **measured.network}
    flexible = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    run_gives = ("arch", "seed", "init")
    for name in settings:
        if name in run_gives:
            raise InputError(f"network setting {name!r} comes from the run; give it there, not in network")
        if name not in takes and not flexible:
            known = [name for name in takes if name not in run_gives]
            raise InputError(
                f"space {where.name!r} has no network setting {name!r}; it has: {', '.join(known) or 'none'}."
                f"{suggest(name, known)}"
            )
    if settings.get("in_channels", measured.in_channels) != measured.in_channels:
        raise InputError(
            f"the network reads {settings['in_channels']} channels and the images have {measured.in_channels}; "
            f"give in_channels={settings['in_channels']} beside network, for both"
        )
    return settings
