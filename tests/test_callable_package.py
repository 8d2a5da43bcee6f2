"""`at.search` and `at.report` are one thing, whatever of them was imported before."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest

import automl_theory as at
from automl_theory.report.html import report
from automl_theory.search.run import search

IMPORTS = (
    "pass",
    "import automl_theory.{0}",
    "from automl_theory.{0}.{1} import *",
    "at.{0}",
    "at.Objective, at.figures",
)


@pytest.mark.parametrize(("name", "function", "where"), [("search", search, "run"), ("report", report, "html")])
def test_it_is_known_as_its_function(name: str, function: object, where: str) -> None:
    package = getattr(at, name)
    assert inspect.signature(package) == inspect.signature(function)  # type: ignore[arg-type]  # any of two functions
    assert inspect.getdoc(package) == inspect.getdoc(function)
    assert pickle.loads(pickle.dumps(package)) is package


@pytest.mark.parametrize("before", IMPORTS)
def test_what_was_imported_before_changes_nothing(before: str) -> None:
    program = "import automl_theory as at\n"
    for name, where in (("search", "run"), ("report", "html")):
        program += (
            f"{before.format(name, where)}\nfirst = at.{name}\n"
            f"import automl_theory.{name}.{where} as inner\n"
            f"print(first is at.{name}, first.__name__, first.__wrapped__ is inner.{name})\n"
        )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    wanted = ["True automl_theory.search True", "True automl_theory.report True"]
    assert done.stdout.splitlines() == wanted, done.stderr


def test_it_is_called_as_its_function() -> None:
    assert at.search("nas_bench_201", "random", "parameters", evaluations=2).evaluations == 2
    with pytest.raises(TypeError, match=r"search\(\) got multiple values"):
        at.search("nas_bench_201", space_or_name="nas_bench_101")
