"""check_space: does a search space keep the promises of `spaces.base.Space`?"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

from automl_theory.errors import InputError, one_line
from automl_theory.graphs.dag import CellGraph
from automl_theory.spaces.base import Space
from automl_theory.testing.networks import check_networks
from automl_theory.testing.promise import BrokenPromise, expecting, refuses, require

METHODS = ("sample", "parse", "canonical", "representatives", "build", "graph")
COUNTED = 50_000
"""Spaces up to this size are iterated to their end, larger ones as far as this."""
BAD = ("", "no such architecture", "|", "\N{SNOWMAN}")

Carry = Callable[[str, dict[str, Tensor]], Mapping[str, Tensor]]


def check_space(
    space: Space,
    n: int = 8,
    seed: int = 0,
    *,
    network: Mapping[str, Any] | None = None,
    x: Tensor | None = None,
    carry: Carry | None = None,
) -> list[str]:
    """Check that a space keeps every promise that scoring, tables and searches rely on.

    space     the space itself
    n, seed   n sampled architectures (of at least 2; fewer where the space has fewer) are built and looked at
    network   settings of `build`, best the smallest that make sense; they go to `size_metrics` as well
    x         inputs of the networks, (samples, ...); the default is 4 normal images of 3 x 16 x 16
    carry     carry(arch, state) -> the state_dict with which canonical(arch) computes what arch computes with `state`.
              With it, members of a class are compared as functions; without, only sizes of outputs are

    Returns the promises that were checked, in words. Raises `BrokenPromise` for the first that is broken, which says
    how to mend it. Checked are names and sizes, iteration, sampling, parsing and its errors, canonical forms, networks
    (float32, train mode, CPU; weights decided by name and seed alone; random states left alone), graphs against what
    the networks do, `size_metrics` against the networks, and `choices` with `assemble`, `classes`, `fingerprint` and
    `build_thin` where there are any.
    """
    if isinstance(space, type):
        raise InputError(f"{space.__name__} is a class; give an instance: check_space({space.__name__}())")
    if callable(space) and not hasattr(space, "build"):
        name = getattr(space, "__name__", "make")
        raise InputError(f"{name} is a function; give the space that it returns: check_space({name}())")
    if n < 2:
        raise InputError(f"n={n!r} architectures cannot be compared; give at least 2")
    settings = dict(network or {})
    kept = []
    for promise, check in (
        ("it has the attributes of a Space", partial(_check_shape, settings=settings)),
        ("iteration meets every architecture once", _check_iteration),
        ("samples are distinct, seeded, and extend each other", _check_samples),
        ("bad strings are refused in words", partial(_check_errors, settings=settings)),
        ("canonical forms are members of the space and their own", _check_canonical),
        ("choices make architectures", _check_choices),
    ):
        if check is _check_choices and getattr(space, "choices", None) is None:
            continue
        with expecting(_name(space), promise):
            check(space, n, seed)
        kept.append(promise)
    chosen = space.sample(min(n, space.size), seed, canonical=False)
    return kept + check_networks(space, chosen, seed, settings, x, carry)


def _name(space: Any) -> str:
    return f"space {getattr(space, 'name', type(space).__name__)!r}"


def _check_shape(space: Any, n: int, seed: int, *, settings: dict[str, Any]) -> None:
    who = _name(space)
    require(
        isinstance(getattr(space, "name", None), str) and space.name,
        who,
        "name must be a text, it keys the store",
        "set name = 'my_space' on the class",
    )
    for method in METHODS:
        require(
            callable(getattr(space, method, None)),
            who,
            f"the method {method} is missing",
            "see automl_theory.spaces.base.Space for what it owes",
        )
    for method in ("__len__", "__iter__", "__contains__"):
        require(hasattr(space, method), who, f"{method} is missing", "define it; see spaces.base.Space")
    given = {"seed": seed, "init": "pytorch", **settings}
    try:
        inspect.signature(space.build).bind("arch", **given)
    except TypeError as error:
        raise BrokenPromise(
            f"{who}: build cannot be called with {given!r} ({error}); let it take seed, init and what is in network, "
            "and give further settings defaults, or values in check_space(..., network=...)"
        ) from None
    size = getattr(space, "size", None)
    require(
        isinstance(size, int) and not isinstance(size, bool) and size >= 1,
        who,
        f"size must be an integer of at least 1, got {size!r}",
        "count the architecture strings",
    )
    if space.size <= sys.maxsize:
        require(len(space) == space.size, who, f"len is {len(space)} and size {space.size}", "return size from __len__")


def _check_iteration(space: Space, n: int, seed: int) -> None:
    who = _name(space)
    met = list(islice(iter(space), COUNTED + 1))
    require(all(isinstance(arch, str) for arch in met), who, "iteration yields what is no text", "yield strings")
    require(len(set(met)) == len(met), who, "iteration yields an architecture twice", "yield each string once")
    if space.size <= COUNTED:
        require(
            len(met) == space.size,
            who,
            f"iteration yields {len(met)} architectures and size is {space.size}",
            "make both count the same strings",
        )
    else:
        require(len(met) > COUNTED, who, f"iteration ends after {len(met)} of {space.size}", "yield all, or count less")
    again = list(islice(iter(space), n))
    require(met[: len(again)] == again, who, "a second iteration has another order", "iterate over something ordered")
    lost = next((arch for arch in met[:1000] if arch not in space), None)
    require(lost is None, who, f"{lost!r} is yielded and not in the space", "let __contains__ know it")


def _check_samples(space: Space, n: int, seed: int) -> None:
    who = _name(space)
    for canonical in (True, False):
        how = f"sample(..., canonical={canonical})"
        most = min(n, _classes(space) if canonical else space.size)
        first = space.sample(most, seed, canonical=canonical)
        require(
            isinstance(first, list) and len(first) == most, who, f"{how} of {most} returns {len(first)}", "return n"
        )
        require(len(set(first)) == most, who, f"{how} repeats an architecture", "draw without replacement")
        lost = next((arch for arch in first if arch not in space), None)
        require(lost is None, who, f"{how} gives {lost!r}, which is not in the space", "sample from the space")
        require(
            space.sample(most, seed, canonical=canonical) == first,
            who,
            f"{how} with one seed gives two answers",
            "draw from numpy.random.default_rng(seed) and from nothing else",
        )
        fewer = space.sample(most // 2, seed, canonical=canonical)
        require(
            fewer == first[: most // 2],
            who,
            f"{how}: a larger n must extend the list of a smaller one",
            "take the first n of one seeded shuffle, as spaces.base.sample_from does",
        )
        if space.size > 100 * n:
            others = [space.sample(most, seed + k, canonical=canonical) for k in (1, 2)]
            require(any(o != first for o in others), who, f"{how} ignores its seed", "use default_rng(seed)")
        if canonical:
            foreign = next((arch for arch in first if space.canonical(arch) != arch), None)
            if foreign is not None:
                _check_idempotent(space, foreign)
            require(foreign is None, who, f"{how} gives {foreign!r}, no representative", "sample representatives")
        refuses(who, f"{how} of -1", partial(space.sample, -1, seed, canonical=canonical))
    refuses(who, "sample of more than there are", lambda: space.sample(space.size + 1, seed, canonical=False))
    refuses(who, "sample with seed=-1", lambda: space.sample(1, -1))


def _classes(space: Space) -> int:
    known = getattr(space, "classes", None)
    if known is not None:
        return int(known)
    return len(space.representatives())


def _check_errors(space: Space, n: int, seed: int, *, settings: dict[str, Any]) -> None:
    who = _name(space)
    for thing in (None, 3, ["a"]):
        require(not _contains(space, thing), who, f"{thing!r} is in the space", "only strings are")
    for bad in [bad for bad in (*BAD, next(iter(space)) + "?") if not _contains(space, bad)]:
        for method in ("parse", "canonical", "graph"):
            refuses(who, f"{method}({bad!r})", partial(getattr(space, method), bad))
        refuses(who, f"build({bad!r})", partial(space.build, bad, **settings))
    for arch in space.sample(min(n, space.size), seed, canonical=False):
        space.parse(arch)


def _contains(space: Space, thing: object) -> bool:
    try:
        return thing in space
    except Exception as error:
        raise BrokenPromise(
            f"{_name(space)}: `{thing!r} in space` raises {one_line(error)}; return False for what is no architecture"
        ) from error


def _check_idempotent(space: Space, arch: str) -> None:
    once = space.canonical(arch)
    twice = space.canonical(once)
    require(
        twice == once,
        _name(space),
        f"canonical({arch!r}) is {once!r}, which is not its own representative: canonical({once!r}) is {twice!r}",
        "name one member of each class for all of them, so that canonical(canonical(a)) == canonical(a)",
    )


def _check_canonical(space: Space, n: int, seed: int) -> None:
    who = _name(space)
    chosen = space.sample(min(10 * n, space.size), seed, canonical=False)
    chosen += list(islice(iter(space), n))
    for arch in chosen:
        representative = space.canonical(arch)
        require(
            isinstance(representative, str) and representative in space,
            who,
            f"canonical({arch!r}) is {representative!r}, which is not in the space",
            "return a member of the class",
        )
        _check_idempotent(space, arch)
        a, b = space.graph(arch), space.graph(representative)
        for graph in (a, b):
            require(
                graph is None or isinstance(graph, CellGraph),
                who,
                f"graph({arch!r}) is a {type(graph).__name__}",
                "return a graphs.dag.CellGraph or None",
            )
        if a is not None and b is not None:
            require(
                a.connected == b.connected,
                who,
                f"{arch!r} and its representative disagree whether input and output are connected",
                "equal functions are both constant or both not",
            )
    try:
        listed = space.representatives()
    except InputError:
        require(
            space.size > COUNTED and getattr(space, "classes", 0),
            who,
            "representatives() refuses, which only a space that is too large to list may do",
            "list them, or give the number of classes as the attribute `classes`",
        )
        return
    require(len(set(listed)) == len(listed) <= space.size, who, "representatives() repeats itself", "list each once")
    if (classes := getattr(space, "classes", None)) is not None:
        require(classes == len(listed), who, "classes is not the number of representatives", "count again")
    known = set(listed)
    lost = next((arch for arch in chosen if space.canonical(arch) not in known), None)
    require(lost is None, who, f"the representative of {lost!r} is not in representatives()", "list all of them")
    foreign = next((arch for arch in listed[:1000] if space.canonical(arch) != arch), None)
    require(foreign is None, who, f"representatives() has {foreign!r}, which is not its own", "list canonical forms")


def _check_choices(space: Any, n: int, seed: int) -> None:
    who = _name(space)
    require(
        isinstance(space.choices, Mapping)
        and space.choices
        and all(options and all(isinstance(option, str) for option in options) for options in space.choices.values()),
        who,
        "choices must map each variable to its options",
        "write {'width': ('8', '16')}, all of them texts",
    )
    random = np.random.default_rng(seed)
    for _ in range(10 * n):
        chosen = {name: options[random.integers(len(options))] for name, options in space.choices.items()}
        arch = space.assemble(chosen)
        require(
            _contains(space, arch),
            who,
            f"assemble({chosen}) is {arch!r}, which is not in the space",
            "let every combination of options be an architecture",
        )
