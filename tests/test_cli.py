"""What the command line does when everything is right."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from fcntl import ioctl
from io import StringIO
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ
from typing import Any

import pandas as pd
import pytest
from accuracy import builders
from rich.console import Console

import automl_theory as at
from automl_theory.cli import main
from automl_theory.proxies import REGISTRY, list_proxies
from automl_theory.scoring.files import read_table, write_table
from automl_theory.terminal import print_best, print_failures, print_kernels, print_proxies

TINY = ["--n", "8", "--resolution", "8", "--channels", "4", "--cells-per-stage", "1", "--workers", "0"]
NETWORK = {"channels": 4, "cells_per_stage": 1}
SCORE = ["score", "nas_bench_201", *TINY]
CELLS = at.space("nas_bench_201")
PROGRAM = Path(sysconfig.get_path("scripts")) / "automl-theory"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert stop.value.code == 0, captured
    return captured.out, captured.err


def test_score_tells_where_everything_is_and_what_is_best(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, *SCORE, "--sample", 4, "--export", "new/t.parquet")
    (store,) = Path("runs").glob("nas_bench_201-*.db")
    lines = err.splitlines()
    assert re.fullmatch(r"scoring nas_bench_201: 4/4 in \d+ s \([\d.]+/\w+\)", lines[-3])
    assert lines[-2:] == ["table: new/t.parquet", f"store: {store} (4 architectures)"]
    table = read_table("new/t.parquet")
    for name in list_proxies():
        if REGISTRY[name].core and REGISTRY[name].family != "size":
            assert re.search(rf"^{name} +{REGISTRY[name].family} ", out, re.MULTILINE)
    best = table["ntk_lambda_min"].idxmax()
    assert best in out, "architectures are printed whole"
    again, err = run(capsys, *SCORE, "--sample", 4)
    assert again == out
    assert err.splitlines() == [f"store: {store} (4 architectures)"]


def test_the_export_has_graph_columns_and_says_how_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *SCORE, "--sample", 3, "--seeds", 2, "--export", "t.csv", "--store", "s.db")
    table = read_table("t.csv")
    plain = at.score_space(CELLS, sample=3, seeds=2, n=8, resolution=8, network=NETWORK)
    assert table.index.tolist() == CELLS.sample(3, 0)
    pd.testing.assert_frame_equal(table[plain.columns], plain, check_exact=True)
    graphs = at.graph_metrics(CELLS, table.index)
    pd.testing.assert_frame_equal(table[graphs.columns], graphs, check_exact=True)
    assert table.attrs["seeds"] == [0, 1]
    assert table.attrs["settings"]["bn"] == "frozen"
    assert table.attrs["join"][0]["without_partner"] == 0
    out, _ = run(capsys, "export", "s.db", "again.csv")
    assert out == "table: again.csv (3 architectures)\n"
    again = read_table("again.csv")
    pd.testing.assert_frame_equal(again, table.sort_index(), check_exact=True)


def test_every_option_reaches_the_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--bn", "batch", "--output", "trace", "--biases", "--init", "he_fan_out", "--dtype", "float64",
        "--data-seed", "3", "--in-channels", "1", "--data", "gaussian", "--sample-seed", "5", "--sample", "1",
        "--strings", "--proxies", "ntk_trace,ntk_numerical_rank:tol=0.1",
    ]  # fmt: skip
    run(capsys, *SCORE, *arguments, "--export", "t.csv")
    table = read_table("t.csv")
    settings = table.attrs["settings"]
    expected = {
        "bn": "batch", "output": "trace", "biases": True, "init": "he_fan_out", "dtype": "float64", "data_seed": 3,
        "n": 8, "resolution": 8, "in_channels": 1, "data": "gaussian", "space": "nas_bench_201",
        "network": {**NETWORK, "in_channels": 1, "num_classes": 10},
    }  # fmt: skip
    assert {key: settings[key] for key in expected} == expected
    assert table.index.tolist() == CELLS.sample(1, 5, canonical=False)
    assert "ntk_numerical_rank:tol=0.1" in table.columns


def test_presets_and_the_older_name_of_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    some = ["score", "nas_bench_201", "--proxies", "parameters", "--sample", "1", "--preset", "reduced", "--cells", "2"]
    run(capsys, *some, "--store", "s.db", "--export", "t.csv")
    assert read_table("t.csv").attrs["settings"]["network"]["cells_per_stage"] == 2
    assert read_table("t.csv").attrs["settings"]["network"]["channels"] == 16


def test_darts_from_a_sample_to_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--preset", "reduced", "--channels", "2", "--n", "4", "--resolution", "8", "--workers", "0"]
    run(capsys, "score", "darts", "--sample", "3", *tiny, "--store", "d.db", "--export", "d.csv")
    table, darts = read_table("d.csv"), at.space("darts")
    assert table.index.tolist() == table["canonical"].tolist() == darts.sample(3, 0)
    assert table.attrs["settings"]["network"] == {"channels": 2, "layers": 5, "num_classes": 10, "in_channels": 3}
    assert set(table["ntk_lambda_min_status"]) <= {"ok", "rank_deficient"}
    sizes = [darts.size_metrics(arch, 2, 5)["parameters"] for arch in table.index]
    assert table["parameters"].tolist() == sizes
    assert table["paths"].tolist() == at.graph_metrics(darts, table.index)["paths"].tolist()
    run(capsys, "score", "darts", "--sample", "3", *tiny, "--store", "d.db", "--export", "e.csv")
    pd.testing.assert_frame_equal(read_table("e.csv"), table, check_exact=True)


def test_given_architectures_shards_and_merge(capsys: pytest.CaptureFixture[str]) -> None:
    names = CELLS.sample(3, 1)
    given = [part for name in names for part in ("--arch", name)]
    common = [*SCORE, "--proxies", "naswot", *given]
    run(capsys, *common, "--store", "whole.db", "--export", "whole.csv")
    assert read_table("whole.csv").index.tolist() == names
    for i in (1, 2):
        run(capsys, *common, "--store", f"{i}.db", "--shard", f"{i}/2")
    out, _ = run(capsys, "merge", "all.db", "1.db", "2.db")
    assert out == "store: all.db (3 scores)\n"
    for name in ("whole", "all"):
        run(capsys, "export", f"{name}.db", f"{name}.parquet")
    assert Path("all.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_a_store_under_any_name_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *SCORE, "--proxies", "naswot", "--sample", "2", "--store", "scores.sqlite")
    run(capsys, "export", "scores.sqlite", "t.csv")
    run(capsys, "export", "t.csv", "t.parquet")
    pd.testing.assert_frame_equal(read_table("t.csv"), read_table("t.parquet"), check_exact=True)


def test_score_rank_and_report_with_trained_results(capsys: pytest.CaptureFixture[str]) -> None:
    trained = at.load_accuracy("digits").index[:6]
    given = [part for name in trained for part in ("--arch", name)]
    score = [*SCORE, *given, "--proxies", "parameters,naswot,ntk_trace,ntk_regression_error"]
    ranked, _ = run(capsys, *score, "--store", "s.db", "--export", "t.csv", "--accuracy", "digits")
    for wanted in ("naswot", "ntk_trace", "◇ parameters", "noise ceiling", "Target test_loss"):
        assert wanted in ranked
    assert run(capsys, "rank", "t.csv", "--accuracy", "digits")[0] == ranked
    other, _ = run(capsys, "rank", "t.csv", "--accuracy", "digits", "--target", "test_accuracy")
    assert "Target test_accuracy" in other
    assert ranked.splitlines()[-1] == "Trained results: digits, 10 epochs, mean of 2 seeds"
    out, _ = run(capsys, "report", "s.db", "--accuracy", "digits", "--html", "new/r.html", "--title", "My <cells>")
    assert out.endswith("report: new/r.html, in a new folder\n")
    page = Path("new/r.html").read_text(encoding="utf-8")
    assert "My &lt;cells&gt;" in page
    out, _ = run(capsys, "report", "t.csv")
    assert out == "report: report.html\n", "without trained results there is no ranking"
    assert run(capsys, "report", "t.csv", "--output", "old.html")[0] == "report: old.html\n", "as it was called before"


def test_files_are_replaced_only_by_force_and_by_the_run_they_belong_to(capsys: pytest.CaptureFixture[str]) -> None:
    again = [*SCORE, "--proxies", "naswot", "--sample", 2, "--store", "s.db", "--export", "t.csv"]
    run(capsys, *again)
    run(capsys, *again[:-1], "t.csv")
    for command in (
        ["export", "s.db", "t.csv"],
        ["export", "s.db", "t.parquet"],
        ["report", "t.csv", "--output", "r.html"],
    ):
        out = Path(command[-1])
        if out.name != "t.csv":
            run(capsys, *command)
        out.write_text("mine")
        with pytest.raises(SystemExit) as stop:
            main(command)
        assert stop.value.code == 2
        assert f"{out} exists and is not overwritten; say --force" in capsys.readouterr().err
        assert out.read_text() == "mine"
        run(capsys, *command, "--force")
        assert out.read_bytes() != b"mine"


def made_table(path: str) -> pd.DataFrame:
    """Scores of the builders' four cells, one of them disconnected, and a table of them."""
    nan = float("nan")
    up = {"family": "convergence", "direction": "maximize", "unit": "", "formula": ""}
    df = pd.DataFrame(
        {
            "good": [1.0, 2.0, 3.0, nan],
            "good_status": ["ok"] * 3 + ["disconnected"],
            "parameters": [1.0, 3.0, 2.0, 0.0],
        },
        index=pd.Index(builders.CELLS, name="arch"),
    )
    df.attrs = {"proxies": {"good": up, "parameters": {**up, "family": "size"}}}
    write_table(df, path)
    return df


