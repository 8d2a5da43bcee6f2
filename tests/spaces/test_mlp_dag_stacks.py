"""Classes as stacks, and cells joined on their nodes, against modules and against sums node by node."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_theory.errors import InputError
from automl_theory.graphs.code import parse_code
from automl_theory.networks.initialise import draw
from automl_theory.networks.mlp_stack import draw_stack, edge_name
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.mlp_dag_classes import live_part, units
from automl_theory.spaces.mlp_dag_stacks import groups, stack, union

SPACE = MlpDag()
LIVE = SPACE.live()
X = torch.randn(5, 1, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_live_codes_make_94_groups_of_221_networks() -> None:
    found = groups(LIVE)
    assert len(found) == 94
    assert sorted(code for group in found for code in group.codes) == LIVE
    assert {frozenset(group.codes) for group in found} == {
        frozenset(code for code in LIVE if SPACE.canonical(code) == one) for one in {*map(SPACE.canonical, LIVE)}
    }
    assert len({first for group in found for first in group.distinct().values()}) == 221


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(groups(LIVE)), st.data())
def test_a_stack_is_its_networks(group: object, data: st.DataObject) -> None:
    from automl_theory.spaces.mlp_dag_stacks import Group

    assert isinstance(group, Group)
    members = data.draw(st.lists(st.tuples(st.sampled_from(group.codes), st.integers(0, 50)), min_size=1, max_size=4))
    networks = stack(group, members, 9, 6, 4, dtype=torch.float64)
    logits = networks.logits(X.flatten(1))
    for place, (code, seed) in enumerate(members):
        module = SPACE.build(code, 6, 4, in_channels=1, resolution=3, seed=seed).double()
        torch.testing.assert_close(logits[place], module(X).detach(), rtol=1e-11, atol=1e-11)


def test_codes_that_are_not_distinct_have_equal_weights_and_logits() -> None:
    for group in groups(LIVE):
        first = group.distinct()
        weights = stack(group, [(code, 3) for code in group.codes], 9, 6, 4).weights
        for place, code in enumerate(group.codes):
            twin = group.codes.index(first[code])
            assert all(torch.equal(weight[place], weight[twin]) for weight in weights)


def test_groups_refuse_what_computes_nothing() -> None:
    with pytest.raises(InputError, match="'0_00_000' is disconnected: no path leads from input to output; leave it"):
        groups(["2_02_002", "0_00_000"])
    (group,) = groups(["2_02_002"])
    with pytest.raises(InputError, match="'2_22_222' is not in this group of '2_02_002'; stack the members of one"):
        stack(group, [("2_22_222", 0)], 9, 6)


def test_a_union_of_one_is_the_cell() -> None:
    for code in LIVE:
        edges, reads = units(live_part(parse_code(code)))
        assert union([code]).edges == tuple(edges)
        assert union([code]).reads == reads
        assert set(union([code]).owners) == {0}


def node_by_node(codes: list[str], seed: int, x: np.ndarray) -> np.ndarray:
    """Logits of joined cells: every edge of every cell, one after the other; no thought of which are alive."""

    def weight(name: str, *shape: int) -> np.ndarray:
        return draw(name, shape, "he_fan_in", seed).astype(np.float64)

    nodes = [np.maximum(x @ weight("_stem.layer.0.weight", 6, 9).T, 0)]
    for target in range(1, 4):
        value = np.zeros_like(nodes[0])
        for source in range(target):
            copies = 0
            for code in codes:
                operation = parse_code(code)[target - 1][source]
                if operation == 1:
                    value = value + nodes[source]
                if operation == 2:
                    edge = weight(edge_name((source, target, copies)), 6, 6)
                    value = value + np.maximum(nodes[source] @ edge.T, 0)
                    copies += 1
        nodes.append(value)
    return nodes[-1] @ weight("_readout.weight", 4, 6).T


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(list(SPACE)), min_size=1, max_size=3), st.integers(0, 9))
def test_a_union_adds_up_the_edges(codes: list[str], seed: int) -> None:
    x = X.flatten(1).numpy()
    try:
        joined = union(codes)
    except InputError:
        assert (node_by_node(codes, seed, x) == 0).all()
        return
    networks = draw_stack(joined.reads, [(joined.edges, seed)], 9, 6, 4, dtype=torch.float64)
    np.testing.assert_allclose(networks.logits(torch.from_numpy(x))[0], node_by_node(codes, seed, x), atol=1e-10)
    assert len(joined.owners) == len(joined.edges)


def test_the_papers_ensemble_of_wide_and_deep() -> None:
    joined = union(["1_22_221", "2_02_002"])
    assert joined.edges == ((0, 1), (0, 2), (1, 2), (1, 2, 1), (0, 3), (1, 3), (2, 3))
    assert joined.owners == (1, 0, 0, 1, 0, 0, 1)


def test_a_wrong_union_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected one or more codes of one number of nodes, got .*; join such cells"):
        union([])
    with pytest.raises(InputError, match="of one number of nodes"):
        union(["2", "2_02"])
    with pytest.raises(InputError, match=r"the union of \['0_00_000'\] is disconnected: .*; add edges"):
        union(["0_00_000"])
