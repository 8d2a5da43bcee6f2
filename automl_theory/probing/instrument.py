"""Watches a forward pass from outside: every torch function a module calls goes through one dispatch table.

Nothing is registered on the module. Convolutions, linear and normalisation layers, BatchNorm's mode and ReLU codes are
recognised by the *function* called and by the identity of the parameters passed to it, so a layer called twice, a
shared parameter or a functional call are seen as what they are. A counted parameter that reaches any other function,
an operation that might mix samples, or one whose effect cannot be followed (a write into a tensor, a value read out of
one, a layer called without gradients) is reported as `Unsupported`; the caller then takes an exact slower way.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from automl_theory.probing import sample_wise
from automl_theory.probing.activations import Collector
from automl_theory.probing.batch_norm import BnMode
from automl_theory.probing.folding import Fold, convolve
from automl_theory.probing.layer_gradients import (
    LayerGradients,
    Unsupported,
    conv_weight_gradients,
    sum_positions,
)
from automl_theory.probing.normalisations import (
    batch_norm,
    detached,
    group_norm,
    instance_norm,
    layer_norm,
    raw_batch_norm,
)
from automl_theory.probing.sharing import Rectified

Handler = Callable[..., Any]

_RECTIFIERS = (F.relu, torch.relu, Tensor.relu, F.relu_, torch.relu_, Tensor.relu_, F.relu6, F.leaky_relu)
_SHAREABLE = (F.relu, torch.relu, Tensor.relu)
_Scripted: Any = torch.jit.ScriptFunction


class Instrument(TorchFunctionMode):
    """A forward pass under this mode normalises by `bn`, and feeds the collectors that are given.

    Args:
        bn: BatchNorm mode of the pass.
        sizes: the pass's samples as one or two groups, each with its own batch statistics.
        codes: collects ReLU codes, or None.
        gradients: collects layers for the tangent kernel, or None.
        statistics: BatchNorm statistics [(mean, inverse), …] in order of call, to be used instead of the batch's own.
    """

    def __init__(
        self,
        bn: BnMode,
        sizes: Sequence[int],
        *,
        codes: Collector | None = None,
        gradients: LayerGradients | None = None,
        statistics: Sequence[tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.bn: BnMode = bn
        self.sizes = tuple(sizes)
        self.codes, self.gradients = codes, gradients
        self.statistics = statistics
        self.recorded: list[tuple[Tensor, Tensor]] = []
        self.features: Tensor | None = None
        self.batch_norms = 0
        self._rectified = Rectified()
        self._folds: dict[int, Fold] = {}
        self.handlers = self._table()

    def _table(self) -> dict[Any, Handler]:
        """Functions of this pass and what answers them, as plain functions: a bound method would make a cycle."""
        mine = Instrument
        table: dict[Any, Handler] = {F.batch_norm: batch_norm, torch.batch_norm: raw_batch_norm}
        table |= {
            F.instance_norm: instance_norm,
            F.linear: mine._linear,
            Tensor.view: mine._view,
            Tensor.view_as: mine._view_as,
        }
        watched = _RECTIFIERS if self.codes is not None else _SHAREABLE if self.gradients is not None else ()
        table |= {f: partial(mine._rectifier, function=f) for f in watched}
        if self.codes is not None:
            table[F.hardtanh] = mine._hardtanh
        if self.gradients is not None:
            for rank, convolution in ((1, torch.conv1d), (2, torch.conv2d), (3, torch.conv3d)):
                table[convolution] = partial(mine._convolution, function=convolution, rank=rank)
            table |= {F.layer_norm: layer_norm, F.group_norm: group_norm}
        return table

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Send a call to its handler, or check that it leaves samples and counted parameters alone."""
        kwargs = kwargs or {}
        handler = self.handlers.get(func)
        if handler is not None:
            return handler(self, *args, **kwargs)
        result = func(*args, **kwargs)
        if self.gradients is not None:
            self._check(func, args, kwargs, result)
        return result

    def __enter__(self) -> Instrument:
        """Enter the pass. Scripted functions call past every torch function: their call is refused meanwhile."""
        if self.gradients is not None:
            self._scripted = _Scripted.__call__
            _Scripted.__call__ = _refuse_script
        super().__enter__()  # type: ignore[no-untyped-call]  # torch gives its modes no types
        return self

    def __exit__(self, *failure: Any) -> None:
        """Leave the pass; refuse it if a tensor that was handed out twice was written into."""
        super().__exit__(*failure)  # type: ignore[no-untyped-call]  # torch gives its modes no types
        if self.gradients is not None:
            _Scripted.__call__ = self._scripted
        self._folds.clear()
        if not self._rectified.untouched() and failure[0] is None:
            raise Unsupported("the output of a ReLU is changed in place, and its input rectified again")

    def _check(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        assert self.gradients is not None
        if result is None or any(True for _ in sample_wise.tensors((result,))):
            for operand in sample_wise.tensors((*args, *kwargs.values())):
                self._guard(operand, func)
        if not sample_wise.keeps_samples_apart(func, args, kwargs, result, self.gradients.n):
            raise Unsupported(f"{_name(func)} may mix samples")

    def _guard(self, operand: Tensor, func: Any) -> None:
        """Refuse an operand whose own gradient the pass would miss."""
        if self.gradients is None:
            return
        if id(operand) in self.gradients.selected:
            raise Unsupported(f"a counted parameter of shape {tuple(operand.shape)} is used by {_name(func)}")
        if operand.requires_grad and operand.is_leaf:
            raise Unsupported(f"{_name(func)} reads a tensor that requires gradients and is no parameter")
        fold = self.fold_of(operand)
        if fold is not None:
            fold.close()

    # Views ------------------------------------------------------------------------------------------------------

    def _view(self, input: Tensor, *shape: Any, **kwargs: Any) -> Tensor:
        """Tensor.view, also where it fails on the pass's channels-last layout, of which the module knows nothing."""
        try:
            out = input.view(*shape, **kwargs)
        except RuntimeError:
            if kwargs or isinstance(shape[0], torch.dtype):
                raise
            out = input.reshape(*shape)
        if self.gradients is not None:
            self._check(Tensor.view, (input,), {}, out)
        return out

    def _view_as(self, input: Tensor, other: Tensor) -> Tensor:
        return self._view(input, other.shape)

    # Layers -----------------------------------------------------------------------------------------------------

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        gradients = self.gradients
        self.features = input
        if gradients is None:
            return F.linear(input, weight, bias)
        self.require_samples(input, "linear")
        out = gradients.watch(F.linear(input, weight.detach(), detached(bias)), weight, bias)
        counts_weight, counts_bias = gradients.wants(weight), gradients.wants(bias)
        if counts_weight or counts_bias:

            def read(inputs: Tensor, grad: Tensor) -> None:
                if counts_weight and grad.ndim == 2:
                    gradients.add_outer(weight, inputs, grad)
                elif counts_weight:
                    rows, columns = grad.flatten(1, -2), inputs.flatten(1, -2)
                    gradients.add(weight, torch.bmm(rows.transpose(1, 2), columns))
                if counts_bias and bias is not None:
                    gradients.add(bias, grad.flatten(1, -2).sum(1) if grad.ndim > 2 else grad)

            gradients.listen(out, input, read)
        return out

    def _convolution(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        *,
        function: Handler,
        rank: int,
    ) -> Tensor:
        gradients = self.gradients
        assert gradients is not None
        self.require_samples(input, function.__name__, rank + 2)
        steps, spread = _tuple(stride, rank), _tuple(dilation, rank)
        named = isinstance(padding, str)
        pad = _named_padding(padding, weight.shape[2:], spread) if named else _tuple(padding, rank)
        shaped = weight.detach()
        counts_weight, counts_bias = gradients.wants(weight), gradients.wants(bias)
        fold = Fold()
        if counts_weight and bias is None and self._may_fold(input, weight):
            out = convolve(input, shaped, (steps, pad, spread), groups, fold)
            out = gradients.watch(out, weight)
            fold.output = weakref.ref(out)
            self._folds[id(out)] = fold
        else:
            out = function(input, shaped, detached(bias), steps, pad, spread, groups)
            out = gradients.watch(out, weight, bias)
        if counts_weight or counts_bias:

            def read(inputs: Tensor, grad: Tensor) -> None:
                if counts_weight:
                    rows = conv_weight_gradients(inputs, grad, shaped, steps, pad, spread, groups, gradients.contiguous)
                    gradients.add(weight, fold.finish(gradients, rows, grad, shaped))
                if counts_bias and bias is not None:
                    gradients.add(bias, sum_positions(grad))

            gradients.listen(out, input, read)
        return out

    def _may_fold(self, input: Tensor, weight: Tensor) -> bool:
        """Whether a BatchNorm after this convolution is constant, and folding it saves work."""
        return self.bn == "frozen" and len(self.sizes) == 1 and math.prod(input.shape[2:]) > math.prod(weight.shape[1:])

    def fold_of(self, tensor: Tensor) -> Fold | None:
        """The fold of the convolution whose output this is, or None."""
        fold = self._folds.get(id(tensor))
        return fold if fold is not None and fold.output is not None and fold.output() is tensor else None

    # Activations ------------------------------------------------------------------------------------------------

    def _rectifier(self, input: Tensor, *args: Any, function: Handler, **kwargs: Any) -> Tensor:
        self._guard(input, function)
        if self.gradients is not None and function in _SHAREABLE and not args and not kwargs.get("inplace"):
            out = self._rectified.get(input, torch.relu)
        else:
            out = function(input, *args, **kwargs)
        if self.codes is not None:
            self.codes.add(input, torch.relu(out) if function is F.leaky_relu else out)
        return out

    def _hardtanh(self, input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
        """nn.ReLU6 is a hardtanh from 0 to 6."""
        self._guard(input, F.hardtanh)
        out = F.hardtanh(input, min_val, max_val, inplace)
        if min_val == 0 and self.codes is not None:
            self.codes.add(input, out)
        return out

    def require_samples(self, x: Tensor, layer: str, ndim: int | None = None) -> None:
        """Refuse the input of a layer that is not one row a sample, or that `_guard` refuses."""
        assert self.gradients is not None
        self._guard(x, layer)
        if x.ndim < 2 or len(x) != self.gradients.n or (ndim is not None and x.ndim != ndim):
            raise Unsupported(f"{layer} on an input of shape {tuple(x.shape)}, not one row a sample")


def _refuse_script(function: Any, *args: Any, **kwargs: Any) -> None:
    raise Unsupported(f"{function.name} is scripted (torch.jit), and what it does cannot be watched")


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (
        (int(value),) * rank if isinstance(value, int) else tuple(value) if len(value) == rank else tuple(value) * rank
    )


def _named_padding(name: str, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    if name == "valid":
        return (0,) * len(kernel)
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        raise Unsupported("padding='same' with an even kernel")
    return tuple(t // 2 for t in total)


def _name(func: Any) -> str:
    name = func if isinstance(func, str) else getattr(func, "__qualname__", None) or getattr(func, "__name__", func)
    return str(name).rpartition(".")[2]
