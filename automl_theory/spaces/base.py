"""What a search space is, and the space of any user's own modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from zlib import crc32

import numpy as np

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest
from automl_theory.graphs.dag import CellGraph

if TYPE_CHECKING:
    from torch import nn

Factory = Callable[..., "nn.Module"]


@runtime_checkable
class Space(Protocol):
    """A set of architectures, each a string, of which some compute the same function under other names.

    Enumeration, canonical forms and graphs need no torch; only `build` does. Every method that takes an architecture
    raises InputError for one that is not in the space. A space may also have

        size_metrics(arch, **settings)   sizes of the string in closed form (otherwise the built module is measured)
        build_thin(arch, ...)            the one-channel network in which TE-NAS counts linear regions
        choices, assemble(chosen)        the variables of an architecture, {variable: options}, and the architecture of
                                         an option for each; search loops vary them
        classes                          the number of canonical classes, where counting them by a list would be dear
        records                          names of columns that together are an architecture in other people's tables, a
                                         tuple for each such form: `canonical` takes a mapping with those names
        presets                          settings of `build` by name: "canonical" as trained, "reduced" to score quickly
        fingerprint(net)                 a text that differs for networks that differ, where the string alone does not
                                         say what is built; a store compares it, and refuses a changed network
    """

    @property
    def name(self) -> str:
        """A short name, such as "nas_bench_201"; part of the settings of a store."""

    @property
    def size(self) -> int:
        """The number of architecture strings, at least 1."""

    def __len__(self) -> int:
        """Return `size`."""

    def __iter__(self) -> Iterator[str]:
        """Yield every architecture string once, in a fixed order."""

    def __contains__(self, arch: object) -> bool:
        """Whether `arch` is an architecture string of this space; never raises."""

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct architectures (representatives of classes, or strings if not `canonical`).

        Uniform, decided by the seed alone; a larger n extends the list of a smaller one. Errors: InputError for an n
        that is not from 0 to their number, or a seed that is no integer of at least 0.
        """

    def parse(self, arch: str) -> Any:
        """Return the operations of an architecture, in the space's own form.

        Errors: InputError that says what is wrong with a bad string, and where.
        """

    def canonical(self, arch: str) -> str:
        """Return the representative of the architectures that compute the same functions as `arch`: itself one of them.

        canonical(canonical(a)) == canonical(a).
        """

    def representatives(self) -> list[str]:
        """Return one architecture of each canonical class, each its own `canonical`."""

    def build(self, arch: str, *args: Any, **settings: Any) -> nn.Module:
        """Return the network of an architecture, a new nn.Module on the CPU in train mode, in float32.

        `seed` (an integer of at least 0) and `init` decide its weights, keyed by name: end in
        `automl_theory.initialise(net, init, seed)`. Further settings are the space's own. Errors: InputError for a
        setting out of range.
        """

    def graph(self, arch: str) -> CellGraph | None:
        """Return the graph of an architecture, or None if the space knows none."""


