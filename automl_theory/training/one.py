"""Train one small network plainly.

The default recipe is that of NAS-Bench-201 (Dong & Yang, ICLR 2020): SGD with Nesterov momentum, weight decay on every
parameter and a cosine schedule, on the mean cross-entropy of each batch; without augmentation. Any `nn.Module` that
maps inputs (n, ...) to logits (n, classes) can be trained: a cell network, a perceptron.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from automl_theory.errors import InputError
from automl_theory.training.curves import epochs_to
from automl_theory.training.data import Data, check_data, check_labels, check_seed
from automl_theory.training.recipe import Recipe, orders

EVALUATION_BATCH = 512

Step = Callable[[torch.optim.Optimizer], object]


@dataclass(frozen=True)
class Result:
    """What became of a training run.

    train_loss, test_loss          mean cross-entropy in nats over the whole set at the end, in eval mode (running
                                   statistics in batch normalisation). A train_loss well above 0 is a run that has not
                                   converged, or cannot
    train_accuracy, test_accuracy  % of the whole set at the end, in eval mode
    epochs_to_50                   epochs until `history` first reaches 50 %, interpolated by `epochs_to`; nan if never
    history                        per epoch, % of the training samples classified rightly as their batches pass: train
                                   mode, each before the step it causes, so the weights change within the epoch
    status                         "ok", or "diverged": a loss was not finite. Training stopped there; losses and
                                   accuracies are nan, `history` has the epochs before
    """

    train_loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    epochs_to_50: float
    history: tuple[float, ...]
    status: str


def train(
    net: nn.Module,
    train_data: Data,
    test_data: Data,
    recipe: Recipe | None = None,
    seed: int = 0,
    *,
    step: Step | None = None,
) -> Result:
    """Train `net` in place from the weights it has, and leave it in eval mode.

    train_data, test_data   pairs (x, y): x (n, ...) as the network takes it, y (n,) int64 class numbers
    seed                    decides the order of samples and nothing else (the weights are the caller's; see
                            `networks.initialise`): torch's generator `seed` permutes them once an epoch. torch's global
                            random state is used only by a network that draws from it, such as one with dropout
    step                    called with the optimiser in place of its `step()`, after each backward pass: the gradients
                            are in the parameters, the rate is the recipe's. It takes the step, or does not. So masks
                            can move in training (`step=sparse.step` of a `pruning.dynamic.DynamicSparse`), and whoever
                            counts its calls can look at the network now and then; it leaves the mode as it found it

    Parameters with `requires_grad=False` stay as they are. Equal inputs, seed, threads and memory layout on one machine
    and one version of torch give equal results, bit for bit. Elsewhere the last bits differ, and training amplifies
    them: a ReLU that reads ±1e-8 switches, and in ten steps at a high learning rate the weights have parted. What comes
    out is another draw of the same noise that a second seed shows, not the same number to three digits.

    Errors: InputError if `net` is no module, the data are no pairs of tensors, x and y have unequal lengths or none,
    labels are no int64 from 0 on, the seed is no integer >= 0, or the logits have another shape than (n, classes).
    """
    if not isinstance(net, nn.Module):
        raise InputError(f"expected an nn.Module to train, got {type(net).__name__}; build the network first")
    recipe = recipe or Recipe()
    for name, data in (("train_data", train_data), ("test_data", test_data)):
        check_data(name, data)
    check_seed(seed)
    history, finite = _fit(net, *train_data, recipe, seed, step)
    final = [evaluate(net, data) if finite else (math.nan, math.nan) for data in (train_data, test_data)]
    finite = finite and all(math.isfinite(loss) for loss, _ in final)
    if not finite:
        final = [(math.nan, math.nan)] * 2
    (train_loss, train_accuracy), (test_loss, test_accuracy) = final
    return Result(
        train_loss,
        test_loss,
        train_accuracy,
        test_accuracy,
        epochs_to(history, 50.0),
        tuple(history),
        "ok" if finite else "diverged",
    )


def evaluate(net: nn.Module, data: Data) -> tuple[float, float]:
    """Return mean cross-entropy (nats) and accuracy (%) of `net` on (x, y), in eval mode, in which it is left.

    Errors: InputError for data or logits as `train` refuses them.
    """
    check_data("data", data)
    x, y = data
    net.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for part, labels in zip(x.split(EVALUATION_BATCH), y.split(EVALUATION_BATCH), strict=True):
            logits = _logits(net, part, labels)
            loss += cross_entropy(logits, labels, reduction="none").double().sum().item()
            right += int((logits.argmax(1) == labels).sum())
    return loss / len(y), 100.0 * right / len(y)


def _fit(
    net: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, seed: int, step: Step | None
) -> tuple[list[float], bool]:
    """Return the accuracy of each finished epoch and whether every loss was finite."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    history: list[float] = []
    if not parameters or not recipe.epochs:
        return history, True
    optimiser = torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
    steps = recipe.steps(len(y))
    net.train()
    for epoch, order in enumerate(islice(orders(seed, len(y)), recipe.epochs)):
        right = 0
        for number, chosen in enumerate(order.tensor_split(steps)):
            optimiser.param_groups[0]["lr"] = recipe.rate(epoch * steps + number, recipe.epochs * steps)
            labels = y[chosen]
            logits = _logits(net, x[chosen], labels)
            loss = cross_entropy(logits, labels)
            if not math.isfinite(loss.item()):
                return history, False
            optimiser.zero_grad()
            loss.backward()
            if step is None:
                optimiser.step()
            else:
                step(optimiser)
            right += int((logits.argmax(1) == labels).sum())
        history.append(100.0 * right / len(y))
    return history, True


def _logits(net: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    logits = net(x)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(x):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"expected logits of shape ({len(x)}, classes), got {shape}; give a network that returns them")
    check_labels(labels, logits.shape[1])
    return logits
