"""Spaces and proxies of other distributions: really installed by pip, used in another process."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import automl_theory as at
from automl_theory.scoring.files import read_table

GOOD = '''
import torch
from torch import nn
from automl_theory.errors import InputError
from automl_theory.networks.initialise import initialise
from automl_theory.proxies import Proxy
from automl_theory.spaces.base import sample_from

WIDTHS = ("3", "4", "5")


class TwoLayers:
    name = "two_layers"
    size = 3

    def __len__(self):
        return 3

    def __iter__(self):
        return iter(WIDTHS)

    def __contains__(self, arch):
        return isinstance(arch, str) and arch in WIDTHS

    def sample(self, n, seed, *, canonical=True):
        return sample_from(WIDTHS, n, seed)

    def parse(self, arch):
        if arch not in self:
            raise InputError(f"expected a width of {', '.join(WIDTHS)}, got {arch!r}; give one of them")
        return int(arch)

    def canonical(self, arch):
        self.parse(arch)
        return arch

    def representatives(self):
        return list(WIDTHS)

    def graph(self, arch):
        self.parse(arch)

    def build(self, arch, *, seed=0, init="pytorch"):
        width = self.parse(arch)
        layers = [nn.Linear(48, width, device="meta"), nn.Linear(width, 10, device="meta")]
        a, b = (layer.to_empty(device="cpu") for layer in layers)
        return initialise(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), a, nn.ReLU(), b), init, seed)


def output_range(signals, factor=1.0):
    """max f - min f over batch and outputs, times `factor`.

    Expressivity; maximize; unit: output. Edge values: 0 for constant outputs. Source: a test.
    """
    return factor * float(signals.logits.max() - signals.logits.min()), "ok"


def inverse_range(signals):
    """1 / (max f - min f) over batch and outputs.

    Convergence; minimize; unit: 1/output. Edge values: undefined for constant outputs. Source: a test.
    """
    return 1 / float(signals.logits.max() - signals.logits.min()), "ok"


OUTPUT_RANGE = Proxy("output_range", "expressivity", "maximize", "output", output_range)
INVERSE_RANGE = Proxy("inverse_range", "convergence", "minimize", "1/output", inverse_range)
'''
BROKEN = """
NOTHING = 3


class Raises:
    def __init__(self):
        raise RuntimeError("no table found")


class Slow:
    name = "slow_space"

    def __getattr__(self, name):
        if name in ("size", "sample", "parse", "canonical", "representatives", "build", "graph"):
            return 1
        raise AttributeError(name)

    def __len__(self):
        return 1

    def __iter__(self):
        raise OSError("gone")

    def __contains__(self, arch):
        return False


def not_a_space(width=3):
    return width
"""
DISTRIBUTIONS: dict[str, tuple[dict[str, str], str]] = {
    "good-plugin": (
        {"good_plugin.py": GOOD},
        "[automl_theory.spaces]\ntwo_layers = good_plugin:TwoLayers\n"
        "[automl_theory.proxies]\noutput_range = good_plugin:OUTPUT_RANGE\n"
        "inverse_range = good_plugin:INVERSE_RANGE\n",
    ),
    "broken-plugin": (
        {"broken_plugin.py": BROKEN, "leaving_plugin.py": "import sys\nsys.exit(3)\n"},
        "[automl_theory.spaces]\nno_import = no_such_module:Space\nno_name = broken_plugin:Missing\n"
        "raises = broken_plugin:Raises\nnumber = broken_plugin:NOTHING\nno_space = broken_plugin:not_a_space\n"
        "other_name = broken_plugin:Slow\nslow_space = broken_plugin:Slow\n"
        "[automl_theory.proxies]\nleaving = leaving_plugin:PROXY\nnumber = broken_plugin:NOTHING\n"
        "other_range = good_plugin:OUTPUT_RANGE\n",
    ),
    "clashing-plugin": (
        {"clashing_plugin.py": ""},
        "[automl_theory.spaces]\nnas_bench_201 = clashing_plugin:Space\n"
        "[automl_theory.proxies]\nnaswot = clashing_plugin:PROXY\ncore = clashing_plugin:CORE\n",
    ),
    "twin-a": ({"twin_a.py": ""}, "[automl_theory.spaces]\ntwins = twin_a:Space\n"),
    "twin-b": ({"twin_b.py": ""}, "[automl_theory.spaces]\ntwins = twin_b:Space\n"),
}


def wheel(folder: Path, name: str, files: dict[str, str], entries: str) -> Path:
    """A wheel as PEP 427 wants it."""
    module = name.replace("-", "_")
    info = f"{module}-1.2.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entries,
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in content.items()
    }
    record = "".join(f"{path},sha256={digest},{len(content[path])}\n" for path, digest in digests.items())
    file = folder / f"{module}-1.2-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in (content | {f"{info}/RECORD": record + f"{info}/RECORD,,\n"}).items():
            archive.writestr(path, text)
    return file


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    wheels = [wheel(folder, name, *content) for name, content in DISTRIBUTIONS.items()]
    target = folder / "target"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-compile", "--target", str(target)]
    done = subprocess.run([*pip, *offline, *map(str, wheels)], capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed here")
    assert done.returncode == 0, done.stderr
    return target


def python(target: Path, *arguments: str) -> tuple[str, str]:
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=target.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def answer(target: Path, code: str) -> Any:
    out, _ = python(target, "-W", "ignore", "-c", f"import json\nimport automl_theory as at\n{code}")
    return json.loads(out.splitlines()[-1])


def test_plugins_are_named_without_being_loaded(installed: Path) -> None:
    code = """
