"""What the sparse-masks study is of: settings, networks, images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from automl_theory.data import dataset
from automl_theory.errors import InputError
from automl_theory.pruning.masks import prunable
from automl_theory.studies import images
from automl_theory.studies.sparse_masks.networks import NETWORKS, build, rate_factor
from automl_theory.studies.sparse_masks.parts import balanced, parts, parts_of
from automl_theory.studies.sparse_masks.reproduce import description
from automl_theory.studies.sparse_masks.setup import FULL, METHODS, QUICK, Setup
from automl_theory.training import Recipe, train


def test_full_is_what_the_issue_asks_for_and_quick_a_look() -> None:
    assert set(FULL.networks) == {"conv", "mlp"}
    assert len(FULL.methods) == len(METHODS) == 14
    assert len(FULL.densities) == 4
    assert len(FULL.seeds) == 5
    assert {"full_spectrum", "pretrained_base", "rewound", "snip", "grasp", "synflow", "random"} <= set(QUICK.methods)
    assert json.loads(json.dumps(QUICK.settings())) == QUICK.settings()
    assert "workers" not in FULL.settings()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "expected epochs to be an integer of at least 1, got 0; give 1 or more"),
        ({"workers": True}, "expected workers to be an integer of at least 1, got True"),
        ({"dense_epochs": 30}, r"expected dense_epochs below epochs=30, the whole dense training, got 30; give fewer"),
        ({"learning_rate": 0}, "expected learning_rate above 0, got 0; give one such as 0.1"),
        ({"networks": ("cnn",)}, "unknown name 'cnn' in networks; expected of conv, mlp"),
        ({"methods": ("snap",)}, r"unknown name 'snap' in methods; expected of .* Did you mean 'snip'"),
        ({"methods": ()}, "expected methods as a tuple of one or more distinct values"),
        ({"methods": "snip"}, "expected methods as a tuple of one or more distinct values, got 'snip'"),
        ({"base": "rewound"}, "unknown name 'rewound' in base"),
        ({"rewired_methods": ("rewound",)}, "unknown name 'rewound' in rewired_methods"),
        ({"densities": (0.0, 0.1)}, r"expected densities in \(0, 1\], got 0.0; give 0.05, say"),
        ({"densities": (0.1, 0.1)}, "expected densities as a tuple of one or more distinct values"),
        ({"grid": (2,)}, r"expected grid in \(0, 1\], got 2"),
        ({"rewired_shares": (-0.1,)}, r"expected rewired_shares in \[0, 1\], got -0.1"),
        ({"followed_density": 0}, r"expected followed_density in \(0, 1\], got 0"),
        ({"seeds": (0, -1)}, "expected a seed of seeds to be an integer of at least 0, got -1"),
    ],
)
def test_bad_settings_are_refused_in_words(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Setup(**given)


@pytest.mark.parametrize(("name", "weights"), [("conv", 56_224), ("mlp", 84_480)])
def test_networks_have_the_weights_they_say(name: str, weights: int) -> None:
    net = build(name, (1, 8, 8), 10, 0)
    assert sum(weight.numel() for weight in prunable(net).values()) == weights
    assert net(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    assert name in NETWORKS


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 11, 8)])
def test_networks_take_other_images(shape: tuple[int, int, int]) -> None:
    for name in NETWORKS:
        assert build(name, shape, 4, 0)(torch.zeros(2, *shape)).shape == (2, 4)


def test_the_perceptron_learns_large_images_too() -> None:
    """Images that differ in brightness most: along it the curvature grows with |x|². Without the factor none learns."""
    assert rate_factor("mlp", (1, 8, 8)) == rate_factor("mlp", (1, 5, 5)) == rate_factor("conv", (3, 32, 32)) == 1
    assert rate_factor("mlp", (3, 32, 32)) == pytest.approx(576 / 3584)
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(10, 3, 32, 32, generator=generator)
    bright, noise = torch.randn(200, 1, 1, 1, generator=generator), torch.randn(200, 3, 32, 32, generator=generator)
    data = 0.8 * bright + 0.4 * classes.repeat(20, 1, 1, 1) + 0.4 * noise, torch.arange(200) % 10
    rates = [0.1 * factor for factor in (rate_factor("mlp", (3, 32, 32)), 1.0)]
    told = [train(build("mlp", (3, 32, 32), 10, 0), data, data, Recipe(4, 20, rate), 0).history[-1] for rate in rates]
    assert told[0] > 90 > 20 > told[1]


def test_a_seed_is_one_initialisation() -> None:
    first, again, other = (build("conv", (1, 8, 8), 10, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_bad_networks_are_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"unknown network 'convv'; expected one of conv, mlp. Did you mean 'conv'"):
        build("convv", (1, 8, 8), 10, 0)
    with pytest.raises(InputError, match="expected images of at least 8×8 for conv, got 8×6; resize them, or take mlp"):
        build("conv", (1, 8, 6), 10, 0)


def test_parts_do_not_overlap_and_are_standardised_by_the_training_part() -> None:
    found = parts("digits", 1000, 2000)
    (x, y), (others, labels) = found.train, found.test
    assert (len(y), len(labels), found.classes, found.shape) == (1000, 797, 10, (1, 8, 8))
    assert abs(x.double().mean().item()) < 1e-6
    assert abs(x.double().std(correction=0).item() - 1) < 1e-6
    every = {image.tobytes() for image in dataset("digits").images}
    assert len({image.tobytes() for image in torch.cat([x, others]).numpy()}) == len(every)
    counts = np.bincount(parts("digits", 100, 50).test[1].numpy())
    assert counts.min() >= 4
    assert counts.sum() == 50
    digests = [images.digest(p.train, p.test) for p in (found, parts("digits", 1000, 5000), parts("digits", 999, 2000))]
    assert digests[0] == digests[1] != digests[2]


def test_a_run_reads_its_images_anew(tmp_path: Path) -> None:
    path, rng, found = tmp_path / "images.npz", np.random.default_rng(0), []
    setup = replace(QUICK, data=str(path), train_samples=30, test_samples=20)
    for _ in range(2):
        np.savez(path, x=rng.integers(0, 255, (60, 8, 8)).astype(np.uint8), y=np.arange(60) % 3)
        found.append(description(setup)["data"]["sha256"])
        assert images.digest(parts_of(setup).train, parts_of(setup).test) == found[-1]
    assert found[0] != found[1]


def test_a_balanced_draw_is_of_the_data_and_of_its_seed() -> None:
    data = parts("digits", 200, 100).train
    x, y = balanced(data, 40, 1)
    assert np.bincount(y.numpy()).tolist() == [4] * 10
    assert torch.equal(balanced(data, 40, 1)[0], x)
    assert not torch.equal(balanced(data, 40, 2)[0], x)
    assert balanced(data, 200, 1) is data


def test_settings_that_decide_numbers_are_told() -> None:
    assert replace(FULL, population=7).settings() != FULL.settings()
    assert replace(FULL, workers=7).settings() == FULL.settings()
