"""Whatever is wrong with what a user gives: one line on stderr that names the remedy, status 2, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import automl_theory as at
from automl_theory.cli import main
from automl_theory.scoring.files import write_table
from automl_theory.scoring.sqlite_file import SCHEMA
from automl_theory.scoring.store import ScoreStore

TINY = ["--n", "8", "--resolution", "8", "--channels", "4", "--cells-per-stage", "1", "--workers", "0"]
SCORE = ["score", "nas_bench_201", "--proxies", "naswot,ntk_trace", "--sample", "2", *TINY]
BY_ARCH = ["score", "nas_bench_201", *TINY, "--arch"]
MODULE = ["score", "--n", "8", "--resolution", "8", "--proxies", "ntk_trace", "--module"]
ARCH = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|"
SCORES = 4
SHAPE = "--in-channels and --resolution change the shape"
OTHER = "give a table that automl-theory exported"

NETWORKS = """
import sys
import torch
from torch import nn

def make_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))

def raising():
    raise RuntimeError("no weights here\\nsecond line")

def leaving():
    sys.exit(3)

def nothing():
    return None

def other_shape():
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 10))

class Scalar(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return (self.weight * x).sum()

class Leaving(nn.Module):
    def forward(self, x):
        sys.exit(7)

def without_values():
    with torch.device("meta"):
        return nn.Linear(192, 3)

number = 3
"""


class Payload:
    """Pickled, it would end the tests."""

    def __reduce__(self) -> Any:
        return os._exit, (99,)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that can be wrong, and `kept.db`, a store in which everything is right."""
    home = tmp_path_factory.mktemp("world")
    run([*SCORE, "--store", str(home / "kept.db"), "--export", str(home / "scores.csv")])
    whole = (home / "kept.db").read_bytes()
    (home / "cut.db").write_bytes(whole[:5000])
    (home / "stub.db").write_bytes(whole[:40])
    middle = len(whole) // 2
    (home / "corrupt.db").write_bytes(whole[:4096] + b"\xab" * (middle - 4096) + whole[middle:])
    (home / "text.db").write_text("these are notes\n" * 100)
    (home / "folder.db").mkdir()
    (home / "empty.db").touch()
    shutil.copy(home / "kept.db", home / "kept.csv")
    for name, statement in (("foreign.db", "CREATE TABLE mine(x)"), ("newer.db", f"PRAGMA user_version={SCHEMA + 1}")):
        if name == "newer.db":
            shutil.copy(home / "kept.db", home / name)
        with sqlite3.connect(home / name) as db:
            db.execute(statement)
        db.close()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 8, 8)).astype(np.float32), np.arange(12) % 3
    bad: dict[str, dict[str, Any]] = {
        "nan": {"x": np.where(np.arange(12)[:, None, None] == 5, np.nan, x), "y": y},
        "inf": {"x": np.where(np.arange(12)[:, None, None] == 5, np.inf, x), "y": y},
        "constant": {"x": np.ones_like(x), "y": y},
        "flat": {"x": x.reshape(12, 64), "y": y},
        "five": {"x": rng.normal(size=(12, 5, 8, 8)), "y": y},
        "words": {"x": np.array(["a", "b"]), "y": np.array([0, 1])},
        "long": {"x": x, "y": np.arange(11)},
        "halves": {"x": x, "y": y + 0.5},
        "one_class": {"x": x, "y": 0 * y},
        "no_y": {"x": x},
        "none": {"x": x[:0], "y": y[:0]},
        "objects": {"x": np.array([{}], dtype=object), "y": y},
        "twins": {"x": np.concatenate([np.ones((11, 8, 8)), np.zeros((1, 8, 8))]), "y": y},
        "good": {"x": x, "y": y},
    }
    for name, arrays in bad.items():
        np.savez(home / f"{name}.npz", **arrays)
    (home / "text.npz").write_text("no archive")
    (home / "x.png").touch()
    (home / "no_images").mkdir()
    pd.DataFrame({"arch": ["other"], "test_loss": [1.0]}).to_csv(home / "others.csv", index=False)
    pd.DataFrame({"name": ["a"], "test_loss": [1.0]}).to_csv(home / "unkeyed.csv", index=False)
    pd.DataFrame({"arch": [ARCH] * 2, "test_loss": [1.0, 2.0]}).to_csv(home / "twice.csv", index=False)
    pd.DataFrame({"arch": [ARCH], "test_accuracy": [0.93]}).to_csv(home / "fractions.csv", index=False)
    pd.DataFrame({"arch": [ARCH, ARCH.replace("3x3", "1x1")], "test_accuracy": [93, None]}).to_csv(
        home / "gap.csv", index=False
    )
    pd.DataFrame({"arch": [ARCH], "top1": [0.93]}).to_csv(home / "top1.csv", index=False)
    (home / "page.html").touch()
    torch.save({"arch2infos": Payload()}, home / "evil.pth")
    (home / "cut.pth").write_bytes((home / "evil.pth").read_bytes()[:300])
    (home / "binary.csv").write_bytes(bytes(range(256)))
    shapes = {
        "proxies_list": {"proxies": ["naswot"]},
        "proxies_text": {"proxies": "naswot"},
        "accuracy_text": {"accuracy": "hello"},
        "seeds_number": {"accuracy": {"seeds": 3}},
        "splits_number": {"accuracy": {"splits": 3}},
        "join_numbers": {"join": [1]},
    }
    for name, attrs in shapes.items():
        frame = pd.DataFrame({"naswot": [1.0], "test_accuracy": [90.0]}, index=pd.Index([ARCH], name="arch"))
        frame.attrs = attrs
        for suffix in (".csv", ".parquet"):
            write_table(frame, home / f"{name}{suffix}")
    (home / "bad.parquet").write_bytes(b"PAR1" * 30)
    pd.DataFrame({"x": [1.0]}).to_parquet(home / "foreign.parquet")
    (home / "user_networks.py").write_text(NETWORKS)
    (home / "user_broken.py").write_text("import a_package_that_is_not_there\n")
    (home / "user_script.py").write_text("raise SystemExit(5)\n")
    return home


