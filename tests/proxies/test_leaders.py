"""The newer leaders against slow references, on cells and on modules of other kinds."""

from __future__ import annotations

import copy
import math
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from reference import leaders as reference
from reference import measures, ntk, zoo
from torch import nn

from automl_theory.probing.entry_jacobian import _forwards, _logit_by_logit, entry_jacobian
from automl_theory.probing.exact import observe
from automl_theory.probing.signals import Signals
from automl_theory.proxies import REGISTRY, get_proxies, get_proxy, leaders
from automl_theory.scoring.single import evaluate, needs_of
from automl_theory.spaces import space

SPACE = space("nas_bench_201")
N, SEED = 8, 5
CELLS = {
    "mixed": "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "best": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "all 3x3": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "all 1x1": "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    "all skip": "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "one skip": "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "all pool": "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",
    "pool and skip": "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|",
    "chain": "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|nor_conv_3x3~2|",
    "dead convolution": "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "from zero": "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|",
    "residual": "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
    "wide": "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|skip_connect~2|",
    "disconnected": "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|",
}
NAMES = [proxy.name for proxy in leaders.PROXIES]
LABELLED = ("zico", "gradsign", "ntk_label_alignment")


def images(n: int = N) -> torch.Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def labels(n: int = N) -> torch.Tensor:
    return torch.arange(n) % 3


def signals(net: nn.Module, x: torch.Tensor, names: list[str], **changes) -> Signals:
    proxies = get_proxies(names)
    return Signals(net, x, **{"y": labels(len(x)), "needs": needs_of(proxies), "seed": SEED, **changes})


def values(net: nn.Module, x: torch.Tensor, names: list[str], **changes):
    return evaluate(signals(net, x, names, **changes), get_proxies(names))


def oracle(name: str, net: nn.Module, x: torch.Tensor) -> float:
    """Value of a proxy by its slow reference."""
    y = labels(len(x))
    if name.startswith("zico"):
        return reference.zico(copy.deepcopy(net).double(), x.double(), y, 4 if "=" in name else 2)
    if name.startswith("az") and name != "az_complexity":
        trained = ntk.in_mode(net, x, "batch")
        features = reference.cell_features(trained, x)
        entropies = [reference.entropy(f) for f in features]
        return {
            "az_expressivity": lambda: sum(entropies),
            "az_progressivity": lambda: min(b - a for a, b in pairwise(entropies)),
            "az_trainability": lambda: reference.trainability(features, SEED),
        }[name]()
    size = sum(p.numel() for p in net.parameters()) / 1e6
    return {
        "gradsign": lambda: reference.gradsign(net, x, y),
        "meco": lambda: reference.meco(net, x),
        "meco_opt": lambda: reference.meco_opt(net, x, 8, SEED),
        "vkdnw": lambda: reference.vkdnw(reference.fisher(net, x)),
        "vkdnw_single": lambda: (
            sum(p.requires_grad for p in net.parameters()) + reference.vkdnw(reference.fisher(net, x))
        ),
        "swap": lambda: reference.swap(measures.relu_patterns(net, x)),
        "swap_regularised": lambda: reference.swap(measures.relu_patterns(net, x)) * math.exp(-((size - 1) ** 2)),
        "naswot": lambda: measures.naswot(measures.relu_patterns(net, x)),
        "ntk_trace": lambda: float(ntk.tangent_kernel(net, x).trace()),
        "az_complexity": lambda: reference.operations(net, x),
        "ntk_label_alignment": lambda: reference.label_alignment(ntk.tangent_kernel(net, x).numpy(), y.numpy()),
    }[name]()


CHECKED = [*NAMES, "zico:batches=4", "ntk_label_alignment", "ntk_trace", "naswot"]


CONNECTED = [cell for cell in CELLS if cell != "disconnected"]


@pytest.mark.parametrize(
    ("cell", "dtype"),
    [*((cell, torch.float32) for cell in CONNECTED), *((cell, torch.float64) for cell in ("mixed", "all pool"))],
)
def test_cells(cell, dtype):
    net = SPACE.build(CELLS[cell], 4, 1, 3, 3, seed=2).to(dtype)
    x = images().to(dtype)
    found, reasons = values(net, x, CHECKED, graph=SPACE.graph(CELLS[cell]))
    assert not reasons
    for name in CHECKED:
        value, status = found[name]
        expected = oracle(name, net, x)
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-6), name
        saturated = name.startswith("swap") and reference.swap(measures.relu_patterns(net, x)) == 2**N
        assert status == ("saturated" if saturated else "ok" if math.isfinite(expected) else "rank_deficient"), name
    assert {name for name in CHECKED if not math.isfinite(found[name][0])} <= {"az_trainability"}


