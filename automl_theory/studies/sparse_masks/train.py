"""Trained truth: dense networks, and every mask trained by the same recipe from the weights it starts with.

    dense      one network a (network, seed), and from it, round by round, what magnitude pruning with rewinding keeps:
               train to the end, keep the largest |w|, go back to the weights after `dense_epochs`, and again
    masked     one a (network, method, density, seed), all measures of its mask beside its outcomes; the first seed's
               trained again from the same weights with twice the epochs: whether the recipe is long enough

The recipe is that of `setup.Setup`, for all masks of a network. A run's `late_gain` is what the running training
accuracy gained in the last quarter of its epochs, in points; it `converged` if that is at most 1 either way. Under a
cosine schedule every curve flattens, so the second training says what a longer training would still give.

Each seed decides the initialisation, the order of samples, the pruning's batch and what it draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from automl_theory.pruning.masks import Masks, hold
from automl_theory.pruning.rewinding import rewind
from automl_theory.studies.pieces import Arrays
from automl_theory.studies.sparse_masks.measure import KEYS, layer_records, packed, pair_means
from automl_theory.studies.sparse_masks.networks import build, rate_factor
from automl_theory.studies.sparse_masks.parts import parts_of
from automl_theory.studies.sparse_masks.prune import pruned, rewinding_path
from automl_theory.studies.sparse_masks.setup import LATE, Setup
from automl_theory.studies.sparse_masks.tasks import Task
from automl_theory.training import Recipe, Result, train

CONVERGED = 1.0
"""Points of running training accuracy that the last quarter of a converged training may still change."""

COSTS = {"conv": 3, "mlp": 1}
"""Of a training, roughly in seconds of the full study, by which progress and the order of work are reckoned."""

OUTCOMES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "status")
State = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Late:
    """What the late methods know of one network and seed.

    early     its state after `dense_epochs` of dense training
    rewound   density -> the masks of "rewound"
    rounds    density -> dense and sparse trainings that these masks took
    """

    early: State
    rewound: dict[float, Masks]
    rounds: dict[float, int]


@dataclass(frozen=True, eq=False)
class Run:
    """One mask to make, measure and train. For late methods: `early` and `rewound` of `Late`, and `spent`, the epochs
    of training that went into the mask or the weights before.
    """

    setup: Setup
    network: str
    method: str
    density: float
    seed: int
    early: State
    rewound: Masks
    spent: int


def recipe(setup: Setup, name: str, epochs: int | None = None) -> Recipe:
    """How every network `name` is trained, dense or sparse."""
    rate = setup.learning_rate * rate_factor(name, parts_of(setup).shape)
    return Recipe(epochs or setup.epochs, setup.batch_size, rate)


def network(setup: Setup, name: str, seed: int) -> nn.Module:
    """A network of the study as it is initialised."""
    data = parts_of(setup)
    return build(name, data.shape, data.classes, seed)


def weights(net: nn.Module) -> State:
    """A copy of its parameters."""
    return {name: value.detach().clone() for name, value in net.named_parameters()}


def dense_tasks(setup: Setup) -> list[Task]:
    """A dense network for each (network, seed), with the rounds of "rewound"."""
    rounds = 1 + ("rewound" in setup.methods) * (len(rewinding_path(setup.densities)) - 1)
    return [Task(_dense, (setup, name, seed), COSTS[name] * rounds) for name in setup.networks for seed in setup.seeds]


def dense_table(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> pd.DataFrame:
    """`dense` of `study.Study`."""
    rows = []
    for task, piece in zip(tasks, pieces, strict=True):
        setup, name, seed = task.argument
        rows.append({"network": name, "seed": seed, "epochs": setup.epochs} | _outcome(piece))
    return pd.DataFrame(rows)


def late_of(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> dict[tuple[str, int], Late]:
    """(network, seed) -> what the late methods know."""
    found = {}
    for task, piece in zip(tasks, pieces, strict=True):
        setup, name, seed = task.argument
        early = {key.removeprefix("early/"): torch.from_numpy(piece[key]) for key in piece if key.startswith("early/")}
        masks: dict[float, Masks] = {}
        rounds = {}
        for place, density in enumerate(rewinding_path(setup.densities)):
            if density in setup.densities:
                prefix = f"rewound {density!r}/"
                of_density = (key for key in piece if key.startswith(prefix))
                masks[density] = {key.removeprefix(prefix): torch.from_numpy(piece[key]) for key in of_density}
                rounds[density] = place + 1
        found[name, seed] = Late(early, masks, rounds)
    return found


def masked_tasks(setup: Setup, late: Mapping[tuple[str, int], Late]) -> list[Task]:
    """A mask to make, measure and train for each (network, method, density, seed); the first seed's twice."""
    tasks = []
    for name, method, density, seed in product(setup.networks, setup.methods, setup.densities, setup.seeds):
        known, early, rewound, spent = late[name, seed], {}, {}, 0
        if method in LATE:
            early, spent = known.early, setup.dense_epochs
        if method == "rewound":
            rewound, spent = known.rewound[density], known.rounds[density] * setup.epochs
        cost = COSTS[name] * (3 if seed == setup.seeds[0] else 1)
        cost += setup.population // 2 if method == "full_spectrum" else 0
        tasks.append(Task(_masked, Run(setup, name, method, density, seed, early, rewound, spent), cost))
    return tasks


