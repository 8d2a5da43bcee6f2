"""What a worker does: build one architecture under one seed and read the proxies from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import torch
from torch import nn

from automl_theory.probing.signals import Signals
from automl_theory.probing.stack_pass import see
from automl_theory.probing.stack_signals import Seen, StackSignals
from automl_theory.proxies import Proxy, get_proxies
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.single import evaluate, needs_of
from automl_theory.spaces import Space

Task = tuple[str, int, tuple[str, ...]]


@dataclass(frozen=True)
class Result:
    """Scores {proxy key: (value, status)} of one architecture and seed, what they cost and why some failed.

    `network` is the fingerprint of what was scored, "" in a space whose strings say it all.
    """

    scores: dict[str, tuple[float, str]]
    seconds: float
    detail: str
    network: str = ""


@dataclass(frozen=True)
class _Context:
    space: Space
    measurement: Measurement
    x: torch.Tensor
    y: torch.Tensor
    classes: int


_context: _Context


def prepare(space: Space, measurement: Measurement, x: Any, y: Any, classes: int) -> None:
    """Set up a worker once: x (n, C, H, W), y (n,) numpy arrays of the batch, moved to dtype and device."""
    global _context
    dtype = getattr(torch, measurement.dtype)
    images = torch.as_tensor(x, dtype=dtype, device=measurement.device)
    _context = _Context(space, measurement, images, torch.as_tensor(y, device=measurement.device), classes)


def score_task(task: Task) -> Result:
    """Score the representative `arch` under `seed` for the proxies named; a disconnected cell is not even built.

    Without proxies it only tells the network's fingerprint. What a forward pass draws from torch's CPU generator
    depends on `arch` and `seed` alone, not on the process or on what was scored before.
    """
    arch, seed, names = task
    start = time.perf_counter()
    proxies = get_proxies(names) if names else []
    if not connected(arch):
        values = {proxy.key: (float("nan"), "disconnected") for proxy in proxies}
        return Result(values, time.perf_counter() - start, "")
    with seeded(arch, seed):
        net = build(arch, seed)
        network = _fingerprint(net)
        if not names:
            return Result({}, time.perf_counter() - start, "", network)
        return read(collect(net, arch, seed, proxies), proxies, start, network)


def connected(arch: str) -> bool:
    """Whether the graph of `arch`, where it has one, leads from input to output."""
    graph = _context.space.graph(arch)
    return graph is None or graph.connected


@contextmanager
def seeded(arch: str, seed: int) -> Iterator[None]:
    """Torch's CPU generator in a state that depends on `arch` and `seed` alone, and back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(crc32(arch.encode("utf-8", "surrogatepass")) ^ seed & 0xFFFF_FFFF)
        yield


def read(signals: Signals, proxies: list[Proxy], start: float, network: str = "") -> Result:
    """Read the proxies from the signals of a network with that fingerprint, on which work began at `start`."""
    scores, reasons = evaluate(signals, proxies)
    detail = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if " (" in signals.kernel_method:
        detail = "; ".join(filter(None, [detail, f"kernel: {signals.kernel_method}"]))
    keyed = {proxy.key: scores[proxy.name] for proxy in proxies}
    return Result(keyed, time.perf_counter() - start, detail, network)


def build(arch: str, seed: int) -> nn.Module:
    """Build `arch` under `seed` in the prepared setting."""
    c, m = _context, _context.measurement
    return c.space.build(arch, seed=seed, init=m.init, **m.network).to(device=m.device, dtype=c.x.dtype)


def _fingerprint(net: nn.Module) -> str:
    tell = getattr(_context.space, "fingerprint", None)
    return str(tell(net)) if tell else ""


def collect(net: nn.Module, arch: str, seed: int, proxies: list[Proxy]) -> Signals:
    """Run the instrumented pass that these proxies need over `net`, built of `arch` under `seed`."""
    c, m = _context, _context.measurement
    return Signals(
        net,
        c.x,
        c.y,
        classes=c.classes,
        bn=cast(Any, m.bn),
        output=cast(Any, m.output),
        biases=m.biases,
        needs=needs_of(proxies),
        seed=seed,
        graph=c.space.graph(arch),
        thin=_thin(arch),
    )


def see_together(archs: Sequence[str], seed: int, needs: Collection[str]) -> dict[str, Seen]:
    """What one pass over the space's stack of `archs` under `seed` shows of each, in the prepared setting."""
    c, m = _context, _context.measurement
    space: Any = c.space
    stack = space.build_stack(archs, seed=seed, init=m.init, **m.network)
    stack = stack.to(device=m.device, dtype=c.x.dtype)
    seen = see(stack, c.x, kernel="kernel" in needs, codes="codes" in needs, biases=m.biases)
    return dict(zip(archs, seen, strict=True))


def collected(seen: Seen, arch: str, seed: int) -> StackSignals:
    """The signals of `arch` under `seed` from what a stacked pass showed of it."""
    c = _context
    return StackSignals(
        seen,
        lambda: build(arch, seed),
        c.x,
        c.y,
        classes=c.classes,
        biases=c.measurement.biases,
        seed=seed,
        graph=c.space.graph(arch),
        thin=_thin(arch),
    )


def _thin(arch: str) -> Callable[[int], nn.Module] | None:
    build_thin = getattr(_context.space, "build_thin", None)
    return None if build_thin is None else lambda s: build_thin(arch, 1, 1, seed=s, init=_context.measurement.init)