def test_disconnected_cell():
    net = SPACE.build(CELLS["disconnected"], 4, 1, 3, 3, seed=2)
    found, reasons = values(net, images(), CHECKED, graph=SPACE.graph(CELLS["disconnected"]))
    assert not reasons
    assert found.pop("az_complexity")[1] == "ok"
    assert {status for _, status in found.values()} == {"disconnected"}
    assert all(math.isnan(value) for value, _ in found.values())


# Modules of other kinds -----------------------------------------------------------------------------------------


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3))


def plain() -> nn.Module:
    """Convolutions without normalisation; biases, a stride, an activation in place."""
    return nn.Sequential(
        *(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)),
    )


def layer_norm() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, groups=3), nn.LayerNorm((6, 6, 6)), nn.ReLU(), nn.Conv2d(6, 4, 3, dilation=2)),
        *(nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3)),
    )


def batch_norm_1d() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3))


ODD = {"mlp": mlp, "plain": plain, "layer_norm": layer_norm, "batch_norm_1d": batch_norm_1d}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_modules(kind, dtype):
    torch.manual_seed(3)
    net, x = zoo.grown(ODD[kind]()).to(dtype), images().to(dtype)
    names = [name for name in CHECKED if not name.startswith("az")]
    found, reasons = values(net, x, names)
    for name in names:
        if name in reasons:
            assert name.startswith("meco")
            assert reasons[name] == "no layer has channels over two positions or more"
            assert not reference.feature_maps(net, x)
            continue
        assert found[name][0] == pytest.approx(oracle(name, net, x), rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("kind", ["mlp", "plain", "batch_norm_1d"])
def test_blocks_of_other_modules_are_their_layers(kind):
    torch.manual_seed(3)
    net, x = zoo.grown(ODD[kind]()).double(), images().double()
    found, reasons = values(net, x, ["az_expressivity", "az_progressivity", "az_trainability"])
    features, h = [], x
    for child in ntk.in_mode(net, x, "batch"):
        h = child(h)
        if isinstance(child, nn.Conv2d | nn.Linear):
            features.append(h)
            h = h.clone()
    entropies = [reference.entropy(f) for f in features]
    assert found["az_expressivity"][0] == pytest.approx(sum(entropies))
    assert found["az_progressivity"][0] == pytest.approx(min(np.diff(entropies)))
    if kind == "plain":
        assert reasons["az_trainability"] == "a block turns positions (4, 4) into ()"
    else:
        assert found["az_trainability"][0] == pytest.approx(reference.trainability(features, SEED))


# What goes wrong --------------------------------------------------------------------------------------------------


def test_without_labels():
    net = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2)
    found, reasons = values(net, images(), CHECKED, y=None)
    for name in CHECKED:
        if name.startswith(LABELLED):
            assert reasons[name] == "labels are needed; pass y"
        else:
            assert found[name][1] in ("ok", "saturated"), name


def test_one_class():
    net, x = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2), images()
    found, reasons = values(net, x, CHECKED, y=torch.zeros(N, dtype=torch.int64))
    assert reasons == {"ntk_label_alignment": "labels of at least two classes are needed"}
    assert found["gradsign"][0] > 0


def test_one_sample():
    torch.manual_seed(3)
    net, x = plain(), images(1)
    found, reasons = values(net, x, CHECKED)
    assert reasons == {
        "zico": "at least two sub-batches of two samples are needed",
        "zico:batches=4": "at least two sub-batches of two samples are needed",
        "ntk_label_alignment": "labels of at least two classes are needed",
        "az_trainability": "a block turns positions (4, 4) into ()",
    }
    assert found["gradsign"] == (reference.gradsign(net, x, labels(1)), "ok")
    assert found["swap"] == (2.0, "saturated")