def outcome_table(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> pd.DataFrame:
    """What became of every mask, one row a run: `masks` of `study.Study` without the measures."""
    rows = []
    for task, piece in zip(tasks, pieces, strict=True):
        run = task.argument
        facts = {name: piece[name].item() for name in ("weights", "kept")}
        pairs = {name: piece[name].item() for name in ("throughput", "compatibility", "overlap")}
        rows.append(
            _key(run) | facts | {"epochs_before": run.spent, "epochs": run.setup.epochs} | _outcome(piece) | pairs
        )
    return pd.DataFrame(rows)


def layer_table(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> pd.DataFrame:
    """`layers` of `study.Study`."""
    tables = []
    for task, piece in zip(tasks, pieces, strict=True):
        records = {name.partition("/")[2]: piece[name] for name in piece if name.startswith("layers/")}
        tables.append(pd.DataFrame(_key(task.argument) | records))
    return pd.concat(tables, ignore_index=True)


def doubled_table(tasks: Sequence[Task], pieces: Sequence[Arrays]) -> pd.DataFrame:
    """`doubled` of `study.Study`."""
    names = ("test_accuracy", "train_loss")
    rows = []
    for task, piece in zip(tasks, pieces, strict=True):
        if "doubled/status" in piece:
            twice = {
                f"{prefix}{name}": piece[f"{place}{name}"].item()
                for name in names
                for prefix, place in (("", ""), ("doubled_", "doubled/"))
            }
            rows.append(_key(task.argument) | twice)
    return pd.DataFrame(rows)


def _key(run: Run) -> dict[str, Any]:
    return {name: getattr(run, name) for name in KEYS}


def _dense(task: tuple[Setup, str, int]) -> Arrays:
    setup, name, seed = task
    data, net = parts_of(setup), network(setup, name, seed)
    until = setup.dense_epochs * recipe(setup, name).steps(len(data.train[1]))
    early: State = {}
    count = 0

    def step(optimiser: torch.optim.Optimizer) -> None:
        nonlocal count
        optimiser.step()
        count += 1
        if count == until:
            early.update(deepcopy(net.state_dict()))

    result = train(net, data.train, data.test, recipe(setup, name), seed, step=step)
    found = _stored(result) | {f"early/{key}": value.numpy() for key, value in early.items()}
    if "rewound" not in setup.methods:
        return found
    path = rewinding_path(setup.densities)
    for density in path:
        masks = rewind(net, early, density, seed=seed)
        found |= {f"rewound {density!r}/{key}": mask.numpy() for key, mask in masks.items()}
        if density != path[-1]:
            with hold(net, masks):
                train(net, data.train, data.test, recipe(setup, name), seed)
    return found


def _masked(run: Run) -> Arrays:
    setup, data = run.setup, parts_of(run.setup)
    net = network(setup, run.network, run.seed)
    initial = weights(net)
    masks = pruned(net, run.method, run.density, run.seed, setup, data.train, run.early, run.rewound)
    start = deepcopy(net.state_dict())
    found: Arrays = {
        "weights": np.array(sum(mask.numel() for mask in masks.values())),
        "kept": np.array(sum(int(mask.sum()) for mask in masks.values())),
        **{name: np.array(value) for name, value in pair_means(net, masks).items()},
        **_trained(net, masks, run, setup.epochs),
    }
    records = packed(layer_records(net, masks, initial, start, weights(net)))
    found |= {f"layers/{name}": values for name, values in records.items()}
    if run.seed == setup.seeds[0]:
        net.load_state_dict(start)
        found |= {f"doubled/{name}": value for name, value in _trained(net, masks, run, 2 * setup.epochs).items()}
    return found


def _trained(net: nn.Module, masks: Masks, run: Run, epochs: int) -> Arrays:
    data = parts_of(run.setup)
    with hold(net, masks):
        return _stored(train(net, data.train, data.test, recipe(run.setup, run.network, epochs), run.seed))


def _stored(result: Result) -> Arrays:
    told: dict[str, Any] = {name: np.array(getattr(result, name)) for name in OUTCOMES}
    return told | {"late_gain": np.array(late_gain(result.history) if result.status == "ok" else math.nan)}


def _outcome(piece: Arrays) -> dict[str, Any]:
    told = {name: piece[name].item() for name in (*OUTCOMES[:-1], "late_gain")}
    return told | {"converged": abs(told["late_gain"]) <= CONVERGED, "status": piece["status"].item()}


def late_gain(history: Sequence[float]) -> float:
    """Points that the last quarter of the epochs added to the running training accuracy; from 2 epochs on."""
    return history[-1] - history[max(3 * len(history) // 4, 1) - 1]
