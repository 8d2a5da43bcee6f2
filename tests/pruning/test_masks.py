"""Masks: what is prunable, files, and weights that stay 0 whatever steps."""

from __future__ import annotations

import copy
import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import NETWORKS, made, mlp
from torch import nn
from torch.nn.utils import prune as torch_prune

import automl_theory as at
from automl_theory.errors import InputError
from automl_theory.pruning.mask_files import MAX_BYTES, load_masks, save_masks
from automl_theory.pruning.masks import apply_masks, check_masks, export_masks, hold, layer_table, prunable
from automl_theory.training import Recipe, train

some = settings(max_examples=40, deadline=None, derandomize=True)


def test_prunable_are_weights_of_convolutions_and_linear_layers() -> None:
    net, _, _ = made("convolutions")
    assert list(prunable(net)) == ["0.weight", "3.weight", "6.weight", "7.weight", "9.weight"]
    assert list(prunable(made("tied")[0])) == ["1.weight", "3.weight"], "the shared layer once"
    attention = nn.MultiheadAttention(4, 2)
    assert list(prunable(attention)) == ["out_proj.weight"]
    assert list(prunable(attention, ["in_proj_weight"])) == ["in_proj_weight"]


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@some
@given(st.dictionaries(names, st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=4), st.integers(0, 99))
def test_files_give_back_what_was_saved(shapes, seed):
    rng = np.random.default_rng(seed)
    masks = {name: torch.from_numpy(np.asarray(rng.random(shape) < 0.3)) for name, shape in shapes.items()}
    with TemporaryDirectory() as folder:
        save_masks(masks, Path(folder) / "masks.npz")
        again = load_masks(Path(folder) / "masks.npz")
    assert list(again) == list(masks)
    assert all(torch.equal(again[name], mask) and again[name].shape == mask.shape for name, mask in masks.items())


def test_a_file_is_small_and_replaced(tmp_path: Path) -> None:
    net = mlp(300, 300, 10)
    for density in (0.5, 0.01):
        save_masks(at.prune(net, "random", density), tmp_path / "m.npz")
        assert (tmp_path / "m.npz").stat().st_size <= 93_000 / 8 + 2000
    assert layer_table(load_masks(tmp_path / "m.npz"))[-1]["kept"] == 930


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


def test_hostile_and_broken_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = tmp_path / "good.npz"
    save_masks({"a": torch.ones(3, 5, dtype=torch.bool)}, good)
    with np.load(good) as file:
        arrays = dict(file)

    def altered(**changes: object) -> Path:
        np.savez(tmp_path / "bad.npz", **(arrays | changes))
        return tmp_path / "bad.npz"

    for changes, message in [
        ({"names": np.array([Trap()], dtype=object)}, "Object arrays cannot be loaded"),
        ({"format": np.array("masks 0")}, "it has no line 'automl_theory masks 1'"),
        ({"names": np.array(["a", "a"])}, "shape_1"),
        ({"shape_0": np.array([3, 6])}, r"the mask of 'a' does not fit its shape \(3, 6\)"),
        ({"shape_0": np.array([-3, -5])}, "does not fit its shape"),
        ({"bits_0": np.zeros(2)}, "does not fit its shape"),
        ({"names": np.array([], dtype=str)}, "names occur twice, or there are none"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            load_masks(altered(**changes))
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith("save them again")
    assert not (tmp_path / "trapped").exists()

    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[:-30])
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("text.npz", "cut.npz", "array.npy", "."):
        with pytest.raises(InputError, match=r"to be masks written by save_masks, but"):
            load_masks(tmp_path / name)
    with pytest.raises(InputError, match=r"cannot write the masks: .*; check the folder"):
        save_masks({"a": torch.ones(3, dtype=torch.bool)}, tmp_path / "absent" / "m.npz")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (MAX_BYTES,)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("bits_0.npy", header.getvalue())
    content = bytearray((tmp_path / "bomb.npz").read_bytes())
    size = len(header.getvalue()).to_bytes(4, "little")
    where = content.rindex(b"PK\x01\x02") + 24
    assert content[where : where + 4] == size
    content[where : where + 4] = (2**32 - 2).to_bytes(4, "little")
    (tmp_path / "bomb.npz").write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"to be masks|to unpack to at most"):
        load_masks(tmp_path / "bomb.npz")