def test_trained_results_of_a_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nats_bench", reason="needs the extra 'dev'")
    folder = builders.nats_folder(Path("NATS-tss-v1_0-3ffb9-simple"))
    made_table("t.csv")
    out, _ = run(capsys, "rank", "t.csv", "--accuracy", folder, "--dataset", "CIFAR-100", "--epochs", 3)
    assert "Target test_accuracy" in " ".join(out.split()), "the default of a benchmark"
    assert out.splitlines()[-1] == (
        "Trained results: NATS-Bench v1.0, cifar100, 3 epochs, train: train; valid: x-valid; test: x-test; valtest: "
        "ori-test images, mean of 3 seeds, from NATS-tss-v1_0-3ffb9-simple"
    )
    assert "test_accuracy_seed777 against test_accuracy_seed888" in out
    told, err = run(capsys, "accuracy", "convert", folder, "all.parquet")
    assert told.endswith("table: all.parquet (4 architectures)\n")
    assert re.match(r"reading NATS-tss-v1_0-3ffb9-simple: 4/4 in ", err)
    again, _ = run(capsys, "rank", "t.csv", "--accuracy", "all.parquet", "--dataset", "cifar100", "--epochs", 3)
    assert again == out
    run(capsys, "accuracy", "convert", folder, "c.csv", "--dataset", "cifar100", "--epochs", 3)
    assert run(capsys, "rank", "t.csv", "--accuracy", "c.csv")[0] == out
    valid, _ = run(capsys, "rank", "t.csv", "--accuracy", "c.csv", "--split", "valid")
    assert "Target valid_accuracy" in " ".join(valid.split())
    shown, _ = run(capsys, "accuracy", "show", "c.csv")
    assert re.search(r"^test_accuracy +[\d.]+ +[\d.]+ +[\d.]+ +4$", shown, re.MULTILINE)
    assert "and 24 columns of single training seeds" in shown
    with pytest.raises(SystemExit):
        main(["accuracy", "convert", str(folder), "c.csv", "--dataset", "cifar10"])
    assert "c.csv exists and is not overwritten; say --force" in capsys.readouterr().err
    run(capsys, "accuracy", "convert", folder, "c.csv", "--dataset", "cifar10", "--force")
    assert at.load_accuracy("c.csv").attrs["accuracy"]["dataset"] == "cifar10"