def run(arguments: list[str]) -> Any:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code


CASES: dict[str, tuple[list[str], str]] = {
    # What is scored.
    "no space": (["score"], "name a space or a --module, not neither"),
    "space and module": (["score", "nas_bench_201", "--module", "a:b"], "name a space or a --module, not both"),
    "unknown space": (["score", "nas_bench_20"], "Did you mean 'nas_bench_201'?"),
    "unknown proxy": ([*SCORE, "--proxies", "ntk_lamda_min"], "Did you mean 'ntk_lambda_min'?"),
    "no proxy": ([*SCORE, "--proxies", ","], "use 'core', 'full' or names from: automl-theory list proxies"),
    "unknown parameter": ([*SCORE, "--proxies", "ntk_numerical_rank:tl=1"], "Did you mean 'tol'?"),
    "bad parameter": ([*SCORE, "--proxies", "ntk_numerical_rank:tol=x"], "must be of type float"),
    "arch of words": ([*BY_ARCH, "resnet"], "at position 0, expected '|'"),
    "arch with a bad operation": ([*BY_ARCH, ARCH.replace("skip", "skp")], "Did you mean 'skip_connect'?"),
    "arch with a bad source": ([*BY_ARCH, ARCH.replace("~2", "~3")], "expected source 2 of edge 2>3"),
    "arch cut off": ([*BY_ARCH, ARCH[:-1]], "missing '|' after edge 2>3"),
    "arch with a tail": ([*BY_ARCH, ARCH + "+"], "trailing text '+'"),
    "arch of nothing": ([*BY_ARCH, ""], "expected '|op~0|+|op~0|op~1|+"),
    "arch and sample": ([*SCORE, "--arch", ARCH], "give one of the two"),
    "sample of none": ([*SCORE, "--sample", "0"], "give 1 to 5260"),
    "sample below none": ([*SCORE, "--sample", "-3"], "give 1 to 5260"),
    "sample too large": ([*SCORE, "--sample", "5261"], "give 1 to 5260"),
    "sample of strings too large": ([*SCORE, "--strings", "--sample", "15626"], "give 1 to 15625"),
    "sample in words": ([*SCORE, "--sample", "many"], "valid int"),
    "sample seed below 0": ([*SCORE, "--sample-seed", "-1"], "integer of at least 0"),
    # How it is measured.
    "no seeds": ([*SCORE, "--seeds", "0"], "give a positive number of seeds"),
    "one image": ([*SCORE, "--n", "1"], "to be an integer of at least 2"),
    "no image": ([*SCORE, "--n", "0"], "to be an integer of at least 2"),
    "more images than there are": ([*SCORE, "--n", "1798"], "ask for fewer samples"),
    "data seed below 0": ([*SCORE, "--data-seed", "-1"], "to be an integer of at least 0"),
    "resolution of 10": ([*SCORE, "--resolution", "10"], "must be a multiple of 4"),
    "resolution of 0": ([*SCORE, "--resolution", "0"], "to be an integer of at least 1"),
    "no input channels": ([*SCORE, "--in-channels", "0"], "to be an integer of at least 1"),
    "no channels": ([*SCORE, "--channels", "0"], "to be an integer of at least 1"),
    "no cells": ([*SCORE, "--cells-per-stage", "0"], "to be an integer of at least 1"),
    "channels beyond any memory": ([*SCORE, "--channels", "1000000000"], "channels to be at most"),
    "cells beyond any memory": ([*SCORE, "--cells", "100000000000"], "cells_per_stage to be at most"),
    "unknown preset": ([*SCORE, "--preset", "reducd"], "Did you mean 'reduced'?"),
    "presets where there are none": (
        ["score", "mlp_dag", "--sample", "1", "--preset", "reduced"],
        "space mlp_dag has no presets; leave out --preset",
    ),
    "a space too large to score": (
        ["score", "darts", "--proxies", "parameters"],
        "space darts has 1,076,746,950,455,072,400 architectures, too many to score; give a sample of them, as by",
    ),
    "unknown space of accuracies": (
        ["accuracy", "convert", "{home}/others.csv", "{home}/o.csv", "--space", "dart"],
        "Did you mean 'darts'?",
    ),
    "spaces of an aspect": (["list", "spaces", "--family", "size"], "--family is for proxies; leave it out"),
    "unknown bn": ([*SCORE, "--bn", "frosen"], "Did you mean 'frozen'?"),
    "unknown output": ([*SCORE, "--output", "full"], "is not one of sum, trace"),
    "unknown init": ([*SCORE, "--init", "he_fanin"], "Did you mean 'he_fan_in'?"),
    "unknown dtype": ([*SCORE, "--dtype", "float46"], "Did you mean 'float"),
    # Data.
    "unknown data": ([*SCORE, "--data", "digit"], "Did you mean 'digits'?"),
    "no such data": ([*SCORE, "--data", "{home}/absent.npz"], "check the path"),
    "data of another kind": ([*SCORE, "--data", "{home}/x.png"], "save arrays as .npz"),
    "a folder without images": ([*SCORE, "--data", "{home}/no_images"], "unpack the official archive there"),
    "npz of NaN": ([*SCORE, "--data", "{home}/nan.npz"], "clean the inputs"),
    "npz of inf": ([*SCORE, "--data", "{home}/inf.npz"], "clean the inputs"),
    "npz of one value": ([*SCORE, "--data", "{home}/constant.npz"], "check how x was saved"),
    "npz of vectors": ([*SCORE, "--data", "{home}/flat.npz"], "save images as uint8 or float32"),
    "npz of five channels": ([*SCORE, "--data", "{home}/five.npz"], "transpose or convert x"),
    "npz of words": ([*SCORE, "--data", "{home}/words.npz"], "save images as uint8 or float32"),
    "npz of two lengths": ([*SCORE, "--data", "{home}/long.npz"], "give one label an image"),
    "npz of half labels": ([*SCORE, "--data", "{home}/halves.npz"], "give class numbers"),
    "npz of one class": ([*SCORE, "--data", "{home}/one_class.npz"], "add samples of another class"),
    "npz without labels": ([*SCORE, "--data", "{home}/no_y.npz"], "save it with numpy.savez(path, x=images, y=labels)"),
    "npz of nothing": ([*SCORE, "--data", "{home}/none.npz"], "give one label an image"),
    "npz of objects": ([*SCORE, "--data", "{home}/objects.npz"], "save it again"),
    "npz that is text": ([*SCORE, "--data", "{home}/text.npz"], "save it again"),
    "npz of too few": ([*SCORE, "--data", "{home}/good.npz", "--n", "13"], "ask for fewer samples"),
    "npz of equal samples": ([*SCORE, "--data", "{home}/twins.npz", "--n", "2"], "give inputs that differ"),
    # How it runs.
    "workers below 0": ([*SCORE, "--workers", "-1"], "give 0 (this process) or a positive number"),
    "no threads": ([*SCORE, "--threads", "0"], "1 or more"),
    "threads beyond any machine": ([*SCORE, "--threads", "1000000000"], "1 or more (to 1024)"),
    "shard of words": ([*SCORE, "--shard", "first"], "must look like 2/4"),
    "shard beyond the last": ([*SCORE, "--shard", "3/2"], "must have 1 ≤ i ≤ n"),
    "shard of nothing": ([*SCORE, "--shard", "3/3"], "use at most 2 shards"),
    "unknown device": ([*SCORE, "--device", "gpu"], "use cpu, cuda or cuda:0"),
    "other device": ([*SCORE, "--device", "mps"], "use cpu or cuda"),
    # Stores.
    "a folder as store": ([*SCORE, "--store", "{home}/folder.db"], "name a file in it"),
    "a store below a file": ([*SCORE, "--store", "{home}/x.png/s.db"], "use another store"),
    "text as store": ([*SCORE, "--store", "{home}/text.db"], "name another file, it was left alone"),
    "a store cut off": ([*SCORE, "--store", "{home}/cut.db"], "restore a copy or use another --store"),
    "a store of 40 bytes": ([*SCORE, "--store", "{home}/stub.db"], "restore a copy or name another file"),
    "a corrupt store": ([*SCORE, "--store", "{home}/corrupt.db"], "restore a copy or use another --store"),
    "another program's store": ([*SCORE, "--store", "{home}/foreign.db"], "name another file"),
    "a newer store": ([*SCORE, "--store", "{home}/newer.db"], "upgrade automl_theory"),
    "a store of other settings": ([*SCORE, "--store", "{home}/kept.db", "--bn", "batch"], "use another --store"),
    "a store of other threads": ([*SCORE, "--store", "{home}/kept.db", "--threads", "2"], "--allow-mismatch"),
    "export of no store": (["export", "{home}/absent.db", "{home}/t.csv"], "check the path"),
    "export of an empty store": (["export", "{home}/empty.db", "{home}/t.csv"], "give the store a run wrote"),
    "rank of a foreign store": (["rank", "{home}/foreign.db"], "name another file"),
    "merge of nothing": (["merge", "{home}/all.db"], "Missing argument 'sources'; see: automl-theory merge --help"),
    "merge of no store": (["merge", "{home}/all.db", "{home}/absent.db"], "check the path"),
    "merge of text": (["merge", "{home}/all.db", "{home}/text.db"], "name another file"),
    # What comes out.
    "export to a spreadsheet": ([*SCORE, "--export", "{home}/t.xlsx"], "name a file ending in .parquet or .csv"),
    "export to nowhere": ([*SCORE, "--export", "{home}/x.png/t.csv"], "choose another folder"),
    "export onto the store": (
        [*SCORE, "--store", "{home}/s.csv", "--export", "{home}/s.csv"], "is the store; name another file",
    ),
    "export onto the accuracies": (
        [*SCORE, "--accuracy", "{home}/others.csv", "--export", "{home}/others.csv"], "is the table of --accuracy",
    ),
    "export of a store onto itself": (
        ["export", "{home}/kept.csv", "{home}/kept.csv", "--force"], "is the store; name another file",
    ),
    "export to a folder": (["export", "{home}/kept.db", "{home}/no_images"], "name a file ending in"),
    "unknown accuracy": ([*SCORE, "--accuracy", "digts"], "Did you mean 'digits'?"),
    "no such accuracy": (["rank", "{home}/scores.csv", "--accuracy", "{home}/absent.csv"], "check the path"),
    "accuracy without a key": (["rank", "{home}/scores.csv", "--accuracy", "{home}/unkeyed.csv"], "name the one"),
    "accuracy with doubles": (["rank", "{home}/scores.csv", "--accuracy", "{home}/twice.csv"], "choose a dataset"),
    "accuracy of others": (["rank", "{home}/scores.csv", "--accuracy", "{home}/others.csv"], "index it by arch"),
    "accuracy that is binary": (["rank", "{home}/scores.csv", "--accuracy", "{home}/binary.csv"], "save it again"),
    "accuracy in fractions": (["rank", "{home}/scores.csv", "--accuracy", "{home}/fractions.csv"], "--unit fraction"),
    "accuracy with a gap": (["rank", "{home}/scores.csv", "--accuracy", "{home}/gap.csv"], "drop or fill them"),
    "accuracy that is a payload": (["rank", "{home}/scores.csv", "--accuracy", "{home}/evil.pth"], "could run code"),
    "accuracy cut off": (["accuracy", "show", "{home}/cut.pth"], "cut short or damaged"),
    "accuracy that is a picture": (["accuracy", "show", "{home}/x.png"], "give one, or a benchmark's file or folder"),
    "accuracy of a folder": (["accuracy", "show", "{home}/no_images"], "give the folder that holds them"),
    "accuracy of an unknown set": (["accuracy", "show", "digits", "--dataset", "digts"], "Did you mean 'digits'?"),
    "accuracy of other epochs": (["accuracy", "show", "digits", "--epochs", "12"], "is of 10 epochs, not 12"),
    "accuracy of an unknown split": (["accuracy", "show", "--split", "tst"], "Did you mean 'test'?"),
    "dataset without accuracy": (["rank", "{home}/scores.csv", "--dataset", "cifar10"], "name those with --accuracy"),
    "convert to a picture": (["accuracy", "convert", "digits", "{home}/d.png"], "name a file ending in"),
    "convert onto a table": (["accuracy", "convert", "digits", "{home}/others.csv"], "is not overwritten; say --force"),
    "convert onto itself": (["accuracy", "convert", "{home}/others.csv", "{home}/others.csv", "--force"], "the source"),
    "convert of nothing": (["accuracy", "convert", "{home}/absent.pth", "{home}/t.csv"], "check the path"),
    "columns without a sign": (["accuracy", "show", "{home}/unkeyed.csv", "--columns", "name"], "like theirs=ours"),
    "columns that are not there": (["accuracy", "show", "{home}/unkeyed.csv", "--columns", "nam=arch"], "mean 'name'?"),
    "unknown unit": (["accuracy", "show", "{home}/others.csv", "--unit", "percnt"], "Did you mean 'percent'?"),
    "unit of a bundled table": (["accuracy", "show", "digits", "--unit", "fraction"], "are per cent: leave it out"),
    "trust in a csv": (
        ["rank", "{home}/scores.csv", "--accuracy", "{home}/others.csv", "--trust-pickle"], "has nothing to trust",
    ),
    "trust in a bundled table": ([*SCORE, "--accuracy", "digits", "--trust-pickle"], "has nothing to trust"),
    "renamed to an accuracy in fractions": (
        ["accuracy", "show", "{home}/top1.csv", "--columns", "top1=test_accuracy"], "--unit fraction",
    ),
    "export onto a table": (["export", "{home}/kept.db", "{home}/others.csv"], "is not overwritten; say --force"),
    "report onto a page": (
        ["report", "{home}/scores.csv", "--output", "{home}/page.html"], "is not overwritten; say --force",
    ),
    "given that is not there": (
        ["rank", "{home}/scores.csv", "--target", "naswot", "--target-direction", "maximize", "--given", "ntk_trac"],
        "Did you mean 'ntk_trace'?",
    ),
    "top of more than all": (
        ["rank", "{home}/scores.csv", "--target", "naswot", "--target-direction", "maximize", "--top", "2"], "top",
    ),
    "no picks": (
        ["rank", "{home}/scores.csv", "--target", "naswot", "--target-direction", "maximize", "-k", "0"], "k ",
    ),
    "unknown direction": (
        ["rank", "{home}/scores.csv", "--target", "naswot", "--target-direction", "up"], "maximize",
    ),
    "unknown policy": (["rank", "{home}/scores.csv", "--accuracy", "digits", "--undefined", "last"], "worst"),
    "unknown interval": (["rank", "{home}/scores.csv", "--accuracy", "digits", "--interval", "exact"], "analytic"),
    "unknown target": ([*SCORE, "--accuracy", "digits", "--target", "test_los"], "Did you mean 'test_loss'?"),
    "no target": (["rank", "{home}/scores.csv"], "add trained results with --accuracy"),
    "no target to report on": (["report", "{home}/scores.csv", "--target", "top1"], "add trained results with"),
    "rank of no file": (["rank", "{home}/absent.csv"], "make one with: automl-theory score"),
    "rank of a picture": (["rank", "{home}/x.png"], "give a file ending in .parquet or .csv"),
    "rank of another table": (["rank", "{home}/unkeyed.csv"], OTHER),
    "rank of a foreign parquet": (["rank", "{home}/foreign.parquet"], OTHER),
    "rank of a bad parquet": (["rank", "{home}/bad.parquet"], "export it again"),
    "report on no file": (["report", "{home}/absent.parquet"], "make one with: automl-theory score"),
    "report to a picture": (["report", "{home}/scores.csv", "--output", "{home}/r.png"], "name a file ending in .html"),
    "report to nowhere": (["report", "{home}/scores.csv", "--output", "{home}/x.png/r.html"], "choose another folder"),
    # One network.
    "module of another form": ([*MODULE, "user_networks"], "must look like package.module:factory"),
    "module without a name": ([*MODULE, "user_networks:"], "must look like package.module:factory"),
    "no such module": ([*MODULE, "user_nets:make_net"], "run from the folder that holds it"),
    "module that cannot be imported": ([*MODULE, "user_broken:make_net"], "run from the folder that holds it"),
    "module that is a script": ([*MODULE, "user_script:make_net"], "run from the folder that holds it"),
    "no such factory": ([*MODULE, "user_networks:make_nt"], "Did you mean 'make_net'?"),
    "factory that raises": ([*MODULE, "user_networks:raising"], "wrap it in a function"),
    "factory that leaves": ([*MODULE, "user_networks:leaving"], "wrap it in a function"),
    "factory that is a number": ([*MODULE, "user_networks:number"], "name a function that returns an nn.Module"),
    "factory of nothing": ([*MODULE, "user_networks:nothing"], "name a function that returns an nn.Module"),
    "network of another shape": ([*MODULE, "user_networks:other_shape"], SHAPE),
    "network of one number": ([*MODULE, "user_networks:Scalar"], SHAPE),
    "network that leaves": ([*MODULE, "user_networks:Leaving"], "SystemExit: 7"),
    "network without values": ([*MODULE, "user_networks:without_values"], "return a network with weights that can"),
    "network with a store": ([*MODULE, "user_networks:make_net", "--store", "s.db"], "leave it out with --module"),
    "network with cells": ([*MODULE, "user_networks:make_net", "--cells", "3"], "--cells-per-stage is for a run over"),
    # The command line itself.
    "unknown command": (["scor"], "see: automl-theory --help"),
    "unknown option": (["score", "nas_bench_201", "--proxy", "core"], "see: automl-theory score --help"),
    "option without a value": (["score", "nas_bench_201", "--n"], "requires an argument; see: automl-theory"),
    "number in words": (["score", "nas_bench_201", "--n", "eight"], "see: automl-theory score --help"),
    "too many arguments": (["score", "nas_bench_201", "core"], "see: automl-theory score --help"),
    "nothing to list": (["list"], "see: automl-theory list --help"),
    "unknown list": (["list", "proxys"], "Did you mean 'proxies'?"),
    "unknown family": (["list", "proxies", "--family", "speed"], "known: convergence, expressivity"),
}  # fmt: skip


