"""automl-theory prune: the layer table, the masks it saves, and what it says when something is wrong."""

from __future__ import annotations

import copy
import re
from io import StringIO
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from torch import nn

import automl_theory as at
from automl_theory.cli import main
from automl_theory.cli.pruning import print_layers
from automl_theory.pruning.mask_files import load_masks
from automl_theory.pruning.masks import apply_masks, graph_settings

NETWORKS = """
import torch
from torch import nn

def conv():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3, groups=2), nn.ReLU(),
        nn.ConvTranspose2d(12, 6, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10),
    )

def other_shape():
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 10))

def plain():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192))

def few_classes():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4))

number = 3
"""
SMALL = ["--resolution", "8", "--n", "16"]
CONV = ["prune", "pruned_networks:conv", *SMALL]
ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.syspath_prepend(tmp_path)
    Path("pruned_networks.py").write_text(NETWORKS)


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert stop.value.code == code, captured
    return captured.out, captured.err


def rows(out: str) -> dict[str, list[str]]:
    lines = [line.split() for line in out.splitlines()]
    end = next(i for i, line in enumerate(lines) if line[0] == "network")
    return {line[0]: line[1:] for line in lines[1 : end + 1]}


def made(seed: int = 0) -> nn.Module:
    from pruned_networks import conv

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return conv()


def test_the_table_is_that_of_prune_and_mask_table(capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()
    out, err = run(capsys, *CONV, "--density", 0.2, "--method", "snip", "--seed", 3, "--output", "new/masks.npz")
    assert torch.equal(before, torch.get_rng_state())
    assert err == "masks: new/masks.npz\n"
    net = made(3)
    batch = at.load_batch("digits", 16, 3, size=8)
    masks = at.prune(net, "snip", 0.2, batch.x, batch.y, 3)
    saved = load_masks("new/masks.npz")
    assert list(saved) == list(masks)
    assert all(torch.equal(saved[name], mask) for name, mask in masks.items())
    table = at.mask_table(masks, dict(net.named_parameters()), **graph_settings(net, masks))
    assert out.split()[:9] == ["layer", "shape", "kept", "density", "gap", "excess", "IMDB", "λ", "why"]
    shown = rows(out)
    assert list(shown) == ["0", "2", "4", "7", "network"]
    for name, row in table.iterrows():
        cells = shown[str(name).removesuffix(".weight")]
        assert cells[0] == "×".join(map(str, masks[str(name)].shape))
        assert cells[1:3] == [str(int(masks[str(name)].sum())), f"{row['density']:.4f}"]
        for cell, measure in zip(
            cells[3:7], ("ramanujan_gap_normalised", "ramanujan_gap_excess", "imdb", "weighted_gap"), strict=True
        ):
            assert float(cell) == pytest.approx(row[measure], rel=6e-3, abs=6e-4), (name, measure)
    total = sum(mask.numel() for mask in masks.values())
    kept = round(0.2 * total)
    assert shown["network"][:2] == [str(kept), f"{kept / total:.4f}"]
    assert float(shown["network"][4]) == pytest.approx(table["imdb"].mean(), abs=6e-4)
    assert f"mean density of the layers {table['density'].mean():.4f}" in " ".join(out.split())


def test_grouped_and_transposed_layers_are_measured_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    net = made()
    masks = at.prune(net, "erk", 0.5)
    assert graph_settings(net, masks) == {
        "groups": {"0.weight": 1, "2.weight": 2, "4.weight": 1},
        "transposed": ["4.weight"],
    }
    out, _ = run(capsys, *CONV, "--density", 0.5, "--method", "erk")
    right = at.mask_metrics(masks["2.weight"], groups=2)["ramanujan_gap_normalised"]
    assert float(rows(out)["2"][3]) == pytest.approx(right, abs=6e-4)
    assert abs(right - at.mask_metrics(masks["2.weight"])["ramanujan_gap_normalised"]) > 0.01


@pytest.mark.parametrize("method", ["random", "uniform", "magnitude", "grasp", "synflow", "phew"])
def test_methods_data_and_defaults(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, *CONV, "--method", method, "--density", 0.1, "--data", "gaussian")
    assert err == ""
    total = sum(w.numel() for name, w in made().named_parameters() if "weight" in name)
    assert f"{round(0.1 * total)} of {total} weights stay." in out
    assert run(capsys, *CONV, "--method", method, "--density", 0.1, "--data", "gaussian")[0] == out, "seeded"


def test_a_network_of_a_space(capsys: pytest.CaptureFixture[str]) -> None:
    some = ["--arch", ARCH, "--channels", 4, "--cells", 1, "--resolution", 8, "--n", 8, "--density", 0.3]
    out, _ = run(capsys, "prune", "nas_bench_201", *some, "--output", "m.npz", "--in-channels", 1)
    net = at.space("nas_bench_201").build(ARCH, 4, 1, in_channels=1)
    apply_masks(net, load_masks("m.npz"))
    folded = "".join(line.split(" ")[0] for line in out.splitlines())
    assert "cells.0.layers.0.op.1" in folded, "names are whole"
    assert max(len(line) for line in out.splitlines()) <= 80
    out, _ = run(capsys, "prune", "mlp_dag", "--arch", "2_02_002", "--width", 8, "--resolution", 4, "--density", 0.5)
    assert "weights stay" in out


def test_conventions_scope_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*CONV, "--density", 0.05, "--method", "snip"]
    strict, _ = run(capsys, *arguments)
    released, _ = run(capsys, *arguments, "--convention", "iclr23")
    assert "low_degree" not in strict
    words = " ".join(released.split())
    assert re.search(r"a low_degree: \S+: mean degrees d_L = .*; iclr23 asks for d_L ≥ 3 and d_R ≥ 3", words)
    neurips, _ = run(capsys, *arguments, "--convention", "neurips23", "--output", "n.npz")
    run(capsys, *arguments, "--output", "s.npz")
    assert all(
        torch.equal(a, b) for a, b in zip(load_masks("n.npz").values(), load_masks("s.npz").values(), strict=True)
    )
    layered, _ = run(capsys, *arguments, "--scope", "layer")
    assert rows(layered)["7"][1] == "3", "a twentieth of 60"
    assert len({strict, released, neurips, layered}) == 4


