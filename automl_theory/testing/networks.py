"""What `check_space` asks of the networks that a space builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from automl_theory.probing.signals import Signals
from automl_theory.spaces.base import Space
from automl_theory.testing.promise import (
    BrokenPromise,
    expecting,
    gaussian,
    random_states,
    refuses,
    require,
    same_state,
    state_of,
)

MEASURED = ("parameters", "macs", "depth", "trainable_layers", "relu_units")
IMAGES = (4, 3, 16, 16)
CONSTANT_SEEDS = 3


def check_networks(
    space: Space,
    chosen: list[str],
    seed: int,
    network: dict[str, Any],
    x: Tensor | None,
    carry: Callable[[str, dict[str, Tensor]], Mapping[str, Tensor]] | None,
) -> list[str]:
    """Check the networks of `chosen`; see `testing.check_space`. Returns the promises checked."""
    checks = _Networks(space, seed, network, gaussian(IMAGES, seed) if x is None else x, carry)
    kept = []
    for promise, check in (
        ("networks are new modules in float32 and train mode on the CPU", checks.form),
        ("weights are decided by name and seed alone", checks.weights),
        ("a class computes one function", checks.classes),
        ("the graph says what the network does", checks.graph),
        ("size_metrics are the network's", checks.sizes),
        ("a thin network is a network", checks.thin),
    ):
        with expecting(checks.who, promise):
            checked = [check(arch) for arch in chosen]
        if any(checked):
            kept.append(promise)
    if checks.named(chosen):
        kept.append("weights of one name are the same in every architecture")
    if checks.fingerprints(chosen):
        kept.append("fingerprints tell networks apart")
    return kept


class _Networks:
    def __init__(
        self,
        space: Space,
        seed: int,
        network: dict[str, Any],
        x: Tensor,
        carry: Callable[[str, dict[str, Tensor]], Mapping[str, Tensor]] | None,
    ) -> None:
        self.space, self.seed, self.network, self.x, self.carry = space, seed, network, x, carry
        self.who = f"space {space.name!r}"
        init = inspect.signature(space.build).parameters.get("init")
        self.init = {"init": "pytorch"} if init is not None and init.default is None else {}

    def build(self, arch: str, seed: int | None = None) -> nn.Module:
        built: nn.Module = self.space.build(arch, seed=self.seed if seed is None else seed, **self.init, **self.network)
        return built

    def outputs(self, net: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            out: Tensor = net(x)
        require(
            isinstance(out, Tensor) and out.ndim == 2 and len(out) == len(x),
            self.who,
            f"a network maps {tuple(x.shape)} to {tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__}",
            "return one row of outputs a sample, (n, k)",
        )
        return out

    def form(self, arch: str) -> bool:
        before = random_states()
        net, other = self.build(arch), self.build(arch)
        require(
            random_states() == before,
            self.who,
            f"build({arch!r}) draws from the global random state",
            "make layers inside `with torch.random.fork_rng(devices=[])`, and draw their weights by "
            "automl_theory.initialise(net, init, seed)",
        )
        require(isinstance(net, nn.Module), self.who, f"build({arch!r}) returns no nn.Module", "return the network")
        require(net is not other, self.who, "build returns one module twice", "make a new one at each call")
        tensors = [*net.parameters(), *net.buffers()]
        require(
            not any(is_lazy(tensor) for tensor in tensors),
            self.who,
            f"build({arch!r}) has lazy layers, whose weights have no shape before the first input",
            "give every layer the size of its input",
        )
        held = {tensor.data_ptr() for tensor in tensors if tensor.numel()}
        shared = any(t.data_ptr() in held for t in (*other.parameters(), *other.buffers()) if t.numel())
        require(not shared, self.who, "two networks share memory", "make new parameters at each call")
        for tensor in tensors:
            require(tensor.device.type == "cpu", self.who, f"a tensor is on {tensor.device}", "build on the CPU")
            require(
                not tensor.is_floating_point() or tensor.dtype == torch.float32,
                self.who,
                f"build({arch!r}) has a tensor of {tensor.dtype}",
                "build in float32; whoever scores converts",
            )
        require(all(m.training for m in net.modules()), self.who, "a network is not in train mode", "call net.train()")
        self.outputs(net, self.x)
        return True

    def weights(self, arch: str) -> bool:
        first = state_of(self.build(arch))
        torch.rand(3)
        self.build(self.space.sample(1, self.seed + 1)[0], self.seed + 1)
        require(
            same_state(first, state_of(self.build(arch))),
            self.who,
            f"build({arch!r}) under one seed gives other weights the second time",
            "end in automl_theory.initialise(net, init, seed)",
        )
        drawn = [name for name, p in self.build(arch).named_parameters() if p.ndim >= 2 and p.numel()]
        if drawn:
            other = self.build(arch, self.seed + 1).state_dict()
            same = [name for name in drawn if torch.equal(first[name], other[name])]
            remedy = "end in automl_theory.initialise(net, init, seed)"
            require(not same, self.who, f"{same[:1]} of {arch!r} ignores the seed", remedy)
        refuses(self.who, "build(..., seed=-1)", lambda: self.build(arch, -1))
        refuses(
            self.who,
            "build(..., init='no such method')",
            lambda: self.space.build(arch, seed=0, **{**self.network, "init": "no such method"}),
        )
        return True

    def named(self, chosen: list[str]) -> bool:
        seen: dict[tuple[str, tuple[int, ...]], tuple[str, Tensor]] = {}
        compared = False
        for arch in chosen:
            for name, parameter in self.build(arch).named_parameters():
                if parameter.ndim < 2:
                    continue  # the bound of a bias depends on its layer's fan-in
                owner, first = seen.setdefault((name, tuple(parameter.shape)), (arch, parameter.detach()))
                compared |= owner != arch
                require(
                    torch.equal(first, parameter),
                    self.who,
                    f"the weights {name} differ between {owner!r} and {arch!r} under one seed",
                    "draw them by automl_theory.initialise, whose draws depend on name, shape and seed alone",
                )
        return compared

    def classes(self, arch: str) -> bool:
        representative = self.space.canonical(arch)
        if representative == arch:
            return False
        net, other = self.build(arch), self.build(representative)
        a = self.outputs(net.eval(), self.x)
        if self.carry is not None:
            other.load_state_dict(dict(self.carry(arch, state_of(net))))
        b = self.outputs(other.eval(), self.x)
        require(
            a.shape == b.shape, self.who, f"{arch!r} and its representative differ in outputs", "check the settings"
        )
        if self.carry is not None:
            error = float((a - b).abs().max() / a.abs().max().clamp(min=1e-30))
            require(
                error < 1e-4,
                self.who,
                f"{arch!r} and its representative {representative!r} differ by {error:.1e} with corresponding weights",
                "put only equal functions into one class, or mend `carry`",
            )
        return True

    def graph(self, arch: str) -> bool:
        graph = self.space.graph(arch)
        if graph is None:
            return False
        differs = False
        for k in range(CONSTANT_SEEDS):
            net = self.build(arch, self.seed + k)
            other = gaussian(tuple(self.x.shape), self.seed + 1000 + k)
            differs |= not torch.equal(self.outputs(net, self.x), self.outputs(net, other))
        says = "connected" if graph.connected else "disconnected"
        does = "depends" if differs else "does not depend"
        require(
            differs == graph.connected,
            self.who,
            f"the graph of {arch!r} is {says}, and its network's output {does} on the input",
            "let graph() have an edge for each operation that passes something, and for no other",
        )
        return True

    def sizes(self, arch: str) -> bool:
        known = getattr(self.space, "size_metrics", None)
        if known is None:
            return False
        takes = inspect.signature(known).parameters
        settings = dict(self.network)
        if "resolution" in takes and "resolution" not in settings and self.x.ndim == 4:
            settings["resolution"] = self.x.shape[-1]
        said = known(arch, **settings)
        missing = [name for name in MEASURED if name not in said]
        require(not missing, self.who, f"size_metrics lacks {missing}", f"return {', '.join(MEASURED)}")
        net = self.build(arch)
        signals = Signals(net, self.x, needs={"codes"})
        graph = self.space.graph(arch)
        live = self.space.canonical(arch) == arch and (graph is None or graph.connected)
        for name in MEASURED:
            if name == "depth" and not live:
                continue
            slack = (len(signals.logits[0]) if name == "macs" else 0) + 1e-9
            measured = signals.size[name]
            require(
                abs(said[name] - measured) <= slack,
                self.who,
                f"size_metrics of {arch!r} says {name} {said[name]}, the network has {measured:.0f}",
                "count what build makes under the same settings (and, among multiply-accumulates, at most one more an "
                "output, for the bias)",
            )
        return True

    def thin(self, arch: str) -> bool:
        make = getattr(self.space, "build_thin", None)
        if make is None:
            return False
        before = random_states()
        net = make(arch, 1, 1, seed=self.seed)
        require(isinstance(net, nn.Module), self.who, "build_thin returns no nn.Module", "return the network")
        require(random_states() == before, self.who, "build_thin draws from the global random state", "as in build")
        with torch.no_grad():
            net(gaussian((5, 1, 3, 3), self.seed))
        return True

    def fingerprints(self, chosen: list[str]) -> bool:
        tell = getattr(self.space, "fingerprint", None)
        if tell is None:
            return False
        told: dict[str, list[tuple[int, ...]]] = {}
        for arch in chosen:
            net = self.build(arch)
            text, again = tell(net), tell(self.build(arch, self.seed + 1))
            if not isinstance(text, str) or text != again:
                raise BrokenPromise(
                    f"{self.who}: two networks of {arch!r} have fingerprints {text!r} and {again!r}; it must be a text "
                    "that depends on what is built, not on weights or addresses"
                )
            shapes = [tuple(p.shape) for p in net.parameters()]
            require(
                told.setdefault(text, shapes) == shapes,
                self.who,
                f"networks with other parameters than {arch!r} have its fingerprint",
                "use networks.fingerprint.fingerprint",
            )
        return True
