from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = (
    "01_score_a_network",
    "02_rank_nas_bench_201",
    "03_no_free_lunch",
    "04_reproduce_no_free_lunch",
    "05_masks_and_graphs",
    "06_search_with_optuna",
)
SLOW = ("02_rank_nas_bench_201", "03_no_free_lunch", "06_search_with_optuna")
PATHS = [FOLDER / f"{name}.ipynb" for name in NAMES]
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
NotebookClient(nbformat.read(sys.argv[1], as_version=4), timeout=300, kernel_name="python3").execute()
"""
OF_A_MACHINE = re.compile(r"/(home|root|tmp|Users|work|opt|usr)/|[A-Z]:\\\\")


def read(path: Path):
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_these_are_the_notebooks():
    assert sorted(path.name for path in FOLDER.glob("*.ipynb")) == [path.name for path in PATHS]


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=pytest.mark.slow if path.stem in SLOW else ()) for path in PATHS]
)
def test_runs_from_top_to_bottom_and_leaves_nothing_behind(path, tmp_path):
    """In a process of its own: the kernel's machinery warns, and pytest turns warnings into errors."""
    done = subprocess.run([sys.executable, "-c", EXECUTE, str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_is_committed_as_executed_in_order_with_its_pictures(path):
    _, cells = read(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_says_nothing_of_the_machine_it_ran_on(path):
    notebook, cells = read(path)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for output in (output for cell in cells for output in cell.outputs):
        assert output.get("name") != "stderr"
        texts = [str(text) for kind, text in output.get("data", {}).items() if kind != "image/png"]
        assert not OF_A_MACHINE.search("\n".join([output.get("text", ""), *texts]))
