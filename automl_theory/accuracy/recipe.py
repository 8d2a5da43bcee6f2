"""What a column of accuracies is: release, data set, schedule, split, and how it is said in a line.

The benchmarks' own names differ from what people call things, and their APIs answer some questions with another one's
answer. Here each column says what it is:

data set         trained on                column → the benchmark's evaluation set
cifar10          50,000 images (all)       test → ori-test (10,000); valid comes from cifar10-valid, as there is none
cifar10-valid    25,000 of them            valid → x-valid (the other 25,000), test → ori-test (10,000)
cifar100         50,000                    valid → x-valid, test → x-test (halves of 10,000), valtest → ori-test (all)
ImageNet16-120   151,700                   valid → x-valid, test → x-test (halves of 6,000), valtest → ori-test (all)

Source: `nas_201_api.api_utils.remap_dataset_set_names`, `nas_201_api.NASBench201API.get_more_info`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from automl_theory.errors import InputError, suggest

EVALUATED: dict[str, dict[str, str]] = {
    "cifar10": {"train": "train", "test": "ori-test"},
    "cifar10-valid": {"train": "train", "valid": "x-valid", "test": "ori-test"},
    "cifar100": {"train": "train", "valid": "x-valid", "test": "x-test", "valtest": "ori-test"},
    "ImageNet16-120": {"train": "train", "valid": "x-valid", "test": "x-test", "valtest": "ori-test"},
}
SPLITS = ("train", "valid", "test", "valtest")
METRICS = ("accuracy", "loss")
COSTS = ("params", "flops", "latency")
CELL = re.compile(
    r"\|{op}~0\|\+\|{op}~0\|{op}~1\|\+\|{op}~0\|{op}~1\|{op}~2\|".replace(
        "{op}", "(?:none|skip_connect|nor_conv_1x1|nor_conv_3x3|avg_pool_3x3)"
    )
)
WIDTHS = re.compile(r"(?:8|16|24|32|40|48|56|64)(?::(?:8|16|24|32|40|48|56|64)){4}")
FAMILIES = {"topology": CELL, "size": WIDTHS}
TOTAL = {"topology": 15_625, "size": 32_768}
_OFFICIAL = {"tss": ("NATS-Bench", "topology"), "sss": ("NATS-Bench", "size"), "201": ("NAS-Bench-201", "topology")}
_NAME = re.compile(r"(?:NATS-(?P<nats>tss|sss)|NAS-Bench-(?P<nb>201))-v(?P<major>\d+)_(?P<minor>\d+)")
_RUNS_OF_RELEASE = {
    (6219, 1621, 7785): "NAS-Bench-201 v1.0",
    (2225, 5439, 7961): "NAS-Bench-201 v1.1",
    (0, 0, 15625): "NATS-Bench v1.0",
}
"""How many cells have 1, 2 and 3 runs of the long schedule in the whole of a release."""


def family_of(arch: object, where: str) -> str:
    """Return "topology" or "size"; InputError for a string that is an architecture of neither space."""
    for family, pattern in FAMILIES.items():
        if isinstance(arch, str) and pattern.fullmatch(arch):
            return family
    raise InputError(
        f"{where} has a result of {str(arch)[:100]!r}, which is no cell of NAS-Bench-201 (|op~0|+|op~0|op~1|+…) "
        "or of the size space (8:16:…); the file is damaged or of another benchmark"
    )


def release_of(name: str, form: str, family: str, runs_per_arch: Mapping[int, int]) -> str:
    """Return the release in words, by the official file name, else by how many runs a whole release has.

    Raises InputError if name and contents disagree.
    """
    told = _NAME.search(name)
    named = None
    if told:
        benchmark, space = _OFFICIAL[told["nats"] or told["nb"]]
        named = f"{benchmark} v{told['major']}.{told['minor']}"
        if space != family:
            raise InputError(
                f"{name} is named as the {space} space of {benchmark} but holds the {family} space: releases are mixed "
                "up; fetch it again, or keep each benchmark in a folder of its own"
            )
    counted = _RUNS_OF_RELEASE.get((runs_per_arch.get(1, 0), runs_per_arch.get(2, 0), runs_per_arch.get(3, 0)))
    if named and counted and named != counted:
        raise InputError(
            f"{name} is named {named} but has the runs of {counted}: releases are mixed up; fetch it again"
        )
    return named or counted or f"unstated release ({form} format)"


def dataset_named(wanted: str, known: Iterable[str]) -> str:
    """Return the benchmark's spelling of a data set; InputError with the nearest if there is none."""
    known = list(dict.fromkeys(known))
    by_key = {_key(name): name for name in known}
    if not isinstance(wanted, str) or _key(wanted) not in by_key:
        raise InputError(f"unknown dataset {wanted!r}; there is: {', '.join(known)}.{suggest(str(wanted), known)}")
    return by_key[_key(wanted)]


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def split_named(wanted: str, known: Iterable[str]) -> str:
    """Return a split if it is one of `known`; InputError with the nearest otherwise."""
    known = list(known)
    if wanted not in known:
        raise InputError(f"unknown split {wanted!r}; there is: {', '.join(known)}.{suggest(str(wanted), known)}")
    return wanted


def line(recipe: Mapping[str, Any]) -> str:
    """The recipe of an accuracy table in one line, as it stands in `attrs["accuracy"]`."""
    training = recipe.get("training", {})
    epochs = recipe.get("epochs", training.get("epochs") if isinstance(training, dict) else None)
    parts = [str(recipe[key]) for key in ("release", "name") if recipe.get(key)][:1]
    if recipe.get("dataset") and recipe["dataset"] != recipe.get("name"):
        parts.append(str(recipe["dataset"]))
    if epochs is not None:
        parts.append(f"{epochs} epochs")
    if splits := recipe.get("splits"):
        parts.append("; ".join(f"{split}: {splits[split]}" for split in SPLITS if split in splits) + " images")
    if seeds := recipe.get("seeds"):
        parts.append(f"mean of {len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}")
        counts = recipe.get("runs_per_architecture", {})
        if len(counts) > 1:
            parts[-1] = "mean of " + ", ".join(f"{k} ({n})" for k, n in counts.items()) + " runs (architectures)"
    if recipe.get("file"):
        parts.append(f"from {recipe['file']}")
    return ", ".join(parts) or "no recipe: the table does not say how it was trained"
