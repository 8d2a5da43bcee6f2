"""A mask is a boolean tensor of a weight's shape, True where the weight stays; masks map parameter names to them.

masks = at.prune(net, "synflow", density=0.05, x=x)
apply_masks(net, masks)              weights that are out become 0, in place
with hold(net, masks): train(...)    and stay 0 through every step of any optimiser
layer_table(masks)                   what is left of each layer
export_masks(net, masks)             for torch.nn.utils.prune and whatever builds on it
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import prune as torch_prune
from torch.optim.optimizer import register_optimizer_step_post_hook

from automl_theory.errors import InputError, suggest
from automl_theory.probing.call import check_module

Masks = dict[str, Tensor]
Net = TypeVar("Net", bound=nn.Module)


def prunable(net: nn.Module, parameters: Sequence[str] | None = None) -> dict[str, nn.Parameter]:
    """Return the weights that pruning may touch, by name, in the order of `net.named_parameters()`.

    By default those are the weights of all convolutions (transposed ones too) and linear layers, frozen or not; biases,
    normalisation and embeddings are never pruned. `parameters` names others, or fewer, as `net.named_parameters()`
    calls them. A shared weight counts once, under its first name.

    Errors: InputError for something that is no module, unknown names, names given twice, a parameter that is no
    floating-point tensor with values, or nothing to prune.
    """
    check_module(net)
    known = dict(net.named_parameters())
    if parameters is None:
        layers = (m for m in net.modules() if isinstance(m, _ConvNd | nn.Linear))
        wanted = {id(m._parameters["weight"]) for m in layers if m._parameters.get("weight") is not None}
        chosen = {name: parameter for name, parameter in known.items() if id(parameter) in wanted}
    else:
        if isinstance(parameters, str) or not all(isinstance(name, str) for name in parameters):
            raise InputError(f"expected parameters as a list of names, got {parameters!r}; give ['layer.weight', ...]")
        for name in parameters:
            if name not in known:
                raise InputError(
                    f"the network has no parameter {name!r}; take names from net.named_parameters(), where a shared "
                    f"one has its first name.{suggest(name, known)}"
                )
        if len(set(parameters)) < len(parameters):
            raise InputError("expected parameters to name each weight once, got one twice; leave the second out")
        chosen = {name: parameter for name, parameter in known.items() if name in set(parameters)}
    if not sum(parameter.numel() for parameter in chosen.values()):
        raise InputError(
            "nothing to prune: expected convolution or linear weights, got none; give a network that has some, or in "
            "Python name others in parameters=[...]"
        )
    for name, parameter in chosen.items():
        if not parameter.is_floating_point() or parameter.is_meta:
            what = "on the meta device" if parameter.is_meta else f"of {parameter.dtype}"
            raise InputError(f"expected {name!r} to be floating-point numbers, got a weight {what}; leave it out")
    return chosen


def check_masks(net: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """Return the weights that `masks` are of; InputError unless each is a boolean tensor of its weight's shape."""
    check_module(net)
    known = dict(net.named_parameters())
    check_mask_values(masks)
    for name, mask in masks.items():
        if f"{name}_orig" in known:
            raise InputError(
                f"{name!r} is held by torch.nn.utils.prune, as after export_masks; make that permanent with "
                "torch.nn.utils.prune.remove, or take the network from before"
            )
        if name not in known:
            raise InputError(
                f"the masks are of another network: this one has no parameter {name!r}; build the network they were "
                f"made for.{suggest(name, known)}"
            )
        if mask.shape != known[name].shape:
            raise InputError(
                f"the masks are of another network: {name!r} has shape {tuple(known[name].shape)}, its mask "
                f"{tuple(mask.shape)}; build the network they were made for"
            )
    return {name: known[name] for name in masks}


