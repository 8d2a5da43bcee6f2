"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before anything imports torch, and for every process that a test starts: a worker of pytest has one core, and threads
# that share it with those of another worker wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws does not depend on the tests before it."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and oracle values (AUTOML_THEORY_SHARED, default ../shared); skips where it is absent."""
    folder = Path(os.environ.get("AUTOML_THEORY_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"the folder of real data is absent ({folder}); name it in AUTOML_THEORY_SHARED")
    return folder
