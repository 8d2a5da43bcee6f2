"""Every function on the lists really keeps samples apart, and what mixes them is not let through."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from automl_theory.probing import sample_wise
from automl_theory.probing.sample_wise import keeps_samples_apart

N = 4
VOLUME = {"3d": (4, 4, 4), "2d": (6, 6), "1d": (8,)}


class Judge(TorchFunctionMode):
    """Collects the verdict on every function that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: list[bool] = []
        self.functions: list[object] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.functions.append(func)
        self.verdicts.append(keeps_samples_apart(func, args, kwargs or {}, result, N))
        return result


def judged(function, *inputs: Tensor) -> bool:
    with Judge() as judge:
        function(*inputs)
    assert judge.functions
    return all(judge.verdicts)


def batch(*shape: int) -> Tensor:
    return torch.rand(N, *(shape or (4, 6, 6))) + 0.5


def outputs(result: object) -> list[Tensor]:
    return list(sample_wise.tensors((result,)))


SPECIAL = {
    "threshold": lambda f, x: f(x, 1.0, 0.0),
    "pad": lambda f, x: f(x, (1, 1)),
    "interpolate": lambda f, x: f(x, scale_factor=2),
    "upsample": lambda f, x: f(x, scale_factor=2),
    "local_response_norm": lambda f, x: f(x, 2),
    "pixel_shuffle": lambda f, x: f(x, 2),
    "pixel_unshuffle": lambda f, x: f(x, 2),
    "channel_shuffle": lambda f, x: f(x, 2),
    "scaled_dot_product_attention": lambda f, x: f(x, x, x),
    "dropout1d": lambda f, x: f(x.flatten(2), 0.5, False),
    "clamp": lambda f, x: f(x, 0.6, 1.0),
    "clip": lambda f, x: f(x, 0.6, 1.0),
    "clamp_min": lambda f, x: f(x, 0.6),
    "clamp_max": lambda f, x: f(x, 0.6),
    "clamp_": lambda f, x: f(x, 0.6, 1.0),
    "to": lambda f, x: f(x, torch.float64),
    "type": lambda f, x: f(x, torch.float64),
    "glu": lambda f, x: f(x),
    "where": lambda f, x: f(x, x > 1, x * 2) if f is Tensor.where else f(x > 1, x, x * 2),
    "lerp": lambda f, x: f(x, x * 2, 0.3),
    "addcmul": lambda f, x: f(x, x, x),
    "masked_fill": lambda f, x: f(x, x > 1, 0.0),
    "pow": lambda f, x: f(x, 2.0),
    "__pow__": lambda f, x: f(x, 2.0),
    "__rsub__": lambda f, x: f(x, 2.0),
    "__radd__": lambda f, x: f(x, 2.0),
    "__rmul__": lambda f, x: f(x, 2.0),
    "__rtruediv__": lambda f, x: f(x, 2.0),
    "narrow": lambda f, x: f(x, 1, 1, 2),
    "select": lambda f, x: f(x, 1, 2),
    "cat": lambda f, x: f([x, x], 1),
    "concat": lambda f, x: f((x, x), 1),
    "stack": lambda f, x: f([x, x], 1),
    "flip": lambda f, x: f(x, (1, 2)),
    "norm": lambda f, x: f(x, 2, 1),
    "chunk": lambda f, x: f(x, 2, 1),
    "split": lambda f, x: f(x, 2, 1),
    "roll": lambda f, x: f(x, 1, 1),
    "normalize": lambda f, x: f(x),
}


def example(name: str, function: object, x: Tensor) -> object:
    """A call of the listed function on a batch x."""
    if name in SPECIAL:
        return SPECIAL[name](function, x)
    if "pool" in name:
        return function(x, *((2.0, 2) if name.startswith("lp") else (2,)))
    if name.startswith("conv_transpose"):
        return function(x, torch.ones(4, 2, *(3,) * int(name[-2])))
    if function in sample_wise.BROADCAST:
        return function(x, x * 0.9)
    if function in sample_wise.DIMENSION:
        return function(x, 1)
    if "dropout" in name:
        return function(x, 0.5, False)
    return function(x)


def input_for(name: str) -> Tensor:
    shape = next((shape for key, shape in VOLUME.items() if name.endswith(key)), (6, 6))
    return batch(4, *shape)


