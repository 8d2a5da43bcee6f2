from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from small_objectives import SMALL, small
from torch import nn

import automl_theory as at
from automl_theory.errors import FailedScores, InputError, StoreError
from automl_theory.scoring.store import ScoreStore
from automl_theory.search.objective import Objective

SPACE = at.space("nas_bench_201")
DEAD = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SKIP = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def mlp(outputs: int, **settings: bool) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.ReLU(), nn.Linear(8, outputs, **settings))


def test_values_are_those_of_score_space_bit_for_bit() -> None:
    proxies = ["naswot", "ntk_condition_number", "parameters", "ntk_regression_error"]
    objective = small(*proxies, seeds=2)
    cells = [*SPACE.sample(4, 1, canonical=False), DEAD]
    table = at.score_space("nas_bench_201", proxies, architectures=cells, seeds=2, **SMALL)
    for cell in reversed(cells):
        found = objective.evaluate(cell)
        for name in proxies:
            value = table.loc[cell, name]
            assert found.values[name] == value or (math.isnan(found.values[name]) and math.isnan(value))
            assert found.statuses[name] == table.loc[cell, f"{name}_status"]
    assert objective.names == tuple(proxies)
    assert objective.directions == ("maximize", "minimize", "maximize", "minimize")


def test_a_class_is_measured_once_and_sizes_stay_per_string() -> None:
    objective = small("naswot", "parameters")
    dead_convolution = "|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
    alone = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    first, second = objective.evaluate(alone), objective.evaluate(dead_convolution)
    assert first.canonical == second.canonical
    assert objective.evaluations == 1
    assert second.seconds == 0.0
    assert first.values["naswot"] == second.values["naswot"]
    assert first.values["parameters"] < second.values["parameters"]


def test_one_proxy_is_a_number_and_undefined_is_the_worst_end(two: Objective) -> None:
    assert isinstance(small("naswot")(SPACE.sample(1, 0)[0]), float)
    assert two(DEAD) == (-math.inf, math.inf)
    assert two.evaluate(DEAD).undefined == two.names


def test_variables_make_every_architecture_of_the_space() -> None:
    objective = small("parameters")
    assert list(objective.choices) == ["0>1", "0>2", "1>2", "0>3", "1>3", "2>3"]
    for cell in SPACE.sample(20, 3, canonical=False):
        chosen = dict(zip(objective.choices, SPACE.parse(cell), strict=True))
        assert objective.architecture(chosen) == cell


def test_a_space_without_variables_lists_its_architectures() -> None:
    objective = at.Objective({"a": lambda: mlp(2), "b": lambda: mlp(2, bias=False)}, ["parameters"], n=4)
    assert objective.choices == {"architecture": ("a", "b")}
    sizes = [objective(objective.architecture({"architecture": name})) for name in "ab"]
    assert sizes == [8 * 3072 + 8 + 2 * 8 + 2, 8 * 3072 + 8 + 2 * 8]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"0>9": "none"}, "'0>9' is no variable; there are 0>1,"),
        ({}, "no option for '0>1'; give one of none, skip_connect"),
        ({"0>1": "conv"}, "'0>1' has no option 'conv'; give one of none"),
    ],
)
def test_bad_options_are_told(chosen: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told.replace("(", "\\(")):
        small("parameters").architecture(chosen)


def test_bad_settings_are_those_of_score_space() -> None:
    with pytest.raises(InputError, match="unknown proxy 'nasw'"):
        small("nasw")
    with pytest.raises(InputError, match="'channels' is a setting of the network; give network="):
        at.Objective("nas_bench_201", ["naswot"], channels=4)
    with pytest.raises(InputError, match="bad architecture"):
        small("naswot").evaluate("nonsense")
    with pytest.raises(InputError, match=r"not dict; options by name become one by objective\.architecture\(options\)"):
        small("naswot")({"0>1": "none"})  # type: ignore[arg-type]  # that is the mistake


def test_bad_settings_of_networks_and_stores_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="channels to be an integer of at least 1, got -1"):
        at.Objective("nas_bench_201", ["naswot"], n=8, network={"channels": -1})(DEAD)
    with pytest.raises(StoreError, match="store=5 is no path"):
        small("naswot", store=5)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        small("naswot", store=tmp_path / "file" / "s.db")


def test_one_seed() -> None:
    cell = SPACE.sample(1, 9)[0]
    assert small("naswot", seed=3)(cell) == small("naswot", seeds=[3])(cell) != small("naswot")(cell)
    with pytest.raises(InputError, match=r"seed=3 and seeds=2 were given; give one of the two"):
        small("naswot", seed=3, seeds=2)
    with pytest.raises(InputError, match="give one of the two"):
        small("naswot", seed=3, seeds=np.arange(2))


