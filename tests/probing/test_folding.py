"""A BatchNorm folded into the convolution before it: the kernel is the one of torch.func, and nothing slips through."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import automl_theory as at
from automl_theory.probing.tangent_kernel import SlowerKernel, measured_kernel

Forward = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Two convolutions, two BatchNorms and a linear layer, joined by `forward`."""

    def __init__(self, join: Forward, groups: int = 1, stride: int = 1, **norm: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.second = nn.Conv2d(4, 4, 3, stride, padding=1, groups=groups, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4, **norm), nn.BatchNorm2d(4, **norm)])
        self.out = nn.Linear(4, 3)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.join(self, x).mean((2, 3)))


def chain(net: Net, x: Tensor) -> Tensor:
    return net.norms[1](net.second(F.relu(net.norms[0](net.first(x)))))


def shared_norm(net: Net, x: Tensor) -> Tensor:
    return net.norms[0](net.second(F.relu(net.norms[0](net.first(x)))))


def shared_convolution(net: Net, x: Tensor) -> Tensor:
    y = F.relu(net.norms[0](net.first(x)))
    return net.norms[1](net.second(F.relu(net.norms[0](net.second(y)))))


def read_before(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    return z.tanh() + net.norms[0](z)


def view_before(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    view = z.view(z.shape)
    return net.norms[0](z) + view


def read_after(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    return net.norms[0](z) + z


def normalised_twice(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    return net.norms[0](z) + net.norms[1](z)


def asked_for_its_shape(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    assert z.shape[1] == z.size(1) == 4
    return net.norms[0](z) * z.shape[1]


def read_unseen(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    return net.norms[0](z) + torch.vmap(torch.tanh)(z)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)

    @torch.jit.script
    def scripted(x: Tensor) -> Tensor:
        return torch.tanh(x)


def read_by_a_script(net: Net, x: Tensor) -> Tensor:
    z = net.first(x)
    return net.norms[0](z) + scripted(z)


def two_edges(net: Net, x: Tensor) -> Tensor:
    node = net.norms[0](net.first(x))
    return net.norms[1](net.second(F.relu(node))) + F.relu(node)


def network(join: Forward, **options: object) -> Net:
    torch.manual_seed(0)
    net = Net(join, **options).double()
    for norm in net.norms:
        if norm.affine:
            nn.init.normal_(norm.weight, 1.0, 0.5)
            nn.init.normal_(norm.bias)
    return net


def inputs(n: int = 5, seed: int = 1) -> Tensor:
    return torch.randn(n, 2, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


FOLDED = [chain, shared_norm, shared_convolution, read_before, view_before, asked_for_its_shape, two_edges]


@pytest.mark.parametrize("bn", ["frozen", "running"])
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("join", FOLDED, ids=lambda join: join.__name__)
def test_equals_torch_func_by_the_layers(join: Forward, biases: bool, bn: str) -> None:
    net, x = network(join), inputs()
    fast = at.empirical_ntk(net, x, bn=bn, biases=biases, method="layers")
    torch.testing.assert_close(fast, at.empirical_ntk(net, x, bn=bn, biases=biases, method="functional"))


@pytest.mark.parametrize(
    "options", [{"groups": 2}, {"groups": 4}, {"stride": 2}, {"affine": False}, {"track_running_stats": False}], ids=str
)
def test_kinds_of_layers(options: dict[str, int]) -> None:
    net, x = network(chain, **options), inputs()
    torch.testing.assert_close(at.empirical_ntk(net, x, method="layers"), at.empirical_ntk(net, x, method="functional"))


@pytest.mark.parametrize("name", ["first.weight", "norms.0.weight", "norms.0.bias", "norms"])
def test_some_of_the_parameters(name: str) -> None:
    net, x = network(chain), inputs()
    kernels = [
        at.empirical_ntk(net, x, parameters=f"^{name}", biases=True, method=method)
        for method in ("layers", "functional")
    ]
    torch.testing.assert_close(*kernels)


@pytest.mark.parametrize("output", ["sum", "trace", "full"])
def test_two_batches_and_outputs(output: str) -> None:
    net = network(chain)
    kernels = [
        at.empirical_ntk(net, inputs(), inputs(4, seed=2), output=output, method=method)
        for method in ("layers", "functional")
    ]
    torch.testing.assert_close(*kernels)


@pytest.mark.parametrize("join", [read_after, normalised_twice], ids=lambda join: join.__name__)
def test_an_output_that_is_read_after_its_norm_too_takes_the_slower_way(join: Forward) -> None:
    net, x = network(join), inputs()
    kernel, how = measured_kernel(net, x)
    assert how == "functional (a convolution's output is read by its BatchNorm and by something else after it)"
    torch.testing.assert_close(kernel, at.empirical_ntk(net, x, method="functional"))
    with pytest.warns(SlowerKernel, match="read by its BatchNorm and by something else"):
        at.empirical_ntk(net, x)


@pytest.mark.parametrize(
    ("join", "why"),
    [
        (
            read_unseen,
            "functional (a convolution's output is read by its BatchNorm and by something that cannot be seen",
        ),
        (read_by_a_script, "functional (scripted is scripted (torch.jit), and what it does cannot be watched)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_reader_that_no_function_shows(join: Forward, why: str) -> None:
    net, x = network(join), inputs()
    kernel, how = measured_kernel(net, x)
    assert how.startswith(why)
    torch.testing.assert_close(kernel, at.empirical_ntk(net, x, method="coupled"))
    assert torch.equal(scripted(x), torch.tanh(x))


def test_a_small_image_is_not_folded_and_gives_the_same() -> None:
    net, x = network(chain), inputs()[:, :, :3, :3]
    torch.testing.assert_close(at.empirical_ntk(net, x, method="layers"), at.empirical_ntk(net, x, method="functional"))
