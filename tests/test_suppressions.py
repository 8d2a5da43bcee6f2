"""Whatever is silenced or skipped says why, beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
FOLDERS = ("automl_theory", "benchmarks", "tests")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")) if file != HERE]

SILENCED = re.compile(r"# (type: ignore|noqa)")
WITH_REASON = re.compile(r"# (type: ignore\[[\w, -]+\]|noqa: [A-Z]+\d+(, [A-Z]+\d+)*)  # \S")
WARNINGS = re.compile(r"\bfilterwarnings\(")
SKIPS = re.compile(r"\b(importorskip|skipif|xfail)\(|\bpytest\.(skip|xfail)\(")


def without_reason(text: str) -> list[int]:
    """Numbers of the lines that silence a checker or a warning, or skip a test, and do not say why."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        silent = SILENCED.search(line) and not WITH_REASON.search(line)
        unheard = WARNINGS.search(line) and "  # " not in line
        skip = SKIPS.search(line)
        skipped = skip and "reason=" not in line and not re.search(r"pytest\.(skip|xfail)\(f?\"\w", line)
        if silent or unheard or skipped:
            found.append(number)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_suppression_has_its_reason(file: Path) -> None:
    assert without_reason(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("x = f()  # type: ignore[arg-type]", 1),
        ("x = f()  # type: ignore", 1),
        ("x = f()  # type: ignore[misc]  # pymoo has no types", 0),
        ("import a  # noqa: E402", 1),
        ("import a  # noqa", 1),
        ("import a  # noqa: E402  # after the check", 0),
        ('@pytest.mark.filterwarnings("ignore")', 1),
        ('@pytest.mark.filterwarnings("ignore")  # of Ray', 0),
        ('pytest.importorskip("ray")', 1),
        ('pytest.importorskip("ray", reason="needs it")', 0),
        ("@pytest.mark.skipif(True)", 1),
        ("pytest.skip()", 1),
        ('pytest.skip("no GPU")', 0),
        ('pytest.skip(f"{file} is absent")', 1),
        ("plain = 3", 0),
    ],
)
def test_a_missing_reason_is_found(line: str, count: int) -> None:
    assert len(without_reason(line)) == count