def test_a_collapsed_layer_has_its_row_and_its_reason_at_80_columns() -> None:
    name = "a_rather_long_name.of_a_layer.deep_inside.conv[3].weight"
    masks = {name: torch.zeros(512, 512, 3, 3, dtype=torch.bool), "b.weight": torch.ones(4, 6, dtype=torch.bool)}
    masks |= {"c.weight": torch.zeros(3, 2, dtype=torch.bool)}
    table = at.mask_table(masks, masks)
    table.insert(0, "shape", ["512×512×3×3", "4×6", "3×2"])
    table.insert(1, "weights", [mask.numel() for mask in masks.values()])
    console = Console(file=StringIO(), width=80)
    print_layers(table, console)
    out = console.file.getvalue()
    assert not any(east_asian_width(letter) in "WF" for letter in out)
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "a  collapsed: a_rather" in out
    words = " ".join(out.split())
    assert "(and 1 more layers likewise)" in words
    assert "(of 3: gap 1, excess 1, IMDB 1, λ 1)" in words
    assert "conv[3]" in "".join(line.split(" ")[0] for line in out.splitlines()), "no markup"
    assert "4×6 24 1.0000 1.000 0.000 " in words


def test_a_measure_without_a_value_has_its_reason() -> None:
    masks = {"pairs.weight": torch.eye(4, dtype=torch.bool), "full.weight": torch.ones(4, 4, dtype=torch.bool)}
    table = at.mask_table(masks, {name: torch.rand(4, 4) for name in masks})
    table.insert(0, "shape", ["4×4"] * 2)
    table.insert(1, "weights", [16] * 2)
    console = Console(file=StringIO(), width=100)
    print_layers(table, console)
    assert "a  undefined: pairs: the bound is zero, as of a perfect matching" in console.file.getvalue()


