"""automl-theory reproduce sparse-masks and pruned-ntk, as somebody types them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from automl_theory.cli import main

MASKS, KERNEL = ["reproduce", "sparse-masks"], ["reproduce", "pruned-ntk"]


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
        ([*MASKS, "--data", "nowhere"], "nowhere"),
        ([*MASKS, "--workers", "0"], "expected workers to be an integer of at least 1, got 0"),
        ([*MASKS, "--seeds", "0"], "expected --seeds to be an integer of at least 1, got 0"),
        ([*MASKS, "--epochs", "1"], "expected dense_epochs below epochs=1"),
        ([*MASKS, "--learning-rate", "-1"], "expected learning_rate above 0, got -1.0"),
        ([*MASKS, "--output", "page.txt"], "cannot write page.txt: name a file ending in .html or .htm"),
        ([*MASKS, "--output", "taken.html"], "taken.html exists and is not overwritten; say --force"),
        ([*MASKS, "--run", "."], "holds other files, and is no run of this study; name another folder with --run"),
        ([*KERNEL, "--draws", "0"], "draws"),
        ([*KERNEL, "--seed", "-1"], "seed"),
        ([*KERNEL, "--output", "taken.html"], "taken.html exists and is not overwritten; say --force"),
        ([*KERNEL, "--run", "taken.html"], "cannot use taken.html for a run"),
    ],
)
def test_whatever_is_wrong_is_one_line(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jinja2", reason="needs the extra 'report'")
    Path("taken.html").write_text("mine", encoding="utf-8")
    assert ended(given) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert said.startswith("automl-theory: error: ")
    assert Path("taken.html").read_text(encoding="utf-8") == "mine"


def test_the_pruned_ntk_study_from_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jinja2", reason="needs the extra 'report'")
    arguments = [*KERNEL, "--quick", "--draws", "16", "--run", "here", "--workers", "1"]
    assert ended(arguments) == 0
    said = capsys.readouterr().out
    assert "tables: here" in said
    assert "NTK of" in said
    first = Path("pruned_ntk.html").read_text(encoding="utf-8")
    estimates = pd.read_csv("here/estimates.csv")
    assert ended([*arguments, "--force"]) == 0
    pd.testing.assert_frame_equal(pd.read_csv("here/estimates.csv"), estimates)
    assert Path("pruned_ntk.html").read_text(encoding="utf-8") == first
    assert ended([*arguments, "--seed", "4", "--force"]) == 2
    assert "here is a run with" in capsys.readouterr().err
