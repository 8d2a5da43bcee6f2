"""The newer leaders among training-free measures, in table order; one idea a file."""

from __future__ import annotations

from automl_theory.proxies import az_nas, gradsign, meco, swap, vkdnw, zico

PROXIES = [
    *zico.PROXIES,
    *gradsign.PROXIES,
    *meco.PROXIES,
    *az_nas.PROXIES,
    *vkdnw.PROXIES,
    *swap.PROXIES,
]
