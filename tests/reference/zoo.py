"""Small modules of every kind a user may bring, each with an input and the way its tangent kernel should be computed.

`CASES[name]` = (factory of the module, factory of an input (n, …), way): "layers" for one backward pass, "functional"
for the exact way sample by sample, "coupled" where a sample's output depends on the other samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

Input = Callable[[int], Tensor]


class Net(nn.Module):
    """forward(x) = function(self, x), with submodules and parameters given by name."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor], **parts: object) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def head(k: int, *before: nn.Module) -> nn.Sequential:
    return nn.Sequential(*before, nn.Flatten(), nn.Linear(k, 3))


def images(n: int) -> Tensor:
    return torch.randn(n, 4, 6, 6)


def vectors(n: int) -> Tensor:
    return torch.randn(n, 6)


def sequences(n: int) -> Tensor:
    return torch.randn(n, 5, 6)


def volumes(n: int) -> Tensor:
    return torch.randn(n, 2, 4, 4, 4)


def signals(n: int) -> Tensor:
    return torch.randn(n, 4, 9)


def tokens(n: int) -> Tensor:
    return torch.randint(0, 7, (n, 5))


def conv(*args: object, **kwargs: object) -> nn.Module:
    """conv → ReLU → pool → linear: 4 input channels, 4 output channels."""
    return head(4, nn.Conv2d(4, 4, *args, **kwargs), nn.ReLU(), nn.AdaptiveAvgPool2d(1))


def tied() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten())
    net[2].weight = net[0].weight
    return net.append(nn.Linear(144, 3))


def part_frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    net[2].requires_grad_(False)
    return net


def grown(net: nn.Module) -> nn.Module:
    """Weights and running statistics off their initial values, so that no factor of one hides a mistake."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator).to(tensor))
                if "mean" in name:
                    tensor.sub_(0.1)
    return net


class RootMeanSquareNorm(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)


class Attention(nn.Module):
    """Two heads over 5 positions of 6 features, written with products of matrices or with torch's own function."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.norm = nn.LayerNorm(6)
        self.qkv, self.out, self.head = nn.Linear(6, 18), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, t, 3, 2, 3).permute(0, 2, 3, 1, 4).unbind(1)
        if self.fused:
            h = F.scaled_dot_product_attention(q, k, v)
        else:
            h = (q @ k.transpose(-2, -1) / 3**0.5).softmax(-1) @ v
        x = x + self.out(h.transpose(1, 2).reshape(n, t, d))
        return self.head(x.mean(1))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze, self.excite = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        gate = torch.sigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.head((x * gate).amax((2, 3)))


class StraightThrough(torch.autograd.Function):
    """A linear map whose backward pass is not its derivative, and which torch.func refuses."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        return 2 * grad @ weight, 3 * grad.T @ x


class Dense(nn.Module):
    """Concatenation, residual, a layer called twice, a dead layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.dead, self.head = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.stem(x))
        h = h + self.twice(F.relu(h))
        g = self.twice(F.relu(h))
        self.dead(g)
        return self.head(torch.cat([h, g], 1).mean((-2, -1)))


def _in_place(net: nn.Module, x: Tensor) -> Tensor:
    h = net.a(x)
    h += x[:, :1]
    h.mul_(2.0)
    F.relu(h, inplace=True)
    return net.b(h)


def _in_place_residual(net: nn.Module, x: Tensor) -> Tensor:
    h = net.a(x)
    return net.b(F.relu(h, inplace=True)) + h[:, :3]


