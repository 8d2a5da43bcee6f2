from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import trade_offs as reference

from automl_theory.analysis.dominance import best_beyond, front_mask, layer_numbers
from automl_theory.analysis.hypervolume import hypervolume
from automl_theory.analysis.pareto import pareto
from automl_theory.errors import InputError

moocore = pytest.importorskip("moocore", reason="needs the extra 'dev'")

Floats = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def simplex(rng: np.random.Generator, n: int, d: int) -> Floats:
    points = rng.exponential(size=(n, d))
    return points / points.sum(axis=1, keepdims=True)


def correlated(rng: np.random.Generator, n: int, d: int) -> Floats:
    return rng.random((n, 1)) + 0.05 * rng.random((n, d))


def degenerate(rng: np.random.Generator, n: int, d: int) -> Floats:
    """Some columns constant, a chain, and every row twice."""
    points = np.repeat(rng.random((n // 2 + 1, d)), 2, axis=0)[:n]
    points[: n // 3] = np.linspace(0, 1, n // 3)[:, None]
    points[:, rng.integers(d)] = 0.5
    return points


KINDS: dict[str, Callable[[np.random.Generator, int, int], Floats]] = {
    "random": lambda rng, n, d: rng.random((n, d)),
    "correlated": correlated,
    "anti-correlated": simplex,
    "noisy simplex": lambda rng, n, d: simplex(rng, n, d) + 0.02 * rng.random((n, d)),
    "few values": lambda rng, n, d: rng.integers(0, 4, size=(n, d)).astype(float),
    "many ties": lambda rng, n, d: rng.integers(0, 30, size=(n, d)).astype(float),
    "all tied": lambda rng, n, d: np.ones((n, d)),
    "total order": lambda rng, n, d: np.repeat(rng.permutation(n)[:, None], d, axis=1).astype(float),
    "degenerate": degenerate,
}


@pytest.mark.parametrize("n", [1, 2, 20, 127, 130, 600])
@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_front_and_hypervolume_are_moocores(kind: str, d: int, n: int) -> None:
    n = min(n, 130) if d == 4 else n
    points = KINDS[kind](np.random.default_rng(n + d), n, d)
    expected = moocore.is_nondominated(points, maximise=True, keep_weakly=True)
    np.testing.assert_array_equal(front_mask(points), expected)
    for low in (-0.1, 0.3):
        start = np.full(d, low)
        expected = moocore.hypervolume(points, ref=start, maximise=True)
        assert hypervolume(points, start) == pytest.approx(expected, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_large_sets_in_three_columns_are_moocores(kind: str) -> None:
    points = KINDS[kind](np.random.default_rng(0), 6000, 3)
    front = front_mask(points)
    np.testing.assert_array_equal(front, moocore.is_nondominated(points, maximise=True, keep_weakly=True))
    start = points.min(axis=0) - 0.01
    expected = moocore.hypervolume(points, ref=start, maximise=True)
    assert hypervolume(points, start) == pytest.approx(expected, rel=1e-11)
    assert hypervolume(points[front], start) == hypervolume(points, start)


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(2, 5), st.integers(0, 10**6))
def test_front_layers_and_hypervolume_are_the_obvious_ones(d: int, n: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, values, size=(n, d)).astype(float)
    assert front_mask(points).tolist() == reference.front(points)
    assert layer_numbers(points).tolist() == reference.layers(points)
    start = rng.integers(-1, 2, size=d).astype(float)
    assert hypervolume(points, start) == pytest.approx(reference.hypervolume(points, start), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_layers_of_larger_sets(kind: str, d: int) -> None:
    points = KINDS[kind](np.random.default_rng(1), 150, d)
    assert layer_numbers(points).tolist() == reference.layers(points)


@pytest.mark.parametrize("m", [1, 2, 100, 129, 256, 1000])
def test_best_beyond_is_a_search_through_all(m: int) -> None:
    a, b, c = (np.random.default_rng([m, k]).permutation(m) for k in range(3))
    expected = [max((c[j] for j in range(m) if a[j] > a[i] and b[j] > b[i]), default=-1) for i in range(m)]
    assert best_beyond(a, b, c).tolist() == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_what_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 6, size=(40, 3)).astype(float)
    front, start = front_mask(points), np.full(3, -1.0)
    assert front_mask(np.exp(points)).tolist() == front.tolist(), "monotone maps"
    order, columns = rng.permutation(40), rng.permutation(3)
    assert front_mask(points[order][:, columns]).tolist() == front[order].tolist()
    volume = hypervolume(points, start)
    assert hypervolume(points[order][:, columns], start) == pytest.approx(volume)
    assert hypervolume(np.repeat(points, 2, axis=0), start) == pytest.approx(volume), "copies"
    assert hypervolume(points + 3, start + 3) == pytest.approx(volume), "shifts"
    assert hypervolume(points * 2, start * 2) == pytest.approx(8 * volume), "units"


def test_more_rows_than_a_packed_key_can_hold() -> None:
    points = np.random.default_rng(0).random((3000, 6))
    np.testing.assert_array_equal(front_mask(points), moocore.is_nondominated(points, maximise=True))


def test_no_points_and_infinite_ones() -> None:
    none = np.empty((0, 3))
    assert front_mask(none).tolist() == []
    assert layer_numbers(none).tolist() == []
    assert hypervolume(none, np.zeros(3)) == 0.0
    points = np.array([[np.inf, 0.0, 1.0], [1.0, 1.0, 1.0], [-np.inf, 5.0, 5.0], [0.5, 0.5, 0.5]])
    assert front_mask(points).tolist() == [True, True, True, False]
    assert hypervolume(points, np.zeros(3)) == 1.0, "the infinite points are not above 0 in every column"
    assert hypervolume(points, np.full(3, -1.0)) == np.inf
    flat = np.array([[np.inf, 0.0, 3.0], [1.0, np.inf, 0.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0], [0.0, 3.0, np.inf]])
    assert hypervolume(flat, np.zeros(3)) == 3.0
    assert hypervolume(flat[:, :2], np.zeros(2)) == np.inf


def test_hypervolume_refuses_what_has_no_volume() -> None:
    with pytest.raises(InputError, match=r"shape \(n, d\) and a reference of shape \(d,\); got \(2, 2\) and \(3,\)"):
        hypervolume(np.ones((2, 2)), np.zeros(3))
    for points, start in ((np.array([[np.nan, 1.0]]), np.zeros(2)), (np.ones((1, 2)), np.array([0.0, -np.inf]))):
        with pytest.raises(InputError, match="points must not be NaN and the reference must be finite"):
            hypervolume(points, start)


def table() -> pd.DataFrame:
    df = pd.DataFrame(
        {
            "regions": [1.0, 5.0, 3.0, 3.0, 2.0, np.nan, 9.0],
            "loss": [9.0, 5.0, 1.0, 1.0, 2.0, 0.0, 0.0],
            "regions_status": ["ok", "saturated", "ok", "ok", "ok", "disconnected", "failed"],
        },
        index=pd.Index(list("abcdefg"), name="arch"),
    )
    df.attrs["proxies"] = {"regions": {"family": "expressivity", "direction": "maximize"}}
    return df


def test_a_table_in_its_own_directions_keeps_ties_and_counts_what_is_undefined() -> None:
    found = pareto(table(), ["regions", "loss"])
    assert found.directions == {"regions": "maximize", "loss": "minimize"}, "declared; told by the name"
    assert found.architectures == ["b", "c", "d"]
    assert found.size == 3
    assert found.layer.to_dict() == {"a": 3, "b": 1, "c": 1, "d": 1, "e": 2, "f": 0, "g": 0}
    assert (found.n, found.excluded) == (5, 2)
    assert found.undefined == {"regions": {"disconnected": 1, "failed": 1}, "loss": {}}
    assert found.reference == {"regions": 1.0, "loss": 9.0}
    assert found.hypervolume == 4 * 4 + 2 * 4
    assert found.table()["front"].tolist() == (found.layer == 1).tolist()
    turned = pareto(table(), ["regions", "loss"], directions={"regions": "minimize"})
    assert turned.architectures == ["a", "c", "d", "e"]
    further = pareto(table(), ["regions", "loss"], reference={"loss": 11.0, "regions": 0.0})
    assert further.hypervolume == 3 * 10 + 2 * 6


def test_edges_of_a_table() -> None:
    one = pareto(table().iloc[:1], ["regions", "loss"])
    assert (one.architectures, one.hypervolume) == (["a"], 0.0)
    none = pareto(table().iloc[5:], ["regions", "loss"])
    assert none.size == none.n == 0
    assert np.isnan(none.hypervolume)
    assert none.layer.tolist() == [0, 0]
    single = pareto(table(), "loss")
    assert single.architectures == ["f", "g"]
    assert single.layer.tolist() == [5, 4, 2, 2, 3, 1, 1]
    empty = pareto(table().iloc[:0], ["regions", "loss"])
    assert len(empty.front) == 0


def test_bad_input_is_told_in_one_line() -> None:
    df = table()
    for columns in ([], ["loss", "loss"]):
        with pytest.raises(InputError, match="expected one or more different columns"):
            pareto(df, columns)
    with pytest.raises(InputError, match=r"'region' is not a column of this table. Did you mean 'regions'"):
        pareto(df, ["region"])
    with pytest.raises(InputError, match="'regions_status' must be numeric"):
        pareto(df, ["regions_status"])
    with pytest.raises(InputError, match="directions names 'regions', which is not one of the columns loss"):
        pareto(df, ["loss"], directions={"regions": "maximize"})
    with pytest.raises(InputError, match='must be "maximize" or "minimize"; got \'up\''):
        pareto(df, ["loss"], directions={"loss": "up"})
    with pytest.raises(InputError, match="the reference of 'loss' must be a finite number; got inf"):
        pareto(df, ["loss"], reference={"loss": np.inf})


def test_a_cost_is_minimised_and_what_tells_nothing_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    costs = ["latency", "params", "parameters", "flops", "macs", "latency_gpu", "test_loss", "macs_per_sample"]
    df = pd.DataFrame(rng.random((20, len(costs) + 3)), columns=[*costs, "test_accuracy", "naswot", "depth"])
    df.attrs["proxies"] = {
        "naswot": {"family": "expressivity", "direction": "maximize"},
        "parameters": {"family": "size", "direction": "maximize"},
        "depth": {"family": "size", "direction": "maximize"},
        "latency_gpu": {"family": "other", "direction": "maximize"},
    }
    found = pareto(df, list(df.columns)).directions
    up = {"test_accuracy", "naswot", "latency_gpu"}
    assert found == {name: "maximize" if name in up else "minimize" for name in df.columns}
    two = pareto(df, ["naswot", "parameters"])
    points = df[["naswot", "parameters"]].to_numpy() * [1, -1]
    assert two.front.tolist() == reference.front(points)
    assert pareto(df, "parameters", directions={"parameters": "maximize"}).architectures == [
        str(df["parameters"].idxmax())
    ]
    df = df.rename(columns={"latency": "lapsed"})
    with pytest.raises(InputError, match=r"cannot tell whether 'lapsed' .*pass directions=\{'lapsed': \"maximize\"\}"):
        pareto(df, ["naswot", "lapsed"])
    assert pareto(df, ["lapsed"], directions={"lapsed": "minimize"}).size == 1


def test_a_front_is_shown_in_a_line() -> None:
    df = pd.DataFrame({"x": [1.0, 2.0, np.nan], "test_loss": [1.0, 0.5, 1.0]}, index=list("abc"))
    shown = repr(pareto(df, ["x", "test_loss"], directions={"x": "maximize"}))
    assert shown == "ParetoFront(1 of 2 on the front, 1 undefined; maximize x, minimize test_loss; hypervolume=0.5)"
