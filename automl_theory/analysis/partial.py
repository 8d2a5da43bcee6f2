"""Rank correlation beyond what other columns (parameters, MACs, number of trainable layers) say already.

With R the matrix of rank correlations of proxy x, target y and given columns z,

    S_uv = R_uv − R_uz R_zz⁻¹ R_zv,        partial = S_xy / √(S_xx S_yy)

On Spearman's R that is the Pearson correlation of what least squares on the ranks of z leaves of the ranks of x and y
(the method "spearman" of R's ppcor and of pingouin); for Gaussian-copula data it is within 0.02 of 0 when x says
nothing about y that z does not say. On Kendall's τ-b it is Kendall's partial τ (1942), for several columns as in
ppcor; it is not 0 then, since a matrix of τ under-corrects: x = z + noise and y = z + noise, both with correlation 0.8
to z, have partial τ = 0.14. Read the sign of "beyond" from Spearman's.

A given column whose ranks follow linearly from those of the others (MACs from parameters in NAS-Bench-201) adds
nothing and is left out. Where x or y follows from z, the partial correlation is NaN.

Interval: of the same formula on every resample, or from its derivative, for the training seeds as they were (not
widened as that of τ is; `analysis.seeds`). With a = R_zz⁻¹ R_zx and b = R_zz⁻¹ R_zy,

    dS_xy = dR_xy − a·dR_zy − b·dR_zx + aᵀ dR_zz b
"""

from __future__ import annotations

import numpy as np

from automl_theory.analysis.rank_correlation import Floats
from automl_theory.analysis.sampling import Bools, Pair, Sample

REDUNDANT = 1e-9
"""A column follows from others if they leave less than this share of its variance of ranks."""


class Given:
    """The given columns z, ready to be taken out of any proxy's agreement with the target.

    Correlations that do not involve the proxy are measured once for each set of rows.
    """

    def __init__(self, sample: Sample, y: Floats, columns: dict[str, Floats]) -> None:
        self.sample, self.y, self.columns = sample, y, columns
        self.known = np.ones(len(y), dtype=bool)
        for column in columns.values():
            self.known &= ~np.isnan(column)
        self._shared: dict[bytes, dict[tuple[int, int], Pair]] = {}

    def measure(self, x: Floats, used: Bools, found: Pair) -> dict[str, float]:
        """Return partial and partial_kendall with their ends, of oriented proxy `x` with the target.

        `found` is the agreement of x with the target on the rows `used`. NaN where no column is given, where x or the
        target follows from the given columns, and on fewer than k + 3 rows for k given columns.
        """
        nothing = (np.nan,) * 3
        partials = {"partial": nothing, "partial_kendall": nothing}
        rows = used & self.known
        zs = list(self.columns.values())
        if zs and not np.isnan(found.tau) and int((rows & self.sample.inside).sum()) >= len(zs) + 3:
            pairs = dict(self._among(rows))
            pairs[0, 1] = found if bool((rows == used).all()) else self.sample.pair(x, self.y, rows)
            for k, z in enumerate(zs, start=2):
                pairs[0, k] = self.sample.pair(x, z, rows)
            partials = {
                "partial": self._partial(pairs, len(zs) + 2, "rho"),
                "partial_kendall": self._partial(pairs, len(zs) + 2, "tau"),
            }
        ends = ("", "_low", "_high")
        return {f"{name}{end}": v for name, three in partials.items() for end, v in zip(ends, three, strict=True)}

    def _among(self, rows: Bools) -> dict[tuple[int, int], Pair]:
        key = rows.tobytes()
        if key not in self._shared:
            columns = [self.y, *self.columns.values()]
            self._shared[key] = {
                (i + 1, j + 1): self.sample.pair(columns[i], columns[j], rows)
                for i in range(len(columns))
                for j in range(i + 1, len(columns))
            }
        return self._shared[key]

    def _partial(self, pairs: dict[tuple[int, int], Pair], size: int, measure: str) -> tuple[float, float, float]:
        """Return value and ends from the pairwise correlations of columns 0 (proxy), 1 (target), 2 … (given)."""
        matrix = np.eye(size)
        for (i, j), pair in pairs.items():
            matrix[i, j] = matrix[j, i] = getattr(pair, measure)
        keep = [0, 1]
        for k in range(2, size):
            if not np.isnan(matrix[k, keep[2:]]).any() and _left(matrix, k, keep[2:]) > REDUNDANT:
                keep.append(k)
        keep = [k for k in keep if k < 2 or not np.isnan(matrix[k, :2]).any()]
        value = float(partial_correlation(matrix[np.ix_(keep, keep)]))
        spreads = [getattr(pairs[i, j], f"{measure}_spread") for i in keep for j in keep if i < j]
        if np.isnan(value) or not all(len(spread) for spread in spreads):
            return value, np.nan, np.nan
        stack = np.zeros((len(keep), len(keep), len(spreads[0])))
        for at_i, i in enumerate(keep):
            for at_j, j in enumerate(keep[at_i + 1 :], start=at_i + 1):
                stack[at_i, at_j] = stack[at_j, at_i] = getattr(pairs[i, j], f"{measure}_spread")
        if self.sample.linear:
            spread = derivative(matrix[np.ix_(keep, keep)], stack)
        else:
            spread = partial_correlation(np.moveaxis(stack, -1, 0) + np.eye(len(keep)))
        return value, *self.sample.interval(value, spread, pairs[0, 1].effective)


def _left(matrix: Floats, k: int, others: list[int]) -> float:
    """Return the share of column k's variance that the columns `others` leave."""
    if not others:
        return 1.0
    across = matrix[k, others]
    return float(1 - across @ np.linalg.pinv(matrix[np.ix_(others, others)], rcond=REDUNDANT, hermitian=True) @ across)


def partial_correlation(matrix: Floats) -> Floats:
    """Return the partial correlation of columns 0 and 1 given the others, from correlations of shape (…, m, m).

    NaN where either follows from the others, or a correlation is NaN.
    """
    defined = np.asarray(~np.isnan(matrix).any(axis=(-2, -1)))
    matrix = np.where(defined[..., None, None], matrix, np.eye(matrix.shape[-1]))
    across = matrix[..., :2, 2:]
    inverse = np.linalg.pinv(matrix[..., 2:, 2:], rcond=REDUNDANT, hermitian=True)
    left = matrix[..., :2, :2] - across @ inverse @ np.swapaxes(across, -1, -2)
    xx, yy = left[..., 0, 0], left[..., 1, 1]
    defined &= (xx > REDUNDANT) & (yy > REDUNDANT)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, np.clip(left[..., 0, 1] / np.sqrt(xx) / np.sqrt(yy), -1.0, 1.0), np.nan)


def derivative(matrix: Floats, change: Floats) -> Floats:
    """Return the change of the partial correlation, shape (c,), for changes of the correlations, shape (m, m, c).

    The given columns must not follow from each other.
    """
    weights = np.eye(2, len(matrix))
    weights[:, 2:] = -matrix[:2, 2:] @ np.linalg.inv(matrix[2:, 2:])
    left = weights @ matrix @ weights.T
    xy, xx, yy = (np.einsum("i,ijc,j->c", weights[i], change, weights[j]) for i, j in ((0, 1), (0, 0), (1, 1)))
    value = left[0, 1] / np.sqrt(left[0, 0] * left[1, 1])
    return np.asarray(xy / np.sqrt(left[0, 0] * left[1, 1]) - value / 2 * (xx / left[0, 0] + yy / left[1, 1]))