def check_mask_values(masks: Mapping[str, Tensor]) -> None:
    """Raise InputError unless `masks` is a mapping, not empty, of names to boolean tensors."""
    if not isinstance(masks, Mapping) or not masks:
        what = "an empty one" if isinstance(masks, Mapping) else type(masks).__name__
        raise InputError(f"expected masks as a mapping of names to boolean tensors, got {what}; make it with prune")
    for name, mask in masks.items():
        if not isinstance(name, str) or not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            what = str(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__
            raise InputError(f"expected the mask of {name!r} to be a boolean tensor, got {what}; compare with 0")


def apply_masks(net: Net, masks: Mapping[str, Tensor]) -> Net:
    """Set every weight that `masks` leave out to 0, in place; return `net`.

    Parameters without a mask, gradients, mode and buffers are left alone. A weight that is NaN becomes 0 too. Nothing
    keeps the zeros there: a later optimiser step with momentum or a gradient moves them; see `hold`.

    Errors: InputError for masks of another network, or that are no boolean tensors.
    """
    with torch.no_grad():
        for name, parameter in check_masks(net, masks).items():
            parameter.masked_fill_(~masks[name].to(parameter.device), 0)
    return net


@contextmanager
def hold(net: Net, masks: Mapping[str, Tensor]) -> Iterator[Net]:
    """Keep `net` under `masks` while inside, whatever optimiser steps: apply them now, and after every step.

    Inside, gradients of weights that are out are 0 (so clipping by a norm counts what is left), and after each step of
    any `torch.optim` optimiser its running averages of the shape of a masked weight (momentum, Adam's moments) and
    that weight itself are set to 0 there. So neither momentum from before, nor weight decay, nor an optimiser that adds
    noise can bring a weight back. The training loop need not know; on leaving, the hooks are gone, the zeros remain.

    Errors: InputError for masks of another network.
    """
    weights = check_masks(net, masks)
    apply_masks(net, masks)
    out = {id(p): ~masks[name].to(p.device) for name, p in weights.items()}

    def enforce(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                if id(parameter) in out:
                    clear(optimiser, parameter, out[id(parameter)])

    def masked(where: Tensor) -> Any:
        return lambda gradient: gradient.masked_fill(where, 0)

    handles: list[Any] = [p.register_hook(masked(out[id(p)])) for p in weights.values() if p.requires_grad]
    handles.append(register_optimizer_step_post_hook(enforce))
    try:
        yield net
    finally:
        for handle in handles:
            handle.remove()


def clear(optimiser: torch.optim.Optimizer, parameter: Tensor, where: Tensor) -> None:
    """Set `parameter`, and what `optimiser` remembers of it element by element, to 0 where `where` is True."""
    remembered = optimiser.state.get(parameter, {}).values()
    with torch.no_grad():
        for tensor in (parameter, *remembered):
            if isinstance(tensor, Tensor) and tensor.shape == parameter.shape and tensor.dim():
                tensor.masked_fill_(where, 0)


def export_masks(net: Net, masks: Mapping[str, Tensor]) -> Net:
    """Put `masks` on `net`, in place, as `torch.nn.utils.prune` keeps them; return `net`.

    Each weight w becomes the parameter w_orig, with the buffer w_mask, and w = w_orig · w_mask before each forward
    pass. `torch.nn.utils.prune.remove(module, "weight")` makes it permanent. A shared weight is masked in every module
    that holds it.

    Gradients of w_orig are masked too, so that tangent kernels of `net` are those of the pruned network, whose weights
    that are out are no parameters; under `apply_masks` or `hold` they count as parameters that are 0. Measures that
    look for layers' own weights, as SNIP's and SynFlow's, find none in an exported network: apply the masks for these.

    Errors: InputError for masks of another network.
    """
    weights = check_masks(net, masks)
    names = {id(parameter): name for name, parameter in weights.items()}
    for module in list(net.modules()):
        for local, parameter in list(module._parameters.items()):
            if parameter is not None and id(parameter) in names:
                torch_prune.custom_from_mask(module, local, masks[names[id(parameter)]].to(parameter.device))
    return net


def layer_table(masks: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """Return one row a layer and a last one called "total": name, shape, weights, kept, density = kept / weights.

    `kept` is 0 for a layer that collapsed; the shape of the total is None.
    """
    check_mask_values(masks)
    rows: list[dict[str, Any]] = [
        {"name": name, "shape": tuple(mask.shape), "weights": mask.numel(), "kept": int(mask.sum())}
        for name, mask in masks.items()
    ]
    weights, kept = (sum(row[key] for row in rows) for key in ("weights", "kept"))
    rows.append({"name": "total", "shape": None, "weights": weights, "kept": kept})
    return [{**row, "density": row["kept"] / row["weights"] if row["weights"] else 0.0} for row in rows]


def graph_settings(net: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return {"groups": {name: groups}, "transposed": [names]} of the masks that are convolutions'.

    `automl_theory.mask_table(masks, **graph_settings(net, masks))` then measures each group of a grouped convolution as
    a graph of its own. A weight that is no convolution's has one group.
    """
    weights = check_masks(net, masks)
    names = {id(parameter): name for name, parameter in weights.items()}
    held = [(names.get(id(m._parameters.get("weight"))), m) for m in net.modules() if isinstance(m, _ConvNd)]
    found = {name: module for name, module in held if name is not None}
    return {
        "groups": {name: module.groups for name, module in found.items()},
        "transposed": [name for name, module in found.items() if module.transposed],
    }