def test_one_logit():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 1))
    found, reasons = values(net, images(), ["gradsign", "zico", "vkdnw", "vkdnw_single"], y=torch.zeros(N).long())
    assert found["gradsign"] == (0.0, "ok")
    assert reasons["zico"] == "no gradient differs between the sub-batches"
    assert reasons["vkdnw"] == reasons["vkdnw_single"] == "the Fisher information of the chosen weights vanishes"


def test_a_label_without_a_logit():
    net = mlp()
    _, reasons = values(net, images(), ["gradsign", "zico"], y=torch.arange(N))
    for reason in reasons.values():
        assert reason.startswith("expected labels below 3, the number of logits, got")
    assert set(reasons) == {"gradsign", "zico"}


def test_modules_without_what_is_measured():
    torch.manual_seed(3)
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 3))
    _, reasons = values(smooth, images(), CHECKED)
    assert reasons["swap"] == reasons["swap_regularised"] == "the module calls no ReLU"
    scaled = zoo.Net(lambda net, x: torch.relu(x.flatten(1)[:, :3] * net.p), p=nn.Parameter(torch.ones(3)))
    found, reasons = values(scaled, images(), CHECKED)
    assert reasons["gradsign"] == "the module has no trainable convolution or linear layer"
    assert reasons["zico"] == "no gradient differs between the sub-batches"
    assert reasons["az_expressivity"] == "at least 1 block boundary is needed"
    assert reasons["az_progressivity"] == reasons["az_trainability"] == "two block boundaries are needed"
    assert reasons["meco"] == "no layer has channels over two positions or more"
    found, _ = values(nn.Sequential(nn.Flatten(), nn.ReLU()), images(), CHECKED)
    for name in ("zico", "gradsign", "vkdnw", "vkdnw_single"):
        assert found[name][1] == "no_parameters"


def test_constant_maps_are_no_division_by_zero():
    torch.manual_seed(3)
    net = plain()
    with torch.no_grad():
        net[0].weight.zero_()
        net[2].weight.zero_()
    found, _ = values(net, images(), ["meco", "meco_opt", "az_expressivity"], graph=None)
    assert {status for _, status in found.values()} == {"disconnected"}
    with torch.no_grad():
        net[2].weight[0] = 1.0
        net[0].weight[1, 1, 1, 1] = 1.0
    found, _ = values(net, images(), ["meco", "meco_opt"])
    assert found == {"meco": (0.0, "rank_deficient"), "meco_opt": (0.0, "rank_deficient")}


def test_a_block_that_hands_nothing_back():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), zoo.Net(lambda n, h: n.a(h.detach()), a=nn.Linear(4, 3)))
    found, _ = values(net, images(), ["az_trainability"])
    assert found == {"az_trainability": (-math.inf, "rank_deficient")}


def test_saturated_patterns():
    net = SPACE.build(CELLS["best"], 4, 1, 3, 3, seed=2)
    found, _ = values(net, images(4), ["swap"])
    assert found["swap"] == (16.0, "saturated")


@pytest.mark.parametrize("n", [3, 64, 65, 130])
def test_patterns_of_any_number_of_samples(n):
    net = SPACE.build(CELLS["chain"], 2, 1, 3, 3, seed=2)
    expected = reference.swap(measures.relu_patterns(net, images(n)))
    assert values(net, images(n), ["swap"])[0]["swap"][0] == expected


def test_regularised_patterns_prefer_a_size():
    net = SPACE.build(CELLS["best"], 4, 1, 3, 3, seed=2)
    size = sum(p.numel() for p in net.parameters()) / 1e6
    names = [f"swap_regularised:mu={size}+sigma=0.1", "swap_regularised:mu=900", "swap"]
    found, _ = values(net, images(), names)
    near, far, plain_count = (found[get_proxy(name).name][0] for name in names)
    assert near == pytest.approx(plain_count)
    assert far == 0


def test_alignment_has_a_closed_form():
    """A kernel that is the target has alignment 1; two classes give yᵀKy/(‖K‖ n)."""
    net = mlp().double()
    s = signals(net, images().double(), ["ntk_label_alignment"], y=torch.arange(N) % 2)
    y = np.where(s.y == 0, 1.0, -1.0)
    expected = y @ s.kernel @ y / np.linalg.norm(s.kernel) / N
    assert get_proxy("ntk_label_alignment")(s)[0] == pytest.approx(expected)
    s.__dict__["kernel"] = np.outer(y, y)
    assert get_proxy("ntk_label_alignment")(s)[0] == pytest.approx(1.0)


