from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from automl_theory.errors import InputError
from automl_theory.scoring.engine import score_space
from automl_theory.scoring.machine import check_device, environment, usable_cores, usable_memory
from automl_theory.scoring.measurement import Measurement, default_store
from automl_theory.scoring.plan import (
    BYTES_PER_IMAGE,
    BYTES_PER_WORKER,
    batch_bytes,
    check_threads,
    choose_architectures,
    choose_seeds,
    choose_shard,
    choose_workers,
)
from automl_theory.search.objective import Objective
from automl_theory.search.request import prepare
from automl_theory.spaces import ModuleSpace, space
from automl_theory.spaces.mlp_dag import MlpDag
from automl_theory.spaces.nas_bench_101 import NasBench101

SPACE = ModuleSpace({name: dict for name in "abcdefg"})


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shards_are_disjoint_and_together_the_whole(parts: int) -> None:
    items = list("abcdefg")
    shards = [choose_shard(items, f"{i}/{parts}") for i in range(1, parts + 1)]
    assert sorted(item for part in shards for item in part) == items
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    assert shards == [choose_shard(items, (i, parts)) for i in range(1, parts + 1)]
    assert choose_shard(items, None) == items


@pytest.mark.parametrize(
    ("shard", "text"),
    [
        ("0/2", "1 ≤ i ≤ n"), ("3/2", "1 ≤ i ≤ n"), ("2", "must look like 2/4"), ("1/2/3", "must look like 2/4"),
        ("a/b", "must look like 2/4"), ("", "must look like 2/4"), (3, "must look like 2/4"), ((1, 2, 3), "must look"),
        ("-1/2", "1 ≤ i ≤ n"), ("8/8", "use at most 7 shards"),
    ],
)  # fmt: skip
def test_bad_shards(shard: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        choose_shard(list("abcdefg"), shard)


def test_seeds() -> None:
    assert choose_seeds(3) == choose_seeds(np.int64(3)) == choose_seeds(range(3)) == [0, 1, 2]
    assert choose_seeds([7, 2, 7]) == choose_seeds(np.array([7, 2])) == [7, 2]
    assert all(type(seed) is int for seed in choose_seeds(np.arange(2)))


@pytest.mark.parametrize("seeds", [0, -1, [], [-1], [0.5], 1.5, True, [True], "3", None, [2**63], 10**12])
def test_bad_seeds(seeds: Any) -> None:
    with pytest.raises(InputError, match="positive number of seeds"):
        choose_seeds(seeds)


def test_architectures() -> None:
    assert choose_architectures(SPACE, None, None, 0, False) == list("abcdefg")
    assert choose_architectures(SPACE, (a for a in "bab"), None, 0, False) == ["b", "a"]
    drawn = choose_architectures(SPACE, None, 3, 5, False)
    assert len(set(drawn)) == 3
    assert choose_architectures(SPACE, None, 5, 5, False)[:3] == drawn
    cells = space("nas_bench_201")
    assert len(choose_architectures(cells, None, None, 0, False)) == 5260
    assert len(choose_architectures(cells, None, None, 0, True)) == 15625
    classes = choose_architectures(cells, None, 40, 1, False)
    assert [cells.canonical(arch) for arch in classes] == classes
    strings = choose_architectures(cells, None, 40, 1, True)
    assert [cells.canonical(arch) for arch in strings] != strings
    assert len(set(choose_architectures(MlpDag(nodes=5), None, 40, 1, False))) == 40, "too many classes to be counted"
    assert choose_architectures(cells, [cells.parse(strings[0]), strings[1]], None, 0, False) == strings[:2]


@pytest.mark.parametrize(
    ("architectures", "sample", "text"),
    [
        ("abc", None, "put it in a list"), ([], None, "give at least one"), (["z"], None, "no network is called 'z'"),
        (["a"], 2, "one of the two"), (None, 0, "give 1 to 7"), (None, -1, "give 1 to 7"), (None, 8, "give 1 to 7"),
        ([["a"]], None, "no network is called"), (None, 1.5, "give 1 to 7"),
        (None, True, "give 1 to 7"),
    ],
)  # fmt: skip
def test_bad_architectures(architectures: Any, sample: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        choose_architectures(SPACE, architectures, sample, 0, False)


def test_memory_of_a_batch_is_that_of_the_largest_network() -> None:
    measured = Measurement(n=2)
    assert batch_bytes(measured, None, ["a"]) == 2 * BYTES_PER_IMAGE
    units = {"a": 1.0, "b": 5e6, "c": 3.0}
    assert batch_bytes(measured, lambda arch: {"relu_units": units[arch]}, list("abc")) == 2 * 16 * 5e6
    assert batch_bytes(Measurement(n=2, dtype="float64"), lambda arch: {"relu_units": 5e6}, ["a"]) == 2 * 32 * 5e6
    assert batch_bytes(measured, lambda arch: {"parameters": 5e6}, ["a"]) == 2 * BYTES_PER_IMAGE
    looked = []

    def sizes(arch: str) -> dict[str, float]:
        looked.append(arch)
        return {"relu_units": 1.0}

    batch_bytes(measured, sizes, ["x"] * 10_500)
    assert 900 <= len(looked) <= 1000


def test_memory_of_the_benchmark_networks() -> None:
    """Measured at batches of 16: 1,987 MiB for the widest of 300 modules of NAS-Bench-101, 1,060 for a middling one."""
    known = NasBench101()
    modules = known.sample(300, 0)
    each = [batch_bytes(Measurement(n=16), known.size_metrics, [arch]) for arch in modules]
    assert max(each) == batch_bytes(Measurement(n=16), known.size_metrics, modules)
    assert max(each) + BYTES_PER_WORKER == pytest.approx(1987 * 2**20, rel=0.1)
    assert np.median(each) + BYTES_PER_WORKER == pytest.approx(1060 * 2**20, rel=0.1)


def test_workers() -> None:
    cores = usable_cores()
    assert 1 <= cores <= (os.cpu_count() or 1)
    assert usable_memory() > 2**20
    assert choose_workers(None, "cpu", batch=8e6) <= cores
    assert choose_workers(None, "cpu", batch=1e18) == 1
    assert choose_workers(None, "cpu", threads=cores) == choose_workers(None, "cpu", threads=10 * cores) == 1
    assert choose_workers(None, "cuda") == 1
    assert [choose_workers(k, "cpu") for k in (0, 1, 5)] == [0, 1, 5]
    for workers in (-1, 1.5, True, "2"):
        with pytest.raises(InputError, match="give 0"):
            choose_workers(workers, "cpu")
    for threads in (0, -1, 1.5, True, 10**9):
        with pytest.raises(InputError, match="1 or more"):
            check_threads(threads)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bn": "forzen"}, "Did you mean 'frozen'"), ({"output": "full"}, "sum, trace"), ({"init": "he"}, "he_fan_in"),
        ({"dtype": "float16"}, "float32"), ({"n": 1}, "samples that proxies compare, to be an integer of at least 2"),
        ({"n": "8"}, "an integer of at least 2"), ({"n": 8.5}, "an integer of at least 2"),
        ({"data_seed": -1}, "at least 0"),
        ({"biases": "no"}, "biases='no': give True or False"),
        ({"network": "wide"}, "network='wide': give the network's settings by name, as in {'channels': 16}"),
        ({"resolution": 0}, "at least 1"), ({"in_channels": 0}, "at least 1"), ({"in_channels": True}, "at least 1"),
    ],
)  # fmt: skip
def test_bad_measurements(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Measurement(**settings)


def test_a_device_of_torch_is_taken_by_its_name() -> None:
    assert Measurement(device=torch.device("cpu")) == Measurement(device="cpu")


def test_numbers_of_numpy_are_taken_as_whole_numbers() -> None:
    measured = Measurement(n=np.int64(8), resolution=np.uint8(16))
    assert measured == Measurement(n=8, resolution=16)
    assert json.dumps(measured.settings(SPACE, {}))


def test_devices() -> None:
    check_device("cpu")
    for device, text in (
        ("gpu", "unknown device 'gpu'; use cpu"),
        (None, "unknown device None; use cpu"),
        ("mps", "use cpu or cuda"),
        ("meta", "not supported"),
    ):
        with pytest.raises(InputError, match=text):
            check_device(device)
    if torch.cuda.is_available():
        check_device("cuda:0")
        with pytest.raises(InputError, match="counted from cuda:0"):
            check_device("cuda:99")
    else:
        with pytest.raises(InputError, match="use device cpu"):
            check_device("cuda")


def test_the_default_store_is_named_by_everything_that_is_measured() -> None:
    cells, base = space("nas_bench_201"), Measurement(network={"channels": 4, "cells_per_stage": 1})
    path = default_store(cells, base, "digits")
    assert path.parent == Path("runs")
    assert path.name.startswith("nas_bench_201-")
    turned = Measurement(network={"cells_per_stage": 1, "channels": 4})
    assert default_store(cells, turned, "digits") == path
    # The device is part of the environment: another one is refused, not a file of its own.
    assert default_store(cells, Measurement(network=base.network, device="cuda"), "digits") == path
    others = [
        default_store(cells, base, "gaussian"),
        default_store(SPACE, base, "digits"),
        *(
            default_store(cells, Measurement(**{"network": base.network} | change), "digits")
            for change in (
                {"n": 8}, {"data_seed": 1}, {"resolution": 8}, {"in_channels": 1}, {"bn": "batch"}, {"output": "trace"},
                {"biases": True}, {"init": "he_fan_in"}, {"dtype": "float64"}, {"network": {}},
            )
        ),
    ]  # fmt: skip
    assert len({path, *others}) == 13


def test_the_default_store_of_a_release_does_not_change() -> None:
    measured = Measurement(network={"channels": 16, "cells_per_stage": 5})
    assert default_store(space("nas_bench_201"), measured, "digits").name == "nas_bench_201-6ebe8bc2.db"


def test_the_environment_is_text_and_tells_versions_and_threads() -> None:
    found = environment(3, "cpu")
    assert found["torch"] == torch.__version__
    assert found["threads_per_worker"] == "3"
    assert found["processor"]
    assert all(isinstance(value, str) and value for value in found.values())
    assert json.loads(json.dumps(found)) == found == environment(3, "cpu")


def test_settings_leave_out_the_device_and_say_everything_else() -> None:
    settings = Measurement(device="cuda").settings(SPACE, {"digest": "x"})
    assert settings["space"] == "modules"
    assert "device" not in settings
    assert {"n", "bn", "output", "biases", "init", "dtype", "network", "digest"} <= set(settings)


def test_a_misspelt_name_may_be_an_argument_or_a_setting() -> None:
    for name, meant in (("data_sed", "data_seed"), ("worker", "workers"), ("archs", "architectures")):
        with pytest.raises(InputError) as error:
            score_space("nas_bench_201", **{name: 3})
        assert str(error.value).startswith(f"there is no setting {name!r}; there are n, data_seed, ")
        assert str(error.value).endswith(f". Did you mean '{meant}'?")
    for asker in (score_space, Objective, prepare):
        with pytest.raises(InputError, match=r"^'channels' is a setting of the network; give network={'channels': 3}$"):
            asker("nas_bench_201", channels=3)
    with pytest.raises(InputError, match="Did you mean 'threads'"):
        Objective("nas_bench_201", thread=2)
    with pytest.raises(InputError, match="Did you mean 'budget_seconds'"):
        prepare("nas_bench_201", budget_second=2)