import sys
names = at.list_spaces()
built_in = type(at.space("nas_bench_201")).__module__
print(json.dumps([names, built_in, [m for m in sys.modules if m.endswith("_plugin") or m == "torch"]]))
"""
    names, built_in, loaded = answer(installed, code)
    assert "two_layers" in names
    assert "twins" not in names, "neither of two that share a name is taken"
    assert names == sorted(names)
    assert built_in == "automl_theory.spaces.nas_bench_201"
    assert loaded == []


def test_what_is_built_in_wants_no_search_for_plugins(installed: Path) -> None:
    code = """
import automl_theory.plugins
automl_theory.plugins.distributions = None
print(json.dumps([at.space("nas_bench_201").size, at.get_proxy("naswot").name]))
"""
    assert answer(installed, code) == [15625, "naswot"]


def test_a_plugin_is_used_as_what_is_built_in(installed: Path) -> None:
    code = """
from automl_theory.testing import check_proxy, check_space
space = at.space("two_layers")
checked = [len(check_space(space)), len(check_proxy("output_range"))]
table = at.score_space("two_layers", proxies=["output_range", "output_range:factor=2.0", "parameters"], n=8, workers=1)
twice = (table["output_range:factor=2.0"] / table["output_range"]).tolist()
full = [p.name for p in __import__("automl_theory.proxies", fromlist=["x"]).get_proxies("full")]
print(json.dumps([checked, table.index.tolist(), table["parameters"].tolist(), twice, at.list_proxies()[-1],
                  "output_range" in at.list_proxies("expressivity"), "output_range" in full]))
"""
    checked, index, parameters, twice, last, listed, full = answer(installed, code)
    assert checked[0] == 7
    assert checked[1] == 6
    assert index == ["3", "4", "5"]
    assert parameters == [49 * width + 10 * width + 10 for width in (3, 4, 5)]
    assert twice == pytest.approx([2, 2, 2])
    assert last == "output_range"
    assert listed
    assert not full, "groups hold what is built in"


def test_a_direction_survives_store_and_table_and_decides_a_rank(installed: Path, tmp_path: Path) -> None:
    store, table, accuracy = tmp_path / "s.db", tmp_path / "t.csv", tmp_path / "a.parquet"
    named = ["--proxies", "inverse_range,parameters", "--n", "8", "--workers", "0"]
    score = ["score", "two_layers", *named, "--store", store, "--export", table]
    python(installed, "-m", "automl_theory", *map(str, score))
    scored = read_table(table)
    assert scored.attrs["proxies"]["inverse_range"]["direction"] == "minimize"
    better = scored["inverse_range"].rank(ascending=False) + 90
    better.rename("test_accuracy").to_frame().to_parquet(accuracy)
    code = f"""
from pathlib import Path
from automl_theory.cli.tables import read_scores
found = []
for file in ({str(store)!r}, {str(table)!r}):
    joined = at.join(read_scores(Path(file)), at.load_accuracy({str(accuracy)!r}))
    found.append(at.rank(joined, "test_accuracy", resamples=0).loc["inverse_range", "kendall"])
