"""The order of the house, read from its imports: rooms import only from lower floors, and nothing goes in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import automl_theory

HOME = Path(automl_theory.__file__).parent

# From the ground up. A room is a folder or a file of the package; those of one floor do not know each other.
FLOORS = [
    {"errors", "terminal", "callable_package"},
    {"counts"},
    {"linalg", "plugins", "safe_pickle", "progress", "graphs", "networks", "training"},
    {"sources", "spaces", "probing", "infinite_width"},
    {"data"},
    {"proxies", "pruning"},
    {"scoring"},
    {"accuracy", "analysis"},
    {"report", "search"},
    {"studies", "testing"},
    {"cli"},
    {"__init__", "__main__"},
]
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NEVER_TORCH = ("accuracy", "analysis", "graphs", "infinite_width", "plugins", "progress", "report", "terminal")
TORCH_AND_PANDAS = ("scoring", "search", "studies", "testing", "cli")

FILES = sorted(HOME.rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(HOME.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {name_of(file): file for file in FILES}


def room(module: str) -> str:
    return module.split(".")[1]


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs, those inside functions too, without what only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from statements(node)


@cache
def imports(module: str, types: bool = False) -> frozenset[str]:
    """The modules that a module imports, now or later: our own by their full name, others by their package.

    `types`   those too that only a type checker sees
    """
    found = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree) if types else statements(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import; write it in full"
            source = str(node.module)
            inner = {f"{source}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inner or {source}
    return frozenset(name if name in MODULES else name.partition(".")[0] for name in found)


def ours(module: str, types: bool = False) -> set[str]:
    return {name for name in imports(module, types) if name in MODULES and name != module}


def reached(module: str) -> set[str]:
    """Everything that a module imports, the packages around it, and what those import, and so on."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        known = waiting.pop()
        around = {known.rpartition(".")[0]} & set(MODULES)
        for name in (imports(known) | around) - seen:
            seen.add(name)
            waiting += [name] if name in MODULES else []
    return seen


def test_every_room_has_a_floor() -> None:
    missing = {room(module) for module in MODULES} - set(ROOMS)
    assert not missing, f"say in FLOORS where {missing} belongs"


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_lower_floors(module: str) -> None:
    for name in ours(module, types=True):
        if room(name) != room(module):
            assert ROOMS[room(name)] < ROOMS[room(module)], f"{module} must not import {name}"
    assert "automl_theory" not in imports(module) or module == "automl_theory.cli", "name the module, not the package"


def test_no_module_goes_round_in_a_circle() -> None:
    try:
        TopologicalSorter({module: ours(module, types=True) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' ← '.join(error.args[1])}")


@pytest.mark.parametrize("wanted", NEVER_TORCH)
def test_whoever_opens_a_table_does_not_wait_for_torch(wanted: str) -> None:
    mine = [module for module in MODULES if room(module) == wanted]
    assert mine
    for module in mine:
        assert "torch" not in reached(module), module


def test_torch_meets_pandas_only_in_scoring_and_studies() -> None:
    for wanted in ROOMS:
        direct = {name for module in MODULES if room(module) == wanted for name in imports(module)}
        if wanted not in TORCH_AND_PANDAS:
            assert not {"torch", "pandas"} <= direct, wanted


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_their_public_functions_and_classes_are_documented(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), module
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{module}.{node.name}"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    assert ast.get_docstring(method), f"{module}.{node.name}.{method.name}"


def test_the_reader_of_imports_sees_what_there_is() -> None:
    assert "automl_theory.linalg" in ours("automl_theory.proxies.expressivity")
    assert "pandas" not in imports("automl_theory.cli.tables"), "it is imported for its types only"
    assert "pandas" in imports("automl_theory.cli.tables", types=True)
    assert "automl_theory.report.html" in ours("automl_theory.cli.ranking"), "inside a function"
    assert "torch" in reached("automl_theory.data")
