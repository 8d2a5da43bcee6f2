"""Score one module: collect its signals once, read every proxy from them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from automl_theory.errors import AutoMLTheoryError, InputError, is_memory, one_line, reason
from automl_theory.graphs.dag import CellGraph
from automl_theory.linalg import one_thread
from automl_theory.networks.initialise import initialise
from automl_theory.probing.batch_norm import BN_MODES, BnMode
from automl_theory.probing.call import check_choice, check_flag, check_input, check_module
from automl_theory.probing.signals import Signals
from automl_theory.proxies import Proxy, Undefined, get_proxies
from automl_theory.proxies.base import NAN

KERNEL_OUTPUTS = ("sum", "trace")


class Scores(Mapping[str, float]):
    """Values of proxies on one network, by name.

    Attributes:
        status: {name: status}; see `errors.STATUSES`.
        reasons: {name: why} for those that failed.
        info: how it was measured: bn, output, biases, n, the way the kernel was computed ("layers", or a slower one and
            why it was needed), init and seed, dtype, torch's version.
        proxies: the proxies, with family, direction and unit.
    """

    def __init__(
        self,
        values: Mapping[str, tuple[float, str]],
        reasons: dict[str, str],
        info: dict[str, Any],
        proxies: list[Proxy],
    ) -> None:
        self._values = {name: value for name, (value, _) in values.items()}
        self.status = {name: status for name, (_, status) in values.items()}
        self.reasons, self.info, self.proxies = reasons, info, proxies

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:<{width}}  {self[name]:<12.6g} {self.status[name]}" for name in self)


def evaluate(signals: Signals, proxies: Iterable[Proxy]) -> tuple[dict[str, tuple[float, str]], dict[str, str]]:
    """{name: (value, status)} and {name: reason} of those without a value, for every proxy on collected signals.

    Whatever goes wrong in one proxy costs that proxy alone; only running out of memory is passed on.
    """
    values: dict[str, tuple[float, str]] = {}
    reasons: dict[str, str] = {}
    with one_thread():
        for proxy in proxies:
            try:
                values[proxy.name] = proxy(signals)
            except Exception as error:
                if is_memory(error):
                    raise
                values[proxy.name] = (NAN, "failed")
                known = isinstance(error, Undefined | AutoMLTheoryError)
                reasons[proxy.name] = reason(error, 300) if known else one_line(error)
    return values, reasons


def needs_of(proxies: Iterable[Proxy]) -> set[str]:
    """Signals that a pass has to collect for these proxies."""
    return {need for proxy in proxies for need in proxy.needs}


def check_batch(x: Tensor, y: Tensor | None) -> None:
    """Raise InputError for a batch on which no proxy says anything: fewer than 2 samples, constant, not finite."""
    if isinstance(x, Tensor) and (x.is_meta or x.layout is not torch.strided):
        raise InputError(f"x must be a dense tensor with values, got {x.layout} on {x.device}; use x.to_dense()")
    check_input(x)
    if y is not None and not isinstance(y, Tensor):
        raise InputError(f"y must be a torch tensor of shape ({len(x)},), got {type(y).__name__}; use torch.as_tensor")
    if len(x) < 2:
        raise InputError(f"x has {len(x)} sample; proxies compare samples, give at least 2")
    if bool((x == x[:1]).all()):
        raise InputError(f"all {len(x)} samples of x are identical; give inputs that differ")
    if y is not None and (y.ndim != 1 or len(y) != len(x)):
        raise InputError(f"y must be class numbers of shape ({len(x)},), got {tuple(y.shape)}")
    if y is not None and (y.is_floating_point() or y.is_complex() or bool((y < 0).any())):
        raise InputError(f"y must be integer class numbers of 0 and more, got {y.dtype}; use y.long()")


def _copied(net: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(net)
    except Exception as error:
        raise InputError(f"the module cannot be copied ({reason(error)}); use seed=None") from error


def score(
    net: nn.Module,
    x: Tensor,
    y: Tensor | None = None,
    proxies: str | Iterable[str] = "core",
    *,
    seed: int | None = None,
    init: str = "pytorch",
    bn: BnMode = "frozen",
    output: str = "sum",
    biases: bool = False,
    graph: CellGraph | None = None,
) -> Scores:
    """Score one module as it stands, without training it.

    Args:
        net: any module mapping x to (n, C) outputs; left exactly as found.
        x: (n, …) inputs, n ≥ 2, in the module's dtype and on its device.
        y: (n,) integer class numbers, of which only their equality counts; without them the generalization proxies
            have status "failed" and say why.
        proxies: "core", "full", a name, a comma-separated text or a list of names.
        seed: None keeps the module's weights; a number scores a copy re-initialised by `init` under that seed.
        bn, output, biases: the named choices of the tangent kernel, see `empirical_ntk`; output is "sum" or "trace".
        graph: the cell graph that the module was built from, where there is one.

    Returns:
        `Scores`, a mapping from names to floats: s["ntk_lambda_min"], s.status["ntk_lambda_min"], s.info. Units,
        formulas and sources are each proxy's own: `get_proxy(name).unit`, `.documentation`. A value that cannot be had
        is NaN, with a status that says why.

    Raises:
        InputError: for an unknown proxy or choice, a constant, empty or non-finite batch, labels that are no class
            numbers, or a module that fails on x.
    """
    chosen = get_proxies(proxies)
    check_choice("bn", bn, BN_MODES)
    check_choice("output", output, KERNEL_OUTPUTS)
    check_flag("biases", biases)
    if graph is not None and not isinstance(graph, CellGraph):
        raise InputError(f"graph must be a CellGraph or None, got {type(graph).__name__}; give space.graph(arch)")
    check_module(net)
    check_batch(x, y)
    if y is not None:
        y = torch.unique(y, return_inverse=True)[1]
    if seed is not None:
        net = initialise(_copied(net), init, seed)
    signals = Signals(
        net,
        x,
        y,
        bn=bn,
        output="trace" if output == "trace" else "sum",
        biases=biases,
        needs=needs_of(chosen),
        seed=seed or 0,
        graph=graph,
    )
    values, reasons = evaluate(signals, chosen)
    info = {
        "n": len(x),
        "bn": bn,
        "output": output,
        "biases": biases,
        "init": init if seed is not None else "as given",
        "seed": seed,
        "kernel_method": signals.kernel_method,
        "dtype": str(x.dtype).removeprefix("torch."),
        "torch": torch.__version__,
    }
    return Scores(values, reasons, info, chosen)
