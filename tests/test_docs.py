"""The code in the documentation runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


SHORTER = {
    "sample=200, seeds=2": "sample=80, n=8",
    "sample=200, network": "sample=9, n=8, network",
    'data="digits"\n': 'data="digits", n=8, network={"channels": 4, "cells_per_stage": 1}\n',
    "n_trials=200": "n_trials=3",
    "n_trials=100": "n_trials=3",
    "range(100)": "range(3)",
    "pop_size=20": "pop_size=4",
    '("n_gen", 10)': '("n_gen", 2)',
    "num_samples=100": "num_samples=2",
}
"""What is printed -> what is run: fewer networks, the same calls."""


@pytest.mark.parametrize("page", ["README.md", "docs/masks.md", "docs/plugins.md", "docs/search.md"])
def test_code_of_a_page_runs_block_after_block(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    assert code
    for printed, shorter in SHORTER.items():
        code = code.replace(printed, shorter)
    code += "\nfor name in [name for name in globals() if name.startswith('test_')]:\n    globals()[name]()\n"
    here = {"HOME": str(tmp_path), "RAY_ADDRESS": "local", "MPLBACKEND": "agg"}
    ended = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:__main__", "-c", code],
        cwd=tmp_path, env=os.environ | here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
