"""What a worker does: build one architecture under one seed and read the proxies from it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from automl_theory.probing.signals import Signals
from automl_theory.proxies import Proxy, get_proxies
from automl_theory.scoring.plan import Measurement
from automl_theory.scoring.single import evaluate, needs_of
from automl_theory.spaces import Space

Task = tuple[str, int, tuple[str, ...]]


@dataclass(frozen=True)
class Result:
    """Scores {proxy key: (value, status)} of one architecture and seed, what they cost and why some failed."""

    scores: dict[str, tuple[float, str]]
    seconds: float
    detail: str


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
    """Score the representative `arch` under `seed` for the proxies named; a disconnected cell is not even built."""
    arch, seed, names = task
    start = time.perf_counter()
    proxies = get_proxies(names)
    graph = _context.space.graph(arch)
    if graph is not None and not graph.connected:
        values = {proxy.key: (float("nan"), "disconnected") for proxy in proxies}
        return Result(values, time.perf_counter() - start, "")
    signals = collect(arch, seed, proxies)
    scores, reasons = evaluate(signals, proxies)
    detail = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if " (" in signals.kernel_method:
        detail = "; ".join(filter(None, [detail, f"kernel: {signals.kernel_method}"]))
    keyed = {proxy.key: scores[proxy.name] for proxy in proxies}
    return Result(keyed, time.perf_counter() - start, detail)


def collect(arch: str, seed: int, proxies: list[Proxy]) -> Signals:
    """Build `arch` under `seed` in the prepared setting and run the instrumented pass that these proxies need."""
    c, m = _context, _context.measurement
    net = c.space.build(arch, seed=seed, init=m.init, **m.network).to(device=m.device, dtype=c.x.dtype)
    build_thin = getattr(c.space, "build_thin", None)
    return Signals(
        net,
        c.x,
        c.y,
        classes=c.classes,
        bn=m.bn,  # type: ignore[arg-type]
        output=m.output,  # type: ignore[arg-type]
        biases=m.biases,
        needs=needs_of(proxies),
        seed=seed,
        graph=c.space.graph(arch),
        thin=None if build_thin is None else lambda s: build_thin(arch, 1, 1, seed=s, init=m.init),
    )
