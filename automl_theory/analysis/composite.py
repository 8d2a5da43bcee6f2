"""Several proxies as one: rank aggregation, which sees no accuracy.

With the empirical distribution function of the training values of proxy k, ties counted half,

    F_k(v) = ( #{ i : v_ik < v } + ½ #{ i : v_ik = v } ) / n

the percentile in its good direction is q_k = F_k for a maximised proxy and 1 − F_k for a minimised one, and

    aggregate="mean"   score = (1/d) Σ_k q_k                                the mean rank (Borda count)
    aggregate="log"    score = (1/d) Σ_k log( (n q_k + ½) / (n + 1) )        a bad rank in one proxy costs most

Monotone maps of a proxy change nothing, and a new architecture is placed among those it was fitted to. "log" is the
non-linear aggregation of J. Lee, B. Ham, "AZ-NAS" (CVPR 2024), with average ranks moved off 0.

`DEFAULT` names the parts of the composite that this package recommends, and why each is in it; all weigh the same, and
no weight was fitted to an accuracy. Which measures are in it was chosen once, on one half of the canonical classes of
NAS-Bench-201; README has what it reaches on the other half and on a space that played no part in the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from automl_theory.analysis.columns import (
    VALUED,
    checked_direction,
    declared,
    statuses,
    tells_training,
    values,
)
from automl_theory.analysis.dominance import Floats
from automl_theory.analysis.pareto import default_direction
from automl_theory.analysis.representatives import choose_representatives
from automl_theory.errors import InputError, suggest

DEFAULT = {
    "naswot": ("maximize", "expressivity: how differently inputs switch the ReLUs"),
    "ntk_lambda_min_normalised": ("maximize", "convergence: how far samples' gradients are from being parallel"),
    "ntk_regression_error": ("minimize", "generalization: the error of regression with the tangent kernel"),
    "log_synflow": ("maximize", "saliency: how much of every weight reaches the output"),
    "effective_kernel": ("maximize", "graph: trainable kernel entries on a path, on average"),
    "deepest_kernel": ("maximize", "graph: the most of them on a path that no pooling blurs"),
    "unpooled_paths": ("maximize", "graph: ways on which nothing is averaged away"),
    "identity_paths": ("maximize", "graph: ways on which the gradient is handed on as it is"),
}
"""Part of `RankComposite.default()` → its direction, and what it is in for."""


class RankComposite(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Unsupervised rank aggregation as a scikit-learn transformer; see the head of this file for the formula.

    Arguments:
        aggregate: "mean" or "log".
        directions: "maximize" or "minimize" for each feature; None: larger is better in all.
        columns: the columns of a DataFrame that are its features; None: all columns, or an array.

    `fit(X)` learns the sorted values of each feature, X of shape (n, d). `transform(X)` gives q, shape (n, d), each in
    [0, 1], 1 = good; `score_samples(X)` the aggregate, shape (n,), larger = better. `fit` takes a y, as scikit-learn's
    pipelines pass one, and never looks at it: an accuracy cannot leak in. A DataFrame with a column that by its name
    tells how training went (test_accuracy, top1, epochs_to_50) and is not described in `attrs["proxies"]` is refused
    with `InputError`; an array has no names to go by. NaN (undefined) has q = 0, below every value
    (for one feature, the same as the rank "worst" in `rank`); ±inf is a value at its end. NaN is not learned from; a
    feature that is NaN in all training rows has q = ½ for every value. A constant feature gives q = ½ and moves nobody.

    Fitted: `sorted_` (a sorted array a feature), `n_features_in_`, `feature_names_in_` (for a DataFrame).
    """

    def __init__(
        self,
        aggregate: Literal["mean", "log"] = "mean",
        directions: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        self.aggregate = aggregate
        self.directions = directions
        self.columns = columns

    @classmethod
    def default(cls) -> RankComposite:
        """The composite that this package recommends: the log ranks of `DEFAULT`'s parts, summed.

        It is fitted to a score table with graph measures beside, such as

            df = at.join(at.score_space(space, proxies="composite", ...), at.graph_metrics(space, ...))
            score = at.RankComposite.default().fit(df).score_samples(df)

        In a space without graphs, or where a graph measure is the same for all, those parts move nobody.
        """
        return cls("log", [direction for direction, _ in DEFAULT.values()], list(DEFAULT))

    def fit(self, X: ArrayLike, y: object = None) -> RankComposite:
        """Learn the distribution of each feature; `y` is ignored."""
        del y
        X = self._features(X)
        if isinstance(X, pd.DataFrame):
            refuse_answers(X, list(X.columns), strict=False)
        table = validate_data(self, X, dtype=np.float64, ensure_all_finite=False)
        if self.aggregate not in ("mean", "log"):
            raise InputError(f'aggregate must be "mean" or "log"; got {self.aggregate!r}.')
        ways = self.directions
        if ways is not None and len(ways) != table.shape[1]:
            raise InputError(f"expected one direction a feature ({table.shape[1]}); got {len(ways)}.")
        self.directions_ = ["maximize"] * table.shape[1] if ways is None else list(ways)
        for number, way in enumerate(self.directions_):
            checked_direction(way, f"feature {number}")
        self.sorted_ = [np.sort(column[~np.isnan(column)]) for column in table.T]
        self.n_samples_ = len(table)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Return the percentile of each value in its good direction, shape (n, d), in [0, 1]."""
        check_is_fitted(self)
        table = validate_data(self, self._features(X), dtype=np.float64, ensure_all_finite=False, reset=False)
        good = np.empty(table.shape)
        for k, (learned, way) in enumerate(zip(self.sorted_, self.directions_, strict=True)):
            column = table[:, k]
            below, at_most = (np.searchsorted(learned, column, side=side) for side in ("left", "right"))
            part = (below + at_most) / (2 * len(learned)) if len(learned) else np.full(len(column), 0.5)
            good[:, k] = np.where(np.isnan(column), 0.0, part if way == "maximize" else 1 - part)
        return good

    def score_samples(self, X: ArrayLike) -> Floats:
        """Return the aggregate of each row, shape (n,), larger = better."""
        good = self.transform(X)
        if self.aggregate == "log":
            n = self.n_samples_
            good = np.log((n * good + 0.5) / (n + 1))
        return np.asarray(good.mean(axis=1))

    def _features(self, X: ArrayLike) -> ArrayLike:
        """`columns` of a table, NaN where a status says that a value is undefined; X itself without `columns`."""
        if self.columns is None:
            return X
        names = _listed(self.columns)
        if not isinstance(X, pd.DataFrame):
            raise InputError(f"expected a DataFrame with the columns {', '.join(names)}; got {type(X).__name__}.")
        if missing := [name for name in names if name not in X.columns]:
            raise InputError(
                f"the table has no column {', '.join(missing)}; score missing proxies, and for measures of the graph "
                "join at.graph_metrics(space, df.index)."
            )
        return pd.DataFrame(feature_table(X, names), index=X.index, columns=names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def rank_table(
    df: pd.DataFrame, columns: Sequence[str] | None = None, *, aggregate: Literal["mean", "log"] = "mean"
) -> pd.Series:
    """Return the rank composite of proxy `columns` of score table `df`, by architecture, larger = better.

    `columns` are by default the representatives of the three aspects, each taken in its declared direction. An
    undefined value ranks last; an architecture undefined in all of them has the lowest score. Raises `InputError` on
    an unknown column, and on one that is no proxy, such as an accuracy: this score must not see the answer.
    """
    names = list(choose_representatives(df).values()) if columns is None else _listed(columns)
    for name in names:
        values(df, name)
    refuse_answers(df, names, strict=True)
    X = feature_table(df, names)
    ways = [default_direction(df, name) for name in names]
    model = RankComposite(aggregate, ways)
    scores = model.fit(X).score_samples(X) if len(df) else np.empty(0)
    return pd.Series(scores, index=df.index, name="rank_composite")


def feature_table(df: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """Return `columns` as an array, shape (n, d), NaN where a value is undefined."""
    table = [np.where(np.isin(statuses(df, name), VALUED), values(df, name), np.nan) for name in columns]
    return np.column_stack(table)


def refuse_answers(df: pd.DataFrame, columns: Sequence[str], *, strict: bool) -> None:
    """Raise `InputError` if one of `columns` tells how training went.

    A column that the table describes is a proxy. Of the others, those whose names say so (`tells_training`) are
    refused; if `strict`, all of them, where the table describes any.
    """
    entries = declared(df)
    for name in map(str, columns):
        if name not in entries and (tells_training(name) or (strict and entries)):
            raise InputError(
                f"{name!r} is not one of the table's proxies: a composite must not see what it is to predict. "
                f'If it is a measure made without training, describe it in attrs["proxies"].{suggest(name, entries)}'
            )


def _listed(columns: Sequence[str]) -> list[str]:
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names or len(set(names)) < len(names):
        raise InputError(f"expected one or more different proxies to aggregate; got {names!r}.")
    return names
