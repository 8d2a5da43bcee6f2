"""What reading the single file of NAS-Bench-201 costs, measured on a file of a tenth of its size.

    python benchmarks/accuracy_memory.py [--cells 1563] [--folder /tmp] [--out benchmarks/results/accuracy_memory.json]

The file is built with the classes of `nas_201_api`, in the shape of the genuine records: 12 and 200 epochs, one to
three seeds as often as in release v1.1 (14, 35 and 51 %), per-epoch dictionaries with keys of their own in every run.
Then, each in a fresh process: `load_accuracy`; `torch.load` of all of it, which is what the benchmark's API does; a
NATS-Bench folder of 100 such records. Peak memory is the process's (ru_maxrss); that of a process that only imports is
beside it.

The whole release has 15,625 architectures and 4.7 GB; time and memory are scaled by the size of the file, which is what
`accuracy.benchmark_files` tells before it starts on a large one. Building takes about 6 GB of memory and 3 minutes.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

SIZE_GB = 4.7
CELLS = 15_625
EVALUATED = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
BRIEF = {"cifar10-valid": (111, 777), "cifar10": (111,), "cifar100": (111,), "ImageNet16-120": (111,)}

BUILD = "import accuracy_memory as m, sys; m.build(sys.argv[1], int(sys.argv[2]))"
FOLDER = "import accuracy_memory as m, sys; m.build_folder(sys.argv[1], 100)"
NOTHING = "import automl_theory.accuracy.tables, pandas, pyarrow"
LOAD = "from automl_theory.accuracy.tables import load_accuracy as f; f(sys.argv[1], dataset='cifar10')"
TORCH = "import torch, sys; x = torch.load(sys.argv[1], map_location='cpu', weights_only=False)"
MEASURED = """
import resource, sys, time
start, cpu = time.perf_counter(), time.process_time()
{code}
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
import json
print(json.dumps({{"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2),
    "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)}}))
"""


def _record(api: Any, index: int, arch: str, epochs: int, seeds: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    import numpy as np

    results = api.ArchResults(index, arch)
    for dataset, names in EVALUATED.items():
        for seed in seeds[dataset]:
            rng = np.random.default_rng([index, seed, epochs])
            config = {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": 10}
            run = api.ResultsCount(dataset, None, {}, {}, np.float64(0.8), 113.95, config, seed, epochs, None)

            def curve(epochs: int = epochs, rng: Any = rng) -> dict[int, float]:
                return dict(enumerate(rng.uniform(0, 100, epochs).tolist()))

            def evaluation(
                last: bool, names: tuple[str, ...] = names, epochs: int = epochs, rng: Any = rng
            ) -> dict[str, float]:
                places = [(names[0], i) for i in range(epochs)]
                places += [
                    (name, i) for name in names[1:] for i in (range(epochs - 1, epochs) if last else range(epochs))
                ]
                values = rng.uniform(0, 100, len(places)).tolist()
                return {f"{name}@{i}": value for (name, i), value in zip(places, values, strict=True)}

            run.update_train_info(curve(), None, curve(), OrderedDict(curve()))
            run.eval_names = list(names)
            run.eval_acc1es, run.eval_losses = evaluation(True), evaluation(True)
            run.eval_times = evaluation(False)
            run.update_latency([np.float64(0.016)])
            results.update(dataset, seed, run)
    state: dict[str, Any] = results.state_dict()
    return state


def records(count: int) -> Any:
    """(index, architecture, {"less", "full"}) of `count` cells, spread over the space."""
    import numpy as np
    from nas_201_api import api_utils as api

    import automl_theory as at

    cells = list(at.space("nas_bench_201"))[:: CELLS // count][:count]
    runs = np.random.default_rng(0).choice([1, 2, 3], size=count, p=[0.142, 0.348, 0.51])
    for index, arch in enumerate(cells):
        long = dict.fromkeys(EVALUATED, (777, 888, 999)[: runs[index]])
        yield index, arch, {"less": _record(api, index, arch, 12, BRIEF), "full": _record(api, index, arch, 200, long)}


def build(path: str, count: int) -> None:
    """Write a NAS-Bench-201 file of `count` cells."""
    import torch

    made = list(records(count))
    content = {
        "meta_archs": [arch for _, arch, _ in made],
        "arch2infos": {index: infos for index, _, infos in made},
        "evaluated_indexes": [index for index, _, _ in made],
    }
    torch.save(content, path, _use_new_zipfile_serialization=False)


def build_folder(path: str, count: int) -> None:
    """Write a NATS-Bench folder of `count` cells."""
    from nats_bench.api_utils import pickle_save

    Path(path).mkdir()
    for index, _, infos in records(count):
        pickle_save({"12": infos["less"], "200": infos["full"]}, f"{path}/{index:06d}.pickle")


def run(code: str, *arguments: str) -> dict[str, float]:
    """Run code in a fresh process; return its seconds and peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(code=code), *arguments],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Build, measure, scale, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1563)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "accuracy_memory.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = f"{folder}/tenth.pth"
        run(BUILD, path, str(given.cells))
        size = Path(path).stat().st_size / 1e9
        idle = run(NOTHING)["peak_gb"]
        ours, theirs = run(LOAD, path), run(TORCH, path)
        records_folder = f"{folder}/nats"
        run(FOLDER, records_folder)
        nats = run(LOAD, records_folder)
    more = SIZE_GB / size
    result = {
        "cells": given.cells,
        "file_gb": round(size, 3),
        "idle_process_gb": idle,
        "load_accuracy": ours,
        "torch_load": theirs,
        "nats_folder_of_100": nats,
        "scaled_to_whole_release": {
            "file_gb": SIZE_GB,
            "load_accuracy_seconds": round(ours["cpu_seconds"] * more),
            "load_accuracy_gb": round(idle + (ours["peak_gb"] - idle) * more, 2),
            "torch_load_seconds": round(theirs["cpu_seconds"] * more),
            "torch_load_gb": round(idle + (theirs["peak_gb"] - idle) * more, 1),
            "nats_folder_seconds": round(nats["cpu_seconds"] / 100 * CELLS),
        },
        "python": platform.python_version(),
        "note": "CPU seconds of one core; the machine was shared, so wall-clock seconds are longer",
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
