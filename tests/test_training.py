from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from automl_theory.errors import InputError
from automl_theory.networks.initialise import initialise
from automl_theory.spaces import space
from automl_theory.training import Data, Recipe, Result, epochs_to, evaluate, train

SKIPS = "|skip_connect~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def blobs(n: int, seed: int, features: int = 4) -> Data:
    """Three well separated Gaussian clouds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    centres = 3 * np.eye(3, features)
    x = centres[y] + rng.standard_normal((n, features))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


def perceptron(seed: int = 0) -> nn.Sequential:
    return initialise(nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)), seed=seed)


def images(n: int, seed: int) -> Data:
    """Noise of two kinds: bright above or bright below."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.standard_normal((n, 1, 8, 8))
    x[y == 0, :, :4] += 1
    x[y == 1, :, 4:] += 1
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


def by_hand(net: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Cross-entropy by its definition, in float64, and accuracy."""
    with torch.no_grad():
        logits = net.eval()(x).double().numpy()
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(y)), y.numpy()].mean(), 100 * (logits.argmax(1) == y.numpy()).mean()


def test_a_perceptron_learns() -> None:
    net = perceptron()
    before, _ = evaluate(net, blobs(200, 1))
    result = train(net, blobs(200, 0), blobs(200, 1), Recipe(epochs=10))
    assert result.status == "ok"
    assert result.test_accuracy > 90
    assert result.test_loss < before / 2
    assert len(result.history) == 10
    assert result.history[-1] > result.history[0]


def test_a_cell_network_learns() -> None:
    net = space("nas_bench_201").build(SKIPS, channels=4, cells_per_stage=1, num_classes=2, in_channels=1)
    result = train(net, images(100, 0), images(100, 1), Recipe(epochs=5, batch_size=25))
    assert result.status == "ok"
    assert result.test_accuracy > 85


def test_equal_seeds_give_equal_results_and_others_do_not() -> None:
    def run(seed: int) -> Result:
        torch.manual_seed(seed + np.random.default_rng().integers(1000))
        return train(perceptron(), blobs(90, 0), blobs(90, 1), Recipe(epochs=3), seed)

    first = run(0)
    assert run(0) == first
    assert run(1).train_loss != first.train_loss


def test_global_random_state_is_left_alone() -> None:
    net, state = perceptron(), torch.get_rng_state()
    train(net, blobs(90, 0), blobs(90, 1), Recipe(epochs=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_losses_are_means_over_the_whole_sets_in_eval_mode() -> None:
    net, train_data, test_data = perceptron(), blobs(90, 0), blobs(1100, 1)
    result = train(net, train_data, test_data, Recipe(epochs=2))
    assert not net.training
    assert (result.train_loss, result.train_accuracy) == pytest.approx(by_hand(net, *train_data), rel=1e-6)
    assert (result.test_loss, result.test_accuracy) == pytest.approx(by_hand(net, *test_data), rel=1e-6)


def test_steps_are_those_of_the_formula() -> None:
    """The loop by hand: Nesterov's momentum, weight decay, cosine; 7 samples in batches of at most 3 are 3, 2 and 2."""
    recipe = Recipe(epochs=2, batch_size=3, learning_rate=0.2, momentum=0.8, weight_decay=0.01)
    x, y = blobs(7, 0)
    net = initialise(nn.Linear(4, 3), seed=1)
    weight, bias = net.weight.detach().double().numpy().copy(), net.bias.detach().double().numpy().copy()
    velocity = [np.zeros_like(weight), np.zeros_like(bias)]
    order, step, history = torch.Generator().manual_seed(5), 0, []
    for _ in range(2):
        places = torch.randperm(7, generator=order).numpy()
        right = 0
        for part in (places[:3], places[3:5], places[5:]):
            inputs, target = x.double().numpy()[part], np.eye(3)[y.numpy()[part]]
            logits = inputs @ weight.T + bias
            right += int((logits.argmax(1) == target.argmax(1)).sum())
            error = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - target
            gradients = [error.T @ inputs / len(part), error.mean(0)]
            rate = 0.1 * (1 + math.cos(math.pi * step / 6))
            for k, values in enumerate((weight, bias)):
                gradient = gradients[k] + 0.01 * values
                velocity[k] = 0.8 * velocity[k] + gradient
                values -= rate * (gradient + 0.8 * velocity[k])
            step += 1
        history.append(100 * right / 7)
    result = train(net, (x, y), (x, y), recipe, seed=5)
    np.testing.assert_allclose(net.weight.detach().numpy(), weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.bias.detach().numpy(), bias, rtol=1e-5, atol=1e-6)
    assert result.history == pytest.approx(history)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], math.nan),
        ([49.0, 49.9], math.nan),
        ([50.0], 1.0),
        ([80.0, 90.0], 1.0),
        ([20.0, 50.0], 2.0),
        ([20.0, 80.0], 1.5),
        ([40.0, 30.0, 70.0, 20.0], 2.5),
        ([10.0, 60.0, 20.0, 90.0], 1.8),
    ],
)
def test_epochs_to(history: list[float], expected: float) -> None:
    assert epochs_to(history, 50.0) == pytest.approx(expected, nan_ok=True)


