"""automl-theory search: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from automl_theory.analysis.composite import DEFAULT
from automl_theory.cli import main
from automl_theory.spaces import space

QUICK = ["--n", "10", "--channels", "4", "--proxies", "naswot"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of runs are made in a place of the test's own."""
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["search", *arguments])
    return int(stop.value.code or 0)


def table(folder: Path) -> str:
    names = list(space("nas_bench_201"))
    file = folder / "trained.csv"
    pd.DataFrame({"arch": names, "test_accuracy": [50 + k / 1000 for k in range(len(names))]}).to_csv(file, index=False)
    return str(file)


def test_found_place_and_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.csv"
    arguments = [
        "nas_bench_201", "--algorithm", "random", "--budget-evaluations", "3", "--runs", "2", *QUICK,
        "--accuracy", table(tmp_path), "--run", str(tmp_path / "run"), "--export", str(out),
    ]  # fmt: skip
    assert call(*arguments) == 0
    told = capsys.readouterr()
    assert "of 15625 (percentile" in told.out
    assert "test_accuracy over 2 searches: mean" in told.out
    assert "95 % interval of the mean" in told.out
    assert "a search: 3 evaluations" in told.out
    found = pd.read_csv(out)
    assert found["evaluations"].tolist() == [3, 3]
    assert found["rank"].between(1, 15_625).all()
    assert call(*arguments, "--force") == 0
    assert capsys.readouterr().out == told.out, "read back from the folder"
    assert call(*arguments) == 2
    assert "--force" in capsys.readouterr().err


def test_without_trained_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        call("nas_bench_201", "--algorithm", "evolution", "--population", "2", "--budget-evaluations", "6", *QUICK) == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("seed 0: |")
    assert "6 evaluations" in out
    assert "rank" not in out
    journals = list(Path("runs").glob("search-nas_bench_201-evolution-*/seed-0000.jsonl"))
    assert len(journals) == 1
    lines = journals[0].read_text().splitlines(keepends=True)
    journals[0].write_text("".join(lines[:3]))
    call("nas_bench_201", "--algorithm", "evolution", "--population", "2", "--budget-evaluations", "6", *QUICK)
    assert capsys.readouterr().out.split(",")[0] == out.split(",")[0]
    assert len(journals[0].read_text().splitlines()) == 7


def test_the_composite_takes_its_graph_measures(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--n", "10", "--channels", "4", "--proxies", "composite"]
    assert call("nas_bench_201", "--algorithm", "random", "--budget-evaluations", "3", *quick) == 0
    assert "3 evaluations" in capsys.readouterr().out
    journal = next(Path("runs").glob("search-nas_bench_201-random-*/seed-0000.jsonl"))
    head, *steps = [json.loads(line) for line in journal.read_text().splitlines()]
    assert set(head["proxies"]) == set(DEFAULT)
    assert all(set(step["values"]) == set(DEFAULT) for step in steps)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nas_bench_21"], "unknown space 'nas_bench_21'"),
        (["nas_bench_201", "--runs", "0"], "--runs must be at least 1"),
        (["nas_bench_201", "--algorithm", "annealing"], "unknown algorithm 'annealing'"),
        (["nas_bench_201", "--algorithm", "tenas", "--proxies", "naswot"], "has measures of its own"),
        (["nas_bench_201", "--algorithm", "tenas", "--budget-seconds", "3"], "ends by itself"),
        (["nas_bench_201", "--proxies", "naswott"], "unknown proxy 'naswott'"),
        (["nas_bench_201", "--dataset", "cifar10"], "name those with --accuracy"),
        (["nas_bench_201", "--radius", "2"], "radius must be above 0 and at most 1"),
        (["mlp_dag", "--algorithm", "tenas"], "has no supernet"),
    ],
)
def test_refusals_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert message in err[-1]
    assert err[-1].startswith("automl-theory: error:")
