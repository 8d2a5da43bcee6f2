"""The script that makes the bundled table: what a killed run leaves, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "train_digits.py"
TINY = ("--epochs", "1", "--classes", "4")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_digits", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(folder: Path) -> list[str]:
    table = folder / "digits.csv"
    return table.read_text().splitlines()[1:] if table.exists() else []


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "digits.json").read_text())
    assert found.pop("seconds_per_run") > 0
    return found


def command(folder: Path, workers: int) -> list[str]:
    return [sys.executable, str(SCRIPT), *TINY, "--workers", str(workers), "--out", str(folder)]


def test_a_killed_run_resumes_to_the_same_file(tmp_path: Path, script: ModuleType) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = subprocess.Popen(command(broken, 1), stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while len(rows(broken)) < 2:
        assert process.poll() is None
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = rows(broken)
    assert 2 <= len(kept) < 8
    subprocess.run(command(broken, 2), check=True, stderr=subprocess.DEVNULL)
    assert rows(broken)[: len(kept)] == kept
    assert script.main([*TINY, "--workers", "0", "--out", str(whole)]) == 0
    assert len(rows(whole)) == 8
    assert (broken / "digits.csv").read_bytes() == (whole / "digits.csv").read_bytes()
    assert about(broken) == about(whole)


def test_a_larger_sample_extends_a_smaller_one(tmp_path: Path, script: ModuleType) -> None:
    def run(classes: int) -> list[str]:
        script.main(["--epochs", "0", "--classes", str(classes), "--workers", "0", "--out", str(tmp_path)])
        return rows(tmp_path)

    few = run(1)
    many = run(3)
    assert (len(few), len(many)) == (2, 6)
    assert many[:2] == few
    assert run(2) == many


def test_another_recipe_is_refused(tmp_path: Path, script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    first = ["--classes", "1", "--workers", "0", "--out", str(tmp_path)]
    assert script.main([*first, "--epochs", "0"]) == 0
    assert script.main([*first, "--epochs", "1"]) == 2
    assert "another training; give another --out" in capsys.readouterr().err
    (tmp_path / "digits.json").unlink()
    assert script.main([*first, "--epochs", "0"]) == 2
    assert "is absent; give another --out" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "5260"])
def test_classes_out_of_range_are_refused(
    tmp_path: Path, script: ModuleType, capsys: pytest.CaptureFixture[str], count: str
) -> None:
    assert script.main(["--classes", count, "--out", str(tmp_path)]) == 2
    assert "expected classes in 1..5259" in capsys.readouterr().err