print(json.dumps(found))
"""
    assert answer(installed, code) == pytest.approx([1, 1])
    joined = at.join(scored, at.load_accuracy(accuracy))
    known = at.rank(joined, "test_accuracy", resamples=0)
    assert known.loc["inverse_range", "kendall"] == pytest.approx(1), "it needs no plug-in"


def test_the_command_line_lists_plugins_and_survives_broken_ones(installed: Path) -> None:
    out, notes = python(installed, "-m", "automl_theory", "list", "spaces")
    lines = out.splitlines()
    assert "two_layers  3 architectures, 3 classes of equal ones  (plug-in of good-plugin)" in lines
    assert any(line.startswith("nas_bench_201  15625 architectures") for line in lines)
    assert not [line for line in lines if line.startswith(("raises", "no_import", "slow_space", "twins"))]
    for words in (
        "the plug-in 'nas_bench_201' of clashing-plugin is not used, since 'nas_bench_201' is built in; it needs ano",
        "the plug-in 'no_import' of broken-plugin cannot be loaded (ModuleNotFoundError: No module named 'no_such_mod",
        "the plug-in 'no_name' of broken-plugin cannot be loaded (AttributeError",
        "the plug-in 'raises' of broken-plugin cannot be made (RuntimeError: no table found); update or uninstall it",
        "the plug-in 'number' of broken-plugin must name a class or function that makes a space, it names a int",
        "the plug-in 'no_space' of broken-plugin makes a int, which is no space; its author can tell by automl_theory.",
        "the plug-in 'other_name' of broken-plugin makes the space 'slow_space'",
        "the plug-in 'slow_space' of broken-plugin is broken (TypeError",
    ):
        assert [line for line in notes.splitlines() if words in line], words
    twins = [line for line in notes.splitlines() if "'twins'" in line]
    assert len(twins) == 1
    assert "twin-a" in twins[0]
    assert "twin-b" in twins[0]
    assert "Traceback" not in notes
    assert all(line.startswith("automl-theory: note: ") for line in notes.splitlines())

    out, notes = python(installed, "-m", "automl_theory", "list", "proxies")
    assert "output_range is a plug-in of good-plugin" in out.splitlines()
    (row,) = [line.split() for line in out.splitlines() if line.split()[:1] == ["output_range"] and "is a" not in line]
    assert row[1] == "larger"
    assert "core" not in row, "--proxies core computes what is built in"
    assert "max f - min f over batch and outputs" in out
    for words in (
        "the plug-in 'naswot' of clashing-plugin is not used, since 'naswot' is built in",
        "the plug-in 'core' of clashing-plugin is not used",
        "the plug-in 'leaving' of broken-plugin cannot be loaded (SystemExit: 3)",
        "the plug-in 'number' of broken-plugin names a int, no Proxy; its author can tell by automl_theory.testing.",
        "the plug-in 'other_range' of broken-plugin names the proxy 'output_range'",
    ):
        assert [line for line in notes.splitlines() if words in line], words


def test_asking_for_a_broken_plugin_says_which_distribution_it_is(installed: Path) -> None:
    code = """
from automl_theory.errors import InputError
said = []
for ask in (lambda: at.space("raises"), lambda: at.space("no_import"), lambda: at.get_proxy("leaving"),
            lambda: at.space("two_layers", width=3), lambda: at.space("two_layer"), lambda: at.get_proxy("output_rang"),
            lambda: at.get_proxy("output_range:size=3")):
    try:
        ask()
    except InputError as error:
        said.append(str(error))
print(json.dumps(said))
"""
    said = answer(installed, code)
    for words, message in zip(
        (
            "'raises' of broken-plugin cannot be made",
            "'no_import' of broken-plugin cannot be loaded",
            "'leaving' of broken-plugin cannot be loaded",
            "bad settings of space 'two_layers'",
            "Did you mean 'two_layers'",
            "Did you mean 'output_range'",
            "proxy 'output_range' has no parameter 'size'; it has: factor=1.0",
        ),
        said,
        strict=True,
    ):
        assert words in message
        assert "\n" not in message


def test_entry_points_that_cannot_be_read(tmp_path: Path) -> None:
    """torch itself does not get past such a distribution; lists of names and built-in spaces do."""
    garbled = tmp_path / "target" / "garbled-0.1.dist-info"
    garbled.mkdir(parents=True)
    (garbled / "METADATA").write_text("Metadata-Version: 2.1\nName: garbled\nVersion: 0.1\n", encoding="utf-8")
    (garbled / "entry_points.txt").write_text("[automl_theory.spaces]\nno equals sign\n", encoding="utf-8")
    code = "import automl_theory as at; print(at.space('nas_bench_201').size, 'darts' in at.list_spaces())"
    out, notes = python(garbled.parent, "-c", code)
    assert out == "15625 True\n"
    assert "the entry points of garbled cannot be read (TypeError" in notes
