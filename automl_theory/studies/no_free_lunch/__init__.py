"""Chen, Huang & Wang, "No Free Lunch in Neural Architectures?" (AutoML 2023), measured anew on small real data.

    from automl_theory.studies import no_free_lunch

    study = no_free_lunch.run(no_free_lunch.QUICK, "runs/quick")     # a `study.Study`: tables, claims, summary
    no_free_lunch.write_page(study, "page.html")

`Setup` says what is measured and trained, `FULL` (the default) and `QUICK` are two. Names are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "run": "reproduce",
    "write_page": "page",
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
