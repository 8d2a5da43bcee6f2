from __future__ import annotations

import automl_theory as at
from automl_theory.search.objective import Objective

SMALL = {"n": 8, "network": {"channels": 4, "cells_per_stage": 1}}


def small(*proxies: str, **more: object) -> Objective:
    return at.Objective("nas_bench_201", list(proxies), **{**SMALL, **more})