LISTED = [
    (name, function)
    for text in (sample_wise._SAMPLE_WISE, sample_wise._BROADCAST, *sample_wise._DIMENSION_AT.values())
    for name in text.split()
    for function in sorted(sample_wise._named(name), key=str)
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's of functions that it will drop
@pytest.mark.parametrize(("name", "function"), LISTED, ids=lambda v: v if isinstance(v, str) else "")
def test_listed_functions_keep_samples_apart(name, function):
    """A change of sample 2 changes row 2 of every result, and no other row; the function is let through."""
    x = input_for(name)
    y = x.clone()
    y[2] = x[2].flip(0) * 1.3 + 0.1
    first, second = outputs(example(name, function, x.clone())), outputs(example(name, function, y.clone()))
    rest = [0, 1, 3]
    for a, b in zip(first, second, strict=True):
        assert len(a) == N
        torch.testing.assert_close(a[rest], b[rest], rtol=0, atol=0)
    assert judged(lambda x: example(name, function, x), x)


def test_every_name_on_the_lists_exists():
    for text in (sample_wise._SAMPLE_WISE, sample_wise._BROADCAST, sample_wise._READING):
        for name in text.split():
            assert sample_wise._named(name), name
    for text in sample_wise._DIMENSION_AT.values():
        assert all(sample_wise._named(name) for name in text.split())


def test_structure_without_mixing_is_let_through():
    for function in (
        lambda x: x.view(N, -1),
        lambda x: x.reshape(N, 24, 6),
        lambda x: x.permute(0, 2, 3, 1),
        lambda x: x.permute((0, 3, 1, 2)),
        lambda x: x.transpose(1, -1),
        lambda x: x[:, 1],
        lambda x: x[:],
        lambda x: x[..., 0],
        lambda x: x[..., 0, 1:],
        lambda x: x[:, [0, 2]],
        lambda x: x[:, None, ..., :2],
        lambda x: x.flatten(1),
        lambda x: x.unsqueeze(1).squeeze(1),
        lambda x: x @ x.transpose(-1, -2),
        lambda x: torch.bmm(x[:, 0], x[:, 1]),
        lambda x: x.mean((2, 3), keepdim=True) * x,
        lambda x: x * torch.rand(1, 4, 1, 1) + torch.rand(6),
        lambda x: x.sum(-1).softmax(1),
        lambda x: (x.shape, x.size(0), x.dim(), len(x), x.dtype, x.is_contiguous(), x.requires_grad, x.device),
        lambda x: F.pad(x, (0, 0, 1, 1, 2, 2)),
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(6, 6).bool()),
        lambda x: torch.rand(3, 5).sum(),
    ):
        assert judged(function, batch())


def test_mixing_is_not_let_through():
    for function in (
        lambda x: x.mean(0),
        lambda x: x.mean(),
        lambda x: x.sum((0, 1)),
        lambda x: x.sum(dim=[]),
        lambda x: x.var(True),
        lambda x: x.max(),
        lambda x: x.flip(0),
        lambda x: x.flip(1, 0),
        lambda x: torch.roll(x, 1),
        lambda x: torch.roll(x, 1, 0),
        lambda x: x.cumsum(0),
        lambda x: x.softmax(0),
        lambda x: x.permute(1, 0, 2, 3),
        lambda x: x.transpose(0, 1),
        lambda x: x.transpose(1, -4),
        lambda x: x.movedim(0, 1),
        lambda x: x.view(-1),
        lambda x: x.view(2, -1),
        lambda x: x.flatten(),
        lambda x: x.unsqueeze(0),
        lambda x: torch.stack([x, x]),
        lambda x: torch.cat([x, x]),
        lambda x: x[0],
        lambda x: x[torch.tensor([1, 0, 2, 3])],
        lambda x: x[[1, 0, 2, 3]],
        lambda x: x[x.sum((1, 2, 3)) > 0],
        lambda x: x[:, [0, 1, 2, 3], :, [0, 1, 2, 3]],
        lambda x: x[..., 0, 0, 0, 0],
        lambda x: x[1:],
        lambda x: x.unbind(),
        lambda x: list(x),
        lambda x: x.chunk(2),
        lambda x: x.split(2),
        lambda x: F.pad(x, (0, 0, 0, 0, 0, 0, 1, 0)),
        lambda x: F.pad(x, (0, 0, 0, 0, 0, 0, 1, -1)),
        lambda x: F.normalize(x, dim=0),
        lambda x: F.scaled_dot_product_attention(*[x[:, 0, 0]] * 3),
        lambda x: x[:, 0, 0] @ torch.rand(6, N),
        lambda x: x[:, 0, 0] @ x[:, 0, 0].T,
        lambda x: x[:, 0, 0, 0] * torch.rand(5, N),
        lambda x: x[:, :, 0, 0] + x[:, 0, 0, 0],
        lambda x: torch.einsum("ni,mi->nm", x[:, 0, 0], x[:, 0, 0]),
        lambda x: torch.layer_norm(x[:, 0, 0], (N, 6)),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: torch.zeros(N, 4, 6, 6).__setitem__(slice(None), x),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: torch.equal(x, x),
        lambda x: torch.sort(x, 0),
        lambda x: F.conv_transpose2d(x[:, 0], torch.rand(N, 2, 3, 3)),
    ):
        assert not judged(function, batch()), function
