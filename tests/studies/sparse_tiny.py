"""A study of seconds for the tests of the sparse-masks study."""

from __future__ import annotations

from automl_theory.studies.sparse_masks.setup import Setup

TINY = Setup(
    networks=("conv", "mlp"), methods=("random", "snip", "full_spectrum", "pretrained_base", "rewound"),
    densities=(0.02, 0.3), seeds=(3,), train_samples=60, test_samples=40, epochs=2, batch_size=20, dense_epochs=1,
    base="magnitude", population=2, score_samples=20, rounds=2, rewired_methods=("synflow",),
    rewired_shares=(0.0, 1.0), rewired_draws=1, grid=(0.02, 0.2), grid_seeds=(0,), followed_density=0.1,
    followed_seeds=(0,), followed_every=1, snapshots=2, workers=1,
)  # fmt: skip
