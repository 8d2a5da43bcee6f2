from __future__ import annotations

import numpy as np
import pytest
import torch
from reference.masks import biadjacency, components
from torch import nn

from automl_theory.errors import InputError
from automl_theory.graphs.bipartite import as_array, bipartite


@pytest.mark.parametrize(
    ("shape", "groups"), [((6, 8), 1), ((6, 4, 3, 3), 1), ((8, 1, 3, 3), 8), ((6, 2, 5), 2), ((4, 3, 2, 2, 2), 4)]
)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_it_is_the_unrolled_layer_block_by_block(shape, groups, density):
    rng = np.random.default_rng(1)
    mask, weight = rng.random(shape) < density, rng.standard_normal(shape)
    graph = bipartite(mask, weight, groups=groups)
    expected = biadjacency(mask, groups)
    np.testing.assert_array_equal(graph.matrix().toarray().T, expected)
    np.testing.assert_array_equal(graph.matrix(graph.weights).toarray().T, np.abs(biadjacency(mask * weight, groups)))
    np.testing.assert_array_equal(graph.input_degrees, expected.sum(axis=0))
    np.testing.assert_array_equal(graph.output_degrees, expected.sum(axis=1))
    assert (graph.edges, graph.possible_edges) == (mask.sum(), mask.size)
    assert graph.components() == components(expected)
    for number in range(groups):
        block = graph.group(number)
        rows = slice(number * shape[0] // groups, (number + 1) * shape[0] // groups)
        np.testing.assert_array_equal(block.matrix().toarray().T, mask[rows].reshape(shape[0] // groups, -1))
        inside = (mask * np.abs(weight))[rows].reshape(shape[0] // groups, -1)
        np.testing.assert_array_equal(block.matrix(block.weights).toarray().T, inside)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_inputs_reach_the_outputs_that_torch_says(groups):
    """The Jacobian of a convolution at its centre pixel is the biadjacency, up to the order of its inputs."""
    conv = nn.Conv2d(6, 12, 3, groups=groups, bias=False).double()
    mask = torch.rand(conv.weight.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    conv.weight.data = mask.double()
    jacobian = torch.autograd.functional.jacobian(conv, torch.zeros(1, 6, 3, 3, dtype=torch.float64))
    expected = jacobian.reshape(12, -1).numpy()
    np.testing.assert_array_equal(bipartite(mask, groups=groups).matrix().toarray().T, expected)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_transposed_convolutions_are_turned_around(groups):
    conv = nn.ConvTranspose2d(6, 12, 3, groups=groups, bias=False).double()
    mask = torch.rand(conv.weight.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    conv.weight.data = mask.double()
    jacobian = torch.autograd.functional.jacobian(conv, torch.zeros(1, 6, 1, 1, dtype=torch.float64))
    # One pixel spreads over 3 x 3: (12, 3, 3, 6) by output, position, input.
    expected = jacobian.reshape(12, 9, 6).swapaxes(1, 2).reshape(12, 54).numpy()
    np.testing.assert_array_equal(bipartite(mask, groups=groups, transposed=True).matrix().toarray().T, expected)


def test_components_leave_isolated_nodes_out():
    assert bipartite(np.kron(np.eye(4), np.ones((3, 2)))).components() == 4
    assert bipartite(np.eye(5, 9)).components() == 5
    mask = np.zeros((7, 7))
    assert bipartite(mask).components() == 0
    mask[2, 3] = mask[5, 3] = 1
    assert bipartite(mask).components() == 1


def test_tensors_lists_and_parameters_are_masks():
    expected = bipartite(np.eye(3)).matrix().toarray()
    for mask in (torch.eye(3), torch.eye(3).bool(), nn.Parameter(torch.eye(3)), np.eye(3, dtype=int).tolist()):
        np.testing.assert_array_equal(bipartite(mask).matrix().toarray(), expected)
    assert as_array(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (
            np.ones(4),
            {},
            r"expected a mask of shape \(out, in\) or \(out, in, \*kernel\), got \(4,\); give one layer's",
        ),
        (np.ones((0, 4)), {}, r"got \(0, 4\)"),
        (np.full((2, 2), 0.5), {}, "holds zeros and ones only; for the graph of all non-zero weights pass weight != 0"),
        (np.array([["a", "b"]]), {}, "zeros and ones only"),
        (np.full((2, 2), np.nan), {}, "zeros and ones only"),
        (
            np.eye(2),
            {"weight": np.eye(3)},
            r"mask \(2, 2\) and weight \(3, 3\) differ in shape; give the weight of that",
        ),
        (np.eye(2), {"weight": np.eye(2) * 1j}, "expected real weights, got complex128; convert them to floats"),
        (np.eye(4), {"groups": 3}, "groups=3 does not divide the 4 outputs; give the layer's own groups"),
        (np.eye(4), {"groups": 0}, "groups=0 does not divide"),
        (np.eye(4), {"groups": 1.0}, r"groups=1\.0 does not divide"),
        (np.eye(4), {"groups": 3, "transposed": True}, "the 4 inputs"),
    ],
)
def test_bad_input(mask, options, message):
    with pytest.raises(InputError, match=message):
        bipartite(mask, **options)


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="expected rows of one length"):
        bipartite([[1, 0], [1]])
