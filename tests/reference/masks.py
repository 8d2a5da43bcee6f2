"""Measures of a mask the slow, obvious way: dense matrices, loops over nodes, one formula a line."""

from __future__ import annotations

from math import hypot, sqrt
from typing import Any

import numpy as np


def projective_plane(q: int) -> np.ndarray:
    """Points x lines of PG(2, q), q prime: incident where the homogeneous coordinates are orthogonal."""
    points = [(1, a, b) for a in range(q) for b in range(q)] + [(0, 1, a) for a in range(q)] + [(0, 0, 1)]
    return np.array([[np.dot(point, line) % q == 0 for line in points] for point in points])


def affine_plane(q: int) -> np.ndarray:
    """Lines x points of AG(2, q), q prime: y = a x + b, and x = c."""
    points = [(x, y) for x in range(q) for y in range(q)]
    slanted = [[(y - a * x - b) % q == 0 for x, y in points] for a in range(q) for b in range(q)]
    upright = [[x == c for x, _ in points] for c in range(q)]
    return np.array(slanted + upright)


def biadjacency(mask: np.ndarray, groups: int = 1) -> np.ndarray:
    """(outputs, inputs): edge by edge, an input being (group, channel of the group, kernel position)."""
    rows = mask.reshape(mask.shape[0], -1)
    outputs, block = rows.shape
    full = np.zeros((outputs, block * groups), dtype=rows.dtype)
    for output in range(outputs):
        for column in range(block):
            full[output, output // (outputs // groups) * block + column] = rows[output, column]
    return full


def live(b: np.ndarray) -> np.ndarray:
    return b[b.any(axis=1)][:, b.any(axis=0)]


def sigmas(b: np.ndarray) -> tuple[float, float]:
    """The largest and the third largest |eigenvalue| of the adjacency, which come in pairs."""
    values = np.append(np.linalg.svd(b.astype(np.float64), compute_uv=False), [0.0, 0.0])
    return float(values[0]), float(values[1])


def components(b: np.ndarray) -> int:
    b = live(b)
    unseen, count = set(range(b.shape[0])), 0
    while unseen:
        count, waiting = count + 1, [unseen.pop()]
        while waiting:
            columns = np.flatnonzero(b[waiting.pop()])
            found = {int(row) for row in np.flatnonzero(b[:, columns].any(axis=1))} & unseen
            unseen -= found
            waiting += found
    return count


def graph(b: np.ndarray) -> dict[str, float] | None:
    """Counts and gaps of one graph; None without edges."""
    b = live(b)
    if not b.size:
        return None
    right, left = b.shape
    edges = int((b != 0).sum())
    d_left, d_right = edges / left, edges / right
    first, second = sigmas(b)
    bound = sqrt(d_left - 1) + sqrt(d_right - 1)
    return {
        "left": left,
        "right": right,
        "edges": edges,
        "d_left": d_left,
        "d_right": d_right,
        "sigma1": first,
        "sigma2": second,
        "gap": bound - second,
        "bound": bound,
        "gap_eigen": 2 * sqrt(max(first - 1, 0)) - second,
        "lambda": first - second,
    }


def passes(convention: str, one: dict[str, float] | None, *, nested: bool) -> bool:
    if one is None:
        return False
    if convention == "iclr23":
        return one["d_left"] >= 3 and one["d_right"] >= 3
    if convention == "neurips23":
        return one["d_left"] >= 3 and one["d_right"] > 1 if nested else one["d_right"] >= 3 and one["d_left"] > 1
    return True


def measures(mask: np.ndarray, weight: np.ndarray, convention: str, groups: int = 1) -> dict[str, Any]:
    """The measures of a layer whose kept weights are not zero."""
    b = biadjacency(mask, groups).astype(float)
    w = b * biadjacency(np.abs(weight.astype(np.float64)), groups)
    whole, weighted = graph(b), graph(w)
    found: dict[str, Any] = dict.fromkeys(
        ("sigma1", "sigma2", "ramanujan_gap", "ramanujan_gap_eigen", "narc", "weighted_gap", "imdb")
    )
    found["components"] = components(b)
    if passes(convention, whole, nested=False):
        found |= {"sigma1": whole["sigma1"], "sigma2": whole["sigma2"], "weighted_gap": weighted["lambda"]}
        found |= {"ramanujan_gap": whole["gap"], "ramanujan_gap_eigen": whole["gap_eigen"]}
        left, right, edges, n = whole["left"], whole["right"], whole["edges"], whole["left"] + whole["right"]
        random = (whole["sigma2"] ** 2 / 4 + 1) * sqrt(left * right)
        if convention == "strict":
            found["narc"] = (random - edges) / (left * right)
        elif convention == "iclr23":
            found["narc"] = (random - abs(2 * edges - whole["d_left"] / b.shape[0] * left * right)) / b.size
        else:
            found["narc"] = (whole["sigma2"] * sqrt(left * right) - abs(2 * edges - edges * left / n)) / n
    terms, nested_gaps = [], []
    least = {"strict": 1, "iclr23": 3, "neurips23": 2}[convention]
    for degree in sorted(set(b.sum(axis=0)) - {0}):
        columns = b.sum(axis=0) == degree
        one, heavy = graph(b[:, columns]), graph(w[:, columns])
        if columns.sum() >= least and passes(convention, one, nested=True):
            factor = max(one["left"], one["right"]) / (one["left"] + one["right"] - 1)
            factor = factor if convention == "neurips23" else 1.0
            terms.append((factor * one["gap"], one["gap"] / one["bound"] if one["bound"] else None))
            nested_gaps.append(factor * heavy["lambda"])
    none = 0.0 if convention == "neurips23" else None
    found["n_subgraphs"] = len(terms)
    found["imdb"] = float(np.mean([gap for gap, _ in terms])) if terms else none
    shares = [share for _, share in terms if share is not None]
    found["imdb_normalised"] = float(np.mean(shares)) if shares else None
    found["nested_weighted_gap"] = float(np.mean(nested_gaps)) if terms else none
    axes = [found[name] for name in ("ramanujan_gap", "weighted_gap", "imdb", "nested_weighted_gap")]
    if convention == "neurips23":
        axes = [axis or 0.0 for axis in axes]
    found["coordinate"] = None if None in axes else tuple(axes)
    found["coordinate_length"] = None if None in axes else hypot(*axes)
    return found


def throughput(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over live channels and kernel positions of the out-share over the in-share, channel by channel."""
    one, two = biadjacency(first), biadjacency(second)
    positions = two.shape[1] // one.shape[0]
    ratios = []
    for channel in range(one.shape[0]):
        arriving = one[channel].sum() / one.any(axis=0).sum()
        if arriving:
            for position in range(positions):
                ratios.append(two[:, channel * positions + position].sum() / two.any(axis=1).sum() / arriving)
    return float(np.mean(ratios))


def overlap(mask: np.ndarray, positions: int) -> float | None:
    """Sets of outputs, channel by channel."""
    b = biadjacency(mask)
    shares = []
    for channel in range(b.shape[1] // positions):
        sets = [set(np.flatnonzero(b[:, channel * positions + position])) for position in range(positions)]
        if all(sets):
            shares.append(len(set.intersection(*sets)) / min(map(len, sets)))
    return float(np.mean(shares)) if shares else None
