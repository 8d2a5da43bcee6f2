"""automl-theory report, as somebody types it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from automl_theory.cli import main
from automl_theory.scoring.files import write_table


@pytest.fixture
def table(scored: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_table(scored, "t.csv")
    return "t.csv"


def test_representatives_are_the_page_s(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--representative", "convergence=ntk_condition", "--representative", "expressivity=linear_regions"]
    with pytest.raises(SystemExit) as stop:
        main(["report", table, "--html", "r.html", "--interval", "analytic", *chosen])
    assert stop.value.code == 0
    assert capsys.readouterr().out.endswith("report: r.html\n")
    page = Path("r.html").read_text(encoding="utf-8")
    assert "expressivity by linear_regions, convergence by ntk_condition," in " ".join(page.split())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["convergence"], "--representative 'convergence': give an aspect and a column, as in convergence="),
        (["speed=synflow"], "aspects are expressivity, convergence, generalization; got 'speed'"),
        (["convergence=synflo"], "convergence representative 'synflo' is not a column of this table. Did you mean"),
        (["convergence=synflow", "convergence=params"], "each aspect once"),
    ],
)
def test_bad_representatives_are_one_line(
    given: list[str], message: str, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [part for text in given for part in ("--representative", text)]
    with pytest.raises(SystemExit) as stop:
        main(["report", table, "--target", "test_loss", "--interval", "analytic", *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not Path("report.html").exists()
