from __future__ import annotations

import numpy as np
import pytest
from reference.ranks import (
    class_bootstrap,
    class_jackknife,
    expanded_percentiles,
    kendall,
    partial_kendall,
    partial_spearman,
)
from scipy import stats

from automl_theory.analysis.partial import Given, derivative, partial_correlation
from automl_theory.analysis.sampling import whole


def measured(
    columns: list[np.ndarray], method: str = "analytic", classes: np.ndarray | None = None, **options: int
) -> dict[str, float]:
    """Partials of columns[0] with columns[1] given the others."""
    x, y, *given = columns
    classes = np.arange(len(x)) if classes is None else classes
    sample = whole(classes, method, options.get("resamples", 200), 0, 0.95)
    used = np.ones(len(x), dtype=bool)
    sizes = Given(sample, y, {f"z{k}": z for k, z in enumerate(given)})
    return sizes.measure(x, used, sample.pair(x, y, used))


def table(n: int = 80, seed: int = 0, given: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(given, n)).round(1)
    common = rng.normal(size=n)
    x, y = (common + z.sum(axis=0) + 0.5 * rng.normal(size=n) for _ in range(2))
    return [x, y.round(1), *z]


@pytest.mark.parametrize("given", [1, 2, 3])
def test_partial_is_the_correlation_of_what_is_left_of_ranks(given: int) -> None:
    columns = table(given=given)
    found = measured(columns)["partial"]
    assert found == pytest.approx(partial_spearman(columns[0], columns[1], np.column_stack(columns[2:])))


def test_partial_kendall_is_kendalls() -> None:
    columns = table(given=1)
    assert measured(columns)["partial_kendall"] == pytest.approx(partial_kendall(*columns))
    matrix = np.eye(4)
    three = table(given=2)
    for i in range(4):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = kendall(three[i], three[j])
    inverse = np.linalg.inv(matrix)
    expected = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
    assert measured(three)["partial_kendall"] == pytest.approx(expected)


def test_intervals_are_the_bootstraps_and_near_the_jackknifes() -> None:
    columns = table(160, given=1)
    classes = np.arange(160) // 2

    def slow(*three: np.ndarray) -> float:
        xy, xz, yz = (stats.spearmanr(three[i], three[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2)))
        return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))

    found = measured(columns, "bootstrap", classes, resamples=25)
    ends = expanded_percentiles(class_bootstrap(slow, columns, classes, 25, seed=0), classes, 0.95)
    assert (found["partial_low"], found["partial_high"]) == pytest.approx(ends)
    analytic = measured(columns, "analytic", classes)
    reach = (np.arctanh(analytic["partial_high"]) - np.arctanh(analytic["partial_low"])) / 2
    error = reach / 1.99 * (1 - analytic["partial"] ** 2)
    assert error == pytest.approx(class_jackknife(slow, columns, classes), rel=0.06)


def test_derivative_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    matrix = np.corrcoef(rng.normal(size=(5, 30)))
    change = rng.normal(size=(5, 5))
    change = change + change.T
    np.fill_diagonal(change, 0)
    step = 1e-6
    slope = (partial_correlation(matrix + step * change) - partial_correlation(matrix - step * change)) / (2 * step)
    assert derivative(matrix, change[..., None])[0] == pytest.approx(float(slope), rel=1e-6)


def test_size_plus_noise_says_nothing_beyond_size() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000)
    x, y = (0.8 * z + 0.6 * rng.normal(size=4000) for _ in range(2))
    found = measured([x, y, z])
    assert kendall(x[:500], y[:500]) > 0.35
    assert found["partial_low"] < 0 < found["partial_high"]
    assert abs(found["partial"]) < 0.04
    assert found["partial_kendall"] == pytest.approx(0.144, abs=0.03), "which is why it is not the one to read"


@pytest.mark.parametrize("method", ["bootstrap", "analytic"])
def test_a_column_that_follows_from_others_changes_nothing(method: str) -> None:
    columns = table(given=2)
    alone = measured(columns, method)
    again = measured([*columns, np.exp(columns[2]), np.full(80, 7.0)], method)
    assert again == pytest.approx(alone, abs=1e-9)


@pytest.mark.parametrize("method", ["bootstrap", "analytic"])
def test_what_follows_from_the_given_columns_is_nan(method: str) -> None:
    x, y, z, other = table(given=2)
    for columns in ([np.exp(z), y, z, other], [x, -z, z, other], [x, y]):
        assert np.isnan(list(measured(columns, method).values())).all()


def test_few_rows_and_missing_sizes() -> None:
    x, y, z, other = table(given=2)
    few = measured([column[:4] for column in (x, y, z, other)])
    assert np.isnan(list(few.values())).all()
    nine = measured([column[:9] for column in (x, y, z)])
    assert not np.isnan(nine["partial"])
    assert np.isnan(nine["partial_low"])
    holes = z.copy()
    holes[:20] = np.nan
    assert measured([x, y, holes])["partial"] == pytest.approx(partial_spearman(x[20:], y[20:], z[20:, None]))


def test_partial_correlation_without_given_is_the_correlation() -> None:
    assert partial_correlation(np.array([[1, 0.3], [0.3, 1]])) == pytest.approx(0.3)
    assert np.isnan(partial_correlation(np.array([[1, np.nan], [np.nan, 1]])))