def sample_from(items: Sequence[str], n: int, seed: int, what: str = "architectures") -> list[str]:
    """Return the first n of a seeded shuffle of `items`: distinct, and a larger n extends a smaller one's list.

    Errors: InputError for an n that is no integer of 0 to len(items), or a seed that is no integer of at least 0.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n <= len(items):
        raise InputError(f"can sample 0 to {len(items)} distinct {what}, got n={n!r}; give n in that range")
    whole("seed", seed, 0)
    return [items[k] for k in np.random.default_rng(seed).permutation(len(items))[:n]]


class ModuleSpace:
    """The space of a user's own networks: named functions without arguments that return an nn.Module.

    factories     a mapping from names to callables, or a sequence of callables (named "0", "1", ...). A module class
                  that needs no arguments is such a callable.
    name          the name of the space

    Each architecture is its own class, and no graph is known. Scoring re-initialises what a function returns: for a
    module in hand write `lambda: copy.deepcopy(net)`, and use `at.score` to keep its weights.

    Errors: InputError for no factories, a name that is no string, or a factory that cannot be called; in `build` for
    one that does not return an nn.Module.
    """

    def __init__(
        self,
        factories: Mapping[str, Factory] | Iterable[Factory],
        name: str = "modules",
    ) -> None:
        named = _named(factories)
        if not named:
            raise InputError("expected functions that return modules, got none; give at least one, as in {'a': make_a}")
        for key, factory in named.items():
            if not isinstance(key, str):
                raise InputError(f"names of networks must be strings, got {key!r}; write {str(key)!r}")
            instance = hasattr(factory, "named_parameters") and not isinstance(factory, type)
            if instance or not callable(factory):
                raise InputError(
                    f"{key!r} must be a function that returns an nn.Module, got {type(factory).__name__}; "
                    "for a module in hand pass `lambda: copy.deepcopy(module)`"
                )
        self.name = name
        self._factories: dict[str, Factory] = named

    @property
    def size(self) -> int:
        """The number of networks."""
        return len(self._factories)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[str]:
        return iter(self._factories)

    def __contains__(self, arch: object) -> bool:
        return isinstance(arch, str) and arch in self._factories

    def sample(self, n: int, seed: int, *, canonical: bool = True) -> list[str]:
        """Return n distinct names, the first n of a seeded shuffle; `canonical` makes no difference here."""
        return sample_from(list(self), n, seed)

    def parse(self, arch: str) -> str:
        """Return the name itself, or raise InputError with the nearest name."""
        if arch not in self:
            shown = ", ".join(list(self)[:5]) + (", …" if len(self) > 5 else "")
            raise InputError(f"no network is called {arch!r}; there are {shown}.{suggest(str(arch), self)}")
        return arch

    def canonical(self, arch: str) -> str:
        """Return the name itself."""
        return self.parse(arch)

    def representatives(self) -> list[str]:
        """Return all names."""
        return list(self)

    def graph(self, arch: str) -> None:
        """Return None: nothing is known about the graph of a module."""
        self.parse(arch)

    def build(self, arch: str, *, seed: int = 0, init: str | None = None, **settings: Any) -> nn.Module:
        """Call the factory with `settings` and return its module.

        With `init` the weights are then `initialise(net, init, seed)`, and whatever else the factory draws from torch's
        CPU generator (a random buffer) depends on the name alone. Without, the module is as the factory made it and
        `seed` is not used. Errors: InputError for an unknown name, a factory that returns anything else, or what
        `initialise` refuses.
        """
        import torch

        from automl_theory.networks.initialise import initialise

        factory = self._factories[self.parse(arch)]
        if init is None:
            return _module(arch, _made(arch, factory, settings))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(crc32(arch.encode("utf-8", "surrogatepass")))
            return initialise(_module(arch, _made(arch, factory, settings)), init, seed)

    def fingerprint(self, net: nn.Module) -> str:
        """Return what tells `net` from another network of the same name; see `networks.fingerprint`."""
        from automl_theory.networks.fingerprint import fingerprint

        return fingerprint(net)


def _made(arch: str, factory: Factory, settings: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(factory).bind(**settings)
    except ValueError:  # A builtin does not tell what it takes.
        pass
    except TypeError as error:
        raise InputError(f"{arch!r} does not take network={dict(settings)!r} ({error}); change it") from None
    return factory(**settings)


def _module(arch: str, made: Any) -> nn.Module:
    from torch import nn

    if not isinstance(made, nn.Module):
        raise InputError(
            f"the function of {arch!r} must return an nn.Module, it returned {type(made).__name__}; "
            "let it end in `return net`"
        )
    return made


def _named(factories: Any) -> dict[Any, Any]:
    if isinstance(factories, Mapping):
        return dict(factories)
    if isinstance(factories, str) or not isinstance(factories, Iterable):
        raise InputError(
            f"expected a mapping or a list of functions that return modules, got {factories!r}; give {{'a': make_a}}"
        )
    return {str(k): factory for k, factory in enumerate(factories)}
