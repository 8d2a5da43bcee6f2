"""automl-theory reproduce no-free-lunch, as somebody types it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from made_study import made
from rich.console import Console

from automl_theory.cli import main
from automl_theory.studies.console import print_claims
from automl_theory.studies.no_free_lunch.contents import HEADS

COMMAND = ["reproduce", "no-free-lunch"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ended(arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["reproduce", "no-free-lunc"], "No such command 'no-free-lunc'. Did you mean 'no-free-lunch'?; see:"),
        ([*COMMAND, "--data", "nowhere"], "nowhere"),
        ([*COMMAND, "--data", "gaussian"], "expected a finite data set, got 'gaussian'"),
        ([*COMMAND, "--workers", "0"], "expected workers to be an integer of at least 1, got 0; give 1 or more"),
        ([*COMMAND, "--seeds", "0"], "expected --seeds to be an integer of at least 1, got 0"),
        ([*COMMAND, "--epochs", "0"], "expected epochs to be an integer of at least 1, got 0; give 1 or more"),
        ([*COMMAND, "--learning-rate", "-1"], "expected learning_rate above 0, got -1.0"),
        ([*COMMAND, "--train-samples", "1797"], "expected train below 1797"),
        ([*COMMAND, "--output", "page.txt"], "cannot write page.txt: name a file ending in .html or .htm"),
        ([*COMMAND, "--output", "taken.html"], "taken.html exists and is not overwritten; say --force"),
        ([*COMMAND, "--run", "letter.txt"], "cannot use letter.txt for a run"),
        ([*COMMAND, "--run", "."], "holds other files, and is no run of this study; name another folder with --run"),
    ],
)
def test_whatever_is_wrong_is_one_line(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken.html").write_text("mine", encoding="utf-8")
    Path("letter.txt").write_text("dear", encoding="utf-8")
    assert ended(given) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert said.startswith("automl-theory: error: ")
    assert Path("taken.html").read_text(encoding="utf-8") == "mine"


def test_folder_that_cannot_be_written_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([*COMMAND, "--run", "/proc/nobody"]) == 2
    assert "cannot use /proc/nobody for a run" in capsys.readouterr().err


def test_a_look_from_command_to_page(capsys: pytest.CaptureFixture[str]) -> None:
    """One epoch of four neurons on a hundred digits: 94 classes, a page in seconds, and nothing left to do again."""
    small = ["--quick", "--epochs", "1", "--seeds", "1", "--train-samples", "100", "--width", "4", "--workers", "1"]
    assert ended([*COMMAND, *small, "--run", "run", "--output", "p.html"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("tables: run\npage: p.html\n")
    assert "3/5 training: 94/94" in err
    assert "runs have not converged" in " ".join(Path("p.html").read_text(encoding="utf-8").split())
    assert ended([*COMMAND, *small, "--run", "run", "--output", "q.html"]) == 0
    assert "training" not in capsys.readouterr().err
    assert Path("q.html").read_bytes() == Path("p.html").read_bytes()
    assert ended([*COMMAND, *small, "--epochs", "2", "--run", "run", "--output", "r.html"]) == 2
    assert "run is a run with epochs 1, not 2" in capsys.readouterr().err
    assert not Path("r.html").exists()


def test_help_tells_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([*COMMAND, "--help"]) == 0
    said = capsys.readouterr().out
    options = ("quick", "data", "train-samples", "seeds", "epochs", "width", "learning-rate", "tune", "run", "workers")
    for option in (*options, "output", "force"):
        assert f"--{option}" in said


def test_a_bare_reproduce_lists_the_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["reproduce"]) in (0, 2)
    assert "no-free-lunch" in "".join(capsys.readouterr())


def test_claims_fit_80_columns_whole() -> None:
    study = made()
    console = Console(width=80, record=True, file=StringIO())
    print_claims(study.table, HEADS, study.summary, console)
    said = console.export_text()
    assert max(map(len, said.splitlines())) <= 80
    for verdict in ("agree", "differ", "cannot tell"):
        count = int((study.table["verdict"] == verdict).sum())
        assert np.sum([line.rstrip().endswith(verdict) for line in said.splitlines()]) >= count
    assert "Named winners" in said
    assert " ".join(study.summary[0].split()) in " ".join(said.split())