def test_a_table_of_somebody_else_with_other_names_and_fractions(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.csv").write_text("cell,acc=top1\na,0.5\nb,0.75\n")
    out, _ = run(
        capsys, "accuracy", "convert", "mine.csv", "m.csv", "--columns", "cell=arch", "--columns",
        "acc=top1=test_accuracy", "--unit", "fraction",
    )  # fmt: skip
    assert out.endswith("table: m.csv (2 architectures)\n")
    assert at.load_accuracy("m.csv")["test_accuracy"].tolist() == [50, 75]


def test_direction_undefined_and_intervals_are_choices(capsys: pytest.CaptureFixture[str]) -> None:
    df = made_table("t.csv")
    df["score"] = [1.0, 2.0, 3.0, 0.0]
    df["other"] = -df["score"]
    write_table(df, "t.csv")

    def line(*arguments: str) -> list[str]:
        out, _ = run(capsys, "rank", "t.csv", *arguments)
        return next(text.split() for text in out.splitlines() if text.startswith("good"))

    up = ["--target", "score", "--target-direction", "maximize"]
    assert line(*up)[:3] == ["good", "conv", "1.00"]
    assert line("--target", "score", "--target-direction", "minimize")[2] == "-1.00"
    assert line("--target", "other", "--target-direction", "minimize")[2] == "1.00"
    assert "3" in line(*up)
    assert "4" in line(*up, "--undefined", "worst")
    assert line(*up, "--interval", "analytic")[2] == "1.00"
    out, _ = run(capsys, "report", "t.csv", "--target", "score", "--target-direction", "maximize")
    assert out.endswith("report: report.html\n")


def test_what_partial_top_and_k_mean_are_choices(capsys: pytest.CaptureFixture[str]) -> None:
    df = made_table("t.csv")
    df["score"] = [1.0, 2.0, 3.0, 0.0]
    df["other"] = [2.0, 1.0, 3.0, 0.0]
    write_table(df, "t.csv")
    some = ["t.csv", "--target", "score", "--target-direction", "maximize"]
    chosen = [*some, "--given", "parameters", "--given", "other", "--top", 0.5, "-k", 2]
    for command in ("rank", "report"):
        plain, said = (" ".join(run(capsys, command, *options, *([] if command == "rank" else ["--force"]))[0].split())
                       for options in (some, chosen))  # fmt: skip
        assert "Partial ρ is given parameters" in plain
        assert "Top: the best 10 % by target" in plain
        assert "Partial ρ is given parameters, other" in said
        assert "Top: the best 50 % by target, 2 architectures" in said
    page = " ".join(Path("report.html").read_text(encoding="utf-8").split())
    assert "Overlap and regret: k = 2 picks" in page


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_refused_tables_are_told_in_the_words_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    made_table("t.csv")
    cell = builders.CELLS[0]
    Path("theirs.csv").write_text(f"index,arch str,test_acc\n0,{cell},90\n")
    told = refusal(capsys, "accuracy", "convert", "theirs.csv", "a.csv")
    assert told.endswith("; name the one with the architectures, it seems 'arch str': --columns 'arch str=arch'\n")
    assert refusal(capsys, "accuracy", "show", "theirs.csv").endswith(told.partition(";")[2])
    told = refusal(capsys, "rank", "t.csv", "--accuracy", "theirs.csv")
    assert told.endswith(
        "it seems 'arch str', and convert the table once: automl-theory accuracy convert theirs.csv accuracies.csv "
        "--columns 'arch str=arch'\n"
    )
    run(capsys, "accuracy", "convert", "theirs.csv", "new/a.csv", "--columns", "arch str=arch")
    assert "test_acc" in run(capsys, "rank", "t.csv", "--accuracy", "new/a.csv")[0], "the only one it can be"
    told = refusal(capsys, "rank", "t.csv", "--accuracy", "new/a.csv", "--target", "top1")
    assert told.endswith("new/a.csv has no column 'top1'; --target can be test_acc.\n")
    told = refusal(capsys, "rank", "t.csv", "--accuracy", "new/a.csv", "--target", "index")
    assert told.endswith("whether 'index' is good when high or low; say --target-direction maximize or minimize\n")
    told = refusal(capsys, "rank", "t.csv", "--accuracy", "t.csv")
    assert "t.csv is a score table, without a column of accuracy or loss; give a table of trained results" in told
    many = ["arch", "a", "test_acc", *(f"b{k}" for k in range(20)), "valid_loss", "valid_loss_seed1"]
    Path("many.csv").write_text(f"{','.join(many)}\n{cell}{',1' * (len(many) - 1)}\n")
    told = refusal(capsys, "rank", "t.csv", "--accuracy", "many.csv", "--target", "top1")
    assert told.endswith("many.csv has no column 'top1'; --target can be valid_loss, test_acc.\n")
    Path("b.csv").write_text(f"arch,{','.join(many[3:-2])}\n{cell}{',1' * (len(many) - 5)}\n")
    told = refusal(capsys, "rank", "t.csv", "--accuracy", "b.csv")
    assert told.endswith("has no column 'test_accuracy'; --target can be b0, b1, b2, b3, b4, b5 and 14 more.\n")


def test_a_refused_command_leaves_no_folder_behind(capsys: pytest.CaptureFixture[str]) -> None:
    made_table("t.csv")
    refusal(capsys, "report", "t.csv", "--target", "absent", "--html", "new/r.html")
    refusal(capsys, "accuracy", "convert", "absent.csv", "new/a.csv")
    assert not Path("new").exists()
    out, _ = run(capsys, "accuracy", "convert", "digits", "new/a.csv")
    assert out.endswith("table: new/a.csv (609 architectures, in a new folder)\n")


def test_slower_kernels_are_counted_with_their_reason() -> None:
    stream = StringIO()
    why = "functional (an operation mixes samples)"
    details = [("a", f"kernel: {why}"), ("a", f"naswot: no ReLU; kernel: {why}"), ("b", ""), ("c", f"kernel: {why}")]
    print_kernels(details, Console(file=stream, width=40))
    assert stream.getvalue() == f"kernel of 2 architectures by the slower way: {why}\n"


def test_failures_are_counted_and_the_first_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    stream = StringIO()
    print_failures([(f"net{k}", 0, f"reason {k}") for k in range(5)], "why so many", Console(file=stream, width=40))
    lines = stream.getvalue().splitlines()
    assert lines == [
        "failed: 5 (why so many)",
        *(f"  net{k} seed 0: reason {k}" for k in range(3)),
        "  and 2 more",
    ]


MODULE = """
import torch
from torch import nn

net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

def attention():
    return Attention()

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(64))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.tanh(x.mean(1).flatten(1) * self.scale))
"""


@pytest.fixture
def _user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "user_module.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("user_module", None)


@pytest.mark.usefixtures("_user_module")
def test_one_network_from_the_working_folder(capsys: pytest.CaptureFixture[str]) -> None:
    some = ["score", "--n", "8", "--resolution", "8", "--module", "user_module:net"]
    out, err = run(capsys, *some, "--export", "one.csv")
    assert err == "table: one.csv\n"
    assert "user_module:net: n=8, bn=frozen, output=sum, biases=False, init=as given, float32, kernel by layers" in (
        " ".join(out.split())
    )
    assert "data: digits of scikit-learn" in out
    table = read_table("one.csv")
    assert table.index.tolist() == ["user_module:net"]
    assert table["parameters"].tolist() == [4 * 27 + 4 + 1440 + 10]
    assert table.attrs["proxies"]["naswot"]["family"] == "expressivity"
    for name in table.attrs["proxies"]:
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    same, _ = run(capsys, *some)
    assert same == out, "its own weights are kept"
    drawn = [*some[:-1], "user_module:attention", "--proxies", "ntk_trace"]
    first, _ = run(capsys, *drawn)
    assert run(capsys, *drawn)[0] == first, "what a factory draws is of seed 0"
    seeded, _ = run(capsys, *some, "--seeds", "3", "--export", "three.csv")
    assert " std " in seeded.splitlines()[0]
    three = read_table("three.csv")
    batch = at.load_batch("digits", 8, 0, size=8)
    import user_module

    values = [at.score(user_module.net, batch.x, batch.y, ["naswot"], seed=k)["naswot"] for k in range(3)]
    assert three["naswot"].tolist() == [pytest.approx(sum(values) / 3)]
    assert three["naswot_std"].tolist() == [pytest.approx(pd.Series(values).std())]
    assert three.attrs["seeds"] == [0, 1, 2]


@pytest.mark.usefixtures("_user_module")
def test_a_slower_way_is_said_without_a_warning_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, "score", "--n", "8", "--resolution", "8", "--module", "user_module:attention")
    assert "kernel by functional" in " ".join(out.split())
    assert all(line.startswith("automl-theory: note: ") for line in err.splitlines())


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    spaces, _ = run(capsys, "list", "spaces")
    assert "nas_bench_201  15625 architectures, 5260 classes of equal ones" in spaces.splitlines()
    assert [text.partition(" ")[0] for text in spaces.splitlines()] == at.list_spaces()
    out, _ = run(capsys, "list", "proxies")
    assert max(map(len, out.splitlines())) <= 80
    for name, proxy in REGISTRY.items():
        better = "larger" if proxy.direction == "maximize" else "smaller"
        assert re.search(rf"^  {name} +{better} ", out, re.MULTILINE), "names stay whole at 80 columns"
    sizes, _ = run(capsys, "list", "proxies", "--family", "size")
    assert "parameters" in sizes
    assert "naswot" not in sizes


