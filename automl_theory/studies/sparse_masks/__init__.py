"""Masks and what they foretell: the Ramanujan and full-spectrum measures of pruned networks, and their accuracies.

    from automl_theory.studies import sparse_masks

    study = sparse_masks.run(sparse_masks.QUICK, "runs/quick")     # a `study.Study`: tables

`Setup` says what is pruned, trained and measured, `FULL` (the default) and `QUICK` are two. Names are loaded on first
use.

Sources: Hoang, Liu, Marculescu, Wang, "Revisiting pruning at initialization through the lens of Ramanujan graph" (ICLR
2023); Hoang, Kundu, Liu, Wang, "Don't just prune by magnitude! Your mask topology is a secret weapon" (NeurIPS 2023).
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "run": "reproduce",
    "default_folder": "reproduce",
    "description": "reproduce",
    "Study": "study",
    "Setup": "setup",
    "FULL": "setup",
    "QUICK": "setup",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