def test_a_network_that_cannot_be_built_has_failed_as_in_score_space(tmp_path: Path) -> None:
    def bad() -> nn.Module:
        raise RuntimeError("no such layer")

    objective = at.Objective({"bad": bad}, ["naswot", "ntk_condition_number"], n=4, store=tmp_path / "s.db")
    found = objective.evaluate("bad")
    assert set(found.statuses.values()) == {"failed"}
    assert found.undefined == objective.names
    assert found.reason == "RuntimeError: no such layer"
    assert objective("bad") == (-math.inf, math.inf)
    assert objective.evaluations == 1
    with pytest.warns(FailedScores, match="'bad' under seed 0: RuntimeError: no such layer"):
        table = at.score_space({"bad": bad}, objective.names, n=4, store=tmp_path / "s.db")
    assert table.loc["bad", "naswot_status"] == "failed"
    mended = at.Objective({"bad": lambda: mlp(2)}, objective.names, n=4, store=tmp_path / "s.db")
    assert mended.evaluate("bad").statuses["naswot"] != "failed", "what a store has as failed is tried again"


def test_a_store_refuses_another_network_of_a_known_name(tmp_path: Path) -> None:
    first = at.Objective({"a": lambda: mlp(2)}, ["l2_norm"], n=4, store=tmp_path / "s.db")
    value = first("a")
    again = at.Objective({"a": lambda: mlp(2)}, ["l2_norm"], n=4, store=tmp_path / "s.db")
    assert (again("a"), again.evaluations) == (value, 0)
    with pytest.raises(StoreError, match="but it is another one now"):
        at.Objective({"a": lambda: mlp(3)}, ["l2_norm"], n=4, store=tmp_path / "s.db")("a")


def test_what_a_store_lacks_is_measured_and_no_more(tmp_path: Path) -> None:
    cell = SPACE.sample(1, 10)[0]
    small("naswot", store=tmp_path / "s.db")(cell)
    both = small("naswot", "ntk_condition_number", seeds=2, store=tmp_path / "s.db")
    assert both(cell) == small("naswot", "ntk_condition_number", seeds=2)(cell)
    with ScoreStore.existing(tmp_path / "s.db") as kept:
        assert len(kept.read()) == 4


def test_an_interrupted_evaluation_keeps_what_was_finished(tmp_path: Path) -> None:
    cells, seen = ["a", "b"], []

    def interrupted() -> nn.Module:
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return mlp(2)

    objective = at.Objective({name: interrupted for name in cells}, ["l2_norm"], n=4, seeds=2, store=tmp_path / "s.db")
    with pytest.raises(KeyboardInterrupt):
        objective("a")
    with ScoreStore.existing(tmp_path / "s.db") as kept:
        assert len(kept.read()) == 1
    again = at.Objective({name: lambda: mlp(2) for name in cells}, ["l2_norm"], n=4, seeds=2, store=tmp_path / "s.db")
    value = again("a")
    assert again.evaluations == 1
    assert objective("a") == value


def test_a_pickle_carries_what_is_known(two: Objective) -> None:
    cell = SPACE.sample(1, 5)[0]
    value = two(cell)
    copy = pickle.loads(pickle.dumps(two))
    assert copy(cell) == value
    assert copy.evaluations == two.evaluations == 1


def test_threads_and_processes_agree(two: Objective) -> None:
    cells = SPACE.sample(4, 6)
    alone = [two(cell) for cell in cells]
    fresh = small(*two.names)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(fresh, [*cells, *cells])) == [*alone, *alone]
    assert fresh.evaluations == len(set(map(SPACE.canonical, cells)))
    spent = small(*two.names)
    start = time.perf_counter()
    with ThreadPoolExecutor(3) as pool:
        seconds = [found.seconds for found in pool.map(spent.evaluate, cells)]
    assert 0 < sum(seconds) < time.perf_counter() - start, "waiting for another thread is no time of a measurement"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(small(*two.names), cells)) == alone


def test_a_store_keeps_what_was_measured(tmp_path: Path) -> None:
    cell, other = SPACE.sample(2, 7)
    first = small("naswot", store=tmp_path / "s.db")
    value = first(cell)
    again = small("naswot", store=tmp_path / "s.db")
    assert again(cell) == value
    assert again.evaluations == 0
    beside = again(other)
    assert first(other) == beside
    assert first.evaluations == 1, "the other process's result is read, not made again"
    with pytest.raises(StoreError):
        small("naswot", store=tmp_path / "s.db", init="he_fan_in")


def test_a_killed_search_finds_what_it_measured(tmp_path: Path) -> None:
    script = f"""
import os, automl_theory as at
o = at.Objective("nas_bench_201", ["naswot"], n=8, network={SMALL["network"]}, store={str(tmp_path / "s.db")!r})
for cell in o.space.sample(3, 8): o(cell)
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    again = small("naswot", store=tmp_path / "s.db")
    for cell in SPACE.sample(3, 8):
        again(cell)
    assert again.evaluations == 0


def test_a_plain_ask_and_tell_loop() -> None:
    """The loop that README shows: nothing but the objective and the standard library."""
    import random

    objective, rng = small("naswot"), random.Random(0)
    best: tuple[float, str] = (-math.inf, "")
    for _ in range(5):
        chosen = {name: rng.choice(options) for name, options in objective.choices.items()}
        arch = objective.architecture(chosen)
        best = max(best, (objective(arch), arch))
    assert best[1] in SPACE