def test_formulas_are_folded_and_never_cut() -> None:
    stream = StringIO()
    print_proxies(list(REGISTRY.values()), Console(file=stream, width=72))
    letters = "".join(stream.getvalue().split())
    for proxy in REGISTRY.values():
        assert "".join(proxy.formula.split()) in letters


def test_the_best_of_each_proxy_by_hand() -> None:
    archs = ["|a~0|+|b~0|c~1|", "x" * 90, "z"]
    proxies: dict[str, dict[str, Any]] = {
        "up": {"family": "expressivity", "direction": "maximize"},
        "down": {"family": "convergence", "direction": "minimize"},
        "tied": {"family": "convergence", "direction": "maximize"},
        "none": {"family": "convergence", "direction": "maximize"},
        "parameters": {"family": "size", "direction": "maximize"},
    }
    nan = float("nan")
    values = {"up": [1, 3, 2], "down": [1, nan, 2], "tied": [5, 5, 5], "none": [nan] * 3, "parameters": [1, 2, 3]}
    table = pd.DataFrame(values, index=pd.Index(archs, name="arch"))
    table.attrs = {"proxies": proxies}
    stream = StringIO()
    print_best(table, Console(file=stream, width=80))
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert [line.split() for line in lines] == [
        ["proxy", "aspect", "best", "value", "undefined", "best"],
        ["up", "expressivity", "3", "0", "1"],
        ["down", "convergence", "1", "1", "2"],
        ["tied", "convergence", "5", "0", "2", "and", "2", "more"],
        ["none", "convergence", "–", "3", "–"],
        ["1", archs[1]],
        ["2", archs[0]],
    ]