def _no_grad(net: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        h = net.a(x)
    return net.b(torch.relu(h))


def _branch(net: nn.Module, x: Tensor) -> Tensor:
    h = net.a(x)
    return net.b(h) if h.abs().sum() > 0 else h[:, :3]


def _per_sample_branch(net: nn.Module, x: Tensor) -> Tensor:
    return torch.stack([net.b(torch.tanh(h)) if h.sum() > 0 else net.c(h) for h in net.a(x)])


def _write(net: nn.Module, x: Tensor) -> Tensor:
    h = net.a(x)
    out = torch.zeros_like(h)
    out[:, 0] = h[:, 1] * net.scale
    out[:, 1:] = h[:, 1:]
    return net.b(out)


def _shuffled(net: nn.Module, x: Tensor) -> Tensor:
    h = torch.tanh(net.a(x))
    return net.b(h[torch.arange(len(h)).roll(1)])


def _separated_indices(net: nn.Module, x: Tensor) -> Tensor:
    h = net.a(x)
    index = torch.arange(4).to(h.device)
    moved = h[:, index, :, index]
    return net.b(moved.flatten(1)) if len(moved) != len(x) else net.b(moved.transpose(0, 1).flatten(1))


def _list_of_rows(net: nn.Module, x: Tensor) -> Tensor:
    rows = list(torch.tanh(net.a(x)))
    mean = torch.stack(rows).mean(0)
    return net.b(torch.stack([row - mean for row in rows]))


def linears(function: Callable[[nn.Module, Tensor], Tensor], hidden: int = 5, **more: object) -> nn.Module:
    return Net(function, a=nn.Linear(6, hidden), b=nn.Linear(hidden, 3), **more)


def lstm(batch_first: bool) -> nn.Module:
    if batch_first:
        return Net(lambda net, x: net.b(net.a(x)[0][:, -1]), a=nn.LSTM(6, 4, batch_first=True), b=nn.Linear(4, 3))
    return Net(lambda net, x: net.b(net.a(x.transpose(0, 1))[0][-1]), a=nn.LSTM(6, 4), b=nn.Linear(4, 3))


def bn_1d(**choices: object) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, **choices), nn.ReLU(), nn.Linear(5, 3))


FOREIGN = torch.linspace(0.5, 1.5, 6).requires_grad_()
DERIVED = FOREIGN * 2


def with_buffer(net: nn.Module, name: str, rows: int) -> nn.Module:
    net.register_buffer(name, torch.linspace(-1, 2, rows * 6).view(rows, 6).sin())
    return net


