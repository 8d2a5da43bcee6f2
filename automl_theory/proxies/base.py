"""What a proxy is, and how one is named.

A proxy is data: a name, an aspect, a direction, what it needs and a function of the collected signals. Its name may
carry parameters, ``ntk_numerical_rank:tol=0.001``; that text is the column of the table and, with the revision, its
identity in a store.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from automl_theory.errors import VALUED, InputError, suggest

Family = Literal["expressivity", "convergence", "generalization", "saliency", "size"]
Direction = Literal["maximize", "minimize"]
Value = tuple[float, str]

NAN = float("nan")


# What whoever scores may not have: where the signals hold it, and what is said where they do not.
_GIVEN = {
    "labels": ("targets", "labels are needed; pass y"),
    "graph": ("graph", "the cell's graph is needed; score an architecture of a space that has one"),
    "thin": ("thin", "a space that builds one-channel cells is needed"),
}


class Undefined(Exception):
    """A proxy has no value on a network; the text is the reason."""


@dataclass(frozen=True)
class Proxy:
    """A training-free measure of a network.

    Attributes:
        name: as users write it; also the column of the score table.
        family: the aspect it speaks about.
        direction: whether a larger or a smaller value is held to be better.
        unit: of the value, in words.
        compute: (signals, **parameters) → (value, status); its docstring gives formula, edge values and source.
        needs: what it reads: "kernel", "codes", "features" (collected in the pass); "loss", "fisher", "curvature",
            "input_gradients" (of a pass in training mode, one for all that ask); "parameters" (some that count);
            "labels", "graph", "thin" (from whoever scores; `Undefined` where they are missing).
        parameters: keyword arguments of `compute` that differ from its defaults.
        core: whether one forward, one frozen backward and one Gram give it.
        revision: raised when the same name starts to mean another number.
    """

    name: str
    family: Family
    direction: Direction
    unit: str
    compute: Callable[..., Value]
    needs: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    core: bool = True
    revision: int = 1

    @property
    def key(self) -> str:
        """Identity in a store: the name with parameters and, from the second on, the revision."""
        return self.name if self.revision == 1 else f"{self.name}@{self.revision}"

    @property
    def formula(self) -> str:
        """First line of the docstring of `compute`."""
        return (inspect.getdoc(self.compute) or "").split("\n", 1)[0]

    @property
    def documentation(self) -> str:
        """The docstring of `compute`."""
        return inspect.getdoc(self.compute) or ""

    def __call__(self, signals: Any) -> Value:
        """Evaluate on collected signals: (value, status); a degenerate network gives NaN and says why.

        "non_finite" outputs, "disconnected" outputs (the same for every input) and "no_parameters" (none counts, or the
        kernel is zero because none reaches the output) are decided here, before `compute`; size measures always have a
        value. Raises `Undefined` where something it needs is missing, or `compute` does.
        """
        if self.family != "size":
            if not signals.finite:
                return NAN, "non_finite"
            if signals.disconnected:
                return NAN, "disconnected"
            if self.needs & {"kernel", "parameters"} and signals.counted == 0:
                return NAN, "no_parameters"
            if "kernel" in self.needs and signals.constant_sum:
                raise Undefined(
                    "the outputs of every sample add up to the same number, as after a softmax, and the kernel of that "
                    "sum is rounding; let the network give its logits, or choose output='trace'"
                )
            if "kernel" in self.needs and signals.spectrum.status in ("disconnected", "non_finite"):
                return NAN, "no_parameters" if signals.spectrum.status == "disconnected" else "non_finite"
        for need, (held, reason) in _GIVEN.items():
            if need in self.needs and getattr(signals, held) is None:
                raise Undefined(reason)
        value, status = self.compute(signals, **self.parameters)
        if math.isnan(value) and status in VALUED:
            status = "non_finite"
        return float(value), status


def parameterised(proxy: Proxy, text: str) -> Proxy:
    """`proxy` with the parameters of ``key=value+key=value``, converted to the type of each default.

    Raises InputError for an unknown parameter, one given twice, or a value that is not a positive number of that type.
    """
    defaults = {
        name: p.default for name, p in inspect.signature(proxy.compute).parameters.items() if p.default is not p.empty
    }
    values: dict[str, Any] = {}
    for item in text.replace(",", "+").split("+"):
        name, _, value = (part.strip() for part in item.partition("="))
        if name not in defaults:
            known = ", ".join(f"{k}={v}" for k, v in defaults.items()) or "none"
            raise InputError(
                f"proxy {proxy.name!r} has no parameter {name!r}; it has: {known}.{suggest(name, defaults)}"
            )
        if name in values:
            raise InputError(f"{proxy.name}:{name} is given twice; give it once")
        kind = type(defaults[name])
        try:
            values[name] = kind(value)
        except ValueError:
            raise InputError(
                f"{proxy.name}:{name} must be of type {kind.__name__}, got {value!r}; the default is {defaults[name]}"
                + (", and + joins several parameters" if "=" in value else "")
            ) from None
        if not 0 < values[name] < math.inf:
            raise InputError(
                f"{proxy.name}:{name} must be positive and finite, got {value!r}; the default is {defaults[name]}"
            )
    full = "+".join(f"{k}={v}" for k, v in sorted(values.items()))
    return replace(proxy, name=f"{proxy.name}:{full}", parameters=values)