@pytest.mark.parametrize(
    "command",
    ["", "score", "rank", "report", "export", "merge", "list", "accuracy", "accuracy convert", "accuracy show"],
)
def test_help_fits_80_columns_and_explains_every_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(capsys, *command.split(), "--help")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert "Usage: automl-theory" in out
    for line in out.splitlines():
        assert not re.match(r"│ --\S+ +<\w+> +│$", line), "an option without a word about it"


def test_version_and_the_bare_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (f"automl-theory {at.__version__}\n", "")
    with pytest.raises(SystemExit) as stop:
        main([])
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert "Usage: automl-theory" in captured.out
    assert captured.err == ""


def test_options_are_named_as_in_python() -> None:
    import inspect

    from automl_theory.cli import score
    from automl_theory.scoring.measurement import Measurement

    options = set(inspect.signature(score).parameters)
    python = set(inspect.signature(at.score_space).parameters) | set(inspect.signature(Measurement).parameters)
    for space in (CELLS, at.space("mlp_dag")):
        python |= set(inspect.signature(space.build).parameters)
    python |= set(inspect.signature(at.load_accuracy).parameters)
    ours = {"context", "space", "module", "arch", "preset", "export", "accuracy", "target", "target_direction"}
    assert options - ours <= python


def test_python_m_and_a_reader_that_leaves() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = f"{sys.executable} -m automl_theory list proxies | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.strip() == "size"
    assert done.stderr == ""