CASES: dict[str, tuple[Callable[[], nn.Module], Input, str]] = {
    # convolutions
    "conv": (lambda: conv(3), images, "layers"),
    "conv_no_bias": (lambda: conv(3, bias=False), images, "layers"),
    "conv_1x1": (lambda: conv(1), images, "layers"),
    "conv_1x1_stride": (lambda: conv(1, stride=2), images, "layers"),
    "conv_1x1_padding": (lambda: conv(1, padding=1), images, "layers"),
    "conv_stride_leftover": (lambda: conv(3, stride=2), images, "layers"),
    "conv_uneven": (lambda: conv((3, 2), stride=(1, 2), padding=(2, 0), dilation=(1, 2)), images, "layers"),
    "conv_dilation": (lambda: conv(3, dilation=2, padding=1), images, "layers"),
    "conv_groups": (lambda: conv(3, groups=2), images, "layers"),
    "conv_groups_stride": (lambda: conv(3, groups=2, stride=2, padding=1, dilation=2), images, "layers"),
    "conv_depthwise": (lambda: conv(3, groups=4), images, "layers"),
    "conv_same": (lambda: conv(3, padding="same"), images, "layers"),
    "conv_same_dilated": (lambda: conv((3, 5), padding="same", dilation=(2, 1)), images, "layers"),
    "conv_valid": (lambda: conv(3, padding="valid"), images, "layers"),
    "conv_same_even_kernel": (lambda: conv(2, padding="same"), images, "functional"),
    "conv_reflect": (lambda: conv(3, padding=1, padding_mode="reflect"), images, "layers"),
    "conv_circular": (lambda: conv(3, padding=1, padding_mode="circular"), images, "layers"),
    "conv_replicate": (lambda: conv(3, padding=1, padding_mode="replicate"), images, "layers"),
    "conv1d": (lambda: head(16, nn.Conv1d(4, 4, 3, stride=2), nn.ReLU()), signals, "layers"),
    "conv1d_1x1": (lambda: head(27, nn.Conv1d(4, 3, 1), nn.ReLU()), signals, "layers"),
    "conv3d": (lambda: head(24, nn.Conv3d(2, 3, 3, padding=(0, 0, 0)), nn.ReLU()), volumes, "layers"),
    "conv_transpose": (lambda: head(192, nn.ConvTranspose2d(4, 3, 3), nn.ReLU()), images, "functional"),
    "image_output": (lambda: nn.Sequential(nn.Conv2d(4, 2, 3), nn.Tanh(), nn.Conv2d(2, 1, 3)), images, "layers"),
    "vector_output": (lambda: Net(lambda net, x: net.a(x)[:, 0], a=nn.Linear(6, 2)), vectors, "layers"),
    # linear
    "linear": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), vectors, "layers"),
    "linear_sequence": (lambda: nn.Sequential(nn.Linear(6, 4), nn.GELU(), head(20)), sequences, "layers"),
    "linear_on_images": (lambda: head(96, nn.Linear(6, 4, bias=False), nn.ELU()), images, "layers"),
    # normalisation
    "layer_norm": (lambda: head(30, nn.Linear(6, 6), nn.LayerNorm(6)), sequences, "layers"),
    "layer_norm_two_dims": (lambda: head(30, nn.Linear(6, 6), nn.LayerNorm((5, 6))), sequences, "layers"),
    "layer_norm_no_affine": (
        lambda: head(30, nn.Linear(6, 6), nn.LayerNorm(6, elementwise_affine=False)),
        sequences,
        "layers",
    ),
    "layer_norm_no_bias": (lambda: head(30, nn.Linear(6, 6), nn.LayerNorm(6, bias=False)), sequences, "layers"),
    "layer_norm_shift_only": (
        lambda: linears(
            lambda net, x: net.b(F.layer_norm(net.a(x), (5,), None, net.shift)), shift=nn.Parameter(torch.randn(5))
        ),
        vectors,
        "layers",
    ),
    "group_norm": (lambda: head(64, nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), nn.ReLU()), images, "layers"),
    "group_norm_vectors": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.GroupNorm(2, 4), nn.Linear(4, 3)),
        vectors,
        "layers",
    ),
    "instance_norm_1d": (lambda: head(28, nn.Conv1d(4, 4, 3), nn.InstanceNorm1d(4, affine=True)), signals, "layers"),
    "instance_norm_2d": (lambda: head(64, nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4, affine=True)), images, "layers"),
    "instance_norm_3d": (lambda: head(16, nn.Conv3d(2, 2, 3), nn.InstanceNorm3d(2, affine=True)), volumes, "layers"),
    "instance_norm_tracked": (
        lambda: head(64, nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
        images,
        "layers",
    ),
    "batch_norm_1d": (bn_1d, vectors, "layers"),
    "batch_norm_1d_positions": (lambda: head(28, nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4), nn.ReLU()), signals, "layers"),
    "batch_norm_2d": (lambda: head(64, nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), images, "layers"),
    "batch_norm_3d": (lambda: head(16, nn.Conv3d(2, 2, 3), nn.BatchNorm3d(2), nn.ReLU()), volumes, "layers"),
    "batch_norm_first": (lambda: head(144, nn.BatchNorm2d(4), nn.ReLU()), images, "layers"),
    "batch_norm_no_affine": (lambda: bn_1d(affine=False), vectors, "layers"),
    "batch_norm_eps": (lambda: bn_1d(eps=0.5), vectors, "layers"),
    "batch_norm_no_running": (lambda: bn_1d(track_running_stats=False), vectors, "layers"),
    "batch_norm_prelu": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.PReLU(5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
        vectors,
        "functional",
    ),
    "rms_norm": (lambda: head(30, nn.Linear(6, 6), nn.RMSNorm(6)), sequences, "functional"),
    "custom_norm": (lambda: head(30, nn.Linear(6, 6), RootMeanSquareNorm(6)), sequences, "functional"),
    # parameters in unusual places
    "called_twice_and_dead": (Dense, images, "layers"),
    "tied": (tied, images, "layers"),
    "linear_twice": (
        lambda: linears(lambda net, x: net.b(net.c(torch.tanh(net.c(net.a(x))))), c=nn.Linear(5, 5)),
        vectors,
        "layers",
    ),
    "squeezed": (lambda: linears(lambda net, x: net.b(net.a(x)).squeeze()), vectors, "layers"),
    "squeezed_with_parameter": (
        lambda: linears(lambda net, x: (net.b(net.a(x)) * net.scale).squeeze(), scale=nn.Parameter(torch.ones(3))),
        vectors,
        "coupled",
    ),
    "tied_linear": (
        lambda: linears(lambda net, x: F.linear(torch.relu(net.a(x)), net.a.weight[:, :5] * 1.0)),
        vectors,
        "functional",
    ),
    "functional_layers": (
        lambda: linears(lambda net, x: F.linear(input=F.relu(F.linear(x, weight=net.a.weight)), weight=net.b.weight)),
        vectors,
        "layers",
    ),
    "custom_parameter": (
        lambda: linears(lambda net, x: net.b(net.a(x)) * net.scale, scale=nn.Parameter(torch.randn(3))),
        vectors,
        "functional",
    ),
    "relu_of_parameter": (
        lambda: linears(lambda net, x: net.b(net.a(x) * F.relu(net.gate)), gate=nn.Parameter(torch.rand(1, 5) - 0.2)),
        vectors,
        "functional",
    ),
    "parameter_as_input": (
        lambda: linears(
            lambda net, x: net.b(torch.tanh(net.a(x) + net.a(net.token))), token=nn.Parameter(torch.randn(4, 6))
        ),
        vectors,
        "coupled",
    ),
    "layer_on_a_constant": (
        lambda: with_buffer(
            linears(lambda net, x: net.b(torch.tanh(net.a(x) + net.c(net.token))), c=nn.Linear(6, 5)), "token", 1
        ),
        vectors,
        "functional",
    ),
    "generated_weight": (
        lambda: with_buffer(
            linears(lambda net, x: F.linear(torch.tanh(net.a(x)), net.c(net.basis)), c=nn.Linear(6, 5)), "basis", 4
        ),
        vectors,
        "functional",
    ),
    "other_tensor_with_gradients": (
        lambda: linears(lambda net, x: net.b(net.a(x)) + net.c(x * FOREIGN.to(x.dtype)), c=nn.Linear(6, 3)),
        vectors,
        "functional",
    ),
    "derived_tensor_with_gradients": (
        lambda: linears(lambda net, x: net.b(torch.tanh(net.a(x * DERIVED.to(x.dtype))))),
        vectors,
        "functional",
    ),
    "part_frozen": (part_frozen, vectors, "layers"),
    "weight_norm": (
        lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 3)),
        vectors,
        "functional",
    ),
    "embedding": (lambda: head(20, nn.Embedding(7, 4)), tokens, "functional"),
    "lstm": (lambda: lstm(True), sequences, "functional"),
    "lstm_sequence_first": (lambda: lstm(False), sequences, "functional"),
    "transformer": (
        lambda: Net(
            lambda net, x: net.b(net.a(x).mean(1)),
            a=nn.TransformerEncoderLayer(6, 2, 8, batch_first=True),
            b=nn.Linear(6, 3),
        ),
        sequences,
        "functional",
    ),
    "straight_through": (
        lambda: linears(lambda net, x: net.b(StraightThrough.apply(x, net.a.weight))),
        vectors,
        "functional",
    ),
    "no_gradient_inside": (lambda: linears(_no_grad), vectors, "functional"),
    "no_parameters": (lambda: nn.Sequential(nn.Flatten(), nn.Softmax(1)), images, "layers"),
    # graphs
    "attention": (lambda: Attention(False), sequences, "layers"),
    "attention_fused": (lambda: Attention(True), sequences, "layers"),
    "squeeze_excite": (SqueezeExcite, images, "layers"),
    "stop_gradient": (lambda: linears(lambda net, x: net.b(net.a(x).detach() + net.a(x) ** 2)), vectors, "layers"),
    "gated": (lambda: nn.Sequential(nn.Linear(6, 6), nn.GLU(), nn.Linear(3, 3)), vectors, "layers"),
    "pools": (
        lambda: head(
            4,
            nn.ReflectionPad2d(1),
            nn.Conv2d(4, 4, 3),
            nn.MaxPool2d(3, 2, 1),
            nn.AvgPool2d(2),
            nn.AdaptiveMaxPool2d(1),
        ),
        images,
        "layers",
    ),
    "upsample_shuffle": (
        lambda: head(144, nn.Conv2d(4, 4, 3), nn.PixelShuffle(2), nn.Upsample(12), nn.Hardswish()),
        images,
        "layers",
    ),
    "dropout_off": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.LeakyReLU(0.1), nn.Linear(5, 3)),
        vectors,
        "layers",
    ),
    "in_place": (lambda: linears(_in_place), vectors, "layers"),
    "in_place_modules": (
        lambda: head(64, nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)),
        images,
        "layers",
    ),
    "view_rows": (
        lambda: Net(lambda net, x: net.b(F.relu(net.a(x)).view(-1, 64)), a=nn.Conv2d(4, 4, 3), b=nn.Linear(64, 3)),
        images,
        "layers",
    ),
    "view_size": (
        lambda: Net(lambda net, x: net.b(net.a(x).view(x.size(0), -1)), a=nn.Conv2d(4, 4, 3), b=nn.Linear(64, 3)),
        images,
        "layers",
    ),
    "positions_as_rows": (
        lambda: Net(lambda net, x: net.b(net.a(x.view(-1, 6)).view(len(x), -1)), a=nn.Linear(6, 4), b=nn.Linear(20, 3)),
        sequences,
        "functional",
    ),
    "masked": (lambda: linears(lambda net, x: net.b(net.a(x) * (x[..., :5] > 0))), vectors, "layers"),
    "einsum": (
        lambda: linears(lambda net, x: net.b(torch.einsum("ni,nj->nij", net.a(x), x).sum(2))),
        vectors,
        "functional",
    ),
    "writes": (lambda: linears(_write, scale=nn.Parameter(torch.tensor(0.7))), vectors, "functional"),
    "branch": (lambda: linears(_branch), vectors, "functional"),
    "branch_by_sample": (lambda: linears(_per_sample_branch, c=nn.Linear(5, 3)), vectors, "functional"),
    "in_place_residual": (lambda: linears(_in_place_residual), vectors, "layers"),
    "separated_indices": (lambda: Net(_separated_indices, a=nn.Conv2d(4, 4, 3), b=nn.Linear(16, 3)), images, "coupled"),
    # samples that depend on each other
    "centred_inputs": (lambda: linears(lambda net, x: net.b(torch.relu(net.a(x - x.mean(0))))), vectors, "coupled"),
    "centred_features": (
        lambda: linears(lambda net, x: net.b((lambda h: h - h.mean(0, keepdim=True))(torch.tanh(net.a(x))))),
        vectors,
        "coupled",
    ),
    "centred_with_batch_norm": (
        lambda: linears(lambda net, x: net.b(net.norm((lambda h: h - h.sum(0))(net.a(x)))), norm=nn.BatchNorm1d(5)),
        vectors,
        "coupled",
    ),
    "flipped_batch": (lambda: linears(lambda net, x: net.b(torch.tanh(net.a(x)).flip(1, 0))), vectors, "coupled"),
    "shuffled_batch": (lambda: linears(_shuffled), vectors, "coupled"),
    "attention_over_samples": (
        lambda: linears(lambda net, x: net.b((lambda h: F.scaled_dot_product_attention(h, h, h))(net.a(x)))),
        vectors,
        "coupled",
    ),
    "similarity_of_samples": (
        lambda: linears(lambda net, x: net.b(torch.tanh(F.linear(net.a(x), net.a(x)) @ net.a(x)))),
        vectors,
        "coupled",
    ),
    "distances_of_samples": (lambda: linears(lambda net, x: (lambda h: F.linear(h, h))(net.a(x))), vectors, "coupled"),
    "rows_in_a_list": (lambda: linears(_list_of_rows), vectors, "coupled"),
    "batch_size_built_in": (
        lambda: Net(
            lambda net, x: net.b(net.a(x).sin().view(4, 5)[torch.arange(4)]), a=nn.Linear(6, 5), b=nn.Linear(5, 3)
        ),
        vectors,
        "coupled",
    ),
    "batch_axis_norm": (
        lambda: linears(lambda net, x: net.b(torch.layer_norm(net.a(x), net.a(x).shape))),
        vectors,
        "coupled",
    ),
}


def make(name: str, n: int, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    """The module of a case, in evaluation mode, and n inputs: the same on every call."""
    factory, inputs, _ = CASES[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = grown(factory()).to(dtype).eval()
        x = inputs(max(n, 8))[:n]
    return net, x.to(dtype) if x.is_floating_point() else x
