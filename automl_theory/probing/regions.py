"""TE-NAS's count of linear regions: distinct ReLU patterns of a thin network over thousands of small inputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from automl_theory.probing.activations import distinct_codes
from automl_theory.probing.instrument import Instrument
from automl_theory.probing.untouched import untouched


class _Patterns:
    """Keeps the sign pattern of every ReLU output of one pass, in order of call."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.signs: list[Tensor] = []

    def add(self, source: Tensor, output: Tensor) -> None:
        if output.ndim > 1 and len(output) == self.n:
            self.signs.append((output.detach() > 0).flatten(1))


def patterns(net: nn.Module, x: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(n, U) Boolean matrix: the sign of every ReLU output of `net` on x (n, …); BatchNorm by batch statistics."""
    collector = _Patterns(len(x))
    with untouched(net), torch.no_grad(), Instrument("frozen", [len(x)], codes=collector):
        net(x.clone())
    signs = torch.cat(collector.signs, dim=1) if collector.signs else torch.zeros(len(x), 0, dtype=torch.bool)
    out: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = signs.cpu().numpy()
    return out


def count_regions(net: nn.Module, batches: list[Tensor]) -> int:
    """Distinct ReLU patterns over several batches (n_i, …), each normalised by its own statistics, pooled.

    A network without a ReLU has 1 region; no samples have none. Source: Chen, Gong & Wang 2021.
    """
    return distinct_codes(np.concatenate([patterns(net, x) for x in batches]))


def thin_regions(net: nn.Module, samples: int, repeats: int, seed: int, shape: tuple[int, ...] = (1, 3, 3)) -> int:
    """`count_regions` over `repeats` batches of `samples` standard normal inputs of `shape`, from PCG64(seed)."""
    generator = np.random.Generator(np.random.PCG64(seed))
    x = torch.from_numpy(generator.standard_normal((repeats, samples, *shape)).astype(np.float32))
    parameter = next(net.parameters(), None)
    return count_regions(net, list(x if parameter is None else x.to(parameter.device, parameter.dtype)))
