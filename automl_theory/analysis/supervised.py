"""Several proxies as one, learned from accuracies: how much they say together, measured on architectures held out.

Ridge regression of the target's percentile on q and (q − ½)² of each proxy, q its percentile among the training
architectures (`RankComposite.transform`): monotone maps of a proxy or of the target change no order, a few networks
that did not train do not rule the fit, and a proxy that is best in its middle can count.
Its worth is judged by cross-validation in which all members of a class of equal architectures are held out together;
otherwise a copy of the same network in the training folds would tell the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted, validate_data

from automl_theory.analysis.columns import by_name, classes, described, orient, told_direction, values
from automl_theory.analysis.composite import RankComposite, feature_table, refuse_answers
from automl_theory.analysis.dominance import Floats
from automl_theory.analysis.landscape import kendall
from automl_theory.analysis.seeds import named_seeds
from automl_theory.errors import InputError


class AccuracyComposite(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Ridge regression on proxy percentiles as a scikit-learn regressor; `predict` is in the target's unit.

    The predicted percentile p is read off the sorted training targets, linearly between them; beyond the ends it goes
    on with the slope (max − min) per unit of p, so that no order is lost. `alpha` is the ridge penalty on features
    that lie in [0, 1]. X has shape (n, d); NaN (undefined) counts as the lowest percentile; ±inf is a value. Fitted:
    `ranks_` (a `RankComposite`), `ridge_`, `targets_` (sorted), `n_features_in_`.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, X: ArrayLike, y: ArrayLike) -> AccuracyComposite:
        """Learn the percentiles from X, shape (n, d), and the weights from X and y, shape (n,).

        Columns of a DataFrame that tell how training went are refused, as `RankComposite` does.
        """
        if isinstance(X, pd.DataFrame):
            refuse_answers(X, list(X.columns), strict=False)
        table, numbers = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False, y_numeric=True)
        self.ranks_ = RankComposite().fit(table)
        place = RankComposite().fit(numbers[:, None]).transform(numbers[:, None])[:, 0]
        self.ridge_ = Ridge(alpha=self.alpha).fit(_features(self.ranks_, table), place)
        self.targets_ = np.sort(numbers)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Return the predicted target, shape (n,)."""
        check_is_fitted(self)
        table = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False)
        place = self.ridge_.predict(_features(self.ranks_, table))
        n = len(self.targets_)
        low, high = 0.5 / n, 1 - 0.5 / n
        known = np.interp(place, np.linspace(low, high, n), self.targets_)
        beyond = place - np.clip(place, low, high)
        return np.asarray(known + beyond * (self.targets_[-1] - self.targets_[0]))

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _features(ranks: RankComposite, X: ArrayLike) -> Floats:
    q = ranks.transform(X)
    return np.hstack([q, (q - 0.5) ** 2])


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation:
    """How well a supervised combination orders architectures that it has not seen.

    `predictions`: out of fold, by architecture, NaN without a target. `kendall` with `low` and `high`: τ-b of them
    with the target (+ = right order) and its interval over classes. `best_single`: the column that alone has the
    largest |τ|, and `best_single_kendall`. `fold`: which fold each architecture was held out in, −1 without a target.
    """

    predictions: pd.Series
    kendall: float
    low: float
    high: float
    best_single: str
    best_single_kendall: float
    columns: tuple[str, ...]
    target: str
    n: int
    classes: int
    fold: pd.Series

    def __repr__(self) -> str:
        return (
            f"CrossValidation({self.target}: τ {self.kendall:.3f} [{self.low:.3f}, {self.high:.3f}] out of fold, best "
            f"single {self.best_single} |τ| {self.best_single_kendall:.3f}, n={self.n}, classes={self.classes})"
        )


def cross_validate_accuracy(
    df: pd.DataFrame,
    target: str,
    columns: Sequence[str] | None = None,
    *,
    model: BaseEstimator | None = None,
    target_direction: str | None = None,
    folds: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> CrossValidation:
    """Predict column `target` of score table `df` from proxy `columns`, each class of equal networks held out whole.

    Arguments:
        df: a score table with the target joined to it; rows with an undefined or infinite target are left out.
        columns: by default all proxies that the table describes, sizes included, graph measures not.
        model: any scikit-learn regressor that takes NaN; by default `AccuracyComposite()`. It is cloned for each fold,
            and everything it learns, percentiles too, comes from the other folds.
        target_direction: as in `rank`.
        folds: at most as many as there are classes (`GroupKFold`, shuffled by `seed`).
        level: of the interval, nan below ten classes.

    Raises `InputError` for fewer than two folds or classes, an unknown column, and one that tells how training went:
    the target, the target under one seed, and any that the table does not describe and whose name says it (accuracy,
    loss, error, epochs, top1, top5, acc, err).
    """
    if columns is None:
        names = [name for name in described(df) if name != target]
    else:
        names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise InputError('no proxy to learn from: this table describes none; pass columns=["column", …].')
    for name in names:
        values(df, name)
        if name in (target, *named_seeds(df, target)):
            raise InputError(f"{name!r} is what is to be predicted from the other columns; leave it out of columns.")
    refuse_answers(df, names, strict=False)
    order = by_name(df)
    index, df = df.index, df.iloc[order]
    y = values(df, target, "target")
    way = told_direction(target, target_direction)
    known = np.isfinite(y)
    rows = order[known]
    X, y, groups = feature_table(df, names)[known], y[known], classes(df)[known]
    count = len(np.unique(groups))
    if folds < 2 or count < 2:
        raise InputError(
            f"cross-validation needs two folds and two different architectures at least; got {folds} and {count}."
        )
    predicted, fold = np.full(len(y), np.nan), np.full(len(y), -1)
    split = GroupKFold(n_splits=min(folds, count), shuffle=True, random_state=seed).split(X, y, groups)
    for number, (train, test) in enumerate(split):
        fitted = clone(AccuracyComposite() if model is None else model).fit(X[train], y[train])
        predicted[test], fold[test] = fitted.predict(X[test]), number
    tau, low, high = kendall(orient(predicted, way), orient(y, way), groups, level)
    singles = {name: _single(X[:, k], y, groups, level) for k, name in enumerate(names)}
    best = max(singles, key=lambda name: singles[name])
    return CrossValidation(
        predictions=_spread(index, rows, predicted, np.nan, target),
        kendall=tau,
        low=low,
        high=high,
        best_single=best,
        best_single_kendall=singles[best],
        columns=tuple(names),
        target=target,
        n=len(y),
        classes=count,
        fold=_spread(index, rows, fold, -1, "fold"),
    )


def _single(x: Floats, y: Floats, groups: NDArray[np.intp], level: float) -> float:
    defined = ~np.isnan(x)
    tau = kendall(x[defined], y[defined], groups[defined], level)[0]
    return 0.0 if np.isnan(tau) else abs(tau)


def _spread(index: pd.Index, rows: NDArray[np.intp], found: NDArray[np.generic], rest: float, name: str) -> pd.Series:
    """Return `found` at positions `rows` of `index`, `rest` elsewhere."""
    column = np.full(len(index), rest, dtype=found.dtype)
    column[rows] = found
    return pd.Series(column, index=index, name=name)
