"""Train many networks of one shape at once: SGD on weights that are stacked over the members.

Each member minimises its own mean cross-entropy on its own batches, drawn by its own seed, at its own learning rate.
One backward pass serves all: a member's loss does not depend on another's weights, so the gradient of the sum of losses
holds each member's own, and a member that diverges leaves the others as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from automl_theory.errors import InputError
from automl_theory.training.curves import epochs_to, has_converged
from automl_theory.training.data import Data, check_data, check_labels, check_seed
from automl_theory.training.descent import Stack, descent
from automl_theory.training.recipe import Recipe, orders

EVALUATION_BATCH = 512

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Many:
    """What became of K training runs; the fields of `training.Result` as arrays, and more.

    train_loss, test_loss          (K,) mean cross-entropy in nats over the whole set at the end
    train_accuracy, test_accuracy  (K,) % of the whole set at the end
    epochs_to_50                   (K,) epochs until the running accuracy first reaches 50 %, interpolated by
                                   `epochs_to`, within the first epoch from the accuracy before training; nan if never
    halfway_loss                   (K,) loss of the whole training set after half the epochs (rounded down); of no
                                   epochs, nan
    losses, accuracies             (K, epochs): mean loss and % right of the training samples as their batches pass,
                                   each before the step it causes; nan from the epoch of divergence on
    status                         of each member "ok", or "diverged": a loss was not finite, and its values but the
                                   curves' first epochs are nan. A network whose ReLUs have all died is "ok", with the
                                   loss log(classes)
    stack                          the networks with their trained weights (a diverged member's are worthless)
    """

    train_loss: Array
    test_loss: Array
    train_accuracy: Array
    test_accuracy: Array
    epochs_to_50: Array
    halfway_loss: Array
    losses: Array
    accuracies: Array
    status: tuple[str, ...]
    stack: Any

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(K,) whether the second half of the training changed the loss by at most 0.01 nats (`has_converged`)."""
        return np.array([has_converged(*pair) for pair in zip(self.halfway_loss, self.train_loss, strict=True)], bool)


def train_many(
    stack: Stack,
    train_data: Data,
    test_data: Data,
    recipe: Recipe | None = None,
    *,
    seeds: Sequence[int],
    learning_rates: Sequence[float] | None = None,
) -> Many:
    """Train every member of `stack` from the weights it has; the stack itself stays as it is.

    train_data, test_data   pairs (x, y) that all members share: x as `stack.logits` takes it, y (n,) int64
    seeds                   (K,) of each member, for the order of its samples: the very permutation `train` draws
    learning_rates          (K,) of each member in the place of the recipe's; the schedule multiplies it as it does that

    A member comes out as `train` would leave the network alone, up to rounding. In which stack it is, and where, is
    rounding too: results are equal bit for bit where the stacks are, see `train`. No random state but that of the seeds
    is used.

    Errors: InputError for data, seeds, rates or logits of the wrong number, kind or shape.
    """
    recipe = recipe or Recipe()
    parameters = stack.parameters
    count = _check(parameters, train_data, test_data, seeds, learning_rates)
    rates = torch.tensor(
        [recipe.learning_rate] * count if learning_rates is None else list(learning_rates), dtype=torch.float64
    )
    net: Stack = stack.with_parameters([value.detach().clone() for value in parameters])
    for data in (train_data, test_data):
        _check_logits(net, data, count)
    x, y = train_data
    steps = recipe.steps(len(y))
    total = steps * recipe.epochs
    relative = replace(recipe, learning_rate=1.0)
    forward = descent(net, recipe)
    streams = [orders(seed, len(y)) for seed in dict.fromkeys(seeds)]
    place = torch.tensor([list(dict.fromkeys(seeds)).index(seed) for seed in seeds])
    losses, accuracies = np.full((2, count, recipe.epochs), math.nan)
    start = _evaluate(net, train_data, count)[1].tolist()
    alive = torch.ones(count, dtype=torch.bool)
    halfway = torch.full((count,), math.nan, dtype=torch.float64)
    for epoch, drawn in enumerate(islice(zip(*streams, strict=True), recipe.epochs)):
        if epoch == recipe.epochs // 2:
            halfway = _evaluate(net, train_data, count)[0]
        loss_sum, right_sum = torch.zeros(2, count, dtype=torch.float64)
        order = torch.stack(drawn)[place]
        for number, chosen in enumerate(order.tensor_split(steps, dim=1)):
            flat = chosen.flatten()
            logits, descend = forward(x.index_select(0, flat).unflatten(0, chosen.shape))
            loss, right, slope = _outcome(logits, y.index_select(0, flat).view(chosen.shape))
            descend(slope, rates * relative.rate(epoch * steps + number, total))
            loss_sum += loss
            right_sum += right
        alive &= torch.isfinite(loss_sum)
        going = alive.numpy()
        if not going.any():
            break
        losses[going, epoch] = loss_sum.numpy()[going] / len(y)
        accuracies[going, epoch] = right_sum.numpy()[going] / len(y)
    accuracies *= 100
    train_loss, train_accuracy = _evaluate(net, train_data, count)
    test_loss, test_accuracy = _evaluate(net, test_data, count)
    fine = alive & torch.isfinite(train_loss) & torch.isfinite(test_loss)

    reached = [epochs_to(curve, 50.0, first) for curve, first in zip(accuracies.tolist(), start, strict=True)]

    def told(values: Tensor) -> Array:
        return torch.where(fine, values, math.nan).numpy()

    return Many(
        train_loss=told(train_loss),
        test_loss=told(test_loss),
        train_accuracy=told(train_accuracy),
        test_accuracy=told(test_accuracy),
        epochs_to_50=told(torch.tensor(reached, dtype=torch.float64)),
        halfway_loss=told(halfway),
        losses=losses,
        accuracies=accuracies,
        status=tuple("ok" if one else "diverged" for one in fine.tolist()),
        stack=stack.with_parameters([value.detach() for value in net.parameters]),
    )


def _evaluate(net: Stack, data: Data, count: int) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (K,) and accuracy (K,) in % over a whole set, float64."""
    x, y = data
    sums = torch.zeros(2, count, dtype=torch.float64)
    with torch.no_grad():
        for part, labels in zip(x.split(EVALUATION_BATCH), y.split(EVALUATION_BATCH), strict=True):
            loss, right, _ = _outcome(net.logits(part), labels.expand(count, -1))
            sums[0] += loss
            sums[1] += right
    return sums[0] / len(y), 100.0 * sums[1] / len(y)


def _outcome(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits (K, n, C) and labels (K, n): summed cross-entropy (K,) float64, how many are right, d mean / d logits.

    In the layout (K, C, n), in which the sums over classes run over many samples at once. The derivative of -log p_y is
    p - onehot(y). The largest logit decides; argmax, which is slow, is asked only where there are equal ones, or nan.
    """
    turned = logits.mT.contiguous()
    target = labels.unsqueeze(1)
    top = turned == turned.amax(1, keepdim=True)
    if int(top.count_nonzero()) == labels.numel():
        right = top.gather(1, target).squeeze(1).sum(1)
    else:
        right = (turned.argmax(1) == labels).sum(1)
    slope = turned.log_softmax(1)
    loss = -slope.gather(1, target).squeeze(1).sum(1).double()
    slope.exp_().scatter_add_(1, target, torch.full((), -1, dtype=slope.dtype).expand(target.shape))
    return loss, right, slope.div_(labels.shape[1]).mT


def _check_logits(net: Stack, data: Data, count: int) -> None:
    x, y = data
    with torch.no_grad():
        logits = net.logits(x[:1])
    if logits.dim() != 3 or tuple(logits.shape[:2]) != (count, 1):
        raise InputError(
            f"expected logits of shape ({count}, 1, classes) of one input, got {tuple(logits.shape)}; "
            "give a stack that returns them"
        )
    check_labels(y, logits.shape[2])


def _check(
    parameters: Sequence[Tensor],
    train_data: Data,
    test_data: Data,
    seeds: Sequence[int],
    learning_rates: Sequence[float] | None,
) -> int:
    """Return the number of members."""
    found = [len(value) for value in parameters]
    count = max(found, default=0)
    if not count or set(found) != {count}:
        raise InputError(f"expected weights stacked over one number of members, at least 1, got {found}; stack anew")
    for name, data in (("train_data", train_data), ("test_data", test_data)):
        check_data(name, data)
        if data[0].dtype != parameters[0].dtype:
            raise InputError(
                f"expected inputs of {name} in {parameters[0].dtype}, as the weights, got {data[0].dtype}; convert one"
            )
    if len(seeds) != count:
        raise InputError(f"expected a seed for each of {count} members, got {len(seeds)}; give as many")
    for seed in seeds:
        check_seed(seed)
    if learning_rates is not None and len(learning_rates) != count:
        raise InputError(f"expected a rate for each of {count} members, got {len(learning_rates)}; give as many")
    for rate in learning_rates or ():
        if not isinstance(rate, int | float) or not 0 <= rate < math.inf:
            raise InputError(f"expected learning rates in [0, inf), got {rate!r}; give numbers there")
    return count
