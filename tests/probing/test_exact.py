"""The slower exact ways: bounded memory, wrong batching rules of torch, checks that samples are independent."""

from __future__ import annotations

import pytest
import torch
from reference import ntk, zoo
from torch import nn

from automl_theory.probing import exact
from automl_theory.probing.tangent_kernel import empirical_ntk, measured_kernel


def held_rows(monkeypatch) -> list[int]:
    """Sizes in bytes of all Jacobians that are held while a kernel is computed."""
    sizes = []
    gram = exact.gram

    def watching(rows, others=None):
        both = rows if others is None or others is rows else torch.cat([rows.flatten(), others.flatten()])
        sizes.append(both.numel() * both.element_size())
        return gram(rows, others)

    monkeypatch.setattr(exact, "gram", watching)
    return sizes


@pytest.mark.parametrize("name", ["batch_norm_prelu", "called_twice_and_dead"])
@pytest.mark.parametrize("output", ["sum", "full"])
def test_a_small_memory_gives_the_same_kernel_within_its_bound(monkeypatch, name, output):
    net, x = zoo.make(name, 7)
    for batches in ((x,), (x[:4], x[4:])):
        expected = ntk.tangent_kernel(net, *batches, output=output, biases=True)
        seeds = 3 if output == "full" else 1
        largest = max(p.numel() for p in net.parameters()) * 8
        for memory in (1, 500 * seeds, 4 * largest * seeds, 1 << 30):
            monkeypatch.setattr(exact, "MEMORY", memory)
            with monkeypatch.context() as patch:
                sizes = held_rows(patch)
                kernel = empirical_ntk(net, *batches, output=output, biases=True, method="functional")
            assert float((kernel - expected).abs().max() / expected.abs().max()) < 1e-12
            assert max(sizes) <= max(memory, 2 * seeds * largest)
            assert (len(sizes) == 1) == (memory == 1 << 30)


@pytest.mark.parametrize("batches", [1, 2])
def test_coupled_rows_are_cut_into_blocks_of_parameters(monkeypatch, batches):
    net, x = zoo.make("batch_norm_prelu", 6)
    pair = (x,) if batches == 1 else (x[:4], x[4:])
    expected = ntk.tangent_kernel(net, *pair, bn="batch", output="trace")
    for memory in (1, 2000, 1 << 30):
        monkeypatch.setattr(exact, "MEMORY", memory)
        kernel = empirical_ntk(net, *pair, bn="batch", output="trace")
        assert float((kernel - expected).abs().max() / expected.abs().max()) < 1e-12


def test_a_wrong_batching_rule_is_noticed(monkeypatch):
    """torch.func's gradients are compared with a plain backward pass of one sample."""
    net, x = zoo.make("custom_norm", 5)
    expected = ntk.tangent_kernel(net, x)
    calls = []
    grad = exact.grad

    def wrong(function, has_aux):
        calls.append(1)
        derivative = grad(function, has_aux=has_aux)

        def scaled(*args):
            gradients, output = derivative(*args)
            return {name: 1.01 * g for name, g in gradients.items()}, output

        return scaled

    monkeypatch.setattr(exact, "grad", wrong)
    kernel = empirical_ntk(net, x, method="functional")
    assert calls
    assert float((kernel - expected).abs().max() / expected.abs().max()) < 1e-12


def test_every_sample_is_checked_for_independence():
    """A module that mixes the last two samples alone."""

    def forward(net, x):
        h = torch.tanh(net.a(x))
        order = torch.arange(len(h))
        if len(h) > 1:
            order[-2:] = order[-2:].flip(0)
        return net.b(h[order])

    net, x = zoo.linears(forward).double(), torch.randn(9, 6).double()
    kernel, how = measured_kernel(net, x)
    assert how == "coupled (single samples give other outputs than the batch)"
    assert float((kernel - ntk.tangent_kernel(net, x)).abs().max()) < 1e-12


def test_batch_norm_called_more_often_on_a_single_sample():
    def forward(net, x):
        h = net.norm(net.a(x))
        return net.b(net.norm(h) if len(x) == 1 else h) * net.scale

    net = zoo.linears(forward, norm=nn.BatchNorm1d(5), scale=nn.Parameter(torch.ones(3))).double()
    x = torch.randn(5, 6).double()
    kernel, how = measured_kernel(net, x)
    assert how == "coupled (BatchNorm is called more often here than on the whole batch)"
    assert float((kernel - ntk.tangent_kernel(net, x)).abs().max()) < 1e-12
