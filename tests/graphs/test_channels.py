from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.masks import overlap, throughput

from automl_theory.errors import InputError
from automl_theory.graphs.bipartite import bipartite
from automl_theory.graphs.channels import channel_overlap, layer_pair


def random(seed: int, shape: tuple[int, ...], density: float) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < density


def test_oracle(shared: Path):
    """The released values too, with the shift that two dead channels make."""
    stem, small = random(104, (16, 3, 3, 3), 0.5), random(105, (32, 16, 3, 3), 0.1)
    large, linear = random(106, (64, 32, 3, 3), 0.05), random(115, (64, 64), 0.02)
    dead = stem.copy()
    dead[-2:] = False
    pairs = [(stem, small), (small, large), (large, linear), (dead, small)]
    expected = json.loads((shared / "oracle" / "ramanujan.json").read_text())["layer_pairs"]
    for (first, second), case in zip(pairs, expected, strict=True):
        for released, key, tolerance in ((False, "dense_numpy", 1e-8), (True, "authors_iclr", 5e-5)):
            found = layer_pair(bipartite(first), bipartite(second), released=released)
            values = [case[key][name] for name in ("copeland", "compatibility", "overlap")]
            assert found[:3] == pytest.approx(values, abs=tolerance), (case["pair"], key)
            assert found.reason is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_slow_way_agrees(seed):
    rng = np.random.default_rng(seed)
    channels, positions = rng.integers(1, 7), rng.integers(1, 4)
    first = rng.random((channels, rng.integers(1, 12))) < rng.random()
    second = rng.random((rng.integers(1, 9), channels, positions)) < rng.random()
    first[0, 0] = second[0, 0, 0] = True
    found = layer_pair(bipartite(first), bipartite(second))
    assert found.throughput == pytest.approx(throughput(first, second))
    assert found.overlap == pytest.approx(overlap(second, positions))
    alive = first.any(axis=1)
    assert found.compatibility == pytest.approx((alive & second.any(axis=(0, 2))).sum() / alive.sum())


def test_known_values():
    full = layer_pair(bipartite(np.ones((5, 7))), bipartite(np.ones((3, 5, 2, 2))))
    assert full == (1.0, 1.0, 1.0, None)
    # Each channel receives all 4 inputs and passes on to 1 of 2 outputs; one is not read at all.
    half = layer_pair(bipartite(np.ones((2, 4))), bipartite([[1, 0], [1, 0]]))
    assert half == (0.5, 0.5, 1.0, None)
    # A flattened map of 3 pixels a channel.
    assert layer_pair(bipartite(np.ones((2, 4))), bipartite(np.ones((5, 6)))).throughput == 1


def test_overlap():
    filters = np.zeros((4, 2, 3, 3))
    filters[:2] = 1
    assert channel_overlap(bipartite(filters), 9) == 1
    apart = np.zeros((2, 1, 2))
    apart[0, 0, 0] = apart[1, 0, 1] = 1
    assert channel_overlap(bipartite(apart), 2) == 0
    apart[1, 0, 1] = 0
    assert channel_overlap(bipartite(apart), 2) is None


def test_undefined():
    dead, alive = bipartite(np.zeros((3, 4))), bipartite(np.ones((2, 3)))
    assert layer_pair(dead, alive) == (None, None, 1.0, "the first layer has no edge left")
    assert layer_pair(bipartite(np.ones((3, 4))), bipartite(np.zeros((2, 3)))) == (
        None,
        None,
        None,
        "the second layer has no edge left",
    )
    assert layer_pair(dead, alive, released=True) == (0.0, 0.0, 1.0, None)
    sparse = np.zeros((2, 3, 2))
    sparse[0, 0, 0] = 1
    found = layer_pair(bipartite(np.ones((3, 4))), bipartite(sparse))
    assert (found.overlap, found.reason) == (None, "no channel has an edge at every position")
    assert layer_pair(bipartite(np.ones((3, 4))), bipartite(sparse), released=True)[2:] == (0.0, None)
    with pytest.raises(InputError, match="a layer with 3 inputs cannot follow one with 2 outputs; give consecutive"):
        layer_pair(alive, alive)
