"""Closed forms of infinitely wide networks: what random weights give on average, without drawing any.

Start with `dag_kernels`; `bounds` holds what the no-free-lunch paper proves about the same cells. Nothing here imports
torch.
"""

from automl_theory.infinite_width.arc_cosine import kappa0, kappa0_derivative, kappa1, kappa1_derivative
from automl_theory.infinite_width.bounds import (
    jacobian_norm,
    nngp_bound,
    nngp_gap,
    ntk_bound,
    ntk_gap,
    pair_bound,
    risk_term,
)
from automl_theory.infinite_width.dag_kernels import DagKernels, dag_kernels, stem_kernel
from automl_theory.infinite_width.pruned_mlp import pruned_mlp_ntk, pruning_factor

__all__ = [
    "DagKernels",
    "dag_kernels",
    "jacobian_norm",
    "kappa0",
    "kappa0_derivative",
    "kappa1",
    "kappa1_derivative",
    "nngp_bound",
    "nngp_gap",
    "ntk_bound",
    "ntk_gap",
    "pair_bound",
    "pruned_mlp_ntk",
    "pruning_factor",
    "risk_term",
    "stem_kernel",
]
