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


def test_a_target_may_be_named_and_given_its_direction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = list(space("nas_bench_201"))
    file = tmp_path / "theirs.csv"
    pd.DataFrame({"arch": names, "params": 3, "c10_test_e200": range(len(names))}).to_csv(file, index=False)
    few = ["nas_bench_201", "--algorithm", "random", "--budget-evaluations", "2", *QUICK, "--accuracy", str(file)]
    assert call(*few, "--target", "test") == 2
    assert "has no column 'test'; --target can be c10_test_e200." in capsys.readouterr().err
    assert call(*few) == 2, "the only column that it can be"
    assert (
        "whether 'c10_test_e200' is good when high or low; say --target-direction maximize or minimize"
        in capsys.readouterr().err
    )
    ranks = []
    for direction in ("maximize", "minimize"):
        assert call(*few, "--target-direction", direction) == 0
        ranks.append(int(capsys.readouterr().out.partition("rank ")[2].split()[0]))
    assert sum(ranks) == len(names) + 1


def test_a_table_of_few_architectures_has_no_place_for_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["nas_bench_201", "--algorithm", "random", "--budget-evaluations", "2", "--runs", "2", *QUICK]
    file = tmp_path / "found.csv"
    assert call(*few, "--export", str(file)) == 0
    capsys.readouterr()
    first, second = pd.read_csv(file)["found"]
    assert first != second
    other = next(arch for arch in space("nas_bench_201") if arch not in (first, second))
    for names, count in (([other], 0), ([other, first], 1)):
        some = tmp_path / f"some{count}.csv"
        pd.DataFrame({"arch": names, "test_accuracy": 90.0}).to_csv(some, index=False)
        assert call(*few, "--accuracy", str(some)) == 0
        out = capsys.readouterr().out
        assert out.count("not among the trained results") == 2 - count
        assert f"{count} of 2 searches found an architecture that was trained" in out
        assert "nan" not in out
        assert "interval" not in out


def test_a_table_of_another_space_is_refused_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sizes.csv"
    pd.DataFrame({"arch": ["8:8:8:8:8"], "test_accuracy": [90.0], "name": ["x"]}).to_csv(file, index=False)
    for command in (["search", "nas_bench_201", *QUICK], ["score", "nas_bench_201", "--sample", "2", "--n", "10"]):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--accuracy", str(file)])
        assert stop.value.code == 2
        err = capsys.readouterr().err
        assert "no architecture of nas_bench_201 is among the 1 with a trained result, which are like '8:8" in err
        assert "accuracy convert --space nas_bench_201" in err
    assert not Path("runs").exists()
    assert call("nats_size", "--accuracy", str(file), "--target", "name") == 2
    assert "column 'name' of the trained results holds no numbers" in capsys.readouterr().err


def test_networks_are_the_reduced_preset_with_what_was_named(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--algorithm", "random", "--proxies", "naswot", "--budget-evaluations", "1", "--n", "4"]
    assert call("darts", *few, "--channels", "4", "--network", "layers=4") == 0
    journal = next(Path("runs").glob("search-darts-random-*/seed-0000.jsonl"))
    head = json.loads(journal.read_text().splitlines()[0])
    assert head["settings"]["network"] == {"channels": 4, "layers": 4, "in_channels": 3, "num_classes": 10}


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
        (["nas_bench_201", "--algorithm", "tenas", "--preset", "reduced"], "measures supernets; of their size give"),
        (["nas_bench_201", "--algorithm", "tenas", "--network", "layers=2"], "measures supernets; of their size give"),
        (
            ["nas_bench_201", "--algorithm", "tegnas", "--population", "3"],
            "tegnas has no options; leave population out",
        ),
        (
            ["nas_bench_201", "--algorithm", "random", "--population", "3"],
            "random has no options; leave population out",
        ),
        (
            ["nas_bench_201", "--run", "a_file"],
            "cannot keep the steps in a_file/seed-0000.jsonl (File exists); name",
        ),
        (
            ["nas_bench_101", "--algorithm", "random", "--cells", "2"],
            "networks of nas_bench_101 have no setting 'cells",
        ),
        (["nas_bench_201", "--algorithm", "tenas", "--budget-seconds", "3"], "ends by itself"),
        (["nas_bench_201", "--proxies", "naswott"], "unknown proxy 'naswott'"),
        (["nas_bench_201", "--dataset", "cifar10"], "name those with --accuracy"),
        (["nas_bench_201", "--radius", "2"], "radius must be above 0 and at most 1"),
        (["mlp_dag", "--algorithm", "tenas"], "has no supernet"),
    ],
)
def test_refusals_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a_file").touch()
    assert call(*arguments) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert message in err[-1]
    assert err[-1].startswith("automl-theory: error:")
