"""Train one small network plainly, so that what a proxy foretells can be checked on this machine in seconds.

SGD with Nesterov momentum, weight decay on every parameter and a cosine schedule, as NAS-Bench-201 trained (Dong &
Yang, ICLR 2020), on the mean cross-entropy of each batch, without augmentation. Step t = 0..T-1 has the learning rate

    lr(t) = learning_rate / 2 · (1 + cos(π t / T)),      T = epochs · ceil(n / batch_size).

Any `nn.Module` that maps inputs (n, ...) to logits (n, classes) can be trained: a cell network, a perceptron.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from automl_theory.errors import InputError

EVALUATION_BATCH = 512

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults but `epochs` and `batch_size` are those of NAS-Bench-201 (200 epochs of 256).

    epochs         passes over the training set, at least 0 (0: the network is only evaluated)
    batch_size     samples a step at most, at least 1. An epoch of n samples has ceil(n / batch_size) steps whose sizes
                   differ by at most one, so that no small rest is left for batch normalisation
    learning_rate  at the first step; the cosine takes it towards 0
    momentum       in [0, 1); Nesterov's form unless it is 0
    weight_decay   λ of the term λ/2 |θ|² on all parameters, those of batch normalisation too

    Errors: InputError for a value outside these ranges.
    """

    epochs: int = 30
    batch_size: int = 50
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"expected {name} to be an integer of at least {least}, got {value!r}; give one")
        for name, below in (("learning_rate", math.inf), ("momentum", 1.0), ("weight_decay", math.inf)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < below:
                raise InputError(f"expected {name} in [0, {below}), got {value!r}; give a number there")


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


def train(net: nn.Module, train_data: Data, test_data: Data, recipe: Recipe | None = None, seed: int = 0) -> Result:
    """Train `net` in place from the weights it has, and leave it in eval mode.

    train_data, test_data   pairs (x, y): x (n, ...) as the network takes it, y (n,) int64 class numbers
    seed                    decides the order of samples and nothing else (the weights are the caller's; see
                            `networks.initialise`): torch's generator `seed` permutes them once an epoch. torch's global
                            random state is used only by a network that draws from it, such as one with dropout

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
        _check(name, data)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"expected seed to be an integer of at least 0, got {seed!r}; give seed=0 or more")
    history, finite = _fit(net, *train_data, recipe, seed)
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
    _check("data", data)
    x, y = data
    net.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for part, labels in zip(x.split(EVALUATION_BATCH), y.split(EVALUATION_BATCH), strict=True):
            logits = _logits(net, part, labels)
            loss += cross_entropy(logits, labels, reduction="none").double().sum().item()
            right += int((logits.argmax(1) == labels).sum())
    return loss / len(y), 100.0 * right / len(y)


def epochs_to(history: Sequence[float], level: float) -> float:
    """Return when `history`, the value of epochs 1, 2, ..., reaches `level`, in epochs; nan if it never does.

    With e the first epoch whose value a_e is >= level: e - 1 + (level - a_{e-1}) / (a_e - a_{e-1}), the straight line
    between two epochs, a number in (e - 1, e]; and 1 for e = 1, where there is nothing before to draw it from.
    """
    for epoch, value in enumerate(history):
        if value >= level:
            return epoch + (level - history[epoch - 1]) / (value - history[epoch - 1]) if epoch else 1.0
    return math.nan


def _fit(net: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, seed: int) -> tuple[list[float], bool]:
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
    order = torch.Generator().manual_seed(seed)
    steps = math.ceil(len(y) / recipe.batch_size)
    net.train()
    for epoch in range(recipe.epochs):
        right = 0
        for number, chosen in enumerate(torch.randperm(len(y), generator=order).tensor_split(steps)):
            progress = (epoch * steps + number) / (recipe.epochs * steps)
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2
            labels = y[chosen]
            logits = _logits(net, x[chosen], labels)
            loss = cross_entropy(logits, labels)
            if not math.isfinite(loss.item()):
                return history, False
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right += int((logits.argmax(1) == labels).sum())
        history.append(100.0 * right / len(y))
    return history, True


def _logits(net: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    logits = net(x)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(x):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"expected logits of shape ({len(x)}, classes), got {shape}; give a network that returns them")
    if int(labels.max()) >= logits.shape[1]:
        raise InputError(
            f"expected labels below {logits.shape[1]}, the number of logits, got {int(labels.max())}; "
            "give the network an output for each class"
        )
    return logits


def _check(name: str, data: Data) -> None:
    if len(data) != 2 or not all(isinstance(part, Tensor) for part in data):
        raise InputError(f"expected {name} as a pair (x, y) of tensors; convert with torch.as_tensor")
    x, y = data
    if len(x) != len(y) or not len(y):
        raise InputError(f"expected {name} with as many labels as inputs, got {len(x)} and {len(y)}; give one an input")
    if y.dtype != torch.int64 or y.dim() != 1:
        raise InputError(f"expected labels of {name} int64 (n,), got {y.dtype} {tuple(y.shape)}; convert with y.long()")
    if int(y.min()) < 0:
        raise InputError(f"expected labels of {name} of 0 and more, got {int(y.min())}; number the classes from 0")
