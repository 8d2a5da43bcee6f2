"""Small honest training, so that what a proxy foretells can be checked here: one network, or many at once."""

from __future__ import annotations

from automl_theory.training.curves import epochs_to, has_converged
from automl_theory.training.data import Data
from automl_theory.training.descent import Stack
from automl_theory.training.many import Many, train_many
from automl_theory.training.one import Result, evaluate, train
from automl_theory.training.recipe import Recipe

__all__ = [
    "Data",
    "Many",
    "Recipe",
    "Result",
    "Stack",
    "epochs_to",
    "evaluate",
    "has_converged",
    "train",
    "train_many",
]
