"""The Ray executor on a real cluster of two nodes on this machine."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray_functions import refuse, slow, square

import automl_theory as at
from automl_theory.errors import AutoMLTheoryError, InputError, StoreError
from automl_theory.scoring import plan, ray_cluster
from automl_theory.scoring.engine import prepare_node
from automl_theory.scoring.machine import environment
from automl_theory.scoring.measurement import Measurement
from automl_theory.scoring.ray_executor import Actor, run_tasks

ray = pytest.importorskip("ray", reason="ray is not installed", exc_type=ImportError)
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray forgets processes and sockets of a cluster
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # as the collector then finds
]
TINY: dict[str, Any] = {"n": 8, "resolution": 8, "network": {"channels": 4, "cells_per_stage": 1}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a node, one CPU each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray_cluster.load_ray()
        from ray.cluster_utils import Cluster

        settings = {"num_cpus": 1, "object_store_memory": 2**27, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args=settings)
        started.extra = started.add_node(num_cpus=1, object_store_memory=2**27)
        yield started
        ray.shutdown()
        started.shutdown()


def test_outcomes_of_every_kind_and_nothing_on_the_terminal(cluster: Any, capfd: pytest.CaptureFixture[str]) -> None:
    tasks = [1, 2, "exit", 3, "die", 4, "memory", 5, "threads", None, lambda: 0, *range(6, 12)]
    found = {str(o.task): o for o in run_tasks(square, tasks, workers=2, address=cluster.address)}
    assert len(found) == len(tasks)
    assert [found[str(k)].result for k in range(1, 12)] == [k * k for k in range(1, 12)]
    assert found["exit"].error == "SystemExit: told to"
    assert found["die"].error == "worker died twice (out of memory?)"
    assert found["die"].attempts == found["memory"].attempts == 2
    assert found["memory"].error == "MemoryError: too much"
    assert found["threads"].result == ({1}, "1")
    assert str(found["None"].error).startswith("TypeError")
    assert str(found[str(tasks[10])].error).startswith("the task cannot be sent: ")
    assert not ray.is_initialized()
    assert capfd.readouterr().out == ""


def test_tables_are_equal_bit_for_bit_and_the_driver_holds_the_store(cluster: Any, tmp_path: Path) -> None:
    names = ["ntk_lambda_min", "naswot", "parameters"]
    options: dict[str, Any] = {"sample": 10, "seeds": 2, **TINY}
    here = at.score_space("nas_bench_201", names, store=tmp_path / "a.db", **options)
    there = at.score_space(
        "nas_bench_201", names, store=tmp_path / "b.db", executor="ray", address=cluster.address, **options
    )
    pd.testing.assert_frame_equal(here, there, check_exact=True)
    calls: list[tuple[int, int, int]] = []
    at.score_space(
        "nas_bench_201", names, store=tmp_path / "b.db", progress=lambda *state: calls.append(state), **options
    )
    assert calls == [(20, 20, 0)]


def test_a_ray_of_the_callers_own_is_used_and_left_and_small_tasks_go_in_batches(cluster: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(address=cluster.address, log_to_driver=False)
    with pytest.raises(InputError, match=r"connected to the Ray cluster at .*, not to 10.0.0.1:1; leave the address"):
        list(run_tasks(square, [1], workers=1, address="10.0.0.1:1"))
    with pytest.raises(AutoMLTheoryError, match="a worker to start on the Ray cluster, but ValueError: not on this"):
        list(run_tasks(square, [1], workers=1, initializer=refuse))
    with pytest.raises(InputError, match=r"no node .* room for a worker of 2 CPUs .* 0 GPUs; its nodes have: 1 CPU"):
        list(run_tasks(square, [1], workers=1, threads=2))
    with pytest.raises(InputError, match=r"a worker of 1 CPUs \(threads\) and 0.5 GPUs"):
        list(run_tasks(square, [1], workers=1, gpus_per_task=0.5))
    start = time.monotonic()
    assert sum(o.result for o in run_tasks(square, range(20_000), workers=1)) == sum(k * k for k in range(20_000))
    turned = [*range(64), *("wait" for _ in range(4))]
    assert [o.result for o in run_tasks(square, turned, workers=1)] == [*(k * k for k in range(64)), *[0] * 4]
    assert time.monotonic() - start < 60
    assert ray.is_initialized()
    while ray.available_resources().get("CPU") != 2 and time.monotonic() - start < 60:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 2, "no worker is left"
    ray.shutdown()


def test_a_cluster_of_another_ray_is_told_as_such(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "__version__", "1.0.0")
    told = r"cannot join the Ray cluster at .* \(Version mismatch: .*must be one of its nodes, with its Ray and"
    with pytest.raises(InputError, match=told):
        list(run_tasks(square, [1], workers=1, address=cluster.address))
    assert not ray.is_initialized()


def test_a_worker_hands_back_what_it_did_not_reach_in_a_second() -> None:
    worker = Actor()
    worker.function = square
    answers, seconds = worker.run([pickle.dumps("wait")] * 9)
    assert [pickle.loads(answer) for answer in answers] == [("done", 0)] * 3
    assert seconds >= 1


def test_a_node_lost_in_the_middle_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    tasks = [(number, str(tmp_path)) for number in range(24)]
    outcomes = run_tasks(slow, tasks, workers=2, address=cluster.address)
    found = []
    with closing(outcomes):
        for outcome in outcomes:
            found.append(outcome)
            if len({o.result[1] for o in found}) == 2 and cluster.extra:
                cluster.remove_node(cluster.extra, allow_graceful=False)
                cluster.extra = None
    assert cluster.extra is None
    assert sorted(o.result[0] for o in found) == list(range(24))
    assert all(o.error is None for o in found)
    lines = sum(len(file.read_text().splitlines()) for file in tmp_path.iterdir())
    assert lines > 24  # what the lost node was at was run again


def test_closing_early_ends_the_workers(cluster: Any, tmp_path: Path) -> None:
    outcomes = run_tasks(slow, [(number, str(tmp_path)) for number in range(50)], workers=1, address=cluster.address)
    first = next(outcomes)
    outcomes.close()
    assert not ray.is_initialized()
    deadline = time.monotonic() + 20
    while _lives(first.result[1]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _lives(first.result[1])


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return b") Z " not in Path(f"/proc/{process}/stat").read_bytes() if Path(f"/proc/{process}").exists() else False


@pytest.mark.parametrize("address", ["nonsense", "ray://10.0.0.1:10001", "host:", "host:99999"])
def test_an_address_of_another_form(address: str) -> None:
    with pytest.raises(InputError, match=r"give HOST:PORT of the cluster's head, as in 10.0.0.1:6379, or auto"):
        list(run_tasks(square, [1], workers=1, address=address))


@pytest.mark.parametrize("speaks", [False, True])
def test_an_address_where_no_cluster_answers(speaks: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.recv(100)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        if speaks:
            thread = threading.Thread(target=serve)
            thread.start()
            with pytest.raises(InputError, match=r"no Ray cluster answers at .*something else listens there"):
                list(run_tasks(square, [1], workers=1, address=address))
            thread.join()
    if not speaks:
        with pytest.raises(InputError, match=r"no Ray cluster answers at .* start one there with: ray start --head"):
            list(run_tasks(square, [1], workers=1, address=address))


def test_without_tasks_no_cluster_is_started() -> None:
    assert list(run_tasks(square, [], workers=2)) == []
    assert not ray.is_initialized()


def test_a_node_unlike_the_drivers_is_refused() -> None:
    around = environment(1, "cpu")
    with pytest.raises(StoreError, match=r"has torch '.*', not '1.0', and its scores could differ .*--allow-mismatch"):
        prepare_node({**around, "torch": "1.0"}, None, Measurement())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"executor": "rai"}, "executor='rai' is not one of processes, ray. Did you mean 'ray'"),
        ({"address": "a:1"}, "address='a:1' is for Ray; add executor='ray'"),
        ({"gpus_per_task": 0.5}, "gpus_per_task=0.5 is for Ray"),
        ({"executor": "ray", "gpus_per_task": 1.5}, "give a share of one GPU, as 0.25, or a whole number"),
        ({"executor": "ray", "gpus_per_task": -1}, "give a share of one GPU"),
        ({"executor": "ray", "gpus_per_task": 0.5}, "with device cpu would leave GPUs idle; use device cuda"),
        ({"executor": "ray", "address": "nonsense"}, "give HOST:PORT"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        at.score_space("nas_bench_201", ["naswot"], sample=1, **TINY, **options)


def test_gpus_on_ray() -> None:
    assert plan.choose_executor("ray", None, 0.25, "cuda") == "ray"
    with pytest.raises(InputError, match="device 'cuda' needs a share of a GPU"):
        plan.choose_executor("ray", None, 0, "cuda")
    with pytest.raises(InputError, match="Ray chooses each worker's GPU; use device cuda"):
        plan.choose_executor("ray", None, 1, "cuda:1")
    fits = ray_cluster.fitting
    assert [fits({"CPU": 8, "GPU": 2}, 1, g) for g in (0.0, 0.25, 0.3, 0.5, 1, 2, 3)] == [8, 8, 6, 4, 2, 1, 0]
    assert fits({"CPU": 3, "GPU": 2}, 2, 0.25) == 1
