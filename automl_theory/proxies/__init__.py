"""Training-free measures of expressivity, convergence, generalization and size, and the registry that names them."""

from __future__ import annotations

from collections.abc import Iterable

from automl_theory.errors import STATUSES, InputError, suggest
from automl_theory.proxies import convergence, expressivity, generalization, size
from automl_theory.proxies.base import Proxy, Undefined, parameterised

REGISTRY: dict[str, Proxy] = {
    proxy.name: proxy for module in (size, expressivity, convergence, generalization) for proxy in module.PROXIES
}
GROUPS = ("core", "full")


def get_proxy(name: str) -> Proxy:
    """The proxy of a name such as "ntk_lambda_min", or with parameters "ntk_numerical_rank:tol=0.001".

    A `Proxy` is data: family, direction, unit, formula, and `documentation` with edge values and source. Several
    parameters are joined by "+": "linear_regions_thin:repeats=2+samples=100".

    Raises:
        InputError: for an unknown name (with the nearest known one), an unknown parameter, or a value that is not
            positive, finite and of the parameter's type.
    """
    if not isinstance(name, str):
        raise InputError(f"proxies are named by texts, got {name!r}; see: automl-theory list proxies")
    base, colon, text = name.partition(":")
    if base not in REGISTRY:
        raise InputError(f"unknown proxy {base!r}; see: automl-theory list proxies.{suggest(base, REGISTRY)}")
    return parameterised(REGISTRY[base], text) if colon else REGISTRY[base]


def get_proxies(names: str | Iterable[str] = "core") -> list[Proxy]:
    """Proxies of a group ("core": one forward, one frozen backward and one Gram; "full": all) or of a list of names.

    A comma-separated text is a list; parameters of one proxy are joined by "+" ("a:samples=100+repeats=2,b"). Doubles
    are dropped, order kept. Raises InputError for an unknown name or an empty list.
    """
    if not isinstance(names, Iterable):
        raise InputError(f"expected names of proxies, got {names!r}; use 'core', 'full' or a list of names")
    items = names.split(",") if isinstance(names, str) else list(names)
    found: dict[str, Proxy] = {}
    for item in (part.strip() if isinstance(part, str) else part for part in items):
        if not isinstance(item, str):
            raise InputError(f"proxies are named by texts, got {item!r}; see: automl-theory list proxies")
        if not item:
            continue
        group = [p for p in REGISTRY.values() if p.core or item == "full"] if item in GROUPS else [get_proxy(item)]
        found |= {proxy.name: proxy for proxy in group}
    if not found:
        raise InputError("no proxy was named; use 'core', 'full' or names from: automl-theory list proxies")
    return list(found.values())


def list_proxies(family: str | None = None) -> list[str]:
    """Names of all proxies, or of one family ("expressivity", "convergence", "generalization", "size"), in table order.

    `get_proxy` tells what each one is. Raises InputError for an unknown family, with the nearest known one.
    """
    families = sorted({proxy.family for proxy in REGISTRY.values()})
    if family is not None and family not in families:
        raise InputError(f"unknown family {family!r}; known: {', '.join(families)}.{suggest(family, families)}")
    return [proxy.name for proxy in REGISTRY.values() if family in (None, proxy.family)]


__all__ = ["GROUPS", "REGISTRY", "STATUSES", "Proxy", "Undefined", "get_proxies", "get_proxy", "list_proxies"]
