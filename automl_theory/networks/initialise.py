"""Weights keyed by name: parameter `n` under seed `s` is a function of (n, s, shape, method) and of nothing else.

    g = numpy.random.Generator(PCG64(crc32(n) xor s))

Each parameter has its own generator, so a value does not depend on the other parameters, on their order, on the device,
the dtype, the thread count or torch's global random state. Two architectures with an edge of the same name and shape
start from the same weights there (common random numbers), which lowers the noise of every comparison between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest

METHODS = ("pytorch", "he_fan_in", "he_fan_out")

Net = TypeVar("Net", bound=nn.Module)

_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
_WEIGHTED = (_ConvNd, nn.Linear)


def generator(name: str, seed: int) -> np.random.Generator:
    """Return Generator(PCG64(crc32(name in UTF-8) xor seed)), the one source of randomness of parameter `name`."""
    return np.random.Generator(np.random.PCG64(crc32(name.encode()) ^ seed))


def draw(name: str, shape: tuple[int, ...], method: str = "pytorch", seed: int = 0) -> NDArray[np.float32]:
    """Draw the weight called `name`, a float32 array of `shape` = (out, in, *kernel).

    pytorch      U(-b, b), b = 1/sqrt(fan_in): what Conv and Linear of PyTorch start from (Kaiming uniform, a = sqrt 5).
                 Drawn in float32: (2u - 1) b with u a 24-bit uniform number.
    he_fan_in    N(0, 2/fan_in)   (He et al. 2015, forward), drawn in float64, scaled, then rounded to float32.
    he_fan_out   N(0, 2/fan_out)  (He et al. 2015, backward), likewise.

    fan_in = in * prod(kernel), fan_out = out * prod(kernel). Transposed convolutions store (in, out, *kernel) and get
    PyTorch's own convention for them: fan_in = prod(shape[1:]). An empty shape[1:] (a vector) has fan_in 1.

    Errors: InputError for an unknown method. A shape with a zero gives an empty array.
    """
    _check_method(method)
    fan_in = max(math.prod(shape[1:]), 1)
    if method == "pytorch":
        return _uniform(name, shape, 1 / math.sqrt(fan_in), seed)
    fan = fan_in if method == "he_fan_in" else max(shape[0] * math.prod(shape[2:]), 1)
    normal = generator(name, seed).standard_normal(shape)
    normal *= math.sqrt(2 / fan)
    return normal.astype(np.float32)


def initialise(net: Net, method: str = "pytorch", seed: int = 0, *, rename: Callable[[str], str] | None = None) -> Net:
    """Set every floating-point parameter of `net`, in place, from its name and the seed; return `net`.

    method       "pytorch", "he_fan_in" or "he_fan_out": the distribution of weights, see `draw`.
    seed         an integer >= 0.
    rename       maps a parameter's name to the name that keys it; the default is the name in `net.named_parameters()`.
                 With it two networks that call the same layer differently get the same weights.

    What is set, whatever the method:

    - convolution and linear weights: by `draw`. Their biases: "pytorch" U(-b, b) with the b of their weight, else 0.
    - batch, instance, group, layer and RMS norm: weight 1, bias 0; running mean 0, running variance 1, batch count 0.
    - embeddings: N(0, 1), the padding row 0 (PyTorch's default, under every method).
    - parameters of any other module: with two or more dimensions by `draw`; with fewer, PReLU 0.25, names that contain
      "bias" 0 (so LSTM and attention biases are 0), all others 1 (they are mostly gains).

    A shared parameter is set once, under its first name. `requires_grad`, mode, hooks, gradients, other buffers and the
    random state of torch and numpy are left alone. A value is a float32 number in a module of any wider dtype; narrower
    dtypes round it. A module without parameters is returned unchanged.

    Errors: InputError for something that is no module, an unknown method, a seed that is no integer >= 0, or a
    parameter that has no values yet (lazy, or on the meta device).

    Source: He, Zhang, Ren & Sun 2015 (he_fan_in, he_fan_out); torch.nn's reset_parameters (pytorch).
    """
    if not isinstance(net, nn.Module):
        raise InputError(f"expected an nn.Module to initialise, got {type(net).__name__}; build the network first")
    _check_method(method)
    whole("seed", seed, 0)
    key = rename or (lambda name: name)
    done: set[int] = set()
    with torch.no_grad():
        for prefix, module in net.named_modules():
            for local, parameter in module._parameters.items():
                if parameter is None or id(parameter) in done:
                    continue
                done.add(id(parameter))
                name = f"{prefix}.{local}" if prefix else local
                if isinstance(parameter, nn.UninitializedParameter):
                    raise InputError(
                        f"parameter {name!r} is lazy and has no shape yet; give its layer the size of its input, or "
                        "run one forward pass first"
                    )
                if parameter.is_meta:
                    raise InputError(f"parameter {name!r} is on the meta device; call to_empty(device='cpu') first")
                if parameter.is_floating_point() or parameter.is_complex():
                    _set(module, local, parameter, key(name), method, int(seed))
            if isinstance(module, _NormBase):
                module.reset_running_stats()
    return net


def _set(module: nn.Module, local: str, parameter: nn.Parameter, name: str, method: str, seed: int) -> None:
    shape = tuple(parameter.shape)
    if isinstance(module, _NORMS):
        parameter.fill_(float("bias" not in local))
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        parameter.copy_(torch.from_numpy(generator(name, seed).standard_normal(shape).astype(np.float32)))
        if module.padding_idx is not None:
            parameter[module.padding_idx] = 0
    elif len(shape) >= 2:
        parameter.copy_(torch.from_numpy(draw(name, shape, method, seed)))
    elif isinstance(module, _WEIGHTED) and local == "bias":
        if method == "pytorch":
            fan_in = max(math.prod(module.weight.shape[1:]), 1)
            parameter.copy_(torch.from_numpy(_uniform(name, shape, 1 / math.sqrt(fan_in), seed)))
        else:
            parameter.zero_()
    elif isinstance(module, nn.PReLU):
        parameter.fill_(0.25)
    else:
        parameter.fill_(float("bias" not in local))


def _uniform(name: str, shape: tuple[int, ...], bound: float, seed: int) -> NDArray[np.float32]:
    values = generator(name, seed).random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(2 * bound)
    return values


def _check_method(method: str) -> None:
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise InputError(f"unknown initialisation {method!r}; expected one of {known}.{suggest(str(method), METHODS)}")
