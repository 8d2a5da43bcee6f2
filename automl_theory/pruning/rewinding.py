"""Magnitude pruning after training, with the weights rewound: what pruning at initialisation is compared with.

    before = copy.deepcopy(net.state_dict())       at initialisation, or after a few epochs
    train(net, …)                                  densely
    masks = rewind(net, before, density=0.05)      the largest |w| of the trained weights; net is back at `before`
    with hold(net, masks): train(net, …)           what is left, trained from there

In rounds (iterative magnitude pruning), the weights that a round left out are 0 when the next one looks, since `hold`
keeps them there: they are the smallest, and do not return.

    for i in range(1, rounds + 1):
        masks = rewind(net, before, density ** (i / rounds))
        with hold(net, masks): train(net, …)

Sources: Han et al. 2015 (magnitude); Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (rewound to the start);
Frankle et al. 2020, "Linear Mode Connectivity and the Lottery Ticket Hypothesis" (to an early epoch).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from automl_theory.errors import InputError, suggest
from automl_theory.pruning.at_init import prune
from automl_theory.pruning.masks import Masks, apply_masks


def rewind(
    net: nn.Module,
    before: Mapping[str, Tensor],
    density: float,
    *,
    scope: str = "global",
    seed: int = 0,
    parameters: Sequence[str] | None = None,
) -> Masks:
    """Return the masks of the largest |w| of `net` as it is trained, and set `net`, in place, to `before` under them.

    net         trained, densely in the first round: weights that a mask held at 0 are the smallest, so that the same
                density would give that mask again. Afterwards all its parameters and buffers (running statistics of
                normalisation too) are those of `before`, and the weights that the masks leave out are 0. The mode stays
    before      a copy of net.state_dict() from an earlier time
    density, scope, seed, parameters   as in `at.prune(net, "magnitude", …)`: max(1, round(density · N)) weights stay

    Errors: InputError if `before` is no mapping, shares memory with `net` (a state_dict that was not copied has been
    trained along with it), or is of another network (net is then unchanged); those of `at.prune`.
    """
    masks = prune(net, "magnitude", density, seed=seed, scope=scope, parameters=parameters)
    if not isinstance(before, Mapping):
        raise InputError(f"expected before as a state_dict, got {type(before).__name__}; copy net.state_dict()")
    now = net.state_dict()
    for name in now:
        if name not in before:
            raise InputError(f"before has no {name!r}: it is of another network; copy net.state_dict() of this one")
    for name, value in before.items():
        if name not in now:
            hint = suggest(str(name), now)
            raise InputError(f"before has {name!r}, unknown to the network; copy net.state_dict() of this one.{hint}")
        if not isinstance(now[name], Tensor):
            continue
        if not isinstance(value, Tensor) or value.shape != now[name].shape:
            what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InputError(
                f"expected {name!r} of before to have shape {tuple(now[name].shape)}, got {what}; copy "
                "net.state_dict() of this network"
            )
        if value.numel() and value.untyped_storage().data_ptr() == now[name].untyped_storage().data_ptr():
            raise InputError(
                f"{name!r} of before is the network's own tensor and was trained along; copy it before training: "
                "copy.deepcopy(net.state_dict())"
            )
    with torch.no_grad():
        net.load_state_dict(dict(before))
    apply_masks(net, masks)
    return masks
