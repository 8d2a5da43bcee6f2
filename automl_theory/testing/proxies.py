"""check_proxy: does a proxy keep the promises of `proxies.base.Proxy`?"""

from __future__ import annotations

import inspect
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory.errors import STATUSES, VALUED, AutoMLTheoryError, InputError, one_line
from automl_theory.graphs.dag import CellGraph
from automl_theory.networks.initialise import initialise
from automl_theory.probing.signals import Array, Signals
from automl_theory.proxies import REGISTRY, get_proxy
from automl_theory.proxies.base import Direction, Family, Proxy, Undefined, Value, parameterised
from automl_theory.spaces import space
from automl_theory.testing.promise import BrokenPromise, gaussian, random_states, refuses, require, same_state, state_of

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
SKIPS = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TOLERANCE = 1e-5


def check_proxy(proxy: Proxy | str, seed: int = 0) -> list[str]:
    """Check that a proxy keeps every promise that scoring and rankings rely on.

    proxy    a `Proxy`, registered or not, or the name of a registered one
    seed     of the weights and inputs of the small networks on which it is tried

    Returns the promises that were checked, in words. Raises `BrokenPromise` for the first that is broken, which says
    how to mend it. Checked are its description (name, aspect, direction, unit, a docstring with formula, edge values
    and source), its parameters, that it can be sent to workers, that a value depends on the network and the batch alone
    (not on what was asked before or beside it), that network, batch, signals and random states stay as they were, and
    that networks without connection, without parameters, with zero, huge or undefined weights, equal samples or a
    single class get a value or a status, never an exception and never a value that would rank first for no reason.
    """
    if isinstance(proxy, str):
        proxy = get_proxy(proxy)
    wrapped = "Proxy(name, family, direction, unit, compute)"
    if callable(proxy) and not isinstance(proxy, Proxy):
        raise InputError(f"{repr(proxy)[:60]} is no Proxy; wrap the function: check_proxy({wrapped})")
    require(isinstance(proxy, Proxy), repr(proxy)[:60], "it is no Proxy", f"make one: automl_theory.proxies.{wrapped}")
    kept = []
    for promise, check in (
        ("its description is complete", _check_description),
        ("its parameters can be named", _check_parameters),
        ("it can be sent to workers", _check_pickle),
        ("its value is a function of network and batch", _check_value),
        ("it leaves everything as it was", _check_untouched),
        ("degenerate networks have a value or a status", _check_degenerate),
    ):
        check(proxy, seed)
        kept.append(promise)
    return kept


def _who(proxy: Proxy) -> str:
    return f"proxy {proxy.name!r}"


def _check_description(proxy: Proxy, seed: int) -> None:
    who = _who(proxy)
    base = str(proxy.name).partition(":")[0]
    require(
        re.fullmatch(r"[A-Za-z]\w*", base, re.ASCII),
        who,
        "a name is letters, digits and _",
        "it is a column of tables and is typed in a shell",
    )
    require(proxy.family in get_args(Family), who, f"unknown family {proxy.family!r}", f"use one of {get_args(Family)}")
    require(
        proxy.direction in get_args(Direction),
        who,
        f"unknown direction {proxy.direction!r}",
        "say 'maximize' or 'minimize'",
    )
    require(proxy.unit and isinstance(proxy.unit, str), who, "it has no unit", "say one in words; '1' for pure numbers")
    require(
        isinstance(proxy.needs, frozenset | set) and all(isinstance(need, str) for need in proxy.needs),
        who,
        f"needs must be a set of names, got {proxy.needs!r}",
        "write needs=frozenset({'kernel'})",
    )
    require(type(proxy.revision) is int and proxy.revision >= 1, who, "revision must be 1 or more", "count from 1")
    require(proxy.formula, who, "compute has no docstring", "begin it with the formula")
    words = proxy.documentation.lower()
    for wanted, remedy in (
        (proxy.direction, f"say {proxy.direction!r}, as its direction does"),
        ("edge values", "write 'Edge values: ...', what degenerate networks get"),
        ("source", "write 'Source: ...', the paper"),
    ):
        require(wanted in " ".join(words.split()), who, f"its docstring does not say {wanted!r}", remedy)