def test_epochs_to_50_is_read_from_the_history() -> None:
    result = train(perceptron(), blobs(90, 0), blobs(90, 1), Recipe(epochs=4, learning_rate=0.01))
    assert result.epochs_to_50 == pytest.approx(epochs_to(result.history, 50.0), nan_ok=True)
    never = train(perceptron(), (blobs(90, 0)[0], torch.arange(90) % 3), blobs(90, 1), Recipe(1, learning_rate=0.0))
    assert math.isnan(never.epochs_to_50)


def test_divergence_stops_and_says_so() -> None:
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    result = train(initialise(net, seed=0), blobs(200, 0), blobs(200, 1), Recipe(epochs=10, learning_rate=1e6))
    assert result.status == "diverged"
    assert math.isnan(result.train_loss)
    assert math.isnan(result.test_accuracy)
    assert len(result.history) < 10


def test_weights_that_break_in_the_last_step_are_noticed() -> None:
    x, y = blobs(50, 0)
    result = train(initialise(nn.Linear(4, 3), seed=0), (x, y), (x, y), Recipe(epochs=1, learning_rate=3e38))
    assert result.status == "diverged"
    assert len(result.history) == 1
    assert math.isnan(result.test_loss)


def test_no_epochs_or_no_parameters_is_an_evaluation() -> None:
    net = perceptron()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = train(net, blobs(90, 0), blobs(90, 1), Recipe(epochs=0))
    assert result.history == ()
    assert result.test_loss == pytest.approx(by_hand(net, *blobs(90, 1))[0], rel=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert train(nn.Identity(), blobs(9, 0, 3), blobs(9, 0, 3)).status == "ok"


def test_frozen_parameters_stay() -> None:
    net = perceptron()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    train(net, blobs(90, 0), blobs(90, 1), Recipe(epochs=1))
    assert torch.equal(net[0].weight, before)


def test_the_default_recipe_is_that_of_nas_bench_201_but_shorter() -> None:
    assert replace(Recipe(), epochs=1, batch_size=1) == Recipe(1, 1, 0.1, 0.9, 5e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": -1},
        {"epochs": 1.5},
        {"batch_size": 0},
        {"batch_size": True},
        {"learning_rate": -0.1},
        {"learning_rate": math.nan},
        {"momentum": 1.0},
        {"weight_decay": "none"},
    ],
)
def test_a_wrong_recipe_names_the_setting(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_wrong_data_or_network_is_refused() -> None:
    x, y = blobs(20, 0)
    with pytest.raises(InputError, match="train_data with as many labels as inputs, got 20 and 19"):
        train(perceptron(), (x, y[:19]), (x, y))
    with pytest.raises(InputError, match="test_data"):
        train(perceptron(), (x, y), (x[:0], y[:0]))
    with pytest.raises(InputError, match=r"int64.*convert with y.long\(\)"):
        train(perceptron(), (x, y.float()), (x, y))
    with pytest.raises(InputError, match="labels below 3, the number of logits, got 12; give the network an output"):
        train(perceptron(), (x, y + 10), (x, y))
    with pytest.raises(InputError, match="labels of test_data of 0 and more, got -1; number the classes from 0"):
        train(perceptron(), (x, y), (x, y - 1))
    for data in ((x.numpy(), y.numpy()), (x, y, y)):
        with pytest.raises(InputError, match=r"train_data as a pair \(x, y\) of tensors; convert with torch.as_tensor"):
            train(perceptron(), data, (x, y))
    with pytest.raises(InputError, match="data with as many labels as inputs, got 0 and 0"):
        evaluate(perceptron(), (x[:0], y[:0]))
    with pytest.raises(InputError, match=r"expected an nn\.Module to train, got NoneType; build the network first"):
        train(None, (x, y), (x, y))
    with pytest.raises(InputError, match="seed"):
        train(perceptron(), (x, y), (x, y), seed=-1)
    with pytest.raises(InputError, match=r"logits of shape \(20, classes\)"):
        train(nn.Sequential(nn.Linear(4, 3), nn.Unflatten(1, (3, 1))), (x, y), (x, y))