# Any module, and any company --------------------------------------------------------------------------------------

GRADIENTS = ["gradsign", "vkdnw"]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's
@pytest.mark.parametrize("name", zoo.CASES)
def test_gradients_of_any_module(name):
    make, inputs, _ = zoo.CASES[name]
    torch.manual_seed(7)
    net, x = make(), inputs(4)
    net = zoo.grown(net).double()
    x = x.double() if x.is_floating_point() else x
    y = torch.arange(4) % 2
    found, reasons = values(net, x, GRADIENTS, y=y)
    if found["gradsign"][1] == "ok":
        assert found["gradsign"][0] == pytest.approx(reference.gradsign(net, x, y), abs=4)
    elif found["gradsign"][1] == "failed":
        assert reasons["gradsign"].startswith(
            ("the module has no trainable", "expected labels below 1", "the weight of a Par")
        )
    if found["vkdnw"][1] == "ok":
        assert found["vkdnw"][0] == pytest.approx(reference.vkdnw(reference.fisher(net, x)), rel=1e-5), name
    elif found["vkdnw"][1] == "failed":
        assert reasons["vkdnw"] == "the Fisher information of the chosen weights vanishes"


def test_values_do_not_depend_on_what_else_is_asked():
    net = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2)
    together, _ = values(net, images(), CHECKED)
    backwards, _ = values(net, images(), CHECKED[::-1])
    for name in CHECKED:
        alone, _ = values(net, images(), [name])
        assert alone[name] == together[name] == backwards[name], name


def test_the_module_is_left_as_found():
    net = zoo.grown(SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    values(net, images(), CHECKED)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(m.training and not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_seed_decides_the_draws():
    net = SPACE.build(CELLS["mixed"], 16, 1, 3, 3, seed=2)
    drawn = ["meco_opt", "az_trainability"]
    one, again = values(net, images(), drawn)[0], values(net, images(), drawn)[0]
    other = values(net, images(), drawn, seed=6)[0]
    assert one == again
    assert all(one[name] != other[name] for name in drawn)
    still = ["zico", "gradsign", "meco", "az_expressivity", "vkdnw", "swap"]
    assert values(net, images(), still)[0] == values(net, images(), still, seed=6)[0]


def test_complexity_counts_operations():
    net = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2)
    found, _ = values(net, images(), ["az_complexity", "macs"])
    assert found["az_complexity"][0] == 2 * found["macs"][0]


def test_zico_of_a_module_that_keeps_an_output_and_in_inference_mode():
    """Neither can be copied as it is; both have the value of a copy in float64."""
    net, x = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2), images()
    expected = values(net, x, ["zico"])[0]
    net.kept = [{"outputs": net(x)}]
    assert values(net, x, ["zico"])[0] == expected
    with torch.inference_mode():
        assert values(net, x, ["zico"])[0] == expected
    assert net.kept[0]["outputs"].requires_grad