def test_the_bar_on_a_terminal_tells_rate_and_time_left() -> None:
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    del environment["COLUMNS"]
    terminal, far = pty.openpty()
    ioctl(far, TIOCSWINSZ, pack("HHHH", 30, 80, 0, 0))
    command = [str(PROGRAM), *SCORE, "--sample", "30", "--store", "s.db"]
    process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=environment)
    os.close(far)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # Linux's way to say that the other end has closed.
        pass
    os.close(terminal)
    assert process.wait(20) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    frames = [frame for frame in re.split(r"[\r\n]+", text) if frame]
    bars = [frame for frame in frames if "━" in frame]
    assert any("starting" in bar for bar in bars)
    assert any(re.search(r"━ +\d+/30 [\d.]+/\w+, \d+ s left", bar) for bar in bars)
    assert max(map(len, frames[: len(bars)])) <= 80
    assert any(re.match(r"scoring nas_bench_201: 30/30 in \d+ s", frame) for frame in frames)


def program(encoding: str = "utf-8", output: Any = subprocess.PIPE) -> subprocess.CompletedProcess[bytes]:
    command = [str(Path(sysconfig.get_path("scripts")) / "automl-theory"), "list", "proxies"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(command, env=environment, stdout=output, stderr=subprocess.PIPE, timeout=60)


def test_a_terminal_that_knows_no_greek_gets_question_marks() -> None:
    found = program("ascii")
    assert found.returncode == 0
    assert b"ntk_lambda_min" in found.stdout


def test_a_full_output_device_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full:
        found = program(output=full)
    assert found.returncode == 2
    message = b"error: the system refuses: No space left on device; free some space, or check the place\n"
    assert found.stderr == b"automl-theory: " + message
