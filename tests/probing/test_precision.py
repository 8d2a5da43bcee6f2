"""Float32 products are computed in full, and every switch is left as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from automl_theory.probing.precision import _settings, full_precision
from automl_theory.probing.tangent_kernel import empirical_ntk

BACKENDS = torch.backends


def told(read: Callable[[], object]) -> object:
    try:
        return read()
    except RuntimeError:
        return "refused"


def switches() -> list[object]:
    older = [
        lambda: BACKENDS.cudnn.allow_tf32,
        lambda: BACKENDS.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision,
    ]
    return [setting.fp32_precision for setting in _settings()] + [told(read) for read in older]


def put(owner: object, name: str, value: object) -> Callable[[], None]:
    return lambda: setattr(owner, name, value)


NEWER = (
    []
    if not _settings()
    else [
        put(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
        put(BACKENDS.cudnn.conv, "fp32_precision", "ieee"),
        put(BACKENDS, "fp32_precision", "tf32"),
    ]
)


@pytest.fixture
def restored():
    settings = _settings()
    before = [setting.fp32_precision for setting in settings]
    overall = getattr(BACKENDS, "fp32_precision", None)
    cudnn, products = BACKENDS.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    yield
    if overall is not None:
        BACKENDS.fp32_precision = overall
    BACKENDS.cudnn.allow_tf32 = cudnn
    torch.set_float32_matmul_precision(products)
    for setting, value in zip(settings, before, strict=True):
        setting.fp32_precision = value


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "change",
    [
        lambda: None,
        put(BACKENDS.cuda.matmul, "allow_tf32", True),
        put(BACKENDS.cudnn, "allow_tf32", False),
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("medium"),
        *NEWER,
    ],
)
def test_every_switch_is_off_inside_and_as_before_afterwards(change):
    net, x = nn.Linear(64, 3), torch.randn(5, 64)
    expected = empirical_ntk(net, x)
    change()
    before = switches()
    with full_precision():
        assert all(setting.fp32_precision == "ieee" for setting in _settings())
        if not _settings():
            assert torch.get_float32_matmul_precision() == "highest"
        net(x)
    assert switches() == before
    assert torch.equal(empirical_ntk(net, x), expected)

    def interrupted() -> None:
        with full_precision():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert switches() == before