@pytest.mark.parametrize("name", NETWORKS)
def test_applied_masks_zero_weights_and_nothing_else(name):
    net, x, y = made(name)
    before = {n: t.clone() for n, t in (*net.named_parameters(), *net.named_buffers())}
    masks = at.prune(net, "random", 0.3)
    assert apply_masks(net, masks) is net
    for n, tensor in (*net.named_parameters(), *net.named_buffers()):
        expected = before[n] * masks[n] if n in masks else before[n]
        assert torch.equal(tensor, expected), n
    F.cross_entropy(net(x), y).backward()


OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1),
    "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, 0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
}


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("name", ["residual", "tied"])
def test_held_weights_stay_zero_and_the_others_train_as_if_alone(optimiser, name):
    """Also after dense steps that left momentum behind."""
    net, x, y = made(name)
    masks = at.prune(net, "random", 0.3)
    steps = OPTIMISERS[optimiser](net.parameters())

    def step() -> None:
        steps.zero_grad()
        F.cross_entropy(net(x)[:, :3], y).backward()
        steps.step()

    step()
    with hold(net, masks) as held:
        assert held is net
        for _ in range(4):
            step()
            for n, mask in masks.items():
                parameter = net.get_parameter(n)
                assert not bool(parameter[~mask].any())
                assert not bool(parameter.grad[~mask].any()), "gradients count for a norm"
                assert bool(parameter[mask].all())
                remembered = [s for s in steps.state[parameter].values() if s.shape == parameter.shape]
                assert not any(bool(s[~mask].any()) for s in remembered)
    step()
    assert any(bool(net.get_parameter(n)[~mask].any()) for n, mask in masks.items()), "free again"


def test_holding_equals_masking_in_the_forward_pass() -> None:
    """The other sound way, torch's own: w = w_orig · mask. Same steps, same weights."""
    nets = [made("residual")[0].eval() for _ in range(2)]
    _, x, y = made("residual")
    masks = at.prune(nets[0], "random", 0.4)
    export_masks(nets[1], masks)
    optimisers = [torch.optim.SGD(net.parameters(), 0.1, momentum=0.9) for net in nets]
    with hold(nets[0], masks):
        for _ in range(5):
            for net, optimiser in zip(nets, optimisers, strict=True):
                optimiser.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimiser.step()
    assert torch.allclose(nets[0](x), nets[1](x), rtol=1e-12, atol=1e-14)


def test_the_houses_training_loop_keeps_masks() -> None:
    torch.manual_seed(0)
    net = mlp(4, 16, 3)
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    x[:, 0] += 3 * y
    masks = at.prune(net, "snip", 0.3, x, y)
    with hold(net, masks):
        result = train(net, (x, y), (x, y), Recipe(epochs=15, batch_size=20, learning_rate=0.2))
    assert result.test_accuracy > 60
    assert all(not bool(net.get_parameter(n)[~m].any()) for n, m in masks.items())


def test_hooks_are_gone_after_an_error_too() -> None:
    net = mlp(4, 3)
    masks = at.prune(net, "random", 0.5)
    with pytest.raises(RuntimeError, match="stop"), hold(net, masks):
        raise RuntimeError("stop")
    net(torch.ones(2, 4)).sum().backward()
    torch.optim.SGD(net.parameters(), 1.0).step()
    assert bool(net[0].weight.all())