@pytest.mark.parametrize(
    "layer",
    [
        nn.PReLU(),
        nn.Softplus(),
        nn.Hardsigmoid(),
        nn.Softsign(),
        nn.LogSigmoid(),
        nn.RMSNorm([5, 6, 6]),
        nn.LPPool2d(2, 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_feature_maps_of_every_kind_of_layer(layer):
    net = nn.Sequential(nn.Conv2d(3, 5, 3), layer, nn.Conv2d(5, 2, 2), nn.Flatten(), nn.LazyLinear(3))
    net(images())
    assert len(signals(net, images(), ["meco"]).feature_maps.layers) == 3


class Film(nn.Module):
    """Frames (n, T, C, h, w) that go through convolutions as n·T images."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.two(torch.relu(self.one(x.flatten(0, 1)))).mean((2, 3))
        return self.head(h.unflatten(0, x.shape[:2]).mean(1))


def test_layers_and_blocks_without_one_row_a_sample_are_told():
    torch.manual_seed(0)
    x = torch.randn(4, 2, 3, 8, 8)
    names = ["meco", "meco_opt", "swap", "az_expressivity", "az_progressivity", "az_trainability"]
    found, reasons = values(Film(), x, names)
    assert {status for _, status in found.values()} == {"failed"}
    layer, block = "a layer gives something else than one row", "a block gives something else than one row a sample"
    for name, text in reasons.items():
        assert text.startswith(block if name.startswith("az") else "a ReLU of" if name == "swap" else layer), name


class Noisy(nn.Module):
    """Draws in its forward pass, from torch, NumPy and Python."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(192, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.one(x.flatten(1)))
        return self.two(h + 0.1 * torch.randn_like(h) + np.random.rand() + random.random())  # noqa: NPY002  # as others do


def draws(seed: int | None = None) -> tuple[float, float, float]:
    """One number from each generator that a module might draw from, from a seed or from where they are."""
    if seed is not None:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the state that must not matter
        random.seed(seed)
    return float(torch.rand(1)), np.random.rand(), random.random()  # noqa: NPY002  # the state that must be as before


def test_noise_of_a_module_is_always_the_same():
    torch.manual_seed(0)
    net, names = Noisy(), ["grad_norm", "zico", "vkdnw", "naswot"]
    expected = values(net, images(), names)
    for seed in (1, 2):
        following = draws(seed), draws()
        first = draws(seed)
        assert values(net, images(), names) == expected
        assert (first, draws()) == following


def test_all_are_registered():
    assert set(NAMES) <= set(REGISTRY)
    assert not any(REGISTRY[name].core for name in NAMES)


def test_entries_of_layers_take_one_backward_pass_a_logit():
    """BatchNorm's constants are asked for where a slower way is taken."""

    def refused():
        raise AssertionError("the fast way was not taken")

    nets = [SPACE.build(cell, 4, 1, 3, 3, seed=2) for cell in CELLS.values()] + [make() for make in ODD.values()]
    for net in nets:
        assert entry_jacobian(net, images(), refused).shape == (N, 3, len(list(net.parameters())))


@pytest.mark.parametrize("kind", ["mlp", "layer_norm", "batch_norm_1d"])
def test_three_ways_to_the_entries(kind):
    torch.manual_seed(3)
    net, x = zoo.grown(ODD[kind]()).double().eval(), images().double()
    jacobian = entry_jacobian(net, x, list)
    slow = ntk.jacobian(net, x, biases=True)
    starts = np.cumsum([0, *(p.numel() for p in net.parameters())])[:-1]
    assert torch.allclose(jacobian, slow[:, :, starts])
    chosen, statistics = list(net.parameters()), observe(net, x, "frozen").statistics
    assert torch.allclose(_forwards(net, x, [n for n, _ in net.named_parameters()], statistics), jacobian)
    assert torch.allclose(_logit_by_logit(net, x, chosen), jacobian)


def test_order_of_samples_does_not_matter_where_it_should_not():
    net = SPACE.build(CELLS["mixed"], 4, 1, 3, 3, seed=2).double()
    names = ["gradsign", "az_expressivity", "az_progressivity", "vkdnw", "swap", "ntk_label_alignment"]
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    one, _ = values(net, images().double(), names)
    other, _ = values(net, images().double()[order], names, y=labels()[order])
    for name in names:
        assert other[name][0] == pytest.approx(one[name][0], rel=1e-8), name


@pytest.mark.parametrize("cell", ["mixed", "all pool", "chain"])
def test_bounds(cell):
    net = SPACE.build(CELLS[cell], 4, 1, 3, 3, seed=2)
    found = {name: value for name, (value, _) in values(net, images(), CHECKED)[0].items()}
    weights = sum(w.numel() for w in reference.layer_weights(net))
    assert 0 < found["gradsign"] <= N * weights
    assert 0 <= found["vkdnw"] <= math.log(9)
    assert 0 <= found["meco"] <= len(reference.feature_maps(net, images()))
    assert found["az_expressivity"] <= math.log(4) * 2 + math.log(8) * 2 + math.log(16) * 2
    assert found["az_trainability"] <= 0
    assert found["swap"] <= 2**N
    assert -1 <= found["ntk_label_alignment"] <= 1


def test_a_module_of_one_precision_is_taken_as_it_is():
    torch.manual_seed(3)
    one = torch.eye(3)
    net = zoo.Net(lambda net, x: torch.nn.functional.linear(net.a(x.flatten(1)), one), a=nn.Linear(192, 3))
    found, reasons = values(net, images(), ["zico"])
    assert not reasons
    assert found["zico"][0] == pytest.approx(reference.zico(net, images(), labels(), 2), rel=1e-2)
