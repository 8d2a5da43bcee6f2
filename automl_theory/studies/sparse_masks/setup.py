"""Everything that decides the numbers of the study, in one frozen object.

Two runs of equal setups give equal tables; `workers` alone changes nothing but the time they take. `settings` is what a
run's folder remembers, and a folder of other settings is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from automl_theory.counts import whole
from automl_theory.errors import InputError, suggest
from automl_theory.pruning.at_init import METHODS as AT_INIT
from automl_theory.studies.sparse_masks.networks import NETWORKS

LATE = ("full_spectrum", "pretrained_base", "pretrained_magnitude", "rewound")
"""Methods that look at the network after it was trained densely for a while."""

METHODS = (*AT_INIT, *LATE)
COUNTS = (
    "train_samples", "test_samples", "epochs", "batch_size", "dense_epochs", "population", "score_samples", "rounds",
    "rewired_draws", "followed_every", "snapshots", "workers",
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """What is pruned, trained and measured.

    data            "digits", a folder with CIFAR-10 or CIFAR-100, or a .npz with x and y (see `automl_theory.data`)
    networks        of `networks.NETWORKS`
    methods         of `METHODS`: the ten of `at.prune`, and four that see the network after `dense_epochs` of dense
                    training and go on from its weights: "full_spectrum"; "pretrained_base", the mask where its search
                    begins, so that the search is told apart from the head start; "pretrained_magnitude", the largest
                    |w| then; and "rewound", the largest |w| after training to the end, found in rounds
                    (`prune.rewinding_path`): the reference, at the price of several trainings
    densities, seeds   of every method
    train_samples   size of the training part, drawn by `stratified_split` with seed 0; test_samples: at most so many of
                    the rest are the test part, which nothing but the outcomes sees
    epochs, batch_size, learning_rate   the recipe of all trainings, dense and sparse: SGD with Nesterov momentum 0.9,
                    weight decay 5e-4, cosine schedule (`training.Recipe`). On images larger than the digits mlp has a
                    smaller rate (`networks.rate_factor`)
    dense_epochs    how long the late methods' networks were trained densely; below `epochs`, which is the length of
                    that training
    base, population   of full-spectrum pruning
    score_samples   training images, class-balanced, that methods at initialisation see
    rounds          of iterative_snip, force and synflow
    rewired_methods, rewired_shares, rewired_draws   whose masks are rewired, the shares of edges, and how often
    grid, grid_seeds   densities at which the methods at initialisation are measured without training
    followed_density, followed_seeds   of dynamic sparse training; followed_every: steps between two changes of masks;
                    snapshots: how often it is looked at after its start
    workers         processes; changes no number

    Why these defaults, from trials on the digits. At densities of 0.01 to 0.1 the accuracies of methods differ by up to
    80 points at the sparse end and 4 at the dense one. A batch of 50 makes 20 steps an epoch, so that 10 dense epochs
    are 200 steps, the paper's "few hundred" at this scale: a third of the sparse training, which is why the late
    methods need each other as controls. The base was chosen by training loss alone, with a seed that the study does not
    have (99): of snip, grasp, erk, random, phew and synflow, each on the weights after 10 dense epochs, SynFlow has the
    least worst loss of the two networks at density 0.01 (0.09; GraSP 0.17, PHEW 0.39, SNIP 0.57, ERK 1.46). A candidate
    costs a third of a second, so that there are 25, not the paper's thousands.

    Errors: InputError for a value out of range or an unknown name.
    """

    data: str = "digits"
    networks: tuple[str, ...] = NETWORKS
    methods: tuple[str, ...] = METHODS
    densities: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    train_samples: int = 1000
    test_samples: int = 2000
    epochs: int = 30
    batch_size: int = 50
    learning_rate: float = 0.1
    dense_epochs: int = 10
    base: str = "synflow"
    population: int = 25
    score_samples: int = 200
    rounds: int = 50
    rewired_methods: tuple[str, ...] = ("snip", "grasp", "synflow", "phew")
    rewired_shares: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    rewired_draws: int = 5
    grid: tuple[float, ...] = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
    grid_seeds: tuple[int, ...] = (0, 1)
    followed_density: float = 0.05
    followed_seeds: tuple[int, ...] = (0, 1, 2)
    followed_every: int = 10
    snapshots: int = 15
    workers: int = 2

    def __post_init__(self) -> None:
        for name in COUNTS:
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        if self.dense_epochs >= self.epochs:
            raise InputError(
                f"expected dense_epochs below epochs={self.epochs}, the whole dense training, got {self.dense_epochs}; "
                "give fewer"
            )
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < float("inf"):
            raise InputError(f"expected learning_rate above 0, got {rate!r}; give one such as 0.1")
        for name, known in (
            ("networks", NETWORKS), ("methods", METHODS), ("rewired_methods", tuple(AT_INIT)),
        ):  # fmt: skip
            _names(name, getattr(self, name), known)
        _names("base", (self.base,), tuple(AT_INIT))
        for name in ("densities", "grid"):
            _shares(name, getattr(self, name), above_zero=True)
        _shares("followed_density", (self.followed_density,), above_zero=True)
        _shares("rewired_shares", self.rewired_shares, above_zero=False)
        for name in ("seeds", "grid_seeds", "followed_seeds"):
            _distinct(name, getattr(self, name))
            for seed in getattr(self, name):
                whole(f"a seed of {name}", seed, 0)

    def settings(self) -> dict[str, Any]:
        """Everything that decides numbers, ready for JSON: all fields but `workers`."""
        told = asdict(self)
        del told["workers"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def _distinct(name: str, values: Sequence[Any]) -> None:
    if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
        raise InputError(f"expected {name} as a tuple of one or more distinct values, got {values!r}; give such")


def _names(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    _distinct(name, values)
    for value in values:
        if value not in known:
            raise InputError(
                f"unknown name {value!r} in {name}; expected of {', '.join(known)}.{suggest(str(value), known)}"
            )


def _shares(name: str, values: Sequence[float], *, above_zero: bool) -> None:
    _distinct(name, values)
    for value in values:
        fine = isinstance(value, int | float) and not isinstance(value, bool)
        if not fine or not 0 <= value <= 1 or (above_zero and value == 0):
            raise InputError(f"expected {name} in {'(' if above_zero else '['}0, 1], got {value!r}; give 0.05, say")


FULL = Setup()
"""14 methods × 4 densities × 5 seeds × 2 networks: 560 masks, each trained."""

QUICK = Setup(
    methods=("random", "erk", "snip", "grasp", "synflow", "full_spectrum", "pretrained_base", "rewound"),
    densities=(0.02, 0.1),
    seeds=(0, 1),
    train_samples=300,
    test_samples=500,
    epochs=4,
    batch_size=25,
    dense_epochs=1,
    base="snip",
    population=8,
    score_samples=100,
    rounds=10,
    rewired_methods=("snip", "synflow"),
    rewired_shares=(0.0, 0.2, 1.0),
    rewired_draws=2,
    grid=(0.01, 0.03, 0.1, 0.3),
    grid_seeds=(0,),
    followed_seeds=(0,),
    followed_every=5,
    snapshots=4,
)
"""A look at the page in under a minute. Its runs have not converged, and say so; two seeds decide little."""