def test_a_file_is_kept_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.npz").write_bytes(b"precious")
    _, err = run(capsys, *CONV, "--output", "m.npz", code=2)
    assert "m.npz exists and is not overwritten; say --force" in err
    assert Path("m.npz").read_bytes() == b"precious"
    run(capsys, *CONV, "--density", 0.5, "--method", "random", "--output", "m.npz", "--force")
    with np.load("m.npz", allow_pickle=False) as file:
        assert str(file["format"]) == "automl_theory masks 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["pruned_networks"],
            "'pruned_networks' is neither package.module:factory nor a space (darts, mlp_dag, nas_bench_101",
        ),
        (["nas_bench_202", "--arch", ARCH], "Did you mean 'nas_bench_201'?"),
        (["nas_bench_201"], "nas_bench_201 is a space; name the network in it with --arch"),
        (["nas_bench_201", "--arch", "|what~0|"], "at position 1, unknown operation 'what'"),
        (["nas_bench_201", "--arch", ARCH, "--width", "3"], "networks of nas_bench_201 have no --width; leave it out"),
        (["pruned_networks:conv", "--arch", ARCH], "--arch is for a network of a space; leave it out with pruned"),
        (["pruned_networks:conv", "--cells", "1"], "--cells-per-stage is for a network of a space; leave it out"),
        (["pruned_networks:none"], "module 'pruned_networks' has no 'none'"),
        (["pruned_networks:number"], "pruned_networks:number is a int; name a function that returns an nn.Module"),
        (["pruned_networks:conv", "--method", "snap"], "unknown method 'snap'; expected one of random, uniform, erk"),
        (
            ["pruned_networks:conv", "--density", "0"],
            "expected density in (0, 1], the share of weights to keep, got 0.0",
        ),
        (["pruned_networks:conv", "--density", "nan"], "expected density in (0, 1]"),
        (["pruned_networks:conv", "--scope", "all"], "scope='all' is not one of global, layer"),
        (["pruned_networks:conv", "--method", "erk", "--scope", "global"], "erk divides the budget among the layers"),
        (
            ["pruned_networks:conv", "--convention", "iclr"],
            "unknown --convention 'iclr'; use strict, iclr23, neurips23.",
        ),
        (["pruned_networks:conv", "--method", "phew", "--convention", "iclr23"], "use convention='strict'"),
        (["pruned_networks:conv", "--seed", "-1"], "expected --seed of at least 0, got -1; give 0 or more"),
        (["pruned_networks:conv", "--n", "0"], "expected n to be an integer of at least 1, got 0; give n=1 or more"),
        (["pruned_networks:conv", "--data", "nowhere"], "a folder or a .npz file, got 'nowhere'; give one of them"),
        (["pruned_networks:conv", "--output", "m.pt"], "cannot write m.pt: name a file ending in .npz"),
        (["pruned_networks:other_shape"], "pruned_networks:other_shape cannot be pruned on images of shape (3, 8, 8)"),
        (["pruned_networks:plain"], "nothing to prune: expected convolution or linear weights, got none"),
        (["pruned_networks:few_classes", "--method", "snip"], "expected labels below 4, the number of logits, got 9"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = run(capsys, "prune", *SMALL, *arguments, code=2)
    assert out == ""
    assert re.fullmatch(r"automl-theory: error: [^\n]+\n", err), err
    assert message in err


def test_the_network_given_is_only_read() -> None:
    net = made()
    before = copy.deepcopy(net.state_dict())
    told: list[tuple[int, int, int]] = []
    at.prune(net, "synflow", 0.1, torch.zeros(1, 3, 8, 8), rounds=7, progress=lambda *one: told.append(one))
    assert told == [(i, 7, 0) for i in range(8)]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert isinstance(at.mask_table(at.prune(net, "random", 0.1)), pd.DataFrame)


def test_what_takes_long_shows_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_theory.progress.PATIENCE_SECONDS", 1e-9)
    _, err = run(capsys, *CONV, "--density", 0.3)
    pruning, measuring = err.splitlines()
    assert re.fullmatch(r"pruning with synflow: 100/100 in \d+ s \([\d.e+]+/\w+\)", pruning)
    assert re.fullmatch(r"measuring layers: 4/4 in \d+ s \([\d.e+]+/\w+\)", measuring)