@pytest.mark.parametrize("name", NETWORKS)
def test_masks_export_to_torch(name):
    net, x, _ = made(name)
    masks = at.prune(net, "random", 0.3)
    export_masks(net, masks)
    assert torch_prune.is_pruned(net)
    exported = {n.removesuffix("_mask"): b.bool() for n, b in net.named_buffers() if n.endswith("_mask")}
    assert exported.keys() == masks.keys()
    assert all(torch.equal(exported[n], m) for n, m in masks.items())
    other = apply_masks(made(name)[0], masks)
    assert torch.allclose(net.eval()(x), other.eval()(x), rtol=1e-12)
    for module in net.modules():
        if torch_prune.is_pruned(module) and hasattr(module, "weight_mask"):
            torch_prune.remove(module, "weight")
    assert torch.allclose(net(x), other(x), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::automl_theory.probing.tangent_kernel.SlowerKernel")  # which way is not its matter
def test_the_kernel_of_an_exported_network_is_that_of_what_is_left() -> None:
    """Jacobians row by row, with and without the gradients of weights that are out."""
    torch.manual_seed(0)
    net, x = mlp(6, 20, 15, 3, bias=False).double(), torch.randn(4, 6, dtype=torch.float64)
    masks = at.prune(net, "random", 0.3)
    applied, exported = apply_masks(copy.deepcopy(net), masks), export_masks(net, masks)
    rows = []
    for sample in x:
        gradients = torch.autograd.grad(applied(sample[None]).sum(), list(applied.parameters()))
        rows.append(dict(zip(masks, gradients, strict=True)))
    expected = {
        "applied": [[sum((a[n] * b[n]).sum() for n in masks) for b in rows] for a in rows],
        "exported": [[sum((a[n] * b[n] * masks[n]).sum() for n in masks) for b in rows] for a in rows],
    }
    for name, module in (("applied", applied), ("exported", exported)):
        assert torch.allclose(at.empirical_ntk(module, x), torch.tensor(expected[name], dtype=torch.float64), rtol=1e-9)
    assert at.empirical_ntk(exported, x).trace() < 0.6 * at.empirical_ntk(applied, x).trace()


def test_the_table_says_what_is_left() -> None:
    masks = {"a": torch.tensor([[True, False], [False, False]]), "b": torch.zeros(3, 2, dtype=torch.bool)}
    assert layer_table(masks) == [
        {"name": "a", "shape": (2, 2), "weights": 4, "kept": 1, "density": 0.25},
        {"name": "b", "shape": (3, 2), "weights": 6, "kept": 0, "density": 0.0},
        {"name": "total", "shape": None, "weights": 10, "kept": 1, "density": 0.1},
    ]


def test_masks_of_another_network_are_refused() -> None:
    net = mlp(4, 5, 3)
    with pytest.raises(
        InputError, match=r"masks are of another network: this one has no parameter '0.wieght'.*'0.weight'"
    ):
        apply_masks(net, {"0.wieght": torch.ones(5, 4, dtype=torch.bool)})
    other = at.prune(mlp(4, 6, 3), "random", 0.5)
    for use in (apply_masks, check_masks, export_masks, lambda n, m: hold(n, m).__enter__()):
        with pytest.raises(
            InputError, match=r"another network: '0.weight' has shape \(5, 4\), its mask \(6, 4\); build"
        ):
            use(net, other)
    assert bool(net[0].weight.all()), "nothing was applied"


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, "expected masks as a mapping of names to boolean tensors, got an empty one; make it with prune"),
        ([torch.ones(2)], "expected masks as a mapping of names to boolean tensors, got list"),
        ({"a": torch.ones(2)}, "expected the mask of 'a' to be a boolean tensor, got torch.float32; compare with 0"),
        ({"a": [True]}, "expected the mask of 'a' to be a boolean tensor, got list"),
    ],
)
def test_what_is_no_mask_is_refused(masks, message, tmp_path: Path):
    for use in (lambda m: apply_masks(mlp(4, 3), m), layer_table, lambda m: save_masks(m, tmp_path / "m.npz")):
        with pytest.raises(InputError, match=message):
            use(masks)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("0.weight", r"expected parameters as a list of names, got '0.weight'; give \['layer.weight', ...\]"),
        (["0.weight", "0.weight"], "expected parameters to name each weight once, got one twice"),
        (["codes"], "expected 'codes' to be floating-point numbers, got a weight of torch.int64; leave it out"),
    ],
)
def test_what_cannot_be_pruned_is_refused(parameters, message):
    net = mlp(4, 3)
    net.codes = nn.Parameter(torch.ones(3, dtype=torch.int64), requires_grad=False)
    with pytest.raises(InputError, match=message):
        prunable(net, parameters)
    with pytest.raises(InputError, match="got a weight on the meta device; leave it out"):
        prunable(nn.Linear(3, 2, device="meta"))


def test_what_is_no_file_of_masks_and_no_plain_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz does not exist; check the path"):
        load_masks(tmp_path / "none.npz")
    with pytest.raises(InputError, match="expected the path of a masks file, got NoneType"):
        load_masks(None)
    net = nn.Linear(4, 3)
    masks = {"weight": torch.eye(3, 4, dtype=torch.bool)}
    export_masks(net, masks)
    with pytest.raises(InputError, match=r"'weight' is held by torch\.nn\.utils\.prune.*remove"):
        export_masks(net, masks)
    torch_prune.remove(net, "weight")
    assert apply_masks(net, masks) is net
