"""Training-free measures of expressivity, convergence, generalization, saliency and size, by name.

Another distribution's proxy is known by its entry point in the group "automl_theory.proxies", whose name is the
proxy's. It is used where it is named; groups hold only what is built in, so that they mean the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from automl_theory.errors import STATUSES, InputError, suggest
from automl_theory.plugins import PROXIES, Plugin, plugins, warn
from automl_theory.proxies import convergence, expressivity, generalization, leaders, saliency, sensitivity, size
from automl_theory.proxies.base import Proxy, Undefined, parameterised

REGISTRY: dict[str, Proxy] = {
    proxy.name: proxy
    for module in (size, expressivity, convergence, generalization, saliency, sensitivity, leaders)
    for proxy in module.PROXIES
}
ZERO_COST = (
    *("parameters", "macs", "l2_norm"),
    *("grad_norm", "snip", "grasp", "fisher", "plain", "synflow"),
    *("jacov", "epe_nas", "naswot", "zen"),
)
"""The thirteen proxies of NAS-Bench-Suite-Zero."""
COMPOSITE = ("naswot", "ntk_lambda_min_normalised", "ntk_regression_error", "log_synflow")
"""What `RankComposite.default()` reads beside measures of the graph."""
LISTED = {"zero_cost": ZERO_COST, "composite": COMPOSITE}
GROUPS = ("core", "full", *LISTED)


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
    if base not in REGISTRY and base not in proxy_plugins():
        near = suggest(base, [*REGISTRY, *proxy_plugins()])
        if "=" in base:
            near = " Parameters of one proxy are joined by +: linear_regions_thin:repeats=2+samples=100."
        raise InputError(f"unknown proxy {base!r}; see: automl-theory list proxies.{near}")
    proxy = REGISTRY[base] if base in REGISTRY else _of_plugin(proxy_plugins()[base])
    return parameterised(proxy, text) if colon else proxy


def proxy_plugins() -> dict[str, Plugin]:
    """Return the proxies of other distributions by name; see `plugins.plugins`."""
    return plugins(PROXIES, frozenset({*REGISTRY, *GROUPS}))


def _of_plugin(plugin: Plugin) -> Proxy:
    proxy = plugin.load()
    if not isinstance(proxy, Proxy) or proxy.name != plugin.name:
        got = f"the proxy {proxy.name!r}" if isinstance(proxy, Proxy) else f"a {type(proxy).__name__}, no Proxy"
        raise InputError(
            f"the plug-in {plugin.name!r} of {plugin.distribution} names {got}; "
            "its author can tell by automl_theory.testing.check_proxy"
        )
    return proxy


def get_proxies(names: str | Iterable[str] = "core") -> list[Proxy]:
    """Proxies of a group or of a list of names.

    Groups are "core" (one forward, one frozen backward and one Gram), "zero_cost" (the 13 of NAS-Bench-Suite-Zero),
    "composite" (what `RankComposite.default()` reads beside measures of the graph) and "full" (all). A comma-separated
    text is a list; parameters of one proxy are joined by "+" ("a:samples=100+repeats=2,b"). Doubles are dropped, order
    kept.

    Raises InputError for an unknown name or an empty list.
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
        found |= {proxy.name: proxy for proxy in _group(item)}
    if not found:
        raise InputError("no proxy was named; use 'core', 'full' or names from: automl-theory list proxies")
    return list(found.values())


def _group(item: str) -> list[Proxy]:
    if item in LISTED:
        return [REGISTRY[name] for name in LISTED[item]]
    return [p for p in REGISTRY.values() if p.core or item == "full"] if item in GROUPS else [get_proxy(item)]


def list_proxies(family: str | None = None) -> list[str]:
    """Names of all proxies, or of one family such as "convergence" or "size", in table order, plug-ins last.

    `get_proxy` tells what each one is. Raises InputError for an unknown family, with the nearest known one.
    """
    known = {**REGISTRY, **_loaded_plugins()}
    families = sorted({proxy.family for proxy in known.values()})
    if family is not None and family not in families:
        raise InputError(f"unknown family {family!r}; known: {', '.join(families)}.{suggest(family, families)}")
    return [proxy.name for proxy in known.values() if family in (None, proxy.family)]


@cache
def _loaded_plugins() -> dict[str, Proxy]:
    """The plug-ins that can be loaded; a warning for each of the others."""
    loaded = {}
    for name, plugin in proxy_plugins().items():
        try:
            loaded[name] = _of_plugin(plugin)
        except InputError as error:
            warn(error)
    return loaded


__all__ = [
    "GROUPS",
    "REGISTRY",
    "STATUSES",
    "Proxy",
    "Undefined",
    "get_proxies",
    "get_proxy",
    "list_proxies",
    "proxy_plugins",
]
