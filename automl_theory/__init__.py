"""Tells what a neural architecture will be good at, before anyone trains it.

The public names are loaded on first use: importing this package imports neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "space": "automl_theory.spaces",
    "list_spaces": "automl_theory.spaces",
    "list_proxies": "automl_theory.proxies",
    "get_proxy": "automl_theory.proxies",
    "initialise": "automl_theory.networks.initialise",
    "empirical_ntk": "automl_theory.probing.tangent_kernel",
    "score": "automl_theory.scoring.single",
    "score_space": "automl_theory.scoring.engine",
    "load_batch": "automl_theory.data",
    "search": "automl_theory.search",
    "testing": "automl_theory.testing",
    "graph_metrics": "automl_theory.graphs.table",
    "mask_metrics": "automl_theory.graphs.mask_metrics",
    "mask_table": "automl_theory.graphs.mask_table",
    "mask_pairs": "automl_theory.graphs.mask_table",
    "aggregate_masks": "automl_theory.graphs.mask_aggregate",
    "infinite_width": "automl_theory.infinite_width",
    "network_measures": "automl_theory.studies.no_free_lunch.network",
    "prune": "automl_theory.pruning.at_init",
    "load_accuracy": "automl_theory.accuracy.tables",
    "join": "automl_theory.analysis.join",
    "rank": "automl_theory.analysis.ranking",
    "print_ranking": "automl_theory.report.console",
    "compare": "automl_theory.analysis.comparison",
    "pareto": "automl_theory.analysis.pareto",
    "hypervolume": "automl_theory.analysis.hypervolume",
    "no_free_lunch": "automl_theory.analysis.tradeoff",
    "RankComposite": "automl_theory.analysis.composite",
    "AccuracyComposite": "automl_theory.analysis.supervised",
    "cross_validate_accuracy": "automl_theory.analysis.supervised",
    "rank_table": "automl_theory.analysis.composite",
    "Objective": "automl_theory.search.objective",
    "report": "automl_theory.report",
    "figures": "automl_theory.report",
}

__all__ = list(_PUBLIC)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'automl_theory' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    value = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