def _check_parameters(proxy: Proxy, seed: int) -> None:
    who = _who(proxy)
    first, *others = inspect.signature(proxy.compute).parameters.values()
    require(first.default is first.empty, who, "compute takes the signals first", "write compute(signals, tol=0.01)")
    for parameter in others:
        require(
            isinstance(parameter.default, int | float | str) and not isinstance(parameter.default, bool),
            who,
            f"its parameter {parameter.name!r} has the default {parameter.default!r}",
            "give a number or text, so that it can be named as in my_proxy:tol=0.1",
        )
    unknown = sorted(set(proxy.parameters) - {parameter.name for parameter in others})
    require(not unknown, who, f"it sets {unknown}, which compute does not take", "set what compute takes")
    plain = Proxy(**{**vars(proxy), "name": proxy.name.partition(":")[0], "parameters": {}})
    refuses(who, "an unknown parameter", lambda: parameterised(plain, "no_such_parameter=1"))
    numbers = [p for p in others if not isinstance(p.default, str)]
    if numbers:
        given = "+".join(f"{p.name}={p.default}" for p in numbers)
        named, default = (
            _evaluated(p, _ordinary(seed), "an ordinary network")[0] for p in (parameterised(plain, given), plain)
        )
        require(_close(named, default), who, f"{given} gives {named}, the defaults {default}", "use each parameter")


def _check_pickle(proxy: Proxy, seed: int) -> None:
    try:
        again = pickle.loads(pickle.dumps(proxy))
    except Exception as error:
        raise BrokenPromise(
            f"{_who(proxy)}: it cannot be sent to a worker ({one_line(error)}); let compute be a function of a module, "
            "no lambda and no closure"
        ) from error
    require(again == proxy, _who(proxy), "a pickled copy differs", "hold data only")


def _check_value(proxy: Proxy, seed: int) -> None:
    who = _who(proxy)
    where = "an ordinary network"
    value, status = _evaluated(proxy, _ordinary(seed), where)
    again, _ = _evaluated(proxy, _ordinary(seed), where)
    require(
        _same(value, again),
        who,
        f"one network and batch give {value} and {again}",
        "draw from a generator seeded by signals.seed",
    )
    signals = _ordinary(seed).signals({need for other in REGISTRY.values() for need in other.needs} | set(proxy.needs))
    for other in REGISTRY.values():
        if other.core and other.name != proxy.name:
            _quiet(other, signals)
    beside, _ = _evaluated_on(proxy, signals, where)
    require(
        _close(value, beside),
        who,
        f"it gives {value} alone and {beside} where more is collected and other proxies came before",
        "name in `needs` what it reads, and compute it from signals that nobody changes",
    )
    require(
        status in VALUED or not math.isnan(value),
        who,
        f"an ordinary network, connected and finite, gets no number ({status})",
        "a NaN goes with a status that says why, or raise proxies.Undefined with the reason",
    )


def _check_untouched(proxy: Proxy, seed: int) -> None:
    who = _who(proxy)
    case = _ordinary(seed)
    signals = case.signals(proxy.needs)
    if "kernel" in proxy.needs:
        _ = signals.kernel  # a kernel of its own pass is kept too
    arrays = _arrays(signals)
    known = {name: array.copy() for name, array in arrays.items()}
    state, x = state_of(case.net), signals.x.clone()
    flags = _flags(case.net)
    torch.rand(3)  # a proxy that reseeds must not find the state that it leaves
    before = random_states()
    _evaluated_on(proxy, signals, "an ordinary network")
    for kept, what, remedy in (
        (same_state(state, state_of(case.net)), "weights or buffers", "work on copies, as signals.frozen does"),
        (flags == _flags(case.net), "mode, gradients, requires_grad or hooks", "use probing.untouched.untouched"),
        (torch.equal(x, signals.x) and torch.equal(x, case.x), "the batch", "do not write into signals.x"),
        (random_states() == before, "the random state", "draw from numpy.random.default_rng(signals.seed)"),
        *(
            (np.array_equal(known[name], array), f"the {name}", "copy before writing in place")
            for name, array in arrays.items()
        ),
    ):
        require(kept, who, f"it changes {what}", remedy)


def _arrays(signals: Signals) -> dict[str, Array]:
    """What one pass put into the signals for every proxy (logits, labels, kernel, features), on the same memory."""
    return {
        {"y": "labels"}.get(name, name.lstrip("_")): np.asarray(value)
        for name, value in vars(signals).items()
        if isinstance(value, Tensor | np.ndarray) and name != "x"
    }


