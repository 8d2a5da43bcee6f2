"""One pass over many NAS-Bench-201 networks that share name-keyed weights: kernels, ReLU codes, features, logits.

The A·n rows of a tensor are the n images of architecture 0, then of architecture 1, and so on. At an edge, the k
architectures with the same operation there are gathered to k·n rows, which go through the operation once; what comes
out is added to the rows of the same architectures. BatchNorm normalises the n rows of each architecture by their own
statistics.

The backward pass of the summed logits with frozen statistics is written out. A convolution z = W ∗ x and its BatchNorm
y = s·z + t, with s for each architecture and channel, need x and g = ∂f/∂y alone (see `folding`): J′ = correlation of x
with g, J = s·J′, γ's gradient (⟨W, J′⟩ − μ Σg)/√(v + ε), and x's gradient is the transposed convolution of s·g. The
Gram of J is taken within each architecture: (A, n, n) kernels instead of one of (A·n, A·n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automl_theory.networks.cell import Reduction, ReLUConvBN
from automl_theory.networks.cell_stack import CellStack
from automl_theory.networks.supernet import MixedCell
from automl_theory.probing.call import channels_last
from automl_theory.probing.gram import flatten_samples
from automl_theory.probing.layer_gradients import norm_gradients, sum_positions
from automl_theory.probing.stack_products import grams, weight_gradients
from automl_theory.probing.stack_signals import CountedCodes, Seen
from automl_theory.probing.untouched import untouched

Back = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Readers:
    """How often each architecture rectifies one tensor; those that do (None: all), and how often (k, 1, 1)."""

    of_each: list[int]
    members: Tensor | None
    times: Tensor

    @staticmethod
    def of(of_each: list[int], device: torch.device) -> _Readers:
        some = [a for a, times in enumerate(of_each) if times]
        members = None if len(some) == len(of_each) else torch.tensor(some, dtype=torch.long, device=device)
        times = torch.tensor([of_each[a] for a in some], dtype=torch.float64, device=device)
        return _Readers(of_each, members, times[:, None, None])


def see(stack: CellStack, x: Tensor, *, kernel: bool = True, codes: bool = True, biases: bool = False) -> list[Seen]:
    """What one pass over all members of `stack` shows on the batch x (n, in_channels, h, w).

    Args:
        stack: on the device and in the dtype of x, with BatchNorm statistics of the batch, taken as constants.
        x: one batch for all; h and w multiples of 4.
        kernel: whether to go back for the tangent kernels of the summed logits; codes: whether to keep ReLU codes.
        biases: count parameters named "…bias" too.

    Equal to a pass over each member alone but for rounding: sums are taken in another order.
    """
    run = _Pass(stack, len(x), kernel, codes, biases)
    with untouched(stack), torch.no_grad():
        return run(channels_last(x.detach()))


class _Pass:
    """Goes forward once, remembering a way back for each part of the network, and then back along these."""

    def __init__(self, stack: CellStack, n: int, kernel: bool, codes: bool, biases: bool) -> None:
        self.stack, self.n = stack, n
        self.kernel, self.codes, self.biases = kernel, codes, biases
        self.count = len(stack.members)
        self.units = [0] * self.count

    def __call__(self, x: Tensor) -> list[Seen]:
        stack, n = self.stack, self.n
        self.kernels = torch.zeros(self.count, n, n, dtype=torch.float64, device=x.device)
        self.counts = torch.zeros_like(self.kernels)
        everybody = tuple(range(self.count))
        self.index = {
            members: None if members == everybody else torch.tensor(members, device=x.device)
            for members in {edge.members for edge in stack.edges}
        }
        self.once = _Readers.of([1] * self.count, x.device)
        self.readers = [_Readers.of(stack.readers(source), x.device) for source in range(3)]
        images = x.repeat(self.count, 1, 1, 1) if self.count > 1 else x
        y, back = self._layer(*stack.stem, inputs=lambda: images, members=None, needed=False)
        ways = [back]
        for cell in stack.cells:
            y, back = self._cell(cell, y) if isinstance(cell, MixedCell) else self._reduction(cell, y)
            ways += [back] if self.kernel else []
        features, logits, gradient = self._tail(y)
        if self.kernel:
            while ways:
                gradient = ways.pop()(gradient)
        kernels, counts = self.kernels.cpu().numpy(), self.counts.cpu()
        counted = stack.counted(self.biases)
        return [
            Seen(
                logits[a * n : (a + 1) * n],
                features[a * n : (a + 1) * n],
                kernels[a] if self.kernel else None,
                CountedCodes(counts[a], self.units[a]) if self.codes else None,
                counted[a],
            )
            for a in range(self.count)
        ]

    # Rows of some architectures --------------------------------------------------------------------------------

    def _grouped(self, x: Tensor) -> Tensor:
        """View (k·n, C, h, w) as (k, n, h, w, C)."""
        found: Tensor = x.permute(0, 2, 3, 1).unflatten(0, (-1, self.n))
        return found

    def _take(self, x: Tensor, members: Tensor | None) -> Tensor:
        """The rows of `members` (all for None), channels-last."""
        if members is None:
            return x
        return self._grouped(x).index_select(0, members).flatten(0, 1).permute(0, 3, 1, 2)

    def _put(self, total: Tensor, members: Tensor | None, term: Tensor) -> None:
        """Add `term` to the rows of `members` in place."""
        if members is None:
            total += term
        else:
            self._grouped(total).index_add_(0, members, self._grouped(term))

    def _spread(self, values: Tensor) -> Tensor:
        """Values (k, C) of architectures as those of their images, (k·n, C)."""
        return values.repeat_interleave(self.n, dim=0)

    def _add(self, members: Tensor | None, rows: Tensor) -> None:
        """Add the Grams of per-sample gradients (k·n, P) to the kernels of `members`."""
        found = grams(rows, self.n)
        if members is None:
            self.kernels += found
        else:
            self.kernels.index_add_(0, members, found)

    # Layers ----------------------------------------------------------------------------------------------------

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (k, C) of each architecture's rows, summed as `batch_norm.moments` does."""

        def over_all(values: Tensor) -> Tensor:
            means: Tensor = values.mean((2, 3)).unflatten(0, (-1, self.n))
            return means.mean(1, dtype=torch.float64).to(x.dtype)

        mean = over_all(x)
        return mean, over_all((x - _per_channel(self._spread(mean))).square_())

    def _normalise(self, z: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """BatchNorm(z) by each architecture's statistics, and μ, 1/√(v + ε), γ/√(v + ε) of every row, (k·n, C)."""
        mean, var = self._moments(z)
        inverse = (var + norm.eps).rsqrt()
        scale = inverse * norm.weight
        shift = norm.bias - mean * scale
        y = torch.addcmul(_per_channel(self._spread(shift)), z, _per_channel(self._spread(scale)))
        return y, self._spread(mean), self._spread(inverse), self._spread(scale)

    def _rectify(self, x: Tensor, readers: _Readers) -> Tensor:
        """relu(x); the code of an architecture counts as often as it reads it."""
        out = x.relu()
        if self.codes:
            found = grams(flatten_samples(self._take(out, readers.members)).sign(), self.n) * readers.times
            if readers.members is None:
                self.counts += found
            else:
                self.counts.index_add_(0, readers.members, found)
            for a, times in enumerate(readers.of_each):
                self.units[a] += times * out[0].numel()
        return out

    def _layer(
        self,
        conv: Any,
        norm: Any = None,
        *,
        inputs: Callable[[], Tensor],
        members: Tensor | None,
        needed: bool = True,
    ) -> tuple[Tensor, Back]:
        """Convolution and BatchNorm of the rows of `members`, and its way back: the gradient of the inputs."""
        weight = conv.weight
        steps, pad, spread = list(conv.stride), list(conv.padding), list(conv.dilation)
        z = F.conv2d(inputs(), weight, None, conv.stride, conv.padding)
        y, mean, inverse, scale = (z, None, None, None) if norm is None else self._normalise(z, norm)
        shape = len(weight)

        def back(grad: Tensor) -> Tensor:
            x = inputs()
            rows = weight_gradients(x, grad, conv)
            if mean is not None and inverse is not None and scale is not None:
                by_channel = rows.view(len(rows), shape, -1)
                shift = sum_positions(grad)
                along = (by_channel * weight.reshape(1, shape, -1)).sum(2)
                self._add(members, (along - mean * shift) * inverse)
                if self.biases:
                    self._add(members, shift)
                rows = (by_channel * scale[:, :, None]).flatten(1)
                grad = grad * _per_channel(scale)
            self._add(members, rows)
            if not needed:
                return grad
            arguments = (steps, pad, spread, False, [0, 0], 1, [True, False, False])
            found: Tensor = torch.ops.aten.convolution_backward(grad, x, weight, None, *arguments)[0]
            return found

        return y, back

    # Parts of the network --------------------------------------------------------------------------------------

    def _cell(self, cell: MixedCell, x: Tensor) -> tuple[Tensor, Back]:
        mixed: Any = cell.layers
        nodes = [x, torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x)]
        rectified: dict[int, Tensor] = {}
        ways: list[tuple[int, int, Tensor | None, Back]] = []
        for edge in self.stack.edges:
            source, target, members = edge.source, edge.target, self.index[edge.members]
            layer = mixed[edge.edge][edge.operation]
            if isinstance(layer, ReLUConvBN):
                if source not in rectified:
                    rectified[source] = self._rectify(nodes[source], self.readers[source])
                term, back = self._convolution(layer, rectified[source], members)
            else:
                pools = edge.operation == "avg_pool_3x3"
                term = self._take(nodes[source], members)
                term, back = (layer(term), _pool_back) if pools else (term, _same)
            self._put(nodes[target], members, term)
            ways.append((source, target, members, back))
        nodes[:3] = []

        def whole(grad: Tensor) -> Tensor:
            grads = [torch.zeros_like(grad), torch.zeros_like(grad), torch.zeros_like(grad), grad]
            while ways:
                source, target, members, back = ways.pop()
                self._put(grads[source], members, back(self._take(grads[target], members)))
            return grads[0]

        return nodes[-1], whole

    def _convolution(self, block: ReLUConvBN, rectified: Tensor, members: Tensor | None) -> tuple[Tensor, Back]:
        """Convolution and BatchNorm of a ReLUConvBN; its way back ends before the ReLU."""
        y, back = self._layer(*list(block.op)[1:], inputs=lambda: self._take(rectified, members), members=members)
        return y, lambda grad: back(grad).mul_(self._take(rectified, members) > 0)

    def _reduction(self, block: nn.Module, x: Tensor) -> tuple[Tensor, Back]:
        assert isinstance(block, Reduction)
        first = self._rectify(x, self.once)
        y, back_a = self._convolution(block.conv_a, first, None)
        second = self._rectify(y, self.once)
        y, back_b = self._convolution(block.conv_b, second, None)
        pooled = block.downsample[0](x)
        shortcut, back_c = self._layer(block.downsample[1], inputs=lambda: pooled, members=None)

        def whole(grad: Tensor) -> Tensor:
            through = torch.ops.aten.avg_pool2d_backward(back_c(grad), first, [2], [2], [0], False, True, None)
            total: Tensor = back_a(back_b(grad)) + through
            return total

        return y.add_(shortcut), whole

    def _tail(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, logits, and the gradient of the summed logits by x, which is zero where none is asked for."""
        norm, linear = self.stack.lastact[0], self.stack.classifier
        assert isinstance(norm, nn.BatchNorm2d)
        y, mean, inverse, scale = self._normalise(x, norm)
        y = self._rectify(y, self.once)
        features = F.adaptive_avg_pool2d(y, 1).flatten(1)
        logits = F.linear(features, linear.weight, linear.bias)
        if not self.kernel:
            return features, logits, x
        self.kernels += grams(features, self.n) * linear.out_features
        if self.biases:
            self.kernels += linear.out_features
        active = y > 0
        grad = active * _per_channel(linear.weight.sum(0, keepdim=True) / active[0, 0].numel())
        grad = channels_last(grad)
        for_scale, for_shift = norm_gradients(x, grad, mean, inverse)
        self._add(None, for_scale)
        if self.biases:
            self._add(None, for_shift)
        return features, logits, grad * _per_channel(scale)


def _per_channel(values: Tensor) -> Tensor:
    return values[:, :, None, None]


def _same(grad: Tensor) -> Tensor:
    return grad


def _pool_back(grad: Tensor) -> Tensor:
    found: Tensor = torch.ops.aten.avg_pool2d_backward(grad, grad, [3], [1], [1], False, False, None)
    return found
