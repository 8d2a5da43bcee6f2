"""Every class of NAS-Bench-201, core proxies: an estimate first, then the real run, and how close it is to the machine.

    python benchmarks/whole_space.py [--preset canonical|reduced] [--n 32] [--workers 2] [--data digits]
                                      [--estimate-only]

The estimate scores a seeded sample into a store of its own; --estimate-only renews it and keeps the last run's figures.
The run goes to runs/whole_space_<preset>.db (…_<data>.db for other images than the digits) and resumes from it; only
a run that did everything in one go counts as a measurement. The fraction of the convolution peak is the useful
multiply-accumulates of forward, input-gradient and per-sample weight-gradient convolutions (3 per MAC and image) over
the time, by the best rate that one 3×3 convolution of the network's own shapes reaches on
all cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import torch

import automl_theory as at
from automl_theory.probing.allocator import keep_freed_memory
from automl_theory.progress import ProgressLine
from automl_theory.scoring.machine import processor
from automl_theory.spaces.nas_bench_201 import NasBench201

RESULTS = Path(__file__).parent / "results"


def convolution_peak(threads: int) -> float:
    """Best rate, in multiply-accumulates a second, of a 3×3 channels-last convolution of the network's stages."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    best = 0.0
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        x = torch.randn(32, channels, side, side).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3)
        for _ in range(50):
            start = time.perf_counter()
            torch.conv2d(x, weight, None, 1, 1)
            best = max(best, 32 * 9 * channels**2 * side**2 / (time.perf_counter() - start))
    return best


def main() -> None:
    from rich.console import Console

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(NasBench201.presets), default="canonical")
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--data", default="digits", help="as of `automl-theory score`")
    parser.add_argument("--estimate-only", action="store_true")
    options = parser.parse_args()
    space, network = at.space("nas_bench_201"), NasBench201.presets[options.preset]
    classes = space.representatives()
    console = Console(stderr=True)

    def run(store: Path, **what: int) -> tuple[float, int]:
        with ProgressLine(console, "scoring") as progress:
            start = time.perf_counter()
            at.score_space(
                space,
                data=options.data,
                store=store,
                n=options.n,
                network=network,
                workers=options.workers,
                progress=progress,
                **what,
            )
            return time.perf_counter() - start, progress.state[0] - progress.before

    peak = convolution_peak(options.workers)
    with tempfile.TemporaryDirectory() as folder:
        startup, _ = run(Path(folder) / "one.db", sample=options.workers)
        spent, scored = run(Path(folder) / "estimate.db", sample=options.sample)
    estimate = startup + (spent - startup) / (scored - options.workers) * len(classes)
    out = RESULTS / f"whole_space_{options.preset}.json"
    before = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    report = {
        "processor": processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "preset": options.preset,
        "network": network,
        "data": Path(options.data).name,
        "n": options.n,
        "workers": options.workers,
        "classes": len(classes),
        "convolution_peak_gmacs": peak / 1e9,
        "estimate": {"sample": options.sample, "minutes": estimate / 60},
    }
    print(json.dumps(report, indent=1), flush=True)
    if not options.estimate_only:
        images = "" if options.data == "digits" else f"_{Path(options.data).stem}"
        store = Path("runs") / f"whole_space_{options.preset}{images}.db"
        store.parent.mkdir(exist_ok=True)
        spent, scored = run(store)
        macs = sum(space.size_metrics(arch, **network)["macs"] for arch in classes)
        report["run"] = {
            "minutes": spent / 60,
            "scored": scored,
            "in_one_go": scored == len(classes),
            "seconds_a_class_and_worker": spent * options.workers / max(scored, 1),
            "fraction_of_convolution_peak": 3 * macs * options.n / spent / peak if scored == len(classes) else None,
        }
    if "run" in before and not report.get("run", {}).get("in_one_go"):
        report["run"] = before["run"]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
