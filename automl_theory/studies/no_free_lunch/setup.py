"""Everything that decides the numbers of the study, in one frozen object.

Two runs of equal setups give equal tables; `workers` alone changes nothing but the time they take. `settings` is what a
run's folder remembers, and a folder of other settings is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from automl_theory.counts import whole
from automl_theory.errors import InputError
from automl_theory.spaces.mlp_dag import MlpDag

COUNTS = (
    "train_samples", "width", "epochs", "batch_size", "measure_width", "measure_inputs", "measure_seeds", "points",
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """What is trained and measured.

    data            "digits", a folder with CIFAR-10 or CIFAR-100, or a .npz with x and y (see `automl_theory.data`)
    codes           "all": the 541 live codes of `mlp_dag`; "classes": the first code of each of their 94 classes (codes
                    of one class are one function); or the codes themselves
    train_samples   size of the training part, drawn by `stratified_split` with seed 0; the rest is the test part
    width           neurons a layer of the trained networks
    epochs, batch_size, learning_rate   plain SGD with a constant rate, as the paper
    seeds           of weights and order of samples
    tune            each architecture its own learning rate out of four, by the first seed
    measure_width, measure_inputs, measure_seeds, points   networks at initialisation: neurons a layer, inputs in a
                    kernel, seeds 0 .. measure_seeds - 1, points of the curve
    pruning         shares of pruned weights in [0, 1): the sweep of Figure 7 is every pair of them (wide, deep)
    workers         processes; changes no number

    Why these defaults, from trials on every fourth to sixth class of the digits. At a rate of 0.02 nothing diverges,
    nor at 0.05; 4,000 steps left 3 of 72 runs that had not converged, so there are 5,000, which are 1,000 epochs. 600
    training images rather than 1,200: with 5 steps an epoch, the epochs to 50 % (2.2 to 5.4) are told apart better, the
    gap is half as large again, and the test part has 1,197. Width 64: outcomes (means of 2 seeds, 16 classes) are
    ordered as at 128 with τ 0.92 for training loss, 0.53 for epochs to 50 % and 0.65 for the gap, each more than the
    0.77, 0.37 and -0.13 between two seeds at width 64. Images of 3,072 numbers want a smaller rate: the paper's for
    CIFAR-10 is 0.001.

    Errors: InputError for a value out of range, an unknown or disconnected code.
    """

    data: str = "digits"
    codes: str | tuple[str, ...] = "all"
    train_samples: int = 600
    width: int = 64
    epochs: int = 1000
    batch_size: int = 128
    learning_rate: float = 0.02
    seeds: tuple[int, ...] = (0, 1, 2)
    tune: bool = False
    measure_width: int = 256
    measure_inputs: int = 128
    measure_seeds: int = 5
    points: int = 128
    pruning: tuple[float, ...] = (0.0, 0.2, 0.5, 0.7, 0.9)
    workers: int = 2

    def __post_init__(self) -> None:
        for name in COUNTS:
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        whole("workers", self.workers)
        if not isinstance(self.learning_rate, int | float) or not 0 < self.learning_rate < float("inf"):
            raise InputError(f"expected learning_rate above 0, got {self.learning_rate!r}; give one such as 0.01")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"expected one or more distinct seeds, got {self.seeds!r}; give such as (0, 1, 2)")
        for seed in self.seeds:
            whole("a seed", seed, 0)
        for ratio in self.pruning:
            if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio < 1:
                raise InputError(f"expected shares of pruned weights in [0, 1), got {ratio!r}; give such as (0, 0.5)")
        self.architectures()

    def architectures(self) -> tuple[str, ...]:
        """The codes that are trained and measured, in lexicographic order."""
        space = MlpDag(3)
        if self.codes == "all":
            return tuple(space.live())
        if self.codes == "classes":
            first: dict[str, str] = {}
            for arch in space.live():
                first.setdefault(space.canonical(arch), arch)
            return tuple(first.values())
        if isinstance(self.codes, str) or not self.codes:
            raise InputError(
                f"expected codes 'all', 'classes' or a tuple of them, got {self.codes!r}; give one of these"
            )
        for arch in self.codes:
            if why := space.degeneracy(arch):
                raise InputError(f"{arch!r} is degenerate ({why}): the paper leaves it out; leave it out too")
        return tuple(sorted(set(self.codes)))

    def settings(self) -> dict[str, Any]:
        """Everything that decides numbers, ready for JSON: all fields but `workers`."""
        told = asdict(self)
        del told["workers"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


FULL = Setup()
"""All 541 live codes, three seeds."""

QUICK = Setup(
    codes="classes",
    epochs=20,
    seeds=(0, 1),
    measure_width=64,
    measure_inputs=32,
    measure_seeds=2,
    pruning=(0.0, 0.5),
)
"""One code a class, two seeds, few epochs: a look at the page in minutes. Its runs have not converged, and say so."""
