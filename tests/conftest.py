"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and oracle values (AUTOML_THEORY_SHARED, default ../shared); skips where it is absent."""
    folder = Path(os.environ.get("AUTOML_THEORY_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"the folder of real data is absent ({folder}); name it in AUTOML_THEORY_SHARED")
    return folder
