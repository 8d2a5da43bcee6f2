"""Yang & Wang, "On the Neural Tangent Kernel Analysis of Randomly Pruned Neural Networks" (AISTATS 2023), tested.

    study = pruned_ntk.run(pruned_ntk.QUICK)
    study.statements                         one verdict a statement: agree, differ or cannot tell
    study.estimates                          the numbers behind them, with 95 % intervals
    pruned_ntk.write_page(study, "page.html")

With `run(setup, folder)` a killed run goes on. Names are loaded on first use.

Networks are drawn at every keep probability α and width d, and their NTK Θ̃ is measured on the authors' own pair of
inputs (`authors_pair`), with rescaling by α^(-1/2) and without. The statements, for a network of depth L:

    factor      Theorem 1: without rescaling the mean of Θ̃ is near α^L Θ at the largest width; as a power law in α its
                exponent is L
    rescaling   with rescaling it is near Θ; and for every network Θ̃ is α^(-L) times that without
    diagonal    E Θ̃(x, x) = α^L (L + 1) |x|² at every width, not only in the limit (derived here, no claim of the paper)
    variance    the variance with rescaling is affine in 1/α: d var = A + B/α with B > 0 (found by measuring)
    width       it falls as 1/d: log var against log d, one line for each α, all of one slope, has slope -1
    flat        Theorem 2: with d proportional to 1/α the deviation |Θ̃ - Θ| stays what it was. Its mean against 1/α,
                both in logarithms, has slope 0 rather than 1/2, as at fixed width for small α, or -1/2, as with d in
                1/α². (By the law of the variance it falls as √(A α + B), by about a third from α = 1 on, then not.)

Both laws are of leading order in 1/d. What a masked neuron reads are α d numbers, and with few of them the variance is
larger: by some 15 % at α d = 64 and 7 % at 128. So `variance` and `width` look at pairs with α d of at least 64 only.

An estimate has a percentile interval: draws are resampled within each pair (α, d), 2000 times with a fixed seed. The
means for all α of `factor` and `rescaling` are asked at once, so that their intervals are Bonferroni's. An estimate
whose value theory predicts has a tolerance, since finite networks have corrections of O(1/d):

    agree        the interval lies wholly within the tolerance around the prediction
    differ       wholly outside of it
    cannot tell  it reaches to both sides, and more draws would tell; or there are too few pairs with such α d

Tolerances and the least α d were set after looking at trial runs: of such a grid with seed 5, and of `QUICK` with
seed 0, whose draws `FULL` with seed 0 has too. `FULL` with a seed not looked at before (21) then agreed throughout;
`QUICK` with four such seeds (21 to 24) left `variance` or `flat` open each time.

A statement agrees if all its estimates do, and differs if one does.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "run": "reproduce",
    "Study": "reproduce",
    "default_folder": "reproduce",
    "Setup": "setup",
    "FULL": "setup",
    "QUICK": "setup",
    "cell_seed": "setup",
    "measure": "drawing",
    "authors_pair": "drawing",
    "write_page": "page",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
