from __future__ import annotations

import numpy as np
import pytest
import torch

from automl_theory.probing import gram as module
from automl_theory.probing.gram import flatten_samples, gram


@pytest.mark.parametrize("p", [1, 15, 16, 32, 33, 160, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("cross", [False, True])
def test_gram_is_the_product(p, dtype, cross):
    rows, others = torch.randn(5, p).to(dtype), torch.randn(3, p).to(dtype)
    kernel = gram(rows, others) if cross else gram(rows)
    a, b = rows.double().numpy(), (others if cross else rows).double().numpy()
    assert kernel.dtype == torch.float64
    scale = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-5
    assert np.abs((kernel.numpy() - a @ b.T) / scale).max() < tolerance


def test_strided_and_empty_rows():
    wide = torch.randn(4, 320)
    expected = wide[:, ::2].double() @ wide[:, ::2].double().T
    torch.testing.assert_close(gram(wide[:, ::2]), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(gram(torch.zeros(3, 0)), torch.zeros(3, 3).double())


def test_long_rows_are_summed_in_float64():
    """One float32 sum over millions of entries of one sign loses digits; sums of spans do not."""
    rows = torch.rand(8, 20 * module._SPAN + 5)
    exact = rows.double() @ rows.double().T
    assert float(((gram(rows) - exact) / exact).abs().max()) < 1e-5


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_flatten_samples_keeps_inner_products(layout):
    x = torch.randn(4, 3, 5, 6).contiguous(memory_format=layout)
    flat = flatten_samples(x)
    assert flat.data_ptr() == x.data_ptr()
    torch.testing.assert_close(flat @ flat.T, torch.einsum("ichw,jchw->ij", x, x))
    assert flatten_samples(x[..., ::2]).shape == (4, 45)