def _check_degenerate(proxy: Proxy, seed: int) -> None:
    who = _who(proxy)
    for where, case in _degenerate(seed).items():
        value, status = _evaluated(proxy, case, where)
        worst = math.inf if proxy.direction == "minimize" else -math.inf
        require(
            not math.isinf(value) or value == worst,
            who,
            f"{where} gets {value}, which would rank first",
            f"return {worst}, or NaN with a status",
        )
        require(
            (status in VALUED) != math.isnan(value),
            who,
            f"{where} gets {value} with status {status!r}",
            f"a value goes with {', '.join(VALUED)}; NaN with another status",
        )


@dataclass(frozen=True)
class _Case:
    net: nn.Module
    x: Tensor
    y: Tensor | None
    graph: CellGraph | None = None
    thin: Callable[[int], nn.Module] | None = None

    def signals(self, needs: Any) -> Signals:
        return Signals(self.net, self.x, self.y, needs=set(needs), graph=self.graph, thin=self.thin, seed=3)


def _cell(arch: str, seed: int, side: int = 4, **changes: Any) -> _Case:
    cells: Any = space("nas_bench_201")
    given = {
        "net": cells.build(arch, channels=4, cells_per_stage=1, num_classes=3, seed=seed),
        "x": gaussian((8, 3, side, side), seed),
        "y": torch.arange(8) % 3,
        "graph": cells.graph(arch),
        "thin": lambda k: cells.build_thin(arch, 1, 1, seed=k),
    }
    return _Case(**{**given, **changes})


def _ordinary(seed: int) -> _Case:
    return _cell(CELL, seed, 8)


def _filled(case: _Case, value: float) -> _Case:
    with torch.no_grad():
        for parameter in case.net.parameters():
            parameter.fill_(value)
    return case


def _degenerate(seed: int) -> dict[str, _Case]:
    ordinary = _cell(CELL, seed)
    with torch.random.fork_rng(devices=[]):
        flat = initialise(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), seed=seed)
    return {
        "a disconnected cell": _cell(NOTHING, seed),
        "a cell without convolutions": _cell(SKIPS, seed),
        "a network without parameters": _Case(nn.Flatten(), ordinary.x, ordinary.y),
        "a linear network": _Case(flat, ordinary.x, ordinary.y),
        "a network of zeros": _filled(_cell(CELL, seed), 0.0),
        "a network of huge weights": _filled(_cell(CELL, seed), 1e30),
        "a network of undefined weights": _filled(_cell(CELL, seed), math.nan),
        "a batch with equal samples": _cell(CELL, seed, x=ordinary.x[[0, 1, 2, 3, 0, 1, 2, 3]]),
        "a batch of one class": _cell(CELL, seed, y=torch.zeros(8, dtype=torch.long)),
        "a batch of two": _cell(CELL, seed, x=ordinary.x[:2], y=torch.arange(2)),
        "a network without labels and graph": _Case(ordinary.net, ordinary.x, None),
    }


def _evaluated(proxy: Proxy, case: _Case, where: str) -> Value:
    return _evaluated_on(proxy, case.signals(proxy.needs), where)


def _evaluated_on(proxy: Proxy, signals: Signals, where: str) -> Value:
    """(value, status), "failed" where the proxy says that it is undefined."""
    try:
        answer = proxy(signals)
    except (Undefined, AutoMLTheoryError) as error:
        require(str(error), _who(proxy), f"on {where} it is undefined and does not say why", "give a reason")
        return math.nan, "failed"
    except Exception as error:
        raise BrokenPromise(
            f"{_who(proxy)}: on {where} it raises {one_line(error)}; return (float, status), NaN where there is no "
            "value, raise proxies.Undefined with the reason, or name in `needs` what must be there"
        ) from error
    require(
        isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], float) and answer[1] in STATUSES,
        _who(proxy),
        f"on {where} it returns {answer!r}",
        f"return (float, status), the status one of {', '.join(STATUSES)}",
    )
    return answer


def _quiet(proxy: Proxy, signals: Signals) -> None:
    try:
        proxy(signals)
    except (Undefined, AutoMLTheoryError):
        return


def _flags(net: nn.Module) -> list[Any]:
    modules = [
        (m.training, *(len(getattr(m, hooks)) for hooks in vars(m) if hooks.endswith("_hooks"))) for m in net.modules()
    ]
    return [*modules, *((p.requires_grad, p.grad is None) for p in net.parameters())]


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _close(a: float, b: float) -> bool:
    return _same(a, b) or abs(a - b) <= TOLERANCE * max(abs(a), abs(b))
