"""`convention="iclr23"`: scores and kept counts of the authors' code on their tiny network, and its known flaws."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import made
from torch import Tensor, nn

import automl_theory as at
from automl_theory.pruning.at_init import scores

SHAPES = {"conv1.weight": (4, 2, 3, 3), "fc1.weight": (8, 64), "fc2.weight": (5, 8)}
TOTAL = 624
CASES = [("snip", "SNIP"), ("grasp", "GraSP"), ("synflow", "SynFlow")]


class Tiny(nn.Module):
    """conv (padding 1) - ReLU - flatten - linear - ReLU - linear, no biases; weights and batches by the recipe."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.fc1, self.fc2 = nn.Linear(64, 8, bias=False), nn.Linear(8, 5, bias=False)
        for i, (name, shape) in enumerate(SHAPES.items()):
            values = np.random.default_rng(300 + i).standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
            self.get_parameter(name).data = torch.from_numpy(values.astype(np.float32))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.fc1(torch.relu(self.conv1(x)).flatten(1)))
        return self.fc2(hidden)


def batches(dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    x = torch.from_numpy(np.random.default_rng(310).standard_normal((12, 2, 4, 4)).astype(np.float32)).to(dtype)
    y = torch.from_numpy(np.random.default_rng(311).integers(0, 5, 12))
    return list(x.split(6)), list(y.split(6))


@pytest.fixture(scope="module")
def oracle(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shared / "oracle" / "ramanujan.json").read_text())["pai_tiny"]
    return found


def compare(ours: dict[str, Tensor], theirs: dict[str, Any], rtol: float, atol: float) -> None:
    for layer, numbers in theirs.items():
        score = ours[f"{layer}.weight"].flatten()
        for key, value in (("sum", score.sum()), ("min", score.min()), ("max", score.max()), ("first", score[:6])):
            np.testing.assert_allclose(value.numpy(), numbers[key], rtol=rtol, atol=atol, err_msg=f"{layer} {key}")
        assert int(score.argmax()) == numbers["argmax"]


@pytest.mark.parametrize(("method", "key"), CASES)
def test_scores_of_the_authors(method, key, oracle):
    net = Tiny()
    exact = {"SynFlow": "SynFlow_logsoftmax"}.get(key, key)
    ours = scores(net, method, *batches(torch.float64), convention="iclr23")
    compare(ours, oracle["own_float64"][exact], rtol=2e-9, atol=1e-10)
    compare(scores(net, method, *batches(torch.float32), convention="iclr23"), oracle["authors_iclr"][key], 5e-5, 5e-7)


@pytest.mark.parametrize("source", ["own_float64", "authors_iclr"])
@pytest.mark.parametrize(("method", "key"), CASES)
def test_masks_of_the_authors_keep_one_too_few(method, key, source, oracle):
    if source == "own_float64" and key == "SynFlow":
        key = "SynFlow_logsoftmax"
    x, y = batches(torch.float64)
    masks = at.prune(Tiny(), method, 0.3, x, y, convention="iclr23", rounds=1 if method == "synflow" else None)
    counts = {name.removesuffix(".weight"): int(mask.sum()) for name, mask in masks.items()}
    assert counts == oracle[source][f"{key}_kept_at_density_0.3"]
    assert sum(counts.values()) == int(0.3 * TOTAL) - 1


def test_synflow_on_the_logits_conserves_and_on_log_softmax_does_not(oracle):
    x, y = batches(torch.float64)
    strict = scores(Tiny(), "synflow", x, y)
    compare(strict, oracle["own_float64"]["SynFlow_logits"], rtol=2e-9, atol=1e-10)
    sums = [float(score.sum()) for score in strict.values()]
    assert np.allclose(sums, sums[0], rtol=1e-12)
    broken = [float(score.sum()) for score in scores(Tiny(), "synflow", x, y, convention="iclr23").values()]
    assert max(broken) > 4 * min(broken)
    kept = at.prune(Tiny(), "synflow", 0.3, x, y, rounds=1)
    theirs = oracle["own_float64"]["SynFlow_logits_kept_at_density_0.3"]
    more = {name: int(mask.sum()) - theirs[name.removesuffix(".weight")] for name, mask in kept.items()}
    assert sorted(more.values()) == [0, 0, 1], "the same, and the weight that their threshold loses"


def test_strict_snip_of_one_batch_ranks_like_the_released_one() -> None:
    """Without BatchNorm or dropout the modes are the same, and the normalisation does not rank."""
    x, y = batches(torch.float64)
    ours, theirs = (scores(Tiny(), "snip", x, y, convention=c) for c in ("strict", "iclr23"))
    total = sum(score.sum() for score in ours.values())
    assert all(torch.allclose(ours[name] / total, theirs[name], rtol=1e-12, atol=0) for name in ours)


def test_released_snip_runs_in_eval_mode_and_strict_in_train_mode() -> None:
    net, x, y = made("residual")
    modes = []
    net[1].register_forward_hook(lambda module, inputs, output: modes.append(module.training))
    for convention, training in (("strict", True), ("iclr23", False)):
        modes.clear()
        at.prune(net, "snip", 0.1, x, y, convention=convention)
        assert set(modes) == {training}


def test_released_iterative_snip_revives_and_keeps_one_too_few() -> None:
    x, y = batches(torch.float64)
    path = [
        at.prune(Tiny(), "iterative_snip", 0.1 ** (i / 10), x, y, convention="iclr23", rounds=i) for i in range(1, 11)
    ]
    assert [sum(int(m.sum()) for m in masks.values()) for masks in path] == [
        int(0.1 ** (i / 10) * TOTAL) - 1 for i in range(1, 11)
    ]
    revived = sum(int((b[n] & ~a[n]).sum()) for a, b in pairwise(path) for n in SHAPES)
    assert revived > 0


def test_the_released_code_leaves_masks_alone_below_one_weight() -> None:
    masks = at.prune(Tiny(), "magnitude", 0.001, convention="iclr23")
    assert all(bool(mask.all()) for mask in masks.values())


@pytest.mark.parametrize("method", ["erk", "random"])
def test_released_random_masks(method):
    counts = [
        sum(int(m.sum()) for m in at.prune(Tiny(), method, 0.3, seed=seed, convention="iclr23").values())
        for seed in range(30)
    ]
    if method == "random":
        assert set(counts) == {int(0.3 * TOTAL) - 1}
    else:
        assert len(set(counts)) > 5, "coins: no exact count"
        assert abs(np.mean(counts) - 0.3 * TOTAL) < 8
