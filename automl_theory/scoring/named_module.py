"""Score one network named on the command line as package.module:factory."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from automl_theory.data import load_batch
from automl_theory.errors import InputError, suggest
from automl_theory.scoring.files import write_table
from automl_theory.scoring.plan import Measurement, check_device, choose_seeds
from automl_theory.scoring.single import Scores, score


def load_factory(name: str) -> nn.Module:
    """The module that `package.module:factory` makes; the working folder is searched too.

    `factory` is a function without arguments that returns an nn.Module, or an nn.Module itself. Raises InputError for
    a name of another form, a module that cannot be imported, a missing attribute, or something that gives no module.
    """
    path, colon, attribute = name.partition(":")
    if not colon or not path or not attribute:
        raise InputError(f"--module {name!r} must look like package.module:factory")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(path)
    except Exception as error:
        raise InputError(f"cannot import {path!r}: {_one_line(error)}; run from the folder that holds it") from None
    if not hasattr(found, attribute):
        raise InputError(f"module {path!r} has no {attribute!r}.{suggest(attribute, dir(found))}")
    factory = getattr(found, attribute)
    try:
        net = factory if isinstance(factory, nn.Module) else factory()
    except Exception as error:
        raise InputError(f"{name} failed when called without arguments: {_one_line(error)}") from None
    if not isinstance(net, nn.Module):
        raise InputError(f"{name} must return an nn.Module, it returned {type(net).__name__}")
    return net


def score_named_module(
    name: str, *, proxies: str, data: str, seeds: int | None, export: Path | None, **settings: Any
) -> None:
    """Score the module of `name` on a batch and print values and statuses; seeds None keeps its weights."""
    measured = Measurement(**settings)
    check_device(measured.device)
    net = load_factory(name).to(device=measured.device, dtype=getattr(torch, measured.dtype))
    batch = load_batch(data, measured.n, measured.data_seed, size=measured.resolution, channels=measured.in_channels)
    x, y = batch.x.to(measured.device, getattr(torch, measured.dtype)), batch.y.to(measured.device)
    runs: list[Scores] = [
        score(
            net,
            x,
            y,
            proxies,
            seed=seed,
            init=measured.init,
            bn=measured.bn,  # type: ignore[arg-type]
            output=measured.output,
            biases=measured.biases,
        )
        for seed in ([None] if seeds is None else choose_seeds(seeds))
    ]
    frame = pd.DataFrame([dict(run) for run in runs])
    table = Table("proxy", "aspect", "value", *(["std"] if len(runs) > 1 else []), "status", box=None, pad_edge=False)
    for proxy in runs[0].proxies:
        statuses = sorted({run.status[proxy.name] for run in runs})
        reason = runs[0].reasons.get(proxy.name, "")
        spread = [f"{frame[proxy.name].std():.3g}"] if len(runs) > 1 else []
        mean = f"{frame[proxy.name].mean():.6g}"
        table.add_row(proxy.name, proxy.family, mean, *spread, ", ".join(statuses) + (f": {reason}" if reason else ""))
    console = Console()
    console.print(table)
    console.print(f"{name}; {batch.source}; {runs[0].info}", highlight=False)
    if export is not None:
        row = pd.DataFrame(
            {column: [value] for column, value in frame.mean().items()}
            | {f"{column}_status": [runs[0].status[str(column)]] for column in frame.columns},
            index=pd.Index([name], name="arch"),
        )
        row.attrs = {"settings": {**runs[0].info, "data": batch.source}, "seeds": seeds}
        write_table(row, export)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
