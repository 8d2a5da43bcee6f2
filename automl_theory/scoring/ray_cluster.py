"""Ray itself: imported quietly, a cluster to work on, and how many workers it has room for."""

from __future__ import annotations

import logging
import math
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from automl_theory.errors import AutoMLTheoryError, InputError, MissingExtra, reason, require
from automl_theory.scoring.machine import usable_cores

ANSWER_SECONDS = 5.0  # for a cluster's address to take a connection
STORE_BYTES = 2**27
# What opens a gRPC connection, the head's language, and the kind of frame that answers it (RFC 9113, 3.4).
HTTP2_SETTINGS = b"\x04"
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + HTTP2_SETTINGS + b"\0\0\0\0\0"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_worker_niceness": "0",  # as processes have it; Ray's own 15 yields to everything else on the machine
}


def load_ray() -> Any:
    """Ray, imported without its warnings and reports."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return require("ray", "ray")
    except MissingExtra:
        raise
    except Exception as error:
        raise AutoMLTheoryError(f"ray cannot be imported ({reason(error)}); use executor='processes'") from error


@contextmanager
def connected(ray: Any, address: str | None, workers: int | None, threads: int, gpus: float) -> Iterator[None]:
    """A cluster for the time of the block; one that was there before is left as it is."""
    if ray.is_initialized():
        if address is not None and address != "auto" and address != ray.get_runtime_context().gcs_address:
            raise InputError(
                f"this process is connected to the Ray cluster at {ray.get_runtime_context().gcs_address}, not to "
                f"{address}; leave the address out, or call ray.shutdown() first"
            )
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        options |= {"address": "local", "include_dashboard": False, "object_store_memory": STORE_BYTES}
        options["num_cpus"] = threads * workers if workers else max(threads, usable_cores())
    else:
        _check_answers(address)
        options["address"] = address
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(**options)
    except Exception as error:
        ray.shutdown()
        if address is None:
            raise AutoMLTheoryError(f"Ray cannot start here ({reason(error)}); use executor='processes'") from error
        if address == "auto":
            raise _no_answer("this machine", reason(error)) from error
        raise InputError(
            f"cannot join the Ray cluster at {address} ({reason(error)}); this machine must be one of its nodes, with "
            f"its Ray and Python: ray start --address {address}"
        ) from error
    except BaseException:
        ray.shutdown()
        raise
    with _silent():
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's news of dead workers, which are outcomes here, from stdout; log_to_driver=False leaves them on."""
    from ray._private import worker

    printing = getattr(worker, "print_to_stdstream", None)
    if printing is None:
        yield
        return
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


def _check_answers(address: str) -> None:
    """Raise InputError unless a gRPC server answers there: Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise InputError(f"address={address!r}: give HOST:PORT of the cluster's head, as in 10.0.0.1:6379, or auto")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS) as line:
            line.sendall(HTTP2_GREETING)
            heard = line.recv(9)
    except OSError as error:
        raise _no_answer(address, reason(error)) from None
    if heard[3:4] != HTTP2_SETTINGS:
        raise _no_answer(address, "something else listens there")


def _no_answer(address: str, why: str) -> InputError:
    return InputError(
        f"no Ray cluster answers at {address} ({why}); start one there with: ray start --head --port 6379, "
        "or leave the address out for one on this machine"
    )


def room(ray: Any, threads: int, gpus: float) -> int:
    """How many workers the nodes have room for, at least 1."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = sum(fitting(resources, threads, gpus) for resources in found)
    if not fits:
        has = "; ".join(f"{r.get('CPU', 0):g} CPUs and {r.get('GPU', 0):g} GPUs" for r in found) or "none"
        raise InputError(
            f"no node of the Ray cluster has room for a worker of {threads} CPUs (threads) and {gpus:g} GPUs; "
            f"its nodes have: {has}; ask for less"
        )
    return fits


def fitting(resources: dict[str, float], threads: int, gpus: float) -> int:
    """How many workers a node with these resources has room for; a share of a GPU is of one, never of two."""
    by_cpu = int(resources.get("CPU", 0) // threads)
    if not gpus:
        return by_cpu
    have = int(resources.get("GPU", 0))
    by_gpu = have * math.floor(1 / gpus + 1e-9) if gpus < 1 else int(have // gpus)
    return min(by_cpu, by_gpu)
