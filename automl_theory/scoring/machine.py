"""The machine that scores are computed on: versions, cores, memory, devices."""

from __future__ import annotations

import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from automl_theory.errors import InputError


def environment(threads: int, device: str) -> dict[str, str]:
    """Versions and machine type on which the last bits of a score depend."""
    import torch

    return {
        "automl_theory": package_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "threads_per_worker": str(threads),
    }


def package_version() -> str:
    """Version of automl_theory as installed; "unknown" when run from a bare source tree."""
    try:
        return version("automl_theory")
    except PackageNotFoundError:
        return "unknown"


def processor() -> str:
    """Model name of the processor, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def check_device(device: str) -> None:
    """Raise InputError unless torch can compute on `device`."""
    import torch

    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"unknown device {device!r}; use cpu, cuda or cuda:0") from None
    if found.type not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is not supported; use cpu or cuda")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} was asked for, but this torch finds no CUDA device; use device cpu")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device {device!r} was asked for, but there are {torch.cuda.device_count()}, counted from cuda:0; "
            "use one of them"
        )


def usable_cores() -> int:
    """Cores this process may use: what the scheduler allows it, and no more than a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        return min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


def usable_memory() -> float:
    """Bytes of memory that are free now, as far as the system tells (else infinity), within a container's limit."""
    free = math.inf
    try:
        with open("/proc/meminfo", encoding="utf-8") as lines:
            free = next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable"))
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="utf-8").strip()
        if limit != "max":
            used = int((group / "memory.current").read_text(encoding="utf-8"))
            counts = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
            used -= int(counts.get("inactive_file", 0))
            free = min(free, max(0, int(limit) - used))
    except (OSError, ValueError, StopIteration):
        pass
    return free
