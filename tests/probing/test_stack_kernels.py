"""Kernels of stacks against the toolkit's own kernel of each network, and against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.graphs.code import code_graph, code_string, parse_code
from automl_theory.networks.mlp_stack import MlpStack, draw_stack
from automl_theory.probing.stack_kernels import stack_kernels
from automl_theory.spaces.mlp_dag_classes import live_part, units
from automl_theory.spaces.mlp_dag_stacks import groups, stack
from automl_theory.studies.no_free_lunch.network import stack_of

SPACE = at.space("mlp_dag")
LIVE = SPACE.live()
X = torch.from_numpy(np.random.default_rng(3).standard_normal((6, 12)))
FEW = settings(max_examples=25, deadline=None)


def build(code: str, seed: int, width: int = 10, classes: int = 4) -> torch.nn.Module:
    space = at.space("mlp_dag", nodes=code.count("_") + 1)
    return space.build(code, width, classes, 12, 1, seed=seed).double()


def stacked(code: str, seeds: tuple[int, ...], width: int = 10, classes: int = 4) -> MlpStack:
    (group,) = groups([code])
    return stack(group, [(code, seed) for seed in seeds], 12, width, classes, dtype=torch.float64)


@pytest.mark.parametrize(
    "code", [*LIVE[::37], "2_02_002", "1_11_112", "1_11_111", "2", "1_22", "2_12_112_0211", "2_22_222_1111_20202"]
)
def test_each_member_has_the_kernels_of_its_network(code: str) -> None:
    kernels = stack_kernels(stacked(code, (0, 5)), X)
    assert kernels.ntk.dtype == torch.float64
    for k, seed in enumerate((0, 5)):
        net = build(code, seed)
        torch.testing.assert_close(kernels.ntk[k], at.empirical_ntk(net, X, output="sum"), rtol=1e-10, atol=1e-11)
        features = net.nodes(X)[-1].detach()
        torch.testing.assert_close(kernels.nngp[k], features @ features.T / 10, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("code", ["2_02_002", "2_22_222", "1_11_111", "2_21_112_1202"])
def test_the_trace_over_classes(code: str) -> None:
    kernels = stack_kernels(stacked(code, (0, 5)), X, output="trace")
    for k, seed in enumerate((0, 5)):
        expected = at.empirical_ntk(build(code, seed), X, output="trace")
        torch.testing.assert_close(kernels.ntk[k], expected, rtol=1e-10, atol=1e-11)
    assert torch.equal(kernels.readout, stack_kernels(stacked(code, (0, 5)), X).readout)
    with pytest.raises(InputError, match="output='full' is not one of sum, trace; use empirical_ntk"):
        stack_kernels(stacked(code, (0,)), X, output="full")


@pytest.mark.parametrize("code", ["2_02_002", "2_22_222", "1_12_211", "1_11_111", "2_21_112_1202"])
def test_the_three_parts_are_those_of_their_weights(code: str) -> None:
    """Gradients of the summed logits by autograd, one input at a time, gathered by parameter."""
    net = build(code, 2)
    parts = {"stem": torch.zeros(6, 6), "edges": torch.zeros(6, 6), "readout": torch.zeros(6, 6)}
    parameters = dict(net.named_parameters())
    rows = [torch.autograd.grad(net(X[i : i + 1]).sum(), parameters.values(), allow_unused=True) for i in range(len(X))]
    for place, name in enumerate(parameters):
        part = "stem" if name.startswith("_stem") else "readout" if name.startswith("_readout") else "edges"
        if rows[0][place] is not None:
            flat = torch.stack([row[place].flatten() for row in rows])
            parts[part] = parts[part] + flat @ flat.T
    kernels = stack_kernels(stacked(code, (2,)), X)
    for part, expected in parts.items():
        torch.testing.assert_close(getattr(kernels, part)[0], expected.double(), rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(kernels.cell[0], parts["edges"] + parts["readout"], rtol=1e-10, atol=1e-11)


def test_members_of_a_class_stand_side_by_side() -> None:
    group = max(groups(LIVE), key=lambda found: len(found.codes))
    members = [(code, seed) for code in group.codes[:4] for seed in (0, 1)]
    kernels = stack_kernels(stack(group, members, 12, 10, 4, dtype=torch.float64), X)
    for k, (code, seed) in enumerate(members):
        alone = stack_kernels(stacked(code, (seed,)), X)
        torch.testing.assert_close(kernels.ntk[k], alone.ntk[0], rtol=1e-12, atol=1e-12)


def test_single_precision_passes_give_the_same_to_its_rounding() -> None:
    (group,) = groups(["2_21_212"])
    single = stack_kernels(stack(group, [("2_21_212", 0)], 12, 10, 4), X.float())
    double = stack_kernels(stacked("2_21_212", (0,)), X)
    assert single.ntk.dtype == torch.float64
    torch.testing.assert_close(single.ntk, double.ntk, rtol=1e-4, atol=1e-4)


def test_a_disconnected_cell_has_zeros() -> None:
    kernels = stack_kernels(stack_of(build("2_00_000", 0)), X)
    for part in ("nngp", "stem", "edges", "readout", "ntk"):
        assert getattr(kernels, part).shape == (1, 6, 6)
        assert not getattr(kernels, part).any()


def codes(nodes: int) -> st.SearchStrategy[str]:
    return st.tuples(*(st.text("0122", min_size=t, max_size=t) for t in range(1, nodes + 1))).map("_".join)


CONNECTED = st.integers(1, 6).flatmap(codes).filter(lambda code: code_graph(parse_code(code)).connected)


@FEW
@given(CONNECTED, st.permutations(range(6)), st.floats(0.1, 30))
def test_permuting_the_batch_permutes_and_scaling_scales(code: str, order: list[int], scale: float) -> None:
    """Statement 10, and that samples do not mix: the kernel of some inputs is the block of the kernel of all."""
    member = stacked(code, (1,))
    plain, other = stack_kernels(member, X), stack_kernels(member, scale * X[order])
    for part in ("nngp", "stem", "edges", "readout"):
        expected = scale**2 * getattr(plain, part)[:, order][:, :, order]
        torch.testing.assert_close(getattr(other, part), expected, rtol=1e-9, atol=1e-9 * scale**2)
        some = getattr(stack_kernels(member, X[:2]), part)
        torch.testing.assert_close(some, getattr(plain, part)[:, :2, :2], rtol=1e-10, atol=1e-10)


@FEW
@given(CONNECTED)
def test_dead_edges_change_nothing(code: str) -> None:
    """Statement 10: the network as the code says, dead edges built and run, has the kernel of its live part."""
    alive = code_string(live_part(parse_code(code)))
    torch.testing.assert_close(
        at.empirical_ntk(build(code, 3), X, output="sum"), stack_kernels(stacked(alive, (3,)), X).ntk[0],
        rtol=1e-9, atol=1e-9,
    )  # fmt: skip


@FEW
@given(CONNECTED, st.data())
def test_relabelled_units_give_the_same_kernel(code: str, data: st.DataObject) -> None:
    """Any other topological order of the units, with the same weights on them, is the same function."""
    edges, reads = units(live_part(parse_code(code)))
    order, waiting = [0], list(range(1, len(edges) + 1))
    while waiting:
        ready = [u for u in waiting if all(not c or v in order for v, c in enumerate(reads[u]))]
        chosen = data.draw(st.sampled_from(ready))
        order.append(chosen)
        waiting.remove(chosen)
    other = tuple(tuple(reads[u][v] for v in order) for u in [*order, len(reads) - 1])
    relabelled = draw_stack(other, [([edges[u - 1] for u in order[1:]], 4)], 12, 10, 4, dtype=torch.float64)
    torch.testing.assert_close(
        stack_kernels(relabelled, X).ntk, stack_kernels(stacked(code, (4,)), X).ntk, rtol=1e-9, atol=1e-9
    )
