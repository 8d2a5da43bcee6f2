"""Everything that proxies read from one network on one batch, each computed once and only if asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory import linalg
from automl_theory.errors import InputError
from automl_theory.graphs.dag import CellGraph
from automl_theory.probing import sizes
from automl_theory.probing.activations import Codes
from automl_theory.probing.batch_norm import BnMode, Statistics
from automl_theory.probing.call import call, channels_last, check_module
from automl_theory.probing.entry_jacobian import entry_jacobian
from automl_theory.probing.exact import frozen_function, observe
from automl_theory.probing.feature_maps import FeatureMaps, feature_maps
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.layer_gradients import LayerGradients, Unsupported
from automl_theory.probing.loss_gradients import PARTS, LossGradients, layer_weights, loss_gradients
from automl_theory.probing.perturbation import gaussian_response
from automl_theory.probing.selection import select_parameters
from automl_theory.probing.synaptic_flow import log_flow
from automl_theory.probing.tangent_kernel import Output, measured_kernel
from automl_theory.probing.untouched import untouched

Array = linalg.Array
T = TypeVar("T")


class Signals:
    """What one instrumented pass saw, and what can be derived from it.

    Args:
        net: the module, left as found.
        x: (n, …) inputs, labels y (n,) int64 or None, `classes` the number of classes of the labels.
        bn, output, biases: the named choices of the tangent kernel (see `empirical_ntk`).
        needs: which signals the pass must collect: a subset of {"kernel", "codes", "features"}; and which parts of the
            pass in training mode will be asked for, so that one pass serves them (`loss_gradients.PARTS`).
        seed: of every further draw (curves, thin networks).
        graph: the cell's graph, if the network comes from a space that has one.
        thin: builds the one-channel network of the same cell for region counting, if the space has one.
        size: size measures known beforehand (of the architecture string), instead of those of the module.

    Raises InputError for a label outside of 0…classes−1, or a module that fails on x.
    """

    def __init__(
        self,
        net: nn.Module,
        x: Tensor,
        y: Tensor | None = None,
        *,
        classes: int | None = None,
        bn: BnMode = "frozen",
        output: Output = "sum",
        biases: bool = False,
        needs: Collection[str] = ("kernel", "codes", "features"),
        seed: int = 0,
        graph: CellGraph | None = None,
        thin: Callable[[int], nn.Module] | None = None,
        size: Mapping[str, float] | None = None,
    ) -> None:
        check_module(net)
        self.net, self.x = net, channels_last(x.detach())
        self.y = None if y is None else y.cpu().numpy().astype(np.int64)
        self.classes = classes if classes is not None or self.y is None else int(self.y.max()) + 1
        if self.y is not None and self.classes is not None and not ((self.y >= 0) & (self.y < self.classes)).all():
            raise InputError(f"labels must be 0 to {self.classes - 1}, got {self.y.min()} to {self.y.max()}")
        self.bn, self.output, self.biases = bn, output, biases
        self.seed, self.graph, self.thin = seed, graph, thin
        self._size = size
        self.n = len(x)
        self._parts = PARTS & frozenset(needs)
        self._passes: dict[str, LossGradients] = {}
        self.kernel_method = "none"
        self._refused = ""
        self._kernel: Array | None = None
        self._codes: Codes | None = None
        self._features: Tensor | None = None
        self._collect("kernel" in needs and output != "full", "codes" in needs)
        self.eps = float(torch.finfo(self.logits.dtype).eps)

    def _collect(self, want_kernel: bool, want_codes: bool) -> None:
        selected = select_parameters(self.net, self.biases)
        self.counted = sum(p.numel() for p in selected.values())
        if not want_kernel and self._collect_in_training(want_codes):
            return
        with untouched(self.net):
            for parameter in self.net.parameters():
                parameter.requires_grad_(False)
            if want_kernel and self.bn != "batch" and self.output == "sum":
                gradients = LayerGradients({id(p) for p in selected.values()}, self.n, self.n, self.x.device)
                try:
                    out = self._forward(want_codes, gradients)
                    gradients.backward(out, torch.ones_like(out))
                    self._kernel, self.kernel_method = gradients.kernel.cpu().numpy(), "layers"
                    return
                except Unsupported as reason:
                    self._refused = str(reason)
                    gradients.release()
            with torch.no_grad():
                self._forward(want_codes, None)
        if want_kernel:
            self._kernel, self.kernel_method = self._separate_kernel(self.bn)

    def _collect_in_training(self, want_codes: bool) -> bool:
        """Whether one pass in training mode gave all: its outputs are those of a pass with frozen statistics."""
        connected = self.graph is None or self.graph.connected
        if not self._parts or self.y is None or self.bn != "frozen" or not connected:
            return False
        codes = Codes(self.n) if want_codes else None
        try:
            found = loss_gradients(self.net, self.x, self.y, self._parts, codes)
        except (InputError, Unsupported):
            return False
        if codes is not None:
            codes.forget()
        self._passes = dict.fromkeys(self._parts, found)
        self._codes, self._features, self.logits = codes, found.features, found.logits
        return True

    def _forward(self, want_codes: bool, gradients: LayerGradients | None) -> Tensor:
        codes = Codes(self.n) if want_codes else None
        with Instrument(self.bn, [self.n], codes=codes, gradients=gradients) as instrument:
            out = call(self.net, self.x)
        if codes is not None:
            codes.forget()
        self._codes = codes
        self._features = instrument.features.detach() if instrument.features is not None else None
        self.logits = out.detach()
        return out

    def _separate_kernel(self, bn: BnMode) -> tuple[Array, str]:
        kernel, how = measured_kernel(
            self.net, self.x, bn=bn, output=self.output, biases=self.biases, refused=self._refused
        )
        return kernel.cpu().numpy(), how

    @cached_property
    def finite(self) -> bool:
        """Whether every output of the network is finite."""
        return bool(torch.isfinite(self.logits).all())

    @cached_property
    def disconnected(self) -> bool:
        """Whether the output does not depend on the input: by the graph if there is one, else by identical rows.

        One sample alone cannot tell.
        """
        if self.graph is not None and not self.graph.connected:
            return True
        return self.n > 1 and self.finite and bool((self.logits == self.logits[:1]).all())

    @cached_property
    def constant_sum(self) -> bool:
        """Whether each sample's outputs add up to the same number, as after a softmax: their gradient is rounding."""
        if self.output != "sum" or self.n < 2 or self.logits.shape[1] < 2:
            return False
        logits = self.logits.double()
        sums, rounding = logits.sum(1), 8 * self.eps * float(logits.abs().sum(1).max())
        varied = float((logits - logits.mean(0)).abs().max()) > 1000 * rounding
        return varied and float(sums.max() - sums.min()) <= rounding

    @cached_property
    def kernel(self) -> Array:
        """Tangent kernel (n, n) in the chosen modes."""
        if self._kernel is not None:
            return self._kernel
        array, self.kernel_method = self._separate_kernel(self.bn)
        return array

    @cached_property
    def spectrum(self) -> linalg.Spectrum:
        """Spectrum of `kernel`."""
        return linalg.spectrum(self.kernel, self.eps)

    @cached_property
    def normalised_spectrum(self) -> linalg.Spectrum:
        """Spectrum of the diagonal-normalised kernel K_ij/√(K_ii K_jj)."""
        return linalg.spectrum(linalg.correlation(self.kernel), self.eps)

    @cached_property
    def batch_spectrum(self) -> linalg.Spectrum:
        """Spectrum of the kernel with BatchNorm's batch statistics differentiated through: n backward passes."""
        return linalg.spectrum(self._separate_kernel("batch")[0], self.eps)

    @cached_property
    def feature_spectrum(self) -> linalg.Spectrum | None:
        """Spectrum of the feature kernel ΦΦᵀ/d, Φ (n, d) the last linear layer's input; None without such a layer.

        The product is taken in float64, so an error eps in Φ is one of eps² in the eigenvalues.
        """
        if self._features is None or len(self._features) != self.n:
            return None
        features = self._features.flatten(1).double().cpu().numpy()
        eps = max(linalg.EPS64, self.eps**2 * max(features.shape))
        return linalg.spectrum(features @ features.T / features.shape[1], eps)

    @cached_property
    def codes(self) -> Codes:
        """ReLU codes of the batch."""
        if self._codes is None:
            with untouched(self.net), torch.no_grad():
                self._forward(True, None)
        assert self._codes is not None
        return self._codes

    @cached_property
    def hamming(self) -> Array:
        """(n, n) Hamming distances of the ReLU codes."""
        return self.codes.hamming()

    @cached_property
    def targets(self) -> Array | None:
        """One-hot labels (n, classes); None without labels."""
        return (
            None
            if self.y is None or self.classes is None
            else (self.y[:, None] == np.arange(self.classes)).astype(float)
        )

    @cached_property
    def size(self) -> Mapping[str, float]:
        """Parameters, MACs, depth, ReLU units and trainable layers, of the architecture string or of the module."""
        if self._size is not None:
            return self._size
        with untouched(self.net):
            return sizes.module_sizes(self.net, self.x[:1]) | {"relu_units": float(self.codes.units)}

    @cached_property
    def layer_weights(self) -> Mapping[str, Tensor]:
        """Trainable weights of convolution and linear modules, by name."""
        return {name: weight.detach() for name, weight in layer_weights(self.net).items()}

    def training(self, part: str) -> LossGradients:
        """A pass in training mode that has `part` (of `loss_gradients.PARTS`), and all that `needs` named.

        A part that cannot be had costs the others nothing but a pass of their own.
        """
        if part not in self._passes:
            wanted = self._parts | {part} if self.y is not None else frozenset({part})
            try:
                found = loss_gradients(self.net, self.x, self.y, wanted)
            except InputError:
                if len(wanted) == 1:
                    raise
                self._parts, wanted = frozenset(), frozenset({part})
                found = loss_gradients(self.net, self.x, self.y, wanted)
            self._passes |= dict.fromkeys(wanted, found)
        return self._passes[part]

    @cached_property
    def log_flow(self) -> float:
        """log Σ|θ ∂R/∂θ| of the network of absolute weights without normalisation; see `synaptic_flow`."""
        return log_flow(self.net, self.x)

    def gaussian_response(self, alpha: float, samples: int) -> tuple[float, list[float]]:
        """How far the features of Gaussian weights move with a Gaussian input, and BatchNorm's variances."""
        return gaussian_response(self.net, self.x, self.seed, alpha, samples)

    @cached_property
    def _statistics(self) -> Statistics:
        with untouched(self.net):
            return observe(self.net, self.x, "frozen").statistics

    def frozen(self, read: Callable[[Callable[[Tensor], Tensor]], T]) -> T:
        """read(f) for f: x (m, …) → outputs (m, k), a pure function with BatchNorm statistics frozen from the batch."""
        function = frozen_function(self.net, self._statistics)
        with untouched(self.net):
            parameters = {name: p.detach() for name, p in self.net.named_parameters()}
            return read(lambda x: function(parameters, channels_last(x)))

    def frozen_codes(self, x: Tensor) -> Codes:
        """ReLU codes of other inputs (m, …) with BatchNorm statistics frozen from the data batch."""
        codes = Codes(len(x))
        statistics = self._statistics
        instrument = Instrument("frozen", [len(x)], codes=codes, statistics=statistics)
        with untouched(self.net), torch.no_grad(), instrument:
            call(self.net, channels_last(x))
        codes.forget()
        return codes

    @cached_property
    def feature_maps(self) -> FeatureMaps:
        """Feature maps of the layers, activation patterns of the units and covariances of the blocks."""
        return feature_maps(self.net, self.x)

    @cached_property
    def entry_jacobian(self) -> Array:
        """Jacobian (n, C, D) of the logits by the first entry of each of the D trainable parameter tensors."""
        found: Array = entry_jacobian(self.net, self.x, lambda: self._statistics).cpu().numpy()
        return found