CASES |= {
    f"{' '.join(command)} {name}{suffix}": (
        [*command, f"{{home}}/{name}{suffix}"], f"the metadata of {name}{suffix} is broken (",
    )
    for name in ("proxies_list", "proxies_text", "accuracy_text", "seeds_number", "splits_number", "join_numbers")
    for suffix in (".csv", ".parquet")
    for command in (["rank"], ["report"], ["accuracy", "show"], ["rank", "{home}/scores.csv", "--accuracy"])
}  # fmt: skip


def contents(home: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in home.iterdir() if file.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_one_line_that_names_the_remedy(
    name: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, phrase = CASES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(world)
    before = contents(world)
    code = run([argument.replace("{home}", str(world)) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2, captured
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("automl-theory: error: ")
    assert phrase in captured.err
    assert captured.out == ""
    assert contents(world) == before, "nothing on the disk was changed"
    assert list(tmp_path.iterdir()) == []
    with ScoreStore.existing(world / "kept.db") as store:
        assert len(store.read()) == SCORES


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 45


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("arguments", [SCORE, [*MODULE, "torch.nn:Flatten"]])
def test_cuda_without_cuda(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--device", "cuda"]) == 2
    assert "this torch finds no CUDA device; use device cpu" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write, root included")
def test_places_nobody_can_write(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option, place, phrase in (
        ("--store", "/proc/self/s.db", "check permissions or use another --store"),
        ("--store", "/proc/self/new/s.db", "use another store"),
        ("--export", "/proc/self/t.csv", "choose another folder"),
    ):
        assert run([*SCORE, option, place]) == 2
        error = capsys.readouterr().err
        assert phrase in error
        assert len(error.splitlines()) == 1
    # The default store belongs to the working folder.
    monkeypatch.chdir("/proc/self")
    assert run(SCORE) == 2
    assert "cannot make the folder runs for the store" in capsys.readouterr().err


def test_what_was_computed_survives_every_refusal_and_the_run_goes_on(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path(shutil.copy(world / "kept.db", tmp_path / "s.db"))
    for wrong in (
        ["--bn", "batch"],
        ["--threads", "2"],
        ["--accuracy", "digts"],
        ["--export", str(tmp_path / "t.xls")],
    ):
        assert run([*SCORE, "--store", str(store), *wrong]) == 2
    capsys.readouterr()
    assert run([*SCORE, "--sample", "3", "--store", str(store)]) == 0
    assert "3/3 in" in (said := capsys.readouterr().err)
    assert "2 of them before" in said


def test_a_run_in_which_everything_fails_says_so_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--proxies", "linear_regions_thin", "--sample", "2", "--store", str(tmp_path / "s.db"), *TINY[:4]]
    table = tmp_path / "t.csv"
    assert run(["score", "mlp_dag", *arguments, "--workers", "0", "--export", str(table)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "nothing could be scored: all 2 architectures failed" in told[-1]
    assert "failed: 2" in "".join(told[:-1])
    assert table.exists()


def test_accuracies_of_another_space_are_refused_before_anything_is_scored(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, table = tmp_path / "s.db", tmp_path / "t.csv"
    arguments = ["--store", str(store), "--export", str(table), "--accuracy", str(world / "others.csv")]
    assert run([*SCORE, *arguments]) == 2
    assert "no architecture of nas_bench_201 is among the 1 with" in capsys.readouterr().err.splitlines()[-1]
    assert not store.exists()
    assert not table.exists()


def test_accuracies_of_none_that_was_drawn_come_after_the_table_is_safe(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, table, other = tmp_path / "s.db", tmp_path / "t.csv", tmp_path / "other.csv"
    arch = at.space("nas_bench_201").sample(3, 0)[2]
    other.write_text(f"arch,test_accuracy\n{arch},90\n")
    assert run([*SCORE, "--store", str(store), "--export", str(table), "--accuracy", str(other)]) == 2
    assert "index it by architecture" in capsys.readouterr().err.splitlines()[-1]
    assert table.exists()
    with ScoreStore.existing(store) as kept:
        assert len(kept.read()) == SCORES


def process(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=100)


@pytest.mark.parametrize("name", ["unknown command", "unknown target", "rank of no file", "export to a spreadsheet"])
def test_the_installed_command_says_the_same(name: str, world: Path, tmp_path: Path) -> None:
    arguments, phrase = CASES[name]
    program = Path(sysconfig.get_path("scripts")) / "automl-theory"
    done = process([str(program), *(argument.replace("{home}", str(world)) for argument in arguments)], tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("automl-theory: error: ")
    assert len(done.stderr.splitlines()) == 1
    assert phrase in done.stderr


@pytest.mark.parametrize(
    ("hidden", "arguments", "install"),
    [
        ("pyarrow", [*SCORE, "--export", "t.parquet"], "'automl_theory[parquet]'"),
        ("pyarrow", ["rank", "{home}/foreign.parquet"], "'automl_theory[parquet]'"),
        ("jinja2", ["report", "{home}/scores.csv"], "'automl_theory[report]'"),
        ("torch", SCORE, "torch"),
        ("torch", ["list", "proxies"], "torch"),
        ("torch", [*MODULE, "user_networks:make_net"], "torch"),
    ],
)
def test_a_missing_package_names_the_command_that_installs_it(
    hidden: str, arguments: list[str], install: str, world: Path, tmp_path: Path
) -> None:
    code = """
        import sys

        class Hide:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == sys.argv[1]:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Hide())
        from automl_theory.cli import main

        main(sys.argv[2:])
    """
    filled = [argument.replace("{home}", str(world)) for argument in arguments]
    done = process([sys.executable, "-c", textwrap.dedent(code), hidden, *filled], tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (f"automl-theory: error: {hidden} is not installed; install it with: pip install {install}\n")
    assert list(tmp_path.iterdir()) == []
