"""Full-spectrum search over given candidates the slow, obvious way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from reference.masks import measures

Arrays = Mapping[str, np.ndarray]


def fitted(mask: np.ndarray, base: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """One weight at a time: the smallest goes, or the largest of base comes, until there are as many as in base."""
    mask, size = mask.copy(), np.abs(weight)
    while mask.sum() > base.sum():
        mask[min(zip(*np.nonzero(mask), strict=True), key=lambda place: size[place])] = False
    while mask.sum() < base.sum():
        mask[max(zip(*np.nonzero(base & ~mask), strict=True), key=lambda place: size[place])] = True
    return mask


def search(
    base: Arrays, candidates: Sequence[Arrays], weights: Arrays, convention: str, groups: Mapping[str, int]
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Masks, and the candidate (from 1; 0 the base) that each is of; a copy of the best so far does not count."""

    def pair(name: str, mask: np.ndarray) -> tuple[float, float]:
        found = measures(mask, weights[name], convention, groups.get(name, 1))
        if found["imdb"] is None or found["coordinate_length"] is None:
            return -np.inf, -np.inf
        return found["imdb"], found["coordinate_length"]

    masks, taken = dict(base), dict.fromkeys(base, 0)
    for number, candidate in enumerate(candidates, 1):
        for name in base:
            mask = fitted(candidate[name], base[name], weights[name])
            new, best = pair(name, mask), pair(name, masks[name])
            if (
                not np.array_equal(mask, masks[name])
                and np.isfinite(new[0])
                and all(a >= b or abs(a - b) < 1e-9 * max(1, abs(b)) for a, b in zip(new, best, strict=True))
            ):
                masks[name], taken[name] = mask, number
    return masks, taken
